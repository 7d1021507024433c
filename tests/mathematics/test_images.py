"""The equations of chapter 02, each against something independent of its derivation."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, ndimage, stats

from genlearn.data import Batches, Split, affine, dequantise


def levels_of(values, count):
    return np.round((count - 1) * values)


@pytest.mark.equation("eq-image-quantise")
@pytest.mark.parametrize("count", [2, 3, 17, 256])
def test_rounding_takes_the_nearest_level(count):
    values = np.random.default_rng(0).random(1000)
    grid = np.arange(count) / (count - 1)
    nearest = np.abs(values[:, None] - grid).argmin(1)
    np.testing.assert_array_equal(levels_of(values, count), nearest)


@pytest.mark.equation("eq-image-quantisation")
@pytest.mark.parametrize("count", [2, 5, 17, 256])
def test_error_of_rounding_evenly_spread_values(count):
    """A fine sweep through all values stands for evenly spread ones."""
    values = (np.arange(1_000_000) + 0.5) / 1_000_000
    error = levels_of(values, count) / (count - 1) - values
    assert (error**2).mean() == pytest.approx(1 / (12 * (count - 1) ** 2), rel=1e-3)


@pytest.mark.equation("eq-image-scale")
def test_scaling_back_and_forth_loses_nothing():
    for count in range(2, 257):
        x = np.arange(count, dtype=np.float32)
        y = 2 * x / (count - 1) - 1
        assert y.min() == -1
        assert y.max() == pytest.approx(1)
        np.testing.assert_array_equal(np.round((y + 1) * (count - 1) / 2), x)


@pytest.mark.equation("eq-image-dequantised")
def test_dequantised_levels_are_evenly_spread_over_their_step():
    images = torch.full((1, 1, 200, 200), 3, dtype=torch.uint8)
    noisy = dequantise(images, torch.Generator().manual_seed(0)).flatten().numpy()
    assert stats.kstest(noisy, stats.uniform(3, 1).cdf).pvalue > 0.01


DENSITIES = [stats.norm(2.3, 1.7), stats.norm(3.5, 0.05), stats.laplace(1.9, 0.4)]


@pytest.mark.equation("eq-image-mass")
@pytest.mark.parametrize("density", DENSITIES)
def test_masses_of_all_steps_add_up_to_one(density):
    masses = [
        integrate.quad(lambda u, x=x: density.pdf(x + u), 0, 1, points=[0.3, 0.5, 0.9])[0]
        for x in range(-30, 40)
    ]
    assert sum(masses) == pytest.approx(1, abs=1e-6)


@pytest.mark.equation("eq-image-dequantisation-bound")
@pytest.mark.parametrize("density", DENSITIES)
def test_mean_log_density_is_below_the_log_mass(density):
    for x in range(6):
        mass = density.cdf(x + 1) - density.cdf(x)
        bound, _ = integrate.quad(lambda u, x=x: density.logpdf(x + u), 0, 1, limit=200)
        if mass > 0:
            assert bound < math.log(mass)


@pytest.mark.equation("eq-image-dequantisation-bound")
def test_the_bound_is_exact_for_a_density_of_steps():
    """The exercise: a histogram is constant on each step."""
    masses = np.array([0.1, 0.5, 0.4])
    density = stats.rv_histogram((masses, np.arange(4.0)))
    for x, mass in enumerate(masses):
        bound, _ = integrate.quad(lambda u, x=x: density.logpdf(x + u), 1e-9, 1 - 1e-9)
        assert bound == pytest.approx(math.log(mass), abs=1e-6)


@pytest.mark.equation("eq-image-units")
def test_a_change_of_units_moves_a_log_density():
    scale, dims = 256.0, 5
    covariance = np.diag([1.0, 2.0, 3.0, 4.0, 5.0]) * 100
    y = np.array([3.0, -1.0, 20.0, 5.0, 0.5])
    before = stats.multivariate_normal(np.zeros(dims), covariance).logpdf(y)
    after = stats.multivariate_normal(np.zeros(dims), covariance / scale**2).logpdf(y / scale)
    assert after - before == pytest.approx(dims * math.log(scale))


@pytest.mark.equation("eq-image-affine", "eq-image-bilinear")
@pytest.mark.parametrize(("angle", "scale"), [(25, 1.0), (-100, 1.4), (5, 0.7)])
def test_lookup_agrees_with_scipy(angle, scale):
    image = np.random.default_rng(0).integers(0, 256, (12, 12)).astype(np.uint8)
    radians = math.radians(angle)
    # SciPy counts (row, column) and wants the map from output to input, too.
    turn = np.array(
        [[math.cos(radians), math.sin(radians)], [-math.sin(radians), math.cos(radians)]]
    )
    inverse = turn / scale
    centre = np.array([5.5, 5.5])
    expected = ndimage.affine_transform(
        np.pad(image.astype(float), 20), inverse, offset=centre - inverse @ centre + 20,
        output_shape=(12, 12), order=1,
    )  # fmt: skip
    mine = affine(torch.tensor(image)[None, None], angle=angle, scale=scale)[0, 0].numpy()
    assert np.abs(mine - expected).max() <= 0.51


@pytest.mark.equation("eq-image-bilinear")
def test_bilinear_weights_reproduce_a_ramp():
    rng = np.random.default_rng(0)
    for _ in range(100):
        a, b = rng.random(2)
        alpha, beta, gamma = rng.normal(size=3)
        corner = {(i, j): alpha + beta * i + gamma * j for i in (0, 1) for j in (0, 1)}
        weights = {
            (0, 0): (1 - a) * (1 - b),
            (0, 1): a * (1 - b),
            (1, 0): (1 - a) * b,
            (1, 1): a * b,
        }
        assert sum(weights.values()) == pytest.approx(1)
        value = sum(weights[key] * corner[key] for key in corner)
        assert value == pytest.approx(alpha + beta * b + gamma * a)


@pytest.mark.equation("alg-image-batches")
@pytest.mark.parametrize(("length", "size"), [(10, 3), (7, 7), (5, 12)])
def test_every_epoch_holds_each_image_once(length, size):
    images = torch.arange(length, dtype=torch.uint8).view(length, 1, 1, 1)
    batches = Batches(Split(images, None, 256), size, seed=1)
    drawn = torch.cat([batches.at(k)[0] for k in range(3 * length)]).flatten()
    assert all(len(batches.at(k)[0]) == size for k in range(3))
    for epoch in drawn[: 3 * length].split(length):
        assert sorted(epoch.tolist()) == list(range(length))
