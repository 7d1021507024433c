"""The command line: ``python -m grading release`` and ``python -m grading grade DIR``."""

import argparse
import signal
import sys
import tempfile
from pathlib import Path

import nbformat
from tqdm import tqdm

from grading import course, feedback, marks, outcome, submissions, twin
from grading.batch import Batch
from grading.course import Course
from grading.limits import Limits
from grading.outcome import Outcome
from grading.submissions import Submission


class UserError(Exception):
    """Something that whoever typed the command can put right; the message says what."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # end what runs, as Ctrl-C does
    parser = argparse.ArgumentParser(prog="grading", description="Release and grade problem sets.")
    commands = parser.add_subparsers(dest="command", required=True)
    release = commands.add_parser("release", help="build every problem set")
    release.set_defaults(run=run_release)
    grade = commands.add_parser("grade", help="grade a folder of submissions")
    grade.add_argument("folder", type=Path, help="one notebook or one folder a student")
    grade.add_argument("--set", help="which problem set (not needed if there is only one)")
    grade.add_argument("--to", type=Path, help="where marks go (FOLDER-graded/SET)")
    grade.add_argument("--workers", type=int, default=2, help="how many at a time (2)")
    for name, value in Limits()._asdict().items():
        grade.add_argument(
            f"--{name.replace('_', '-')}", type=type(value), default=value, help=f"({value})"
        )
    grade.set_defaults(run=run_grade)
    options = parser.parse_args(arguments)
    try:
        return options.run(options)
    except (UserError, course.BuildError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nInterrupted. The same command goes on where it stopped.", file=sys.stderr)
        return 130


def run_release(options: argparse.Namespace) -> int:
    """Build every problem set, and run each reference solution."""
    for name in course.names():
        built = course.release(name)
        try:
            check_reference(built)
        except course.BuildError:
            course.withdraw(built)
            raise
        print(f"{name}, for students: {built.release}")
        print(f"{name}, for staff:    {built.instructor}")
    return 0


def check_reference(built: Course) -> None:
    """Grade the instructor's own notebook, and keep it as the page for staff.

    Raises:
        BuildError: if it loses points.
    """
    with tempfile.TemporaryDirectory(prefix="reference-") as folder:
        batch = Batch(built, Path(folder), Limits(), workers=1)
        reference = Submission("reference", built.source)
        (result,) = batch.grade([reference])
        if not (ran := batch.notebook_file(reference)).is_file():
            raise course.BuildError(f"{built.name}: {'; '.join(result.notes)}")
        executed = nbformat.read(ran, as_version=4)
    for cell in twin.graded_cells(executed):
        if result.points[cell.metadata.nbgrader.grade_id] < cell.metadata.nbgrader.points:
            where = f"{built.name}, {cell.metadata.nbgrader.grade_id}"
            raise course.BuildError(f"{where}: its own solution fails: {feedback.verdict(cell)}")
    course.write_instructor_page(built, executed)


def run_grade(options: argparse.Namespace) -> int:
    """Grade a folder of submissions."""
    folder = options.folder
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder of submissions")
    known = course.names()
    name = options.set or (known[0] if len(known) == 1 else None)
    if name is None:
        raise UserError(f"of which problem set? name one of them: {', '.join(known)} (--set NAME)")
    if name not in known:
        raise UserError(f"no problem set {name}; there is {', '.join(known)} (--set NAME)")
    limits = Limits(**{field: getattr(options, field) for field in Limits._fields})
    if options.workers < 1 or min(limits) <= 0:
        raise UserError("limits and the number of workers are above 0")
    try:
        found = submissions.find(folder, name, set(known) - {name})
    except ValueError as error:
        raise UserError(str(error)) from error
    to = options.to or folder.resolve().with_name(f"{folder.resolve().name}-graded") / name
    return grade_all(course.released(name), found, to, limits, options.workers)


def grade_all(
    built: Course, found: list[Submission], to: Path, limits: Limits, workers: int
) -> int:
    """Grade submissions, with a progress bar, and write the table of marks in any case."""
    results: dict[str, Outcome] = {}
    batch = Batch(built, to, limits, workers)
    try:
        for result in tqdm(batch.grade(found), total=len(found), unit="submission"):
            results[result.student] = result
    finally:
        rows = [results[one.student] for one in found if one.student in results]
        marks.write(rows, built.points(), to / "marks.csv")
    counts = {
        status: sum(result.status == status for result in results.values())
        for status in outcome.MEANING
    }
    print(", ".join(f"{count} {status}" for status, count in counts.items() if count))
    print(f"marks: {to / 'marks.csv'}; a page for each student: {to / 'feedback'}")
    return 1 if counts[outcome.GRADER_ERROR] else 0
