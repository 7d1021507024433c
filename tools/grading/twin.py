"""The instructor's notebook of a problem set, from its text twin.

A set is written as ``assignments/NAME/NAME.py``, in jupytext's percent format like a chapter. What
nbgrader must know of a cell stands in the cell's header, as little of it as possible:

    # %% nbgrader={"grade_id": "t1-kl", "solution": true}                       an answer
    # %% nbgrader={"grade_id": "t1-kl-tests", "grade": true, "points": 2}       tests
    # %% nbgrader={"grade_id": "setup"}                                         given, put back

The rest of nbgrader's metadata follows from it and is filled in here. Cells of a task begin with
its number: t1, t2. Between ``### BEGIN SOLUTION`` and ``### END SOLUTION`` stands what students do
not get, between ``### BEGIN HIDDEN TESTS`` and ``### END HIDDEN TESTS`` what decides.
"""

import re
from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
DEFAULTS = {"schema_version": 3, "grade": False, "solution": False, "task": False}
TASK = re.compile(r"t(\d+)-")


def read(twin: Path) -> NotebookNode:
    """A twin as nbgrader's instructor notebook, without outputs."""
    notebook = jupytext.read(twin, fmt="py:percent")
    for position, cell in enumerate(notebook.cells):
        given = cell.metadata.get("nbgrader")
        cell.metadata = nbformat.from_dict({"nbgrader": completed(given)} if given else {})
        cell.id = f"cell-{position:03d}"
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL})
    notebook.nbformat, notebook.nbformat_minor = 4, 5  # the first version that has cell ids
    return notebook


def completed(given: dict) -> dict:
    """All of nbgrader's metadata of a cell; whatever is no answer is locked."""
    return {**DEFAULTS, "locked": not given.get("solution", False), **given}


def graded_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells that give points, in order."""
    return [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]


def points(notebook: NotebookNode) -> dict[str, float]:
    """Name of each graded cell → the points it gives."""
    marked = (cell.metadata.nbgrader for cell in graded_cells(notebook))
    return {meta.grade_id: float(meta.points) for meta in marked}


def task_of(grade_id: str) -> str:
    """The column of the marks that a cell belongs to: "task 4" for t4-bits-tests.

    Raises:
        ValueError: if the name does not begin with the number of a task.
    """
    if not (match := TASK.match(grade_id)):
        raise ValueError(f"{grade_id}: the name of a graded cell begins with its task, like t1-")
    return f"task {match[1]}"


def by_task(of_cells: dict[str, float]) -> dict[str, float]:
    """Add up the points of the cells of each task."""
    sums: dict[str, float] = {}
    for grade_id, number in of_cells.items():
        sums[task_of(grade_id)] = sums.get(task_of(grade_id), 0.0) + number
    return sums
