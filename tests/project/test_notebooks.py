"""The stored notebooks are whole and current, and the program that makes them keeps its word."""

from pathlib import Path

import nbformat
import pytest

import notebooks

BOOK = notebooks.BOOK
TWINS = notebooks.find_twins(BOOK)
IMAGE_TYPES = {"image/png", "image/svg+xml", "image/jpeg"}

# Cells whose output is a timing by nature, and so is not compared: chapter → ids of its cells.
UNCOMPARED_CELLS: dict[str, list[str]] = {}


@pytest.fixture(params=TWINS, ids=lambda twin: twin.stem)
def notebook(request):
    return nbformat.read(request.param.with_suffix(".ipynb"), as_version=4)


# The notebooks of the book


def test_every_twin_has_its_notebook_and_every_notebook_its_twin():
    stored = [p for p in BOOK.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts]
    assert sorted(stored) == [twin.with_suffix(".ipynb") for twin in TWINS]


def test_notebooks_are_in_step_with_their_twins():
    assert notebooks.main(["--check"]) == 0


def test_uncompared_cells_are_the_listed_ones():
    found = {}
    for twin in TWINS:
        ids = [
            cell.id
            for cell in notebooks.read_twin(twin).cells
            if "nbval-ignore-output" in cell.metadata.get("tags", [])
        ]
        if ids:
            found[twin.stem] = ids
    assert found == UNCOMPARED_CELLS


def test_every_cell_was_run_once_in_order(notebook):
    counts = [cell.execution_count for cell in notebooks.code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_no_cell_failed(notebook):
    outputs = [o for cell in notebooks.code_cells(notebook) for o in cell.outputs]
    assert "error" not in {output.output_type for output in outputs}


def test_every_picture_has_an_alt_text_and_every_alt_text_its_picture(notebook):
    for cell in notebooks.code_cells(notebook):
        alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
        if any(IMAGE_TYPES & set(output.get("data", {})) for output in cell.outputs):
            assert len(alt) >= 20, f"cell {cell.id} needs mystnb={{'image': {{'alt': '…'}}}}"
        else:
            assert not alt, f"cell {cell.id} has lost its picture"


@pytest.mark.parametrize("twin", TWINS, ids=lambda twin: twin.stem)
def test_notebook_is_small(twin):
    assert twin.with_suffix(".ipynb").stat().st_size < 1.5e6


# The program, on a toy book

TOY = """\
# %% [markdown]
# # A toy

# %%
import ipywidgets as widgets

slider = widgets.IntSlider(value=3, max=10)
progress = widgets.IntProgress(value=3, max=10)
link = widgets.jslink((slider, "value"), (progress, "value"))
widgets.VBox([slider, progress])

# %% tags=["hide-input"]
print("seen")
"""


@pytest.fixture
def toy(tmp_path) -> Path:
    twin = tmp_path / "part" / "01_toy.py"
    twin.parent.mkdir()
    twin.write_text(TOY, "utf-8")
    (tmp_path / "part" / "helper.py").touch()  # no chapter: its name has no number
    assert notebooks.main([], tmp_path) == 0
    return twin


def edit(twin: Path, old: str, new: str) -> None:
    text = twin.read_text("utf-8")
    assert old in text
    twin.write_text(text.replace(old, new), "utf-8")


def test_two_runs_give_the_same_bytes(toy, tmp_path):
    first = toy.with_suffix(".ipynb").read_bytes()
    assert b'"value": 3' in first, "the state of the widgets is stored"
    assert notebooks.main(["--all"], tmp_path) == 0
    assert toy.with_suffix(".ipynb").read_bytes() == first


def test_new_prose_is_taken_over_without_a_run(toy, tmp_path, monkeypatch):
    before = nbformat.read(toy.with_suffix(".ipynb"), as_version=4)
    edit(toy, "# # A toy", "# # A better toy")
    assert notebooks.main(["--check"], tmp_path) == 1

    monkeypatch.setattr(notebooks, "execute", None)  # a call would raise
    assert notebooks.main([], tmp_path) == 0
    assert notebooks.main(["--check"], tmp_path) == 0

    after = nbformat.read(toy.with_suffix(".ipynb"), as_version=4)
    assert after.cells[0].source == "# A better toy"
    assert after.cells[1:] == before.cells[1:]
    assert after.metadata == before.metadata


def test_new_code_is_run(toy, tmp_path):
    edit(toy, '"seen"', '"seen again"')
    assert notebooks.main(["--check"], tmp_path) == 1
    assert notebooks.main([], tmp_path) == 0
    after = nbformat.read(toy.with_suffix(".ipynb"), as_version=4)
    assert after.cells[2].outputs[0].text == "seen again\n"


def test_an_edited_notebook_is_out_of_step(toy, tmp_path):
    edit(toy.with_suffix(".ipynb"), "seen\\n", "forged\\n")  # an output: nbval finds this
    assert notebooks.main(["--check"], tmp_path) == 0
    edit(toy.with_suffix(".ipynb"), "max=10", "max=11")
    assert notebooks.main(["--check"], tmp_path) == 1


def test_a_figure_is_stored_as_a_picture_whatever_the_environment_says(toy, tmp_path, monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "agg")
    edit(toy, 'print("seen")', "import matplotlib.pyplot as plt\n\nplt.plot([1, 2]);")
    assert notebooks.main([], tmp_path) == 0
    after = nbformat.read(toy.with_suffix(".ipynb"), as_version=4)
    assert ["image/png" in output.data for output in after.cells[2].outputs] == [True]


def test_a_failing_cell_leaves_the_old_notebook(toy, tmp_path, capfd):
    before = toy.with_suffix(".ipynb").read_bytes()
    edit(toy, 'print("seen")', "1 / 0")
    assert notebooks.main([], tmp_path) == 1
    message = capfd.readouterr().err
    assert "01_toy: cell 01-002 failed" in message
    assert "ZeroDivisionError" in message
    assert toy.with_suffix(".ipynb").read_bytes() == before
    assert not list(toy.parent.glob(".writing*")), "nothing half-written is left"


def test_an_unknown_chapter_is_one_line_and_exit_code_2(toy, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        notebooks.main(["02_toy"], tmp_path)
    assert exit_.value.code == 2
    assert capsys.readouterr().err == "no chapter 02_toy; there is 01_toy\n"
