"""Gaussian pixels on levels made continuous, against SciPy and quadrature."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate
from scipy.stats import norm

from genlearn.distributions import DequantisedNormal, GaussianPixels

LEVELS = 17
MEAN, STD = 0.3, 0.2  # on the scale on which [0, 17) becomes [-1, 1)
ON_LEVELS = norm((MEAN + 1) * LEVELS / 2, STD * LEVELS / 2)  # the same on the scale of levels


@pytest.fixture
def pixel() -> DequantisedNormal:
    return DequantisedNormal(torch.tensor([MEAN]), torch.tensor([math.log(STD)]), LEVELS)


def log_probs(pixel: DequantisedNormal) -> np.ndarray:
    return pixel.log_prob(torch.arange(LEVELS).float()).double().numpy()


def test_it_is_the_mean_of_the_log_density_over_uniform_noise(pixel):
    expected = [integrate.quad(lambda u, x=x: ON_LEVELS.logpdf(x + u), 0, 1)[0] for x in range(17)]
    np.testing.assert_allclose(log_probs(pixel), expected, rtol=1e-5)


def test_it_bounds_the_mass_of_each_level_from_below(pixel):
    mass = np.diff(ON_LEVELS.cdf(np.arange(LEVELS + 1)))
    gap = np.log(mass) - log_probs(pixel)
    assert (gap > 0).all()
    assert gap.min() < 0.01  # and not by much near the mean


def test_samples_come_as_often_as_the_gaussian_says(pixel):
    torch.manual_seed(0)
    counts = np.bincount(pixel.sample((100_000,)).int().flatten(), minlength=LEVELS)
    mass = np.diff(ON_LEVELS.cdf([-np.inf, *range(1, LEVELS), np.inf]))
    error = np.abs(counts / 100_000 - mass)
    assert (error < 5 * np.sqrt(mass / 100_000) + 1e-4).all()


def test_the_mean_is_that_of_the_levels():
    wide = 200_000
    pixels = GaussianPixels(LEVELS, "fixed", STD)
    parameters = torch.full((1, 1, 1, 1, 1), MEAN)
    torch.manual_seed(0)
    draws = pixels.distribution(parameters).sample((wide,))
    assert abs(draws.mean() - pixels.mean(parameters)).item() < 5 * draws.std().item() / wide**0.5
    assert pixels.mean(torch.full((1, 1, 1, 1, 1), 5.0)).item() == LEVELS - 1


@pytest.mark.parametrize(("noise", "count"), [("fixed", 1), ("shared", 1), ("pixel", 2)])
def test_the_three_kinds_of_noise_agree_where_the_deviation_is_the_same(noise, count):
    pixels = GaussianPixels(LEVELS, noise, STD)
    assert pixels.parameters_per_value == count
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(3, 2, 4, 5, generator=generator)
    stds = torch.full_like(means, math.log(STD))
    parameters = torch.stack([means, stds][:count], -1)
    images = torch.randint(LEVELS, (3, 2, 4, 5), generator=generator).float()
    expected = DequantisedNormal(means, stds, LEVELS).log_prob(images).flatten(1).sum(1)
    log_prob = pixels.distribution(parameters).log_prob(images)
    torch.testing.assert_close(log_prob, expected)
    assert len(list(pixels.parameters())) == (noise == "shared")


def test_the_best_shared_variance_is_the_squared_error_and_that_of_the_noise():
    """So it cannot fall to 0 on images that the decoder rebuilds without error."""
    pixels = GaussianPixels(LEVELS, "shared", 1.0)
    levels = torch.tensor([0.0, 4.0, 9.0, 16.0]).view(1, 1, 2, 2)
    centred = (levels + 0.5) * 2 / LEVELS - 1
    adam = torch.optim.Adam(pixels.parameters(), lr=0.05)
    for _ in range(600):
        adam.zero_grad()
        (-pixels.distribution(centred.unsqueeze(-1)).log_prob(levels)).sum().backward()
        adam.step()
    expected = 2 / LEVELS / math.sqrt(12)  # the error itself is 0
    assert pixels.log_std.exp().item() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((1,), "2 … 256, got 1"),
        ((17, "both"), "fixed, shared or pixel, got 'both'"),
        ((17, "fixed", 0.0), "above 0, got 0.0"),
    ],
)
def test_what_is_no_likelihood_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        GaussianPixels(*arguments)
