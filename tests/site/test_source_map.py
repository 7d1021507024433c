"""Every section of the sources has its home in the built book, or a chapter that is planned."""

from pathlib import Path

import pytest
import records
import source_map
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"


def places(site: Path, documents: list[str]) -> set[str]:
    """Documents of the built book, and the ids in their pages."""
    built = {d: site / f"{d}.html" for d in documents if (site / f"{d}.html").is_file()}
    pages = [BeautifulSoup(page.read_text("utf-8"), "html.parser") for page in built.values()]
    return set(built) | {tag["id"] for page in pages for tag in page.select("article [id]")}


def test_the_book():
    if not (SITE / "index.html").is_file():
        pytest.fail("the book is not built; run: make book", pytrace=False)
    assert source_map.complaints(ROOT, places(SITE, records.documents(ROOT))) == []


@pytest.fixture
def toy(tmp_path) -> Path:
    """A book of one chapter, its built page, and a map of two sections."""
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "_toc.yml").write_text("{root: 01_toy}")
    page = '<article><section id="sec-toy"></section></article>'
    (tmp_path / "01_toy.html").write_text(page)
    return tmp_path


def complaints(toy: Path, **sections: dict) -> list[str]:
    named = {id_.replace("_", "."): entry for id_, entry in sections.items()}
    content = {"sources": {"S0": {"about": "A toy.", "outline": "1 2", "sections": named}}}
    (toy / "book" / "source_map.yml").write_text(yaml.safe_dump(content))
    return source_map.complaints(toy, places(toy, records.documents(toy)))


HOME = {"treats": "a toy", "home": ["sec-toy"]}
PLANNED = {"treats": "a toy", "planned": ["02"]}


def test_a_sound_map_passes(toy):
    assert complaints(toy, S0_1=HOME, S0_2=PLANNED) == []
    assert complaints(toy, S0_1={"treats": "a toy", "home": ["01_toy"]}, S0_2=PLANNED) == []
    assert source_map.summary(toy).startswith("of 2 sections of the sources 1 have their full")


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"treats": "a toy"}, "S0.2: has no home, and none is planned"),
        ({"treats": "a toy", "home": ["sec-gone"]}, "S0.2: sec-gone is no place in the book"),
        ({"treats": "", "home": ["sec-toy"]}, "S0.2: does not say what it treats"),
        ({"treats": "a toy", "planned": ["27"]}, "S0.2: '27' is no chapter"),
        (
            {"treats": "a toy", "planned": ["01"]},
            "S0.2: chapter 01 is written; name the label of the place in it",
        ),
        ({**HOME, "there": None}, "S0.2: does not know there"),
    ],
)
def test_a_fault_is_found(entry, complaint, toy):
    assert complaints(toy, S0_1=HOME, S0_2=entry) == [complaint]


def test_an_unknown_section_and_a_forgotten_one_are_found(toy):
    expected = ["S0.3: no section of a source", "S0.2: not in the map"]
    assert complaints(toy, S0_1=HOME, S0_3=HOME) == expected
