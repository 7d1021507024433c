"""What keeps a discriminator smooth: penalties on its gradient, and limits of its weights.

A critic is any function that maps points (N, …) to one number each, (N,), where no point's number
depends on another point: no batch normalisation. The gradient meant here is the one with respect to
the points. Penalties carry no weight; multiply by your own.

Sources: Arjovsky et al. (2017), arXiv 1701.07875, for clipping; Gulrajani et al. (2017),
arXiv 1704.00028, for WGAN-GP; Mescheder et al. (2018), arXiv 1801.04406, for R1 and R2.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

Critic = Callable[[Tensor], Tensor]
"""Maps points (N, …) to one number each, (N,)."""


def squared_gradient_norm(critic: Critic, points: Tensor) -> Tensor:
    """‖∇D‖² at each point, shape (N,), float32."""
    return _gradient(critic, points).square().flatten(1).sum(1)


def zero_centred_penalty(critic: Critic, points: Tensor) -> Tensor:
    """½ E ‖∇D‖²: R1 at real points, R2 at generated ones; also at points between; eq-stable-zero.

    Args:
        critic: gives logits.
        points: shape (N, …).

    Returns:
        A scalar; multiply by γ.
    """
    return squared_gradient_norm(critic, points).mean() / 2


def unit_gradient_penalty(critic: Critic, points: Tensor, one_sided: bool = False) -> Tensor:
    """E (‖∇D‖ - 1)²: the penalty of WGAN-GP, at :func:`interpolates`; eq-stable-gp.

    Args:
        critic: gives scores.
        points: shape (N, …).
        one_sided: whether only norms above 1 cost anything; eq-stable-one-sided.

    Returns:
        A scalar; multiply by λ.
    """
    # Unlike the root of a sum of squares, vector_norm has a gradient (0) at 0.
    excess = torch.linalg.vector_norm(_gradient(critic, points).flatten(1), dim=1) - 1
    return (excess.relu() if one_sided else excess).square().mean()


def interpolates(real: Tensor, fake: Tensor, share: Tensor | None = None) -> Tensor:
    """Return a random point on the line between each real point and a generated one.

    Args:
        real, fake: shape (N, …).
        share: of the real point, shape (N,); by default drawn evenly from 0 … 1.

    Returns:
        Shape (N, …).

    Raises:
        ValueError: if the shapes differ.
    """
    if real.shape != fake.shape:
        raise ValueError(
            "as many generated points as real ones are needed, of one shape; "
            f"got {tuple(real.shape)} and {tuple(fake.shape)}"
        )
    if share is None:
        share = torch.rand(len(real), device=real.device)
    share = share.view(-1, *[1] * (real.ndim - 1))
    return share * real + (1 - share) * fake


def clip_weights(module: nn.Module, limit: float) -> None:
    """Move each parameter into -limit … limit, in place: for ``Objective.after_step``.

    Raises:
        ValueError: if the limit is not above 0.
    """
    if limit <= 0:
        raise ValueError(f"the limit of the weights must be above 0, got {limit}")
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.clamp_(-limit, limit)


def _gradient(critic: Critic, points: Tensor) -> Tensor:
    """∇D at each point, (N, …), with a graph, so that a penalty reaches the critic's parameters."""
    points = points.detach().requires_grad_(True)
    # Each value depends on its own point alone, so the gradient of the sum holds all of them.
    (gradient,) = torch.autograd.grad(critic(points).sum(), points, create_graph=True)
    return gradient.float()
