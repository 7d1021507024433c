"""The page on problem sets says what the sets and the grader say."""

from pathlib import Path

import pytest

import assignments
from grading import course
from grading.limits import Limits
from grading.outcome import MEANING

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", course.names())
def test_every_task_is_in_the_table_and_the_points_add_up(name):
    twin = (ROOT / "assignments" / name / f"{name}.py").read_text("utf-8")
    table = getattr(assignments, f"tasks_of_{name.partition('_')[0]}")
    *rows, total = table(ROOT).splitlines()[2:]
    assert len(rows) == twin.count("\n# ## Task ")
    points = [int(row.split("|")[-2]) for row in rows]
    assert f"**{sum(points)}**" in total


def test_every_limit_is_in_the_table_with_its_option():
    rows = assignments.limits(ROOT).splitlines()[2:]
    for row, (name, value) in zip(rows, Limits()._asdict().items(), strict=True):
        assert row.startswith(f"| {value} |")
        assert f"--{name.replace('_', '-')}" in row


def test_every_status_is_explained():
    assert assignments.statuses(ROOT).count("- **") == len(MEANING)


def test_the_measurement_is_that_of_the_record():
    assert "submissions of P2 graded in" in assignments.measured(ROOT)
