"""Print the outcome of a benchmark in one line, and keep it with all that is needed to judge it."""

import datetime
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

import genlearn
from genlearn.devices import cpu_name, device_name

ROOT = Path(__file__).resolve().parents[2]
BEGAN = time.perf_counter()  # scripts import this module before they begin


def record(
    name: str,
    line: str,
    numbers: dict[str, Any],
    *,
    seeds: Iterable[int] = (),
    device: torch.device | str = "cpu",
    seconds: float | None = None,
    seconds_note: str = "",
) -> None:
    """Print ``line`` and write ``benchmarks/results/NAME.json``.

    Args:
        name: of the record.
        line: the outcome.
        numbers: the figures. A series that is made in pieces has its command among them, and
            whoever runs other processes their number of threads.
        seeds: those over which the figures show a spread.
        device: where the work was done.
        seconds: on the clock, of the whole work; by default since this script began.
        seconds_note: what ``seconds`` are, if anything else.
    """
    print(line)
    script = Path(sys.argv[0]).resolve().relative_to(ROOT)
    content = {
        "command": " ".join(["python", script.as_posix(), *sys.argv[1:]]),
        "commit": commit_of_code(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "seconds": round(time.perf_counter() - BEGAN if seconds is None else seconds, 1),
        **({"seconds_note": seconds_note} if seconds_note else {}),
        "seeds": list(seeds),
        "device": device_name(torch.device(device)),
        "threads": torch.get_num_threads(),
        "machine": {"cpu": cpu_name(), "cores": os.cpu_count(), "system": platform.system()},
        "versions": {
            "genlearn": genlearn.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "summary": line,
        **numbers,
    }
    file = ROOT / "benchmarks" / "results" / f"{name}.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def commit_of_code() -> str:
    """The commit, with a + where a tracked file was changed that is no recorded result.

    Outside a tree: "".
    """

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "-uno", "--", ".", ":(exclude)benchmarks/results")
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""
