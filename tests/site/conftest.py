"""A browser for the tests of the pages; after them, how much of the sources the book treats."""

from collections.abc import Iterator
from pathlib import Path

import playwright.sync_api as playwright
import pytest
import source_map
from browsing import open_browser

ROOT = Path(__file__).resolve().parents[2]


# For each module alone: Playwright's event loop would get in the way of other tests.
@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[playwright.Browser]:
    with open_browser(tmp_path_factory.mktemp("home")) as browser:
        yield browser


def pytest_terminal_summary(terminalreporter):
    """Say how many sections of the sources wait for their chapter; the number should fall."""
    terminalreporter.write_line(f"Source map: {source_map.summary(ROOT)}.")
