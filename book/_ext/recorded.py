"""What was measured and recorded: every record, how it was made, and the runs still to come."""

import re
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))

import gpu_runs
import results
import results_commits

FOLDED = 6  # rows; a longer table is folded
WIDTH = 37  # columns of a command on a phone, less the backslash at its end


def benchmarks(root: Path) -> str:
    """List what the scripts of ``benchmarks/`` recorded, as Markdown."""
    return _page(root, results.benchmarks(root))


def runs(root: Path) -> str:
    """List the recorded runs, those that differ in their seed together."""
    return _page(root, results.runs(root))


def to_come(root: Path) -> str:
    """List the runs for a GPU: recorded, or not yet run."""
    lines = []
    for row in gpu_runs.read(root):
        record = gpu_runs.recorded(root, row)
        lines += [f"### {row.name}", "", _command(row.command), ""]
        if record:
            value = results.at(record["result"], row.figure)
            done = f"{results.number(value)} ({_meaning(row)})"
        else:
            done = f"not yet run ({_meaning(row)})"
        lines.append(f"- here: {done}")
        if row.published is not None:
            lines.append(
                f"- published: {results.number(row.published)}, {row.where} of "
                f"{{cite:t}}`{row.source}`"
            )
        if row.note:
            lines.append(f"- {row.note}")
        lines.append("")
    return "\n".join(lines)


def _meaning(row: gpu_runs.Row) -> str:
    return results.RUN_FIGURES[row.figure]


def _page(root: Path, found: list[results.Result]) -> str:
    declared = results_commits.declared(root)
    return "\n".join(
        line for result in found for line in _entry(result, declared)
    )


def _entry(result: results.Result, declared: dict[str, Any]) -> list[str]:
    lines = [f"### {result.name}", "", result.what, ""]
    if result.summary:
        outcome = _plain(result.summary).rstrip(".")
        lines += [f"**Outcome.** {outcome}.", ""]
    lines += _figures(result)
    for made in result.makings:
        lines += [_command(made.command), ""]
        lines += [
            f"- {made.date}; {results.time_of(made)}",
            f"- {made.where}",
            f"- commit {results.commit_of(made.commit, declared)}",
            "",
        ]
    return lines


def _plain(text: str) -> str:
    """Keep Markdown from reading anything into a text."""
    return re.sub(r"([\\`*_$<>\[\]|])", r"\\\1", text)


def _command(command: str) -> str:
    """Show a command in lines for a narrow screen, which a shell reads as one."""
    lines = [""]
    for option in re.split(" (?=--)", command):
        if lines[-1] and len(f"{lines[-1]} {option}") > WIDTH:
            lines.append("   ")
        lines[-1] += f" {option}" if lines[-1] else option
    return "\n".join(["```text", " \\\n".join(lines), "```"])


def _figures(result: results.Result) -> list[str]:
    if not result.figures:
        return []
    seeds = ", ".join(map(str, result.seeds))
    several = len(result.seeds) > 1
    heading = (
        f"mean (least … most), seeds {seeds}" if several else f"seed {seeds}"
    )
    table = [f"| {result.of or 'figure'} | {heading} |", "| --- | --- |"]
    table += [
        f"| {_plain(figure.what)} | {results.spread(figure)} |"
        for figure in result.figures
    ]
    if len(result.figures) > FOLDED:
        title = f"{len(result.figures)} rows: {result.of}, {heading}"
        table = [f"````{{dropdown}} {title}", *table, "````"]
    return [*table, ""]
