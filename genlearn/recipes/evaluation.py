"""Evaluate a run: samples of its model against images that it never saw.

Beside the samples' figures stand those of training images, as if they were samples: what a perfect
model could reach, at the same number of images. Figures compare only where data, features and
numbers of images are the same; :mod:`genlearn.recipes.comparison` sees to that.
"""

import inspect
import json
import tempfile
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from genlearn import data
from genlearn.checkpoints import newest_checkpoint
from genlearn.data.chance import permutation
from genlearn.devices import pick_device
from genlearn.errors import RunError
from genlearn.files import written_whole
from genlearn.metrics.features import (
    Extractor,
    features_of,
    inception_features,
    pixel_features,
)
from genlearn.recipes import RECIPES
from genlearn.recipes.checksums import files_checksum, network_checksum, split_checksum
from genlearn.recipes.classification_score import classification_accuracy_score
from genlearn.recipes.evaluation_figures import (
    LEAST,
    LEVEL,
    Real,
    figures_of,
    interval_figures,
    likelihood_figures,
)
from genlearn.recipes.judge import accuracy, cached_judge, extractor
from genlearn.recipes.run_folder import Head, read_best, read_head, read_result

FORMAT = 1
FILE = "evaluation.json"
MOST = 10_000  # samples, unless one asks for more

FeatureName = Literal["classifier", "pixels", "inception"]


class Evaluation(NamedTuple):
    """What :func:`evaluate` finds."""

    content: dict[str, Any]
    """Of evaluation.json."""
    suspects: Tensor
    """The samples that lie nearest to a training image, uint8, (n, C, H, W)."""
    originals: Tensor
    """The training image nearest to each, of the same shape."""


def evaluate(
    run: Path,
    *,
    samples: int | None = None,
    features: FeatureName = "classifier",
    weights: Path | None = None,
    seed: int = 0,
    device: str = "auto",
    best: bool = False,
    progress: bool = False,
) -> Evaluation:
    """Draw from the model of a finished run, and measure the samples.

    Equal arguments and equal runs give equal figures. The classifier that gives features is the
    same for all runs on a data set, and so are the training images that stand beside the samples.

    Args:
        run: its folder.
        samples: how many to draw; by default as many as there are training images, at most 10,000.
        features: in which distances are measured.
        weights: of Inception-v3, for its features.
        seed: of the samples.
        device: auto takes CUDA, then MPS, then the CPU.
        best: take the weights that the validation split chose; see ``load_model``.
        progress: show a bar on standard error, if that is a terminal.

    Raises:
        GenlearnError: on anything that the user can put right.
    """
    _check(samples, features, weights, seed)
    target, head = pick_device(device), known_head(run)
    result = read_result(run)
    recipe = RECIPES[head.recipe]
    dataset = _dataset(run, head, result)
    if features == "classifier" and dataset.train.labels is None:
        raise RunError(f"{dataset.name} has no labels, so no classifier: add --features pixels")
    trained, step, judged = load_model(run, best)
    # What result.json says is of the weights that the recipe itself takes.
    likelihood = likelihood_figures(run, result) if judged else None
    for network in _networks(trained):
        network.to(target)
    samples = samples or min(MOST, len(dataset.train))
    chosen, facts = _extractor(features, dataset, weights, target)
    drawn = recipe.sample(trained, samples, seed, progress=progress).cpu()
    labels_of = getattr(recipe, "sample_labels", lambda *_: None)
    labels = labels_of(trained, samples)

    reals = _shuffled(dataset.train)[:samples]
    test = _shuffled(dataset.test)
    stages = 13 if chosen.log_probs else 11
    stages += 3 if labels is not None else 0
    with tqdm(total=stages, disable=None if progress else True) as bar:

        def tell(name: str) -> None:
            bar.set_description_str(name)
            bar.update()

        def features_for(images: Tensor) -> Tensor:
            # Metrics compute in float64, which MPS has not.
            return features_of(chosen, images).to(target if target.type == "cuda" else "cpu")

        def log_probs_for(images: Tensor) -> Tensor | None:
            return features_of(chosen.log_probs, images) if chosen.log_probs else None

        tell("features")
        real = Real(features_for(dataset.train.images), features_for(test))
        measured = figures_of(features_for(drawn), log_probs_for(drawn), real, tell=tell)
        beside = figures_of(features_for(reals), log_probs_for(reals), real, tell=tell)
        if labels is not None:
            tell("classification")
            score = classification_accuracy_score(
                drawn, labels, dataset, level=LEVEL, device=str(target), tell=bar.update
            )
            name = "classification_accuracy"
            measured.figures[name] = {**interval_figures(score.samples), "images": score.images}
            beside.figures[name] = {**interval_figures(score.real), "images": score.real_images}

    content = {
        "format": FORMAT,
        "recipe": head.recipe,
        "data": dataset.name,
        "shape": list(head.shape),
        "levels": head.levels,
        "features": {"name": chosen.name, "count": real.test.shape[1], **facts},
        "best_step": step,
        "samples": samples,
        "seed": seed,
        "seed_of_all_else": 0,
        "test_images": len(test),
        "training_images": len(dataset.train),
        "training_images_as_samples": len(reals),
        "images_of_neighbour_figures": min(samples, len(test)),
        "level": LEVEL,
        "likelihood": likelihood,
        "figures": {"samples": measured.figures, "training images": beside.figures},
        "sha256": {
            "weights": weights_checksum(run),
            "train": split_checksum(dataset.train),
            "test": split_checksum(dataset.test),
        },
    }
    suspects = measured.memorisation.closest.cpu()
    nearest = measured.memorisation.nearest.cpu()[suspects]
    return Evaluation(content, drawn[suspects], dataset.train.images[nearest])


def write_evaluation(run: Path, evaluation: Evaluation) -> Path:
    """Write evaluation.json and evaluation.png into the folder of a run; return the picture."""
    from genlearn import viz  # matplotlib is slow to import
    from genlearn.recipes.evaluation_report import picture

    text = json.dumps(evaluation.content, indent=2, ensure_ascii=False) + "\n"
    figure = picture(
        columns(evaluation.content),
        evaluation.content,
        pairs=(evaluation.suspects, evaluation.originals),
    )
    path = run / "evaluation.png"
    viz.save_figure(figure, path)
    with written_whole(run / FILE) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return path


def check_writable(run: Path) -> None:
    """Raise RunError if nothing can be written into the folder of a run, before long work."""
    known_head(run)
    try:
        with tempfile.TemporaryFile(dir=run):
            pass
    except OSError as error:
        raise RunError(
            f"{run}: nothing can be written here ({error.strerror}); copy the run elsewhere"
        ) from None


def columns(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the figures of an evaluation by column of its table, the likelihood among them."""
    own = dict(content["figures"]["samples"])
    if likelihood := content["likelihood"]:
        at_most = {"at_most": likelihood["kind"] != "exact"}
        own |= {name: {**likelihood[name], **at_most} for name in ("nats", "bits_per_dim")}
    return {"samples": own, "training images": content["figures"]["training images"]}


def known_head(run: Path) -> Head:
    """Return what a run's model was made for, if this version knows its recipe.

    Raises:
        RunError: if it does not, or the folder holds no run.
    """
    head = read_head(run)
    if head.recipe not in RECIPES:
        raise RunError(f"{run}: made by {head.recipe!r}, which this version does not know")
    return head


def load_model(run: Path, best: bool) -> tuple[Any, int | None, bool]:
    """Load what a recipe loads, with its newest or with its best weights.

    Returns three values: the model or models; the step of the best weights, None for others;
    whether these weights are those that the recipe judged at the end of the run.

    Raises:
        RunError: if there are no best weights.
    """
    recipe = RECIPES[known_head(run).recipe]
    if not best:
        return recipe.load(run), None, True
    if not hasattr(recipe, "BEST"):
        raise RunError(
            f"{run}: recipe {recipe.NAME} has no figure to choose the best weights by: leave --best"
        )
    step, _ = read_best(run, recipe.BEST)
    judged = inspect.signature(recipe.load).parameters["best"].default
    return recipe.load(run, best=True), step, judged


def weights_checksum(run: Path) -> str | None:
    """Return the checksum of all weights of a run's newest checkpoint; None if there are none."""
    newest = newest_checkpoint(run)
    if newest is None:
        return None
    return files_checksum([*newest.glob("*.safetensors"), *run.glob("*.safetensors")])


def _check(samples: int | None, features: str, weights: Path | None, seed: int) -> None:
    if samples is not None and samples < LEAST:
        raise RunError(
            f"--samples must be at least {LEAST}, got {samples}: coverage looks at 5 neighbours"
        )
    if not 0 <= seed < 2**63:
        raise RunError(f"--seed must be 0 … 2^63 - 1, got {seed}")
    if (weights is None) == (features == "inception"):
        raise RunError(
            "--features inception needs --weights FILE, the weights of Inception-v3; they are "
            "never downloaded"
            if weights is None
            else f"--weights belong to --features inception, not to {features}"
        )


def _dataset(run: Path, head: Head, result: dict[str, Any]) -> data.Dataset:
    dataset = data.load(result["data"])
    if (dataset.shape, dataset.levels) != (head.shape, head.levels):
        raise RunError(
            f"{run}: the model is of images {head.shape} with {head.levels} levels, but "
            f"{dataset.name} has {dataset.shape} with {dataset.levels}; is it another copy?"
        )
    if len(dataset.test) < LEAST:
        raise RunError(f"{dataset.name} has {len(dataset.test)} test images, too few to compare")
    return dataset


def _networks(trained: Any) -> list[nn.Module]:
    """All networks of what a recipe loads: one, or a tuple of several."""
    return list(trained) if isinstance(trained, tuple) else [trained]


def _extractor(
    features: FeatureName, dataset: data.Dataset, weights: Path | None, device: torch.device
) -> tuple[Extractor, dict[str, Any]]:
    """Return the feature extractor, and what identifies it beside its name."""
    if features == "pixels":
        return pixel_features(dataset.levels), {}
    if features == "inception":
        chosen = inception_features(weights, dataset.levels, device=device)
        return chosen, {"sha256": files_checksum([weights])}
    judge = cached_judge(dataset, device=str(device))
    right = round(accuracy(judge, dataset.test), 4)
    facts = {"sha256": network_checksum(judge), "accuracy": right}
    return extractor(judge, dataset.name), facts


def _shuffled(split: data.Split) -> Tensor:
    """A split's images in random order, the same for every run: whatever comes first is typical."""
    return split.images[torch.from_numpy(permutation(0, len(split)))]
