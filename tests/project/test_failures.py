"""The failure index says what the chapters say."""

from pathlib import Path

import failures
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

CHAPTER = """\
# A toy

(sec-toy-failure)=
## A failure, made on purpose

```{admonition} Symptom, diagnosis, cure
:class: warning

**Symptom.** It does
nothing.

**Diagnosis.** It is a toy.

**Cure.** Grow up.
```
"""
ENTRY = {"symptom": "It does nothing.", "diagnosis": "It is a toy.", "cure": "Grow up."}


def test_the_book():
    assert failures.complaints(ROOT) == []


def complaints(folder: Path, chapter: str = CHAPTER, **record: dict) -> list[str]:
    book = folder / "book"
    book.mkdir()
    (book / "_toc.yml").write_text("{root: 01_toy}")
    (book / "01_toy.md").write_text(chapter)
    (book / "failures.yml").write_text(
        yaml.safe_dump({label.replace("_", "-"): entry for label, entry in record.items()})
    )
    return failures.complaints(folder)


def test_a_box_that_agrees_passes(tmp_path):
    assert complaints(tmp_path, sec_toy_failure=ENTRY) == []
    page = failures.page(tmp_path)
    assert page.index("It does nothing.") < page.index("It is a toy.") < page.index("Grow up.")


@pytest.mark.parametrize("part", failures.PARTS)
def test_a_box_that_differs_is_found(part, tmp_path):
    expected = [f"sec-toy-failure: {part} in the box is not that of failures.yml"]
    assert complaints(tmp_path, sec_toy_failure=ENTRY | {part: "Otherwise."}) == expected


def test_a_failure_without_a_box_is_found(tmp_path):
    chapter = CHAPTER.replace("{admonition}", "{note}")
    assert len(complaints(tmp_path, chapter, sec_toy_failure=ENTRY)) == 3


def test_a_failure_that_only_one_of_the_two_knows_is_found(tmp_path):
    assert complaints(tmp_path, sec_other_failure=ENTRY) == [
        "sec-toy-failure: not in failures.yml",
        "sec-other-failure: in failures.yml, and not in the book",
    ]
