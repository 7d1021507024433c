"""The toy densities integrate to one, and are what they draw."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal

from genlearn.data import DENSITIES, Draws, Gaussians, Grid, Rings

VARIANTS = [Gaussians(), Gaussians(3, 1.0, 0.5), Grid(3, 1.0, 0.2), Rings(), Rings((0.5,), 0.3)]


def grid(density, cells: int) -> tuple[torch.Tensor, float]:
    """Points in the middle of square cells, float64, and the area of a cell."""
    step = 2 * density.extent / cells
    axis = (torch.arange(cells, dtype=torch.float64) + 0.5) * step - density.extent
    return torch.cartesian_prod(axis, axis), step**2


@pytest.mark.parametrize("density", VARIANTS, ids=repr)
def test_the_density_integrates_to_one(density):
    """For a smooth function that fades out, sums over a grid converge faster than any power."""
    points, area = grid(density, 500)
    assert density.log_prob(points).exp().sum().item() * area == pytest.approx(1, abs=3e-8)


@pytest.mark.parametrize("density", VARIANTS, ids=repr)
def test_samples_fall_where_the_density_is(density):
    """Chi-square over cells of the plane, against the integral over each."""
    cells, fine, n = 12, 20, 50_000
    points, area = grid(density, cells * fine)
    mass = density.log_prob(points).exp().view(cells, fine, cells, fine).sum((1, 3)) * area
    x = density.sample(n, torch.Generator().manual_seed(0)).double()
    assert x.abs().max() < density.extent
    cell = ((x + density.extent) / (2 * density.extent) * cells).long()
    counts = (cell[:, 0] * cells + cell[:, 1]).bincount(minlength=cells**2)
    expected = mass.flatten() * n
    often = expected > 5
    observed = [*counts[often].tolist(), counts[~often].sum().item()]
    expected = [*expected[often].tolist(), expected[~often].sum().item()]
    scale = n / sum(expected)
    assert stats.chisquare(observed, np.array(expected) * scale).pvalue > 1e-3


def test_gaussians_agree_with_a_mixture_of_torch():
    density, x = Gaussians(5, 1.5, 0.3), torch.randn(100, 2, dtype=torch.float64)
    angle = torch.arange(5) * 2 * math.pi / 5
    means = 1.5 * torch.stack([angle.cos(), angle.sin()], 1).double()
    mixture = MixtureSameFamily(
        Categorical(torch.ones(5).double()),
        MultivariateNormal(means, 0.09 * torch.eye(2, dtype=torch.float64)),
    )
    torch.testing.assert_close(density.log_prob(x), mixture.log_prob(x), atol=1e-5, rtol=1e-5)


def test_rings_agree_with_an_average_over_angles():
    """Of Gaussians around the points of each circle, integrated by SciPy."""
    density = Rings((1.0, 2.0), 0.4)
    for r in (0.0, 0.7, 1.9, 3.0):

        def around(angle: float, radius: float, r: float = r) -> float:
            x, y = r - radius * math.cos(angle), radius * math.sin(angle)
            return math.exp(-(x * x + y * y) / (2 * 0.16)) / (2 * math.pi * 0.16)

        rings = [
            integrate.quad(around, -math.pi, math.pi, args=(radius,))[0] / (2 * math.pi)
            for radius in (1.0, 2.0)
        ]
        expected = rings[0] / 3 + rings[1] * 2 / 3
        found = density.log_prob(torch.tensor([0.0, r], dtype=torch.float64)).exp().item()
        assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", DENSITIES.values())
def test_samples_depend_on_their_generator_alone(kind):
    first = kind().sample(5, torch.Generator().manual_seed(3))
    torch.manual_seed(7)
    assert torch.equal(first, kind().sample(5, torch.Generator().manual_seed(3)))
    assert not torch.equal(first, kind().sample(5, torch.Generator().manual_seed(4)))
    assert first.shape == (5, 2)
    assert kind().log_prob(torch.zeros(4, 3, 2)).shape == (4, 3)


@pytest.mark.parametrize("density", VARIANTS, ids=repr)
def test_the_gradient_of_the_density_is_finite(density):
    """At the centre too; far away the density falls as a Gaussian does."""
    x = torch.tensor([[0.0, 0.0], [0.3, -1.0], [8.0, 8.0]], requires_grad=True)
    density.log_prob(x).sum().backward()
    assert torch.isfinite(x.grad).all()


def test_a_draw_depends_on_seed_and_number_alone():
    stream = Draws(Gaussians(), 5, seed=3)
    late = stream.at(7)[0]
    torch.testing.assert_close(Draws(Gaussians(), 5, seed=3).to("cpu").at(7)[0], late)
    others = [stream.at(6)[0], Draws(Gaussians(), 5, seed=4).at(7)[0]]
    assert not any(torch.equal(late, other) for other in others)


def test_processes_share_one_stream_of_draws():
    stream = Draws(Rings(), 4)
    for k in range(3):
        for rank in range(2):
            assert torch.equal(stream.at(k, rank, 2)[0], stream.at(2 * k + rank)[0])


def test_a_batch_of_no_points_is_refused():
    with pytest.raises(ValueError, match="at least one point, got size=0"):
        Draws(Gaussians(), 0)


def test_a_grid_lies_around_zero_at_its_spacing():
    means = Grid(side=5, spacing=2.0).means
    assert means.shape == (25, 2)
    assert sorted(set(means.flatten().tolist())) == [-4, -2, 0, 2, 4]
    assert torch.pdist(means).min() == 2
