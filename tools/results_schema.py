"""What a recorded result must hold, and what is wrong with one.

``benchmarks/results/NAME.json`` is written by ``benchmarks/common/record.py``: how it was made,
then the figures of its script. ``tools/record_run.py`` writes that of ``genlearn bench``, and
``benchmarks/results/runs/NAME.json``: what a run's folder says of its making, figures, settings.
"""

import datetime
import json
import math
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path("benchmarks", "results")
COMMIT = re.compile(r"[0-9a-f]{12}\+?")
PATH_OF_A_MACHINE = re.compile(r"""(?:^|[\s='"(])(?:/\w|~/|[A-Za-z]:\\)""")


class Field(NamedTuple):
    """What a field of a record holds."""

    holds: Callable[[Any], bool]
    what: str
    needed: bool = True


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_date(value: Any) -> bool:
    try:
        return datetime.date.fromisoformat(value).isoformat() == value
    except (TypeError, ValueError):
        return False


def _is_seeds(value: Any) -> bool:
    whole = isinstance(value, list) and all(type(seed) is int and seed >= 0 for seed in value)
    return whole and value == sorted(set(value))


def _of(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, dict) else None


TEXT = Field(_is_text, "a text")
COUNT = Field(lambda value: type(value) is int and value >= 1, "a whole number above 0")
SECONDS = Field(lambda value: _is_number(value) and value > 0, "a number above 0")
COMMAND = Field(_is_text, "what to type to make it again")
DATE = Field(_is_date, "a date such as 2026-11-22")
HASH = Field(
    lambda value: isinstance(value, str) and bool(COMMIT.fullmatch(value)),
    "12 hexadecimal digits, and a + if files were changed that were not committed yet",
)

BENCHMARK: dict[str, Any] = {
    "command": COMMAND,
    "commit": HASH,
    "date": DATE,
    "seconds": Field(
        lambda value: value is None or SECONDS.holds(value),
        "on the clock, of the whole script; null if nobody looked",
    ),
    "seconds_note": TEXT._replace(what="what the seconds are, or why there are none", needed=False),
    "seeds": Field(_is_seeds, "those over which there is a spread, in order; [] if there is none"),
    "device": TEXT,
    "threads": COUNT,
    "machine": {"cpu": TEXT, "cores": COUNT, "system": TEXT},
    "versions": {"genlearn": TEXT, "python": TEXT, "torch": TEXT},
    "summary": TEXT._replace(what="the outcome in a line"),
}
"""Beside these, a record has the figures that its script writes."""

RUN: dict[str, Any] = {
    "environment": {
        "command": COMMAND,
        "commit": HASH,
        "date": DATE,
        "seconds": SECONDS,
        "training_seconds": SECONDS,
        "speed": TEXT._replace(what="what was switched on to be fast", needed=False),
        "pieces": COUNT._replace(what="how often it was begun or resumed", needed=False),
        "genlearn": TEXT,
        "python": TEXT,
        "torch": TEXT,
        "machine": TEXT,
        "cpu": TEXT._replace(needed=False),  # not of the first runs
        "cores": COUNT._replace(needed=False),
        "device": TEXT,
        "threads": COUNT,
    },
    "result": Field(lambda value: _is_text(_of(value, "data")), "data, and figures"),
    "settings": Field(lambda value: _is_text(_of(value, "recipe")), "recipe, and its settings"),
}


def files(root: Path) -> list[Path]:
    """Return the records of a project: of benchmarks, then of runs."""
    folder = root / FOLDER
    return [*sorted(folder.glob("*.json")), *sorted((folder / "runs").glob("*.json"))]


def is_run(file: Path) -> bool:
    """Whether a record is that of a run, and not of a benchmark."""
    return file.parent.name == "runs"


def complaints(root: Path, file: Path) -> list[str]:
    """Say what is wrong with one record, but for its commits."""
    try:
        content = json.loads(file.read_text("utf-8"), parse_constant=_refuse)
    except ValueError as error:
        return [f"no JSON: {error}"]
    if not isinstance(content, dict):
        return ["no record: it has no fields"]
    found = _check(content, RUN if is_run(file) else BENCHMARK, "")
    found += [
        f"{where}: names a path of a machine: {value!r}"
        for where, value in leaves(content)
        if isinstance(value, str) and PATH_OF_A_MACHINE.search(value)
    ]
    if not found:
        found = _of_run(root, content) if is_run(file) else _of_benchmark(root, content)
    return found


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no finite number")


def _check(content: dict[str, Any], fields: dict[str, Any], where: str) -> list[str]:
    found = []
    for name, field in fields.items():
        if name not in content:
            if isinstance(field, dict) or field.needed:
                found.append(f"{where}{name}: missing")
        elif isinstance(field, dict):
            inner = content[name] if isinstance(content[name], dict) else {}
            found += _check(inner, field, f"{where}{name}.")
            found += [f"{where}{name}.{odd}: unknown" for odd in inner if odd not in field]
        elif not field.holds(content[name]):
            found.append(f"{where}{name}: {content[name]!r} is not what it must be: {field.what}")
    return found


def leaves(value: Any, where: str = "") -> Iterator[tuple[str, Any]]:
    """All plain values within a value, with the names that lead there."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from leaves(inner, f"{where}.{name}" if where else name)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner, where)
    else:
        yield where, value


def _of_benchmark(root: Path, content: dict[str, Any]) -> list[str]:
    found, sources = [], sorted((root / "benchmarks").rglob("*.py"))
    match shlex.split(content["command"]):
        case ["genlearn", "bench", *_]:
            sources = sorted((root / "genlearn").rglob("bench*.py"))
        case ["python", script, *_] if root / script in sources:
            pass
        case _:
            found.append(f"command: {content['command']!r} names no script of benchmarks/")
    if content["seconds"] is None and "seconds_note" not in content:
        found.append("seconds: none, and seconds_note does not say why")
    figures = [name for name in content if name not in BENCHMARK]
    if not figures:
        found.append("holds no figures")
    found += [
        f"{name}: the command does not write it"
        for name in figures
        if not any(f'"{name}"' in source.read_text("utf-8") for source in sources)
    ]
    rows = content.get("rows", [])
    seeds = sorted({row["seed"] for row in rows if isinstance(row, dict) and "seed" in row})
    if seeds and seeds != content["seeds"]:
        found.append(f"seeds: {content['seeds']}, but those of the rows are {seeds}")
    return found


def _of_run(root: Path, content: dict[str, Any]) -> list[str]:
    found, settings = [], content["settings"]
    match shlex.split(content["environment"]["command"]):
        case ["genlearn", "train", recipe, *_] if recipe == settings["recipe"]:
            if not (root / "genlearn" / "recipes" / f"{recipe}.py").is_file():
                found.append(f"command: there is no recipe {recipe!r}")
        case _:
            found.append("command: does not train what the settings say")
    if content["result"]["data"] != settings.get("data"):
        found.append("result.data: is not the data of the settings")
    if not (type(settings.get("seed")) is int and settings["seed"] >= 0):
        found.append("settings.seed: missing, or no whole number")
    return found
