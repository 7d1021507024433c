"""Grading one submission, in a process of its own.

It leaves ``outcome.json``, ``feedback.html`` and, if there was something to run, ``graded.ipynb``
in its scratch folder.
"""

import os
import resource  # not on Windows, where nothing is graded
import tempfile
import time
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader.preprocessors import IgnorePattern, LimitOutput
from nbgrader.utils import determine_grade

from grading import execute, feedback, outcome, restore, twin
from grading.limits import Limits
from grading.outcome import Outcome


def main(scratch: Path, job: dict[str, Any], environment: dict[str, str]) -> None:
    """Grade what the job names; the first thing that runs in the new process.

    Args:
        scratch: the folder that is this submission's own.
        job: name of the set, student, files and limits, as the batch gives them.
        environment: all that the kernel will see of the user's environment.
    """
    os.setsid()
    os.chdir(scratch)
    log = os.open("worker.log", os.O_WRONLY | os.O_CREAT)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # of the environment it has now
    limits = Limits(**job["limits"])
    most = 10 * limits.file_mb * 2**20
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    begin = time.monotonic()
    notebook, status, points, notes = grade(job, scratch, limits)
    seconds = round(time.monotonic() - begin, 1)
    result = Outcome(job["student"], status, points, notes, seconds, job["digest"])
    page = feedback.page(result, notebook, nbformat.read(job["release"], as_version=4))
    (scratch / "feedback.html").write_text(page, "utf-8")
    outcome.write(result, scratch / "outcome.json")


def grade(
    job: dict[str, Any], scratch: Path, limits: Limits
) -> tuple[NotebookNode | None, str, dict[str, float], list[str]]:
    """Read, restore, run and mark; return the notebook as run, status, points and notes."""
    file = Path(job["file"])
    if (size := file.stat().st_size) > limits.file_mb * 2**20:
        return None, outcome.TOO_LARGE, {}, [f"{size / 2**20:.0f} MB, {limits.file_mb} at most"]
    release = nbformat.read(job["release"], as_version=4)
    try:
        notebook = restore.read_submission(file, release)
    except restore.Unreadable as problem:
        return None, outcome.UNREADABLE, {}, [str(problem)]
    gradebook = scratch / "gradebook.db"
    resources = {
        "nbgrader": {
            "notebook": job["name"],
            "assignment": job["name"],
            "student": job["student"],
            "db_url": f"sqlite:///{gradebook}",
        }
    }
    notebook, notes = restore.restore(notebook, release, resources)
    gradebook.unlink()  # it holds the hidden tests, and is not needed any more
    reasons = execute.run(notebook, scratch, limits)
    notes += [f"{place(notebook, index)}: {reason}" for index, reason in sorted(reasons.items())]
    status = outcome.LIMIT if reasons else outcome.GRADED
    # A warning on stderr is no mistake, though nbgrader takes it for one.
    for cell in twin.graded_cells(notebook):
        IgnorePattern(pattern="(?s).*").preprocess_cell(cell, resources, 0)
    LimitOutput().preprocess(notebook, resources)
    nbformat.write(notebook, scratch / "graded.ipynb")
    return notebook, status, marks(notebook), notes


def marks(notebook: NotebookNode) -> dict[str, float]:
    """Points of each graded cell of a notebook that was run.

    nbgrader gives full points to a cell without outputs. That is right only if it was run.
    """
    points = {}
    for cell in twin.graded_cells(notebook):
        ran = cell.execution_count is not None
        points[cell.metadata.nbgrader.grade_id] = float(determine_grade(cell)[0]) if ran else 0.0
    return points


def place(notebook: NotebookNode, index: int) -> str:
    """A name for a cell."""
    return restore.name_in(notebook.cells[index].metadata) or f"cell {index + 1}"
