"""How long it takes to grade thirty submissions of problem set 2 on two cores.

Most of them are right, some are empty, in one an answer loops for ever, in one an answer hoards
memory. They are graded as ``make grade`` does it, with its own limits, two at a time. The bar is
ten minutes. The marks are checked too: the time of a batch that was graded wrongly means nothing.
"""

import argparse
import copy
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from common.record import ROOT, record

BAR_MINUTES = 10
CORES = 2
LOOP = "def reparameterise(mean, log_std, noise):\n    while True:\n        pass"
HOG = """\
def iwae(log_weights):
    hoard = []
    while True:
        hoard.append(torch.ones(25_000_000))"""
COMMAND = [sys.executable, "-m", "grading"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tools'}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--submissions", type=int, default=30)
    count = parser.parse_args().submissions

    subprocess.run([*COMMAND, "release"], env=ENVIRONMENT, check=True)
    with tempfile.TemporaryDirectory() as folder:
        submitted, results = Path(folder, "submitted"), Path(folder, "results")
        submitted.mkdir()
        deserved = hand_in(submitted, count)
        command = [*COMMAND, "grade", str(submitted), "--set", "p2_vae", "--to", str(results)]
        cores = sorted(os.sched_getaffinity(0))[:CORES]
        began = time.perf_counter()
        subprocess.run(
            command, env=ENVIRONMENT, check=True, preexec_fn=lambda: os.sched_setaffinity(0, cores)
        )
        minutes = (time.perf_counter() - began) / 60
        with (results / "marks.csv").open(encoding="utf-8", newline="") as stream:
            rows = {row["student"]: row for row in csv.DictReader(stream)}
    marks = {name: float(row["total"]) for name, row in rows.items()}
    if marks != deserved:
        raise SystemExit(f"graded wrongly: {marks}, not {deserved}")

    seconds = {name: float(row["seconds"]) for name, row in rows.items()}
    right = statistics.median(value for name, value in seconds.items() if "right" in name)
    line = (
        f"{count} submissions of P2 graded in {minutes:.1f} minutes on {len(cores)} cores (bar "
        f"{BAR_MINUTES}), with an endless loop ({seconds['loop']:.0f} s) and a memory hog "
        f"({seconds['hog']:.0f} s) among them; a right one takes {right:.1f} s"
    )
    numbers = {
        "bar_minutes": BAR_MINUTES,
        "minutes": round(minutes, 2),
        "submissions": count,
        "cores_used": len(cores),
        "seconds_of_a_right_one": round(right, 1),
        "seconds_of_each": seconds,
        "one_minute_load_average": round(os.getloadavg()[0], 1),
    }
    record("grading", line, numbers)


def hand_in(folder: Path, count: int) -> dict[str, float]:
    """Write the submissions; return name → the points that it deserves."""
    built = ROOT / "_build" / "assignments"
    release, source = (
        json.loads((built / part / "p2_vae" / "p2_vae.ipynb").read_text("utf-8"))
        for part in ("release", "source")
    )
    answers = {name: cell["source"] for name, cell in named(source).items()}
    solved = {name: answers[name] for name in answers if not name.endswith("-tests")}
    most = sum(cell["metadata"]["nbgrader"].get("points", 0) for cell in named(release).values())
    kinds = {
        "loop": ({**solved, "t3-draw": LOOP}, most - 2),
        "hog": ({**solved, "t5-iwae": HOG}, most - 2),
        **{f"empty-{number}": ({}, 0) for number in range(4)},
    }
    kinds |= {f"right-{number:02d}": (solved, most) for number in range(count - len(kinds))}
    for name, (given, _) in kinds.items():
        notebook = copy.deepcopy(release)
        for grade_id, code in given.items():
            named(notebook)[grade_id]["source"] = code
        (folder / f"{name}.ipynb").write_text(json.dumps(notebook), "utf-8")
    return {name: float(points) for name, (_, points) in kinds.items()}


def named(notebook: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Name of each cell that nbgrader knows → the cell."""
    marked = [cell for cell in notebook["cells"] if "nbgrader" in cell["metadata"]]
    return {cell["metadata"]["nbgrader"]["grade_id"]: cell for cell in marked}


if __name__ == "__main__":
    main()
