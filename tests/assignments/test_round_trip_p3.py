"""From the text twin to the marks for P3: its own answers, in a kernel of their own.

What may become of any submission is tested with P2.
"""

import json
from pathlib import Path

import handed_in
import pytest
from answers import answered, solutions
from came_back import of_tasks, read_marks

from grading import cli, submissions
from grading.limits import Limits

LIMITS = Limits(cell_seconds=15, submission_seconds=100, memory_mb=1500)
HOG = """\
def best_discriminator(p_real, p_fake):
    hoard = []
    while True:
        hoard.append(torch.ones(25_000_000))
"""
LOOP = "def saturating_slope(logits):\n    while logits.any() or True:\n        pass\n"
ALL = {f"task {number}": points for number, points in enumerate([3, 2, 2, 3, 4, 2, 2, 2], start=1)}
WRONG = {
    "leaves_it_to_the_library": [
        "loss_of_the_library",
        "saturating_slope_of_the_library",
        "non_saturating_slope_of_the_library",
        "between_of_the_library",
        "real_of_the_library",
        "average_of_the_library",
        "modes_of_the_library",
    ],
    "wrong_in_the_rest": [
        "best_for_the_generator",
        "value_that_rewards_fakes",
        "js_twice",
        "step_that_always_alternates",
        "growth_without_the_half",
        "spectral_norm_of_all_entries",
        "round_without_detach",
        "signal_squared",
        "answer_that_takes_the_smaller_gradient_for_the_better",
    ],
}
# Name of a submission → status, and the points of its tasks.
DESERVED = {
    "a_hog_and_a_loop": ("limit", {**ALL, "task 1": 2, "task 3": 1}),
    "empty": ("graded", dict.fromkeys(ALL, 0)),
    "leaves_it_to_the_library": (
        "graded",
        {**dict.fromkeys(ALL, 0), "task 1": 3, "task 4": 3, "task 5": 1, "task 6": 2, "task 8": 2},
    ),
    "reference": ("graded", ALL),
    "right_by_hand": ("graded", ALL),
    "right_by_torch": ("graded", ALL),
    "right_terse": ("graded", ALL),
    "wrong_in_the_rest": (
        "graded",
        {**dict.fromkeys(ALL, 0), "task 2": 2, "task 3": 2, "task 5": 3, "task 7": 2},
    ),
}


@pytest.fixture(scope="module")
def results(set_named, tmp_path_factory) -> Path:
    """The folder of what comes back."""
    p3, base = set_named("p3_gan"), tmp_path_factory.mktemp("batch")
    submitted, results = base / "submitted", base / "results"
    submitted.mkdir()
    handed_in.make_usual(submitted, p3)
    handed_in.make_with_wrong(submitted, p3, WRONG)
    broken = {**solutions(p3.source), "t1-best": HOG, "t3-saturating": LOOP}
    (submitted / "a_hog_and_a_loop.ipynb").write_text(json.dumps(answered(p3.release, broken)))
    found = submissions.find(submitted, "p3_gan")
    assert cli.grade_all(p3.built, found, results, LIMITS, workers=2) == 0
    return results


@pytest.fixture(scope="module")
def rows(results) -> dict[str, dict[str, str]]:
    """The table of marks."""
    return read_marks(results)


def test_every_submission_has_a_row(rows):
    assert list(rows) == sorted(DESERVED)


@pytest.mark.parametrize("name", DESERVED)
def test_it_gets_exactly_what_it_deserves(name, rows):
    status, points = DESERVED[name]
    assert rows[name]["status"] == status, rows[name]["notes"]
    assert of_tasks(rows[name]) == points
    assert rows[name]["of"] == "20"


def test_notes_name_the_limit(rows):
    notes = rows["a_hog_and_a_loop"]["notes"]
    assert "t1-best-tests: more than 1500 MB of memory" in notes
    assert "t3-saturating-tests: more than 15 s" in notes


def test_a_page_says_that_the_library_may_not_be_called(results):
    page = (results / "feedback" / "leaves_it_to_the_library.html").read_text("utf-8")
    kinds = WRONG["leaves_it_to_the_library"]
    assert page.count("<td>write this one with torch alone") == len(kinds)
