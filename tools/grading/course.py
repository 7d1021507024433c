"""Building a problem set: what students get, and what staff needs.

The folder is a course of nbgrader's: ``source`` and ``release`` are its names, and ``gradebook.db``
holds the tests as they are put back into each submission.
"""

import hashlib
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode
from nbgrader.apps import NbGraderAPI
from traitlets.config import Config

from genlearn.files import written_whole
from grading import leaks, twin

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "_build" / "assignments"
DECIDES = ["tools/grading", "genlearn"]  # code on which marks depend, besides the set itself


class BuildError(Exception):
    """A problem set cannot be released as it is; the message says why, on one line."""


class Course(NamedTuple):
    """A problem set that has been built, and where its parts lie."""

    name: str
    source: Path
    release: Path
    gradebook: Path
    instructor: Path
    digest: str
    """Of the set and of all code on which its marks depend."""

    def points(self) -> dict[str, float]:
        """Name of each graded cell → its points."""
        return twin.points(nbformat.read(self.release, as_version=4))


def withdraw(course: Course) -> None:
    """Remove what students would get."""
    course.release.unlink(missing_ok=True)
    stamp_of(course.name, course.gradebook.parent).unlink(missing_ok=True)


def stamp_of(name: str, built: Path) -> Path:
    """The file that says from what a release was made."""
    return built / f"{name}.digest"


def names(root: Path = ROOT) -> list[str]:
    """The problem sets that there are."""
    return sorted(path.parent.name for path in _twins(root))


def _twins(root: Path) -> list[Path]:
    return [path for path in (root / "assignments").glob("*/*.py") if path.stem == path.parent.name]


def locate(name: str, root: Path = ROOT, built: Path = BUILT) -> Course:
    """Where the parts of a problem set are, or will be."""
    return Course(
        name,
        built / "source" / name / f"{name}.ipynb",
        built / "release" / name / f"{name}.ipynb",
        built / "gradebook.db",
        built / "instructor" / f"{name}.ipynb",
        digest(root / "assignments" / name / f"{name}.py", root),
    )


def digest(path: Path, root: Path = ROOT) -> str:
    """Changes when the set or the code on which its marks depend does."""
    files = [path, *(file for part in DECIDES for file in sorted((root / part).rglob("*.py")))]
    total = hashlib.sha256()
    for file in files:
        total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def released(name: str, root: Path = ROOT, built: Path = BUILT) -> Course:
    """The problem set as it was built last, or built now if anything has changed since."""
    course = locate(name, root, built)
    stamp = stamp_of(name, built)
    current = stamp.is_file() and stamp.read_text("utf-8") == course.digest
    return course if current else release(name, root, built)


def release(name: str, root: Path = ROOT, built: Path = BUILT) -> Course:
    """Make the instructor's notebook and the students' one from the text twin.

    Raises:
        BuildError: if nbgrader refuses, or the students' notebook holds what it must not.
    """
    course = locate(name, root, built)
    source = twin.read(root / "assignments" / name / f"{name}.py")
    course.source.parent.mkdir(parents=True, exist_ok=True)
    withdraw(course)
    try:
        for grade_id in twin.points(source):
            twin.task_of(grade_id)
        leaks.secret_and_public_lines(source)
    except ValueError as error:
        raise BuildError(f"{name}: {error}") from error
    nbformat.write(source, course.source)
    config = Config()
    config.CourseDirectory.root = str(built)
    done = NbGraderAPI(config=config).generate_assignment(name, force=True)
    if not done["success"]:
        last = done["log"].strip().splitlines()[-1:] or [str(done["error"])]
        raise BuildError(f"{name}: nbgrader makes no release: {last[0]}")
    given = nbformat.read(course.release, as_version=4)
    if faults := list(leaks.complaints(given, source)):
        withdraw(course)
        raise BuildError(f"{name}: the release would leak: {faults[0]}")
    stamp_of(name, built).write_text(course.digest, "utf-8")
    return course


def write_instructor_page(course: Course, executed: NotebookNode) -> None:
    """Keep the reference solution as it ran, headed by the marking scheme."""
    notebook = nbformat.from_dict(executed)
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(marking_scheme(executed)))
    with written_whole(course.instructor) as path:
        nbformat.write(notebook, path)


def marking_scheme(notebook: NotebookNode) -> str:
    """A table: each graded cell, its points, and what its hidden tests may complain about."""
    lines = [
        "# For staff: marking scheme",
        "",
        "This notebook holds solutions and hidden tests. A cell gives its points if all its tests",
        "pass. Its hidden tests complain in these words, which the students read too:",
        "",
        "| cell | points | complaints of the hidden tests |",
        "| --- | --- | --- |",
    ]
    for cell in twin.graded_cells(notebook):
        says = "<br>".join(leaks.hidden_messages(cell.source))
        meta = cell.metadata.nbgrader
        lines.append(f"| {meta.grade_id} | {meta.points:g} | {says} |")
    lines.append(f"| **all** | **{sum(twin.points(notebook).values()):g}** | |")
    return "\n".join(lines)
