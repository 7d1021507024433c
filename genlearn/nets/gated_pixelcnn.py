"""Gated PixelCNN: two stacks of convolutions, which leave no blind spot.

Source: van den Oord et al. (2016), Conditional Image Generation with PixelCNN Decoders,
arXiv 1606.05328, section 2.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlearn.nets.masked import CachedHead, Head, Kind, MaskedConv2d, channel_mask
from genlearn.nets.pixel_network import PixelCache, PixelSizes


def gate(x: Tensor) -> Tensor:
    """Map (N, 2 F, …) to tanh(first half) * sigmoid(second half), (N, F, …)."""
    signal, opening = x.chunk(2, 1)
    return signal.tanh() * opening.sigmoid()


class GatedLayer(nn.Module):
    """One layer of both stacks.

    The vertical stack holds, for each row, what is known of the rows above. The horizontal one
    holds what is known of them and of the pixels on the left, and of the pixel itself what the mask
    allows. It hears the vertical stack; never the other way round.

    Args:
        in_features: of what both stacks are given, a multiple of channels.
        features: of what they give, likewise.
        skips: features that go directly to the head, likewise.
        kernel: odd. The vertical stack sees kernel // 2 + 1 rows of it, the horizontal one
            kernel // 2 + 1 pixels of a row: what would be masked is not there.
        kind: of the mask of the pixel itself.
        channels: of the image.
        condition: length of the condition vector.
        dropout: share of what a layer is given that is set to zero while training.
        last: nothing comes after but the head.
    """

    def __init__(
        self,
        in_features: int,
        features: int,
        skips: int,
        kernel: int,
        kind: Kind,
        channels: int,
        condition: int,
        dropout: float,
        last: bool,
    ) -> None:
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"a kernel must be odd, got {kernel}")
        super().__init__()
        self.reach, self.last, self.residual = kernel // 2, last, kind == "B"
        self.vertical = nn.Conv2d(in_features, 2 * features, (self.reach + 1, kernel))
        self.horizontal = nn.Conv2d(in_features, 2 * features, (1, self.reach + 1))
        self.junction = nn.Conv2d(2 * features, 2 * features, 1, bias=False)
        self.condition = nn.Linear(condition, 4 * features, bias=False)
        self.skip = MaskedConv2d(features, skips, 1, "B", channels)
        if not last:
            self.out = MaskedConv2d(features, features, 1, "B", channels)
        self.dropout = nn.Dropout(dropout if kind == "B" else 0.0)  # the image itself stays whole
        # Both halves of the gates have a group of features for each channel.
        mask = torch.ones_like(self.horizontal.weight, dtype=torch.bool)
        mask[..., 0, -1] = channel_mask(features, in_features, channels, kind).repeat(2, 1)
        self.register_buffer("mask", mask, persistent=False)

    def horizontal_weight(self) -> Tensor:
        """Return the kernel along the row, with 0 where it must not look."""
        return self.horizontal.weight * self.mask

    def forward(
        self, above: Tensor, here: Tensor, condition: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Return what both stacks hand on, (N, features, H, W) each, and (N, skips, H, W).

        Args:
            above, here: of the vertical and the horizontal stack, (N, in_features, H, W).
            condition: (N, condition).
        """
        to_above, to_here = self.condition(condition)[:, :, None, None].chunk(2, 1)
        seen = F.pad(self.dropout(above), (self.reach, self.reach, self.reach, 0))
        above = self.vertical(seen) + to_above
        # Features of a pixel side by side in memory: small convolutions are faster so.
        above = above.contiguous(memory_format=torch.channels_last)
        seen = F.pad(self.dropout(here), (self.reach, 0))
        seen = F.conv2d(seen, self.horizontal_weight(), self.horizontal.bias)
        gated = gate(self.junction(above) + seen + to_here)
        skip = self.skip(gated)
        if self.last:
            return above, here, skip
        here = here + self.out(gated) if self.residual else self.out(gated)
        return gate(above), here, skip


class GatedPixelCNN(nn.Module):
    """Layers of two stacks; what the horizontal one finds in each is added up for the head.

    The stacks are those of eq-pixelcnn-shift, each layer ends in the gates of eq-pixelcnn-gate, and
    a label enters them by eq-pixelcnn-condition.

    Args:
        sizes: what the model asks for.
        features: of each stack, a multiple of the channels.
        layers: number of layers.
        first_kernel, kernel: odd, of the first layer and of the others.
        head: features of the two last layers, a multiple of the channels.
        dropout: share of hidden values set to zero while training.
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
    ) -> None:
        super().__init__()
        channels = sizes.channels
        self.layers = nn.ModuleList(
            GatedLayer(
                features if number else channels * sizes.inputs,
                features,
                head,
                kernel if number else first_kernel,
                "B" if number else "A",
                channels,
                sizes.condition,
                dropout,
                last=number == layers - 1,
            )
            for number in range(layers)
        )
        self.head = Head(head, head, sizes.outputs, channels, dropout)

    def forward(self, inputs: Tensor, condition: Tensor) -> Tensor:
        """Map (N, channels * inputs, H, W) to parameters (N, channels, H, W, outputs)."""
        # One row down: row r of the vertical stack knows rows 0 … r - 1, in every layer.
        above, here, skips = F.pad(inputs, (0, 0, 1, -1)), inputs, 0
        for layer in self.layers:
            above, here, skip = layer(above, here, condition)
            skips = skips + skip
        return self.head(skips)

    def cache(self, condition: Tensor, size: tuple[int, int]) -> PixelCache:
        """Begin to draw images of a size."""
        return GatedPixelCNNCache(self, condition, size)


class CachedGatedLayer:
    """One layer for one pixel at a time; its vertical stack for one row at a time.

    Args:
        layer: whose weights are used, with their masks applied beforehand.
        condition: (n, condition).
        width: of the image.
    """

    def __init__(self, layer: GatedLayer, condition: Tensor, width: int) -> None:
        n, features, reach = len(condition), layer.vertical.in_channels, layer.reach
        self.residual, self.reach, self.width = layer.residual, reach, width
        to_above, to_here = layer.condition(condition).chunk(2, 1)
        # For products from the right with the pixels of a row, one image after the other in each.
        self.to_above = (to_above + layer.vertical.bias).repeat(width, 1)
        self.to_here = (to_here + layer.horizontal.bias).repeat(width, 1)
        self.vertical = layer.vertical.weight.permute(2, 3, 1, 0).flatten(0, 2).contiguous()
        self.junction = layer.junction.weight.flatten(1).T.contiguous()
        taps = layer.horizontal_weight().squeeze(2).permute(2, 1, 0)  # (taps, in, out)
        self.along_row = taps.flatten(0, 1).contiguous()
        if not layer.last:
            self.out = layer.out.masked_weight().flatten(1).T.contiguous()
            self.out_bias = layer.out.bias
        # The last rows of the vertical stack's input, and this row of the horizontal one's, its
        # pixels side by side; both with an empty border.
        blank = to_above.new_zeros(width + 2 * reach, n, features)
        self.above = [blank] * (reach + 1)
        row = to_above.new_zeros(n, (width + reach) * features)
        self.places = row[:, reach * features :].split(features, 1)
        self.windows = [
            row[:, first * features : (first + reach + 1) * features] for first in range(width)
        ]
        self.from_above: tuple[Tensor, ...] = ()

    def begin_row(self, above: Tensor) -> Tensor:
        """Run the vertical stack over its next row: (width, n, in) to (width, n, features)."""
        padded = F.pad(above, (0, 0, 0, 0, self.reach, self.reach))
        self.above = [*self.above[1:], padded]
        taps = range(2 * self.reach + 1)
        seen = torch.cat([row[tap : tap + self.width] for row in self.above for tap in taps], 2)
        above = torch.addmm(self.to_above, seen.flatten(0, 1), self.vertical)
        self.from_above = torch.addmm(self.to_here, above, self.junction).chunk(self.width)
        return gate(above).unflatten(0, (self.width, -1))

    def __call__(self, column: int) -> Tensor:
        """Return the gated values of one pixel, (n, features); its input is in its place."""
        return gate(torch.addmm(self.from_above[column], self.windows[column], self.along_row))

    def hand_on(self, gated: Tensor, column: int, place: Tensor) -> None:
        """Put what the next layer is given of a pixel into its place there."""
        torch.addmm(self.out_bias, gated, self.out, out=place)
        if self.residual:
            place += self.places[column]


class GatedPixelCNNCache:
    """What a Gated PixelCNN keeps: of each layer, the last rows above, and the row it is in."""

    def __init__(self, network: GatedPixelCNN, condition: Tensor, size: tuple[int, int]) -> None:
        self.layers = [CachedGatedLayer(layer, condition, size[1]) for layer in network.layers]
        self.head = CachedHead(network.head)
        kernels = [layer.skip.masked_weight().flatten(1).T for layer in network.layers]
        self.skip = torch.cat(kernels)  # (layers * features, head)
        self.skip_bias = torch.stack([layer.skip.bias for layer in network.layers]).sum(0)

    def parameters(self, inputs: Tensor, row: int, column: int, channel: int) -> Tensor:
        """Return the parameters of one value, (n, outputs)."""
        if channel == 0 and column == 0:
            above = inputs[:, :, row - 1] if row else torch.zeros_like(inputs[:, :, 0])
            above = above.permute(2, 0, 1)
            for layer in self.layers:
                above = layer.begin_row(above)
        if column:  # its last channel was drawn after it had been looked at
            self.layers[0].places[column - 1].copy_(inputs[:, :, row, column - 1])
        if self.head.channels > 1:  # with one, the mask hides all of it
            self.layers[0].places[column].copy_(inputs[:, :, row, column])
        gated = []
        for layer, following in pairwise([*self.layers, None]):
            gated.append(layer(column))
            if following is not None:
                layer.hand_on(gated[-1], column, following.places[column])
        return self.head(torch.addmm(self.skip_bias, torch.cat(gated, 1), self.skip), channel)
