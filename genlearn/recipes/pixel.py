"""Train a model that predicts an image pixel by pixel: PixelRNN, PixelCNN and their kin."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlearn import data, models
from genlearn.callbacks import Average
from genlearn.devices import state_put_back
from genlearn.errors import RunError
from genlearn.history import History
from genlearn.metrics import Estimate, mean_log_prob, mean_over
from genlearn.models import PixelModel
from genlearn.recipes.pixel_settings import MODELS, Config, config
from genlearn.recipes.run_folder import load_newest, read_config, read_head
from genlearn.recipes.whole_run import (
    descend,
    drawn,
    estimate_figures,
    pixel_likelihood,
    validation,
    whole_run,
)
from genlearn.training import Callback

NAME = "pixel"
BEST = "valid/loss"  # the figure by which the best weights are chosen

__all__ = [
    "BEST",
    "MODELS",
    "NAME",
    "Config",
    "Trained",
    "build",
    "config",
    "load",
    "run",
    "sample",
    "sample_labels",
    "summary",
    "train",
]


class Trained(NamedTuple):
    """A model in training, the moving average of its weights, and the best average so far."""

    model: PixelModel
    average: PixelModel
    best: PixelModel
    """The one that the validation split chose."""


def build(config: Config, shape: tuple[int, int, int], levels: int) -> Trained:
    """Make the untrained model of these settings, for images of a shape and number of levels."""
    make, names = _CONSTRUCTORS[config.model]
    options: dict[str, Any] = {option: getattr(config, name) for option, name in names.items()}
    if options.get("hidden") == 0:
        options["hidden"] = None
    with state_put_back([torch.default_generator]):
        torch.default_generator.manual_seed(config.seed)
        model = make(
            shape,
            levels,
            dropout=config.dropout,
            likelihood=pixel_likelihood(config.likelihood, levels, config.components),
            classes=config.classes,
            embedding=config.embedding,
            **options,
        )
    return Trained(model, copy.deepcopy(model), copy.deepcopy(model))


def train(
    config: Config, dataset: data.Dataset, trained: Trained, callbacks: tuple[Callback, ...] = ()
) -> History:
    """Train a model in place, and the averages with it; return what was logged."""
    model, average, best = trained
    first = _first(dataset.valid, config.valid_images)

    def loss(step):
        images, *labels = step.batch
        label, altered = (labels[0] if config.classes else None), None
        if config.moved:
            moved = data.transforms.random_affine(
                images,
                step.generator,
                shift=config.shift,
                angle=config.angle,
                zoom=config.zoom,
                share=config.moved,
            )
            altered = (moved != images).flatten(1).any(1)
            images = moved
        return {"loss": -model.log_prob(images, label, altered).mean()}

    def validate() -> dict[str, float]:
        return {"valid/loss": -mean_log_prob(average, first, labelled=config.classes > 0).mean}

    choose = (
        Average(model, average, config.average),
        *validation(config, validate, BEST, average, best),
    )
    return descend(
        NAME,
        config,
        dataset,
        model,
        loss,
        (*choose, *callbacks),
        networks=(model.network,),
        averages={"average": average, "best": best},
    )


def forward(trained: Trained, images: Tensor) -> Tensor:
    """Pass images of levels through the network once, so that the work of it can be counted."""
    model = trained.model
    label = images.new_zeros(len(images), dtype=torch.int64) if model.classes else None
    return model.log_prob(images, label)


def run(
    config: Config, folder: Path, *, resume: bool = False, progress: bool = False
) -> dict[str, Any]:
    """Train, evaluate and sample: see :func:`genlearn.recipes.vae.run`.

    The moving average of the weights is what is validated; the best of them is kept, evaluated and
    drawn from. result.json has its exact likelihood by split: nats per image, and bits per
    dimension. A model of p(image | label) is judged twice: given the label, and without it, where
    p(image) is the mean over all labels, which are taken to be equally likely.
    """
    if config.classes:
        _check_labels(config)

    def evaluate(trained: Trained, dataset: data.Dataset) -> dict[str, Any]:
        best = trained.best
        result: dict[str, Any] = {
            "model": config.model,
            "parameters": sum(parameter.numel() for parameter in best.parameters()),
        }
        for name, split in {"valid": dataset.valid, "test": dataset.test}.items():
            labelled = config.classes > 0
            figures = _figures(mean_log_prob(best, split, labelled=labelled), best)
            if labelled:
                figures["without_label"] = _figures(mean_over(best, split, _mixture(best)), best)
            result[name] = figures
        return result

    return whole_run(
        NAME,
        config,
        folder,
        build=build,
        train=train,
        forward=forward,
        draw=lambda trained, _: sample(trained.best, 64, config.seed),
        evaluate=evaluate,
        curves=("pixel/loss", "valid/loss"),
        resume=resume,
        progress=progress,
    )


def summary(result: dict[str, Any]) -> list[str]:
    """Say in lines what a run came to, from the content of its result.json."""
    lines = []
    for split in ("valid", "test"):
        figures = result[split]
        given = ", given the label" if "without_label" in figures else ""
        lines.append(
            f"{split}: {figures['negative_log_likelihood_nats']:.2f} nats per image "
            f"(± {figures['standard_error']:.2f}), {figures['bits_per_dim']:.3f} bits per "
            f"dimension, exact{given}, {result['levels']} levels, {figures['images']} images"
        )
        if given:
            nats = figures["without_label"]["negative_log_likelihood_nats"]
            lines.append(f"{split}: {nats:.2f} nats per image without the label")
    return lines


def load(folder: Path, *, best: bool = True) -> PixelModel:
    """Return the model of a run that the validation split chose, as of its newest checkpoint.

    Args:
        folder: of the run.
        best: without it, the newest moving average of the weights.

    Raises:
        GenlearnError: if there is no such run, or its files are damaged.
    """
    head = read_head(folder)
    model = build(read_config(folder, Config), head.shape, head.levels).best
    load_newest(model, folder, "best" if best else "average")
    return model


def sample(model: PixelModel, n: int, seed: int, *, progress: bool = False) -> Tensor:
    """Draw n images, the same ones for the same seed; uint8, (n, C, H, W).

    A model of p(image | label) takes those of :func:`sample_labels`.
    """
    device, label = next(model.parameters()).device, sample_labels(model, n)
    label = None if label is None else label.to(device)
    return drawn(lambda: model.sample(n, label, progress=progress), seed, device).cpu()


def sample_labels(model: PixelModel, n: int) -> Tensor | None:
    """Return the labels of n samples, in turn: 0, 1, 2 …; None if the model takes no labels."""
    return torch.arange(n) % model.classes if model.classes else None


def _first(split: data.Split, n: int) -> data.Split:
    labels = None if split.labels is None else split.labels[:n]
    return data.Split(split.images[:n], labels, split.levels, split.name)


def _figures(log_prob: Estimate, model: PixelModel) -> dict[str, Any]:
    nats = round(-log_prob.mean, 3)
    return {"negative_log_likelihood_nats": nats, **estimate_figures(log_prob, model)}


def _mixture(model: PixelModel) -> Callable[[Tensor], Tensor]:
    """Return log p(x) of a model of p(x | label), where all labels are equally likely."""

    def log_prob(x: Tensor) -> Tensor:
        labels = torch.arange(model.classes, device=x.device)
        each = torch.stack([model.log_prob(x, label.expand(len(x))) for label in labels])
        return each.logsumexp(0) - math.log(model.classes)

    return log_prob


def _check_labels(config: Config) -> None:
    labels = data.load(config.data).train.labels
    found = 0 if labels is None else int(labels.max()) + 1
    if found != config.classes:
        raise RunError(
            f"{config.data} has {found} classes: set classes to this, or to 0 for a model that is "
            f"told no label; got {config.classes}"
        )


# By the name of a setting: the model, and which of its own options come from which settings.
_WIDTH = {"features": "features", "layers": "layers"}
_WINDOW = {**_WIDTH, "head": "head", "first_kernel": "first_kernel"}
_WINDOWS = {**_WINDOW, "kernel": "kernel"}
_CONSTRUCTORS: dict[str, tuple[Callable[..., PixelModel], dict[str, str]]] = {
    "pixel-lstm": (
        models.pixel_lstm,
        {"hidden": "features", "layers": "layers", "position": "position", "head": "head"},
    ),
    "row-lstm": (models.row_lstm, {**_WINDOWS, "hidden": "hidden"}),
    "diagonal-bilstm": (models.diagonal_bilstm, {**_WINDOW, "hidden": "hidden"}),
    "pixel-cnn": (models.pixel_cnn, {**_WINDOWS, "places": "places"}),
    "gated-pixel-cnn": (models.gated_pixel_cnn, _WINDOWS),
    "pixel-cnn-pp": (models.pixel_cnn_pp, _WIDTH),
    "transformer": (
        models.image_transformer,
        {"width": "features", "layers": "layers", "first_kernel": "first_kernel"},
    ),
}
