"""A whole run, on real digits, with a model so small that it takes a second."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from genlearn import data
from genlearn.errors import RunError
from genlearn.metrics import mean_elbo
from genlearn.recipes import vae

TINY = vae.Config(
    hidden=(8,), latent_dim=2, pixel_features=2, steps=12, batch_size=16,
    evaluate_every=6, checkpoint_every=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    vae.run(TINY, folder)
    return folder


def test_a_run_leaves_these_files(run, contents):
    assert sorted(contents(run)) == [
        "checkpoint-000012/state.pt",
        "checkpoint-000012/vae.safetensors",
        "config.toml",
        "curves.png",
        "history.jsonl",
        "result.json",
        "samples-000006.png",
        "samples-000012.png",
        "samples.png",
    ]
    assert (run / "environment.json").is_file()


def test_two_runs_give_equal_bytes_in_every_file(run, tmp_path, contents):
    torch.rand(3)  # what was drawn before must not matter
    vae.run(TINY, tmp_path / "second")
    assert contents(tmp_path / "second") == contents(run)


def test_another_seed_gives_another_model(run, tmp_path):
    vae.run(replace(TINY, seed=1), tmp_path / "other")
    name = "checkpoint-000012/vae.safetensors"
    assert (tmp_path / "other" / name).read_bytes() != (run / name).read_bytes()


def test_the_seed_fixes_the_order_of_the_data_and_all_noise(monkeypatch):
    given = {}
    monkeypatch.setattr(vae, "fit", lambda *a, **k: given.update(k, batches=a[2]))
    digits, settings = data.load("digits"), replace(TINY, seed=7)
    vae.train(settings, digits, vae.build(settings, digits.shape, digits.levels))
    assert given["seed"] == given["batches"].seed == 7


@pytest.mark.parametrize("step", [5, 8])
def test_a_run_that_was_interrupted_goes_on_to_the_same_bytes(
    run, tmp_path, monkeypatch, step, contents
):
    class Interrupted(vae.SampleGrid):
        def after_step(self, training):
            if training.step == step:
                raise KeyboardInterrupt
            super().after_step(training)

    with monkeypatch.context() as patch:
        patch.setattr(vae, "SampleGrid", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            vae.run(TINY, tmp_path / "again")
    assert not (tmp_path / "again" / "result.json").exists()
    vae.run(TINY, tmp_path / "again", resume=True)
    assert contents(tmp_path / "again") == contents(run)


def test_a_finished_run_can_be_finished_again(run, contents):
    before = contents(run)
    vae.run(TINY, run, resume=True)
    assert contents(run) == before


def test_the_result_is_that_of_the_saved_model(run):
    """Read from disk and evaluated anew, on the split that was named."""
    result, model, digits = (
        json.loads((run / "result.json").read_text()),
        vae.load(run),
        data.load("digits"),
    )
    assert not model.training
    assert (result["data"], result["levels"]) == ("digits", 17)
    for name, split in [("valid", digits.valid), ("test", digits.test)]:
        bound = mean_elbo(model, split, repeats=5000 // len(split))
        figures = result[name]
        assert figures["negative_elbo_nats"] == round(-bound.mean, 3)
        assert figures["standard_error"] == round(bound.standard_error, 3)
        assert figures["images"] == len(split)
        bits = -bound.mean / 64 / math.log(2)
        assert figures["bits_per_dim"] == pytest.approx(bits, abs=1e-4)


def test_the_history_holds_training_and_validation(run):
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    # A checkpoint is a log point too: it is not written before all losses have been looked at.
    assert [row["step"] for row in rows] == [4, 6, 8, 12]
    assert [row["step"] for row in rows if "valid/loss" in row] == [6, 12]
    logged = [row for row in rows if "vae/loss" in row]
    assert [row["step"] for row in logged] == [4, 8, 12]
    for row in logged:
        assert row["vae/loss"] == pytest.approx(
            row["vae/rate"] - row["vae/reconstruction"], rel=1e-5
        )


def test_samples_depend_on_the_seed_alone(run):
    model, state = vae.load(run), torch.get_rng_state()
    first = vae.sample(model, 5, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(4)
    assert torch.equal(vae.sample(model, 5, seed=3), first)
    assert not torch.equal(vae.sample(model, 5, seed=4), first)
    assert first.dtype == torch.uint8


def test_samples_seed_the_devices_generator_too_and_put_it_back(run, monkeypatch):
    device = torch.Generator()  # stands for a GPU's
    monkeypatch.setattr(vae, "default_generators", lambda _: [torch.default_generator, device])
    model, state = vae.load(run), device.get_state()
    monkeypatch.setattr(model, "sample", lambda n: torch.rand(n, generator=device))
    first = vae.sample(model, 5, seed=3)
    assert torch.equal(device.get_state(), state)
    torch.rand(4, generator=device)
    assert torch.equal(vae.sample(model, 5, seed=3), first)


def test_loading_a_model_leaves_the_callers_random_numbers_alone(run):
    state = torch.get_rng_state()
    vae.load(run)
    assert torch.equal(torch.get_rng_state(), state)


def test_the_names_of_splits_are_free(run, tmp_path, monkeypatch):
    digits = data.load("digits")
    renamed = replace(digits, valid=replace(digits.valid, name="mine"))
    monkeypatch.setattr(data, "load", lambda _: renamed)
    result = vae.run(TINY, tmp_path / "run")
    assert result == json.loads((run / "result.json").read_text())


def test_learning_lowers_the_bound(tmp_path):
    """Towards the entropy of a constant image, from the 181 nats of the uniform distribution."""
    result = vae.run(replace(TINY, steps=150, learning_rate=0.02), tmp_path / "run")
    assert 90 < result["test"]["negative_elbo_nats"] < 140


def test_a_model_without_its_checkpoint_or_of_other_settings_is_refused(run, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    text = (run / "config.toml").read_text()
    (folder / "config.toml").write_text(text)
    with pytest.raises(RunError, match="no checkpoint yet"):
        vae.load(folder)
    (folder / "checkpoint-000012").symlink_to(run / "checkpoint-000012")
    vae.load(folder)
    (folder / "config.toml").write_text(text.replace("hidden = [8]", "hidden = [9]"))
    with pytest.raises(RunError, match="weights of another model"):
        vae.load(folder)


# --- settings ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"latent_dim": -1}, "latent_dim must be at least 1, got -1"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"evaluate_every": 0}, "evaluate_every must be"),
        ({"checkpoint_every": 0}, "checkpoint_every must be"),
        ({"threads": 0}, "threads must be"),
        ({"hidden": (8, 0)}, "hidden must be widths"),
        ({"hidden": (8.5,)}, "hidden must be widths"),
        ({"pixel_features": -1}, "pixel_features must be"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"dropout": -0.1}, "dropout must be"),
        ({"learning_rate": 0.0}, "learning_rate must be"),
        ({"learning_rate": math.nan}, "learning_rate must be"),
        ({"learning_rate": math.inf}, "learning_rate must be"),
        ({"weight_decay": -0.1}, "weight_decay must be"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 2**63}, "seed must be"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(setting, words):
    with pytest.raises(RunError, match=words):
        replace(TINY, **setting)


def test_a_data_set_has_both_profiles_or_none():
    for name in data.names():
        profiles = {profile for known, profile in vae.PROFILES if known == name}
        assert profiles in (set(), {"quick", "full"})
        for profile in profiles:
            settings = vae.config(name, profile)
            assert (settings.data, settings.profile) == (name, profile)
    assert {known for known, _ in vae.PROFILES} <= set(data.names())


def test_a_data_set_without_settings_is_refused_in_one_line():
    """Colour under 256 free levels a pixel is out of this recipe's reach."""
    with pytest.raises(RunError, match=r"no settings for 'patches'; it has: digits, mnist"):
        vae.config("patches")


def test_the_profile_comes_from_the_environment_unless_it_is_given(monkeypatch):
    quick, full = vae.config("mnist", "quick"), vae.config("mnist", "full")
    assert quick != full
    assert vae.config("mnist") == quick
    monkeypatch.setenv("GENLEARN_PROFILE", "full")
    assert vae.config("mnist") == full
    assert vae.config("mnist", "quick") == quick
    monkeypatch.setenv("GENLEARN_PROFILE", "huge")
    with pytest.raises(RunError, match=r"no profile 'huge' .*GENLEARN_PROFILE.*: quick, full"):
        vae.config("mnist")
