"""Put one bug into a copy of the library, and see whether the test that should notice does."""

import multiprocessing
import os
import shutil
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

ASSERTIONS = ("assert", "AssertionError")  # how pytest begins the message of a failed assertion
HEAVY = "torch torch._dynamo torch.profiler safetensors.torch scipy.stats sklearn.datasets skimage"
HEAVY += " matplotlib.figure tyro pytest _pytest.junitxml"


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
    """Run tests of a project against the copy of its library in a folder, in a process of its own.

    The process is the fork of one that has loaded PyTorch and its like, but nothing of the library:
    loading them anew for each bug would take most of the time.
    """
    report, output = folder / "report.xml", folder / "output.txt"
    arguments = ["-q", "-x", "--tb=short", "--assert=plain", "-p", "no:cacheprovider"]
    arguments += [f"--rootdir={root}", f"--junit-xml={report}", *(str(root / t) for t in tests)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(HEAVY.split())
    process = context.Process(target=_pytest, args=(arguments, folder, output))
    process.start()
    process.join()
    suite = ElementTree.parse(report).getroot() if report.is_file() else ElementTree.Element("x")
    return Outcome(
        process.exitcode,
        [failure.get("message", "") for failure in suite.iter("failure")],
        len(list(suite.iter("error"))),
        output.read_text("utf-8"),
    )


def _pytest(arguments: list[str], folder: Path, output: Path) -> None:
    """Become a run of pytest that finds the library in a folder, and says all into a file."""
    with output.open("wb") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    os.chdir(folder)
    sys.path.insert(0, str(folder))  # searched before the installed library
    os.environ["PYTHONPATH"] = str(folder)  # for processes that a test starts
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # none is needed, and they load slowly
    import pytest

    assert "genlearn" not in sys.modules
    code = pytest.main(arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(
        code
    )  # at once: what waits for the end of a process belongs to the one we are copied of
