"""Evaluations of models whose samples are known, and of an untrained model of each recipe."""

import json
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from genlearn import data
from genlearn.errors import GenlearnError, RunError
from genlearn.metrics.features import features_of, pixel_features
from genlearn.metrics.frechet import frechet_distance
from genlearn.metrics.kernel_distance import kernel_distance
from genlearn.metrics.memorisation import memorisation
from genlearn.metrics.precision_recall import density_coverage, precision_recall
from genlearn.recipes import RECIPES, evaluation, gan, pixel, vae, vqvae
from genlearn.recipes.evaluation import columns, evaluate
from genlearn.recipes.evaluation_figures import Real, figures_of, likelihood_figures
from genlearn.recipes.evaluation_report import heading, table
from genlearn.recipes.judge import cached_judge
from genlearn.recipes.run_folder import Head, open_run

EXACT = {
    "negative_log_likelihood_nats": 20.0, "standard_error": 0.5, "bits_per_dim": 7.0, "images": 40,
}  # fmt: skip


def noise(n: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(100, (n, 1, 2, 2), generator=generator, dtype=torch.uint8)


def cloud(count: int, seed: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed)) + shift


def of(content: dict, name: str, whose: str = "samples") -> float:
    return content["figures"][whose][name]["value"]


# --- which images are compared with which -------------------------------------


def test_figures_are_those_of_samples_against_the_test_images(echo):
    """And copies are sought among the training images alone."""
    run, toy = echo("run", noise), data.load("toy")
    content = evaluate(run, features="pixels", samples=40).content
    pixels = {
        name: features_of(pixel_features(256), images)
        for name, images in [
            ("samples", noise(40, 0)),
            ("test", toy.test.images),
            ("train", toy.train.images),
        ]
    }
    train, test, samples = pixels["train"], pixels["test"], pixels["samples"]
    near, dense = precision_recall(test, samples), density_coverage(test, samples)
    expected = {
        "frechet_distance": frechet_distance(samples, test),
        "kernel_distance": kernel_distance(samples, test).value,
        "precision": near.precision.value,
        "recall": near.recall.value,
        "density": dense.density.value,
        "coverage": dense.coverage.value,
        "memorisation": memorisation(train, test, samples).nearer.value,
    }
    found = {name: of(content, name) for name in expected}
    assert found == pytest.approx(expected, rel=1e-5)


def test_a_model_that_says_the_test_images_is_perfect(echo):
    """Whatever else: this is what all figures mean by good."""
    run = echo("run", lambda n, seed: data.load("toy").test.images[:n])
    content = evaluate(run, features="pixels", samples=40).content
    assert of(content, "frechet_distance") == pytest.approx(0, abs=1e-9)
    assert [of(content, name) for name in ("precision", "recall", "coverage")] == [1, 1, 1]
    assert of(content, "memorisation") == 0.5
    assert of(content, "kernel_distance") < 0


def test_a_model_that_says_the_training_images_is_exposed(echo):
    run = echo("run", lambda n, seed: data.load("toy").train.images[:n])
    found = evaluate(run, features="pixels", samples=30)
    assert of(found.content, "memorisation") == 1
    assert torch.equal(found.suspects, found.originals)
    assert len(found.suspects) == 8


def test_training_images_stand_beside_samples_in_equal_number(echo):
    """A different seed of the samples leaves them as they are."""
    run = echo("run", noise)
    first, second = (
        evaluate(run, features="pixels", samples=30, seed=seed).content for seed in (0, 1)
    )
    assert first["training_images_as_samples"] == 30
    beside = "training images"
    assert first["figures"][beside] == second["figures"][beside]
    assert of(first, "memorisation", beside) == 1
    more = evaluate(run, features="pixels", samples=100).content
    assert (more["samples"], more["training_images_as_samples"]) == (100, 60)
    assert more["images_of_neighbour_figures"] == 40


def test_the_seed_is_that_of_the_samples_and_equal_runs_give_equal_files(echo):
    run = echo("run", noise)
    contents = [evaluate(run, features="pixels", seed=seed).content for seed in (3, 3, 4)]
    assert contents[0] == contents[1]
    assert json.dumps(contents[0]) == json.dumps(contents[1])
    assert contents[0]["figures"]["samples"] != contents[2]["figures"]["samples"]
    assert contents[0]["seed"] == 3
    test = data.load("toy").test.images
    expected = frechet_distance(*(x.flatten(1) / 255 for x in (noise(60, 3), test)))
    assert of(contents[0], "frechet_distance") == pytest.approx(expected, rel=1e-5)


# --- figures ------------------------------------------------------------------


def test_every_figure_has_an_interval_around_it():
    real = Real(cloud(90, 0), cloud(60, 1))
    logits = torch.randn(70, 4, generator=torch.Generator().manual_seed(2))
    told: list[str] = []
    found = figures_of(cloud(70, 3, 0.5), logits.log_softmax(1), real, tell=told.append).figures
    assert len(told) == 6
    assert set(found) == {
        "frechet_distance", "frechet_at_infinity", "kernel_distance", "class_score", "precision",
        "recall", "density", "coverage", "memorisation",
    }  # fmt: skip
    assert all(figure["low"] <= figure["value"] <= figure["high"] for figure in found.values())
    kernel = found["kernel_distance"]
    assert kernel["high"] - kernel["value"] == pytest.approx(
        1.96 * kernel["standard_error"], rel=1e-3
    )


def test_without_classes_there_is_no_class_score():
    assert "class_score" not in figures_of(cloud(20, 0), None, Real(*[cloud(20, 1)] * 2)).figures


def test_too_few_samples_for_a_figure_are_said_to_be():
    """Four for each of three features; the distance itself is given, without an interval."""
    real = Real(cloud(90, 0), cloud(60, 1))
    few, enough = (figures_of(cloud(n, 3), None, real).figures for n in (11, 12))
    assert few["frechet_at_infinity"]["value"] is None
    assert few["frechet_distance"]["value"] == pytest.approx(
        frechet_distance(cloud(11, 3), real.test), rel=1e-5
    )
    for name in ("frechet_distance", "frechet_at_infinity"):
        assert few[name]["low"] is few[name]["high"] is None
        assert few[name]["reason"].endswith("needs 12 samples")
        assert enough[name]["low"] < enough[name]["high"]


@pytest.mark.parametrize(
    ("test", "kind", "nats"),
    [
        (EXACT, "exact", 20.0),
        ({**EXACT, "without_label": {**EXACT, "negative_log_likelihood_nats": 21.0}}, "exact", 21),
        ({**EXACT, "negative_elbo_nats": 22.0}, "bound", 22.0),
        ({"negative_elbo_nats": 22.0, "importance_sampling": EXACT}, "importance sampling", 20.0),
    ],
    ids=["exact", "given the label", "bound", "importance sampling"],
)
def test_the_likelihood_is_that_of_images_alone_and_its_kind_is_named(tmp_path, test, kind, nats):
    found = likelihood_figures(tmp_path, {"test": test})
    assert (found["kind"], found["nats"]["value"], found["images"]) == (kind, nats, 40)
    if kind == "exact":
        assert found["nats"]["high"] == pytest.approx(nats + 1.96 * 0.5, abs=1e-3)
    assert found["bits_per_dim"]["standard_error"] == pytest.approx(7 * 0.5 / nats, rel=1e-4)
    assert likelihood_figures(tmp_path, {"test": None}) is None


# --- every recipe -------------------------------------------------------------

TINY = {
    "vae": vae.Config(hidden=(4,), latent_dim=2, pixel_features=0),
    "vqvae": vqvae.Config(channels=(2, 3), codes=5, code_dim=2),
    "gan": gan.Config(channels=(3, 4), latent_dim=3),
    "pixel": pixel.Config(model="pixel-cnn", features=4, layers=1, head=4, classes=10),
}


@pytest.fixture
def untrained(tmp_path, monkeypatch):
    """Make the folder of a run that was not trained; the judge is hardly trained either."""

    def hardly(dataset, **settings):
        return cached_judge(dataset, steps=1, channels=(2,), **settings)

    monkeypatch.setattr(evaluation, "cached_judge", hardly)
    quick = evaluation.classification_accuracy_score

    def quickly(*arguments, **settings):
        return quick(*arguments, steps=1, channels=(2,), **settings)

    monkeypatch.setattr(evaluation, "classification_accuracy_score", quickly)

    def make(name: str):
        config, folder = TINY[name], tmp_path / name
        open_run(folder, Head(name, (1, 8, 8), 17), config, resume=False)
        built = RECIPES[name].build(config, (1, 8, 8), 17)
        parts = {"vae": built, "vqvae": built}
        if name == "gan":
            parts = built.modules
        elif name == "pixel":
            parts = {"best": built.best}
        (folder / "checkpoint-000001").mkdir()
        for part, module in parts.items():
            weights = {key: tensor.contiguous() for key, tensor in module.state_dict().items()}
            file = folder / "checkpoint-000001" / f"{part}.safetensors"
            file.write_bytes(safetensors.torch.save(weights))
        if name == "vqvae":
            prior = vqvae.fit_prior(built, data.load("digits").valid)
            (folder / vqvae.PRIOR).write_bytes(safetensors.torch.save(prior.state_dict()))
        test = None if name == "gan" else EXACT
        (folder / "result.json").write_text(json.dumps({"data": "digits", "test": test}))
        return folder

    return make


@pytest.mark.parametrize("name", list(TINY))
def test_a_model_of_every_recipe_is_evaluated(untrained, name):
    run = untrained(name)
    content = evaluate(run, samples=20).content
    assert (content["recipe"], content["data"]) == (name, "digits")
    assert content["features"]["name"] == "digits classifier, 2 channels, 64 features"
    assert content["features"]["count"] == 64
    assert (content["likelihood"] is None) == (name == "gan")
    for figures in content["figures"].values():
        assert ("classification_accuracy" in figures) == (name == "pixel")
        if name == "pixel":
            assert figures["classification_accuracy"]["images"] == 20
        assert 1 <= figures["class_score"]["value"] <= 10
    lines = table(columns(content), content)
    assert sum(line.startswith("nats per image") for line in lines) == (name != "gan")
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(("name", "likelihood"), [("vae", None), ("pixel", "exact")])
def test_the_likelihood_of_other_weights_is_not_that_of_the_best(untrained, name, likelihood):
    """The recipe pixel itself judges the best ones; a run of a VAE says what its newest come to."""
    run = untrained(name)
    (run / "history.jsonl").write_text('{"step": 1, "valid/loss": 2.0}\n')
    weights = next(run.glob("*/*.safetensors")).read_bytes()
    (run / "checkpoint-000001" / "best.safetensors").write_bytes(weights)
    content = evaluate(run, samples=20, features="pixels", best=True).content
    assert content["best_step"] == 1
    assert (content["likelihood"] or {}).get("kind") == likelihood
    assert "(seed 0, best weights of step 1)" in heading(content)


@pytest.mark.parametrize("name", ["gan", "vqvae"])
def test_a_recipe_without_a_figure_to_choose_by_has_no_best_weights(untrained, name):
    with pytest.raises(RunError, match=f"{name} has no figure to choose the best weights by"):
        evaluate(untrained(name), samples=20, best=True)


def test_what_identifies_the_figures_is_kept(untrained):
    run = untrained("vae")
    content = evaluate(run, samples=20).content
    again = evaluate(run, samples=20).content
    assert again == content
    assert {len(value) for value in content["sha256"].values()} == {64}
    assert len(content["features"]["sha256"]) == 64
    file = run / "checkpoint-000001" / "vae.safetensors"
    weights = safetensors.torch.load(file.read_bytes())
    file.write_bytes(safetensors.torch.save({k: v + 1e-3 for k, v in weights.items()}))
    moved = evaluate(run, samples=20).content
    changed = {k for k in content["sha256"] if content["sha256"][k] != moved["sha256"][k]}
    assert changed == {"weights"}


# --- what is said of it -------------------------------------------------------


def test_only_with_the_features_of_inception_is_a_distance_called_fid(echo):
    content = evaluate(echo("run", noise, EXACT), features="pixels", samples=30).content
    text = "\n".join(table(columns(content), content))
    assert "Fréchet distance" in text
    assert "FID" not in text
    assert "Features: pixels, 4 features." in text
    content["features"]["name"] = "Inception-v3"
    text = "\n".join(table(columns(content), content))
    assert "FID" in text
    assert "Fréchet" not in text


def test_the_table_says_what_is_a_bound_and_what_was_left_out(echo):
    bound = {**EXACT, "negative_elbo_nats": 22.0}
    run = echo("run", noise, bound)
    content = evaluate(run, features="pixels", samples=10).content
    lines = table(columns(content), content)
    assert any(line.startswith("nats per image") and "≤ 22.00 ± 0.50" in line for line in lines)
    assert any("Fréchet distance: interval needs 16 samples" in line for line in lines)
    assert heading(content) == (
        "10 samples (seed 0) and 10 training images, against 40 test images of toy"
    )


# --- bad input ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"samples": 5}, "--samples must be at least 6, got 5"),
        ({"seed": -1}, "--seed must be"),
        ({"features": "inception"}, "--features inception needs --weights FILE"),
        ({"features": "pixels", "weights": "x"}, "--weights belong to --features inception"),
        ({"device": "gpu"}, "choose auto, cpu, cuda or mps"),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(echo, options, words):
    with pytest.raises(GenlearnError, match=words):
        evaluate(echo("run", noise), **options)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"test": {}}',
        '{"data": "toy", "test": {"negative_elbo_nats": "x"}}',
        '{"data": 3}',
    ],
)
def test_a_damaged_result_is_refused(echo, text):
    run = echo("run", noise)
    (run / "result.json").write_text(text)
    with pytest.raises(RunError, match="damaged"):
        evaluate(run, features="pixels")


def test_a_run_that_does_not_fit_is_refused(echo, monkeypatch):
    run, toy = echo("run", noise), data.load("toy")
    (run / "result.json").rename(run / "elsewhere")
    with pytest.raises(RunError, match="the run is not finished"):
        evaluate(run, features="pixels")
    (run / "elsewhere").rename(run / "result.json")
    for change, words in [
        ({"train": replace(toy.train, levels=250, images=toy.train.images // 2)}, "levels"),
        ({"test": replace(toy.test, images=toy.test.images[:5], labels=None)}, "5 test images"),
    ]:
        monkeypatch.setattr(data, "load", lambda _, change=change: replace(toy, **change))
        with pytest.raises(RunError, match=words):
            evaluate(run, features="pixels")
    unlabelled = replace(toy, train=replace(toy.train, labels=None))
    monkeypatch.setattr(data, "load", lambda _: unlabelled)
    with pytest.raises(RunError, match="toy has no labels, so no classifier: add --features pix"):
        evaluate(run)
