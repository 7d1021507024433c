"""What the built pages and their tests read: the book's text, its records, and the tests' marks.

Every function takes the root of the project, so that a test can show it a toy book.
"""

import ast
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml


class MarkedTest(NamedTuple):
    """A test function that carries a mark."""

    file: str
    name: str

    def __str__(self) -> str:
        return f"{self.file}::{self.name}"


def load(root: Path, name: str) -> Any:
    """Return the record ``book/NAME.yml``."""
    return yaml.safe_load((root / "book" / f"{name}.yml").read_text("utf-8"))


def documents(root: Path) -> list[str]:
    """Names of the book's documents, in reading order."""

    def below(entry: dict) -> list[str]:
        own = [entry[key] for key in ("root", "file") if key in entry]
        parts = [
            e
            for key in ("parts", "chapters", "sections")
            for e in entry.get(key, [])
        ]
        return own + [name for part in parts for name in below(part)]

    return below(load(root, "_toc"))


def is_chapter(document: str) -> bool:
    """Chapters have a number: vae/04_variational_autoencoder."""
    return Path(document).name[:2].isdigit()


def chapter_number(document: str) -> str:
    """Return "04" of vae/04_variational_autoencoder."""
    return Path(document).name[:2]


def text_of(root: Path, document: str) -> str:
    """Return the Markdown of a document; of a notebook, that of its text cells."""
    notebook = root / "book" / f"{document}.ipynb"
    if not notebook.is_file():
        return notebook.with_suffix(".md").read_text("utf-8")
    cells = json.loads(notebook.read_text("utf-8"))["cells"]
    texts = [
        "".join(cell["source"])
        for cell in cells
        if cell["cell_type"] == "markdown"
    ]
    return "\n\n".join(texts)


def title_of(root: Path, document: str) -> str:
    """Return the first heading of a document."""
    return re.search(r"^# (.+)$", text_of(root, document), re.MULTILINE)[1]


def marked_tests(root: Path, mark: str) -> dict[str, list[MarkedTest]]:
    """Find which tests carry ``@pytest.mark.MARK("label", …)``: label → tests.

    A test that is skipped or expected to fail proves nothing, and is left out.
    """
    found: dict[str, list[MarkedTest]] = {}
    for path in sorted((root / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                marks = {
                    ast.unparse(getattr(d, "func", d)): getattr(d, "args", [])
                    for d in node.decorator_list
                }
                if {
                    f"pytest.mark.{idle}"
                    for idle in ("skip", "skipif", "xfail")
                } & set(marks):
                    continue
                test = MarkedTest(path.relative_to(root).as_posix(), node.name)
                for label in marks.get(f"pytest.mark.{mark}", []):
                    found.setdefault(ast.literal_eval(label), []).append(test)
    return found


def show_test(test: MarkedTest) -> str:
    """Show a test on a page: its name, then its file."""
    return f"`{test.name}` in `{test.file}`"


def source_sections(root: Path) -> set[str]:
    """Ids of all sections of the source documents: S0.1, …"""
    sources = load(root, "source_map")["sources"]
    return {
        f"{name}.{n}"
        for name, source in sources.items()
        for n in source["outline"].split()
    }
