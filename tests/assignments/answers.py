"""Answers put into the students' notebook, and run against its tests without a kernel."""

import copy
import tomllib
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

CATALOGUE = tomllib.loads(Path(__file__).with_name("p2_vae.toml").read_text("utf-8"))
RIGHT, WRONG, SEEN = CATALOGUE["right"], CATALOGUE["wrong"], CATALOGUE["seen"]


def cell_of(notebook: NotebookNode, name: str) -> NotebookNode:
    """The one cell of that name."""
    (found,) = (
        cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == name
    )
    return found


def solutions(source: NotebookNode) -> dict[str, str]:
    """Name of each answer → the reference solution."""
    marked = [cell for cell in source.cells if cell.metadata.get("nbgrader", {}).get("solution")]
    return {cell.metadata.nbgrader.grade_id: cell.source for cell in marked}


def answered(release: NotebookNode, answers: dict[str, str]) -> NotebookNode:
    """A copy of the students' notebook with these answers in it."""
    notebook = copy.deepcopy(release)
    for name, code in answers.items():
        cell_of(notebook, name).source = code.strip()
    return notebook


def with_wrong(source: NotebookNode, *names: str) -> dict[str, str]:
    """The reference's answers, some replaced by misconceptions of the catalogue."""
    wrong = {WRONG[name]["cell"]: WRONG[name]["code"] for name in names}
    assert len(wrong) == len(names), "two misconceptions about the same cell"
    return {**solutions(source), **wrong}


class Desk:
    """Runs answers against tests in this process, a thousand times faster than with a kernel."""

    def __init__(self, source: NotebookNode, release: NotebookNode) -> None:
        self.source, self.release = source, release
        self.given: dict[str, Any] = {}
        for name in ("setup", "t8-given"):
            exec(cell_of(source, name).source, self.given)

    def complaint(self, answers: dict[str, str], tests: str, hidden: bool) -> str | None:
        """The message of the test that fails; None if all pass.

        Args:
            answers: name of each cell → its code; run in their order.
            tests: name of the cell of tests.
            hidden: with the hidden tests or without.
        """
        space = dict(self.given)
        for code in answers.values():
            exec(code, space)
        try:
            exec(cell_of(self.source if hidden else self.release, tests).source, space)
        except AssertionError as error:
            return str(error)
        return None
