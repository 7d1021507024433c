"""What comes back from grading a batch."""

import csv
from pathlib import Path


def read_marks(results: Path) -> dict[str, dict[str, str]]:
    """Name of each submission → its row of the table of marks."""
    with (results / "marks.csv").open(encoding="utf-8", newline="") as stream:
        return {row["student"]: row for row in csv.DictReader(stream)}


def of_tasks(row: dict[str, str]) -> dict[str, float]:
    """Name of each task → the points of a row."""
    return {name: float(points) for name, points in row.items() if name.startswith("task ")}
