"""Two ways to estimate the gradient of E[f(z)], z from a Gaussian, from draws of z.

Both are right on average. They differ in what they ask of f, and in their scatter.

Sources: Williams (1992), Simple Statistical Gradient-Following Algorithms for Connectionist
Reinforcement Learning, Machine Learning 8, 229-256; Kingma and Welling (2013), arXiv 1312.6114.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Gradient(NamedTuple):
    """One estimate a draw, each of shape (K, L); their means are the estimates of K draws."""

    mean: Tensor
    """With respect to the mean of the Gaussian."""
    log_std: Tensor
    """With respect to the logarithm of its standard deviation."""


def score_function_gradient(
    f: Callable[[Tensor], Tensor],
    mean: Tensor,
    log_std: Tensor,
    noise: Tensor,
    baseline: float | Tensor = 0.0,
) -> Gradient:
    """Estimate from values of f alone, which may have jumps: (f(z) - baseline) ∇ log q(z).

    It is eq-vae-score. A baseline that does not depend on z changes the scatter, not the average.

    Args:
        f: maps codes (K, L) to values (K,).
        mean, log_std: of the Gaussian, (L,).
        noise: standard normal, (K, L).
        baseline: one number, or one a draw, (K,).
    """
    with torch.no_grad():
        std = log_std.exp()
        advantage = (f(mean + std * noise) - baseline).unsqueeze(1)
        return Gradient(advantage * noise / std, advantage * (noise.square() - 1))


def reparameterised_gradient(
    f: Callable[[Tensor], Tensor], mean: Tensor, log_std: Tensor, noise: Tensor
) -> Gradient:
    """Estimate from the derivative of f, along the draw: f'(z) ∂z; eq-vae-pathwise.

    Args:
        f: maps codes (K, L) to values (K,), each from its own code; differentiable.
        mean, log_std: of the Gaussian, (L,).
        noise: standard normal, (K, L).
    """
    std = log_std.detach().exp()
    with torch.enable_grad():
        z = (mean.detach() + std * noise).requires_grad_()
        (slope,) = torch.autograd.grad(f(z).sum(), z)
    return Gradient(slope, slope * std * noise)
