"""Finding what each student handed in.

A folder of submissions holds, for each student, a notebook of that student's name or a folder:

    DIR/ann.ipynb
    DIR/bob/p2_vae.ipynb            or any other name, if it is the only notebook there
    DIR/cem/p2_vae/p2_vae.ipynb     as nbgrader collects them: DIR is its submitted/
"""

from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple


class Submission(NamedTuple):
    """One student's notebook, or why there is none."""

    student: str
    file: Path | None
    problem: str = ""


def find(folder: Path, name: str, others: Collection[str] = ()) -> list[Submission]:
    """The submissions in a folder, by student.

    Args:
        folder: of one of the kinds above; they may be mixed.
        name: of the problem set, and so of its notebook.
        others: names of other problem sets: a student's notebook of that name is none of this set.

    Raises:
        ValueError: if there is nothing in the folder, or one student has two entries.
    """
    found: dict[str, Submission] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        student = entry.name if entry.is_dir() else entry.stem
        if student in found:
            raise ValueError(f"{student} has two entries in {folder}; keep one")
        found[student] = _in_folder(entry, name, others) if entry.is_dir() else _file(entry)
    if not found:
        raise ValueError(f"no submissions in {folder}")
    return list(found.values())


def _file(entry: Path) -> Submission:
    if entry.suffix == ".ipynb" and entry.is_file():
        return Submission(entry.stem, entry)
    return Submission(entry.stem, None, f"{entry.name} is no notebook")


def _in_folder(entry: Path, name: str, others: Collection[str]) -> Submission:
    notebooks = [
        path
        for path in sorted(entry.rglob("*.ipynb"))
        if path.is_file() and ".ipynb_checkpoints" not in path.parts and path.stem not in others
    ]
    named = [path for path in notebooks if path.stem == name]
    for candidates in (named, notebooks):
        if len(candidates) == 1:
            return Submission(entry.name, candidates[0])
    what = f"{len(notebooks)} notebooks, and not one of them is {name}.ipynb" if notebooks else ""
    return Submission(entry.name, None, what or "no notebook in the folder")
