"""Inception Score: are single images told with certainty, and all classes among them?"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor

from genlearn.metrics.interval import normal_width
from genlearn.metrics.moments import Moments, moments_of, to_double

TOLERANCE = 1e-3
"""How far the probabilities of an image may add up to something other than 1."""


class InceptionScore(NamedTuple):
    """A score from 1 to the number of classes, with its interval."""

    value: float
    """Mean over the splits (goes up)."""
    low: float
    high: float
    """Bounds of the interval; of the expected score of as many images, not of endless many."""
    level: float
    """Of confidence, that of the interval."""
    spread: float | None
    """Standard deviation over the splits, which papers print after ±; of one split: none."""


def inception_score(
    log_probs: Tensor | Iterable[Tensor], splits: int = 1, *, level: float = 0.95
) -> InceptionScore:
    """Exponential of the mean divergence of an image's classes from those of all images.

    exp(mean over x of KL(p(y | x) ‖ p(y))), eq-samples-inception, where p(y) is the mean of p(y |
    x): the mean is taken before the exponential, and of probabilities, not of their logarithms. It
    is 1 if all images are told alike, and the number of classes if each is told with certainty and
    all classes are equally frequent. Only with the network Inception-v3 is it that of the papers.

    The score of few images is too high in the mean if their classes are unsure: p(y) is fitted to
    them. Salimans et al. (2016) cut 50,000 images into 10 splits in their order, and print the mean
    of the 10 scores; each is a score of 5,000 images.

    The interval is that of the mean divergence (to first order it does not matter that p(y) is
    estimated), taken over to the score by the exponential.

    Args:
        log_probs: log p(y | x), natural logarithm, shape (N, K); or batches of them, which are not
            kept.
        splits: parts of equal size, but for one; of a tensor only.
        level: of confidence, 0 … 1.

    Raises:
        ValueError: if there are fewer than 2 images a split, the shape does not fit, or the
            probabilities of an image do not add up to 1.

    Source: Salimans et al. (2016), arXiv 1606.03498.
    """
    width = normal_width(level)
    if isinstance(log_probs, Tensor):
        if log_probs.ndim != 2 or splits < 1 or len(log_probs) < 2 * splits:
            raise ValueError(
                f"log_probs must be (N, K) with at least 2 images in each of {splits} splits, got "
                f"{tuple(log_probs.shape)}"
            )
        parts: list[Iterable[Tensor]] = [[part] for part in log_probs.tensor_split(splits)]
    elif splits == 1:
        parts = [log_probs]
    else:
        raise ValueError("batches cannot be split, since their number is unknown; give a tensor")
    logs, errors = zip(*(_log_score(moments_of(map(_row, part))) for part in parts), strict=True)
    scores = torch.tensor(logs, dtype=torch.float64).exp()
    value = scores.mean().item()
    # Standard error of the mean of the scores, over the mean: that of its logarithm.
    error = (scores * scores.new_tensor(errors)).norm().item() / (splits * value)
    spread = scores.std().item() if splits > 1 else None
    low, high = (value * math.exp(sign * width * error) for sign in (-1, 1))
    return InceptionScore(value, low, high, level, spread)


def _row(log_probs: Tensor) -> Tensor:
    """Σ p log p of each image, and its probabilities: shape (N, 1 + K)."""
    if log_probs.ndim != 2:
        raise ValueError(f"log_probs must be (N, K), got {tuple(log_probs.shape)}")
    log_probs = to_double(log_probs)
    probs = log_probs.exp()
    if not ((probs.sum(1) - 1).abs() <= TOLERANCE).all():
        raise ValueError(
            "the probabilities of an image must add up to 1: give log-probabilities, as "
            "log_softmax returns them, with the natural logarithm"
        )
    return torch.cat([torch.where(probs > 0, probs * log_probs, 0).sum(1, keepdim=True), probs], 1)


def _log_score(rows: Moments) -> tuple[float, float]:
    """Mean divergence and its standard error, in nats.

    The divergence of an image is linear in its row, as soon as p(y) is known; so mean and variance
    of the divergences follow from the moments of the rows.
    """
    weights = -rows.mean.clamp(min=torch.finfo(torch.float64).tiny).log()
    weights[0] = 1
    variance = weights @ rows.covariance @ weights / rows.count
    return max(0.0, (weights @ rows.mean).item()), math.sqrt(max(0.0, variance.item()))
