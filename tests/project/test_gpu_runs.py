"""The runs for a GPU: what they are, and the program that makes them, tried with a substitute."""

import json
import sys
import time
from pathlib import Path

import pytest
import recorded
import torch

import gpu_runs
import record_run
from genlearn.recipes import RECIPES

ROOT = Path(__file__).resolve().parents[2]
ROWS = gpu_runs.read(ROOT)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_command_means_settings_of_full_size(row):
    settings = gpu_runs.settings_of(row.command)
    assert settings["profile"] == "full"
    assert settings["device"] == "auto"
    assert settings["recipe"] in RECIPES
    assert row.name.startswith(f"{settings['recipe']}-")
    assert settings["data"] in row.name


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_model_can_be_built(row):
    settings = gpu_runs.settings_of(row.command)
    recipe = RECIPES[settings.pop("recipe")]
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in settings.items()}
    levels = 2 if settings["data"].startswith("binarized") else 256
    assert recipe.build(recipe.Config(**values), (1, 28, 28), levels)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_published_figure_has_its_source(row):
    known = (ROOT / "book" / "references.bib").read_text("utf-8")
    assert (row.published is None) == (not row.source) == (not row.where)
    assert not row.source or f"{{{row.source}," in known


def test_options_of_a_command_decide_over_the_profile():
    settings = gpu_runs.settings_of("genlearn train vae --data digits --steps 3 --channels 4 8")
    assert (settings["steps"], settings["channels"], settings["latent_dim"]) == (3, [4, 8], 16)


def test_without_a_gpu_it_is_refused_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu_runs.main([]) == 2
    says = capsys.readouterr().err
    assert says == "gpu_runs: these runs need a CUDA device, and there is none here\n"


# --- Recorded, or not yet run

TOY = """
[vae-toy]
command = "genlearn train vae --data digits --steps 3"
figure = "test.negative_elbo_nats"
published = 96.62
source = "kingma2013"
where = "table 1"
"""


@pytest.fixture
def toy(tmp_path, monkeypatch) -> Path:
    (tmp_path / "benchmarks" / "results" / "runs").mkdir(parents=True)
    (tmp_path / "runs").mkdir()
    (tmp_path / "benchmarks" / "gpu_runs.toml").write_text(TOY)
    monkeypatch.setattr(record_run, "RESULTS", tmp_path / "benchmarks" / "results" / "runs")
    return tmp_path


def keep(root: Path, **changes) -> None:
    settings = gpu_runs.settings_of(gpu_runs.read(root)[0].command) | changes
    record = {"settings": settings, "result": {"test": {"negative_elbo_nats": 90.5}}}
    file = root / "benchmarks" / "results" / "runs" / "vae-toy.json"
    file.write_text(json.dumps(record))


def test_a_run_without_a_record_is_not_yet_run(toy):
    page = recorded.to_come(toy)
    assert "- here: not yet run" in page
    assert "- published: 96.62, table 1 of {cite:t}`kingma2013`" in page


def test_a_recorded_run_shows_its_figure(toy):
    keep(toy, device="cuda", threads=4)  # these decide nothing
    page = recorded.to_come(toy)
    assert "- here: 90.50" in page
    assert "not yet run" not in page


def test_a_record_with_other_settings_does_not_count(toy):
    keep(toy, steps=4)
    assert "- here: not yet run" in recorded.to_come(toy)


# --- The program that makes them

# Stands for `genlearn`: writes what a run leaves, at once or when it is called the second time.
SUBSTITUTE = """
import json, pathlib, signal, sys, time
folder = pathlib.Path(sys.argv[sys.argv.index("--out") + 1])
folder.mkdir(parents=True, exist_ok=True)
(folder / "arguments.txt").open("a").write(" ".join(sys.argv[1:]) + "\\n")
if "--fail" in sys.argv:
    sys.exit(3)
if "--slow" in sys.argv and not (folder / "checkpoint").exists():
    def stop(*_):
        (folder / "checkpoint").touch()
        sys.exit(143)
    signal.signal(signal.SIGTERM, stop)
    time.sleep(30)
(folder / "config.toml").write_text("steps = 3\\n")
(folder / "environment.json").write_text(json.dumps({"command": "genlearn", "seconds": 0.5}))
(folder / "result.json").write_text(json.dumps({"test": {"negative_elbo_nats": 90.5}}))
"""


def make(root: Path, *commands: str, seconds: float = 60) -> int:
    substitute = root / "substitute.py"
    substitute.write_text(SUBSTITUTE)
    rows = [gpu_runs.Row(c.split()[-1], f"genlearn {c}", "test.x") for c in commands]
    return gpu_runs.make(root, rows, seconds, ["--device", "cpu"], [sys.executable, substitute])


def test_runs_are_made_one_after_the_other_and_recorded(toy):
    assert make(toy, "train a", "train b") == 0
    for name in ("a", "b"):
        arguments = (toy / "runs" / name / "arguments.txt").read_text()
        assert arguments == f"train {name} --out runs/{name} --resume --device cpu\n"
        record = json.loads((record_run.RESULTS / f"{name}.json").read_text())
        assert record["environment"]["pieces"] == 1


def test_when_the_time_is_over_the_run_is_stopped_and_goes_on_later(toy, capfd):
    began = time.monotonic()
    assert make(toy, "train --slow a", "train b", seconds=1.5) == 0
    assert time.monotonic() - began < 20
    assert capfd.readouterr().out.endswith("to be continued\n")
    assert not list(record_run.RESULTS.iterdir())
    assert not (toy / "runs" / "b").exists()

    assert make(toy, "train --slow a", "train b") == 0
    assert {file.stem for file in record_run.RESULTS.iterdir()} == {"a", "b"}
    environment = json.loads((record_run.RESULTS / "a.json").read_text())["environment"]
    assert environment["pieces"] == 2
    assert environment["seconds"] >= 1.5  # of both pieces


def test_without_time_nothing_is_begun(toy, capfd):
    assert make(toy, "train a", seconds=0) == 0
    assert capfd.readouterr().out == "to be continued\n"
    assert not (toy / "runs" / "a").exists()


def test_a_run_that_fails_is_named_and_the_others_are_made(toy, capfd):
    assert make(toy, "train --fail a", "train b") == 1
    assert capfd.readouterr().err == "gpu_runs: failed: a\n"
    assert [file.stem for file in record_run.RESULTS.iterdir()] == ["b"]
