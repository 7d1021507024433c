"""The kernel distance against sums over all pairs, and by simulation."""

import math
from itertools import product

import pytest
import torch

from genlearn.metrics import kernel_distance, kernel_distance_of_subsets
from genlearn.metrics.kernel_distance import Sums, variance_parts


def clouds(n=30, m=20, features=3, shift=0.5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    first, second = (torch.randn(k, features, generator=generator) for k in (n, m))
    return first, second + shift


def by_loops(first, second, degree=3, gamma=None, coefficient=1.0):
    gamma = 1 / first.shape[1] if gamma is None else gamma

    def kernel(x, y):
        return (gamma * sum(a * b for a, b in zip(x, y, strict=True)) + coefficient) ** degree

    def mean(xs, ys):
        same = xs is ys
        pairs = [
            kernel(x, y) for i, x in enumerate(xs) for j, y in enumerate(ys) if not same or i != j
        ]
        return sum(pairs) / len(pairs)

    first, second = first.tolist(), second.tolist()
    return mean(first, first) + mean(second, second) - 2 * mean(first, second)


@pytest.mark.parametrize("options", [{}, {"degree": 1}, {"degree": 2, "gamma": 0.7}])
@pytest.mark.parametrize("block", [7, 20, 1024])
def test_written_as_sums_over_all_pairs(options, block):
    first, second = clouds()
    expected = by_loops(first, second, **options)
    found = kernel_distance(first, second, block=block, **options)
    assert found.value == pytest.approx(expected, rel=1e-10)
    whole = kernel_distance(first, second, **options)
    assert found.standard_error == pytest.approx(whole.standard_error, rel=1e-9)


def test_of_one_degree_without_constant_it_is_the_squared_difference_of_means():
    """Less what chance puts into it: tr C₁ / N + tr C₂ / M."""
    first, second = clouds()
    apart = (first.mean(0) - second.mean(0)).square().sum()
    chance = first.T.cov().trace() / 30 + second.T.cov().trace() / 20
    found = kernel_distance(first, second, degree=1, gamma=1, coefficient=0)
    assert found.value == pytest.approx((apart - chance).item(), rel=1e-5)


def every_sample(chances, size):
    """All samples of a coin's sides, or of a die's, each with its probability."""
    for sides in product(range(len(chances)), repeat=size):
        yield sides, math.prod(chances[side] for side in sides)


@pytest.mark.parametrize("other", [(0.3, 0.7), (0.8, 0.2)])
def test_value_and_squared_error_are_unbiased_exactly(other):
    """All samples of four and of five throws of a coin are gone through, not drawn.

    Also where both coins are the same, and pairs alone bring noise.
    """
    kernel = torch.tensor([[2.0, 0.3], [0.3, 1.1]], dtype=torch.float64)
    coin = (0.3, 0.7)
    p, q = torch.tensor([coin, other], dtype=torch.float64)
    expected = (p @ kernel @ p + q @ kernel @ q - 2 * p @ kernel @ q).item()
    mean = square = variance = 0.0
    for (first, one), (second, two) in product(every_sample(coin, 4), every_sample(other, 5)):
        table = kernel[list(first + second)][:, list(first + second)]
        table.fill_diagonal_(0)
        tables = table[:4, :4], table[4:, 4:], table[:4, 4:]
        sums = [Sums(t.sum(1), t.sum(0), t.square().sum()) for t in tables]
        value = (sums[0].rows.sum() / 12 + sums[1].rows.sum() / 20 - sums[2].rows.sum() / 10).item()
        mean += one * two * value
        square += one * two * value**2
        variance += one * two * sum(variance_parts(*sums))
    assert mean == pytest.approx(expected, abs=1e-12)
    assert variance == pytest.approx(square - mean**2, rel=1e-10)


@pytest.mark.parametrize(("shift", "least", "most"), [(0.3, 0.9, 1.1), (0.0, 0.95, 1.35)])
def test_value_and_standard_error_are_right_in_simulation(shift, least, most):
    """Of one distribution the error is somewhat too large: what lies below zero counts as zero."""
    runs = [kernel_distance(*clouds(60, 40, 2, shift, seed), degree=2) for seed in range(500)]
    values = torch.tensor([run.value for run in runs], dtype=torch.float64)
    errors = torch.tensor([run.standard_error for run in runs], dtype=torch.float64)
    deviation = values.std().item()
    # The kernel (x · y / 2 + 1)² compares means and second moments.
    expected = 2 * shift**2 + (2 * shift**2) ** 2 / 4
    assert values.mean().item() == pytest.approx(expected, abs=3 * deviation / 500**0.5)
    assert least < errors.square().mean().sqrt().item() / deviation < most


def test_subsets_as_large_as_the_samples_bring_nothing_new():
    first, second = clouds(20, 20)
    found = kernel_distance_of_subsets(first, second, subsets=3, size=20)
    assert found.value == pytest.approx(kernel_distance(first, second).value, rel=1e-10)
    assert found.spread == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("shapes", [((3, 2), (9, 2)), ((9, 2), (9, 3)), ((9,), (9,))])
def test_shapes_that_do_not_fit_are_refused(shapes):
    with pytest.raises(ValueError, match="at least 4"):
        kernel_distance(*(torch.zeros(shape) for shape in shapes))


def test_what_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        kernel_distance(torch.zeros(9, 2), torch.full((9, 2), math.inf))
    with pytest.raises(ValueError, match="too large"):
        kernel_distance(torch.full((9, 2), 1e150, dtype=torch.float64), torch.zeros(9, 2))


def test_constant_features_have_no_error():
    found = kernel_distance(torch.ones(9, 2), torch.zeros(8, 2))
    assert found == pytest.approx((8 + 1 - 2, 0), abs=1e-7)


@pytest.mark.parametrize("size", [3, 31])
def test_subsets_of_an_impossible_size_are_refused(size):
    with pytest.raises(ValueError, match="points"):
        kernel_distance_of_subsets(*clouds(), size=size)
