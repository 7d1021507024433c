"""The bootstrap against the textbook's standard error, and by simulation."""

import pytest
import torch

from genlearn.metrics import Interval, bootstrap, frechet_distance


def mean(x):
    return x.mean().item()


def test_of_a_mean_it_is_the_interval_of_the_textbook():
    x = torch.randn(400, generator=torch.Generator().manual_seed(0)).double()
    found = bootstrap(mean, x, resamples=2000)
    half = 1.96 * x.std().item() / 20
    assert found.value == x.mean().item()
    assert found.low == pytest.approx(found.value - half, abs=0.06 * half)
    assert found.high == pytest.approx(found.value + half, abs=0.06 * half)
    assert found.level == 0.95


def test_a_lower_level_makes_it_narrower():
    x = torch.randn(400, generator=torch.Generator().manual_seed(0)).double()
    wide, narrow = (bootstrap(mean, x, resamples=2000, level=level) for level in (0.95, 0.5))
    ratio = (narrow.high - narrow.low) / (wide.high - wide.low)
    assert ratio == pytest.approx(0.6745 / 1.96, rel=0.06)


def test_samples_are_drawn_apart_unless_they_are_paired():
    """Of a sample and itself: paired, the difference of means never changes."""
    x = torch.randn(50, generator=torch.Generator().manual_seed(0)).double()
    apart = bootstrap(lambda a, b: mean(a) - mean(b), x, x, resamples=1000)
    paired = bootstrap(lambda a, b: mean(a) - mean(b), x, x, paired=True)
    assert apart.high - apart.low == pytest.approx(2 * 1.96 * 0.2 * x.std().item(), rel=0.15)
    assert paired == Interval(0, 0, 0)


def test_a_seed_repeats_the_interval():
    x = torch.randn(50, generator=torch.Generator().manual_seed(0)).double()
    assert bootstrap(mean, x, seed=3) == bootstrap(mean, x, seed=3) != bootstrap(mean, x, seed=4)


def test_what_resampling_adds_to_a_frechet_distance_is_taken_off():
    """Of 200 points in 40 dimensions no plain percentile lies as low as the distance itself."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 200, 40, generator=generator)
    found = bootstrap(frechet_distance, a, b + 0.1, resamples=50)
    assert found.low < found.value < found.high


def test_the_interval_of_a_frechet_distance_holds_as_often_as_it_says():
    """By simulation: it holds the mean distance at this sample size."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 500, 40, 2, generator=generator, dtype=torch.float64)
    pairs = list(zip(a, 1.2 * b + 1, strict=True))
    expected = sum(frechet_distance(*pair) for pair in pairs) / 500
    found = [bootstrap(frechet_distance, *pair, resamples=40, level=0.9) for pair in pairs[:60]]
    holds = sum(interval.low < expected < interval.high for interval in found)
    assert holds / 60 == pytest.approx(0.9, abs=0.09)


@pytest.mark.parametrize(
    ("samples", "options", "message"),
    [
        ([torch.zeros(1)], {}, "at least 2 rows"),
        ([], {}, "at least 2 rows"),
        ([torch.zeros(4)], {"resamples": 1}, "at least 2 resamples"),
        ([torch.zeros(4)], {"level": 1.0}, "level of confidence"),
        ([torch.zeros(4), torch.zeros(5)], {"paired": True}, "of one length"),
        ([torch.full((4,), torch.nan)], {}, "not finite"),
    ],
)
def test_what_has_no_interval_is_refused(samples, options, message):
    with pytest.raises(ValueError, match=message):
        bootstrap(lambda *x: sum(mean(y) for y in x), *samples, **options)
