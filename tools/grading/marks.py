"""The table of marks."""

import csv
from pathlib import Path

from genlearn.files import written_whole
from grading import twin
from grading.outcome import Outcome


def write(outcomes: list[Outcome], most: dict[str, float], file: Path) -> None:
    """Write one row a submission: its status, a column a task, the sum, and notes.

    Args:
        outcomes: in the order of the rows.
        most: name of each graded cell → its points.
        file: where to; replaced whole.
    """
    tasks = twin.by_task(most)
    header = ["student", "status", *tasks, "total", "of", "seconds", "notes"]
    with written_whole(file) as path, path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(header)
        for outcome in outcomes:
            points = {**dict.fromkeys(tasks, 0.0), **twin.by_task(outcome.points)}
            table.writerow(
                [
                    outcome.student,
                    outcome.status,
                    *(f"{points[task]:g}" for task in tasks),
                    f"{sum(points.values()):g}",
                    f"{sum(tasks.values()):g}",
                    outcome.seconds,
                    "; ".join(outcome.notes),
                ]
            )
