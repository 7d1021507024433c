"""Pictures of latent spaces."""

import torch
from torch import Tensor


def plane(side: int, extent: float = 3.0) -> Tensor:
    """Return a square grid of 2-D codes, top left first, shape (side · side, 2)."""
    line = torch.linspace(-extent, extent, side)
    second, first = torch.meshgrid(line.flip(0), line, indexing="ij")
    return torch.stack([first.flatten(), second.flatten()], dim=1)
