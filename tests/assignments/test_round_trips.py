"""From the text twin to the marks, for every set but P2: its own answers, in kernels of their own.

What may become of any submission is tested with P2, and answers without a kernel in ``test_sets``.
"""

from pathlib import Path
from typing import NamedTuple

import handed_in
import pytest
from answers import ProblemSet, answered, solutions
from came_back import of_tasks, read_marks

from grading import cli, course, submissions, twin
from grading.limits import Limits

SETS = [name for name in course.names() if name != "p2_vae"]
# Of this set one submission goes beyond its limits; nothing is trained in it, so they may be short.
ENDLESS = "p5_evaluation"
SHORT = Limits(cell_seconds=15, submission_seconds=100, memory_mb=1500)


class RoundTrip(NamedTuple):
    """A batch, as it came back."""

    problem_set: ProblemSet
    wrong: dict[str, list[str]]
    """Name of each submission → cells that are wrong in it."""
    rows: dict[str, dict[str, str]]
    """The table of marks."""
    results: Path


@pytest.fixture(scope="module", params=SETS)
def round_trip(request, set_named, tmp_path_factory) -> RoundTrip:
    one, base = set_named(request.param), tmp_path_factory.mktemp("batch")
    submitted, results = base / "submitted", base / "results"
    submitted.mkdir()
    kinds = {"reference": [], **wrong_everywhere(one)}
    handed_in.make_with_wrong(submitted, one, kinds)
    wrong = {name: [one.wrong[kind]["cell"] for kind in of_it] for name, of_it in kinds.items()}
    if request.param == ENDLESS:
        answers = solutions(one.source)
        hog, loop = list(answers)[:2]
        answers[hog] = handed_in.hog(answers[hog])
        answers[loop] = handed_in.loop_when_watched(answers[loop])
        handed_in.save(answered(one.release, answers), submitted / "endless.ipynb")
        wrong["endless"] = [hog, loop]
    found = submissions.find(submitted, request.param)
    limits = SHORT if request.param == ENDLESS else Limits()
    assert cli.grade_all(one.built, found, results, limits, workers=2) == 0
    return RoundTrip(one, wrong, read_marks(results), results)


def wrong_everywhere(one: ProblemSet) -> dict[str, list[str]]:
    """Two submissions, and one misconception about each cell: the library's, or the first."""
    first, library = {}, {}
    for kind, wrong in one.wrong.items():
        first.setdefault(wrong["cell"], kind)
        if wrong["says"].startswith("write this one with torch alone"):
            library.setdefault(wrong["cell"], kind)
    rest = [kind for cell, kind in first.items() if cell not in library]
    return {"leaves_it_to_the_library": list(library.values()), "wrong_in_the_rest": rest}


def test_every_submission_has_a_row(round_trip):
    assert list(round_trip.rows) == sorted(round_trip.wrong)


def test_each_gets_exactly_what_it_deserves(round_trip):
    for name, row in round_trip.rows.items():
        points = twin.points(round_trip.problem_set.source)
        points |= dict.fromkeys((f"{cell}-tests" for cell in round_trip.wrong[name]), 0)
        assert row["status"] == ("limit" if name == "endless" else "graded"), row["notes"]
        assert of_tasks(row) == twin.by_task(points), name
        assert float(row["total"]) == sum(points.values())


def test_every_cell_was_wrong_once_and_right_once(round_trip):
    points = twin.points(round_trip.problem_set.source)
    wrong = [f"{cell}-tests" for name in round_trip.rows for cell in round_trip.wrong[name]]
    assert set(wrong) == set(points)
    assert len(round_trip.wrong["leaves_it_to_the_library"]) >= 5


def test_a_page_says_that_the_library_may_not_be_called(round_trip):
    pages = round_trip.results / "feedback"
    page = (pages / "leaves_it_to_the_library.html").read_text("utf-8")
    cells = round_trip.wrong["leaves_it_to_the_library"]
    assert page.count("<td>write this one with torch alone") == len(cells)


def test_notes_name_the_limit(round_trip):
    if "endless" not in round_trip.rows:
        assert not any(row["notes"] for row in round_trip.rows.values())
        return
    notes = round_trip.rows["endless"]["notes"]
    hog, loop = round_trip.wrong["endless"]
    assert f"{hog}-tests: more than 1500 MB of memory" in notes
    assert f"{loop}-tests: more than 15 s" in notes
