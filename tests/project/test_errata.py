"""Each erratum has a box where the reader meets it, and a test."""

from pathlib import Path

import errata
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

RECORD = {"E7": {"source": "S0.4.2", "place": "sec-toy", "claim": "x", "right": "y"}}
SOURCES = {"sources": {"S0": {"about": "A toy.", "outline": "4", "sections": {}}}}
CHAPTER = "# A toy\n\n```{erratum} E7\n```\n"
TEST = "import pytest\n\n@pytest.mark.erratum('E7')\ndef test_toy():\n    assert True\n"


def test_the_book():
    assert errata.complaints(ROOT) == []


@pytest.fixture
def toy(tmp_path) -> Path:
    for folder in ["book", "tests"]:
        (tmp_path / folder).mkdir()
    for name, content in {
        "_toc": {"root": "01_toy"},
        "errata": RECORD,
        "source_map": SOURCES,
    }.items():
        (tmp_path / "book" / f"{name}.yml").write_text(yaml.safe_dump(content), "utf-8")
    (tmp_path / "book" / "01_toy.md").write_text(CHAPTER, "utf-8")
    (tmp_path / "tests" / "test_toy.py").write_text(TEST, "utf-8")
    return tmp_path


def test_a_sound_book_passes(toy):
    assert errata.complaints(toy) == []
    assert "`test_toy` in `tests/test_toy.py`" in errata.page(toy)


@pytest.mark.parametrize(
    ("file", "old", "new", "complaints"),
    [
        ("tests/test_toy.py", "'E7'", "", ["E7: no test"]),
        ("tests/test_toy.py", "'E7'", "'E7', 'E9'", ["E9: tests without a record"]),
        ("book/01_toy.md", "{erratum}", "{note}", ["E7: 0 boxes in the book, not 1"]),
        (
            "book/01_toy.md",
            "E7",
            "E9",
            ["E7: 0 boxes in the book, not 1", "E9: a box without a record"],
        ),
        ("book/errata.yml", "right: y", "wrong: y", ["E7: lacks right"]),
        ("book/errata.yml", "S0.4.2", "S0.5", ["E7: unknown section 'S0.5'"]),
    ],
)
def test_a_fault_is_found(file, old, new, complaints, toy):
    text = (toy / file).read_text("utf-8")
    assert text.count(old) == 1
    (toy / file).write_text(text.replace(old, new), "utf-8")
    assert errata.complaints(toy) == complaints
