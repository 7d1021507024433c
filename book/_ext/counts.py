"""Figures of the page "How this book is tested", counted in the tree while the book is built."""

import ast
import json
import tomllib
from pathlib import Path

import records


def _several(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def chapters(root: Path) -> str:
    """Count the executed chapters and their code cells."""
    names = [
        name for name in records.documents(root) if records.is_chapter(name)
    ]
    notebooks = [
        json.loads((root / "book" / f"{name}.ipynb").read_text("utf-8"))
        for name in names
    ]
    cells = sum(
        cell["cell_type"] == "code"
        for book in notebooks
        for cell in book["cells"]
    )
    return f"{_several(len(names), 'chapter')}, {_several(cells, 'code cell')}"


def kinds(root: Path) -> str:
    """Count the numbered equations by kind."""
    of = list(records.load(root, "equations").values())
    names = ["definition", "claim", "algorithm"]
    return ", ".join(_several(of.count(kind), kind) for kind in names)


def equation_tests(root: Path) -> int:
    """Count the test functions that check an equation."""
    marked = records.marked_tests(root, "equation").values()
    return len({test for tests in marked for test in tests})


def tests(root: Path) -> int:
    """Count the test functions."""
    files = (root / "tests").rglob("test_*.py")
    nodes = [
        node
        for path in files
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
    ]
    return sum(
        isinstance(n, ast.FunctionDef) and n.name.startswith("test_")
        for n in nodes
    )


def mutations(root: Path) -> int:
    """Count the deliberate bugs."""
    catalogues = (root / "tests" / "mutations").glob("*.toml")
    return sum(
        len(tomllib.loads(path.read_text("utf-8"))) for path in catalogues
    )


def misconceptions(root: Path) -> int:
    """Count the wrong answers that the hidden tests of the problem sets must find."""
    catalogues = (root / "tests" / "assignments").glob("*.toml")
    return sum(
        len(tomllib.loads(path.read_text("utf-8"))["wrong"])
        for path in catalogues
    )


def errata(root: Path) -> int:
    """Count the errors of the sources that the book treats."""
    return len(records.load(root, "errata"))


def failures(root: Path) -> int:
    """Count the failures made on purpose."""
    return len(records.load(root, "failures"))
