"""The equations of chapter 18, compared with simulation, enumeration, quadrature and SciPy."""

import itertools
import math

import numpy as np
import pytest
from scipy import integrate, stats


@pytest.mark.equation("eq-choose-interval")
def test_the_interval_of_a_few_seeds_holds_the_mean_as_often_as_it_says():
    generator = np.random.default_rng(0)
    for n in (3, 5):
        y = generator.normal(7.0, 2.0, (40_000, n))
        half = stats.t.ppf(0.975, n - 1) * y.std(1, ddof=1) / math.sqrt(n)
        held = (np.abs(y.mean(1) - 7.0) <= half).mean()
        assert abs(held - 0.95) < 0.005
        plain = 1.96 * y.std(1, ddof=1) / math.sqrt(n)
        assert (np.abs(y.mean(1) - 7.0) <= plain).mean() < 0.9  # as if the spread were known


def test_the_quantiles_that_the_chapter_prints_are_those_of_student():
    for n, quantile in {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}.items():
        assert abs(stats.t.ppf(0.975, n - 1) - quantile) < 5e-4


@pytest.mark.equation("eq-choose-paired")
@pytest.mark.parametrize("shared", [0.9, 0.0, -0.6])
def test_pairing_pays_exactly_if_the_covariance_is_positive(shared):
    covariance = np.array([[4.0, shared * 2 * 3], [shared * 2 * 3, 9.0]])
    a, b = np.random.default_rng(1).multivariate_normal([1, 2], covariance, 200_000).T
    expected = 4 + 9 - 2 * covariance[0, 1]
    assert abs((a - b).var() / expected - 1) < 0.02
    unpaired = (a - np.random.default_rng(2).permutation(b)).var()
    assert (unpaired > (a - b).var() * 1.05) == (shared > 0)


@pytest.mark.equation("eq-choose-flips")
@pytest.mark.parametrize("n", range(1, 9))
def test_no_differences_of_n_seeds_have_a_smaller_share_than_those_of_one_sign(n):
    flips = np.array([*itertools.product([1, -1], repeat=n)])
    generator = np.random.default_rng(n)

    def share(d):
        means = np.abs(flips @ d)
        return (means >= abs(d.sum()) - 1e-9).mean()

    one_sign = [share(generator.uniform(0.1, 3.0, n)) for _ in range(20)]
    assert one_sign == [2.0 ** (1 - n)] * 20
    assert min(share(generator.normal(size=n)) for _ in range(200)) >= 2.0 ** (1 - n)


@pytest.mark.equation("eq-choose-spearman")
def test_the_short_formula_is_the_correlation_of_the_ranks():
    generator = np.random.default_rng(3)
    for m in (2, 5, 16):
        x, y = generator.normal(size=(2, m))
        d = stats.rankdata(x) - stats.rankdata(y)
        rho = 1 - 6 * (d**2).sum() / (m * (m**2 - 1))
        assert abs(rho - stats.spearmanr(x, y).statistic) < 1e-12


@pytest.mark.equation("eq-choose-winner")
def test_under_positive_weights_a_dominated_model_never_wins():
    generator = np.random.default_rng(4)
    for _ in range(50):
        u = generator.integers(0, 6, (8, 3)).astype(float)  # many ties
        dominated = [
            any((u[b] >= u[a]).all() and (u[b] > u[a]).any() for b in range(8)) for a in range(8)
        ]
        for w in generator.uniform(0.01, 1.0, (40, 3)):
            score = u @ w
            best = np.flatnonzero(score >= score.max() - 1e-12)
            assert not any(dominated[a] for a in best)


@pytest.mark.equation("eq-choose-best")
@pytest.mark.parametrize(
    ("n", "lead"), [(2, 1 / math.sqrt(math.pi)), (3, 1.5 / math.sqrt(math.pi))]
)
def test_the_best_of_a_few_runs_is_better_than_the_recipe(n, lead):
    def weighted(x):
        return x * n * stats.norm.pdf(x) * stats.norm.cdf(x) ** (n - 1)

    expected, _ = integrate.quad(weighted, -10, 10)
    assert abs(expected - lead) < 1e-9
