"""From the text twin to the marks: every kind of submission of P2 gets exactly what it deserves.

All are graded once, in one batch, with limits short enough for a test.
"""

import html
import time
from typing import Any

import handed_in
import psutil
import pytest
from came_back import of_tasks, read_marks

from grading import cli, leaks, submissions
from grading.batch import Batch, Running
from grading.limits import Limits

LIMITS = Limits(cell_seconds=20, submission_seconds=100, memory_mb=1500, output_kb=64)
ALL = {f"task {number}": points for number, points in enumerate([2, 2, 2, 3, 2, 4, 2, 3], start=1)}


def less(*lost: tuple[int, int]) -> dict[str, float]:
    """All points but those lost: pairs of task and points."""
    return {**ALL, **{f"task {task}": ALL[f"task {task}"] - points for task, points in lost}}


NONE = dict.fromkeys(ALL, 0)

# Name of a submission → status, and the points of its tasks.
DESERVED = {
    "a_loop": ("limit", less((3, 2))),  # in the first place: it takes longest
    "a_hog": ("limit", less((5, 2))),
    "reference": ("graded", ALL),
    "empty": ("graded", NONE),
    "right_distributions": ("graded", ALL),
    "kl_without_half": ("graded", less((1, 2))),
    "mean_for_sum": ("graded", less((2, 2), (4, 2), (7, 1))),
    "mean_of_logs": ("graded", less((5, 2), (6, 2))),
    "edited_tests": ("graded", less((1, 2))),
    "deleted_tests": ("graded", less((1, 2), (6, 2))),
    "copies": ("graded", less((5, 2))),
    "exception": ("graded", less((6, 4))),
    "names_lost": ("graded", ALL),
    "chatter_and_quitter": ("limit", less((4, 2), (7, 1))),
    "truncated": ("unreadable", NONE),
    "no_notebook": ("unreadable", NONE),
    "list_of_cells": ("unreadable", NONE),
    "picture": ("unreadable", NONE),
    "huge": ("too large", NONE),
    "two_files": ("no notebook", NONE),
    "nothing": ("no notebook", NONE),
    "essay": ("no notebook", NONE),
}


@pytest.fixture(scope="module")
def graded(p2, tmp_path_factory) -> dict[str, Any]:
    """The batch: its table of marks, and the folders."""
    base = tmp_path_factory.mktemp("batch")
    submitted, results = base / "submitted", base / "results"
    submitted.mkdir()
    handed_in.make(submitted, p2, LIMITS.file_mb)
    found = submissions.find(submitted, "p2_vae")
    begin = time.monotonic()
    scratch, start = [], Batch.start

    def noted(batch: Batch, submission: submissions.Submission) -> Running:
        running = start(batch, submission)
        scratch.append(str(running.scratch))
        return running

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batch, "start", noted)
        code = cli.grade_all(p2.built, found, results, LIMITS, workers=2)
    assert code == 0
    return {
        "submitted": submitted,
        "results": results,
        "scratch": scratch,
        "seconds": time.monotonic() - begin,
        "rows": read_marks(results),
    }


def test_every_submission_has_a_row(graded):
    assert list(graded["rows"]) == sorted(DESERVED)


@pytest.mark.parametrize("name", DESERVED)
def test_it_gets_exactly_what_it_deserves(name, graded):
    row = graded["rows"][name]
    status, points = DESERVED[name]
    assert row["status"] == status, row["notes"]
    assert of_tasks(row) == points
    assert float(row["total"]) == sum(points.values())
    assert row["of"] == "20"


@pytest.mark.parametrize("name", DESERVED)
def test_it_gets_a_page(name, graded):
    page = (graded["results"] / "feedback" / f"{name}.html").read_text("utf-8")
    assert f"{graded['rows'][name]['total']} of 20 points" in page
    assert "http" not in page.replace("https://", "http").split("<body>")[0]  # nothing from outside


def test_pages_do_not_show_hidden_tests(graded, source):
    secret, public = leaks.secret_and_public_lines(source)
    tests = {line for line in secret if "Generator" in line or "assert" in line}
    hidden = {line for line in tests if not any(line in given for given in public)}
    assert len(hidden) > 20
    for page in (graded["results"] / "feedback").glob("*.html"):
        text = html.unescape(page.read_text("utf-8"))
        assert not [line for line in hidden if line in text], page.name


def test_pages_say_what_went_wrong(graded):
    def page(name: str) -> str:
        return (graded["results"] / "feedback" / f"{name}.html").read_text("utf-8")

    assert "not what the integral of" in page("kl_without_half")
    assert "no answer yet" in page("empty")
    assert "ZeroDivisionError" in page("exception")
    assert "more than 20 s" in page("a_loop")


def test_notes_say_what_was_put_right(graded):
    rows = graded["rows"]
    assert "t1-kl-tests was changed, and put back" in rows["edited_tests"]["notes"]
    assert "t6-gap-tests was missing" in rows["deleted_tests"]["notes"]
    assert "t1-kl was there 2 times" in rows["copies"]["notes"]
    assert "t3-draw-tests: more than 20 s" in rows["a_loop"]["notes"]
    assert "t5-iwae-tests: more than 1500 MB of memory" in rows["a_hog"]["notes"]
    assert "t4-elbo-tests: more than 64 kB of output" in rows["chatter_and_quitter"]["notes"]
    assert "t7-warmup-tests: the kernel ended" in rows["chatter_and_quitter"]["notes"]
    assert rows["reference"]["notes"] == ""


def test_one_bad_submission_does_not_slow_the_others(graded):
    """Each keeps its limits, and the batch takes no longer than they add up to."""
    seconds = {name: float(row["seconds"]) for name, row in graded["rows"].items()}
    assert max(seconds.values()) < LIMITS.submission_seconds
    assert seconds["a_loop"] > LIMITS.cell_seconds
    assert graded["seconds"] < sum(seconds.values())


def test_nothing_is_left_running(graded):
    """Of this batch; another one may be on its way beside it."""
    commands = [" ".join(command_line(process)) for process in psutil.process_iter()]
    assert graded["scratch"]
    assert not [folder for folder in graded["scratch"] if any(folder in c for c in commands)]


def command_line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_second_run_grades_only_what_changed(graded, built, capsys, tmp_path):
    submitted, results = graded["submitted"], graded["results"]
    before = {path: path.stat().st_mtime_ns for path in (results / "outcomes").iterdir()}
    (submitted / "no_notebook.ipynb").write_text("Still not.")
    found = submissions.find(submitted, "p2_vae")
    begin = time.monotonic()
    assert cli.grade_all(built, found, results, LIMITS, workers=2) == 0
    assert time.monotonic() - begin < 30
    changed = [path.stem for path, old in before.items() if path.stat().st_mtime_ns != old]
    assert changed == ["no_notebook"]
    assert {**read_marks(results), "no_notebook": None} == {**graded["rows"], "no_notebook": None}


def test_other_limits_are_a_reason_to_grade_again(graded, built):
    batch = Batch(built, graded["results"], LIMITS, workers=1)
    longer = Batch(built, graded["results"], LIMITS._replace(cell_seconds=30), workers=1)
    (one,) = [s for s in submissions.find(graded["submitted"], "p2_vae") if s.student == "empty"]
    assert batch.known(one) is not None
    assert longer.known(one) is None
