"""The equations of chapter 17, each against something independent of its derivation."""

import math
from itertools import combinations, product

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq

from genlearn import metrics
from genlearn.metrics import HumanTest

NORMAL = stats.norm()


def drawn(d_prime: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Impressions of n real and n made images."""
    generator = np.random.default_rng(0)
    return d_prime + generator.standard_normal(n), generator.standard_normal(n)


# --- An answer.


@pytest.mark.equation("eq-judges-evidence")
@pytest.mark.parametrize("threshold", [-0.7, 0.4, 1.5])
def test_rates_are_shares_of_impressions_above_the_threshold(threshold):
    real, made = drawn(1.1, 200_000)
    assert (real > threshold).mean() == pytest.approx(NORMAL.cdf(1.1 - threshold), abs=0.005)
    assert (made > threshold).mean() == pytest.approx(NORMAL.cdf(-threshold), abs=0.005)


@pytest.mark.equation("eq-judges-rates", "eq-judges-criterion")
@pytest.mark.parametrize("threshold", [-0.7, 0.4, 1.5])
def test_d_prime_of_the_library_does_not_move_with_the_threshold(threshold):
    real, made = drawn(1.1, 200_000)
    hit, false_alarm = (real > threshold).mean(), (made > threshold).mean()
    assert metrics.d_prime_from_rates(hit, false_alarm) == pytest.approx(1.1, abs=0.025)
    criterion = metrics.criterion_from_rates(hit, false_alarm)
    assert criterion == pytest.approx(threshold - 0.55, abs=0.02)


@pytest.mark.equation("eq-judges-right")
def test_an_impartial_observer_is_right_most_often():
    real, made = drawn(1.1, 100_000)
    right = {}
    for criterion in np.linspace(-1.5, 1.5, 13).tolist():
        threshold = criterion + 0.55
        right[criterion] = ((real > threshold).mean() + (made <= threshold).mean()) / 2
        formula = (NORMAL.cdf(0.55 - criterion) + NORMAL.cdf(0.55 + criterion)) / 2
        assert right[criterion] == pytest.approx(formula, abs=0.007)
    assert max(right, key=right.get) == 0
    assert right[0] == pytest.approx(NORMAL.cdf(0.55), abs=0.007)


@pytest.mark.equation("eq-judges-pairs")
@pytest.mark.parametrize("d_prime", [0.0, 0.8, 2.0])
def test_pairs_of_a_simulated_observer_give_its_d_prime(d_prime):
    real, made = drawn(d_prime, 200_000)
    assert metrics.d_prime_from_pairs((real > made).mean()) == pytest.approx(d_prime, abs=0.02)


@pytest.mark.equation("eq-judges-pairs")
def test_a_human_test_of_pairs_finds_the_d_prime_of_its_observer():
    """The whole way: images, sides, answers, result."""
    real = torch.arange(2000).remainder(200).to(torch.uint8).view(-1, 1, 1, 1)
    test = HumanTest(real, real, 256)
    generator = np.random.default_rng(1)
    while test.question is not None:
        left, right = generator.standard_normal(2)
        left, right = (left + 0.9, right) if test.question.truth == "left" else (left, right + 0.9)
        test.answer("left" if left > right else "right")
    assert test.result().d_prime.value == pytest.approx(0.9, abs=0.17)  # four deviations


@pytest.mark.equation("eq-judges-area")
def test_share_right_in_pairs_is_the_area_under_the_curve_for_any_impressions():
    """Neither normal nor equally wide: exponential against uniform."""
    real, made = stats.expon(scale=0.8), stats.uniform(0, 1.2)
    generator = np.random.default_rng(0)
    x, y = (one.rvs(200_000, random_state=generator) for one in (real, made))
    assert (x > y).mean() == pytest.approx(
        quad(lambda u: real.sf(u) * made.pdf(u), 0, 1.2)[0], abs=0.005
    )
    thresholds = np.linspace(1.2, 0, 20_001)  # the curve from (0, 0) to (1, 1)
    hit, false_alarm = real.sf(thresholds), made.sf(thresholds)
    assert np.trapezoid(hit, false_alarm) == pytest.approx((x > y).mean(), abs=0.005)


# --- How sure it is.


@pytest.mark.equation("eq-judges-wilson")
@pytest.mark.parametrize(("k", "n"), [(3, 10), (10, 12), (57, 60)])
def test_ends_of_wilson_are_where_the_share_is_just_too_far(k, n):
    """By solving the equation with p on both sides numerically."""
    z = NORMAL.ppf(0.975)

    def excess(p: float) -> float:
        return abs(k / n - p) - z * math.sqrt(p * (1 - p) / n)

    found = metrics.wilson(k, n)
    assert found.low == pytest.approx(brentq(excess, 1e-9, k / n), abs=1e-9)
    assert found.high == pytest.approx(brentq(excess, k / n, 1 - 1e-9), abs=1e-9)


@pytest.mark.equation("eq-judges-wilson")
def test_wilson_holds_the_true_share_about_as_often_as_it_says():
    """Exact sums over all counts; the interval of Wald does not."""
    k = np.arange(41)
    bounds = np.array([metrics.wilson(int(count), 40)[1:3] for count in k])
    covered = [
        stats.binom(40, p).pmf(k)[(bounds[:, 0] <= p) & (p <= bounds[:, 1])].sum()
        for p in np.linspace(0.02, 0.98, 97)
    ]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.01)
    assert min(covered) > 0.88


@pytest.mark.equation("eq-judges-combined")
def test_combined_interval_holds_the_true_d_prime_as_often_as_it_says():
    """Exact sums over all pairs of counts."""
    n, k = 24, np.arange(25)
    intervals = {
        (h, f): metrics.interval_from_rates(h, n, f, n) for h, f in product(k.tolist(), repeat=2)
    }
    for d_prime, threshold in [(0.0, 0.3), (1.0, 0.5), (1.5, 1.1)]:
        of_hits = stats.binom(n, NORMAL.cdf(d_prime - threshold)).pmf(k)
        of_alarms = stats.binom(n, NORMAL.cdf(-threshold)).pmf(k)
        covered = sum(
            of_hits[h] * of_alarms[f]
            for (h, f), one in intervals.items()
            if one.low <= d_prime <= one.high
        )
        assert covered == pytest.approx(0.95, abs=0.025)


@pytest.mark.equation("eq-judges-trials")
@pytest.mark.parametrize(("width", "share"), [(0.2, 0.5), (0.1, 0.8), (0.06, 0.95)])
def test_that_many_trials_give_the_width_that_was_asked_for(width, share):
    n = metrics.trials_for_width(width, share)
    found = metrics.wilson(round(share * n), n)
    assert found.high - found.low == pytest.approx(width, rel=0.02)
    fewer = metrics.wilson(round(share * n * 0.9), round(n * 0.9))
    assert fewer.high - fewer.low > width


@pytest.mark.equation("eq-judges-cost")
def test_a_pair_is_worth_two_single_images():
    """Variances of both estimates at d' = 0, by simulation."""
    generator = np.random.default_rng(0)
    n = 1000
    pairs = generator.binomial(n, 0.5, 20_000) / n
    hits, alarms = generator.binomial(n // 2, 0.5, (2, 20_000)) / (n // 2)
    by_pairs = math.sqrt(2) * NORMAL.ppf(pairs)
    by_rates = NORMAL.ppf(hits) - NORMAL.ppf(alarms)
    assert by_pairs.var() == pytest.approx(math.pi / n, rel=0.05)
    assert by_rates.var() == pytest.approx(2 * math.pi / n, rel=0.05)


# --- Tasks, and copies.


@pytest.mark.equation("eq-judges-bayes")
def test_no_model_teaches_more_than_bayes_and_a_wrong_one_may_teach_as_much():
    """In a world of five images and three labels: all that a classifier can answer, and models."""
    generator = np.random.default_rng(0)
    joint = generator.dirichlet(np.ones(15)).reshape(5, 3)  # p_data(x, y)
    bayes = joint.max(1).sum()
    every = [joint[range(5), answer].sum() for answer in product(range(3), repeat=5)]
    assert max(every) == pytest.approx(bayes)

    def score(model: np.ndarray) -> float:
        return joint[range(5), model.argmax(1)].sum()

    assert score(joint) == pytest.approx(bayes)
    blurred = joint + 3 * joint.mean(1, keepdims=True)  # far off, and in the same order
    assert np.abs(blurred / blurred.sum() - joint).sum() > 0.1
    assert score(blurred) == pytest.approx(bayes)
    others = [score(generator.dirichlet(np.ones(15)).reshape(5, 3)) for _ in range(100)]
    assert max(others) <= bayes + 1e-12
    assert min(others) < bayes - 0.1


@pytest.mark.equation("eq-judges-nearer", "eq-judges-ranks")
def test_share_and_its_variance_over_all_orders():
    """All 210 ways in which four samples can stand among ten distances."""
    m, h = 4, 6
    shares = []
    for samples in combinations(range(m + h), m):
        held = set(range(m + h)) - set(samples)
        shares.append(np.mean([i < j for i in samples for j in held]))
    assert np.mean(shares) == pytest.approx(0.5)
    assert np.var(shares) == pytest.approx((m + h + 1) / (12 * m * h))


@pytest.mark.equation("eq-judges-ranks")
def test_memorisation_of_the_library_counts_in_these_deviations():
    generator = torch.Generator().manual_seed(0)
    train, held_out, samples = (
        torch.randn(n, 3, generator=generator) for n in (50, 40, 30)
    )  # three sets of one distribution
    found = metrics.memorisation(train, held_out, samples)
    near, held = (torch.cdist(x, train).min(1).values for x in (samples, held_out))
    share = (near[:, None] < held).double().mean().item()
    assert found.nearer.value == pytest.approx(share)
    deviation = math.sqrt((30 + 40 + 1) / (12 * 30 * 40))
    assert found.z == pytest.approx((0.5 - share) / deviation, rel=1e-6)
    assert abs(found.z) < 4
