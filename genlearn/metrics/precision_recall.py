"""Are samples like the data, and do they reach all of it? Answers from nearest neighbours.

Around each point of a set lies a ball that reaches to its k-th nearest neighbour in the set. What
lies in one of the balls counts as like the set. A point is no neighbour of itself; a copy of it is.
Balls are closed: a point on the rim is inside, so that a copy of a point lies in its ball even if
copies shrink that ball to radius 0.

The intervals say how the figure moves with the images that are judged, while the balls that judge
them stay as they are. So the outcomes of single images are drawn anew, and not the images: an image
drawn twice would be its own nearest neighbour. For shares this comes to Wilson's interval, which
does not shrink to a point when all outcomes are the same; for the density it is the bootstrap.
How the figure moves with the other set is not in them. With both sets drawn anew, figures of
Gaussian clouds spread 1.1 to 1.7 times as far as these intervals say: to compare models, repeat
with other images of both sets.
"""

from typing import NamedTuple

from torch import Tensor

from genlearn.metrics.human import wilson
from genlearn.metrics.interval import Interval, bootstrap
from genlearn.metrics.neighbours import (
    AT_ONCE,
    ball_counts,
    check_points,
    mutual_membership,
    neighbour_distances,
)


class PrecisionRecall(NamedTuple):
    """What :func:`precision_recall` finds."""

    precision: Interval
    """Share of the fakes that are like the real ones, 0 … 1."""
    recall: Interval
    """Share of the real ones that are like the fakes, 0 … 1."""
    realistic: Tensor
    """Of each fake, whether it lies in a ball of a real one, bool, (M,)."""
    reached: Tensor
    """Of each real one, whether it lies in a ball of a fake, bool, (N,)."""


class DensityCoverage(NamedTuple):
    """What :func:`density_coverage` finds."""

    density: Interval
    """Mean number of real balls around a fake, over k: 1 is expected of a perfect model; may be
    larger, and is for samples that keep to the dense middle of the data."""
    coverage: Interval
    """Share of the real balls that hold a fake, 0 … 1."""
    balls: Tensor
    """In how many real balls each fake lies, int64, (M,)."""
    covered: Tensor
    """Of each real one, whether its ball holds a fake, bool, (N,)."""


def precision_recall(
    real: Tensor, fake: Tensor, k: int = 3, *, at_once: int = AT_ONCE
) -> PrecisionRecall:
    """Estimate improved precision and recall from features; eq-samples-precision.

    Take as many fakes as real ones, and the same numbers wherever figures are compared: balls
    shrink as points grow in number. If all points of both sets are alike, both figures are 1; if
    each set is constant, and they differ, both are 0.

    Args:
        real, fake: features, shapes (N, F) and (M, F), N and M above k.
        k: the neighbour to which a ball reaches; 3 in the paper.
        at_once: distances held at a time, which bounds the memory.

    Raises:
        ValueError: if shapes do not fit, a value is not finite, or a set has k points or fewer.

    Source: Kynkäänniemi et al. (2019), arXiv 1904.06991.
    """
    real_radii, fake_radii = (_radii(real, fake, which, k, at_once) for which in ("real", "fake"))
    realistic, reached = mutual_membership(fake, real, fake_radii, real_radii, at_once=at_once)
    return PrecisionRecall(_share(realistic), _share(reached), realistic, reached)


def density_coverage(
    real: Tensor,
    fake: Tensor,
    k: int = 5,
    *,
    resamples: int = 200,
    seed: int = 0,
    at_once: int = AT_ONCE,
) -> DensityCoverage:
    """Estimate density and coverage from features; eq-samples-density.

    Only real points have balls, so a single odd fake cannot claim a large region. For fakes that
    are drawn like the real ones, the expected density is 1, and the expected coverage is 1 less the
    chance that of N + M - 1 points the k nearest to one are all real: 1 - 0.5^k, about, if M = N.
    (eq-samples-density-one, eq-samples-coverage) If all points of both sets are alike, the density
    is N / k and the coverage 1.

    Args:
        real, fake: features, shapes (N, F) and (M, F), N above k and M at least 2.
        k: the neighbour to which a ball reaches; 5 in the paper.
        resamples, seed: for the interval of the density.
        at_once: distances held at a time, which bounds the memory.

    Raises:
        ValueError: if shapes do not fit, a value is not finite, or there are k real ones or fewer.

    Source: Naeem et al. (2020), arXiv 2002.09797. Their program has open balls, which differs where
    distances are exactly equal.
    """
    counts = ball_counts(fake, real, _radii(real, fake, "real", k, at_once), at_once=at_once)
    covered = counts.inside_balls > 0
    density = bootstrap(_mean, counts.around_points / k, resamples=resamples, seed=seed)
    return DensityCoverage(density, _share(covered), counts.around_points, covered)


def _mean(values: Tensor) -> float:
    return values.double().mean().item()


def _radii(real: Tensor, fake: Tensor, which: str, k: int, at_once: int) -> Tensor:
    """Distance of each point of one set to its k-th nearest neighbour in that set."""
    check_points(real, fake)
    points = real if which == "real" else fake
    if not 1 <= k < len(points):
        raise ValueError(f"k = {k} needs more than k {which} points, got {len(points)}")
    return neighbour_distances(points, k=k, at_once=at_once).distances[:, -1]


def _share(hits: Tensor) -> Interval:
    return wilson(int(hits.sum()), len(hits))
