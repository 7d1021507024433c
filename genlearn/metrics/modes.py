"""Which modes of a known density a generator found, and how many of its points lie near one."""

from typing import NamedTuple

import torch
from torch import Tensor

from genlearn.data import Gaussians, Grid


class ModeCoverage(NamedTuple):
    """What :func:`mode_coverage` counts."""

    modes: int
    """Modes with at least 20 % of their fair share of the points."""
    high_quality: float
    """Share of the points that lie near a mode, 0 … 1. Of the density itself: 0.989."""
    shares: Tensor
    """Of all points, the part that lies near each mode, float32, shape (modes,)."""


def mode_coverage(points: Tensor, density: Gaussians | Grid) -> ModeCoverage:
    """Count points within three standard deviations of their nearest mode.

    Args:
        points: shape (N, 2); take 10,000, so that shares are sure to a few per cent of themselves.
        density: round Gaussians, further apart than six standard deviations.

    Raises:
        ValueError: if there are no points, or they do not lie in the plane.
    """
    if points.ndim != 2 or points.shape[1] != 2 or len(points) == 0:
        raise ValueError(f"points must be of shape (N, 2), not empty; got {tuple(points.shape)}")
    means = density.means.to(points)
    distance, nearest = torch.cdist(points, means).min(1)
    near = distance <= 3 * density.std
    shares = torch.bincount(nearest[near], minlength=len(means)).cpu() / len(points)
    found = shares >= 0.2 / len(means)
    return ModeCoverage(int(found.sum()), near.float().mean().item(), shares)
