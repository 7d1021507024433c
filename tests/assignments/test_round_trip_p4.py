"""From the text twin to the marks for P4: its own answers, in a kernel of their own.

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

LIMITS = Limits(cell_seconds=20, submission_seconds=100, memory_mb=1500)
HOG = """\
def mask(height, width, kind):
    hoard = []
    while True:
        hoard.append(torch.ones(25_000_000))
"""
LOOP = """\
def sample(network, uniforms):
    images = torch.zeros_like(uniforms)
    while True:  # until nothing changes any more; but who stops it then?
        images = (uniforms < network(images)).to(uniforms.dtype)
"""
ALL = {
    f"task {number}": points
    for number, points in enumerate([14, 10, 14, 16, 12, 14, 12, 8], start=1)
}
WRONG = {
    "leaves_it_to_the_library": [
        "mask_of_the_library",
        "colours_of_the_library",
        "log_prob_of_the_library",
        "cost_of_the_library",
        "field_of_the_library",
        "draw_of_the_library",
        "logistic_of_the_library",
        "sample_of_the_library",
        "clamped_of_the_library",
        "ess_of_the_library",
        "resample_of_the_library",
    ],
    "wrong_in_the_rest": [
        "leaks_at_a_black_image",
        "skew_that_only_pads",
        "unskew_that_only_cuts",
        "step_that_goes_round",
        "join_without_a_shift",
        "cached_that_asks_the_whole_network",
        "total_of_two_levels",
        "answer_that_believes_every_claim",
    ],
}
# Name of a submission → status, and the points of its tasks.
DESERVED = {
    "a_hog_and_a_loop": ("limit", {**ALL, "task 1": 8, "task 6": 9}),
    "empty": ("graded", dict.fromkeys(ALL, 0)),
    "leaves_it_to_the_library": (
        "graded",
        {**dict.fromkeys(ALL, 0), "task 3": 8, "task 4": 16, "task 6": 9, "task 8": 8},
    ),
    "reference": ("graded", ALL),
    "right_by_hand": ("graded", ALL),
    "right_by_torch": ("graded", ALL),
    "right_terse": ("graded", ALL),
    "wrong_in_the_rest": ("graded", {**ALL, "task 3": 6, "task 4": 0, "task 6": 5, "task 8": 0}),
}


@pytest.fixture(scope="module")
def results(set_named, tmp_path_factory) -> Path:
    """The folder of what comes back."""
    p4, base = set_named("p4_pixels"), tmp_path_factory.mktemp("batch")
    submitted, results = base / "submitted", base / "results"
    submitted.mkdir()
    handed_in.make_usual(submitted, p4)
    handed_in.make_with_wrong(submitted, p4, WRONG)
    broken = {**solutions(p4.source), "t1-mask": HOG, "t6-naive": LOOP}
    (submitted / "a_hog_and_a_loop.ipynb").write_text(json.dumps(answered(p4.release, broken)))
    found = submissions.find(submitted, "p4_pixels")
    assert cli.grade_all(p4.built, found, results, LIMITS, workers=2) == 0
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
    assert rows[name]["of"] == "100"


def test_notes_name_the_limit(rows):
    notes = rows["a_hog_and_a_loop"]["notes"]
    assert "t1-mask-tests: more than 1500 MB of memory" in notes
    assert "t6-naive-tests: more than 20 s" in notes


def test_a_page_says_that_the_library_may_not_be_called(results):
    page = (results / "feedback" / "leaves_it_to_the_library.html").read_text("utf-8")
    kinds = WRONG["leaves_it_to_the_library"]
    assert page.count("<td>write this one with torch alone") == len(kinds)
