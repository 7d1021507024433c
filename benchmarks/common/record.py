"""Print the outcome of a benchmark in one line, and keep it with all that is needed to judge it."""

import datetime
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import torch

import genlearn
from genlearn.recipes.run_folder import source_commit

ROOT = Path(__file__).resolve().parents[2]


def record(name: str, line: str, numbers: dict[str, Any]) -> None:
    """Print ``line`` and write ``benchmarks/results/NAME.json``."""
    print(line)
    script = Path(sys.argv[0]).resolve().relative_to(ROOT)
    content = {
        "command": " ".join(["python", str(script), *sys.argv[1:]]),
        "commit": source_commit(),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "system": platform.system()},
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


def _cpu() -> str:
    """Model of the processor, as far as the system tells it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
