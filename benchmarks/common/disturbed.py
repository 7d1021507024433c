"""Runs that are killed, interrupted, or lose their disk, at random moments; and what must hold.

A command runs in a process of its own. It is a fork of one that has loaded the library, so that
fifty of them do not take the time to load it a hundred times.
"""

import json
import multiprocessing
import os
import random
import shutil
import signal
import sys
import threading
import time
import tomllib
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import safetensors.torch
import torch
from PIL import Image
from tqdm import tqdm

from genlearn import cli
from genlearn.files import PREFIX

RECIPES = {
    "vae": [
        "--hidden", "8", "--latent-dim", "2", "--pixel-features", "0", "--batch-size", "8",
        "--steps", "600", "--evaluate-every", "250", "--checkpoint-every", "35",
    ],
    "gan": [
        "--channels", "3", "4", "--latent-dim", "3", "--batch-size", "16", "--every", "3",
        "--samples", "60", "--judge-steps", "5", "--judge-channels", "2", "3",
        "--steps", "200", "--evaluate-every", "90", "--checkpoint-every", "15",
    ],
    "pixel": [
        "--model", "pixel-cnn", "--features", "4", "--layers", "1", "--head", "4",
        "--first-kernel", "3", "--moved", "0.5", "--batch-size", "16", "--valid-images", "50",
        "--steps", "200", "--evaluate-every", "40", "--checkpoint-every", "1000",
        "--checkpoint-minutes", "0.001",
    ],
}  # fmt: skip
"""Small models, a second or two each. One writes its checkpoints by the clock."""

LOADED = ["genlearn.cli", "genlearn.viz", "matplotlib.figure", "sklearn.datasets", "torch._dynamo"]
"""What a run loads, as far as it takes long."""

KINDS = ("SIGKILL", "SIGTERM", "SIGINT", "full disk", "removed folder", "removed checkpoint")

# The folder is made again, unless it disappears just while something is written into it.
CODES = {
    "SIGKILL": {-signal.SIGKILL},
    "SIGTERM": {128 + signal.SIGTERM},
    "SIGINT": {128 + signal.SIGINT},
    "full disk": {cli.BAD_INPUT},
    "removed folder": {0, cli.BAD_INPUT},
    "removed checkpoint": {0},
}


class Outcome(NamedTuple):
    """What became of a run that was disturbed."""

    recipe: str
    kind: str
    while_writing: bool
    """Whether a checkpoint or another file was half-written at that moment."""
    code: int
    """With which the disturbed process ended."""
    step: int
    """Of the checkpoint from which the run could go on; 0: from its beginning."""
    torn: list[str]
    """Files that were not whole."""
    different: list[str]
    """Files that are not, in the end, those of a run left alone; or not there, or too many."""


class Command:
    """A command of ``genlearn`` in a process of its own.

    Args:
        arguments: its words.
        log: where its standard error goes.
        slow: whether each flush to the disk takes a while, to be met in the middle of it.
    """

    def __init__(self, arguments: list[str], log: Path, slow: bool = False) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(LOADED)
        self.log = log
        self.process: BaseProcess = context.Process(target=_command, args=(arguments, log, slow))
        self.process.start()

    def wait(self) -> int:
        """Wait for its end; return its exit code, or minus the signal that killed it.

        Raises:
            TimeoutError: if it hangs.
        """
        self.process.join(120)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"the run hangs; it said: {self.said()}")
        return self.process.exitcode

    def said(self) -> str:
        """What it wrote to standard error."""
        return self.log.read_text()


def _command(arguments: list[str], log: Path, slow: bool) -> None:
    with log.open("wb") as file:
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    # In a program in the background Ctrl-C is ignored, and its children inherit this.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    tqdm.set_lock(threading.RLock())  # its own is one of several processes, and survives a kill
    if slow:
        flush = os.fsync

        def take_time(file: int) -> None:
            time.sleep(0.02)
            flush(file)

        os.fsync = take_time
    sys.exit(cli.main(arguments))


def train(recipe: str, folder: Path, *more: str, slow: bool = False) -> Command:
    """Begin a run, or go on with it."""
    words = ["train", recipe, *RECIPES[recipe], "--out", str(folder), *more]
    return Command(words, folder.with_suffix(".log"), slow)


def contents(folder: Path) -> dict[str, bytes]:
    """Read all files of a run that must be those of an equal run."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("environment.json", "speed.jsonl")
    }


def torn(folder: Path) -> list[str]:
    """Name the files of a run that are not whole; what has a temporary name does not count."""
    bad = []
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or any(part.startswith(PREFIX) for part in path.parts):
            continue
        try:
            _read(path)
        except Exception as error:  # whatever a reader says of a file that is not whole
            bad.append(f"{path.relative_to(folder)}: {error}")
    for checkpoint in folder.glob("checkpoint-*"):
        if len(list(checkpoint.iterdir())) < 2:  # weights and state
            bad.append(f"{checkpoint.name}: not all files")
    return bad


def _read(path: Path) -> None:
    match path.suffix:
        case ".safetensors":
            safetensors.torch.load_file(path)
        case ".pt":
            torch.load(path, weights_only=True)
        case ".png":
            Image.open(path).load()
        case ".toml":
            tomllib.loads(path.read_text())
        case ".json":
            json.loads(path.read_text())
        case ".jsonl":
            for line in path.read_text().splitlines():
                json.loads(line)


def disturb(
    recipe: str, kind: str, folder: Path, whole: Path, rng: random.Random, while_writing: bool
) -> Outcome:
    """Disturb a run at a random moment, look at what it left, go on, and compare.

    Args:
        recipe: of the run.
        kind: of the disturbance.
        folder: of the run.
        whole: folder of an equal run that was left alone.
        rng: gives the moment.
        while_writing: choose a moment at which something is half-written.
    """
    seconds = json.loads((whole / "environment.json").read_text())["seconds"]
    while True:
        command = train(recipe, folder, slow=while_writing)
        _wait_for(lambda: (folder / "config.toml").exists(), command)
        time.sleep(rng.uniform(0, seconds))
        if while_writing:
            _wait_for(lambda: any(folder.glob(f"{PREFIX}*")), command)
            time.sleep(rng.uniform(0, 0.05))
        if command.process.is_alive():
            _do(kind, command, folder)
            code = command.wait()
            if code in CODES[kind]:
                break
            assert code == 0, f"{kind} of {recipe} ended with {code}: {command.said()}"
        shutil.rmtree(folder)  # it had ended before, so it does not count
    said = command.said()
    assert "Traceback" not in said, said
    if code > 0:
        last = said.splitlines()[-1]
        assert last.startswith("genlearn: "), said
        assert last.endswith("(continue with --resume)"), said
    bad = torn(folder)
    steps = [int(path.name[11:]) for path in folder.glob("checkpoint-*")]

    again = train(recipe, folder, "--resume")
    assert again.wait() == 0, again.said()
    bad += torn(folder)
    found, expected = contents(folder), contents(whole)
    if kind == "removed folder":  # and with it the pictures of samples on the way
        gone = expected.keys() - found.keys()
        expected = {k: v for k, v in expected.items() if k not in gone or "samples-" not in k}
    both = sorted({*found, *expected})
    different = [name for name in both if found.get(name) != expected.get(name)]
    return Outcome(recipe, kind, while_writing, code, max(steps, default=0), bad, different)


def _do(kind: str, command: Command, folder: Path) -> None:
    match kind:
        case "SIGKILL" | "SIGTERM" | "SIGINT":
            os.kill(command.process.pid, signal.Signals[kind])
        case "full disk":  # no file may grow beyond so many bytes
            import resource

            resource.prlimit(command.process.pid, resource.RLIMIT_FSIZE, (1000, 1000))
        case "removed folder":
            shutil.rmtree(folder, ignore_errors=True)
        case "removed checkpoint":
            for path in folder.glob("checkpoint-*"):
                shutil.rmtree(path, ignore_errors=True)


def _wait_for(condition, command: Command) -> None:
    """Wait until something is so, or the command has ended."""
    deadline = time.monotonic() + 60
    while not condition() and command.process.is_alive():
        assert time.monotonic() < deadline, f"nothing happens: {command.said()}"
        time.sleep(0.001)
