"""The kernel distance: how far apart two clouds of features are, by means of all their products."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from genlearn.metrics.moments import check_finite, to_double

Kernel = Callable[[Tensor, Tensor], Tensor]


class KernelDistance(NamedTuple):
    """Squared distance of two distributions, in the space of a kernel."""

    value: float
    """Unbiased estimate: may lie below zero, and is zero on average if both are the same."""
    standard_error: float
    """Of the value, over repetitions with other points of both kinds."""


class SubsetDistance(NamedTuple):
    """What is printed as mean ± deviation in most papers."""

    value: float
    """Mean over the subsets."""
    spread: float
    """Standard deviation of *one* subset's estimate; no standard error of the mean."""


class Sums(NamedTuple):
    """Of a matrix of kernel values; without its diagonal, if both of its sides are one sample."""

    rows: Tensor
    """The sum of each row, (N,)."""
    columns: Tensor
    """The sum of each column, (M,)."""
    squares: Tensor
    """The sum of all squares, a scalar."""


def kernel_distance(
    first: Tensor,
    second: Tensor,
    *,
    degree: int = 3,
    gamma: float | None = None,
    coefficient: float = 1.0,
    block: int = 1024,
) -> KernelDistance:
    """Estimate the squared maximum mean discrepancy without bias.

    The mean kernel value of two different first points, plus that of two different second points,
    less twice that of a first and a second point. The kernel is (γ x · y + c)^d. No point is
    compared with itself, eq-samples-unbiased: with these terms, which are the largest, the estimate
    would be too high, eq-samples-diagonal.

    The standard error is the root of a variance that is estimated without bias, from single points
    and from pairs: see ``variance_parts`` in this module. Where both distributions are the same,
    the part of single points is zero, and its estimate as often below as above; below, it counts as
    zero, and so the standard error is there somewhat too large.

    Time grows with (N + M)²; memory does not, beyond the features and a few numbers a point.

    Args:
        first, second: feature vectors, shape (N, F) and (M, F), at least four each.
        degree: d, of the polynomial.
        gamma: γ; 1 / F if none is given.
        coefficient: c.
        block: points that are compared with as many others at a time.

    Raises:
        ValueError: if the shapes do not fit, a value is not finite, or a number is out of range.

    Source: Gretton et al. (2012), A Kernel Two-Sample Test; for images, with this kernel:
    Binkowski et al. (2018), arXiv 1801.01401.
    """
    gamma = _check(first, second, degree, gamma, block)

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        a = to_double(a)
        return (a @ to_double(b).to(a.device).T).mul_(gamma).add_(coefficient).pow_(degree)

    one, two = _within(first, kernel, block), _within(second, kernel, block)
    cross = _between(first, second, kernel, block)
    n, m = len(first), len(second)
    value = one.rows.sum() / (n * (n - 1)) + two.rows.sum() / (m * (m - 1))
    value = (value - 2 * cross.rows.sum() / (n * m)).item()
    points, pairs = variance_parts(one, two, cross)
    variance = max(0.0, points) + max(0.0, pairs)
    if not (math.isfinite(value) and math.isfinite(variance)):
        raise ValueError("features are too large: the kernel is not finite in float64")
    return KernelDistance(value, math.sqrt(variance))


def kernel_distance_of_subsets(
    first: Tensor,
    second: Tensor,
    *,
    subsets: int = 100,
    size: int = 1000,
    degree: int = 3,
    gamma: float | None = None,
    coefficient: float = 1.0,
    seed: int = 0,
) -> SubsetDistance:
    """Average the kernel distance over random subsets, as most published figures do.

    The mean estimates the same as :func:`kernel_distance` of all points, with more noise. The
    spread belongs to a single subset of that size. Divided by the root of the number of subsets it
    is still no standard error: subsets share points, and all come from the same few.

    Args:
        first, second: feature vectors, shape (N, F) and (M, F).
        subsets: how many pairs of subsets.
        size: points of each, drawn without replacement.
        degree, gamma, coefficient: of the kernel, as for :func:`kernel_distance`.
        seed: of the draws.

    Raises:
        ValueError: as for :func:`kernel_distance`; or if there are fewer points than ``size``, or
            fewer than 2 subsets.

    Source: Binkowski et al. (2018), arXiv 1801.01401.
    """
    gamma = _check(first, second, degree, gamma, size)
    if subsets < 2 or not 4 <= size <= min(len(first), len(second)):
        raise ValueError(
            f"there must be 2 subsets at least, of 4 … {min(len(first), len(second))} points, "
            f"got {subsets} of {size}"
        )
    generator = torch.Generator().manual_seed(seed)

    def drawn(features: Tensor) -> Tensor:
        rows = torch.randperm(len(features), generator=generator)[:size]
        return features[rows.to(features.device)]

    kernel = {"degree": degree, "gamma": gamma, "coefficient": coefficient}
    values = [kernel_distance(drawn(first), drawn(second), **kernel).value for _ in range(subsets)]
    figures = torch.tensor(values, dtype=torch.float64)
    return SubsetDistance(figures.mean().item(), figures.std().item())


def variance_parts(one: Sums, two: Sums, cross: Sums) -> tuple[float, float]:
    """Variance of the estimate that single points cause, and that of pairs, both without bias.

    With k centred both ways, k̃(x, x') = k(x, x') - a(x) - a(x') + mean, where a(x) is the mean of
    k(x, ·), the estimate is a sum of terms of which no two are correlated: means over single points
    of 2 (a(x) - b(x)), where b(x) is the mean kernel with the other distribution, and means over
    pairs of k̃. So the variances of these terms add up. Row means of a sample scatter more than
    a - b does, because each is over a sample; what pairs put into their variance is taken off.

    Args:
        one, two: sums of the kernel within each sample.
        cross: sums of the kernel of a first and a second point.

    Source: our own derivation; Sutherland (2019), arXiv 1906.02104, has such an estimate, too.
    """
    n, m = len(one.rows), len(two.rows)
    inner_one, inner_two, outer = _inner(one), _inner(two), _outer(cross)
    single_one = (one.rows / (n - 2) - cross.rows / m).var() - inner_one / (n - 2) - outer / m
    single_two = (two.rows / (m - 2) - cross.columns / n).var() - inner_two / (m - 2) - outer / n
    points = 4 * (single_one / n + single_two / m)
    pairs = 2 * (inner_one / (n * (n - 1)) + inner_two / (m * (m - 1))) + 4 * outer / (n * m)
    return points.item(), pairs.item()


def _check(first: Tensor, second: Tensor, degree: int, gamma: float | None, block: int) -> float:
    shapes = tuple(first.shape), tuple(second.shape)
    if any(len(s) != 2 or s[0] < 4 for s in shapes) or shapes[0][1:] != shapes[1][1:]:
        raise ValueError(f"features must be (N, F) and (M, F), N and M at least 4, got {shapes}")
    gamma = 1 / max(1, shapes[0][1]) if gamma is None else gamma
    if degree < 1 or block < 1 or not 0 < gamma < math.inf:
        raise ValueError(f"must be above 0: degree={degree}, gamma={gamma}, block or size={block}")
    check_finite(first)
    check_finite(second)
    return gamma


def _within(points: Tensor, kernel: Kernel, block: int) -> Sums:
    """Sums over pairs of different points; each pair's kernel value is computed once."""
    rows = to_double(points[:0]).new_zeros(len(points))
    squares = rows.new_zeros(())
    for i in range(0, len(points), block):
        for j in range(i, len(points), block):
            tile = kernel(points[i : i + block], points[j : j + block])
            if i == j:
                tile.fill_diagonal_(0)
            else:
                rows[j : j + block] += tile.sum(0)
            rows[i : i + block] += tile.sum(1)
            squares += tile.square().sum() * (1 if i == j else 2)
    return Sums(rows, rows, squares)


def _between(first: Tensor, second: Tensor, kernel: Kernel, block: int) -> Sums:
    rows = to_double(first[:0]).new_zeros(len(first))
    columns, squares = rows.new_zeros(len(second)), rows.new_zeros(())
    for i in range(0, len(first), block):
        for j in range(0, len(second), block):
            tile = kernel(first[i : i + block], second[j : j + block])
            rows[i : i + block] += tile.sum(1)
            columns[j : j + block] += tile.sum(0)
            squares += tile.square().sum()
    return Sums(rows, columns, squares)


def _inner(sums: Sums) -> Tensor:
    """Mean square, without bias, of a kernel centred both ways, from pairs of different points."""
    n, total = len(sums.rows), sums.rows.sum()
    squares = sums.squares - 2 * sums.rows.square().sum() / (n - 2)
    return (squares + total.square() / ((n - 1) * (n - 2))) / (n * (n - 3))


def _outer(sums: Sums) -> Tensor:
    """The same for pairs across: what an analysis of variance of the table leaves."""
    n, m, total = len(sums.rows), len(sums.columns), sums.rows.sum()
    squares = sums.squares - sums.rows.square().sum() / m - sums.columns.square().sum() / n
    return (squares + total.square() / (n * m)) / ((n - 1) * (m - 1))
