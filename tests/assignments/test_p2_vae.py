"""Tests of the tests of problem set 2: what each of them finds, and what none may object to."""

import re

import pytest
from answers import RIGHT, SEEN, WRONG, solutions

from grading import leaks, twin


def cell_answers(source, cell: str, code: str) -> dict[str, str]:
    """An answer, after the reference's answers that it may use."""
    return {**solutions(source), cell: code}


@pytest.mark.parametrize("name", WRONG)
def test_a_misconception_is_found_by_a_hidden_test_alone(name, source, desk):
    wrong = WRONG[name]
    answers, tests = cell_answers(source, wrong["cell"], wrong["code"]), f"{wrong['cell']}-tests"
    assert desk.complaint(answers, tests, hidden=False) is None
    assert (desk.complaint(answers, tests, hidden=True) or "").startswith(wrong["says"])


@pytest.mark.parametrize("name", SEEN)
def test_the_visible_tests_help(name, source, desk):
    seen = SEEN[name]
    answers, tests = cell_answers(source, seen["cell"], seen["code"]), f"{seen['cell']}-tests"
    assert (desk.complaint(answers, tests, hidden=False) or "").startswith(seen["says"])


@pytest.mark.parametrize("name", ["reference", *RIGHT])
def test_a_right_answer_passes(name, source, desk):
    answers = {**solutions(source), **RIGHT.get(name, {})}
    says = {tests: desk.complaint(answers, tests, hidden=True) for tests in twin.points(source)}
    assert says == dict.fromkeys(twin.points(source))


def test_other_ways_of_writing_answer_every_task(source):
    assert len(RIGHT) >= 3
    for answers in RIGHT.values():
        assert list(answers) == list(solutions(source))


def test_every_hidden_test_finds_a_misconception(source):
    for cell in twin.graded_cells(source):
        name = cell.metadata.nbgrader.grade_id.removesuffix("-tests")
        found = [wrong["says"] for wrong in WRONG.values() if wrong["cell"] == name]
        for message in leaks.hidden_messages(cell.source):
            assert any(message.startswith(says) for says in found), f"{name}: {message}"


def test_an_error_in_one_task_costs_no_other(source, desk):
    """With any one misconception, the tests of all other cells still pass."""
    for wrong in WRONG.values():
        answers = {**solutions(source), wrong["cell"]: wrong["code"]}
        others = set(twin.points(source)) - {f"{wrong['cell']}-tests"}
        for tests in others - {"t8-answer-tests"} if wrong["cell"] != "t8-worth" else others:
            assert desk.complaint(answers, tests, hidden=True) is None, (wrong["cell"], tests)


def test_headings_say_the_points(source):
    text = "\n".join(cell.source for cell in source.cells)
    said = {
        f"task {heading[1]}": float(heading[2])
        for heading in re.finditer(r"^## Task (\d+): .*\((\d+) points\)$", text, re.MULTILINE)
    }
    assert said == twin.by_task(twin.points(source))
    assert 6 <= len(said) <= 8
    assert f"{sum(said.values()):g} points" in source.cells[0].source
