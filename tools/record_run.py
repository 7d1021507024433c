"""Keep the figures of a run, with all that is needed to judge and repeat them.

    python tools/record_run.py runs/vae-digits [more runs]

writes benchmarks/results/runs/NAME.json, where NAME is the name of the run's folder. Chapters read
figures of long runs from there. What `genlearn bench` has left in a folder becomes
benchmarks/results/NAME.json. tools/results_schema.py says what these hold.
"""

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "runs"
PIECES = "pieces.txt"  # seconds of each piece of a run that was stopped and resumed; a line each


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    for folder in map(Path, arguments):
        measured = (folder / "bench.json").exists()
        try:
            content = of_bench(folder) if measured else of_run(folder)
        except (OSError, ValueError, KeyError) as error:
            print(f"{folder}: holds no finished run ({error})", file=sys.stderr)
            return 2
        file = (RESULTS.parent if measured else RESULTS) / f"{folder.name}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        print(file)
    return 0


def of_run(folder: Path) -> dict[str, Any]:
    """Return what is kept of a finished run."""
    content = {
        "environment": json.loads((folder / "environment.json").read_text()),
        "result": json.loads((folder / "result.json").read_text()),
        "settings": tomllib.loads((folder / "config.toml").read_text()),
    }
    if (folder / PIECES).exists():
        pieces = [float(line) for line in (folder / PIECES).read_text().split()]
        content["environment"] |= {"seconds": round(sum(pieces), 1), "pieces": len(pieces)}
    return content


def of_bench(folder: Path) -> dict[str, Any]:
    """Return what is kept of ``genlearn bench``: its figures behind what all records have."""
    found = json.loads((folder / "bench.json").read_text(encoding="utf-8"))
    rows = found["rows"]
    said = "; ".join(
        f"{row['name']} {1 / row['seconds_a_step']:.1f} ({row['share_of_bound']:.0%})"
        for row in rows
    )
    first = ("command", "commit", "date", "seconds")
    return {
        **{name: found[name] for name in first},
        "seeds": [],
        "device": found["device"],
        "threads": max(row["threads"] for row in rows),
        "machine": found["machine"],
        "versions": found["versions"],
        "summary": f"{found['data']}, {found['profile']}: training steps a second, and the share "
        f"of the ceiling for their arithmetic or bytes that they reach: {said}",
        **{name: value for name, value in found.items() if name not in first},
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
