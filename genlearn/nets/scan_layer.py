"""The weights of an LSTM layer over an image, and what they may see.

Source: van den Oord et al. (2016), Pixel Recurrent Neural Networks, arXiv 1601.06759, sections 3.3
and 3.4.
"""

import torch
from torch import Tensor, nn

from genlearn.nets.masked import channel_mask


class ScanLayer(nn.Module):
    """Weights of one layer: x + what an LSTM makes of x.

    The hidden state may see everything of earlier steps. Of the pixel itself, the group of features
    of a channel sees the groups of this channel and of earlier ones (mask B).

    Args:
        features: of the layer's input and output; a multiple of channels.
        hidden: features of the state; a masked 1 x 1 convolution takes them up to ``features``, as
            in the paper. None: as many as features, and added as they are.
        condition: length of the vector that enters the gates.
        channels: of the image.
        directions: in which the layer runs, each with weights of its own.
        taps: pixels of the input that a pixel sees: those on its left, and itself as the last.
        kernel: pixels of the step before that a pixel sees.
        dropout: share of what is added set to zero while training.
    """

    def __init__(
        self,
        features: int,
        hidden: int | None,
        condition: int,
        channels: int,
        *,
        directions: int,
        taps: int,
        kernel: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.features, self.width = features, hidden or features
        self.taps, self.kernel = taps, kernel
        sizes = taps * features, 1 + condition, kernel * self.width
        bound = (sizes[0] + sizes[2]) ** -0.5
        self.input, self.context, self.state = (
            nn.Parameter(torch.empty(directions, 4 * self.width, size).uniform_(-bound, bound))
            for size in sizes
        )
        with torch.no_grad():
            self.context[:, :, 0].zero_()
            self.context[:, self.width : 2 * self.width, 0] = 1  # remember, to begin with
        mask = torch.ones(4 * self.width, taps * features)
        itself = channel_mask(self.width, features, channels, "B")
        mask[:, -features:] = itself.repeat(4, 1)
        self.register_buffer("mask", mask, persistent=False)
        self.up = None
        if hidden is not None:
            bound = hidden**-0.5
            self.up = nn.Parameter(torch.empty(features, hidden).uniform_(-bound, bound))
            up_mask = channel_mask(features, hidden, channels, "B")
            self.register_buffer("up_mask", up_mask, persistent=False)
        self.dropout = nn.Dropout(dropout)

    def masked_input(self) -> Tensor:
        """Return the input-to-state weights with 0 where they must not look."""
        return self.input * self.mask

    def weight(self) -> Tensor:
        """Return all that leads to the gates, (D, 4 * width, inputs + kernel * width).

        Inputs are the taps, then 1 (for the bias), then the condition.
        """
        return torch.cat([self.masked_input(), self.context, self.state], 2)

    def masked_up(self) -> Tensor | None:
        """Return the weights from the state to the features, (features, width), if there are."""
        return None if self.up is None else self.up * self.up_mask

    def add_to(self, x: Tensor, hidden: Tensor) -> Tensor:
        """Add what the LSTM said, (width, …), to the features, (features, …)."""
        up = self.masked_up()
        said = hidden if up is None else (up @ hidden.flatten(1)).view_as(x)
        return x + self.dropout(said)


def context_rows(condition: Tensor) -> Tensor:
    """1 and the condition of each image, features first: (N, condition) to (1 + condition, N)."""
    return torch.cat([torch.ones_like(condition[:, :1]), condition], 1).T
