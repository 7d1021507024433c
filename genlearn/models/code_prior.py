"""Distributions over grids of codes: what a VQ-VAE needs to be a model of images.

Source: van den Oord et al. (2017), Neural Discrete Representation Learning, arXiv 1711.00937,
section 3: the prior is fitted after the codes are fixed.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from genlearn.distributions import CategoricalCodes, level_dtype
from genlearn.models.pixel_model import PixelModel
from genlearn.models.pixelcnn import gated_pixel_cnn


class CodePrior(Protocol):
    """p(codes), over grids of integers 0 … K - 1."""

    def log_prob(self, codes: Tensor) -> Tensor:
        """Log-probability of grids, int64 (N, h, w): nats, shape (N,)."""
        ...

    def sample(self, n: int) -> Tensor:
        """Draw n grids, int64, (n, h, w)."""
        ...


class IndependentPrior(nn.Module):
    """Each place of the grid has its own frequencies of codes, and knows nothing of the others.

    The simplest prior that is fitted to something. What the places know of each other is what a
    better prior can gain.

    Args:
        grid: (h, w).
        codes: K. Until it is fitted, all are equally likely.
    """

    def __init__(self, grid: tuple[int, int], codes: int) -> None:
        super().__init__()
        self.register_buffer("probabilities", torch.full((*grid, codes), 1 / codes))

    @classmethod
    def fit(cls, codes: Tensor, count: int, smoothing: float = 1.0) -> "IndependentPrior":
        """Take the smoothed frequencies (n + s) / (N + K s) of each code at each place.

        Args:
            codes: of a training split, int64, (N, h, w).
            count: K.
            smoothing: s; above 0, or a code that is new at a place would have probability 0.
        """
        grid = tuple(codes.shape[1:])
        prior = cls(grid, count).to(codes.device)
        places = torch.arange(grid[0] * grid[1], device=codes.device) * count
        cells = codes.flatten(1) + places  # one number for each place and code
        counts = cells.flatten().bincount(minlength=prior.probabilities.numel())
        total = len(codes) + count * smoothing
        prior.probabilities.copy_(((counts + smoothing) / total).view(*grid, count))
        return prior

    def log_prob(self, codes: Tensor) -> Tensor:
        """Log-probability of grids, int64 (N, h, w): nats, shape (N,)."""
        table = self.probabilities.log().expand(len(codes), *self.probabilities.shape)
        return table.gather(-1, codes.unsqueeze(-1)).flatten(1).sum(1)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Draw n grids, int64, (n, h, w)."""
        height, width, count = self.probabilities.shape
        draws = self.probabilities.view(-1, count).multinomial(n, replacement=True)
        return draws.T.reshape(n, height, width)


class PixelPrior(nn.Module):
    """p(codes) = ∏ p(code | all codes before it), in the order of reading; eq-sequence-chain.

    Codes are numbers without an order, so the network is given a learned vector for each.

    Args:
        model: of grids with one channel, whose levels are the codes.
    """

    def __init__(self, model: PixelModel) -> None:
        super().__init__()
        self.model = model

    @classmethod
    def gated(
        cls, grid: tuple[int, int], codes: int, *, embedding: int = 16, **options
    ) -> "PixelPrior":
        """Make one from a Gated PixelCNN.

        Args:
            grid: (h, w).
            codes: K, of any number.
            embedding: length of the vector that stands for a code.
            options: of :func:`genlearn.models.gated_pixel_cnn`; with classes, this is a prior
                p(codes | label).
        """
        likelihood = CategoricalCodes(codes)
        options |= {"likelihood": likelihood, "embedding": embedding}
        return cls(gated_pixel_cnn((1, *grid), codes, **options))

    def log_prob(
        self, codes: Tensor, label: Tensor | None = None, altered: Tensor | None = None
    ) -> Tensor:
        """Log-probability of grids, int64 (N, h, w): nats, shape (N,).

        Args:
            codes: the grids.
            label: int64, (N,); needed by a model with classes.
            altered: bool, (N,): codes of images that were changed by augmentation.
        """
        levels = codes.unsqueeze(1).to(level_dtype(self.model.levels))
        return self.model.log_prob(levels, label, altered)

    @torch.no_grad()
    def sample(self, n: int, label: Tensor | None = None) -> Tensor:
        """Draw n grids, int64, (n, h, w), with the cache of the model."""
        return self.model.sample(n, label).squeeze(1).long()
