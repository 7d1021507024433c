"""A whole run, on real digits, with a model so small that it takes a second."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from genlearn import data, distributions
from genlearn.errors import RunError
from genlearn.metrics import Estimate, mean_log_prob
from genlearn.recipes import pixel, whole_run
from genlearn.training import Step

TINY = pixel.Config(
    model="pixel-cnn", features=4, layers=1, head=4, first_kernel=3, moved=0.5, steps=12,
    batch_size=16, evaluate_every=3, checkpoint_every=4, valid_images=50,
)  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "first"
    pixel.run(TINY, folder)
    return folder


def test_a_run_leaves_these_files(run, contents):
    assert sorted(contents(run)) == [
        "checkpoint-000012/average.safetensors",
        "checkpoint-000012/best.safetensors",
        "checkpoint-000012/pixel.safetensors",
        "checkpoint-000012/state.pt",
        "config.toml",
        "curves.png",
        "history.jsonl",
        "result.json",
        "samples-000003.png",
        "samples-000006.png",
        "samples-000009.png",
        "samples-000012.png",
        "samples.png",
    ]


def test_two_runs_give_equal_bytes_in_every_file(run, tmp_path, contents):
    torch.rand(3)  # what was drawn before must not matter
    pixel.run(TINY, tmp_path / "second")
    assert contents(tmp_path / "second") == contents(run)


def squared_norm(model, split, **_) -> Estimate:
    """A figure that grows while weights grow, so that the first average is the best."""
    return Estimate(-sum(p.square().sum().item() for p in model.parameters()), 0.0, len(split))


@pytest.mark.parametrize("early", [False, True], ids=["the last is best", "the first is best"])
def test_a_run_that_was_interrupted_goes_on_to_the_same_bytes(
    tmp_path, monkeypatch, early, contents
):
    """The average and the best of them included, also where the best is from before."""

    class Interrupted(whole_run.SampleGrid):
        def after_step(self, training):
            if training.step == 8:
                raise KeyboardInterrupt
            super().after_step(training)

    if early:
        monkeypatch.setattr(pixel, "mean_log_prob", squared_norm)
    config = replace(TINY, learning_rate=0.05)
    pixel.run(config, tmp_path / "whole")
    best = min(validated(tmp_path / "whole"), key=lambda row: row["valid/loss"])
    assert best["step"] == (3 if early else 12)
    with monkeypatch.context() as patch:
        patch.setattr(whole_run, "SampleGrid", Interrupted)
        with pytest.raises(KeyboardInterrupt):
            pixel.run(config, tmp_path / "again")
    pixel.run(config, tmp_path / "again", resume=True)
    assert contents(tmp_path / "again") == contents(tmp_path / "whole")


def test_the_result_is_that_of_the_saved_model(run):
    """Read from disk and evaluated anew, on the split that was named."""
    result, model, digits = (
        json.loads((run / "result.json").read_text()),
        pixel.load(run),
        data.load("digits"),
    )
    assert not model.training
    assert (result["data"], result["levels"], result["model"]) == ("digits", 17, "pixel-cnn")
    assert result["parameters"] == sum(p.numel() for p in model.parameters())
    for name, split in [("valid", digits.valid), ("test", digits.test)]:
        with torch.no_grad():
            nats = -model.log_prob(split.images).double()
        figures = result[name]
        assert figures["negative_log_likelihood_nats"] == pytest.approx(
            nats.mean().item(), abs=2e-3
        )
        error = nats.std().item() / math.sqrt(len(nats))
        assert figures["standard_error"] == pytest.approx(error, abs=2e-3)
        bits = nats.mean().item() / 64 / math.log(2)
        assert figures["bits_per_dim"] == pytest.approx(bits, abs=2e-4)
        assert figures["images"] == len(split)


def validated(folder: Path) -> list[dict[str, float]]:
    rows = map(json.loads, (folder / "history.jsonl").read_text().splitlines())
    return [row for row in rows if "valid/loss" in row]


@pytest.mark.parametrize("early", [False, True], ids=["the last is best", "the first is best"])
def test_the_average_that_validates_best_is_kept(tmp_path, monkeypatch, early):
    judge = squared_norm if early else mean_log_prob
    monkeypatch.setattr(pixel, "mean_log_prob", judge)
    pixel.run(replace(TINY, learning_rate=0.05), tmp_path)
    rows = validated(tmp_path)
    assert [row["step"] for row in rows] == [3, 6, 9, 12]
    losses = [row["valid/loss"] for row in rows]
    assert losses == sorted(losses, reverse=not early)
    digits = data.load("digits").valid
    first = data.Split(digits.images[:50], None, 17)
    assert -judge(pixel.load(tmp_path), first).mean == pytest.approx(min(losses), rel=1e-6)


def test_the_last_average_is_that_of_the_weights_after_each_step(monkeypatch):
    """Against the sum written out, of states taken by a callback."""
    digits, states = data.load("digits"), []
    trained = pixel.build(TINY, digits.shape, digits.levels)
    weight = trained.model.network.first.weight

    class Watch(whole_run.SampleGrid):
        def __init__(self):
            pass

        def after_step(self, training):
            states.append(weight.detach().clone())

    expected = weight.detach().clone()
    pixel.train(replace(TINY, average=0.4, steps=6), digits, trained, (Watch(),))
    for step, state in enumerate(states, 1):
        keep = min(0.4, (1 + step) / (10 + step))
        expected = keep * expected + (1 - keep) * state
    torch.testing.assert_close(trained.average.network.first.weight, expected)


def test_samples_depend_on_the_seed_alone(run):
    model, state = pixel.load(run), torch.get_rng_state()
    first = pixel.sample(model, 5, seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(4)
    assert torch.equal(pixel.sample(model, 5, seed=3), first)
    assert not torch.equal(pixel.sample(model, 5, seed=4), first)
    assert (first.dtype, first.shape) == (torch.uint8, (5, 1, 8, 8))


def test_learning_lowers_the_loss(tmp_path):
    """Towards the entropy of a constant image, from the 181 nats of the uniform distribution."""
    config = replace(TINY, steps=100, learning_rate=0.02, evaluate_every=50, average=0.9)
    result = pixel.run(config, tmp_path / "run")
    assert 90 < result["test"]["negative_log_likelihood_nats"] < 130


def test_what_a_run_came_to_is_said_in_two_lines(run):
    result = json.loads((run / "result.json").read_text())
    lines = pixel.summary(result)
    for line, split in zip(lines, ("valid", "test"), strict=True):
        nats = result[split]["negative_log_likelihood_nats"]
        assert line.startswith(f"{split}: {nats:.2f} nats per image (± ")
        assert "bits per dimension, exact, 17 levels" in line


# --- labels -------------------------------------------------------------------


def test_a_model_that_is_told_labels_is_judged_with_and_without_them(tmp_path):
    """Without: the mean over all labels, each image's probability written out."""
    result = pixel.run(replace(TINY, classes=10, learning_rate=0.05), tmp_path)
    model, test = pixel.load(tmp_path), data.load("digits").test
    with torch.no_grad():
        given = model.log_prob(test.images, test.labels).double().mean().item()
        every = [
            model.log_prob(test.images, torch.full((len(test),), k)).double().exp() / 10
            for k in range(10)
        ]
    figures = result["test"]
    assert figures["negative_log_likelihood_nats"] == pytest.approx(-given, abs=2e-3)
    nats = -sum(every).log().mean().item()
    without = figures["without_label"]
    assert without["negative_log_likelihood_nats"] == pytest.approx(nats, abs=2e-3)
    lines = pixel.summary(result)
    assert "exact, given the label" in lines[2]
    assert lines[3] == f"test: {nats:.2f} nats per image without the label"


def test_labels_are_drawn_in_turn(monkeypatch):
    model = pixel.build(replace(TINY, classes=3), (1, 8, 8), 17).best
    given = []
    monkeypatch.setattr(
        model, "sample", lambda n, label, **_: given.append(label) or torch.zeros(n)
    )
    pixel.sample(model, 5, seed=0)
    assert given[0].tolist() == pixel.sample_labels(model, 5).tolist() == [0, 1, 2, 0, 1]
    assert pixel.sample_labels(pixel.build(TINY, (1, 8, 8), 17).best, 5) is None


def test_the_number_of_classes_must_be_that_of_the_data(tmp_path):
    with pytest.raises(RunError, match=r"digits has 10 classes: .* got 9"):
        pixel.run(replace(TINY, classes=9), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- augmentation -------------------------------------------------------------


def loss_of(config, monkeypatch):
    """The loss that is given to ``fit``, and the model."""
    given = {}
    monkeypatch.setattr(whole_run, "fit", lambda _, objectives, *a, **k: given.update(o=objectives))
    trained = pixel.build(config, (1, 8, 8), 17)
    pixel.train(config, data.load("digits"), trained)
    return given["o"][0].loss, trained.model


def step_of(images: torch.Tensor) -> Step:
    return Step(0, (images, torch.arange(len(images)) % 3), torch.default_generator)


def test_the_model_is_told_which_images_were_changed(monkeypatch):
    """Those that are moved by nothing, or were not chosen, count as real ones."""
    loss, model = loss_of(replace(TINY, moved=0.7, shift=3.0, classes=3), monkeypatch)
    images, seen = data.load("digits").train.images[:40], {}

    def log_prob(x, label, altered):
        seen.update(x=x, label=label, altered=altered)
        return torch.zeros(len(x))

    monkeypatch.setattr(model, "log_prob", log_prob)
    loss(step_of(images))
    changed = (seen["x"] != images).flatten(1).any(1)
    assert torch.equal(seen["altered"], changed)
    assert 0.4 < changed.float().mean() < 0.95
    assert torch.equal(seen["label"], torch.arange(40) % 3)


def test_images_are_moved_as_far_as_the_settings_say(monkeypatch):
    given = []

    def stay(images, generator, **options):
        given.append(options)
        return images

    monkeypatch.setattr(data.transforms, "random_affine", stay)
    config = replace(TINY, moved=0.25, shift=1.5, angle=4.0, zoom=1.2)
    loss, _ = loss_of(config, monkeypatch)
    loss(step_of(data.load("digits").train.images[:4]))
    assert given == [{"shift": 1.5, "angle": 4.0, "zoom": 1.2, "share": 0.25}]


def test_nothing_is_moved_unless_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(data.transforms, "random_affine", None)
    loss, model = loss_of(replace(TINY, moved=0.0), monkeypatch)
    model.eval()
    images = data.load("digits").train.images[:4]
    expected = -model.log_prob(images).mean()
    torch.testing.assert_close(loss(step_of(images))["loss"], expected)


# --- what the settings do -----------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("auto", distributions.CategoricalPixels),
        ("categorical", distributions.CategoricalPixels),
        ("logistic", distributions.LogisticPixels),
    ],
)
def test_the_likelihood_is_that_of_the_settings(name, kind):
    config = replace(TINY, likelihood=name, components=3)
    model = pixel.build(config, (1, 8, 8), 17).model
    assert type(model.likelihood) is kind
    if name == "logistic":
        assert model.likelihood.components == 3


def test_all_three_networks_begin_alike_and_are_not_one():
    trained = pixel.build(TINY, (1, 8, 8), 17)
    for other in (trained.average, trained.best):
        for mine, theirs in zip(trained.model.parameters(), other.parameters(), strict=True):
            assert torch.equal(mine, theirs)
            assert mine.data_ptr() != theirs.data_ptr()
