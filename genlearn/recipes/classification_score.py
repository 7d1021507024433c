"""The classification accuracy score: what can be learned from samples about real images.

Source: Ravuri and Vinyals (2019), Classification Accuracy Score for Conditional Generative Models,
arXiv 1905.10887.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genlearn import data
from genlearn.data import derive_seed
from genlearn.devices import one_thread
from genlearn.errors import RunError
from genlearn.metrics.human import wilson
from genlearn.metrics.interval import Interval
from genlearn.recipes.judge import right, train_judge


class ClassificationScore(NamedTuple):
    """What :func:`classification_accuracy_score` measures; shares of the real test images."""

    samples: Interval
    """Named right by the classifier that has seen samples alone."""
    real: Interval
    """Named right by the classifier that has seen as many real images instead."""
    images: int
    """Samples from which the first was trained."""
    real_images: int
    """Training images from which the second was: as many, or all that there are if fewer."""
    test_images: int
    """On which both were tested."""


def classification_accuracy_score(
    images: Tensor,
    labels: Tensor,
    dataset: data.Dataset,
    *,
    level: float = 0.95,
    seed: int = 0,
    tell: Callable[[], object] = lambda: None,
    **settings: Any,
) -> ClassificationScore:
    """Train a classifier on labelled samples, and test it on real images; eq-judges-cas.

    A model that draws each class well and in all its kinds teaches as much as the real images do,
    so the same classifier is trained on those too: the same network from the same first weights,
    for as many steps. The intervals are Wilson's, for other test images; how much the score would
    move with other first weights they do not say: give other seeds to see.

    Args:
        images: samples, uint8 levels, (N, C, H, W).
        labels: what each was asked to be, int64, (N,), 0 … K - 1.
        dataset: with labels; its test split is what both classifiers are tested on.
        level: of the intervals.
        seed: of both trainings, and of which real images are taken.
        tell: called after each of the two trainings, for a progress bar.
        settings: of :func:`genlearn.recipes.judge.train_judge`: steps, channels, device …

    Raises:
        RunError: if the set has no labels, or samples and labels do not fit each other or the set.
    """
    train, test = dataset.train, dataset.test
    if train.labels is None or test.labels is None:
        raise RunError(f"{dataset.name} has no labels, so no classifier can be trained on it")
    classes = int(train.labels.max()) + 1
    if tuple(images.shape[1:]) != dataset.shape or len(images) == 0:
        raise RunError(f"samples must be of shape (N, *{dataset.shape}), got {tuple(images.shape)}")
    if labels.shape != images.shape[:1] or not 0 <= labels.min() <= labels.max() < classes:
        raise RunError(f"each sample needs a label, 0 … {classes - 1}")
    order = torch.randperm(
        len(train), generator=torch.Generator().manual_seed(derive_seed(seed, 0))
    )
    some = order[: len(images)]
    parts = {
        "samples": data.Split(images.cpu(), labels.cpu().long(), dataset.levels, "samples"),
        "real": data.Split(train.images[some], train.labels[some], dataset.levels, train.name),
    }

    def score(part: data.Split) -> Interval:
        taught = replace(dataset, train=part)
        with one_thread():
            judge = train_judge(taught, classes=classes, seed=seed, **settings)
        tell()
        return wilson(int(right(judge, test).sum()), len(test), level)

    scores = {name: score(part) for name, part in parts.items()}
    return ClassificationScore(
        **scores, images=len(images), real_images=len(some), test_images=len(test)
    )
