"""Densities in the plane that are known exactly, to try a generative model on.

Their points are no images, so they are no ``Dataset``: draw as many as you need.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from genlearn.data.batches import Batch, derive_seed


class _RoundGaussians:
    """Equally likely round Gaussians of one width, around ``means``."""

    means: Tensor
    std: float

    @property
    def extent(self) -> float:
        """Half the side of a square around 0 that holds all but 1e-8 of the mass."""
        return self.means.abs().max().item() + 6 * self.std

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n points, float32, shape (n, 2)."""
        means = self.means
        mode = torch.randint(len(means), (n,), generator=generator)
        return means[mode] + self.std * torch.randn(n, 2, generator=generator)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats at points (…, 2), shape (…)."""
        means = self.means.to(x)
        squares = (x.unsqueeze(-2) - means).square().sum(-1)
        log_gaussian = -squares / (2 * self.std**2) - math.log(2 * math.pi * self.std**2)
        return log_gaussian.logsumexp(-1) - math.log(len(means))


@dataclass(frozen=True)
class Gaussians(_RoundGaussians):
    """Equally likely round Gaussians, evenly spaced on a circle."""

    modes: int = 8
    radius: float = 2.0
    """Of the circle on which the means lie."""
    std: float = 0.2
    """Of each Gaussian, in every direction."""

    @cached_property
    def means(self) -> Tensor:
        """The centres, float32, shape (modes, 2)."""
        angle = torch.arange(self.modes) * (2 * math.pi / self.modes)
        return self.radius * torch.stack([angle.cos(), angle.sin()], dim=1)


@dataclass(frozen=True)
class Grid(_RoundGaussians):
    """Equally likely round Gaussians on a square grid around 0."""

    side: int = 5
    """Gaussians in a row; there are as many rows."""
    spacing: float = 1.0
    """Between the means of neighbours."""
    std: float = 0.05
    """Of each Gaussian, in every direction."""

    @cached_property
    def means(self) -> Tensor:
        """The centres, float32, shape (side², 2), row by row."""
        line = (torch.arange(self.side) - (self.side - 1) / 2) * self.spacing
        return torch.cartesian_prod(line, line)


@dataclass(frozen=True)
class Rings:
    """Circles around 0, blurred by a round Gaussian; a longer one holds more mass."""

    radii: tuple[float, ...] = (1.0, 2.0, 3.0)
    std: float = 0.1
    """Of the Gaussian."""

    @property
    def extent(self) -> float:
        """Half the side of a square around 0 that holds all but 1e-8 of the mass."""
        return max(self.radii) + 6 * self.std

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Draw n points, float32, shape (n, 2)."""
        radii = torch.tensor(self.radii)
        radius = radii[torch.multinomial(radii, n, replacement=True, generator=generator)]
        angle = 2 * math.pi * torch.rand(n, generator=generator)
        on_circle = torch.stack([radius * angle.cos(), radius * angle.sin()], dim=1)
        return on_circle + self.std * torch.randn(n, 2, generator=generator)

    def log_prob(self, x: Tensor) -> Tensor:
        """Log density in nats at points (…, 2), shape (…).

        The average over angles of a Gaussian around a point of the circle is a Bessel function:
        ∫ exp(z cos φ) dφ / 2π = I₀(z).
        """
        radii = torch.tensor(self.radii).to(x)
        r = torch.linalg.vector_norm(x, dim=-1, keepdim=True)  # its gradient at 0 is 0, not nan
        exponent = -((r - radii) ** 2) / (2 * self.std**2)
        # i0e(z) = I₀(z) exp(-z), which does not overflow
        blurred = exponent + torch.special.i0e(r * radii / self.std**2).log()
        weights = (radii / radii.sum()).log()
        return (weights + blurred).logsumexp(-1) - math.log(2 * math.pi * self.std**2)


class Draws:
    """An endless stream of fresh points, for ``fit`` to train on as it does on ``Batches``.

    No point comes twice, so a model cannot learn any by heart.

    Args:
        density: what to draw from.
        size: points a batch.
        seed: fixes all points.

    Raises:
        ValueError: if size is below 1.
    """

    def __init__(self, density: Gaussians | Grid | Rings, size: int, seed: int = 0) -> None:
        if size < 1:
            raise ValueError(f"a batch has at least one point, got size={size}")
        self.density, self.size, self.seed = density, size, seed
        self.device = torch.device("cpu")

    def to(self, device: torch.device | str) -> "Draws":
        """Return the same stream with its batches on ``device``."""
        moved = Draws(self.density, self.size, self.seed)
        moved.device = torch.device(device)
        return moved

    def at(self, k: int, rank: int = 0, world: int = 1) -> Batch:
        """Return draw number ``k`` of process ``rank`` out of ``world``: one tensor, (size, 2).

        The same arguments always give the same points, on every device.
        """
        generator = torch.Generator().manual_seed(derive_seed(self.seed, k * world + rank))
        return (self.density.sample(self.size, generator).to(self.device),)


DENSITIES = {"gaussians": Gaussians, "grid": Grid, "rings": Rings}
"""The toy densities by name."""
