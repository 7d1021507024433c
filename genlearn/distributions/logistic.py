"""Ordered grey levels: a smooth density, cut into one bin a level.

Source: Salimans et al. (2017), PixelCNN++, arXiv 1701.05517.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent

from genlearn.distributions.pixels import at_least_float32

# Scales are kept within e^-7 … e^7 (white - black is 2): far narrower than a level of 256, and far
# wider than the range.
LOG_SCALE_LIMIT = 7.0


class DiscretisedLogisticMixture(Distribution):
    """Probabilities of levels from a mixture of logistic densities; eq-sharp-logistic.

    Level k lies at 2 k / (levels - 1) - 1 and gets what the density has within half a step of it;
    the first and the last level also get everything beyond. So the probabilities sum to 1.

    Args:
        logits: of the components' weights, shape (…, K).
        means: centres, shape (…, K), black at -1 and white at 1.
        log_scales: logarithms of the widths, shape (…, K).
        levels: number of levels.
    """

    arg_constraints: ClassVar = {}

    def __init__(self, logits: Tensor, means: Tensor, log_scales: Tensor, levels: int) -> None:
        self.log_weights = logits.log_softmax(-1)
        self.means, self.levels = means, levels
        self.log_scales = log_scales.clamp(-LOG_SCALE_LIMIT, LOG_SCALE_LIMIT)
        super().__init__(logits.shape[:-1], validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Logarithm of the probability of a level, nats."""
        step = 2 / (self.levels - 1)
        precision = (-self.log_scales).exp()
        # Two neighbours must have the same border, to the bit: rounded apart, the masses of a
        # density far narrower than a level would not sum to 1.
        above = (((value + 0.5) * step - 1).unsqueeze(-1) - self.means) * precision
        below = (((value - 0.5) * step - 1).unsqueeze(-1) - self.means) * precision
        # σ(a) - σ(b) = σ(a) σ(-b) (1 - e^(b - a)): three factors whose logarithms never cancel, so
        # this holds far out in the tails, where the difference itself would be 0.
        log_upper, log_lower = F.logsigmoid(above), F.logsigmoid(-below)
        log_between = log_upper + log_lower + (-torch.expm1(-step * precision)).log()
        level = value.unsqueeze(-1)
        log_mass = torch.where(level < 0.5, log_upper, log_between)
        log_mass = torch.where(level > self.levels - 1.5, log_lower, log_mass)
        return (self.log_weights + log_mass).logsumexp(-1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw levels: a component, a place under its density, and the level next to it."""
        shape = self._extended_shape(sample_shape)
        chosen = Categorical(logits=self.log_weights, validate_args=False).sample(sample_shape)
        chosen = chosen.unsqueeze(-1)
        means = self.means.expand(*shape, -1).gather(-1, chosen).squeeze(-1)
        scales = self.log_scales.expand(*shape, -1).gather(-1, chosen).squeeze(-1).exp()
        uniform = torch.rand(shape, device=means.device)
        place = means + scales * torch.logit(uniform, eps=1e-6)
        return ((place + 1) * ((self.levels - 1) / 2)).round().clamp(0, self.levels - 1)

    def cumulative(self) -> Tensor:
        """Probabilities of lying at or below each level but the last, shape (…, levels - 1)."""
        step = 2 / (self.levels - 1)
        levels = torch.arange(self.levels - 1, device=self.means.device, dtype=self.means.dtype)
        border = ((levels + 0.5) * step - 1).unsqueeze(-1)
        precision = (-self.log_scales).exp().unsqueeze(-2)
        below = ((border - self.means.unsqueeze(-2)) * precision).sigmoid()
        return (self.log_weights.exp().unsqueeze(-2) * below).sum(-1)

    @property
    def mean(self) -> Tensor:
        """Expected level: the sum over k of the probability of lying above level k."""
        step = 2 / (self.levels - 1)
        weights, precision = self.log_weights.exp(), (-self.log_scales).exp()
        total = torch.zeros_like(self.means[..., 0])
        for k in range(self.levels - 1):  # a loop: all levels at once would need much memory
            border = (k + 0.5) * step - 1
            total += (weights * ((self.means - border) * precision).sigmoid()).sum(-1)
        return total


class LogisticPixels:
    """Grey levels in their order: three numbers a component, however many levels there are.

    Args:
        levels: number of values a pixel can take.
        components: of the mixture.

    Raises:
        ValueError: if levels is not 2 … 256, or components below 1.
    """

    def __init__(self, levels: int, components: int = 1) -> None:
        if not 2 <= levels <= 256:
            raise ValueError(f"levels must be 2 … 256, got {levels}")
        if components < 1:
            raise ValueError(f"components must be at least 1, got {components}")
        self.levels, self.components = levels, components
        self.parameters_per_value = 3 * components

    def _pixels(self, parameters: Tensor) -> DiscretisedLogisticMixture:
        parts = at_least_float32(parameters).chunk(3, -1)
        return DiscretisedLogisticMixture(*parts, levels=self.levels)

    def distribution(self, parameters: Tensor) -> Distribution:
        """Turn (N, C, H, W, 3 K) into a distribution over (C, H, W), batch shape (N,).

        First the K logits of the weights, then the means, then the logarithms of the scales.
        """
        return Independent(self._pixels(parameters), 3, validate_args=False)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected level, shape (N, C, H, W)."""
        return self._pixels(parameters).mean

    def draw(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        """Turn uniform numbers into levels: how many cumulative probabilities lie at or below."""
        cumulative = self._pixels(parameters).cumulative()
        return (cumulative <= uniform.unsqueeze(-1)).sum(-1).to(uniform.dtype)
