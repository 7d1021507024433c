"""The equations of chapter 01, by enumeration and by drawing."""

import itertools
import math

import numpy as np
import pytest
import torch


@pytest.mark.equation("eq-why-share")
@pytest.mark.parametrize("sharpness", [0.0, 1.0, 5.0])
def test_few_outcomes_can_have_a_large_probability(sharpness):
    """All 81 images of 2x2 pixels with 3 levels, under smooth and under peaked distributions."""
    masses = np.exp(sharpness * np.random.default_rng(0).standard_normal(3**4))
    masses /= masses.sum()
    for h in np.linspace(0.01, 12, 200):
        assert (masses >= math.exp(-h)).sum() <= math.exp(h)


@pytest.mark.equation("eq-why-share")
def test_the_bound_is_reached_by_equal_masses():
    masses = np.array([1 / 16] * 16 + [0.0] * 65)
    assert (masses >= 1 / 16).sum() == 16


@pytest.mark.equation("eq-why-share", "eq-why-chance")
def test_a_lower_bound_on_the_probability_proves_it_too(random_vae):
    """All 81 images under a VAE of one code number: the images with a high bound are few."""
    vae = random_vae((1, 2, 2), 3, latent_dim=1, hidden=(8,))
    images = torch.tensor(list(itertools.product(range(3), repeat=4)), dtype=torch.uint8)
    images = images.view(81, 1, 2, 2)
    with torch.no_grad():
        bounds = torch.stack([vae.elbo(images) for _ in range(200)]).mean(0)
        codes = torch.linspace(-8, 8, 2001)[:, None]
        log_joint = [
            vae.likelihood(codes).log_prob(x.expand(2001, 1, 2, 2).float()) for x in images
        ]
        log_prior = vae.prior(2001).log_prob(codes)
        log_p = torch.stack([(j + log_prior).logsumexp(0) for j in log_joint]) + math.log(16 / 2000)
    assert log_p.exp().sum() == pytest.approx(1, abs=1e-3)
    for h in (4.0, 4.5, 5.0):
        assert 0 < (bounds >= -h).sum() <= math.exp(h)
    assert (bounds < log_p + 0.1).all()


@pytest.mark.equation("eq-why-chance")
def test_how_often_uniform_draws_hit_a_set():
    """The sixteen most probable of 81 images, and a million uniform draws."""
    rng = np.random.default_rng(0)
    masses = np.exp(3 * rng.standard_normal(81))
    masses /= masses.sum()
    h = -math.log(np.sort(masses)[-16]) + 1e-9
    draws = rng.integers(0, 3, (1_000_000, 4)) @ np.array([27, 9, 3, 1])
    hits = (masses[draws] >= math.exp(-h)).mean()
    assert hits == pytest.approx(16 / 81, abs=2e-3)
    assert hits <= math.exp(h - 4 * math.log(3))
