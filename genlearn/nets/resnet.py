"""Residual blocks.

Source: He et al. (2016), Identity Mappings in Deep Residual Networks, arXiv 1603.05027.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from genlearn.nets.zero import start_at_zero


class ResidualBlock(nn.Module):
    """x + f(x), where f is two 3 x 3 convolutions, each after a normalisation and a SiLU.

    f starts at 0: an untrained block hands its input through, however many are stacked.

    Args:
        channels: of input and output.
        dropout: share of hidden values set to zero while training.
    """

    def __init__(self, channels: int, dropout: float = 0.0) -> None:
        super().__init__()
        # One group: statistics of one image over all its channels, so no image sees another.
        self.first_norm, self.second_norm = nn.GroupNorm(1, channels), nn.GroupNorm(1, channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.dropout = nn.Dropout(dropout)
        start_at_zero(self.second)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, channels, H, W) to the same shape."""
        hidden = self.first(F.silu(self.first_norm(x)))
        return x + self.second(self.dropout(F.silu(self.second_norm(hidden))))
