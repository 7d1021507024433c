"""A classifier trained on the real images of a set, and what it says of samples."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from genlearn import data
from genlearn.devices import state_put_back
from genlearn.errors import RunError
from genlearn.metrics import class_shares, frechet_distance
from genlearn.models import Classifier
from genlearn.training import Objective, Step, evaluating, fit


def train_judge(
    dataset: data.Dataset,
    *,
    steps: int = 600,
    channels: Sequence[int] = (8, 16, 32),
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    shift: float = 1.0,
    device: str = "auto",
    seed: int = 0,
) -> Classifier:
    """Train a classifier on the training split, with AdamW and one cycle of the learning rate.

    Args:
        dataset: with labels 0 … K - 1.
        steps, batch_size: of the training.
        channels: of the feature maps, from full size down.
        learning_rate: the highest of the cycle.
        shift: largest shift, in pixels, of the images that it learns from.
        device, seed: as for :func:`genlearn.training.fit`.

    Raises:
        RunError: if the set has no labels.
    """
    if dataset.train.labels is None:
        raise RunError(f"{dataset.name} has no labels, so no classifier can be trained on it")
    classes = int(dataset.train.labels.max()) + 1
    with state_put_back([torch.default_generator]):
        torch.default_generator.manual_seed(seed)
        judge = Classifier.conv(dataset.shape, dataset.levels, classes, channels=channels)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=learning_rate)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps + 1)

    def loss(step: Step) -> dict[str, Tensor]:
        images, labels = step.batch
        moved = data.transforms.random_affine(images, step.generator, shift=shift)
        return judge.loss(moved, labels)

    batches = data.Batches(dataset.train, batch_size, seed)
    objective = Objective("judge", loss, optimizer, schedule=cycle)
    fit({"judge": judge}, [objective], batches, steps, device=device, seed=seed)
    return judge


def accuracy(judge: Classifier, split: data.Split) -> float:
    """Return the share of a split's images that the classifier names right."""
    return (_classes(judge, split.images) == split.labels).double().mean().item()


def judge_figures(judge: Classifier, images: Tensor, dataset: data.Dataset) -> dict[str, Any]:
    """What result.json says of samples.

    Args:
        judge: trained on the data set.
        images: samples, uint8 levels, (N, C, H, W).
        dataset: fair shares are those of its training split; distances are to its test split.
    """
    counts = torch.bincount(dataset.train.labels, minlength=judge.classes)
    found = class_shares(_classes(judge, images), counts)
    real, test = (_features(judge, split.images) for split in (dataset.train, dataset.test))
    return {
        "images": len(images),
        "classes": judge.classes,
        "smallest_relative_share": round(found.smallest, 3),
        "rarest_class": found.rarest,
        "relative_shares": [round(share, 3) for share in found.relative.tolist()],
        "frechet_distance": round(frechet_distance(_features(judge, images), test), 3),
        "frechet_distance_of_training_images": round(frechet_distance(real, test), 3),
    }


def _classes(judge: Classifier, images: Tensor) -> Tensor:
    return _every(judge, judge.classify, images)


def _features(judge: Classifier, images: Tensor) -> Tensor:
    return _every(judge, judge.features, images)


def _every(judge: Classifier, function, images: Tensor) -> Tensor:
    """Apply a function of the classifier to many images; the result lies on the CPU."""
    device = next(judge.parameters()).device
    with evaluating(judge):
        return torch.cat([function(x.to(device)).cpu() for x in images.split(500)])
