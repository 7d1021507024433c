"""Keep the figures of a run, with all that is needed to judge and repeat them.

    python tools/record_run.py runs/vae-digits [more runs]

writes benchmarks/results/runs/NAME.json, where NAME is the name of the run's folder. Chapters read
figures of long runs from there. tools/results_schema.py says what such a record holds.
"""

import json
import sys
import tomllib
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results" / "runs"
PIECES = "pieces.txt"  # seconds of each piece of a run that was stopped and resumed; a line each


def main(arguments: list[str]) -> int:
    if not arguments:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    for folder in map(Path, arguments):
        try:
            content = {
                "environment": json.loads((folder / "environment.json").read_text()),
                "result": json.loads((folder / "result.json").read_text()),
                "settings": tomllib.loads((folder / "config.toml").read_text()),
            }
        except (OSError, ValueError) as error:
            print(f"{folder}: holds no finished run ({error})", file=sys.stderr)
            return 2
        if (folder / PIECES).exists():
            pieces = [float(line) for line in (folder / PIECES).read_text().split()]
            content["environment"] |= {"seconds": round(sum(pieces), 1), "pieces": len(pieces)}
        RESULTS.mkdir(parents=True, exist_ok=True)
        file = RESULTS / f"{folder.name}.json"
        file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
