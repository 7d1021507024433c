"""Convolutions whose kernels end at the pixel: no mask is needed.

Source: Salimans et al. (2017), PixelCNN++, arXiv 1701.05517.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ShiftedConv2d(nn.Conv2d):
    """A convolution that looks up, and to both sides or to the left alone.

    Args:
        in_features, out_features: of the maps.
        left: False for a kernel of 2 rows and 3 columns, which ends below in the middle: for maps
            that know nothing of their own row. True for 2 rows and 2 columns, which ends below on
            the right.
        stride: 2 gives maps half as high and wide (rounded up), from every second place.
    """

    def __init__(self, in_features: int, out_features: int, left: bool, stride: int = 1) -> None:
        super().__init__(in_features, out_features, (2, 2 if left else 3), stride)
        self.border = (1, 0, 1, 0) if left else (1, 1, 1, 0)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_features, H, W) to (N, out_features, ⌈H / stride⌉, ⌈W / stride⌉)."""
        return super().forward(F.pad(x, self.border))


class RowConvolution:
    """A convolution of the stream above, for one row at a time.

    Args:
        layer: of a kernel of 2 rows and 3 columns.
        n: number of images.
        width: of its input.
    """

    def __init__(self, layer: ShiftedConv2d, n: int, width: int) -> None:
        self.layer = layer
        self.rows = layer.weight.new_zeros(n, layer.in_channels, 2, width)

    def remember(self, row: Tensor) -> None:
        """Take in the next row, (n, in, width)."""
        self.rows = torch.stack([self.rows[:, :, 1], row], 2)

    def __call__(self) -> Tensor:
        """Return what it gives for the row taken in last, (n, out, ⌈width / stride⌉)."""
        layer = self.layer
        rows = F.pad(self.rows, (1, 1))
        return F.conv2d(rows, layer.weight, layer.bias, layer.stride).squeeze(2)


class PixelConvolution:
    """A convolution of the other stream, for one pixel at a time.

    What the row above contributes is computed once a row. What is left is one product, of two
    pixels with a small matrix.

    Args:
        layer: of a kernel of 2 rows and 2 columns.
        n: number of images.
        width: of its input.
    """

    def __init__(self, layer: ShiftedConv2d, n: int, width: int) -> None:
        features, stride = layer.in_channels, layer.stride[0]
        self.features, self.layer = features, layer
        self.upper = layer.weight[:, :, :1]
        lower = layer.weight[:, :, 1].permute(2, 1, 0)  # (taps, in, out)
        self.lower = lower.flatten(0, 1).contiguous()
        # The pixels of a row side by side, and an empty place before the first.
        self.row = layer.weight.new_zeros(n, (width + 1) * features)
        self.places = self.row[:, features:].split(features, 1)
        self.windows = [
            self.row[:, left * features : (left + 2) * features] for left in range(0, width, stride)
        ]
        self.from_above: tuple[Tensor, ...] = ()

    def begin_row(self, more: Tensor | float = 0.0) -> None:
        """Turn to the next row; the places still hold the one above.

        more: what else is known beforehand of the results, broadcasting to (n, out, width).
        """
        above = self.row.unflatten(1, (-1, self.features)).movedim(1, 2).unsqueeze(2)
        above = F.conv2d(above, self.upper, self.layer.bias, self.layer.stride).squeeze(2)
        self.from_above = (above + more).permute(2, 0, 1).contiguous().unbind()

    def __call__(self, column: int) -> Tensor:
        """Return what it gives at a column of its output, (n, out); its input is in its place."""
        return torch.addmm(self.from_above[column], self.windows[column], self.lower)
