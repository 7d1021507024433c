"""An image as a sequence of tokens, one a value, under causal self-attention.

Source: Parmar et al. (2018), Image Transformer, arXiv 1802.05751.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlearn.nets.attention import CachedBlock, TransformerBlock
from genlearn.nets.masked import CachedFirst, MaskedConv2d
from genlearn.nets.pixel_network import PixelCache, PixelSizes


class ImageTransformer(nn.Module):
    """Each token looks at all tokens before it, however far; nothing but its order limits it.

    The token of a value starts from the value before it in the order of reading, from what a masked
    convolution of kind A sees around it, and from learned vectors of its row, column and channel.
    Without the first, a token at the left border would not know how the row above ended.

    Args:
        sizes: what the model asks for.
        size: height and width of the images; smaller ones will do too.
        width: of a token; a multiple of heads.
        layers, heads: of the transformer.
        first_kernel: of the masked convolution.
        dropout: share of values set to zero while training.
    """

    def __init__(
        self,
        sizes: PixelSizes,
        size: tuple[int, int],
        width: int,
        layers: int,
        heads: int,
        first_kernel: int,
        dropout: float,
    ) -> None:
        super().__init__()
        channels, self.channels, self.width = sizes.channels, sizes.channels, width
        self.first = MaskedConv2d(
            channels * sizes.inputs, channels * width, first_kernel, "A", channels
        )
        self.previous = nn.Linear(sizes.inputs, width, bias=False)
        self.condition = nn.Linear(sizes.condition, width, bias=False)
        rows, columns = size
        self.row, self.column, self.channel = (
            nn.Parameter(0.1 * torch.randn(count, width)) for count in (rows, columns, channels)
        )
        self.blocks = nn.ModuleList(TransformerBlock(width, heads, dropout) for _ in range(layers))
        self.last = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, sizes.outputs))

    def positions(self, height: int, width: int) -> Tensor:
        """Return a vector for each value, (height, width, channels, width of a token)."""
        places = self.row[:height, None] + self.column[:width]
        return places.unsqueeze(2) + self.channel

    def forward(self, inputs: Tensor, condition: Tensor) -> Tensor:
        """Map (N, channels * inputs, H, W) to parameters (N, channels, H, W, outputs)."""
        height, width = inputs.shape[2:]
        x = self.first(inputs).unflatten(1, (self.channels, self.width))
        x = x.permute(0, 3, 4, 1, 2) + self.positions(height, width)  # (N, H, W, C, width)
        tokens = x.flatten(1, 3) + self.condition(condition).unsqueeze(1)
        values = inputs.unflatten(1, (self.channels, -1)).permute(0, 3, 4, 1, 2).flatten(1, 3)
        tokens = tokens + self.previous(F.pad(values, (0, 0, 1, 0))[:, :-1])
        for block in self.blocks:
            tokens = block(tokens)
        parameters = self.last(tokens).unflatten(1, (height, width, self.channels))
        return parameters.permute(0, 3, 1, 2, 4)

    def cache(self, condition: Tensor, size: tuple[int, int]) -> PixelCache:
        """Begin to draw images of a size."""
        return ImageTransformerCache(self, condition, size)


class ImageTransformerCache:
    """What a transformer keeps: the keys and values of all tokens so far."""

    def __init__(self, network: ImageTransformer, condition: Tensor, size: tuple[int, int]) -> None:
        n, tokens = len(condition), network.channels * size[0] * size[1]
        self.last, self.previous, self.channels = network.last, network.previous, network.channels
        self.condition = network.condition(condition)
        self.positions = network.positions(*size)
        self.first = CachedFirst(network.first)
        self.blocks = [CachedBlock(block, n, tokens) for block in network.blocks]

    def parameters(self, inputs: Tensor, row: int, column: int, channel: int) -> Tensor:
        """Return the parameters of one value, (n, outputs)."""
        if channel == 0 and column == 0:
            self.first.begin_row(inputs, row)
        x = self.first(inputs, row, column)
        x = x.chunk(self.channels, 1)[channel] + self.positions[row, column, channel]
        before = value_before(inputs, row, column, channel, self.channels)
        x = x + self.condition + self.previous(before)
        for block in self.blocks:
            x = block(x)
        return self.last(x)


def value_before(inputs: Tensor, row: int, column: int, channel: int, channels: int) -> Tensor:
    """Return the inputs of the value before one, (n, inputs); zeros before the first."""
    per_value, width = inputs.shape[1] // channels, inputs.shape[3]
    index = (row * width + column) * channels + channel - 1
    if index < 0:
        return inputs.new_zeros(len(inputs), per_value)
    pixel, channel = divmod(index, channels)
    return inputs[:, channel * per_value : (channel + 1) * per_value, pixel // width, pixel % width]
