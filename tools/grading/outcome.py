"""What became of a submission."""

import json
from pathlib import Path
from typing import NamedTuple

GRADED = "graded"
LIMIT = "limit"
UNREADABLE = "unreadable"
TOO_LARGE = "too large"
NO_NOTEBOOK = "no notebook"
STOPPED = "stopped"
GRADER_ERROR = "grader error"

MEANING = {
    GRADED: "every cell was run within its limits",
    LIMIT: "graded, and some cell went beyond a limit: it counts as failed",
    UNREADABLE: "the file is no notebook, or a part of one",
    TOO_LARGE: "the file is larger than a submission may be",
    NO_NOTEBOOK: "nothing was handed in that could be graded",
    STOPPED: "it did not keep to its limits as a whole, and was stopped from outside",
    GRADER_ERROR: "the grading program failed; tell whoever looks after it, and grade again",
}


class Outcome(NamedTuple):
    """Marks of one submission, and what there is to say about it."""

    student: str
    status: str
    points: dict[str, float]
    """Name of each graded cell → points; none if it was not graded."""
    notes: list[str]
    seconds: float
    digest: str
    """Of the submission and of everything that decides its marks."""


def write(outcome: Outcome, file: Path) -> None:
    """Keep an outcome as text."""
    file.write_text(json.dumps(outcome._asdict(), indent=1), "utf-8")


def read(file: Path) -> Outcome | None:
    """Read what :func:`write` wrote; None if there is nothing that can be read."""
    try:
        return Outcome(**json.loads(file.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None
