"""Make the runs of benchmarks/gpu_runs.toml that are not recorded yet, one after the other.

    python tools/gpu_runs.py --minutes 50

needs a CUDA device. When the minutes are over, the run that is under way is stopped, at a
checkpoint; called again, the program goes on with it. Each run that ends is recorded by
tools/record_run.py.
"""

import argparse
import inspect
import json
import math
import shlex
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import record_run

ROOT = Path(__file__).resolve().parents[1]
WRITING = 120  # seconds that a run has to write its checkpoint when it is asked to stop
FREE = {"device", "devices", "threads", "checkpoint_every", "checkpoint_minutes", "keep"}
"""Settings that do not decide the figures."""


class Row(NamedTuple):
    """A run that is to be made, or has been."""

    name: str
    command: str
    figure: str
    published: float | None = None
    source: str = ""
    where: str = ""
    note: str = ""


def main(arguments: Sequence[str]) -> int:
    import torch

    rows = read(ROOT)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop after so many")
    names = [row.name for row in rows]
    parser.add_argument("--only", nargs="+", default=names, choices=names, metavar="NAME")
    options = parser.parse_args(arguments)
    if not torch.cuda.is_available():
        print("gpu_runs: these runs need a CUDA device, and there is none here", file=sys.stderr)
        return 2
    mine = [row for row in rows if row.name in options.only and not recorded(ROOT, row)]
    return make(ROOT, mine, 60 * options.minutes, ["--device", "cuda"], [_program()])


def read(root: Path) -> list[Row]:
    """Return the rows of ``benchmarks/gpu_runs.toml``."""
    content = tomllib.loads((root / "benchmarks" / "gpu_runs.toml").read_text("utf-8"))
    return [Row(name, **entry) for name, entry in content.items()]


def settings_of(command: str) -> dict[str, Any]:
    """Return the settings that a command line means, without running it."""
    import tyro

    from genlearn.recipes import RECIPES

    _, _, name, *words = shlex.split(command)
    recipe = RECIPES[name]
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    for option, parameter in inspect.signature(recipe.config).parameters.items():
        first.add_argument(f"--{option}", default=parameter.default)
    known, _ = first.parse_known_args(words)
    config = tyro.cli(recipe.Config, args=words, default=recipe.config(**vars(known)))
    return {"recipe": name, **json.loads(json.dumps(asdict(config)))}


def recorded(root: Path, row: Row) -> dict[str, Any] | None:
    """Return the record of a run, if there is one that was made with the settings of now."""
    file = root / "benchmarks" / "results" / "runs" / f"{row.name}.json"
    if not file.is_file():
        return None
    record = json.loads(file.read_text("utf-8"))
    then, now = record["settings"], settings_of(row.command)
    same = all(then[name] == now[name] for name in now if name in then and name not in FREE)
    return record if same else None


def make(
    root: Path, rows: list[Row], seconds: float, options: Sequence[str], program: Sequence[str]
) -> int:
    """Make runs one after the other, in root/runs; record each.

    Args:
        root: of the project.
        rows: the runs.
        seconds: after which the run under way is stopped, and none is begun.
        options: added to each command.
        program: what runs in place of the word ``genlearn``.

    Returns:
        0, or 1 if a run failed.
    """
    end, failed = time.monotonic() + seconds, []
    for row in rows:
        began, folder, code = time.monotonic(), root / "runs" / row.name, None
        if began < end:
            print(f"== {row.name}", flush=True)
            words = [*shlex.split(row.command)[1:], "--out", f"runs/{row.name}", "--resume"]
            code = _run([*program, *words, *options], root, end - began)
            _note(folder, time.monotonic() - began)
        if code is None:
            print("to be continued")
            break
        if code or record_run.main([str(folder)]):
            failed.append(row.name)
    if failed:
        print(f"gpu_runs: failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def _run(command: list[str], folder: Path, seconds: float) -> int | None:
    """Return the exit code of a command, or None if it was stopped because its time was over."""
    with subprocess.Popen(command, cwd=folder) as process:
        try:
            return process.wait(None if math.isinf(seconds) else seconds)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
        try:
            # Whoever had ended in this moment, ended well.
            return 0 if process.wait(WRITING) == 0 else None
        except subprocess.TimeoutExpired:
            process.kill()
            return None


def _note(folder: Path, seconds: float) -> None:
    """Keep the time of this piece of a run, for its record."""
    if folder.is_dir():
        with (folder / record_run.PIECES).open("a", encoding="utf-8") as stream:
            stream.write(f"{seconds:.1f}\n")


def _program() -> str:
    """Return the command ``genlearn`` that belongs to this Python."""
    beside = Path(sys.executable).with_name("genlearn")
    return str(beside) if beside.exists() else shutil.which("genlearn") or "genlearn"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
