"""Colours that share one mixture: what each channel's distribution is, given those before it.

Source: Salimans et al. (2017), PixelCNN++, arXiv 1701.05517, section 2.2.
"""

import torch
from torch import Tensor

from genlearn.distributions.logistic import DiscretisedLogisticMixture
from genlearn.distributions.pixels import at_least_float32


class ColourChain:
    """One mixture of logistic densities for all channels of a pixel, taken apart by channel.

    A component k is drawn for the pixel. Given it, each channel is a discretised logistic density
    whose mean moves in proportion to the channels before it: μ_k,c + Σ_b a_k,c,b x_b over b < c. So

        p(x_1 … x_C) = Σ_k w_k ∏_c p_k(x_c | x_1 … x_c-1);  eq-pixelcnn-joint.

    As a product of conditionals, that is: p(x_c | x_1 … x_c-1) is a mixture too, of the same
    densities, and its weights are the probabilities of the components given the channels before,
    w_k ∏_b p_k(x_b | x_1 … x_b-1) over b < c, divided by their sum; eq-pixelcnn-posterior.

    Args:
        channels: C.
        components: K.
        levels: of a channel.
    """

    def __init__(self, channels: int, components: int, levels: int) -> None:
        self.channels, self.components, self.levels = channels, components, levels
        pairs = channels * (channels - 1) // 2
        self.parameters_per_pixel = components * (1 + 2 * channels + pairs)

    def __call__(self, parameters: Tensor, values: Tensor) -> Tensor:
        """Return the conditional mixture of each channel, (…, C, 3 K), as LogisticPixels has them.

        Args:
            parameters: of the mixture of a pixel, (…, parameters_per_pixel): K logits of the
                weights; then the means and the logarithms of the scales, each channel by channel;
                then the factors a before tanh, for (2, 1), (3, 1), (3, 2) and so on.
            values: of the channels, black at -1 and white at 1, (…, C). Those of a channel and of
                the ones behind it have no part in its mixture.
        """
        k, channels = self.components, self.channels
        parts = at_least_float32(parameters).unflatten(-1, (-1, k))
        logits, means, log_scales, factors = parts.split(
            [1, channels, channels, parts.shape[-2] - 1 - 2 * channels], -2
        )
        logits, factors = logits.squeeze(-2), list(factors.tanh().unbind(-2))
        conditionals = []
        for channel in range(channels):
            mean, log_scale = means[..., channel, :], log_scales[..., channel, :]
            for before in range(channel):
                mean = mean + factors.pop(0) * values[..., before, None]
            conditionals.append(torch.cat([logits, mean, log_scale], -1))
            if channel + 1 < channels:
                logits = logits + self._log_mass(mean, log_scale, values[..., channel])
        return torch.stack(conditionals, -2)

    def _log_mass(self, mean: Tensor, log_scale: Tensor, value: Tensor) -> Tensor:
        """Log-probability of a channel's value under each component, (…, K)."""
        level = ((value + 1) * ((self.levels - 1) / 2)).round().unsqueeze(-1)
        alone = torch.zeros_like(mean).unsqueeze(-1)
        density = DiscretisedLogisticMixture(
            alone, mean.unsqueeze(-1), log_scale.unsqueeze(-1), self.levels
        )
        return density.log_prob(level)
