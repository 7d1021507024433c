"""Does a model repeat its training images? Its samples are held against images that it never saw.

Images of the same distribution that were held out lie as near to the training set as samples of a
perfect model. Samples that lie nearer are copies, or keep to where the data are dense: the nearest
pairs, looked at, tell which.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from genlearn.metrics.interval import Interval, bootstrap
from genlearn.metrics.neighbours import AT_ONCE, check_points, neighbour_distances


class Memorisation(NamedTuple):
    """What :func:`memorisation` finds."""

    nearer: Interval
    """Of all pairs of a sample and a held-out image, the share in which the sample lies nearer to
    the training set: ½ for a perfect model, 1 if all samples are copies. Ties count half."""
    z: float
    """Mann-Whitney statistic, in standard deviations: about standard normal for a perfect model,
    far below 0 if samples are copies, far above 0 if they lie far from all data."""
    distances: Tensor
    """Of each sample to its nearest training image, float64, (M,)."""
    nearest: Tensor
    """Which training image that is, int64, (M,)."""
    held_out_distances: Tensor
    """Of each held-out image to its nearest training image, float64, (H,)."""
    closest: Tensor
    """The samples that lie nearest to a training image, most suspect first: look at these beside
    train[nearest[closest]]. int64, (pairs,)."""


def memorisation(
    train: Tensor,
    held_out: Tensor,
    samples: Tensor,
    *,
    pairs: int = 8,
    resamples: int = 200,
    seed: int = 0,
    at_once: int = AT_ONCE,
) -> Memorisation:
    """Compare how near samples and held-out images lie to the training set; eq-judges-nearer.

    The three sets may be pixels or features; none may have gone into training but ``train``, and
    that whole: against a part of it copies of the rest go unseen. A model that copies in one region
    and misses another can hide one behind the other, so look at the nearest pairs as well.

    Args:
        train: shape (N, F).
        held_out: of the same distribution, never trained on, shape (H, F), H at least 2.
        samples: shape (M, F), M at least 2.
        pairs: how many of the nearest samples to name, at most M.
        resamples, seed: for the interval, which is over samples and held-out images with the
            training set as it is.
        at_once: distances held at a time, which bounds the memory.

    Raises:
        ValueError: if shapes do not fit, or a value is not finite.

    Source: Meehan, Chaudhuri and Dasgupta (2020), arXiv 2004.05675: their global test.
    """
    check_points(held_out, train)
    check_points(samples, train)
    held = neighbour_distances(held_out, train, at_once=at_once).distances[:, 0]
    distances, nearest = (
        part[:, 0] for part in neighbour_distances(samples, train, at_once=at_once)
    )
    _, z = mann_whitney(distances, held)
    nearer = bootstrap(
        lambda *drawn: mann_whitney(*drawn)[0], distances, held, resamples=resamples, seed=seed
    )
    closest = distances.sort(stable=True).indices[:pairs]
    return Memorisation(nearer, z, distances, nearest, held, closest)


def mann_whitney(first: Tensor, second: Tensor) -> tuple[float, float]:
    """Compare two lists of numbers by their ranks; eq-judges-ranks.

    Args:
        first, second: shapes (M,) and (H,).

    Returns:
        Share of pairs in which the first is below the second, ties counting half; and z, which says
        how many standard deviations the sum of ranks of the first lies above what is expected if
        all are drawn alike. The deviation allows for ties; if all numbers are equal, z is 0.

    Raises:
        ValueError: if the lists are no lists, one is empty, or a number is not finite.
    """
    if any(x.ndim != 1 or not len(x) or not x.isfinite().all() for x in (first, second)):
        raise ValueError("there must be two lists of finite numbers, neither of them empty")
    m, h = len(first), len(second)
    values, place, count = torch.cat([first, second]).unique(
        return_inverse=True, return_counts=True
    )
    ranks = (count.cumsum(0) - (count - 1) / 2)[place].double()  # equal numbers share their ranks
    above = ranks[:m].sum().item() - m * (m + 1) / 2  # pairs in which the first is above
    total, ties = m + h, (count.double() ** 3 - count).sum().item()
    variance = m * h / 12 * (total + 1 - ties / (total * (total - 1)))
    z = (above - m * h / 2) / variance**0.5 if len(values) > 1 else 0.0
    return 1 - above / (m * h), z
