"""Gaussian distributions of codes."""

import torch
from torch import Tensor
from torch.distributions import Independent, Normal


def diagonal_normal(mean: Tensor, log_std: Tensor) -> Independent:
    """Gaussian with independent coordinates.

    Args:
        mean, log_std: shape (N, L); the standard deviation comes as its logarithm, so that a
            network's output needs no constraint.

    Returns:
        A distribution whose ``log_prob`` has shape (N,); batch shape (N,), event shape (L,).
    """
    return Independent(Normal(mean, log_std.exp(), validate_args=False), 1, validate_args=False)


def standard_normal(count: int, dim: int, device: torch.device | str = "cpu") -> Independent:
    """N(0, I) in ``dim`` dimensions, ``count`` times: batch shape (count,), event shape (dim,)."""
    zeros = torch.zeros(count, dim, device=device)
    return diagonal_normal(zeros, zeros)
