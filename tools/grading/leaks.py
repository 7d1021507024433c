"""What a released notebook must not hold."""

import ast
import re
from collections.abc import Iterator

from nbformat import NotebookNode

REGION = re.compile(r"### (BEGIN|END) (SOLUTION|HIDDEN TESTS)")
CELL_METADATA = {"nbgrader", "deletable", "editable"}  # what nbgrader itself writes
NOTEBOOK_METADATA = {"kernelspec"}


def complaints(release: NotebookNode, source: NotebookNode) -> Iterator[str]:
    """Say what of the instructor's notebook, or of this machine, is in the students' one."""
    secret, public = secret_and_public_lines(source)
    text = [line.strip() for cell in release.cells for line in cell.source.splitlines()]
    for line in sorted((secret - public) & set(text)):
        yield f"a line that students must not see: {line}"
    yield from (f"a marker: {line}" for line in text if REGION.search(line))
    for cell in release.cells:
        if cell.get("outputs") or cell.get("execution_count"):
            yield f"{cell.id}: outputs"
        if extra := set(cell.metadata) - CELL_METADATA:
            yield f"{cell.id}: metadata {', '.join(sorted(extra))}"
        if cell.get("attachments"):
            yield f"{cell.id}: attachments"
    if extra := set(release.metadata) - NOTEBOOK_METADATA:
        yield f"metadata of the notebook: {', '.join(sorted(extra))}"


def secret_and_public_lines(source: NotebookNode) -> tuple[set[str], set[str]]:
    """Lines inside and outside of the marked regions; a line may be in both.

    Raises:
        ValueError: if a region is not closed, or closed without having been opened.
    """
    secret, public = set(), set()
    for cell in source.cells:
        inside = None
        for line in cell.source.splitlines():
            if marker := REGION.search(line):
                opens, kind = marker[1] == "BEGIN", marker[2]
                if opens == bool(inside) or (inside or kind) != kind:
                    raise ValueError(f"{cell.id}: {line.strip()} is out of place")
                inside = kind if opens else None
            elif line.strip():
                (secret if inside else public).add(line.strip())
        if inside:
            raise ValueError(f"{cell.id}: {inside} is not closed")
    return secret, public


def hidden_messages(source: str) -> list[str]:
    """The messages of the assertions inside the hidden tests of a cell, in order.

    What an f-string fills in stands as "…".
    """
    inside, lines = False, set()
    for number, line in enumerate(source.splitlines(), start=1):
        if marker := REGION.search(line):
            inside = marker.groups() == ("BEGIN", "HIDDEN TESTS")
        elif inside:
            lines.add(number)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Assert)]
    nodes = sorted((node for node in nodes if node.lineno in lines), key=lambda node: node.lineno)
    return [_text(node.msg) if node.msg else "(no message)" for node in nodes]


def _text(message: ast.expr) -> str:
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
