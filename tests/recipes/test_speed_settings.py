"""Settings of speed: what is chosen, said, and handed to the loop."""

import json
from dataclasses import replace

import pytest
import torch

from genlearn import data, speed
from genlearn.cli import main
from genlearn.recipes import RECIPES, gan, run_speed, vae, whole_run

SMALL = {
    "vae": {"hidden": (8,)},
    "vqvae": {"channels": (4,), "codes": 8, "prior": "independent"},
    "gan": {"channels": (4,), "penalty": "none"},
    "pixel": {"features": 4, "layers": 1},
}


def handed_over(monkeypatch, name: str, **settings) -> tuple[dict, object]:
    """Return what a recipe hands to ``fit``, and its model."""
    recipe, given, digits = RECIPES[name], {}, data.load("digits")
    monkeypatch.setattr(whole_run, "fit", lambda *a, **k: given.update(k, objectives=a[1]))
    monkeypatch.setattr(gan, "fit", lambda *a, **k: given.update(k, objectives=a[1]))
    config = replace(recipe.config("digits"), **SMALL[name], **settings)
    model = recipe.build(config, digits.shape, digits.levels)
    recipe.train(config, digits, model)
    return given, model


@pytest.mark.parametrize("name", SMALL)
def test_every_recipe_hands_on_what_is_set(monkeypatch, name):
    given, model = handed_over(
        monkeypatch,
        name,
        accumulate=3,
        clip_gradient=0.5,
        precision="bf16",
        channels_last="on",
        compile=True,
        device="cpu",
    )
    names = ("accumulate", "clip", "precision", "channels_last", "device")
    assert [given[key] for key in names] == [3, 0.5, "bf16", True, "cpu"]
    model = getattr(model, "model", model)
    compiled = {
        "gan": ("discriminator", "generator"), "pixel": ("network",),
    }.get(name, ("encoder", "decoder"))  # fmt: skip
    assert {id(net) for net in given["compile"]} == {id(getattr(model, net)) for net in compiled}
    assert all(o.optimizer.defaults["fused"] for o in given["objectives"])


@pytest.mark.parametrize("name", SMALL)
def test_by_default_nothing_but_the_optimiser_is_switched_on_for_a_cpu(monkeypatch, name):
    given, _ = handed_over(monkeypatch, name, device="cpu")
    names = ("accumulate", "clip", "precision", "channels_last")
    assert [given[key] for key in names] == [1, None, "fp32", False]
    assert not given["compile"]


def test_a_discriminator_whose_gradient_is_penalised_is_not_compiled(monkeypatch):
    given, trained = handed_over(monkeypatch, "gan", compile=True)
    assert len(given["compile"]) == 2
    monkeypatch.setitem(SMALL, "gan", {"channels": (4,), "penalty": "r1"})
    given, trained = handed_over(monkeypatch, "gan", compile=True)
    assert given["compile"] == (trained.model.generator,)


@pytest.mark.parametrize("name", SMALL)
def test_threads_are_chosen_from_the_work_and_a_run_says_so(monkeypatch, tmp_path, capsys, name):
    """Small models get one thread however many cores there are."""
    monkeypatch.setattr(run_speed, "cores", lambda: 4)
    monkeypatch.setattr(speed, "cores", lambda: 4)
    few = {"gan": {"samples": 2, "judge_steps": 1}}.get(name, {})
    config = replace(RECIPES[name].config("digits"), steps=1, batch_size=4, **SMALL[name], **few)
    RECIPES[name].run(config, tmp_path / name, progress=True)
    said = capsys.readouterr().err.splitlines()[0]
    assert said.startswith("training on cpu, 1 thread (a step is small: 0.0")
    environment = json.loads((tmp_path / name / "environment.json").read_text())
    assert (environment["speed"], environment["threads"]) == (said.removeprefix("training on "), 1)


def test_patience_ends_a_run_which_is_evaluated_as_it_is(tmp_path, contents, capsys):
    """By steps so small nothing is learned."""
    options = ["train", "vae", "--steps", "400", "--hidden", "4", "--learning-rate", "1e-12"]
    options += ["--evaluate-every", "5", "--patience", "2", "--out", str(tmp_path)]
    assert main(options) == 0
    said = capsys.readouterr().err.splitlines()[-1]
    (checkpoint,) = tmp_path.glob("checkpoint-*")
    step = int(checkpoint.name.removeprefix("checkpoint-"))
    assert said == f"ended early, after step {step}: patience was 2"
    assert step < 400
    assert step % 5 == 0
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    figures = [row["valid/loss"] for row in rows if "valid/loss" in row]
    assert figures.index(min(figures)) == len(figures) - 3
    before = contents(tmp_path)
    assert main([*options, "--resume"]) == 0
    assert contents(tmp_path) == before


def test_a_gan_cannot_be_patient():
    with pytest.raises(Exception, match="no figure of the validation split: leave patience"):
        replace(gan.Config(), patience=3)


def test_a_missing_compiler_leaves_no_folder_behind(monkeypatch, tmp_path, capsys):
    def fail(*_, **__):
        raise RuntimeError("InvalidCxxCompiler: none found")

    monkeypatch.setattr(torch, "compile", fail)
    assert main(["train", "vae", "--compile", "--out", str(tmp_path / "run")]) == 2
    assert not (tmp_path / "run").exists()
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "install a C++ compiler, or leave compile off" in error


def test_number_of_threads_may_be_given(tmp_path):
    config = replace(vae.config("digits"), steps=1, hidden=(4,), threads=2)
    before = torch.get_num_threads()
    try:
        vae.run(config, tmp_path)
    finally:
        torch.set_num_threads(before)
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["threads"] == 2
    assert environment["speed"].startswith("cpu, 2 threads (as asked)")
