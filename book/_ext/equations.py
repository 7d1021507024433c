"""The equations of the book: what kind each is, which code names it, which tests check it.

The record ``book/equations.yml`` says of each label whether it is a definition, a claim or an
algorithm. The rest is read where it stands: formulas in the text, labels in docstrings, marks in
the tests.
"""

import ast
import importlib
import re
from pathlib import Path
from typing import NamedTuple

import records

KINDS = {"definition", "claim", "algorithm"}
LABEL = re.compile(r"\b(?:eq|alg)-[a-z0-9]+(?:-[a-z0-9]+)*\b")

DOLLARS = re.compile(
    r"^ *\$\$\n(?P<formula>.*?)^ *\$\$(?: *\((?P<label>[^)\n]+)\))? *$",
    re.M | re.S,
)
DIRECTIVE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{math\} *\n(?P<options>(?::[\w-]+:[^\n]*\n)*)(?P<formula>.*?)^(?P=fence)$",
    re.M | re.S,
)
ALGORITHM = re.compile(
    r"\{prf:algorithm\} *(?P<title>.*)\n:label: *(?P<label>\S+)"
)
# Sphinx gives these a number of its own choice, which no text could refer to.
BARE = re.compile(
    r"^ *\\begin\{(?:equation|align|alignat|gather|multline|flalign|eqnarray)\}",
    re.M,
)


class Equation(NamedTuple):
    """A labelled equation, or an algorithm, whose formula is its title."""

    label: str
    document: str
    formula: str


def find_equations(root: Path) -> list[Equation]:
    """All that has a label, in reading order."""
    return [
        e
        for document in records.documents(root)
        for e in _in_text(root, document)[0]
    ]


def _in_text(root: Path, document: str) -> tuple[list[Equation], list[str]]:
    """Return the labelled equations of a document, and those that get a number without a label."""
    text = records.text_of(root, document)
    found = []
    for match in [*DOLLARS.finditer(text), *DIRECTIVE.finditer(text)]:
        label = match["label"] if "label" in match.re.groupindex else None
        if "options" in match.re.groupindex:
            option = re.search(r":label: *(\S+)", match["options"])
            label = option and option[1]
        if label:
            found.append(
                (
                    match.start(),
                    Equation(label, document, match["formula"].strip()),
                )
            )
    for match in ALGORITHM.finditer(text):
        found.append(
            (
                match.start(),
                Equation(match["label"], document, match["title"].strip()),
            )
        )
    bare = BARE.findall(DIRECTIVE.sub("", DOLLARS.sub("", text)))
    return [equation for _, equation in sorted(found)], [
        line.strip() for line in bare
    ]


def find_code(root: Path) -> dict[str, list[str]]:
    """Find which public objects name a label in their docstring: label → full names."""
    found: dict[str, list[str]] = {}
    for path in sorted((root / "genlearn").rglob("*.py")):
        module = ".".join(
            path.relative_to(root).with_suffix("").parts
        ).removesuffix(".__init__")
        for name, docstring in _docstrings(ast.parse(path.read_text("utf-8"))):
            for label in LABEL.findall(docstring):
                found.setdefault(label, []).append(_public_name(module, name))
    return found


def _docstrings(node: ast.AST, inside: str = "") -> list[tuple[str, str]]:
    """Qualified name and docstring of each class and function below a node."""
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef | ast.FunctionDef):
            name = inside + child.name
            found += [
                (name, ast.get_docstring(child) or ""),
                *_docstrings(child, f"{name}."),
            ]
    return found


def _public_name(module: str, name: str) -> str:
    """Return the name under which readers import an object: genlearn.models.VAE.terms."""
    package = module.rpartition(".")[0]
    outermost = name.partition(".")[0]
    if package != "genlearn" and hasattr(
        importlib.import_module(package), outermost
    ):
        module = package
    return f"{module}.{name}"


def complaints(root: Path) -> list[str]:
    """What is wrong with the equations, their record, their tests, or the code that names them."""
    equations = find_equations(root)
    labels = [equation.label for equation in equations]
    kinds = records.load(root, "equations") or {}
    tests = records.marked_tests(root, "equation")
    found = [
        f"{document}: an equation gets a number and has no label: {line}"
        for document in records.documents(root)
        for line in _in_text(root, document)[1]
    ]
    found += [
        f"{e.document}: label {e.label} is not eq-… or alg-…"
        for e in equations
        if not LABEL.fullmatch(e.label)
    ]
    found += [
        f"{label}: stands twice in the book"
        for label in sorted(set(labels))
        if labels.count(label) > 1
    ]
    found += [
        f"{label}: not in equations.yml"
        for label in labels
        if label not in kinds
    ]
    for label, kind in kinds.items():
        if label not in labels:
            found.append(f"{label}: in equations.yml, and not in the book")
        if kind not in KINDS:
            found.append(
                f"{label}: {kind!r} is none of {', '.join(sorted(KINDS))}"
            )
        elif kind != "definition" and label not in tests:
            found.append(f"{label}: {kind} without a test")
    for label, marked in tests.items():
        if label not in labels:
            found += [
                f"{test}: marked with {label}, which is not in the book"
                for test in marked
            ]
    for path in sorted((root / "genlearn").rglob("*.py")):
        for label in LABEL.findall(path.read_text("utf-8")):
            if label not in labels:
                found.append(
                    f"{path.relative_to(root)}: names {label}, which is not in the book"
                )
    return found


def index(root: Path) -> str:
    """Make the equation index: label, formula, kind, code and tests, by chapter, as Markdown."""
    kinds, code = records.load(root, "equations"), find_code(root)
    tests = records.marked_tests(root, "equation")
    lines, document = [], None
    for equation in find_equations(root):
        if equation.document != document:
            document = equation.document
            lines += [f"## {records.title_of(root, document)}", ""]
        lines += _entry(equation, kinds[equation.label])
        lines += [
            f"- code: {api_link(name)}" for name in code.get(equation.label, [])
        ]
        lines += [
            f"- test: {records.show_test(test)}"
            for test in tests.get(equation.label, [])
        ]
        lines += [""]
    return "\n".join(lines)


def _entry(equation: Equation, kind: str) -> list[str]:
    if kind == "algorithm":
        number, formula = f"{{prf:ref}}`{equation.label}`", [equation.formula]
    else:
        number, formula = (
            f"{{eq}}`{equation.label}`",
            ["$$", equation.formula, "$$"],
        )
    return [f"**{number}** · `{equation.label}` · {kind}", "", *formula, ""]


def api_link(name: str) -> str:
    """Link to the API page, without the module: VAE.terms."""
    parts = name.split(".")
    shown = [part for part in parts[:-1] if part[0].isupper()] + parts[-1:]
    return f"{{py:obj}}`{'.'.join(shown)} <{name}>`"
