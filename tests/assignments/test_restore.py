"""Whatever was done to the given cells, they are put back, where they can do their work."""

import copy
import json
import shutil

import pytest
from answers import answered, cell_of, solutions

from grading import restore, twin


@pytest.fixture
def put_back(built, source, release, tmp_path):
    """Hand in a notebook; return the restored one and the notes."""

    def run(notebook):
        file = tmp_path / "submission.ipynb"
        file.write_text(json.dumps(notebook), "utf-8")
        shutil.copy(built.gradebook, tmp_path / "gradebook.db")
        resources = {
            "nbgrader": {
                "notebook": "p2_vae",
                "assignment": "p2_vae",
                "student": "someone",
                "db_url": f"sqlite:///{tmp_path / 'gradebook.db'}",
            }
        }
        given = restore.read_submission(file, release)
        return restore.restore(given, release, resources)

    return run


@pytest.fixture
def submission(release, source):
    return answered(release, solutions(source))


def names(notebook) -> list[str | None]:
    return [restore.name_in(cell.metadata) for cell in notebook.cells]


def test_an_untouched_submission_gets_the_whole_tests(put_back, submission, source):
    restored, notes = put_back(submission)
    assert notes == []
    assert names(restored) == names(source)
    for name in twin.points(source):
        assert cell_of(restored, name).source == cell_of(source, name).source


@pytest.mark.parametrize(
    "spoil",
    [
        lambda cell: cell.update(source=""),
        lambda cell: cell.update(cell_type="raw"),
        lambda cell: cell.update(cell_type="markdown"),
        lambda cell: cell.metadata.nbgrader.update(points=50),
        lambda cell: cell.metadata.nbgrader.update(grade=False, locked=False, solution=True),
        lambda cell: cell.metadata.nbgrader.pop("schema_version"),
        lambda cell: cell.metadata.update(tags=["skip-execution"]),
        lambda cell: cell.metadata.update(nbgrader="nonsense"),
        lambda cell: cell.update(metadata={}),
    ],
)
def test_a_cell_of_tests_is_whole_again(spoil, put_back, submission, source):
    spoil(cell_of(submission, "t5-iwae-tests"))
    restored, _ = put_back(submission)
    assert twin.points(restored) == twin.points(source)
    cell, original = (cell_of(nb, "t5-iwae-tests") for nb in (restored, source))
    assert (cell.cell_type, cell.source) == ("code", original.source)
    assert set(cell.metadata) == {"nbgrader"}


@pytest.mark.parametrize("gone", ["setup", "t1-kl-tests", "t4-elbo-tests", "t8-given"])
def test_a_missing_cell_is_put_where_it_was(gone, put_back, submission, source):
    submission.cells.remove(cell_of(submission, gone))
    restored, notes = put_back(submission)
    assert notes == [f"{gone} was missing"]
    given = [name for name in names(restored) if name]
    assert given == [name for name in names(source) if name]


def test_every_given_cell_may_be_missing(put_back, submission, source):
    locked = {
        name for name in names(source) if name and cell_of(source, name).metadata.nbgrader.locked
    }
    submission.cells = [c for c in submission.cells if restore.name_in(c.metadata) not in locked]
    restored, _ = put_back(submission)
    order = [name for name in names(restored) if name]
    assert sorted(order) == sorted(name for name in names(source) if name)
    for tests in twin.points(source):
        assert order.index(tests) > order.index(tests.removesuffix("-tests"))
    assert order[0] == "setup"
    assert order.index("t8-given") < order.index("t8-answer")


def test_tests_without_any_name_left_come_last(put_back, submission, source):
    for cell in submission.cells:
        cell.metadata = {}
    restored, _ = put_back(submission)
    tests = [name for name in names(restored) if name in twin.points(source)]
    assert tests == list(twin.points(source))
    added = len(tests) + len(["setup", "t8-given"])
    assert set(names(restored)[:-added]) == {None}


def test_of_two_copies_the_last_counts(put_back, submission, source):
    original = cell_of(submission, "t1-kl-tests")
    copied = copy.deepcopy(original)
    copied.source = "pass"
    submission.cells.append(copied)
    restored, notes = put_back(submission)
    assert notes[0] == "t1-kl-tests was there 2 times, the last counts"
    assert names(restored).count("t1-kl-tests") == 1
    assert names(restored)[-1] == "t1-kl-tests"
    assert restored.cells[-1].source == cell_of(source, "t1-kl-tests").source


def test_a_cell_with_a_name_of_its_own_gives_no_points(put_back, submission, source):
    bonus = copy.deepcopy(cell_of(submission, "t1-kl-tests"))
    bonus.metadata.nbgrader.grade_id = "t1-bonus"
    bonus.source = "pass"
    submission.cells.append(bonus)
    restored, _ = put_back(submission)
    assert twin.points(restored) == twin.points(source)
    assert restored.cells[-1].source == "pass"


def test_answers_and_own_cells_stay_as_they_are(put_back, submission):
    own = copy.deepcopy(cell_of(submission, "t1-kl"))
    own.metadata = {"collapsed": True}
    own.source = "# my own notes"
    submission.cells.insert(3, own)
    restored, notes = put_back(submission)
    assert notes == []
    assert restored.cells[3].source == "# my own notes"
    assert cell_of(restored, "t1-kl").source == cell_of(submission, "t1-kl").source


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not a notebook",
        "[]",
        "null",
        "{}",
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": 3}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code"}]}',
        '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "x"}]}',
        '{"nbformat": 99, "nbformat_minor": 5, "metadata": {}, "cells": []}',
        "[" * 100_000,
    ],
)
def test_what_is_no_notebook_is_refused(text, release, tmp_path):
    file = tmp_path / "submission.ipynb"
    file.write_text(text, "utf-8")
    with pytest.raises(restore.Unreadable):
        restore.read_submission(file, release)


def test_a_notebook_of_an_older_format_is_read(release, tmp_path):
    cell = {"cell_type": "code", "input": "1 + 1", "language": "python", "outputs": []}
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {}}
    file = tmp_path / "submission.ipynb"
    file.write_text(json.dumps({**old, "worksheets": [{"cells": [cell], "metadata": {}}]}), "utf-8")
    (read,) = restore.read_submission(file, release).cells
    assert read.source == "1 + 1"
