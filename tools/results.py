"""Show what is recorded in benchmarks/results, and how it was made.

    python tools/results.py           everything
    python tools/results.py NAME …    these alone, with their figures

The page "Recorded results" of the book shows the same.
"""

import argparse
import ast
import json
import re
import statistics
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gpu_runs
import results_commits as commits
import results_schema as schema

ROOT = Path(__file__).resolve().parents[1]
SEED = re.compile(r"-seed\d+$")

# What is shown of a run: its place in result.json, and its name.
RUN_FIGURES = {
    "test.negative_log_likelihood_nats": "−log p(x), test nats",
    "test.negative_elbo_nats": "negative ELBO, test nats",
    "test.importance_sampling.negative_log_likelihood_nats": "−log p(x), estimated, test nats",
    "test.rate_nats": "rate, test nats",
    "test.distortion_nats": "distortion, test nats",
    "samples.frechet_distance": "Fréchet distance, features of the run's classifier",
    "samples.smallest_relative_share": "rarest class, in fair shares",
}
# What is shown of a series over seeds: by what its rows are grouped, a figure, and its name.
SERIES = {
    "dcgan_rules": (("rule",), "distance", "Fréchet distance"),
    "head_to_head": (("family", "train_images"), "frechet_distance", "Fréchet distance"),
    "pixel_digits": (("model",), "test.negative_log_likelihood_nats", "test nats"),
    "plane_gans": (("data", "stabiliser"), "high_quality", "share of samples near a mode"),
}


class Making(NamedTuple):
    """How and where figures were made, once."""

    command: str
    commit: str
    date: str
    where: str
    seconds: float | None
    note: str


class Figure(NamedTuple):
    """One figure, of each seed."""

    what: str
    values: list[float]


class Result(NamedTuple):
    """A record, or those of a run and its other seeds."""

    name: str
    what: str
    summary: str
    seeds: list[int]
    makings: list[Making]
    rows_at: list[str]
    """Commits of a series that was made in pieces."""
    of: str
    """What the figures are, where all are the same."""
    figures: list[Figure]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args(arguments).names
    results = [*benchmarks(ROOT), *runs(ROOT)]
    if odd := set(names) - {result.name for result in results}:
        known = ", ".join(result.name for result in results)
        print(f"results: no record {', '.join(sorted(odd))}; there are: {known}", file=sys.stderr)
        return 2
    for result in results:
        if not names or result.name in names:
            print("\n".join(lines(result, commits.declared(ROOT), figures=bool(names))), end="\n\n")
    if not names:
        for row in gpu_runs.read(ROOT):
            state = "recorded" if gpu_runs.recorded(ROOT, row) else "not yet run"
            print(f"{row.name}: {state}\n  $ {row.command}")
    return 0


def benchmarks(root: Path) -> list[Result]:
    """Return what the scripts of ``benchmarks/`` have recorded."""
    return [_benchmark(root, file) for file in schema.files(root) if not schema.is_run(file)]


def _benchmark(root: Path, file: Path) -> Result:
    record = json.loads(file.read_text("utf-8"))
    machine = record["machine"]
    where = (
        f"{machine['cpu']}, {several(machine['cores'], 'core')}; {record['device']}, "
        f"{several(record['threads'], 'thread')}"
    )
    note = record.get("seconds_note", "")
    made = Making(
        record["command"], record["commit"], record["date"], where, record["seconds"], note
    )
    rows = [row for row in record.get("rows", []) if "seed" in row]
    by, place, of = SERIES.get(file.stem, ((), "", ""))
    groups: dict[str, list[float]] = {}
    for row in rows if by else []:
        if (value := at(row, place)) is not None:
            groups.setdefault(", ".join(_word(row[key]) for key in by), []).append(value)
    return Result(
        name=file.stem,
        what=_purpose(root, record["command"]),
        summary=record["summary"],
        seeds=record["seeds"],
        makings=[made],
        rows_at=list(dict.fromkeys(row["commit"] for row in rows if "commit" in row)),
        of=of,
        figures=[Figure(what, values) for what, values in groups.items()],
    )


def _purpose(root: Path, command: str) -> str:
    """Return the first line of what a script says of itself."""
    program, script, *_ = command.split()
    if program == "genlearn":
        return "Speed of a training step, and how much of what the device can do it uses."
    return (ast.get_docstring(ast.parse((root / script).read_text("utf-8"))) or "").splitlines()[0]


def runs(root: Path) -> list[Result]:
    """Return the recorded runs; those of the same name but for the seed are one result."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for file in schema.files(root):
        if schema.is_run(file):
            record = json.loads(file.read_text("utf-8"))
            groups.setdefault(SEED.sub("", file.stem), []).append(record)
    return [_run(name, records) for name, records in groups.items()]


def _run(name: str, records: list[dict[str, Any]]) -> Result:
    settings = records[0]["settings"]
    model = f" ({settings['model']})" if "model" in settings else ""
    found = {
        what: [at(record["result"], place) for record in records]
        for place, what in RUN_FIGURES.items()
    }
    return Result(
        name=name,
        what=f"Recipe {settings['recipe']}{model}, {settings['data']}, {settings['profile']}.",
        summary="",
        seeds=[record["settings"]["seed"] for record in records],
        makings=[_making(record["environment"]) for record in records],
        rows_at=[],
        of="",
        figures=[Figure(what, values) for what, values in found.items() if None not in values],
    )


def _making(environment: dict[str, Any]) -> Making:
    machine = environment["machine"]
    if "cpu" in environment:
        machine = f"{environment['cpu']}, {several(environment['cores'], 'core')}"
    where = f"{machine}; {environment['device']}, {several(environment['threads'], 'thread')}"
    pieces = environment.get("pieces", 1)
    resumed = "--resume" in environment["command"].split()
    note = f"in {pieces} pieces" if pieces > 1 else ""
    if resumed and "pieces" not in environment:
        note = "since it was last resumed"
    return Making(
        environment["command"],
        environment["commit"],
        environment["date"],
        where,
        environment["seconds"],
        note,
    )


def lines(result: Result, declared: dict[str, dict[str, Any]], *, figures: bool) -> list[str]:
    """Say in lines of text what a record holds."""
    found = [f"{result.name}: {result.what.replace('``', '')}"]
    found += textwrap.wrap(result.summary, 96, initial_indent="  ", subsequent_indent="  ")
    for made in result.makings:
        found += [f"  $ {made.command}", f"    {made.date}, {time_of(made)}; {made.where}"]
        found.append(f"    commit {commit_of(made.commit, declared)}")
    if len(result.seeds) > 1:
        found.append(f"  seeds {', '.join(map(str, result.seeds))}")
    if figures or not result.summary:
        found += [f"  {figure.what}: {spread(figure)}" for figure in result.figures]
    return found


def spread(figure: Figure) -> str:
    """Say a figure; of several seeds, their mean and range."""
    mean = number(statistics.mean(figure.values))
    if len(figure.values) == 1:
        return mean
    return f"{mean} ({number(min(figure.values))} … {number(max(figure.values))})"


def number(value: float) -> str:
    """Write a figure as finely as figures of its size are worth."""
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def time_of(made: Making) -> str:
    """Say how long it took."""
    if made.seconds is None:
        return f"time not kept ({made.note})"
    return duration(made.seconds) + (f" ({made.note})" if made.note else "")


def duration(seconds: float) -> str:
    """Say a time in two units at most: 39 s, 6 min 54 s, 1 h 12 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def commit_of(commit: str, declared: dict[str, dict[str, Any]]) -> str:
    """Say a commit, and where its code is if that is not in this history."""
    changed = " and changes that were not committed yet" if commit.endswith("+") else ""
    commit = commit.rstrip("+")
    if entry := declared.get(commit):
        files = several(len(entry["differs"]), "file")
        here = f"differs in {files}" if entry["differs"] else "has the same code"
        return f"{commit}{changed} (of another clone; here {entry['nearest']} {here})"
    return f"{commit}{changed}"


def several(count: int, noun: str) -> str:
    """Return "1 core", "2 cores"."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def at(content: dict[str, Any], place: str) -> float | None:
    """Return the figure at a place such as "test.rate_nats"; None if there is none."""
    for name in place.split("."):
        content = content.get(name) if isinstance(content, dict) else None
    return content


def _word(value: Any) -> str:
    return f"{value:,} images" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
