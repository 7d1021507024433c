"""The command line, and where it looks for submissions."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from grading import batch, cli, course, marks, outcome, submissions
from grading.batch import Batch
from grading.limits import Limits
from grading.outcome import Outcome

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path) -> Path:
    path = tmp_path / "submitted"
    path.mkdir()
    return path


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}", "utf-8")


# Where submissions are looked for


@pytest.mark.parametrize(
    ("files", "chosen"),
    [
        (["ann.ipynb"], "ann.ipynb"),
        (["ann/p2_vae.ipynb"], "ann/p2_vae.ipynb"),
        (["ann/p2_vae/p2_vae.ipynb"], "ann/p2_vae/p2_vae.ipynb"),
        (["ann/my answers.ipynb", "ann/notes.txt"], "ann/my answers.ipynb"),
        (["ann/p2_vae.ipynb", "ann/tries.ipynb"], "ann/p2_vae.ipynb"),
        (["ann/p2_vae.ipynb", "ann/.ipynb_checkpoints/p2_vae.ipynb"], "ann/p2_vae.ipynb"),
        (["ann/p2_vae.ipynb", "ann/p3_gan.ipynb"], "ann/p2_vae.ipynb"),
        (["ann/my answers.ipynb", "ann/p3_gan.ipynb"], "ann/my answers.ipynb"),
        (["ann/p3_gan/p3_gan.ipynb"], None),
        (["ann/one.ipynb", "ann/two.ipynb"], None),
        (["ann/answers.pdf"], None),
        (["ann.docx"], None),
    ],
)
def test_a_submission_is_found(files, chosen, folder):
    put(folder, *files)
    (found,) = submissions.find(folder, "p2_vae", ["p3_gan"])
    assert found.student == "ann"
    assert found.file == (chosen and folder / chosen)
    assert bool(found.problem) == (chosen is None)


def test_hidden_files_are_nobodys_submission(folder):
    put(folder, ".DS_Store", "bob.ipynb")
    assert [one.student for one in submissions.find(folder, "p2_vae")] == ["bob"]


# Errors are one line and exit code 2


def message(capsys, *arguments: str) -> str:
    assert cli.main(["grade", *arguments]) == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    return text


def test_a_folder_that_is_not_there(capsys, folder):
    assert "is no folder of submissions" in message(capsys, str(folder / "gone"))


def test_an_empty_folder(capsys, folder):
    assert "no submissions in" in message(capsys, str(folder), "--set", "p2_vae")


def test_two_entries_of_one_student(capsys, folder):
    put(folder, "ann.ipynb", "ann/p2_vae.ipynb")
    assert "ann has two entries" in message(capsys, str(folder), "--set", "p2_vae")


def test_an_unknown_problem_set(capsys, folder):
    put(folder, "ann.ipynb")
    assert "no problem set p9; there is p2_vae" in message(capsys, str(folder), "--set", "p9")


def test_of_several_problem_sets_one_is_named(capsys, folder):
    put(folder, "ann.ipynb")
    assert len(course.names()) > 1
    sets = "p2_vae, p3_gan, p4_pixels, p5_evaluation"
    assert f"name one of them: {sets} (--set NAME)" in message(capsys, str(folder))


@pytest.mark.parametrize("option", ["--workers", "--cell-seconds", "--memory-mb"])
def test_a_limit_of_nothing(option, capsys, folder):
    put(folder, "ann.ipynb")
    assert "above 0" in message(capsys, str(folder), "--set", "p2_vae", option, "0")


# A grader that fails is no student's fault


def test_an_error_of_the_grader_is_named_and_not_kept(built, folder, tmp_path, monkeypatch):
    put(folder, "ann.ipynb")
    broken = built._replace(release=tmp_path / "gone.ipynb")
    grader = Batch(broken, tmp_path / "results", Limits(), workers=1)
    one = submissions.Submission("ann", folder / "ann.ipynb")
    (result,) = grader.grade([one])
    assert result.status == outcome.GRADER_ERROR
    assert "gone.ipynb" in result.notes[0]
    assert grader.known(one) is None


def test_a_submission_that_does_not_keep_to_its_limits_is_stopped(
    built, folder, tmp_path, release, monkeypatch
):
    (folder / "ann.ipynb").write_text(json.dumps(release), "utf-8")
    monkeypatch.setattr(batch, "GRACE", 0)
    grader = Batch(built, tmp_path / "results", Limits(submission_seconds=0.5), workers=1)
    one = submissions.Submission("ann", folder / "ann.ipynb")
    (result,) = grader.grade([one])
    assert result.status == outcome.STOPPED
    assert grader.known(one) == result
    assert "0 of 20 points" in grader.feedback_file(one).read_text("utf-8")


def test_an_outcome_that_was_cut_short_is_not_trusted(tmp_path):
    file = tmp_path / "ann.json"
    outcome.write(Outcome("ann", outcome.GRADED, {"t1-x": 1.0}, [], 1.0, "d"), file)
    assert outcome.read(file).points == {"t1-x": 1.0}
    file.write_text(file.read_text()[:-5])
    assert outcome.read(file) is None


def test_marks_are_added_up_by_task(tmp_path):
    most = {"t1-a-tests": 2.0, "t1-b-tests": 1.0, "t2-a-tests": 3.0}
    points = {"t1-a-tests": 2.0, "t1-b-tests": 0.0, "t2-a-tests": 1.5}
    rows = [
        Outcome("ann", outcome.GRADED, points, [], 5.0, ""),
        Outcome("bob", outcome.UNREADABLE, {}, ["why", "why, else"], 0.0, ""),
    ]
    marks.write(rows, most, tmp_path / "marks.csv")
    assert (tmp_path / "marks.csv").read_text("utf-8").splitlines() == [
        "student,status,task 1,task 2,total,of,seconds,notes",
        "ann,graded,2,1.5,3.5,6,5.0,",
        'bob,unreadable,0,0,0,6,0.0,"why; why, else"',
    ]


def test_a_set_whose_solution_fails_is_not_released(tmp_path, monkeypatch):
    solution = '# %% nbgrader={"grade_id": "t1-x", "solution": true}\n'
    solution += "### BEGIN SOLUTION\nx = 2\n### END SOLUTION\n"
    tests = '# %% nbgrader={"grade_id": "t1-x-tests", "grade": true, "points": 1}\n'
    put(tmp_path, "assignments/toy/toy.py")
    (tmp_path / "assignments" / "toy" / "toy.py").write_text(
        f"{solution}\n{tests}assert x == 1, 'x is 1'\n", "utf-8"
    )
    toy = course.release("toy", tmp_path, tmp_path / "built")
    monkeypatch.setattr(course, "names", lambda: ["toy"])
    monkeypatch.setattr(course, "release", lambda name: toy)
    with pytest.raises(course.BuildError, match="toy, t1-x-tests: its own solution fails: x is 1"):
        cli.run_release(None)
    assert not toy.release.exists()


# What a submission sees, and what is left of it


def test_a_submission_sees_nothing_of_the_users_home_and_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("API_TOKEN", "secret")
    environment = batch.environment(tmp_path)
    assert "API_TOKEN" not in environment
    own = {name: value for name, value in environment.items() if name not in batch.KEPT}
    assert str(Path.home()) not in [own["HOME"], own["TMPDIR"], own["IPYTHONDIR"]]


def test_every_status_has_a_meaning():
    constants = {
        value for name, value in vars(outcome).items() if name.isupper() and isinstance(value, str)
    }
    assert set(outcome.MEANING) == constants


def test_interrupted_it_ends_what_runs_and_keeps_what_it_has(folder, tmp_path, release):
    """Ctrl-C in the middle: exit code 130, a table of marks, and no process left."""
    put(folder, "ann.ipynb")
    slow = json.loads(json.dumps(release))
    slow["cells"].insert(1, {**slow["cells"][1], "metadata": {}, "id": "slow"})
    slow["cells"][1]["source"] = f"import time  # {tmp_path}\ntime.sleep(100)"
    (folder / "bob.ipynb").write_text(json.dumps(slow), "utf-8")
    command = [sys.executable, "-m", "grading", "grade"]
    running = subprocess.Popen(
        [*command, str(folder), "--set", "p2_vae", "--to", str(tmp_path / "to")],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tools'}"},
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background, Ctrl-C is ignored, and children inherit this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        kept = tmp_path / "to" / "outcomes" / "ann.json"
        while not (kept.is_file() and kernels(running.pid)):
            assert running.poll() is None
            time.sleep(0.2)
        started = kernels(running.pid)
        running.send_signal(signal.SIGINT)
        _, text = running.communicate(timeout=30)
    finally:
        running.kill()
    assert running.returncode == 130
    assert text.strip().splitlines()[-1].startswith("Interrupted. The same command goes on")
    table = (tmp_path / "to" / "marks.csv").read_text("utf-8")
    assert [line.split(",")[0] for line in table.splitlines()] == ["student", "ann"]
    assert not [process for process in started if process.is_running()]


def kernels(pid: int) -> list[psutil.Process]:
    """The kernels that a process started, directly or not."""
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        try:
            if "ipykernel" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def test_problem_sets_are_found_by_their_folder(tmp_path):
    for path in ["assignments/p1_toy/p1_toy.py", "assignments/p1_toy/helper.py"]:
        put(tmp_path, path)
    assert course.names(tmp_path) == ["p1_toy"]
