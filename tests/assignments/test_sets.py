"""Tests of the tests of each problem set: what they find, and what none may object to."""

import re

import pytest
from answers import catalogue, solutions

from grading import course, leaks, twin

CATALOGUES = {name: catalogue(name) for name in course.names()}
RIGHT = [
    (name, kind) for name, answers in CATALOGUES.items() for kind in ["reference", *answers.right]
]
WRONG = [(name, kind) for name, answers in CATALOGUES.items() for kind in answers.wrong]
SEEN = [(name, kind) for name, answers in CATALOGUES.items() for kind in answers.seen]


@pytest.mark.parametrize(("name", "kind"), WRONG)
def test_a_misconception_is_found_by_a_hidden_test_alone(name, kind, set_named):
    """It costs its own cell and no other."""
    one = set_named(name)
    wrong, points = one.wrong[kind], twin.points(one.source)
    answers, tests = one.with_wrong(kind), f"{wrong['cell']}-tests"
    assert one.desk.complaint(answers, tests, hidden=False) is None
    said = one.desk.complaints(answers, list(points), hidden=True)
    assert (said.pop(tests) or "").startswith(wrong["says"])
    assert said == dict.fromkeys(set(points) - {tests})


@pytest.mark.parametrize(("name", "kind"), SEEN)
def test_the_visible_tests_help(name, kind, set_named):
    one = set_named(name)
    seen = one.seen[kind]
    answers = {**solutions(one.source), seen["cell"]: seen["code"]}
    said = one.desk.complaint(answers, f"{seen['cell']}-tests", hidden=False)
    assert (said or "").startswith(seen["says"])


def test_some_mistakes_are_visible(problem_set):
    assert len(problem_set.seen) >= 5  # the tests that students see do find something


@pytest.mark.parametrize(("name", "kind"), RIGHT)
def test_a_right_answer_passes(name, kind, set_named):
    """In a notebook of its own, each cell behind those before it."""
    one = set_named(name)
    answers = one.right.get(kind) or solutions(one.source)
    assert one.desk.in_order(answers) == dict.fromkeys(twin.points(one.source))


def test_a_notebook_without_answers_gets_nothing(problem_set):
    stubs = solutions(problem_set.release)
    said = problem_set.desk.in_order(stubs)
    assert list(said) == list(twin.points(problem_set.source))
    assert all(said.values())


def test_other_ways_of_writing_answer_every_task(problem_set):
    assert len(problem_set.right) >= 3
    for answers in problem_set.right.values():
        assert list(answers) == list(solutions(problem_set.source))


def test_every_hidden_test_finds_a_misconception(problem_set):
    for cell in twin.graded_cells(problem_set.source):
        name = cell.metadata.nbgrader.grade_id.removesuffix("-tests")
        found = [wrong["says"] for wrong in problem_set.wrong.values() if wrong["cell"] == name]
        for message in leaks.hidden_messages(cell.source):
            assert any(message.startswith(says) for says in found), f"{name}: {message}"


def test_headings_say_the_points(problem_set):
    source = problem_set.source
    text = "\n".join(cell.source for cell in source.cells)
    said = {
        f"task {heading[1]}": float(heading[2])
        for heading in re.finditer(r"^## Task (\d+): .*\((\d+) points\)$", text, re.MULTILINE)
    }
    assert said == twin.by_task(twin.points(source))
    assert 6 <= len(said) <= 8
    assert f"{sum(said.values()):g} points" in source.cells[0].source
