"""A whole run of a VQ-VAE, on real digits, with a model so small that it takes a second."""

import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch

from genlearn import data, distributions
from genlearn.errors import RunError
from genlearn.metrics import mean_over
from genlearn.nets import perplexity
from genlearn.recipes import pixel_prior, settings, vae, vqvae, whole_run

TINY = vqvae.Config(
    codes=6, code_dim=2, channels=(2, 3), steps=12, batch_size=16,
    evaluate_every=6, checkpoint_every=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    vqvae.run(TINY, folder)
    return folder


def test_a_run_leaves_these_files(run, contents):
    assert sorted(contents(run)) == [
        "checkpoint-000012/state.pt",
        "checkpoint-000012/vqvae.safetensors",
        "config.toml",
        "curves.png",
        "history.jsonl",
        "prior.safetensors",
        "result.json",
        "samples-000006.png",
        "samples-000012.png",
        "samples.png",
    ]


@pytest.mark.parametrize("step", [5, 8])
def test_a_run_that_was_interrupted_goes_on_to_the_same_bytes(
    run, tmp_path, monkeypatch, step, contents
):
    """Codebook, moving averages and restarts included."""

    class Interrupted(whole_run.SampleGrid):
        def after_step(self, training):
            if training.step == step:
                raise KeyboardInterrupt
            super().after_step(training)

    with monkeypatch.context() as patch:
        patch.setattr(whole_run, "SampleGrid", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            vqvae.run(TINY, tmp_path / "again")
    if step > 4:
        with pytest.raises(RunError, match="not finished, so it has no prior yet; resume it"):
            vqvae.load(tmp_path / "again")
    vqvae.run(TINY, tmp_path / "again", resume=True)
    assert contents(tmp_path / "again") == contents(run)


def test_the_result_is_that_of_the_saved_model_and_prior(run):
    """Read from disk and evaluated anew, on the split that was named."""
    result, (model, prior) = json.loads((run / "result.json").read_text()), vqvae.load(run)
    digits = data.load("digits")
    assert not model.training
    assert (result["data"], result["levels"], result["codes"]) == ("digits", 17, 6)
    assert result["restarts"] == model.codebook.restarts.item()
    fitted = vqvae.fit_prior(model, digits.train)
    assert torch.equal(prior.probabilities, fitted.probabilities)
    for name, split in [("valid", digits.valid), ("test", digits.test)]:
        figures, codes = result[name], model.encode(split.images)
        bound = mean_over(model, split, lambda x: model.elbo(x, prior))
        assert figures["negative_elbo_nats"] == round(-bound.mean, 3)
        assert figures["standard_error"] == round(bound.standard_error, 3)
        assert figures["bits_per_dim"] == pytest.approx(-bound.mean / 64 / math.log(2), abs=1e-4)
        parts = figures["rate_nats"] + figures["distortion_nats"]
        assert parts == pytest.approx(figures["negative_elbo_nats"], abs=2e-3)
        assert figures["perplexity"] == round(perplexity(codes, 6).item(), 2)
        assert figures["codes_in_use"] == len(codes.unique())


def test_what_independent_places_would_cost_is_said_too(run):
    """Without another prior it is the rate itself."""
    result = json.loads((run / "result.json").read_text())
    for split in ("valid", "test"):
        assert result[split]["independent_rate_nats"] == result[split]["rate_nats"]


PIXEL = replace(TINY, prior="pixel", prior_features=4, prior_layers=2, prior_steps=8)


def test_a_prior_that_reads_the_codes_is_trained_kept_and_judged(run, tmp_path):
    """The VQ-VAE stays what it is with independent places."""
    result = vqvae.run(PIXEL, tmp_path)
    name = "checkpoint-000012/vqvae.safetensors"
    assert (tmp_path / name).read_bytes() == (run / name).read_bytes()
    model, prior = vqvae.load(tmp_path)
    assert not prior.training
    before = json.loads((run / "result.json").read_text())
    digits = data.load("digits")
    for split, part in [("valid", digits.valid), ("test", digits.test)]:
        figures = result[split]
        assert figures["independent_rate_nats"] == before[split]["rate_nats"]
        with torch.no_grad():
            rate = -prior.log_prob(model.encode(part.images)).double().mean().item()
            bound = model.elbo(part.images, prior).double().mean().item()
        assert figures["rate_nats"] == pytest.approx(rate, abs=2e-3)
        assert figures["negative_elbo_nats"] == pytest.approx(-bound, abs=2e-3)
        distortion = before[split]["distortion_nats"]
        assert figures["distortion_nats"] == pytest.approx(distortion, abs=2e-3)
    assert vqvae.sample(vqvae.Trained(model, prior), 3, seed=0).shape == (3, 1, 8, 8)


def test_a_run_with_such_a_prior_goes_on_to_the_same_bytes(tmp_path, monkeypatch, contents):
    """Interrupted while the prior is in training."""

    def interrupted(*_):
        raise KeyboardInterrupt

    vqvae.run(PIXEL, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(vqvae, "train_prior", interrupted)
        with pytest.raises(KeyboardInterrupt):
            vqvae.run(PIXEL, tmp_path / "again")
    with pytest.raises(RunError, match="not finished, so it has no prior yet; resume it"):
        vqvae.load(tmp_path / "again")
    torch.rand(3)
    vqvae.run(PIXEL, tmp_path / "again", resume=True)
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")


def test_a_prior_learns_how_codes_depend_on_each_other(monkeypatch):
    """Codes of which one says all the others: independent places would take ln 3 nats for each."""
    digits = data.load("digits")
    config = replace(
        PIXEL, prior_features=16, prior_steps=150, prior_dropout=0.0, learning_rate=0.01, codes=6
    )
    model = vqvae.build(config, digits.shape, digits.levels).eval()
    monkeypatch.setattr(
        model, "encode", lambda x: (x.flatten(1).sum(1) % 3).long().view(-1, 1, 1).expand(-1, 4, 4)
    )
    prior = pixel_prior.train_prior(config, digits, model)
    rate = -prior.log_prob(model.encode(digits.test.images)).mean().item()
    assert math.log(3) - 0.1 < rate < 1.5  # not 16 ln 3 = 17.6


def test_the_history_holds_training_and_validation(run):
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    validated = [row for row in rows if "valid/distortion" in row]
    assert [row["step"] for row in validated] == [6, 12]
    assert all(1 <= row["valid/perplexity"] <= 6 for row in validated)
    trained = [row for row in rows if "vqvae/loss" in row]
    for row in trained:
        expected = 0.25 * row["vqvae/commitment"] + row["vqvae/distortion"]
        assert row["vqvae/loss"] == pytest.approx(expected, rel=1e-5)


def test_samples_depend_on_the_seed_alone(run):
    trained, state = vqvae.load(run), torch.get_rng_state()
    first = vqvae.sample(trained, 5, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(vqvae.sample(trained, 5, seed=3), first)
    assert not torch.equal(vqvae.sample(trained, 5, seed=4), first)


def test_learning_lowers_the_bound_and_uses_the_codes(tmp_path):
    """From the 181 nats of the uniform distribution."""
    config = replace(TINY, codes=16, channels=(4, 8), steps=80, learning_rate=0.02)
    result = vqvae.run(replace(config, evaluate_every=80, checkpoint_every=80), tmp_path)
    assert result["test"]["negative_elbo_nats"] < 150
    assert result["test"]["perplexity"] > 8


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"codes": 0}, "codes must be at least 1"),
        ({"code_dim": 0}, "code_dim must be"),
        ({"blocks": 0}, "blocks must be"),
        ({"components": 0}, "components must be"),
        ({"channels": ()}, "channels must be one width or more"),
        ({"channels": (0,)}, "channels must be widths"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"decay": 1.0}, "decay must be at least 0 and below 1"),
        ({"commitment": -1.0}, "commitment must be"),
        ({"restart": math.inf}, "restart must be"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(setting, words):
    with pytest.raises(RunError, match=words):
        replace(TINY, **setting)


def test_these_data_sets_have_both_profiles():
    names = ["digits", "mnist", "fashion-mnist", "kmnist", "glyphs", "binarized-mnist"]
    assert set(vqvae.PROFILES) == set(product(names, ["quick", "full"]))
    for name, profile in vqvae.PROFILES:
        chosen = vqvae.config(name, profile)
        assert (chosen.data, chosen.profile) == (name, profile)


def test_profiles_for_28_pixels_have_7_by_7_codes_and_ordered_levels():
    model = vqvae.build(vqvae.config("glyphs", "quick"), (1, 28, 28), 256)
    assert model.grid == (7, 7)
    assert len(model.codebook) == 128
    assert isinstance(model.pixels, distributions.LogisticPixels)


def test_settings_that_every_recipe_has_stand_first_and_are_the_same():
    common = list(settings.Settings.__dataclass_fields__)
    for recipe in (vae, vqvae):
        assert list(recipe.Config.__dataclass_fields__)[: len(common)] == common
