"""The folder of a run: what was asked, what came out, and what is needed to go on.

config.toml           the settings with which the run was begun, by which the model can be built
checkpoint-002000/    weights and state of the training, and the weights that were best by then,
                      where a validation figure chooses them; the newest checkpoints are kept
history.jsonl         what was logged, one row a line; as of the newest checkpoint
result.json           the figures at the end
samples.png           images drawn from the trained model
curves.png            the history as a figure
evaluation.json       what `genlearn evaluate` found, with a picture beside it; not there before
environment.json      where and when it was made
speed.jsonl           steps and images a second, and memory, on the way

Equal runs leave equal files, whatever interrupted them, but for the last two.
"""

import datetime
import json
import os
import platform
import subprocess
import sys
import tomllib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import nn

import genlearn
from genlearn.checkpoints import load_weights, newest_checkpoint
from genlearn.devices import cpu_name, device_name
from genlearn.errors import RunError
from genlearn.files import claimed, written_whole
from genlearn.history import History

Config = TypeVar("Config")  # a frozen dataclass of plain values

# Where and how a run goes on, but not what it learns: these may differ when it is resumed.
MAY_DIFFER = {"device", "devices", "threads", "checkpoint_every", "checkpoint_minutes", "keep"}


class Head(NamedTuple):
    """What a run's model was made for."""

    recipe: str
    """Name of the recipe, for example "vae"."""
    shape: tuple[int, int, int]
    """(C, H, W) of one image."""
    levels: int
    """Number of values that a pixel can take."""


def open_run(folder: Path, head: Head, config: Any, resume: bool) -> None:
    """Make the folder of a new run, or check that it belongs to this one.

    config.toml says with what the run was begun, for good. When it goes on, some settings may have
    other values (``MAY_DIFFER``): those of its last part stand in environment.json. So may the
    batches which each process accumulates, if all together make an update of as many as before.

    Args:
        folder: of the run.
        head: recipe and images.
        config: the settings, a flat dataclass.
        resume: whether a run that is there is to be continued.

    Raises:
        RunError: if there is a run and it is not to be continued, or has other settings.
    """
    file = folder / "config.toml"
    if newest_checkpoint(folder) and not file.exists():
        raise RunError(f"{folder}: has a checkpoint but no config.toml; choose another --out")
    with claimed(folder):  # of two who come at the same time, one begins
        if write_config(folder, head, config):
            return
    if not resume:
        raise RunError(f"{folder}: holds a run; add --resume to go on, or choose another --out")
    if (found := read_head(folder)) != head:
        raise RunError(f"{folder}: holds a run of {found}, not {head}; choose another --out")
    before = read_config(folder, type(config))
    may_differ = MAY_DIFFER
    if _batches_an_update(before) == _batches_an_update(config):
        may_differ = MAY_DIFFER | {"accumulate"}
    for field in fields(config):
        old, new = getattr(before, field.name), getattr(config, field.name)
        if old != new and field.name not in may_differ:
            raise RunError(
                f"{file}: the run was begun with {field.name} = {old!r}, not {new!r}; "
                "resume with the same settings, or choose another --out"
            )


def _batches_an_update(config: Any) -> int:
    """Of all processes: two of them train as one that accumulates two batches."""
    return getattr(config, "devices", 1) * getattr(config, "accumulate", 1)


def write_config(folder: Path, head: Head, config: Any) -> bool:
    """Write config.toml, unless there is one; return whether there was none."""
    if (file := folder / "config.toml").exists():
        return False
    settings = {**head._asdict(), **asdict(config)}
    _write(file, "".join(f"{key} = {_toml(value)}\n" for key, value in settings.items()))
    return True


def read_head(folder: Path) -> Head:
    """Return recipe and images of a run.

    Raises:
        RunError: if the folder holds no run, or its config.toml is damaged.
    """
    match _settings(folder):
        case {
            "recipe": str(recipe),
            "shape": (int(), int(), int()) as shape,
            "levels": int(levels),
        }:
            return Head(recipe, shape, levels)
    raise RunError(
        f"{folder / 'config.toml'}: recipe, shape or levels is missing or damaged; train anew"
    )


def read_config(folder: Path, kind: type[Config]) -> Config:
    """Return the settings of a run.

    Raises:
        RunError: if the file is missing or damaged, or has other settings than ``kind``.
    """
    file = folder / "config.toml"
    settings = {k: v for k, v in _settings(folder).items() if k not in Head._fields}
    if odd := {field.name for field in fields(kind)} ^ set(settings):
        raise RunError(
            f"{file}: missing or unknown settings ({', '.join(sorted(odd))}); "
            "was it written by another version?"
        )
    for name, default in asdict(kind()).items():
        accepted = (float, int) if isinstance(default, float) else (type(default),)
        if type(settings[name]) not in accepted:
            raise RunError(f"{file}: {name} = {settings[name]!r} is damaged; train anew")
    return kind(**settings)


def load_newest(model: nn.Module, folder: Path, name: str) -> None:
    """Load the weights of the newest checkpoint of a run, and leave training mode.

    Raises:
        GenlearnError: if there is none, or it is damaged.
    """
    newest = newest_checkpoint(folder)
    if newest is None:
        raise RunError(f"{folder}: the run has no checkpoint yet")
    load_weights(model, newest / f"{name}.safetensors")
    model.eval()


def read_best(folder: Path, figure: str) -> tuple[int, float]:
    """Return step and value at which a figure of a run was lowest, up to its newest checkpoint.

    Raises:
        RunError: if it was not logged yet, or history.jsonl is missing or damaged.
    """
    file = folder / "history.jsonl"
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        return History(json.loads(line) for line in lines).lowest(figure)
    except (FileNotFoundError, KeyError):
        raise RunError(
            f"{folder}: there are no best weights yet, for {figure} was not logged; go on with "
            "the run, or leave --best"
        ) from None
    except (OSError, ValueError, TypeError) as error:
        raise RunError(f"{file}: damaged ({error}); resume the run to write it anew") from None


def write_result(
    folder: Path, result: dict[str, Any], facts: dict[str, Any], device: torch.device
) -> None:
    """Write the figures of a run, and where, from what and on which device it was made.

    Args:
        folder: of the run.
        result: the figures; equal for equal runs.
        facts: what need not be equal, such as how long it took.
        device: on which it was trained.
    """
    program = Path(sys.argv[0]).name
    environment = {
        # Under torchrun the command is run as a module.
        "command": " ".join(["genlearn" if program == "cli.py" else program, *sys.argv[1:]]),
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        **facts,
        "genlearn": genlearn.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
    }
    _write(folder / "environment.json", json.dumps(environment, indent=2) + "\n")
    _write(folder / "result.json", json.dumps(result, indent=2) + "\n")


def read_result(folder: Path) -> dict[str, Any]:
    """Return the figures of a finished run.

    Raises:
        RunError: if there is no result.json, or it is damaged.
    """
    file = folder / "result.json"
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{folder}: the run is not finished (no result.json); resume it") from None
    except OSError as error:
        raise RunError(f"{file}: {error.strerror}; check the path") from None
    except ValueError as error:  # no JSON, or no text
        raise RunError(f"{file}: damaged ({error}); resume the run to write it anew") from None
    if not isinstance(result, dict) or not isinstance(result.get("data"), str):
        raise RunError(f"{file}: damaged (no data set is named); resume the run to write it anew")
    return result


def _settings(folder: Path) -> dict[str, Any]:
    file = folder / "config.toml"
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise RunError(f"{folder}: holds no run (there is no config.toml)") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RunError(f"{file}: damaged ({error}); train anew in another folder") from None
    except OSError as error:  # not for reading, or no file
        raise RunError(f"{file}: {error.strerror}; check the path") from None
    return {k: tuple(v) if isinstance(v, list) else v for k, v in settings.items()}


def _toml(value: Any) -> str:
    # JSON and TOML write strings, numbers, booleans and flat lists alike.
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _write(file: Path, text: str) -> None:
    with written_whole(file) as temporary:
        temporary.write_text(text, encoding="utf-8")


def source_commit() -> str:
    """Return the commit of the source tree, with a + where it was changed; "" outside a tree."""
    here = Path(genlearn.__file__).parent
    describe = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(describe, cwd=here, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()
