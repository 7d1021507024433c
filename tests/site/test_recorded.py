"""The built page of recorded results has every record, and every run that is still to come."""

from pathlib import Path

import pytest
from bs4 import BeautifulSoup

import gpu_runs
import results

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "_build" / "html"


def headings(page: Path) -> list[str]:
    """Headings of the third rank: one for each record."""
    found = BeautifulSoup(page.read_text("utf-8"), "html.parser").select("article h3")
    return [heading.get_text().removesuffix("#") for heading in found]


def test_the_book():
    page = SITE / "recorded_results.html"
    if not page.is_file():
        pytest.fail("the book is not built; run: make book", pytrace=False)
    recorded = [*results.benchmarks(ROOT), *results.runs(ROOT), *gpu_runs.read(ROOT)]
    assert headings(page) == [entry.name for entry in recorded]
