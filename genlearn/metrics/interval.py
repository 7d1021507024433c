"""A figure between two bounds, and the bootstrap that finds them."""

from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

import torch
from torch import Tensor


class Interval(NamedTuple):
    """A figure with the bounds of its confidence interval."""

    value: float
    """The figure itself."""
    low: float
    high: float
    """Bounds of the interval."""
    level: float = 0.95
    """How often, over repetitions, such an interval would hold what is estimated."""


def bootstrap(
    statistic: Callable[..., float],
    *samples: Tensor,
    resamples: int = 200,
    level: float = 0.95,
    seed: int = 0,
    paired: bool = False,
) -> Interval:
    """Find an interval for a figure of samples by drawing their rows anew, with replacement.

    The percentiles of the resampled figures are moved so that their mean falls on the figure
    itself. For a mean nothing moves. But a figure that sample size biases, such as the Fréchet
    distance, is biased once more in each resample, whose rows repeat: by that much the plain
    percentiles lie too far out. What remains is an interval for the figure's expectation *at this
    sample size*, bias included, and not for its limit.

    Fit are smooth functions of means: the Fréchet distance where there are at least four times as
    many rows as features, Inception Score, an accuracy. Where most of a Fréchet distance is its
    bias, because the distributions are nearly the same, its interval is too wide. Unfit is what
    looks at nearest neighbours (precision, recall, density, coverage): of a row that was drawn
    twice, the nearest neighbour is itself.

    Args:
        statistic: takes as many tensors as there are samples; returns a number.
        samples: each of shape (N, ...), its rows independent.
        resamples: drawn; the bounds are rough if they are few.
        level: of confidence, 0 … 1.
        seed: of the draws, which do not depend on the device.
        paired: draw the same rows of all samples, which are of one length.

    Raises:
        ValueError: if a sample has fewer than 2 rows, lengths of a pair differ, a number is out of
            range, or the figure is not finite.

    Source: Efron and Tibshirani (1993), An Introduction to the Bootstrap.
    """
    sizes = [len(sample) for sample in samples]
    if not sizes or min(sizes) < 2:
        raise ValueError(f"each sample needs at least 2 rows, got {sizes}")
    if paired and len(set(sizes)) > 1:
        raise ValueError(f"paired samples must be of one length, got {sizes}")
    if resamples < 2:
        raise ValueError(f"there must be at least 2 resamples, got {resamples}")
    tail = (1 - checked_level(level)) / 2
    generator = torch.Generator().manual_seed(seed)

    def resampled() -> float:
        if paired:
            rows = [torch.randint(sizes[0], sizes[:1], generator=generator)] * len(sizes)
        else:
            rows = [torch.randint(n, (n,), generator=generator) for n in sizes]
        pairs = zip(samples, rows, strict=True)
        return float(statistic(*(sample[row.to(sample.device)] for sample, row in pairs)))

    value = float(statistic(*samples))
    figures = torch.tensor([resampled() for _ in range(resamples)], dtype=torch.float64)
    if not (figures.isfinite().all() and torch.tensor(value).isfinite()):
        raise ValueError("the statistic is not finite on the samples, or on a resample of them")
    low, high = figures.quantile(figures.new_tensor([tail, 1 - tail])).tolist()
    moved = value - figures.mean().item()
    return Interval(value, low + moved, high + moved, level)


def checked_level(level: float) -> float:
    """Return a level of confidence.

    Raises:
        ValueError: unless it lies between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"the level of confidence must lie between 0 and 1, got {level}")
    return level


def normal_width(level: float) -> float:
    """Return how many standard errors an interval reaches to each side; at 0.95: 1.96."""
    return NormalDist().inv_cdf((1 + checked_level(level)) / 2)
