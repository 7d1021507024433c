"""d′ and its intervals, against integrals, simulation and SciPy."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import binomtest, norm

from genlearn.metrics import (
    criterion_from_rates,
    d_prime_from_pairs,
    d_prime_from_rates,
    interval_from_pairs,
    interval_from_rates,
    trials_for_width,
    wilson,
)


@pytest.mark.parametrize("d_prime", [0.0, 0.4, 1.0, 2.5])
def test_d_prime_is_the_distance_between_the_means_of_the_evidence(d_prime):
    """Of an observer whose evidence is normal: by integration, and at three thresholds."""
    real, made = norm(d_prime), norm()
    share, _ = quad(lambda x: real.pdf(x) * made.cdf(x), -8, 11)  # the real one gives more
    assert d_prime_from_pairs(share) == pytest.approx(d_prime, abs=1e-7)
    for threshold in (-0.5, 0.3, 1.2):
        hit, false_alarm = real.sf(threshold), made.sf(threshold)
        assert d_prime_from_rates(hit, false_alarm) == pytest.approx(d_prime, abs=1e-9)
        expected = threshold - d_prime / 2  # from the middle between both means
        assert criterion_from_rates(hit, false_alarm) == pytest.approx(expected, abs=1e-9)


def test_who_is_always_right_has_no_finite_d_prime():
    assert d_prime_from_pairs(1) == math.inf
    assert d_prime_from_pairs(0) == -math.inf
    assert d_prime_from_rates(1, 0.2) == d_prime_from_rates(0.7, 0) == math.inf


def test_who_says_one_word_throughout_has_no_d_prime():
    assert math.isnan(d_prime_from_rates(1, 1))
    assert math.isnan(d_prime_from_rates(0, 0))
    assert criterion_from_rates(1, 1) == -math.inf


@pytest.mark.parametrize("share", [-0.1, 1.1, math.nan])
def test_what_is_no_share_is_refused(share):
    for function in (d_prime_from_pairs, lambda p: d_prime_from_rates(0.5, p)):
        with pytest.raises(ValueError, match="between 0 and 1"):
            function(share)


@pytest.mark.parametrize("level", [0.5, 0.95, 0.99])
@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (0, 20), (7, 20), (500, 501)])
def test_wilson_is_that_of_scipy(successes, trials, level):
    theirs = binomtest(successes, trials).proportion_ci(level, method="wilson")
    ours = wilson(successes, trials, level)
    assert ours[1:3] == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert (ours.value, ours.level) == (successes / trials, level)


def test_wilson_touches_the_ends_exactly():
    assert wilson(0, 7).low == 0
    assert wilson(7, 7).high == 1


@pytest.mark.parametrize(("successes", "trials"), [(-1, 5), (6, 5), (0, 0)])
def test_counts_that_make_no_sense_are_refused(successes, trials):
    with pytest.raises(ValueError, match="successes"):
        wilson(successes, trials)


@pytest.mark.parametrize("level", [0, 1, 95])
def test_a_level_that_is_none_is_refused(level):
    with pytest.raises(ValueError, match="level"):
        wilson(1, 2, level)


@pytest.mark.parametrize("share", [0.5, 0.75, 0.98])
@pytest.mark.parametrize("width", [0.05, 0.1, 0.3])
def test_one_trial_less_would_leave_the_interval_too_wide(width, share):
    z = norm.ppf(0.975)

    def reached(n: int) -> float:
        return 2 * z / (n + z**2) * math.sqrt(n * share * (1 - share) + z**2 / 4)

    n = trials_for_width(width, share)
    assert reached(n) <= width < reached(n - 1)


@pytest.mark.parametrize(("width", "share"), [(0, 0.5), (1, 0.5), (0.1, 1.2)])
def test_a_width_that_cannot_be_is_refused(width, share):
    with pytest.raises(ValueError, match="width and share"):
        trials_for_width(width, share)


def covered(d_prime: float, intervals) -> float:
    return np.mean([one.low <= d_prime <= one.high for one in intervals])


@pytest.mark.parametrize("d_prime", [0.0, 1.0, 2.0])
def test_intervals_hold_the_true_d_prime_as_often_as_they_say(d_prime):
    generator = np.random.default_rng(1)
    right = generator.binomial(60, norm.cdf(d_prime / math.sqrt(2)), 2000)
    pairs = [interval_from_pairs(int(k), 60) for k in right]
    hits = generator.binomial(30, norm.cdf(d_prime / 2 - 0.3), 2000)
    false = generator.binomial(40, norm.cdf(-d_prime / 2 - 0.3), 2000)
    rates = [interval_from_rates(int(h), 30, int(f), 40) for h, f in zip(hits, false, strict=True)]
    for intervals in (pairs, rates):
        assert 0.925 < covered(d_prime, intervals) < 0.975


def test_all_right_leaves_a_finite_lower_end():
    for found in (interval_from_pairs(20, 20), interval_from_rates(10, 10, 0, 10)):
        assert found.value == found.high == math.inf
        assert 1 < found.low < 2


def test_one_word_throughout_leaves_everything_open():
    found = interval_from_rates(10, 10, 12, 12)
    assert math.isnan(found.value)
    assert (found.low, found.high) == (-math.inf, math.inf)


def test_swapping_the_names_of_the_classes_turns_the_sign():
    one, other = interval_from_rates(8, 10, 5, 12), interval_from_rates(5, 12, 8, 10)
    assert one[:3] == pytest.approx((-other.value, -other.high, -other.low))
