"""In the built pages, exactly the equations of the record have a number."""

from pathlib import Path

import pytest
import records
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"


def numbered_equations(site: Path, names: list[str]) -> list[str]:
    """Labels of the equations that carry a number; Sphinx invents some for those without one."""
    pages = [BeautifulSoup((site / f"{n}.html").read_text("utf-8"), "html.parser") for n in names]
    numbers = [number for page in pages for number in page.select(".eqno")]
    return [number.find_parent(id=True)["id"].removeprefix("equation-") for number in numbers]


def test_the_book():
    if not (SITE / "index.html").is_file():
        pytest.fail("the book is not built; run: make book", pytrace=False)
    recorded = [label for label in records.load(ROOT, "equations") if label.startswith("eq-")]
    assert sorted(numbered_equations(SITE, records.documents(ROOT))) == sorted(recorded)


def test_a_number_without_a_label_is_seen(tmp_path):
    content = '<div id="equation-0a1b"><span class="eqno">(1)</span>a = b</div>'
    (tmp_path / "page.html").write_text(content, "utf-8")
    assert numbered_equations(tmp_path, ["page"]) == ["0a1b"]
