"""A whole run of a GAN, on real digits, with networks so small that it takes a second."""

import json
import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from genlearn import data
from genlearn.errors import RunError
from genlearn.losses import ADVERSARIAL_LOSSES, cross_entropy_discriminator_loss
from genlearn.metrics import class_shares, frechet_distance
from genlearn.nets import has_batch_norm
from genlearn.recipes import gan, gan_settings, settings, whole_run
from genlearn.recipes.judge import accuracy, judge_figures, train_judge
from genlearn.training import Step

TINY = gan.Config(
    channels=(3, 4), latent_dim=3, steps=12, batch_size=16, evaluate_every=6, checkpoint_every=4,
    every=3, samples=60, judge_steps=5, judge_channels=(2, 3),
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    gan.run(TINY, folder)
    return folder


def test_a_run_leaves_these_files(run, contents):
    assert sorted(contents(run)) == [
        "checkpoint-000012/average.safetensors",
        "checkpoint-000012/discriminator.safetensors",
        "checkpoint-000012/generator.safetensors",
        "checkpoint-000012/state.pt",
        "config.toml",
        "curves.png",
        "history.jsonl",
        "result.json",
        "samples-000006.png",
        "samples-000012.png",
        "samples.png",
    ]


def test_two_runs_give_equal_bytes_in_every_file(run, tmp_path, contents):
    torch.rand(3)  # what was drawn before must not matter
    gan.run(TINY, tmp_path / "second")
    assert contents(tmp_path / "second") == contents(run)


@pytest.mark.parametrize(
    "config",
    [
        TINY,
        replace(TINY, network="resnet", spectral=True, repeat=2, augment="all", loss="hinge"),
        replace(TINY, normalise="batch", penalty="none", average=0.0, smoothing=0.1),
    ],
    ids=["r1", "spectral", "batch norm"],
)
def test_a_run_that_was_interrupted_goes_on_to_the_same_bytes(
    tmp_path, monkeypatch, config, contents
):
    """Both players, their optimisers, the average and the power iteration included."""

    class Interrupted(whole_run.SampleGrid):
        def after_step(self, training):
            if training.step == 8:
                raise KeyboardInterrupt
            super().after_step(training)

    gan.run(config, tmp_path / "whole")
    with monkeypatch.context() as patch:
        patch.setattr(whole_run, "SampleGrid", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            gan.run(config, tmp_path / "again")
    gan.run(config, tmp_path / "again", resume=True)
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")


def test_the_result_is_that_of_the_saved_average_and_of_a_judge_trained_anew(run):
    result, trained, digits = (
        json.loads((run / "result.json").read_text()),
        gan.load(run),
        data.load("digits"),
    )
    assert not any(module.training for module in trained.modules.values())
    judge = train_judge(digits, steps=5, channels=(2, 3))
    images, test = gan.sample(trained, 60, 0), digits.test
    right = judge.classify(test.images) == test.labels
    assert result["judge"] == {"accuracy": round(right.double().mean().item(), 4), "images": 447}
    figures = result["samples"]
    assert (figures["images"], figures["classes"]) == (60, 10)
    expected = class_shares(judge.classify(images), digits.train.labels.bincount())
    assert figures["smallest_relative_share"] == round(expected.smallest, 3)
    assert figures["relative_shares"] == [round(share, 3) for share in expected.relative.tolist()]
    with torch.no_grad():
        distance = frechet_distance(judge.features(images), judge.features(test.images))
    assert figures["frechet_distance"] == pytest.approx(distance, rel=1e-3, abs=1e-3)


def test_the_history_holds_both_players_and_the_penalty(run):
    rows = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [12]
    for row in rows:
        names = {"loss", "real_logit", "fake_logit", "penalty"}
        assert {f"discriminator/{name}" for name in names} <= set(row)
        assert "generator/loss" in row


def test_samples_depend_on_the_seed_alone(run):
    trained, state = gan.load(run), torch.get_rng_state()
    first = gan.sample(trained, 5, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(4)
    assert torch.equal(gan.sample(trained, 5, seed=3), first)
    assert not torch.equal(gan.sample(trained, 5, seed=4), first)
    assert (first.dtype, first.shape) == (torch.uint8, (5, 1, 8, 8))


def test_samples_come_from_the_average_with_statistics_of_its_own(run):
    """Whatever the generator is, and whatever statistics the training left."""
    trained = gan.load(run)
    expected = gan.sample(trained, 5, seed=0)
    with torch.no_grad():
        for parameter in trained.model.generator.parameters():
            parameter.zero_()
        for buffer in trained.average.buffers():
            buffer.zero_()
    assert torch.equal(gan.sample(trained, 5, seed=0), expected)


def test_what_a_run_came_to_is_said_in_three_lines(run):
    result = json.loads((run / "result.json").read_text())
    judge, shares, distance = gan.summary(result)
    assert judge == f"classifier: {result['judge']['accuracy']:.1%} of 447 test images right"
    assert "of 10 classes the rarest, " in shares
    assert f"{result['samples']['frechet_distance']:.1f} to the test images" in distance


def test_a_set_without_labels_has_no_judge(tmp_path, monkeypatch):
    digits = data.load("digits")
    parts = {
        name: replace(getattr(digits, name), labels=None) for name in ("train", "valid", "test")
    }
    monkeypatch.setattr(data, "load", lambda _: data.Dataset("unnamed", **parts))
    result = gan.run(replace(TINY, steps=2), tmp_path / "run")
    assert result["judge"] is result["samples"] is None
    assert gan.summary(result) == [
        "digits has no labels, so there is no classifier to judge samples"
    ]
    with pytest.raises(RunError, match="unnamed has no labels"):
        train_judge(data.load("digits"), steps=1)


# --- what the settings do -----------------------------------------------------


def step_at(index: int, size: int = 6) -> Step:
    images = data.load("digits").train.images[:size]
    return Step(index, (images,), torch.default_generator)


def losses_of(config, monkeypatch):
    """The losses that are given to ``fit``, and the players."""
    given = {}

    def fit(modules, objectives, *_, **options):
        given.update(options, losses={o.name: o.loss for o in objectives}, objectives=objectives)

    monkeypatch.setattr(gan, "fit", fit)
    trained = gan.build(config, (1, 8, 8), 17)
    gan.train(config, data.load("digits"), trained)
    return given, trained.model


def test_the_weight_of_the_penalty_falls_by_equal_factors():
    config = replace(TINY, penalty_weight=0.8, penalty_last=0.1, steps=9)
    weights = [gan.penalty_weight(config, step) for step in (0, 3, 6, 9)]
    assert weights == pytest.approx([0.8, 0.4, 0.2, 0.1])
    constant = replace(config, penalty_last=0.0)
    assert gan.penalty_weight(constant, 7) == 0.8


@pytest.mark.parametrize("penalty", ["r1", "r2", "gp", "gp-one-sided"])
def test_a_penalty_is_taken_at_every_so_many_steps_with_as_many_times_its_weight(
    monkeypatch, penalty
):
    """Of a gradient that is the same everywhere, so that all kinds are known."""
    config = replace(TINY, penalty=penalty, penalty_weight=0.5, penalty_last=0.0, every=3)
    given, model = losses_of(config, monkeypatch)
    slope = torch.full((64,), 0.5)
    model.discriminator = Linear(slope)
    expected = {"r1": 8.0, "r2": 8.0, "gp": 9.0, "gp-one-sided": 9.0}[penalty]  # the norm is 4
    loss = given["losses"]["discriminator"]
    assert loss(step_at(3))["penalty"].item() == pytest.approx(3 * 0.5 * expected)
    for index in (4, 5):
        assert "penalty" not in loss(step_at(index))


class Linear(torch.nn.Module):
    """A critic whose gradient is known."""

    def __init__(self, slope):
        super().__init__()
        self.slope = slope

    def forward(self, x):
        return x.flatten(1) @ self.slope


def test_smoothing_is_of_real_labels_and_losses_are_those_of_their_name():
    for name in ADVERSARIAL_LOSSES:
        trained = gan.build(replace(TINY, loss=name), (1, 8, 8), 17)
        assert trained.model.loss == ADVERSARIAL_LOSSES[name]
    smooth = gan.build(replace(TINY, smoothing=0.2), (1, 8, 8), 17).model.loss
    real, fake = torch.tensor([2.0]), torch.tensor([-1.0])
    expected = 0.8 * F.softplus(-real) + 0.2 * F.softplus(real) + F.softplus(fake)
    torch.testing.assert_close(smooth.discriminator(real, fake), expected.squeeze())
    assert smooth.discriminator(real, fake) != cross_entropy_discriminator_loss(real, fake)


def test_each_player_has_its_learning_rate_and_its_updates(monkeypatch):
    config = replace(TINY, learning_rate=0.1, discriminator_learning_rate=0.3, repeat=4, steps=5)
    given, _ = losses_of(config, monkeypatch)
    first, second = given["objectives"]
    assert (first.name, first.repeat, second.name, second.repeat) == (
        "discriminator", 4, "generator", 1
    )  # fmt: skip
    assert [o.optimizer.param_groups[0]["lr"] for o in (first, second)] == [0.3, 0.1]
    assert [o.schedule.T_max for o in (first, second)] == [20, 5]
    same, _ = losses_of(replace(config, discriminator_learning_rate=0.0), monkeypatch)
    assert same["objectives"][0].optimizer.param_groups[0]["lr"] == 0.1


def test_networks_and_augmentation_are_those_of_the_settings():
    models = {
        "plain": gan.build(TINY, (1, 8, 8), 17).model,
        "batch": gan.build(replace(TINY, normalise="batch", penalty="none"), (1, 8, 8), 17).model,
        "resnet": gan.build(replace(TINY, network="resnet", spectral=True), (1, 8, 8), 17).model,
        "shift": gan.build(replace(TINY, augment="shift"), (1, 8, 8), 17).model,
    }
    assert [has_batch_norm(model.discriminator) for model in models.values()] == [
        False, True, False, False
    ]  # fmt: skip
    assert all(has_batch_norm(model.generator) for model in models.values())
    keys = models["resnet"].discriminator.state_dict()
    assert any("parametrizations" in key for key in keys)
    assert models["plain"].augment is None
    ones = torch.ones(50, 1, 8, 8)
    assert set(models["shift"].augment(ones).unique().tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"latent_dim": 0}, "latent_dim must be"),
        ({"every": 0}, "every must be"),
        ({"repeat": 0}, "repeat must be"),
        ({"samples": 1}, "samples must be at least 2"),
        ({"batch_size": 1}, "batch_size must be at least 2"),
        ({"channels": ()}, "channels must be one width or more"),
        ({"judge_channels": (0,)}, "judge_channels must be widths"),
        ({"discriminator_learning_rate": -1.0}, "discriminator_learning_rate must be"),
        ({"penalty_weight": math.inf}, "penalty_weight must be"),
        ({"penalty_weight": 0.0}, "a penalty_weight of 0 cannot fall"),
        ({"smoothing": 1.0}, "smoothing must be"),
        ({"smoothing": 0.1, "loss": "hinge"}, "'hinge' has no labels to smooth"),
        ({"normalise": "batch"}, "a penalty needs each image's own gradient"),
        ({"average": 1.0}, "average must be"),
        ({"beta1": 1.0}, "beta1 must be"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(setting, words):
    with pytest.raises(RunError, match=words):
        replace(TINY, **setting)


def test_these_data_sets_have_both_profiles():
    names = ["digits", "glyphs", "mnist", "fashion-mnist", "kmnist", "patches", "emoji", "cifar10"]
    assert set(gan_settings.PROFILES) == set(product(names, ["quick", "full"]))
    for name, profile in gan_settings.PROFILES:
        chosen = gan.config(name, profile)
        assert (chosen.data, chosen.profile) == (name, profile)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32)], ids=str)
def test_networks_of_the_quick_profiles_take_their_images(shape):
    names = {(1, 8, 8): "digits", (1, 28, 28): "glyphs", (3, 32, 32): "cifar10"}
    model = gan.build(gan.config(names[shape], "quick"), shape, 256).model
    images = model.sample(2)
    assert images.shape == (2, *shape)
    assert model.discriminator(model.scaled(images)).shape == (2,)


def test_settings_that_every_recipe_has_stand_first_here_too():
    common = list(settings.Settings.__dataclass_fields__)
    assert list(gan.Config.__dataclass_fields__)[: len(common)] == common


# --- the judge ----------------------------------------------------------------


def test_a_judge_of_digits_is_right_most_of_the_time():
    """Chance is a tenth."""
    digits = data.load("digits")
    judge = train_judge(digits, steps=150)
    assert accuracy(judge, digits.test) > 0.85
    figures = judge_figures(judge, digits.train.images, digits)
    assert figures["smallest_relative_share"] > 0.9
    assert figures["frechet_distance"] == figures["frechet_distance_of_training_images"]


def test_training_a_judge_leaves_the_callers_random_numbers_alone():
    state = torch.get_rng_state()
    train_judge(data.load("digits"), steps=1, channels=(2, 3))
    assert torch.equal(torch.get_rng_state(), state)
