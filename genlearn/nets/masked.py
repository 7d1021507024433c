"""Convolutions that see only what comes before, in the order of reading.

Source: van den Oord et al. (2016), Pixel Recurrent Neural Networks, arXiv 1601.06759, section 3.4.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Kind = Literal["A", "B"]


def channel_mask(out_features: int, in_features: int, channels: int, kind: Kind) -> Tensor:
    """Say which features of a pixel may see which of the same pixel: bool, (out, in).

    Features stand in one group a channel. Mask A lets a group see those of the channels before its
    own: right for the first layer, whose inputs are the values themselves. Mask B lets it see its
    own group too: right from then on, when that group knows only what came before;
    eq-pixelcnn-channels.

    Raises:
        ValueError: if the features cannot be shared out evenly, or the kind is no mask.
    """
    if kind not in ("A", "B"):
        raise ValueError(f"a mask is of kind A or B, got {kind!r}")
    for features in (out_features, in_features):
        if features < channels or features % channels:
            raise ValueError(f"{features} features cannot be shared evenly by {channels} channels")
    group_out = torch.arange(out_features) // (out_features // channels)
    group_in = torch.arange(in_features) // (in_features // channels)
    if kind == "A":
        return group_in < group_out.unsqueeze(1)
    return group_in <= group_out.unsqueeze(1)


def causal_mask(
    out_features: int, in_features: int, kernel: int, channels: int, kind: Kind
) -> Tensor:
    """Say which weights of a convolution look back: bool, (out, in, kernel // 2 + 1, kernel).

    All of the rows above and what is on the left; of the pixel itself what :func:`channel_mask`
    allows. The rows below are not even there.
    """
    middle = kernel // 2
    mask = torch.ones(out_features, in_features, middle + 1, kernel, dtype=torch.bool)
    mask[:, :, -1, middle:] = False
    mask[:, :, -1, middle] = channel_mask(out_features, in_features, channels, kind)
    return mask


class MaskedConv2d(nn.Conv2d):
    """A convolution that keeps the size of an image and sees only what comes before.

    eq-pixelcnn-mask; one of kind A and then any number of kind B are causal, eq-pixelcnn-causal.

    Args:
        in_features, out_features: multiples of channels.
        kernel: height and width of the usual kernel, odd. Its rows below the middle are masked
            whole, so they are left out.
        kind: of the mask, "A" for the first layer and "B" for the others.
        channels: of the image.
    """

    def __init__(
        self, in_features: int, out_features: int, kernel: int, kind: Kind, channels: int = 1
    ) -> None:
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"a kernel must be odd, got {kernel}")
        super().__init__(in_features, out_features, (kernel // 2 + 1, kernel))
        self.reach = kernel // 2
        mask = causal_mask(out_features, in_features, kernel, channels, kind)
        self.register_buffer("mask", mask, persistent=False)
        with torch.no_grad():  # as many inputs as there are unmasked weights, on average
            self.weight.mul_((mask.numel() / mask.sum().clamp(min=1)).sqrt())

    def masked_weight(self) -> Tensor:
        """Return the kernel with 0 where it must not look."""
        return self.weight * self.mask

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_features, H, W) to (N, out_features, H, W)."""
        padded = F.pad(x, (self.reach, self.reach, self.reach, 0))
        return F.conv2d(padded, self.masked_weight(), self.bias)


class Head(nn.Module):
    """Turn features into the parameters of distributions: two 1 x 1 convolutions, as in the paper.

    Args:
        features: of its input.
        hidden: of the layer between; a multiple of channels.
        outputs: parameters for each value.
        channels: of the image.
        dropout: share of hidden values set to zero while training.
    """

    def __init__(
        self, features: int, hidden: int, outputs: int, channels: int = 1, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.channels = channels
        self.first = MaskedConv2d(features, hidden, 1, "B", channels)
        self.last = MaskedConv2d(hidden, channels * outputs, 1, "B", channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, features, H, W) to parameters (N, channels, H, W, outputs)."""
        hidden = self.dropout(F.relu(self.first(F.relu(x))))
        return self.last(hidden).unflatten(1, (self.channels, -1)).movedim(2, -1)


class CachedFirst:
    """A network's first convolution for one pixel at a time, straight from the image.

    What the rows above contribute is computed once a row, for all its pixels.
    """

    def __init__(self, layer: MaskedConv2d) -> None:
        kernel, self.bias, self.reach = layer.masked_weight(), layer.bias, layer.reach
        self.above = kernel[:, :, :-1]
        # Of the last row, the pixel itself and those on its left: at a row's start there are fewer.
        row = kernel[:, :, -1, : self.reach + 1].movedim(0, 2)  # (in, taps, out)
        self.row = [
            row[:, self.reach - column :].flatten(0, 1).contiguous()
            for column in range(self.reach + 1)
        ]

    def begin_row(self, inputs: Tensor, row: int) -> None:
        """Compute what a row gets from those above it."""
        width = inputs.shape[3]
        if not self.reach:
            self.from_above = (self.bias,) * width
            return
        rows = inputs[:, :, max(0, row - self.reach) : row]
        padded = F.pad(rows, (self.reach, self.reach, self.reach - rows.shape[2], 0))
        above = F.conv2d(padded, self.above, self.bias)
        self.from_above = above.squeeze(2).permute(2, 0, 1).contiguous().unbind()

    def __call__(self, inputs: Tensor, row: int, column: int) -> Tensor:
        """Return the features of one pixel, (n, out)."""
        taps = inputs[:, :, row, max(0, column - self.reach) : column + 1].flatten(1)
        return torch.addmm(self.from_above[column], taps, self.row[min(column, self.reach)])


class CachedHead:
    """A head for one pixel at a time, with its masks applied beforehand."""

    def __init__(self, head: Head) -> None:
        self.channels = head.channels
        self.first = head.first.masked_weight().flatten(1).T.contiguous(), head.first.bias
        self.last = head.last.masked_weight().flatten(1).T.contiguous(), head.last.bias

    def __call__(self, x: Tensor, channel: int) -> Tensor:
        """Map the features of one pixel, (n, features), to the parameters of one value."""
        (weight, bias), (last_weight, last_bias) = self.first, self.last
        hidden = torch.addmm(bias, x.relu(), weight).relu_()
        parameters = torch.addmm(last_bias, hidden, last_weight)
        return parameters if self.channels == 1 else parameters.chunk(self.channels, 1)[channel]
