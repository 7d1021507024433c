"""After the tests of the pages: how much of the sources the book treats. The number should fall."""

from pathlib import Path

import source_map

ROOT = Path(__file__).resolve().parents[2]


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(f"Source map: {source_map.summary(ROOT)}.")
