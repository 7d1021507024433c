"""PixelCNN: masked convolutions, one after the other.

Source: van den Oord et al. (2016), Pixel Recurrent Neural Networks, arXiv 1601.06759, section 3.6
and table 1.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlearn.nets.masked import CachedFirst, CachedHead, Head, MaskedConv2d
from genlearn.nets.pixel_network import PixelCache, PixelSizes


class MaskedBlock(nn.Module):
    """x + f(x): down to half the features, a masked convolution, and up again.

    Args:
        features: of input and output; half of them a multiple of channels.
        kernel: of the convolution in the middle.
        channels: of the image.
        dropout: share of what a block reads that is set to zero while training; what it hands on
            stays whole.
    """

    def __init__(self, features: int, kernel: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.down = MaskedConv2d(features, features // 2, 1, "B", channels)
        self.middle = MaskedConv2d(features // 2, features // 2, kernel, "B", channels)
        self.up = MaskedConv2d(features // 2, features, 1, "B", channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, features, H, W) to the same shape."""
        hidden = F.relu(self.middle(F.relu(self.down(self.dropout(F.relu(x))))))
        return x + self.up(hidden)


class PixelCNN(nn.Module):
    """A masked convolution of kind A, residual blocks with masks of kind B, and the head.

    It has a blind spot: pixels above and to the right that no layer reaches
    (sec-pixelcnn-blind).

    Args:
        sizes: what the model asks for.
        features: of the feature maps; half of them a multiple of the channels.
        layers: number of residual blocks.
        first_kernel, kernel: of the first layer, and of the blocks.
        head: hidden features of the two last layers.
        dropout: share of hidden values set to zero while training.
        places: height and width of the images, to learn features of each place, which convolutions
            cannot tell apart but near the border. None: as in the paper, all places are alike.
    """

    def __init__(
        self,
        sizes: PixelSizes,
        features: int,
        layers: int,
        first_kernel: int,
        kernel: int,
        head: int,
        dropout: float,
        places: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        channels = sizes.channels
        self.places = None if places is None else nn.Parameter(torch.zeros(features, *places))
        self.first = MaskedConv2d(channels * sizes.inputs, features, first_kernel, "A", channels)
        self.condition = nn.Linear(sizes.condition, features, bias=False)
        self.blocks = nn.ModuleList(
            MaskedBlock(features, kernel, channels, dropout) for _ in range(layers)
        )
        self.head = Head(features, head, sizes.outputs, channels, dropout)

    def forward(self, inputs: Tensor, condition: Tensor) -> Tensor:
        """Map (N, channels * inputs, H, W) to parameters (N, channels, H, W, outputs)."""
        x = self.first(inputs) + self.condition(condition)[:, :, None, None]
        if self.places is not None:
            x = x + self.places[:, : x.shape[2], : x.shape[3]]
        for block in self.blocks:
            x = block(x)
        return self.head(x)

    def cache(self, condition: Tensor, size: tuple[int, int]) -> PixelCache:
        """Begin to draw images of a size."""
        return PixelCNNCache(self, condition, size)


class CachedConvolution:
    """A masked convolution for one pixel at a time.

    What the rows above contribute is computed once a row, for all its pixels. What is left is one
    product: of the pixel and those on its left with a small matrix.
    """

    def __init__(self, layer: MaskedConv2d, n: int, size: tuple[int, int]) -> None:
        kernel, self.bias, self.reach = layer.masked_weight(), layer.bias, layer.reach
        self.features, self.above = layer.in_channels, kernel[:, :, :-1]
        row = kernel[:, :, -1, : self.reach + 1]  # (out, in, taps)
        self.row = row.permute(2, 1, 0).flatten(0, 1).contiguous()  # (taps * in, out)
        # Rows above and this one, pixels side by side, with an empty border on both sides.
        length = (size[1] + 2 * self.reach) * self.features
        self.seen = row.new_zeros(self.reach + 1, n, length)
        self.from_above: tuple[Tensor, ...] = ()

    def begin_row(self) -> None:
        """Turn to the next row: compute what it gets from those above."""
        self.seen = torch.cat([self.seen[1:], torch.zeros_like(self.seen[:1])])
        if self.reach:
            above = self.seen[:-1].unflatten(2, (-1, self.features))  # (reach, n, pixels, in)
            above = F.conv2d(above.permute(1, 3, 0, 2), self.above, self.bias)
            self.from_above = above.squeeze(2).permute(2, 0, 1).contiguous().unbind()

    def remember(self, x: Tensor, column: int) -> None:
        """Keep the inputs of one pixel, (n, in)."""
        first = (column + self.reach) * self.features
        self.seen[-1, :, first : first + self.features] = x

    def __call__(self, x: Tensor, column: int) -> Tensor:
        """Map the inputs of one pixel, (n, in), to its outputs, (n, out)."""
        if not self.reach:
            return torch.addmm(self.bias, x, self.row)
        self.remember(x, column)
        first = column * self.features
        taps = self.seen[-1, :, first : first + (self.reach + 1) * self.features]
        return torch.addmm(self.from_above[column], taps, self.row)


class PixelCNNCache:
    """What a PixelCNN keeps: of each layer, the inputs of the last few rows."""

    def __init__(self, network: PixelCNN, condition: Tensor, size: tuple[int, int]) -> None:
        n = len(condition)
        self.condition, self.places = network.condition(condition), network.places
        self.first = CachedFirst(network.first)
        self.blocks = [
            [CachedConvolution(layer, n, size) for layer in (block.down, block.middle, block.up)]
            for block in network.blocks
        ]
        self.head = CachedHead(network.head)

    def parameters(self, inputs: Tensor, row: int, column: int, channel: int) -> Tensor:
        """Return the parameters of one value, (n, outputs)."""
        if channel == 0 and column == 0:
            self.first.begin_row(inputs, row)
            for _, middle, _ in self.blocks:
                middle.begin_row()
        x = self.first(inputs, row, column) + self.condition
        if self.places is not None:
            x = x + self.places[:, row, column]
        for down, middle, up in self.blocks:
            hidden = middle(down(x.relu(), column).relu_(), column).relu_()
            x = x + up(hidden, column)
        return self.head(x, channel)
