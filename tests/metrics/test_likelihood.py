"""Figures of a data set, against ones that can be computed by hand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from genlearn.data import Split
from genlearn.metrics import (
    bits_per_dim,
    density_bits_per_dim,
    mean_elbo,
    mean_log_prob,
    mean_over,
)
from genlearn.models import PPCA, VAE


class Toy(nn.Module):
    """A bound that is the image's value plus the mean of its noise; minus 1000 while training."""

    latent_dim, shape, levels = 3, (1, 1, 1), 256

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.sizes = []

    def elbo(self, x, noise):
        assert noise.shape == (len(x), 3)
        self.sizes.append(len(x))
        return x.float().flatten() + noise.mean(1) - 1000 * self.training + self.weight


VALUES = torch.tensor([1, 2, 4, 8, 16], dtype=torch.uint8).view(5, 1, 1, 1)
SPLIT = Split(VALUES, None, 256)


@pytest.mark.parametrize("batch_size", [2, 5, 100])
def test_mean_and_standard_error_are_those_over_images(batch_size):
    """Noise averages out over many codes: 5,000 of them leave 0.008 of it an image."""
    toy = Toy()
    estimate = mean_elbo(toy, SPLIT, repeats=5000, batch_size=batch_size)
    values = VALUES.flatten().numpy().astype(float)
    assert estimate.images == 5
    assert estimate.mean == pytest.approx(values.mean(), abs=0.03)
    assert estimate.standard_error == pytest.approx(values.std(ddof=1) / 5**0.5, abs=0.03)
    assert max(toy.sizes) == min(batch_size, 5)


@pytest.mark.parametrize("batch_size", [2, 5, 100])
def test_a_mean_over_images_has_the_error_of_that_mean(batch_size):
    toy = Toy().train()
    estimate = mean_over(
        toy, SPLIT, lambda x: x.float().flatten() - 1000 * toy.training, batch_size=batch_size
    )
    values = VALUES.flatten().numpy().astype(float)
    assert estimate == pytest.approx((values.mean(), values.std(ddof=1) / 5**0.5, 5))
    assert toy.training


class Labelled(Toy):
    """log p(x) is the image's value, and 100 more for each number of its label."""

    def log_prob(self, x, label=None):
        extra = 0 if label is None else 100 * label
        return x.float().flatten() + extra - 1000 * self.training


@pytest.mark.parametrize("batch_size", [2, 5, 100])
def test_a_mean_log_probability_takes_each_image_with_its_own_label(batch_size):
    labels = torch.tensor([3, 0, 1, 2, 0])
    split, values = Split(VALUES, labels, 256), VALUES.flatten().numpy().astype(float)
    for labelled in (False, True):
        model = Labelled().train()
        estimate = mean_log_prob(model, split, labelled=labelled, batch_size=batch_size)
        every = values + 100 * labels.numpy() * labelled
        assert estimate == pytest.approx((every.mean(), every.std(ddof=1) / 5**0.5, 5))
        assert model.training


def test_labels_that_are_not_there_are_missed():
    with pytest.raises(ValueError, match="data has no labels"):
        mean_log_prob(Labelled(), SPLIT, labelled=True)


def test_the_seed_decides_the_noise_and_nothing_else_is_touched():
    toy, before = Toy().train(), torch.get_rng_state()
    first = mean_elbo(toy, SPLIT, repeats=2, seed=3)
    torch.rand(5)
    assert mean_elbo(toy, SPLIT, repeats=2, seed=3) == first
    assert mean_elbo(toy, SPLIT, repeats=2, seed=4) != first
    assert toy.training
    torch.set_rng_state(before)
    mean_elbo(toy, SPLIT, repeats=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_estimate_is_that_of_a_plain_loop_over_images():
    """A real model, its noise drawn here in the order that the docstring gives: one batch."""
    torch.manual_seed(0)
    vae = VAE.mlp((1, 2, 2), 3, latent_dim=2, hidden=(4,), dropout=0.5).eval()
    images = torch.randint(3, (6, 1, 2, 2), dtype=torch.uint8)
    noise = torch.randn(4, 6, 2, generator=torch.Generator().manual_seed(9))
    with torch.no_grad():
        bounds = np.array(
            [
                [vae.elbo(images[i : i + 1], noise[r, i : i + 1]).item() for i in range(6)]
                for r in range(4)
            ]
        ).mean(0)
    estimate = mean_elbo(vae, Split(images, None, 3), repeats=4, seed=9)
    assert estimate.mean == pytest.approx(bounds.mean(), rel=1e-6)
    assert estimate.standard_error == pytest.approx(bounds.std(ddof=1) / 6**0.5, rel=1e-5)


def test_one_image_has_no_standard_error():
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        mean_elbo(Toy(), Split(VALUES[:1], None, 256))


@pytest.mark.parametrize(("levels", "bits"), [(2, 1), (16, 4), (256, 8)])
def test_a_uniform_model_costs_the_bits_of_its_levels(levels, bits):
    model = VAE.mlp((3, 4, 5), levels)
    log_prob = -3 * 4 * 5 * math.log(levels)
    assert bits_per_dim(log_prob, model) == pytest.approx(bits)
    every = bits_per_dim(torch.full((7,), log_prob), model)
    torch.testing.assert_close(every, torch.full((7,), float(bits)))


def test_a_density_has_no_bits_per_dimension():
    with pytest.raises(TypeError, match="PPCA gives a density"):
        bits_per_dim(-1.0, PPCA(4, 2))


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("low", [-1.0, 0.0])
@pytest.mark.parametrize("high", [1.0, 256.0])
def test_a_uniform_density_costs_the_bits_of_its_levels_on_every_scale(levels, low, high):
    """Flat over the range, it gives every level the same mass."""
    shape, dims = (3, 4, 5), 60
    log_density = -dims * math.log(high - low)
    found = density_bits_per_dim(
        log_density, shape, levels, data_range=(low, high), dequantisation="uniform"
    )
    assert found == pytest.approx(math.log2(levels))
    many = density_bits_per_dim(
        torch.full((7,), log_density),
        shape,
        levels,
        data_range=(low, high),
        dequantisation="learned",
    )
    torch.testing.assert_close(many, torch.full((7,), math.log2(levels)))


def test_a_density_on_bare_levels_has_no_bits():
    for noise in ("none", None):
        with pytest.raises(TypeError, match="only if noise was added to their levels"):
            density_bits_per_dim(-1.0, (1, 2, 2), 256, data_range=(0, 256), dequantisation=noise)


@pytest.mark.parametrize("data_range", [(1, 0), (0, 0), (0, math.inf), (math.nan, 1)])
def test_a_range_that_is_none_is_refused(data_range):
    with pytest.raises(ValueError, match="data_range must be"):
        density_bits_per_dim(-1.0, (1, 2, 2), 256, data_range=data_range, dequantisation="uniform")


def test_one_level_has_no_bits():
    with pytest.raises(ValueError, match="at least 2 levels, got 1"):
        density_bits_per_dim(-1.0, (1, 2, 2), 1, data_range=(0, 1), dequantisation="uniform")
