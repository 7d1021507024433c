"""Put one bug into a copy of the library, and see whether the test that should notice does."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ASSERTIONS = ("assert", "AssertionError")  # how pytest begins the message of a failed assertion


class Mutation(NamedTuple):
    """One bug, and the test that must find it."""

    name: str
    file: str
    old: str
    new: str
    test: str
    why: str


class Outcome(NamedTuple):
    """What a run of pytest came to: its exit code, failures, errors, and what it printed."""

    code: int
    failures: list[str]
    errors: int
    output: str

    @property
    def found_by_assertion(self) -> bool:
        """Whether tests failed, and only because something asserted did not hold."""
        asserted = all(message.startswith(ASSERTIONS) for message in self.failures)
        return self.code == 1 and self.errors == 0 and bool(self.failures) and asserted


def read_catalogue(path: Path) -> list[Mutation]:
    """Read the bugs of one part of the book."""
    entries = tomllib.loads(path.read_text("utf-8"))
    return [Mutation(name, **entry) for name, entry in entries.items()]


def copy_package(root: Path, folder: Path) -> Path:
    """Copy the library of a project into an empty folder."""
    shutil.copytree(
        root / "genlearn", folder / "genlearn", ignore=shutil.ignore_patterns("__pycache__")
    )
    return folder


def apply(mutation: Mutation, folder: Path) -> None:
    """Make the change in a copy.

    Raises:
        ValueError: unless the old text stands exactly once in the file.
    """
    path = folder / mutation.file
    text = path.read_text("utf-8")
    if (count := text.count(mutation.old)) != 1:
        raise ValueError(
            f"{mutation.name}: {mutation.old!r} must stand once in {mutation.file}, "
            f"it stands {count} times; adapt the catalogue"
        )
    path.write_text(text.replace(mutation.old, mutation.new), "utf-8")


def run_tests(tests: list[str], root: Path, folder: Path) -> Outcome:
    """Run tests of a project against the copy of its library in a folder."""
    report = folder / "report.xml"
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),  # searched before the installed library
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # none is needed, and they take two seconds to load
    }
    command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"]
    command += [f"--rootdir={root}", f"--junit-xml={report}", *(str(root / t) for t in tests)]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    suite = ElementTree.parse(report).getroot() if report.is_file() else ElementTree.Element("x")
    return Outcome(
        done.returncode,
        [failure.get("message", "") for failure in suite.iter("failure")],
        len(list(suite.iter("error"))),
        done.stdout + done.stderr,
    )
