"""What students get holds nothing that they must not have."""

import copy
import json
from pathlib import Path

import nbformat
import pytest
from answers import cell_of, solutions
from nbformat.v4 import new_code_cell, new_notebook, new_output
from nbgrader.utils import compute_checksum

from grading import course, leaks, twin

ROOT = Path(__file__).resolve().parents[2]


def test_students_get_one_file(problem_set):
    given = problem_set.built.release
    assert [path for path in given.parent.rglob("*") if path.is_file()] == [given]


def test_no_leak_is_found(problem_set):
    assert list(leaks.complaints(problem_set.release, problem_set.source)) == []


def test_neither_solutions_nor_hidden_tests_are_anywhere_in_the_file(problem_set):
    text = problem_set.built.release.read_text("utf-8")
    secret, public = leaks.secret_and_public_lines(problem_set.source)
    assert len(secret - public) > 100
    for line in secret:
        inside_json = json.dumps(line)[1:-1]
        assert any(line in given for given in public) or inside_json not in text, line
    assert "BEGIN" not in text
    assert "HIDDEN" not in text


def test_it_says_nothing_of_this_machine(problem_set):
    text = problem_set.built.release.read_text("utf-8")
    assert str(ROOT) not in text
    assert str(Path.home()) not in text.replace('"/', '" /') or Path.home() == Path("/")


def test_every_answer_is_a_stub(problem_set):
    for name in solutions(problem_set.source):
        assert (
            cell_of(problem_set.release, name)
            .source.rstrip()
            .endswith("raise NotImplementedError()")
        )


def test_tests_cannot_be_edited_in_the_notebook(problem_set):
    for cell in twin.graded_cells(problem_set.release):
        assert cell.metadata.editable is False
        assert cell.metadata.deletable is False


def test_checksums_are_those_of_the_released_cells(problem_set):
    """A checksum of the whole tests would let one try what is in them."""
    for cell in twin.graded_cells(problem_set.release):
        assert cell.metadata.nbgrader.checksum == compute_checksum(cell)


def test_two_releases_are_the_same_bytes(built, tmp_path):
    again = course.release(built.name, built=tmp_path)
    assert again.release.read_bytes() == built.release.read_bytes()


def test_a_release_is_made_anew_only_when_something_changed(tmp_path):
    first = course.release("p2_vae", built=tmp_path)
    made = first.release.stat().st_mtime_ns
    assert course.released("p2_vae", built=tmp_path).release.stat().st_mtime_ns == made
    (tmp_path / "p2_vae.digest").write_text("of something else")
    assert course.released("p2_vae", built=tmp_path).release.stat().st_mtime_ns > made


# Each leak is found


def spoil_line(notebook, source):
    notebook.cells[-1].source += "\n    assert silent == 64"


def spoil_marker(notebook, source):
    notebook.cells[-1].source += "\n### END SOLUTION"


def spoil_output(notebook, source):
    notebook.cells[1].outputs = [new_output("stream", text="42")]


def spoil_cell_metadata(notebook, source):
    notebook.cells[1].metadata.tags = ["solution"]


def spoil_notebook_metadata(notebook, source):
    notebook.metadata.authors = ["someone"]


def spoil_attachment(notebook, source):
    notebook.cells[0].attachments = {"solution.png": {}}


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (spoil_marker, "a marker"),
        (spoil_output, "outputs"),
        (spoil_cell_metadata, "metadata tags"),
        (spoil_notebook_metadata, "metadata of the notebook: authors"),
        (spoil_attachment, "attachments"),
    ],
)
def test_a_leak_is_found(spoil, complaint, release, source):
    notebook = copy.deepcopy(release)
    spoil(notebook, source)
    (found,) = leaks.complaints(notebook, source)
    assert complaint in found


def test_a_secret_line_is_found(release, source):
    secret, public = leaks.secret_and_public_lines(source)
    for line in secret - public:
        notebook = copy.deepcopy(release)
        notebook.cells[5].source += f"\n        {line}"
        assert list(leaks.complaints(notebook, source)) == [
            f"a line that students must not see: {line}"
        ]


# Faults of an instructor's notebook

TOY = """\
# %% nbgrader={"grade_id": "t1-one", "solution": true}
### BEGIN SOLUTION
one = 1
### END SOLUTION

# %% nbgrader={"grade_id": "t1-one-tests", "grade": true, "points": 1}
assert one > 0
### BEGIN HIDDEN TESTS
assert one == 1, f"not {1}"
### END HIDDEN TESTS
"""


@pytest.fixture
def toy(tmp_path):
    """Make a problem set of one task; return a function that releases it."""

    def build(text: str) -> course.Course:
        folder = tmp_path / "assignments" / "toy"
        folder.mkdir(parents=True)
        (folder / "toy.py").write_text(text, "utf-8")
        return course.release("toy", tmp_path, tmp_path / "built")

    return build


def test_a_toy_is_released(toy):
    release = nbformat.read(toy(TOY).release, as_version=4)
    assert [cell.source for cell in release.cells] == [
        "# YOUR CODE HERE\nraise NotImplementedError()",
        "assert one > 0",
    ]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("### END SOLUTION\n", "", "toy: cell-000: SOLUTION is not closed"),
        ("### BEGIN SOLUTION\n", "", "toy: cell-000: ### END SOLUTION is out of place"),
        ("t1-one-tests", "one-tests", "toy: one-tests: the name of a graded cell begins"),
        ("t1-one-tests", "t1-one", "toy: nbgrader makes no release"),
        (', "solution": true', "", "toy: nbgrader makes no release"),
        ("assert one > 0", "assert one == 1, f'not {1}'\none = 1", ""),
    ],
)
def test_a_fault_is_one_line(old, new, complaint, toy):
    assert TOY.count(old) == 1
    if not complaint:  # a line that stands outside of the regions too is no secret
        toy(TOY.replace(old, new))
        return
    with pytest.raises(course.BuildError, match=complaint) as error:
        toy(TOY.replace(old, new))
    assert "\n" not in str(error.value)


def test_messages_of_hidden_tests_are_read_from_the_code():
    cells = [new_code_cell(source) for source in TOY.split("\n\n")]
    notebook = new_notebook(cells=cells)
    assert leaks.hidden_messages(notebook.cells[1].source) == ["not …"]


def test_the_marking_scheme_names_every_cell_and_its_points(problem_set):
    table = course.marking_scheme(problem_set.source)
    points = twin.points(problem_set.source)
    for grade_id, worth in points.items():
        assert f"| {grade_id} | {worth:g} |" in table
    assert f"| **{sum(points.values()):g}** |" in table
