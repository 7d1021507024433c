"""Print the outcome of a benchmark in one line, and keep it with all that is needed to judge it."""

import datetime
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

import genlearn

ROOT = Path(__file__).resolve().parents[2]


def record(name: str, line: str, numbers: dict[str, Any]) -> None:
    """Print ``line`` and write ``benchmarks/results/NAME.json``."""
    print(line)
    script = Path(sys.argv[0]).resolve().relative_to(ROOT)
    content = {
        "command": " ".join(["python", str(script), *sys.argv[1:]]),
        "commit": commit_of_code(),
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


def _cpu() -> str:
    """Model of the processor, as far as the system tells it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
