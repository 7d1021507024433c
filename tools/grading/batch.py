"""Grading many submissions, a few at a time, each in a process and a scratch folder of its own."""

import hashlib
import json
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import nbformat
import psutil

from genlearn import files
from grading import feedback, outcome, processes, worker
from grading.course import ROOT, Course
from grading.limits import Limits
from grading.outcome import Outcome
from grading.submissions import Submission

GRACE = 60  # seconds beyond its limit after which a submission is stopped from outside
MARGIN_MB = 1024  # memory of the process that looks after a kernel, beyond the kernel's limit
KEPT = ("PATH", "LANG", "LC_ALL", "MPLCONFIGDIR", "GENLEARN_DATA")  # of the user's environment


# These take seconds to import: one process does so, and each submission's is a copy of it.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["nbgrader.preprocessors", "jupytext", "psutil", "genlearn.files"])


class Running(NamedTuple):
    """A submission that is being graded."""

    submission: Submission
    process: BaseProcess
    root: psutil.Process
    """The same, as one that can be told from a later one of its number."""
    scratch: Path
    began: float


class Batch:
    """The submissions of a problem set, and what became of them.

    Args:
        course: the problem set.
        folder: where outcomes, pages and notebooks are kept; what is there already from the same
            notebook, the same set and the same limits is not made again.
        limits: of each submission.
        workers: how many are graded at a time.
    """

    def __init__(self, course: Course, folder: Path, limits: Limits, workers: int) -> None:
        self.course, self.folder, self.limits, self.workers = course, folder, limits, workers

    def grade(self, submissions: list[Submission]) -> Iterator[Outcome]:
        """Give the outcome of each submission as soon as it is known, earlier ones first."""
        waiting = []
        for submission in submissions:
            if (known := self.known(submission)) is not None:
                yield known
            elif submission.file is None:
                yield self.keep_without_run(submission, outcome.NO_NOTEBOOK, submission.problem)
            else:
                waiting.append(submission)
        running: list[Running] = []
        try:
            while waiting or running:
                while waiting and len(running) < self.workers:
                    running.append(self.start(waiting.pop(0)))
                time.sleep(0.1)
                for one in list(running):
                    if (result := self.look_at(one)) is not None:
                        running.remove(one)
                        # What a submission made of its folder is no reason to stop the others.
                        shutil.rmtree(one.scratch, ignore_errors=True)
                        yield result
        finally:
            for one in running:  # interrupted
                processes.end(one.root)
                shutil.rmtree(one.scratch, ignore_errors=True)

    def known(self, submission: Submission) -> Outcome | None:
        """The outcome of an earlier run, if nothing has changed since."""
        earlier = outcome.read(self.outcome_file(submission))
        whole = self.feedback_file(submission).is_file()
        return earlier if whole and earlier and earlier.digest == self.digest(submission) else None

    def digest(self, submission: Submission) -> str:
        """Of the submission and of everything that decides its marks."""
        parts = [self.course.digest, json.dumps(self.limits)]
        if submission.file is not None:
            with submission.file.open("rb") as file:
                parts.append(hashlib.file_digest(file, "sha256").hexdigest())
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def outcome_file(self, submission: Submission) -> Path:
        """Where the outcome is kept."""
        return self.folder / "outcomes" / f"{submission.student}.json"

    def feedback_file(self, submission: Submission) -> Path:
        """Where the page for the student is kept."""
        return self.folder / "feedback" / f"{submission.student}.html"

    def notebook_file(self, submission: Submission) -> Path:
        """Where the notebook is kept as it ran, hidden tests included: for staff."""
        return self.folder / "graded" / f"{submission.student}.ipynb"

    def start(self, submission: Submission) -> Running:
        """Begin to grade a submission."""
        scratch = Path(tempfile.mkdtemp(prefix="grade-"))
        shutil.copy(self.course.gradebook, scratch / "gradebook.db")
        job = {
            "name": self.course.name,
            "release": str(self.course.release.resolve()),
            "student": submission.student,
            "file": str(submission.file.resolve()),
            "digest": self.digest(submission),
            "limits": self.limits._asdict(),
        }
        process = PROCESSES.Process(target=worker.main, args=(scratch, job, environment(scratch)))
        process.start()
        root = psutil.Process(process.pid)
        return Running(submission, process, root, scratch, time.monotonic())

    def look_at(self, one: Running) -> Outcome | None:
        """The outcome of a submission, if it is through, or has to be stopped."""
        if one.process.is_alive():
            late = time.monotonic() - one.began > self.limits.submission_seconds + GRACE
            used = processes.memory_mb(processes.family(one.process.pid))
            if not late and used <= self.limits.memory_mb + MARGIN_MB:
                return None
            processes.end(one.root)
            one.process.join()
            what = "time" if late else "memory"
            return self.keep_without_run(one.submission, outcome.STOPPED, f"beyond all {what}")
        processes.end(one.root)  # whatever it may have left behind
        result = outcome.read(one.scratch / "outcome.json") if one.process.exitcode == 0 else None
        if result is None:
            log = one.scratch / "worker.log"
            text = log.read_text("utf-8", errors="replace") if log.is_file() else ""
            last = (text.strip().splitlines() or ["no message"])[-1]
            return Outcome(one.submission.student, outcome.GRADER_ERROR, {}, [last], 0.0, "")
        if (ran := one.scratch / "graded.ipynb").is_file():
            with files.written_whole(self.notebook_file(one.submission)) as path:
                shutil.copy(ran, path)
        page = (one.scratch / "feedback.html").read_text("utf-8")
        return self.keep(one.submission, result, page)

    def keep_without_run(self, submission: Submission, status: str, note: str) -> Outcome:
        """Keep the outcome of a submission that could not be graded."""
        digest = self.digest(submission)
        result = Outcome(submission.student, status, {}, [note], 0.0, digest)
        given = nbformat.read(self.course.release, as_version=4)
        return self.keep(submission, result, feedback.page(result, None, given))

    def keep(self, submission: Submission, result: Outcome, page: str) -> Outcome:
        """Keep an outcome and its page; the outcome comes last, so that it vouches for both."""
        with files.written_whole(self.feedback_file(submission)) as path:
            path.write_text(page, "utf-8")
        with files.written_whole(self.outcome_file(submission)) as path:
            outcome.write(result, path)
        return result


def environment(scratch: Path) -> dict[str, str]:
    """What a submission's processes see: nothing of the user's home, and no secret variables."""
    own = {
        "HOME": scratch,
        "TMPDIR": scratch,
        "IPYTHONDIR": scratch / "ipython",
        "JUPYTER_CONFIG_DIR": scratch / "jupyter",
        "JUPYTER_DATA_DIR": scratch / "jupyter",
        "JUPYTER_RUNTIME_DIR": scratch / "jupyter",
        "MPLCONFIGDIR": scratch / "matplotlib",
        "GENLEARN_CACHE": scratch / "cache",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        "GENLEARN_PROFILE": "quick",
        "NBGRADER_EXECUTION": "autograde",  # nbgrader's own sign that this is not the student's run
    }
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**{name: str(value) for name, value in own.items()}, **kept}
