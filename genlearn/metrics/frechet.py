"""The Fréchet distance: how far apart two clouds of features are, seen as Gaussians.

Source: Dowson and Landau (1982), The Fréchet Distance between Multivariate Normal Distributions;
for images: Heusel et al. (2017), arXiv 1706.08500.
"""

import math

import torch
from torch import Tensor

from genlearn.metrics.interval import Interval, normal_width
from genlearn.metrics.moments import Moments, moments_of


def frechet_distance(first: Tensor | Moments, second: Tensor | Moments) -> float:
    """‖m₁ - m₂‖² + tr(C₁ + C₂ - 2 (C₁ C₂)^½), eq-samples-frechet; squared units.

    Means and covariances are estimated from the features; the latter divide by N - 1.

    Zero means equal means and covariances, not equal clouds. The fewer points, the larger the
    distance between two samples of one distribution. Features that never change have variance
    zero, and count by their means alone. Only with the features of Inception-v3 may it be called
    FID.

    With C₁ = L Lᵀ, the trace of the root is the sum of the roots of the eigenvalues of Lᵀ C₂ L,
    which is symmetric. L is the Cholesky factor of the first covariance or, if that is singular,
    of the second; if both are, as with fewer points than features, it is a root from an
    eigendecomposition, whose eigenvalues below zero are rounding and count as zero.

    Args:
        first, second: feature vectors, shape (N, F) and (M, F), at least two each; or their
            :class:`Moments`, gathered from batches.

    Raises:
        ValueError: if the shapes do not fit, or a value is not finite.
    """
    sizes = tuple(_size(features) for features in (first, second))
    if any(len(s) != 2 or s[0] < 2 for s in sizes) or sizes[0][1] != sizes[1][1]:
        raise ValueError(f"features must be (N, F) and (M, F), N and M at least 2, got {sizes}")
    one, two = (x if isinstance(x, Moments) else moments_of(x) for x in (first, second))
    return _distance(one, two)


def frechet_at_infinity(
    first: Tensor,
    second: Tensor | Moments,
    *,
    parts: int = 5,
    shuffles: int = 4,
    level: float = 0.95,
    seed: int = 0,
) -> Interval:
    """Extrapolate the Fréchet distance to endless many of the first features, typically samples.

    The distance is on average too large by about c / N, eq-samples-bias. So the first features are
    cut into 1, 2, … disjoint parts, the mean distance of the parts is taken at each size, and a
    straight line through these means, over one over the size of a part, is read off at zero,
    eq-samples-infinity. Of what few first features add, all goes but the part that is no straight
    line: a tenth is left, and taken off too much, where the smallest part has 2 F points, and a
    twentieth where it has 4 F. What the few second features add, about c' / M, all remains. So
    compare only figures with the same reference. The value may lie below zero.

    The interval tells how much the value would change with other first features; the second are
    taken as given. It comes from how much the smallest parts differ, by Student's t. Where both
    distributions are the same, it is too wide.

    Args:
        first: features to be extrapolated, shape (N, F).
        second: features of the reference, shape (M, F), or their moments.
        parts: the most that the first features are cut into. Each must hold at least 2 F points.
        shuffles: how many times the first features are cut up, each time another way.
        level: of confidence, 0 … 1.
        seed: of the shuffles.

    Raises:
        ValueError: if the shapes do not fit, a value is not finite, there are fewer than 2 parts or
            no shuffle, or the parts are too small.

    Source: Chong and Forsyth (2020), arXiv 1911.07023. They draw each sub-sample anew; disjoint
    parts use every point equally often at each size, so most of the noise of drawing cancels.
    """
    if parts < 2 or shuffles < 1:
        raise ValueError(f"there must be 2 parts and 1 shuffle at least, got {parts}, {shuffles}")
    normal, freedom = normal_width(level), shuffles * (parts - 1)
    if first.ndim == 2 and len(first) < (least := parts * 2 * first.shape[1]):
        raise ValueError(
            f"{parts} parts of at least twice as many points as features need {least} points, "
            f"got {len(first)}"
        )
    reference = second if isinstance(second, Moments) else moments_of(second)
    whole = frechet_distance(first, reference)
    # Where a least-squares line meets zero is a weighted sum of the figures it is fitted to.
    counts = torch.arange(1, parts + 1, dtype=torch.float64)
    centred = counts - counts.mean()
    at_zero = 1 / parts - counts.mean() * centred / centred.square().sum()
    generator = torch.Generator().manual_seed(seed)
    ends, variances = [], []
    for _ in range(shuffles):
        order = torch.randperm(len(first), generator=generator).to(first.device)
        means = [whole]
        for count in range(2, parts + 1):
            pieces = [moments_of(first[rows]) for rows in order.tensor_split(count)]
            distances = [_distance(piece, reference) for piece in pieces]
            figures = torch.tensor(distances, dtype=torch.float64)
            means.append(figures.mean().item())
        ends.append((at_zero @ torch.tensor(means, dtype=torch.float64)).item())
        variances.append(figures.var().item() / parts)
    value = sum(ends) / shuffles
    width = normal + (normal**3 + normal) / (4 * freedom)  # Student's t, nearly
    half = width * math.sqrt(sum(variances) / shuffles)
    return Interval(value, value - half, value + half, level)


def _size(features: Tensor | Moments) -> tuple[int, ...]:
    if isinstance(features, Moments):
        return (features.count, features.features)
    return tuple(features.shape)


def _distance(first: Moments, second: Moments) -> float:
    one, mean = first.covariance, first.mean
    two = second.covariance.to(one.device)
    apart = (mean - second.mean.to(one.device)).square().sum()
    distance = (apart + one.trace() + two.trace() - 2 * _overlap(one, two)).item()
    if not math.isfinite(distance):
        raise ValueError("features are too large: the distance is not finite in float64")
    return max(0.0, distance)


def _overlap(one: Tensor, two: Tensor) -> Tensor:
    """The trace of (C₁ C₂)^½; the order of the two does not matter."""
    root, singular = torch.linalg.cholesky_ex(one)
    if singular:
        one, two = two, one
        root, singular = torch.linalg.cholesky_ex(one)
    if singular:
        values, vectors = torch.linalg.eigh(one)
        root = vectors * values.clamp(min=0).sqrt()
    return torch.linalg.eigvalsh(root.T @ two @ root).clamp(min=0).sqrt().sum()
