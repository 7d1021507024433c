"""Modes counted on points whose places are known."""

import math

import pytest
import torch

from genlearn.data import Gaussians, Grid
from genlearn.metrics import mode_coverage


@pytest.mark.parametrize("density", [Gaussians(std=0.05), Grid(), Grid(spacing=2.0)])
def test_the_density_itself_has_all_modes_and_1_minus_exp_of_minus_4_and_a_half_near_them(density):
    """Within 3 σ in the plane lies 1 - exp(-9 / 2) = 98.9 % of a round Gaussian."""
    points = density.sample(200_000, torch.Generator().manual_seed(0))
    found = mode_coverage(points, density)
    assert found.modes == len(density.means)
    assert found.high_quality == pytest.approx(1 - math.exp(-4.5), abs=1e-3)
    assert found.shares.sum().item() == pytest.approx(found.high_quality, abs=1e-5)


def test_a_mode_counts_from_a_fifth_of_its_fair_share_on():
    ring = Gaussians(modes=4, std=0.05)
    counts = torch.tensor([905, 50, 45, 0])  # a fifth of the fair share is 50 of 1,000
    found = mode_coverage(ring.means.repeat_interleave(counts, 0), ring)
    assert found.modes == 2
    assert found.shares.tolist() == pytest.approx([0.905, 0.05, 0.045, 0])


def test_points_count_up_to_three_standard_deviations():
    grid = Grid(std=0.1)
    points = torch.tensor([[0.29, 0.0], [0.0, -0.29], [0.22, 0.22], [0.5, 0.5]])
    assert mode_coverage(points, grid).high_quality == 0.5


@pytest.mark.parametrize("shape", [(0, 2), (5, 3), (5,)])
def test_other_things_than_points_of_the_plane_are_refused(shape):
    with pytest.raises(ValueError, match=r"points must be of shape \(N, 2\), not empty"):
        mode_coverage(torch.zeros(shape), Grid())
