"""Gaussian pixels, on levels made continuous by uniform noise."""

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent


class DequantisedNormal(Distribution):
    """A Gaussian density for x + u, where x is a level and u is uniform in [0, 1).

    Averaged over u, its logarithm bounds that of a probability of level x from below
    (eq-image-dequantisation-bound). The average has a closed form, so no noise is drawn;
    eq-sharp-gaussian.

    Args:
        mean, log_std: of the Gaussian, on the scale on which [0, levels) becomes [-1, 1).
        levels: number of levels.
    """

    arg_constraints: ClassVar = {}

    def __init__(self, mean: Tensor, log_std: Tensor, levels: int) -> None:
        self.mean_scaled, self.log_std, self.levels = mean, log_std, levels
        super().__init__(mean.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """Mean over u of log p(value + u), nats a level: a lower bound of log P(value)."""
        width = 2 / self.levels  # of one level on the scale of the mean
        middle = (value + 0.5) * width - 1
        # u scatters by width²/12 around the middle of its level.
        error = (middle - self.mean_scaled).square() + width**2 / 12
        log_density = -0.5 * error * (-2 * self.log_std).exp() - self.log_std
        # From a density on the scale of the mean to one on that of levels: + log |d scaled / dx|.
        return log_density - 0.5 * math.log(2 * math.pi) + math.log(width)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """Draw a level: cut off the fraction of a Gaussian draw, keep it within the range."""
        shape = self._extended_shape(sample_shape)
        noise = torch.randn(shape, device=self.mean_scaled.device)
        scaled = self.mean_scaled + self.log_std.exp() * noise
        return ((scaled + 1) * (self.levels / 2)).floor().clamp(0, self.levels - 1)

    @property
    def mean(self) -> Tensor:
        """Expected level, before it is kept within the range."""
        return (self.mean_scaled + 1) * (self.levels / 2) - 0.5


class GaussianPixels(nn.Module):
    """Grey levels as a Gaussian, by uniform dequantisation.

    What it gives is a lower bound of the log-probability of the levels, so it may be compared with
    likelihoods that are a mass; it can only lose by that.

    Args:
        levels: number of values a pixel can take.
        noise: "fixed", one standard deviation, given; "shared", one, learned; "pixel", one for each
            value of each image, from the decoder.
        std: the standard deviation at the start, where black is -1 and white is 1.

    Raises:
        ValueError: if levels is not 2 … 256, std not above 0, or noise none of these.
    """

    def __init__(
        self, levels: int, noise: Literal["fixed", "shared", "pixel"] = "shared", std: float = 0.5
    ) -> None:
        super().__init__()
        if not 2 <= levels <= 256:
            raise ValueError(f"levels must be 2 … 256, got {levels}")
        if not std > 0:
            raise ValueError(f"std must be above 0, got {std}")
        if noise not in ("fixed", "shared", "pixel"):
            raise ValueError(f"noise must be fixed, shared or pixel, got {noise!r}")
        self.levels, self.parameters_per_value = levels, 2 if noise == "pixel" else 1
        log_std = torch.tensor(math.log(std))
        if noise == "shared":
            self.log_std = nn.Parameter(log_std)
        else:
            self.register_buffer("log_std", log_std)

    def distribution(self, parameters: Tensor) -> Distribution:
        """Turn (N, C, H, W, 1 or 2) into a distribution over (C, H, W), batch shape (N,).

        First the mean, then, with noise "pixel", the logarithm of the standard deviation.
        """
        parameters = parameters.float()
        mean = parameters[..., 0]
        log_std = parameters[..., 1] if self.parameters_per_value == 2 else self.log_std
        return Independent(DequantisedNormal(mean, log_std.expand_as(mean), self.levels), 3)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected level, (N, C, H, W), kept within the range."""
        level = (parameters[..., 0].float() + 1) * (self.levels / 2) - 0.5
        return level.clamp(0, self.levels - 1)
