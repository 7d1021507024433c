"""A submission with the instructor's tests in it, whatever became of those it was given.

nbgrader's ``OverwriteCells`` puts back the text, the type and the points of a cell that it finds.
What it cannot do is done before: reading what is hardly a notebook, and finding the place for a
cell that is gone.
"""

import warnings
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_raw_cell
from nbgrader.preprocessors import CheckCellMetadata, DeduplicateIds, OverwriteCells

from grading import twin

NEW_CELL = {"code": new_code_cell, "markdown": new_markdown_cell, "raw": new_raw_cell}


class Unreadable(Exception):
    """The file is no notebook; the message says in a few words why."""


def read_submission(path: Path, release: NotebookNode) -> NotebookNode:
    """A submission's cells in their order: their text, and of their metadata only the name.

    What else nbgrader must know of a cell is taken from the release, so that nothing a student, or
    a student's editor, wrote into the metadata can count.

    Raises:
        Unreadable: if it is no notebook.
    """
    try:
        with warnings.catch_warnings(action="ignore"):  # of cells that were copied with their id
            given = nbformat.reads(path.read_text("utf-8"), as_version=4)
        cells = [(cell.cell_type, cell.source, cell.get("metadata")) for cell in given.cells]
        own = [NEW_CELL[kind]("".join(source)) for kind, source, _ in cells]
    except UnicodeDecodeError as error:
        raise Unreadable("not a text in UTF-8") from error
    except Exception as error:  # whatever the text holds, nbformat may stumble over it in any way
        raise Unreadable(f"not a notebook ({type(error).__name__})") from error
    known = of_nbgrader(release)
    for cell, (_, _, metadata) in zip(own, cells, strict=True):
        if (grade_id := name_in(metadata)) in known:
            cell.metadata.nbgrader = nbformat.from_dict(dict(known[grade_id]))
    return new_notebook(cells=own, metadata=release.metadata)


def name_in(metadata: Any) -> str | None:
    """The name of a cell, if its metadata holds one."""
    marked = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    name = marked.get("grade_id") if isinstance(marked, dict) else None
    return name if isinstance(name, str) else None


def of_nbgrader(notebook: NotebookNode) -> dict[str, NotebookNode]:
    """Name of each cell that nbgrader knows → its metadata."""
    marked = (cell.metadata.get("nbgrader") for cell in notebook.cells)
    return {meta.grade_id: meta for meta in marked if meta}


def restore(
    notebook: NotebookNode, release: NotebookNode, resources: dict[str, Any]
) -> tuple[NotebookNode, list[str]]:
    """Put the instructor's cells back, hidden tests included.

    Args:
        notebook: from :func:`read_submission`.
        release: what students were given.
        resources: nbgrader's, with the address of the gradebook that keeps the whole tests.

    Returns:
        The notebook, and what there was to put right, for staff and student to read.
    """
    notes = changes(notebook, release)
    notebook, _ = DeduplicateIds().preprocess(notebook, resources)
    for cell in notebook.cells:
        if not cell.metadata.get("nbgrader"):  # DeduplicateIds leaves the copies an empty one
            cell.metadata.pop("nbgrader", None)
    add_missing(notebook, release)
    notebook, _ = OverwriteCells().preprocess(notebook, resources)
    CheckCellMetadata().preprocess(notebook, resources)
    return notebook, notes


def changes(notebook: NotebookNode, release: NotebookNode) -> list[str]:
    """What a student did to the cells that were to stay as they are."""
    names = [name_in(cell.metadata) for cell in notebook.cells]
    notes = []
    for cell in release.cells:
        name = name_in(cell.metadata)
        copies = [own for own, its in zip(notebook.cells, names, strict=True) if its == name]
        if name is None:
            continue
        if not copies:
            notes.append(f"{name} was missing")
        elif len(copies) > 1:
            notes.append(f"{name} was there {len(copies)} times, the last counts")
        if cell.metadata.nbgrader.locked and copies:
            last = copies[-1]
            if last.source.strip() != cell.source.strip() or last.cell_type != cell.cell_type:
                notes.append(f"{name} was changed, and put back")
    return notes


def add_missing(notebook: NotebookNode, release: NotebookNode) -> None:
    """Add the locked cells that are gone: tests behind their task's last cell, what is given first.

    A missing answer is not added: its text may be there in a cell that lost its name, and a stub
    would undo it. Tests of a task of which nothing is left go to the end, for the same reason.
    """
    for cell in release.cells:
        name = name_in(cell.metadata)
        if name is None or not cell.metadata.nbgrader.locked:
            continue
        names = [name_in(own.metadata) for own in notebook.cells]
        if name in names:
            continue
        new = new_code_cell(cell.source)
        new.metadata.nbgrader = nbformat.from_dict(dict(cell.metadata.nbgrader))
        if not cell.metadata.nbgrader.grade:
            place = before(name, names, release)
        else:
            task = twin.task_of(name)
            same = [k for k, its in enumerate(names) if its and its.startswith(f"t{task[5:]}-")]
            place = after_its_answer(name, names, same)
        notebook.cells.insert(place, new)


def before(name: str, names: list[str | None], release: NotebookNode) -> int:
    """Where a given cell belongs: before the first cell that comes after it in the release."""
    order = list(of_nbgrader(release))
    later = set(order[order.index(name) + 1 :])
    return next((k for k, its in enumerate(names) if its in later), len(names))


def after_its_answer(name: str, names: list[str | None], same_task: list[int]) -> int:
    """Where tests belong: behind the answer that they test, else behind their task's cells."""
    answer = name.removesuffix("-tests")
    if answer in names:
        return len(names) - names[::-1].index(answer)
    return same_task[-1] + 1 if same_task else len(names)
