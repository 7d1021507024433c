"""What the sources get wrong: a box in the margin where a chapter meets it, and a page of them all.

The record is ``book/errata.yml``. In a chapter, ``{erratum}`` with a number sets the box.
"""

import re
from pathlib import Path

import records
from docutils.statemachine import StringList
from sphinx_book_theme.directives import Margin

BOX = re.compile(r"^`{3,}\{erratum\} (\S+)$", re.MULTILINE)
FIELDS = {"source", "place", "claim", "right"}


def find_boxes(root: Path) -> list[tuple[str, str]]:
    """All boxes as (number, document), in reading order."""
    return [
        (number, document)
        for document in records.documents(root)
        for number in BOX.findall(records.text_of(root, document))
    ]


def complaints(root: Path) -> list[str]:
    """What is wrong with the record, the boxes and the tests."""
    errata, tests = (
        records.load(root, "errata"),
        records.marked_tests(root, "erratum"),
    )
    boxes = [number for number, _ in find_boxes(root)]
    sections = records.source_sections(root)
    found = []
    for number, entry in errata.items():
        if missing := FIELDS - set(entry):
            found.append(f"{number}: lacks {', '.join(sorted(missing))}")
        if number not in tests:
            found.append(f"{number}: no test")
        if boxes.count(number) != 1:
            found.append(
                f"{number}: {boxes.count(number)} boxes in the book, not 1"
            )
        source = entry.get("source", "")
        if not any(source == s or source.startswith(f"{s}.") for s in sections):
            found.append(f"{number}: unknown section {source!r}")
    found += [
        f"{number}: a box without a record"
        for number in boxes
        if number not in errata
    ]
    found += [
        f"{number}: tests without a record"
        for number in tests
        if number not in errata
    ]
    return found


def page(root: Path) -> str:
    """Make the page of all errata, by chapter, as Markdown."""
    errata, tests = (
        records.load(root, "errata"),
        records.marked_tests(root, "erratum"),
    )
    lines, document = [], None
    for number, here in sorted(
        find_boxes(root), key=lambda box: int(box[0][1:])
    ):
        if here != document:
            document = here
            lines += [f"## {records.title_of(root, document)}", ""]
        entry = errata[number]
        shown = [f"{{ref}}`{entry['place']}`"]
        if "see" in entry:
            shown.append(f"{{ref}}`here <{entry['see']}>`")
        lines += [
            f"({anchor(number)})=",
            f"### {number}",
            "",
            f"**Claim** ({entry['source']}). {entry['claim']}",
            "",
            f"**Right.** {entry['right']}",
            "",
            f"- in the book: {', shown '.join(shown)}",
            *[f"- test: {records.show_test(test)}" for test in tests[number]],
            "",
        ]
    return "\n".join(lines)


def anchor(number: str) -> str:
    """Return the label of an entry on the page."""
    return f"erratum-{number.lower()}"


class Erratum(Margin):
    """The box of one entry, in the margin of a wide screen and in the text of a narrow one."""

    required_arguments = 1
    has_content = False

    def run(self):
        number = self.arguments[0]
        root = Path(__file__).resolve().parents[2]
        entry = records.load(root, "errata")[number]
        self.arguments = ["Reading the sources"]
        lines = [
            f"*A source says:* {entry['claim']}",
            "",
            entry["right"],
            "",
            f"{{ref}}`{number}, with its test <{anchor(number)}>`",
        ]
        self.content = StringList(lines, source="errata.yml")
        return super().run()


def setup(app):
    """Register the directive."""
    app.add_directive("erratum", Erratum)
    return {"parallel_read_safe": True}
