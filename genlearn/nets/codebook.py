"""Vector quantisation: continuous vectors become integers, and the gradient gets through.

Sources: van den Oord et al. (2017), Neural Discrete Representation Learning, arXiv 1711.00937 (the
moving averages are in its appendix A.1); Razavi et al. (2019), Generating Diverse High-Fidelity
Images with VQ-VAE-2, arXiv 1906.00446.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn


class Quantised(NamedTuple):
    """Vectors after quantisation."""

    vectors: Tensor
    """The nearest codewords, (…, D); their gradient is handed to the input as it is."""
    codes: Tensor
    """Which codewords, int64, (…)."""
    distance: Tensor
    """Squared Euclidean distance to the codeword, (…); its gradient moves the input alone."""


class Codebook(nn.Module):
    """K codewords in D dimensions that follow the vectors for which they stand.

    No gradient moves a codeword. Each is the mean of the vectors to which it was nearest, as an
    exponential moving average: k-means that sees one batch at a time; eq-sharp-ema. Passes in
    training mode add up what :meth:`update` then applies, once: hand it to
    :class:`genlearn.training.Objective` as ``after_step``.

    A codeword that stands for too few vectors is dead, and begins anew at one of the last batch.
    This is also how the codebook gets its start from the data: all but the few codewords that were
    nearest to something are dead at the first update. ``restarts`` counts them all.

    All state is in buffers, so a checkpoint holds it, also between two updates.

    Args:
        codes: K.
        dim: D.
        decay: γ, the share of a moving average that is kept at an update.
        smoothing: ε, added to each moving count before dividing by it.
        restart: a codeword is dead when its moving count is below this share of the mean count;
            0 lets the dead lie.

    Raises:
        ValueError: if codes or dim is below 1, decay is not in [0, 1), or another is negative.
    """

    def __init__(
        self,
        codes: int,
        dim: int,
        *,
        decay: float = 0.99,
        smoothing: float = 1e-5,
        restart: float = 0.1,
    ) -> None:
        super().__init__()
        if codes < 1 or dim < 1:
            raise ValueError(f"codes and dim must be at least 1, got {codes} and {dim}")
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be at least 0 and below 1, got {decay}")
        if smoothing < 0 or restart < 0:
            raise ValueError(f"negative smoothing or restart: {smoothing}, {restart}")
        self.decay, self.smoothing, self.restart = decay, smoothing, restart
        self.register_buffer("words", torch.randn(codes, dim))
        # Moving averages, by codeword: how many vectors an update brought, and their sum.
        self.register_buffer("counts", torch.zeros(codes))
        self.register_buffer("sums", torch.zeros(codes, dim))
        # The same of the passes since the last update, and vectors of the last pass.
        self.register_buffer("new_counts", torch.zeros(codes))
        self.register_buffer("new_sums", torch.zeros(codes, dim))
        self.register_buffer("spare", torch.zeros(codes, dim))
        self.register_buffer("restarts", torch.zeros((), dtype=torch.int64))

    def __len__(self) -> int:
        return len(self.words)

    @torch.no_grad()
    def nearest(self, vectors: Tensor) -> Tensor:
        """Return the number of the nearest codeword of each vector: (…, D) to int64 (…).

        This is eq-sharp-vq. Of equally near ones it is the first.
        """
        # ‖v - e‖² but for ‖v‖², which is the same for every codeword.
        with torch.autocast(vectors.device.type, enabled=False):
            scores = self.words.square().sum(1) - 2 * vectors.float() @ self.words.T
        return scores.argmin(-1)

    def forward(self, vectors: Tensor) -> Quantised:
        """Replace vectors (…, D) by their nearest codewords.

        Going forward the result is the codeword, exactly. Going backward it is the vector: the
        straight-through gradient eq-sharp-straight.
        """
        vectors = vectors.float()
        codes = self.nearest(vectors)
        if self.training:
            self._gather(vectors.detach().flatten(0, -2), codes.flatten())
        words = self.words[codes]
        distance = (vectors - words).square().sum(-1)
        return Quantised(words + (vectors - vectors.detach()), codes, distance)

    @torch.no_grad()
    def update(self) -> None:
        """Move the codewords to the moving means, and revive the dead; eq-sharp-ema.

        What was gathered since the last update counts as one batch. If that is nothing, nothing is
        changed.
        """
        fresh = self.new_counts.sum() > 0  # a tensor: a GPU need not tell the host
        keep = torch.where(fresh, self.decay, 1.0)
        self.counts.lerp_(self.new_counts, 1 - keep)
        self.sums.lerp_(self.new_sums, 1 - keep)
        # Laplace smoothing: no division by zero, and the same total as before.
        total, codes = self.counts.sum(), len(self)
        smooth = (self.counts + self.smoothing) / (total + codes * self.smoothing) * total
        known = ((self.counts > 0) & fresh).unsqueeze(1)
        self.words.copy_(torch.where(known, self.sums / smooth.unsqueeze(1), self.words))

        dead = (self.counts < self.restart * self.counts.mean()) & fresh
        self.words.copy_(torch.where(dead.unsqueeze(1), self.spare, self.words))
        self.restarts += dead.sum()
        # It counts as an average one, or it would be dead again before it could prove itself.
        self.counts.copy_(torch.where(dead, self.counts.mean(), self.counts))
        reborn = self.words * self.counts.unsqueeze(1)
        self.sums.copy_(torch.where(dead.unsqueeze(1), reborn, self.sums))
        self.new_counts.zero_()
        self.new_sums.zero_()

    @torch.no_grad()
    def _gather(self, vectors: Tensor, codes: Tensor) -> None:
        """Add one batch, (M, D) and (M,), to what the next update applies."""
        with torch.autocast(vectors.device.type, enabled=False):
            chosen = nn.functional.one_hot(codes, len(self)).to(vectors)
            self.new_counts += chosen.sum(0)
            self.new_sums += chosen.T @ vectors
        # From the default generator, which training seeds; none twice while there are others.
        order = torch.randperm(len(vectors), device=vectors.device)
        places = torch.arange(len(self), device=vectors.device) % len(vectors)
        self.spare.copy_(vectors[order[places]])


def perplexity(codes: Tensor, count: int) -> Tensor:
    """Effective number of codes in use: exp(entropy of their frequencies), a scalar.

    It is ``count`` when all are used equally often, and 1 when one alone is used;
    eq-sharp-perplexity.

    Args:
        codes: int64, 0 … count - 1, of any shape.
        count: how many codes there are.
    """
    ones = torch.ones(codes.numel(), device=codes.device)
    # As bincount, for which a GPU would make the host wait.
    counts = torch.zeros(count, device=codes.device).index_add_(0, codes.flatten(), ones)
    frequencies = counts / codes.numel()
    return torch.special.entr(frequencies).sum().exp()
