"""Tests of the tests: a deliberate bug in the library must make the named test fail.

That all of these tests pass without a bug is what `make check` sees.
"""

from pathlib import Path

import pytest
from harness import Mutation, apply, copy_package, read_catalogue, run_tests

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
MUTATIONS = [entry for path in sorted(HERE.glob("*.toml")) for entry in read_catalogue(path)]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_bug_is_found(mutation, tmp_path):
    apply(mutation, copy_package(ROOT, tmp_path))
    outcome = run_tests([mutation.test], ROOT, tmp_path)
    assert outcome.found_by_assertion, outcome.output


# The harness, on a toy project

SOURCE = "def double(x):\n    return 2 * x\n"
TEST = "from genlearn import double\n\ndef test_double():\n    assert double(3) == 6\n"


@pytest.fixture
def toy(tmp_path) -> Path:
    root = tmp_path / "project"
    for folder in ["genlearn", "tests", "copy"]:
        (root / folder).mkdir(parents=True)
    (root / "genlearn" / "__init__.py").write_text(SOURCE)
    (root / "tests" / "test_toy.py").write_text(TEST)
    copy_package(root, root / "copy")
    return root


def change(old: str, new: str) -> Mutation:
    return Mutation("toy", "genlearn/__init__.py", old, new, "tests/test_toy.py", "")


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("2 * x", "3 * x", True),
        ("2 * x", "x * 2", False),  # no bug
        ("2 * x", "2 * y", False),  # an exception is no assertion
        ("def double", "def treble", False),  # the test cannot be collected
    ],
)
def test_only_a_failed_assertion_counts(old, new, found, toy):
    apply(change(old, new), toy / "copy")
    assert run_tests(["tests/test_toy.py"], toy, toy / "copy").found_by_assertion is found


def test_a_test_that_does_not_exist_counts_for_nothing(toy):
    outcome = run_tests(["tests/test_toy.py::test_gone"], toy, toy / "copy")
    assert not outcome.found_by_assertion


@pytest.mark.parametrize(("old", "count"), [("3 * x", 0), ("x", 2)])
def test_the_place_of_a_bug_must_be_unique(old, count, toy):
    with pytest.raises(ValueError, match=f"it stands {count} times; adapt the catalogue"):
        apply(change(old, "y"), toy / "copy")
    assert (toy / "copy" / "genlearn" / "__init__.py").read_text() == SOURCE
