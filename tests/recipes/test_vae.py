"""A whole run, on real digits, with a model so small that it takes a second."""

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from genlearn import data, distributions
from genlearn.errors import RunError
from genlearn.metrics import Estimate, log_likelihood, mean_elbo
from genlearn.recipes import vae, whole_run

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
        "checkpoint-000012/best.safetensors",
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


def test_the_weights_with_the_best_bound_are_kept(tmp_path, monkeypatch):
    """Where the bound falls from the first evaluation on, they are those of its step."""
    bounds = iter([-1.0, -2.0])
    with monkeypatch.context() as patch:
        worse = lambda *_, **__: Estimate(next(bounds, -3.0), 0.0, 1)
        patch.setattr(vae, "mean_elbo", worse)
        vae.run(replace(TINY, checkpoint_every=6, keep=2), tmp_path)
    weights = torch.nn.utils.parameters_to_vector
    best, last = (weights(vae.load(tmp_path, best=best).parameters()) for best in (True, False))
    assert not torch.equal(best, last)
    shutil.rmtree(tmp_path / "checkpoint-000012")
    assert torch.equal(best, weights(vae.load(tmp_path).parameters()))


def test_another_seed_gives_another_model(run, tmp_path):
    vae.run(replace(TINY, seed=1), tmp_path / "other")
    name = "checkpoint-000012/vae.safetensors"
    assert (tmp_path / "other" / name).read_bytes() != (run / name).read_bytes()


def test_the_seed_fixes_the_order_of_the_data_and_all_noise(monkeypatch):
    given = {}
    monkeypatch.setattr(whole_run, "fit", lambda *a, **k: given.update(k, batches=a[2]))
    digits, settings = data.load("digits"), replace(TINY, seed=7)
    vae.train(settings, digits, vae.build(settings, digits.shape, digits.levels))
    assert given["seed"] == given["batches"].seed == 7


@pytest.mark.parametrize("step", [5, 8])
def test_a_run_that_was_interrupted_goes_on_to_the_same_bytes(
    run, tmp_path, monkeypatch, step, contents
):
    class Interrupted(whole_run.SampleGrid):
        def after_step(self, training):
            if training.step == step:
                raise KeyboardInterrupt
            super().after_step(training)

    with monkeypatch.context() as patch:
        patch.setattr(whole_run, "SampleGrid", Interrupted)
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
    # A checkpoint is no log point: it leaves no trace, however often it is written.
    assert [row["step"] for row in rows] == [6, 12]
    assert [row["step"] for row in rows if "valid/loss" in row] == [6, 12]
    logged = [row for row in rows if "vae/loss" in row]
    assert [row["step"] for row in logged] == [12]
    for row in logged:
        assert row["vae/loss"] == pytest.approx(
            row["vae/rate"] - row["vae/reconstruction"], rel=1e-5
        )


def test_many_samples_are_drawn_in_parts(run, monkeypatch):
    """So that memory is bounded; what is drawn depends on the seed alone all the same."""
    model, sizes = vae.load(run), []
    draw = model.sample
    monkeypatch.setattr(model, "sample", lambda n: sizes.append(n) or draw(n))
    first = vae.sample(model, 405, seed=1)
    assert sizes == [200, 200, 5]
    assert first.shape == (405, 1, 8, 8)
    assert not torch.equal(first[:200], first[200:400])
    assert torch.equal(vae.sample(model, 405, seed=1), first)


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
    monkeypatch.setattr(
        whole_run, "default_generators", lambda _: [torch.default_generator, device]
    )
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


# --- what the settings do -----------------------------------------------------


def logged(folder: Path) -> list[dict[str, float]]:
    rows = (folder / "history.jsonl").read_text().splitlines()
    return [row for row in map(json.loads, rows) if "vae/loss" in row]


def test_the_weight_of_the_rate_warms_up_to_beta(tmp_path):
    settings = replace(TINY, beta=3.0, warm_up=4, steps=6, checkpoint_every=1, learning_rate=0.01)
    vae.run(settings, tmp_path)
    for row in logged(tmp_path):  # one row a step
        weight = 3 * min(1, (row["step"] - 1) / 4)
        expected = weight * row["vae/rate"] - row["vae/reconstruction"]
        assert row["vae/loss"] == pytest.approx(expected, rel=1e-5)
    assert row["vae/rate"] > 0


def test_images_are_moved_before_they_are_learned_from(tmp_path, monkeypatch):
    """Here by a map that makes them black, which is soon learned."""
    given = []

    def blacken(images, generator, **options):
        given.append(options)
        return torch.zeros_like(images)

    monkeypatch.setattr(data.transforms, "random_affine", blacken)
    settings = replace(TINY, shift=2.0, moved=0.5, steps=60, checkpoint_every=60, learning_rate=0.1)
    vae.run(settings, tmp_path)
    assert given == [{"shift": 2.0, "share": 0.5}] * 60
    assert logged(tmp_path)[-1]["vae/loss"] < 60  # digits themselves need about 110


@pytest.mark.parametrize("gradient", ["reparameterised", "doubly"])
def test_several_codes_train_the_importance_weighted_bound(tmp_path, gradient):
    settings = replace(TINY, network="conv", channels=(2, 3), codes=3, gradient=gradient, steps=2)
    vae.run(settings, tmp_path, progress=False)
    assert [set(row) for row in logged(tmp_path)] == [{"step", "vae/loss", "valid/loss"}]
    assert isinstance(vae.load(tmp_path).encoder[0], torch.nn.Conv2d)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("auto", distributions.CategoricalPixels),
        ("categorical", distributions.CategoricalPixels),
        ("gaussian", distributions.GaussianPixels),
        ("logistic", distributions.LogisticPixels),
    ],
)
def test_the_likelihood_is_that_of_the_settings(name, kind):
    model = vae.build(replace(TINY, likelihood=name, components=3), (1, 8, 8), 17)
    assert type(model.pixels) is kind
    if name == "logistic":
        assert model.pixels.components == 3


def test_the_log_likelihood_is_estimated_where_it_is_asked_for(run, tmp_path):
    result = vae.run(replace(TINY, importance_samples=7), tmp_path / "run")
    figures = result["test"].pop("importance_sampling")
    assert result == json.loads((run / "result.json").read_text())
    split = data.load("digits").test
    estimate = log_likelihood(vae.load(tmp_path / "run"), split, samples=7)
    assert figures["samples"] == 7
    assert figures["negative_log_likelihood_nats"] == round(-estimate.mean, 3)
    assert figures["standard_error"] == round(estimate.standard_error, 3)
    assert figures["bits_per_dim"] == pytest.approx(-estimate.mean / 64 / math.log(2), abs=1e-4)
