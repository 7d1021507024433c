"""Models that nobody would use, and that every figure should put in their place."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from genlearn import data

CLASSES, LEVELS = 10, 17
CHANGED = 0.01  # share of pixels that the memoriser draws anew


class Baseline(NamedTuple):
    """Draws images for labels (N,), and knows log p(x | label) of each label, (N, classes)."""

    draw: Callable[[Tensor], Tensor]
    log_probs: Callable[[Tensor], Tensor]


def noise(digits: data.Dataset) -> Baseline:
    """Every level of every pixel is equally likely."""
    return Baseline(
        lambda labels: torch.randint(LEVELS, (len(labels), *digits.shape)).to(torch.uint8),
        lambda x: torch.full((len(x), CLASSES), -x[0].numel() * math.log(LEVELS)).double(),
    )


def independent_pixels(digits: data.Dataset) -> Baseline:
    """Each class has, for each pixel, its own frequencies of levels; one is added to each count."""
    train = digits.train
    counts = torch.ones(CLASSES, 64, LEVELS, dtype=torch.float64)
    seen = F.one_hot(train.images.flatten(1).long(), LEVELS).double()
    counts.index_add_(0, train.labels, seen)
    tables = counts / counts.sum(2, keepdim=True)

    def draw(labels: Tensor) -> Tensor:
        levels = tables[labels].flatten(0, 1).multinomial(1)
        return levels.view(-1, *digits.shape).to(torch.uint8)

    def log_probs(x: Tensor) -> Tensor:
        shares = tables.log().expand(len(x), -1, -1, -1)
        places = x.flatten(1).long()[:, None, :, None].expand(-1, CLASSES, -1, 1)
        return shares.gather(3, places).squeeze(3).sum(2)

    return Baseline(draw, log_probs)


def memoriser(digits: data.Dataset) -> Baseline:
    """Take a training image of the class, and draw one pixel in a hundred anew."""
    train = digits.train
    levels = train.images.flatten(1)
    same, other = math.log(1 - CHANGED + CHANGED / LEVELS), math.log(CHANGED / LEVELS)

    def draw(labels: Tensor) -> Tensor:
        rows = [(train.labels == label).nonzero().flatten() for label in range(CLASSES)]
        chosen = torch.stack([rows[k][torch.randint(len(rows[k]), ())] for k in labels.tolist()])
        images = train.images[chosen]
        anew = torch.rand(images.shape) < CHANGED
        return torch.where(anew, torch.randint(LEVELS, images.shape).to(torch.uint8), images)

    def log_probs(x: Tensor) -> Tensor:
        differ = (x.flatten(1)[:, None] != levels).sum(2).double()  # (N, training images)
        each = differ * other + (levels.shape[1] - differ) * same
        found = [
            each[:, train.labels == label].logsumexp(1) - math.log((train.labels == label).sum())
            for label in range(CLASSES)
        ]
        return torch.stack(found, 1)

    return Baseline(draw, log_probs)


BASELINES = {
    "noise": noise,
    "independent pixels": independent_pixels,
    "memoriser": memoriser,
}
