"""A cell beyond its limits costs itself and no other."""

import pytest
from nbformat.v4 import new_code_cell, new_notebook

from grading import execute
from grading.limits import Limits

DEAF = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    pass"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run cells; return the reasons, and the cells."""
    for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))

    def execute_cells(*sources: str, **limits):
        notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
        return execute.run(notebook, tmp_path, Limits(**limits)), notebook.cells

    return execute_cells


def errors(cell) -> list[str]:
    return [output.evalue for output in cell.outputs if output.output_type == "error"]


def test_a_cell_that_cannot_be_interrupted_is_left_out(run):
    reasons, cells = run("x = 1", DEAF, "x + 1", cell_seconds=2)
    assert reasons == {1: "more than 2 s, and not to be interrupted"}
    assert errors(cells[1]) == [reasons[1]]
    assert cells[2].outputs[0].data["text/plain"] == "2"


def test_the_time_of_a_submission_is_limited(run):
    """A cell may not use more than is left; what ran before still counts, what follows fails."""
    loop = "while True:\n    pass"
    reasons, cells = run("x = 1", loop, "x", submission_seconds=8, cell_seconds=60)
    assert set(reasons) == {1, 2}
    assert reasons[1].startswith("more than ")
    assert reasons[2] == "no time left of 8 s"
    assert errors(cells[0]) == []
    assert errors(cells[2]) == [reasons[2]]


def test_a_second_pass_without_time_takes_nothing_away(run):
    reasons, cells = run("x = 1", DEAF, "x", submission_seconds=8, cell_seconds=60)
    assert set(reasons) == {1, 2}
    assert errors(cells[0]) == []


def test_an_exception_is_no_matter_of_limits(run):
    reasons, cells = run("1 / 0", "import sys\nsys.exit()", "7")
    assert reasons == {}
    assert errors(cells[0]) == ["division by zero"]
    assert cells[2].outputs[0].data["text/plain"] == "7"
