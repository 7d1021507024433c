"""A Gated PixelCNN by hand: the log-probability written out, and nothing else but the network."""

from collections.abc import Iterator

import torch
from by_hand.loop import descend, shuffled
from torch import Tensor, nn
from torch.nn import functional as F


def black_and_white(network: nn.Module, images: Tensor, size: int) -> Iterator[None]:
    """One logit a pixel."""
    nothing = torch.zeros(size, 1)  # what is known of the images beforehand

    def loss(x: Tensor) -> Tensor:
        x = x.float()
        logits = network(x * 2 - 1, nothing).squeeze(-1)
        return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)

    return descend(network, loss, shuffled(images, size))
