"""Ways through a latent space: closer to its middle, and from one point of it to another.

Sources: Brock et al. (2019), Large Scale GAN Training for High Fidelity Natural Image Synthesis,
arXiv 1809.11096, for truncated noise; Karras et al. (2019), arXiv 1812.04948, for truncation
towards a mean; White (2016), Sampling Generative Networks, arXiv 1609.04468, for spherical paths.
"""

import math

import torch
from torch import Tensor


def truncated_noise(n: int, latent_dim: int, threshold: float) -> Tensor:
    """Draw standard normal numbers, each drawn anew until it lies within ±threshold.

    What the waiting leads to is drawn at once, by the inverse of the distribution function;
    eq-steer-truncated.

    Args:
        n, latent_dim: of the shape.
        threshold: above 0; inf does not truncate.

    Raises:
        ValueError: if the threshold is not above 0.
    """
    if not threshold > 0:
        raise ValueError(f"the threshold must be above 0, got {threshold}")
    below = math.erfc(threshold / math.sqrt(2)) / 2  # probability below -threshold
    uniform = torch.rand(n, latent_dim, dtype=torch.float64)
    z = torch.special.ndtri(below + (1 - 2 * below) * uniform)
    return z.clamp(-threshold, threshold).float()


def towards(points: Tensor, centre: Tensor, share: float) -> Tensor:
    """Keep a share of each point's way from a centre: eq-steer-towards.

    Args:
        points: shape (N, L).
        centre: shape (L,), or (N, L): one each.
        share: 1 changes nothing, 0 leaves the centre.
    """
    return centre + share * (points - centre)


def linear_path(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Points evenly spaced on the straight line between two, ends included.

    Args:
        start, end: shape (..., L).
        steps: how many points.

    Returns:
        Shape (steps, ..., L).
    """
    t = _shares(start, steps)
    return (1 - t) * start + t * end


def spherical_path(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Points on the arc between two, ends included: eq-steer-slerp.

    Ends of equal length have a path on their sphere. Where the ends point the same way, or opposite
    ways, so that there is no arc or no single one, the path is straight.

    Args:
        start, end: shape (..., L).
        steps: how many points.

    Returns:
        Shape (steps, ..., L).
    """
    t = _shares(start, steps)
    cosine = torch.cosine_similarity(start, end, dim=-1).clamp(-1, 1)[..., None]
    angle = torch.arccos(cosine)
    arc = (torch.sin((1 - t) * angle) * start + torch.sin(t * angle) * end) / torch.sin(angle)
    straight = torch.sin(angle) < 1e-3  # below, rounding would decide
    return torch.where(straight, (1 - t) * start + t * end, arc)


def _shares(points: Tensor, steps: int) -> Tensor:
    """0 … 1 along a new first axis."""
    return torch.linspace(0, 1, steps).to(points).view(-1, *[1] * points.ndim)
