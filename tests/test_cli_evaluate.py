"""The commands ``genlearn evaluate`` and ``genlearn compare``."""

import json
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from genlearn.cli import main
from genlearn.recipes.evaluation import evaluate

QUICK = ["--features", "pixels", "--samples", "20"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def noise(n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(100, (n, 1, 2, 2), generator=generator, dtype=torch.uint8)


def call(capsys, *arguments: object) -> tuple[int, str, str]:
    code = main([str(argument) for argument in arguments])
    return code, *capsys.readouterr()


def refused(capsys, *arguments: object) -> str:
    """Run a command that must end in one line and exit code 2; return the line."""
    code, out, err = call(capsys, *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("genlearn: ")
    assert err.count("\n") == 1
    return err


def without_picture(run: Path) -> None:
    content = evaluate(run, features="pixels", samples=20).content
    (run / "evaluation.json").write_text(json.dumps(content))


def test_a_run_is_evaluated(echo, capsys):
    """Nothing but the table is printed: no bar, since nobody watches. Again gives equal files."""
    run, files = echo("dark", noise), []
    for _ in range(2):
        code, out, err = call(capsys, "evaluate", run, *QUICK)
        assert (code, err) == (0, "")
        lines = out.splitlines()
        assert lines[0].startswith("20 samples (seed 0) and 20 training images, against 40 test ")
        assert lines[1].split() == ["samples", "training", "images", "best"]
        assert lines[-1] == f"picture: {run / 'evaluation.png'}"
        content = json.loads((run / "evaluation.json").read_text())
        assert (content["samples"], content["seed"]) == (20, 0)
        with Image.open(run / "evaluation.png") as picture:
            assert picture.width == 1440
        files.append([(run / f"evaluation.{kind}").read_bytes() for kind in ("json", "png")])
    assert files[0] == files[1]


def test_runs_are_compared(echo, capsys):
    runs = [echo("dark", noise), echo("light", lambda n, seed: 255 - noise(n, seed))]
    for run in runs:
        without_picture(run)
    code, out, err = call(capsys, "compare", *runs, "--out", "both")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].split() == ["dark", "light", "training", "images", "best"]
    assert out.splitlines()[-1] == f"picture: {Path('both/comparison.png')}"
    assert list(json.loads(Path("both/comparison.json").read_text())["runs"]) == ["dark", "light"]
    with Image.open("both/comparison.png") as picture:
        assert picture.width == 1440
    assert sorted(path.name for path in Path("both").iterdir()) == [
        "comparison.json", "comparison.png"
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["evaluate", "nowhere"], "nowhere: holds no run"),
        (["evaluate", "run", "--samples", "5"], "--samples must be at least 6, got 5"),
        (["evaluate", "run", "--samples", "0"], "--samples must be at least 6, got 0"),
        (["evaluate", "run", "--seed", "-1"], "--seed must be"),
        (["evaluate", "run", "--features", "inception"], "needs --weights FILE"),
        (["evaluate", "run", "--weights", "x"], "--weights belong to --features inception"),
        (
            ["evaluate", "run", "--features", "inception", "--weights", "missing.pth"],
            "missing.pth: no such file",
        ),
        (["evaluate", "run", "--device", "gpu"], "choose auto, cpu, cuda or mps"),
        (["compare", "run"], "two runs or more"),
        (["compare", "run", "run"], "run: named twice"),
        (["compare", "run", "nowhere"], "run: not evaluated yet; run: genlearn evaluate run"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_answered_in_one_line_and_leaves_nothing(echo, capsys, arguments, words):
    echo("run", noise)
    before = sorted(str(path) for path in Path().rglob("*"))
    assert words in refused(capsys, *arguments)
    assert sorted(str(path) for path in Path().rglob("*")) == before


def test_a_run_of_an_unknown_recipe_is_refused(echo, capsys):
    run = echo("run", noise)
    text = (run / "config.toml").read_text().replace("echo", "flow")
    (run / "config.toml").write_text(text)
    assert "made by 'flow', which this version does not know" in refused(capsys, "evaluate", run)


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(echo, capsys, monkeypatch):
    def drawn(n: int, seed: int) -> torch.Tensor:
        raise AssertionError("the work has begun")

    def fails(*_, **__):
        raise PermissionError(13, "Permission denied")

    run = echo("run", drawn)
    monkeypatch.setattr("tempfile.TemporaryFile", fails)
    line = refused(capsys, "evaluate", run, *QUICK)
    assert f"{run}: nothing can be written here (Permission denied); copy the run" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_run_is_refused(echo, capsys):
    run = echo("run", noise)
    run.chmod(0o500)
    assert "nothing can be written here" in refused(capsys, "evaluate", run, *QUICK)
    run.chmod(0o700)


def test_a_comparison_that_cannot_be_written_is_refused(echo, capsys):
    runs = [echo("dark", noise), echo("light", noise)]
    for run in runs:
        without_picture(run)
    Path("file").write_text("mine")
    assert "file" in refused(capsys, "compare", *runs, "--out", "file")
    assert Path("file").read_text() == "mine"


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_help_explains_the_options_in_80_columns(command, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert f"genlearn {command}" in text
    assert max(map(len, text.splitlines())) <= 80
