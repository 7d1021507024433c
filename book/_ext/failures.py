"""The failures that chapters make on purpose: a page of them all, symptom first.

The record is ``book/failures.yml``: label of a section → symptom, diagnosis, cure. The section's box
"Symptom, diagnosis, cure" has the same words, since a notebook must be readable by itself.
"""

import re
from pathlib import Path

import records

PARTS = ("symptom", "diagnosis", "cure")
SECTION = re.compile(r"^\((?P<label>sec-[\w-]+-failure)\)=\n#+ ", re.MULTILINE)
BOX = re.compile(
    r"^(`{3,})\{admonition\} Symptom, diagnosis, cure\n(.*?)^\1$",
    re.MULTILINE | re.DOTALL,
)
PART = re.compile(
    r"\*\*(Symptom|Diagnosis|Cure)\.\*\*(.*?)(?=\*\*(?:Symptom|Diagnosis|Cure)\.|\Z)",
    re.DOTALL,
)


def find_failures(root: Path) -> dict[str, tuple[str, dict[str, str]]]:
    """Find the sections on failures: label → document, and what its box says."""
    found = {}
    for document in records.documents(root):
        text = records.text_of(root, document)
        for start in SECTION.finditer(text):
            box = BOX.search(text, start.end())
            parts = PART.finditer(box[2]) if box else []
            said = {m[1].lower(): _one_line(m[2]) for m in parts}
            found[start["label"]] = document, said
    return found


def _one_line(text: str) -> str:
    return " ".join(text.split())


def complaints(root: Path) -> list[str]:
    """Say where record and chapters differ."""
    record, failures = records.load(root, "failures"), find_failures(root)
    found = [
        f"{label}: not in failures.yml"
        for label in failures
        if label not in record
    ]
    for label, entry in record.items():
        if label not in failures:
            found.append(f"{label}: in failures.yml, and not in the book")
            continue
        box = failures[label][1]
        for part in PARTS:
            if not entry.get(part) or box.get(part) != _one_line(entry[part]):
                found.append(
                    f"{label}: {part} in the box is not that of failures.yml"
                )
    return found


def page(root: Path) -> str:
    """Make the failure index, as Markdown."""
    record, lines = records.load(root, "failures"), []
    for label, (document, _) in find_failures(root).items():
        entry = record[label]
        lines += [
            f"**{_one_line(entry['symptom'])}**",
            "",
            f": *Diagnosis.* {_one_line(entry['diagnosis'])}",
            "",
            f"  *Cure.* {_one_line(entry['cure'])}",
            "",
            f"  See it happen: {{ref}}`{label}` in {{doc}}`{document}`.",
            "",
        ]
    return "\n".join(lines)
