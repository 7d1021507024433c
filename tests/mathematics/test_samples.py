"""The equations of chapter 16, each against something independent of its derivation."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy import integrate, linalg, optimize, stats

from genlearn.metrics import (
    density_coverage,
    frechet_at_infinity,
    frechet_distance,
    inception_score,
    kernel_distance,
)

DOUBLE = {"dtype": torch.float64}


def with_moments(mean, covariance, n=400, seed=0):
    """Points whose mean and covariance (over n - 1) are exactly these."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(n, len(mean), generator=generator, **DOUBLE)
    points = points - points.mean(0)
    white = torch.linalg.solve(torch.linalg.cholesky(torch.atleast_2d(points.T.cov())), points.T)
    return mean + white.T @ torch.linalg.cholesky(covariance).T


def random_covariance(size, seed):
    generator = torch.Generator().manual_seed(seed)
    factor = torch.randn(size, size, generator=generator, **DOUBLE)
    return factor @ factor.T + 0.1 * torch.eye(size, **DOUBLE)


def matrix_distance(one, two):
    """The covariance part of the distance, by SciPy's matrix root."""
    root = linalg.sqrtm(one.numpy() @ two.numpy())
    return (one.trace() + two.trace()).item() - 2 * np.trace(root).real


@pytest.mark.equation("eq-samples-information")
def test_log_inception_score_is_the_information_between_image_and_class():
    torch.manual_seed(0)
    log_probs = torch.randn(7, 4, **DOUBLE).log_softmax(1)
    joint = log_probs.exp().numpy() / 7  # p(x, y), all images equally likely
    entropies = [stats.entropy(joint.sum(axis)) for axis in (0, 1)]
    information = sum(entropies) - stats.entropy(joint.flatten())
    assert math.log(inception_score(log_probs).value) == pytest.approx(information, abs=1e-12)


@pytest.mark.equation("eq-samples-bounds")
def test_inception_score_lies_between_one_and_the_number_of_classes():
    torch.manual_seed(0)
    for sharpness in [0.01, 1, 10, 100]:
        log_probs = (sharpness * torch.randn(50, 6, **DOUBLE)).log_softmax(1)
        assert 1 < inception_score(log_probs).value < 6
    alike = torch.tensor([0.7, 0.2, 0.1], **DOUBLE).log().expand(9, 3)
    assert inception_score(alike).value == pytest.approx(1, abs=1e-12)
    certain = torch.eye(3, **DOUBLE).repeat(3, 1).log()
    assert inception_score(certain).value == pytest.approx(3, abs=1e-12)


@pytest.mark.equation("eq-samples-line")
@pytest.mark.parametrize(("m", "s"), [(0.0, 1.0), (2.0, 0.3), (-1.0, 4.0)])
def test_distance_on_a_line_is_that_of_equal_quantiles(m, s):
    one, two = stats.norm(0.5, 1.5), stats.norm(m, s)
    cost, _ = integrate.quad(lambda u: (one.ppf(u) - two.ppf(u)) ** 2, 0, 1, limit=200)
    assert cost == pytest.approx((0.5 - m) ** 2 + (1.5 - s) ** 2, rel=1e-5, abs=1e-9)
    points = [
        with_moments(torch.tensor([mean], **DOUBLE), torch.tensor([[std**2]], **DOUBLE))
        for mean, std in [(0.5, 1.5), (m, s)]
    ]
    assert frechet_distance(*points) == pytest.approx(cost, rel=1e-5, abs=1e-9)


@pytest.mark.equation("eq-samples-coupling")
def test_what_a_plan_costs_depends_on_the_cross_covariance_alone():
    torch.manual_seed(0)
    a = torch.randn(50, 3, **DOUBLE).exp()
    b = 0.5 * a.flip(1) + torch.rand(50, 3, **DOUBLE)
    one, two = a.T.cov(correction=0), b.T.cov(correction=0)
    cross = (a - a.mean(0)).T @ (b - b.mean(0)) / 50
    cost = (a - b).square().sum(1).mean()
    parts = (a.mean(0) - b.mean(0)).square().sum() + one.trace() + two.trace()
    torch.testing.assert_close(cost, parts - 2 * cross.trace())


@pytest.mark.equation("eq-samples-frechet")
def test_the_best_plan_between_gaussians_by_trying_all():
    """In the plane, over all orthogonal W: the extreme plans, from Cholesky factors."""
    one, two = random_covariance(2, 1), random_covariance(2, 2)
    means = torch.tensor([[0.3, -1.0], [2.0, 0.5]], **DOUBLE)
    left, right = torch.linalg.cholesky(one), torch.linalg.cholesky(two)
    angle = torch.linspace(0, 2 * math.pi, 20_001, **DOUBLE)
    cos, sin = angle.cos(), angle.sin()
    turns = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
    traces = [
        torch.einsum("ij,njk,ik->n", left, turns @ flip, right).max()
        for flip in (torch.eye(2, **DOUBLE), torch.diag(torch.tensor([1.0, -1.0], **DOUBLE)))
    ]
    least = (means[0] - means[1]).square().sum() + one.trace() + two.trace() - 2 * max(traces)
    points = with_moments(means[0], one), with_moments(means[1], two)
    assert frechet_distance(*points) == pytest.approx(least.item(), abs=1e-6)


@pytest.mark.equation("eq-samples-frechet")
def test_no_plan_between_any_two_clouds_costs_less():
    torch.manual_seed(0)
    for first, second in [
        (torch.randn(60, 3, **DOUBLE).exp(), torch.rand(60, 3, **DOUBLE)),
        (torch.randint(0, 2, (60, 3)).double(), torch.randn(60, 3, **DOUBLE)),
    ]:
        costs = torch.cdist(first, second).square().numpy()
        cheapest = costs[optimize.linear_sum_assignment(costs)].mean()
        covariances = [x.T.cov(correction=0) for x in (first, second)]
        apart = (first.mean(0) - second.mean(0)).square().sum().item()
        assert apart + matrix_distance(*covariances) < cheapest


@pytest.mark.equation("eq-samples-second")
def test_the_distance_of_close_covariances_is_a_weighted_square():
    values = torch.tensor([0.2, 1.0, 3.0], **DOUBLE)
    torch.manual_seed(0)
    change = torch.randn(3, 3, **DOUBLE)
    change = (change + change.T) / 2
    expected = 0.5 * (change**2 / (values[:, None] + values)).sum().item()
    for step, tolerance in [(1e-2, 5e-2), (1e-3, 5e-3)]:
        found = matrix_distance(values.diag(), values.diag() + step * change)
        assert found / step**2 == pytest.approx(expected, rel=tolerance)


@pytest.mark.equation("eq-samples-bias")
def test_the_bias_of_the_frechet_distance_by_simulation():
    torch.manual_seed(0)
    values = torch.tensor([0.2, 1.0, 3.0, 0.7], **DOUBLE)
    sums = values[:, None] + values
    both = values[:, None] * values * (1 + torch.eye(4, **DOUBLE)) / sums
    constant = (values.sum() + 0.5 * both.sum()).item()
    n, m, repeats = 200, 400, 1000
    found = torch.tensor(
        [
            frechet_distance(*(torch.randn(k, 4, **DOUBLE) * values.sqrt() for k in (n, m)))
            for _ in range(repeats)
        ]
    )
    error = found.std().item() / math.sqrt(repeats)
    expected = constant / n + constant / m
    assert abs(found.mean().item() - expected) < 4 * error + 0.01 * expected
    assert error < 0.025 * expected


@pytest.mark.equation("eq-samples-infinity")
def test_a_line_in_one_over_n_ends_at_the_distance_of_the_distributions():
    values = torch.tensor([0.5, 1.0, 2.0], **DOUBLE)
    reference = with_moments(torch.zeros(3, **DOUBLE), torch.eye(3, **DOUBLE))
    exact = 0.3**2 * 3 + (values.sqrt() - 1).square().sum().item()  # axes agree
    ends, raw = [], []
    for seed in range(100):
        generator = torch.Generator().manual_seed(seed)
        draws = 0.3 + torch.randn(120, 3, generator=generator, **DOUBLE) * values.sqrt()
        ends.append(frechet_at_infinity(draws, reference, shuffles=2).value)
        raw.append(frechet_distance(draws, reference))
    error = np.std(ends) / math.sqrt(len(ends))
    assert abs(np.mean(ends) - exact) < 4 * error
    assert np.mean(raw) - exact > 2.5 * error  # without the line it is too large


def explicit(x):
    """The vector whose inner product is (x·y / F + 1)³, for F = 1: (1, √3 x, √3 x², x³)."""
    return torch.stack([x**0, math.sqrt(3) * x, math.sqrt(3) * x**2, x**3], dim=-1)


@pytest.fixture
def coins():
    """Two distributions on two numbers each: values, probabilities."""
    return (
        (torch.tensor([0.5, 2.0], **DOUBLE), torch.tensor([0.7, 0.3], **DOUBLE)),
        (torch.tensor([-1.0, 1.5], **DOUBLE), torch.tensor([0.4, 0.6], **DOUBLE)),
    )


def squared_discrepancy(coins):
    one, two = (probs @ explicit(values) for values, probs in coins)
    return (one - two).square().sum().item()


@pytest.mark.equation("eq-samples-mmd")
def test_kernel_means_are_the_distance_of_explicit_means(coins):
    (a, p), (b, q) = coins

    def mean_kernel(x, px, y, py):
        return px @ ((x[:, None] * y + 1) ** 3) @ py

    found = mean_kernel(a, p, a, p) + mean_kernel(b, q, b, q) - 2 * mean_kernel(a, p, b, q)
    assert found.item() == pytest.approx(squared_discrepancy(coins))


def expectation_over_samples(coins, statistic, n=4):
    """The exact mean of a statistic over all samples of n draws from each coin."""
    total = 0.0
    for faces in product([0, 1], repeat=2 * n):
        one, two = torch.tensor(faces[:n]), torch.tensor(faces[n:])
        probability = (coins[0][1][one].prod() * coins[1][1][two].prod()).item()
        total += probability * statistic(coins[0][0][one][:, None], coins[1][0][two][:, None])
    return total


@pytest.mark.equation("eq-samples-unbiased")
def test_the_kernel_distance_is_unbiased_over_all_samples(coins):
    found = expectation_over_samples(coins, lambda a, b: kernel_distance(a, b).value)
    assert found == pytest.approx(squared_discrepancy(coins))
    same = (coins[0], coins[0])
    found = expectation_over_samples(same, lambda a, b: kernel_distance(a, b).value)
    assert found == pytest.approx(0, abs=1e-9)


@pytest.mark.equation("eq-samples-diagonal")
def test_what_the_diagonal_adds(coins):
    def with_diagonal(a, b):
        return (explicit(a[:, 0]).mean(0) - explicit(b[:, 0]).mean(0)).square().sum().item()

    excess = 0.0
    for values, probs in coins:
        kernel = (values[:, None] * values + 1) ** 3
        excess += (probs @ kernel.diagonal() - probs @ kernel @ probs).item() / 4
    found = expectation_over_samples(coins, with_diagonal) - squared_discrepancy(coins)
    assert found == pytest.approx(excess)


@pytest.mark.equation("eq-samples-moments")
def test_the_cubic_kernel_compares_all_moments_up_to_the_third():
    torch.manual_seed(0)
    a, b = torch.randn(6, 3, **DOUBLE), torch.rand(5, 3, **DOUBLE)
    forms = ["ni->i", "ni,nj->ij", "ni,nj,nk->ijk"]
    moments = 0.0
    for j, form in enumerate(forms, 1):
        one, two = (torch.einsum(form, *[x] * j) / len(x) for x in (a, b))
        moments += math.comb(3, j) / 3**j * (one - two).square().sum()

    def kernel(x, y):
        return ((x @ y.T) / 3 + 1) ** 3

    means = kernel(a, a).mean() + kernel(b, b).mean() - 2 * kernel(a, b).mean()
    torch.testing.assert_close(moments, means)


@pytest.fixture(scope="module")
def alike():
    """Density and coverage of sets from one source, many times: (500, 2)."""
    torch.manual_seed(0)
    rows = []
    for _ in range(500):
        real, fake = torch.randn(30, 2, **DOUBLE), torch.randn(20, 2, **DOUBLE)
        found = density_coverage(real, fake, k=3, resamples=2)
        rows.append([found.density.value, found.coverage.value])
    return torch.tensor(rows)


@pytest.mark.equation("eq-samples-coverage")
def test_coverage_of_a_perfect_model(alike):
    expected = 1 - (29 * 28 * 27) / (49 * 48 * 47)
    error = alike[:, 1].std().item() / math.sqrt(len(alike))
    assert abs(alike[:, 1].mean().item() - expected) < 4 * error
    assert error < 0.01


@pytest.mark.equation("eq-samples-density-one")
def test_density_of_a_perfect_model_is_one(alike):
    error = alike[:, 0].std().item() / math.sqrt(len(alike))
    assert abs(alike[:, 0].mean().item() - 1) < 4 * error
    assert error < 0.02


@pytest.mark.equation("eq-samples-mse")
def test_square_error_is_brightness_contrast_and_structure():
    torch.manual_seed(0)
    x = torch.rand(64, **DOUBLE)
    y = 0.3 * x + torch.rand(64, **DOUBLE)
    (a, b), (s, t) = (x.mean(), y.mean()), (x.std(correction=0), y.std(correction=0))
    correlation = np.corrcoef(x, y)[0, 1]
    parts = (a - b) ** 2 + (s - t) ** 2 + 2 * s * t * (1 - correlation)
    torch.testing.assert_close(parts, (x - y).square().mean())


def test_a_model_with_too_little_variance_beats_the_perfect_one_on_few_images():
    """The chapter's exercise: 16 features, 30 images, variance 0.8 for 1."""
    torch.manual_seed(0)
    reference = with_moments(torch.zeros(16, **DOUBLE), torch.eye(16, **DOUBLE))

    def distance(std, n):
        draws = std * torch.randn(250, n, 16, **DOUBLE)
        return np.mean([frechet_distance(x, reference) for x in draws])

    assert distance(math.sqrt(0.8), 30) < distance(1, 30) - 0.05
    assert distance(math.sqrt(0.8), 300) > distance(1, 300) + 0.05


def test_few_images_cap_the_inception_score():
    """The chapter's exercise: n images cannot score more than n, whatever the classes."""
    certain = torch.eye(1000, **DOUBLE)[:5].log()
    assert inception_score(certain).value == pytest.approx(5)
    assert inception_score(certain.repeat(4, 1)).value == pytest.approx(5)
