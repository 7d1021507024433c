"""Answers put into the students' notebook, and run against its tests without a kernel."""

import copy
import functools
import tomllib
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import nbformat
from nbformat import NotebookNode

from grading import twin
from grading.course import Course


class Catalogue(NamedTuple):
    """What ``NAME.toml`` holds: answers to a problem set, and what is to be said of them."""

    right: dict[str, dict[str, str]]
    wrong: dict[str, dict[str, str]]
    seen: dict[str, dict[str, str]]


def catalogue(name: str) -> Catalogue:
    """The answers to a problem set."""
    return Catalogue(**tomllib.loads(Path(__file__).with_name(f"{name}.toml").read_text("utf-8")))


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


def given(source: NotebookNode) -> dict[str, str]:
    """Name of each cell that is neither an answer nor tests → its code."""
    marked = [cell for cell in source.cells if "nbgrader" in cell.metadata]
    return {
        cell.metadata.nbgrader.grade_id: cell.source
        for cell in marked
        if not cell.metadata.nbgrader.solution and not cell.metadata.nbgrader.grade
    }


def answered(release: NotebookNode, answers: dict[str, str]) -> NotebookNode:
    """A copy of the students' notebook with these answers in it."""
    notebook = copy.deepcopy(release)
    for name, code in answers.items():
        cell_of(notebook, name).source = code.strip()
    return notebook


@functools.cache
def compiled(code: str) -> CodeType:
    """The code of a cell; a set runs the same cells hundreds of times."""
    return compile(code, "<cell>", "exec")


class Desk:
    """Runs answers against tests in this process, a thousand times faster than with a kernel."""

    def __init__(self, source: NotebookNode, release: NotebookNode) -> None:
        self.source, self.release = source, release
        self.given: dict[str, Any] = {}
        for code in given(source).values():
            exec(compiled(code), self.given)

    def complaint(self, answers: dict[str, str], tests: str, hidden: bool) -> str | None:
        """The message of the test that fails; None if all pass.

        Args:
            answers: name of each cell → its code; run in their order.
            tests: name of the cell of tests.
            hidden: with the hidden tests or without.
        """
        return self.complaints(answers, [tests], hidden)[tests]

    def complaints(
        self, answers: dict[str, str], tests: list[str], hidden: bool
    ) -> dict[str, str | None]:
        """The same for several cells of tests, of which none sees what another one leaves."""
        space = dict(self.given)  # anew each time: tests change what answers have made
        for code in answers.values():
            exec(compiled(code), space)
        notebook = self.source if hidden else self.release
        said: dict[str, str | None] = dict.fromkeys(tests)
        for name in tests:
            try:
                exec(compiled(cell_of(notebook, name).source), dict(space))
            except AssertionError as error:
                said[name] = str(error)
        return said

    def in_order(self, answers: dict[str, str]) -> dict[str, str | None]:
        """What each cell of tests says when all cells run one after another, as in a kernel.

        A cell that raises does not stop those behind it. What is given ran when the desk was made.
        """
        space = dict(self.given)
        said: dict[str, str | None] = dict.fromkeys(twin.points(self.source))
        for cell in self.source.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name not in answers and name not in said:
                continue
            try:
                exec(compiled(answers.get(name, cell.source)), space)
            except Exception as error:
                if name in said:
                    said[name] = f"{type(error).__name__}: {error}"
        return said


class ProblemSet:
    """A problem set as it is released, with the catalogue of answers to it."""

    def __init__(self, built: Course) -> None:
        self.built = built
        self.source = nbformat.read(built.source, as_version=4)
        """The instructor's notebook."""
        self.release = nbformat.read(built.release, as_version=4)
        """The students' notebook."""
        self.right, self.wrong, self.seen = catalogue(built.name)

    @functools.cached_property
    def desk(self) -> Desk:
        """Made when it is first needed: the cells that are given may train for seconds."""
        return Desk(self.source, self.release)

    def with_wrong(self, *names: str) -> dict[str, str]:
        """The reference's answers, some replaced by misconceptions of the catalogue."""
        wrong = {self.wrong[name]["cell"]: self.wrong[name]["code"] for name in names}
        assert len(wrong) == len(names), "two misconceptions about the same cell"
        return {**solutions(self.source), **wrong}
