"""A discriminator that is divided by its own steepness."""

import torch
from torch import Tensor, nn


class GradientNormalised(nn.Module):
    """``D / (‖∇D‖ + |D|)``, where ∇ is with respect to the points: values between -1 and 1.

    See eq-stable-normalised.

    Args:
        discriminator: maps points (N, …) to (N,), each point's number by that point alone.

    Source: Wu et al. (2021), Gradient Normalization for Generative Adversarial Networks,
    arXiv 2109.02235.
    """

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, points: Tensor) -> Tensor:
        """Map (N, …) to (N,)."""
        if not points.requires_grad:  # a generator's points keep their way back to it
            points = points.detach().requires_grad_(True)
        with torch.enable_grad():
            values = self.discriminator(points)
            (gradient,) = torch.autograd.grad(values.sum(), points, create_graph=True)
        norm = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
        return values / (norm + values.abs())
