"""PixelCNN++: two streams of shifted convolutions, at several sizes with short-cuts between.

Source: Salimans et al. (2017), PixelCNN++, arXiv 1701.05517.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlearn.nets.pixel_network import PixelCache, PixelSizes
from genlearn.nets.shifted import PixelConvolution, RowConvolution, ShiftedConv2d
from genlearn.nets.streams import CachedPair, Pair, concat_elu

Colours = Callable[[Tensor, Tensor], Tensor]
"""Maps parameters of a pixel (…, P) and its channels' values (…, C) to those of each value."""


class Scale(nn.Module):
    """Pairs of blocks at one size, all smaller sizes in their midst, and pairs of blocks again.

    Each pair on the way up is given one map of the way down.

    Args:
        features, condition, dropout: of all blocks.
        layers: pairs on the way down.
        scales: sizes, this one included; each is half as high and wide, rounded up.
    """

    def __init__(
        self, features: int, layers: int, scales: int, condition: int, dropout: float
    ) -> None:
        super().__init__()
        self.down = nn.ModuleList(Pair(features, False, condition, dropout) for _ in range(layers))
        self.up = nn.ModuleList(
            Pair(features, True, condition, dropout) for _ in range(layers + (scales > 1))
        )
        self.smaller: Scale | None = None
        if scales > 1:
            self.smaller = Scale(features, layers, scales - 1, condition, dropout)
            # One of each stream, here and below: above, before.
            self.shrink = nn.ModuleList(
                ShiftedConv2d(features, features, left, stride=2) for left in (False, True)
            )
            self.grow = nn.ModuleList(
                nn.ConvTranspose2d(features, features, 2, stride=2) for _ in range(2)
            )

    def forward(self, above: Tensor, before: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Map both streams, (N, features, H, W) each, to the same shapes."""
        kept = [(above, before)]
        for pair in self.down:
            above, before = pair(above, before, condition)
            kept.append((above, before))
        if self.smaller is None:
            kept.pop()
        else:
            height, width = above.shape[2:]
            small = [shrink(x) for shrink, x in zip(self.shrink, (above, before), strict=True)]
            small = self.smaller(*small, condition)
            above, before = (
                grow(x)[:, :, :height, :width] for grow, x in zip(self.grow, small, strict=True)
            )
        for pair in self.up:
            above, before = pair(above, before, condition, kept.pop())
        return above, before


class PixelCNNpp(nn.Module):
    """Two streams: one knows the rows above, the other also what is on the left.

    No stream knows anything of its own pixel. How its channels hang together is not the network's
    business: it gives the parameters of all channels at once.

    A map of half the size has one place for 2 x 2 pixels, and knows what comes before the first of
    these. So it can be given to all four, and nothing leaks.

    Args:
        sizes: what the model asks for.
        features: of each stream, at all sizes.
        layers: pairs of blocks at each size on the way down. On the way up there are as many at the
            smallest size, and one more at each other.
        scales: sizes, each half as high and wide as the one before, rounded up; 1 for one alone.
        dropout: share of hidden values set to zero while training.
        colours: turns the parameters of a pixel into those of its values; needed for more channels
            than one, of one number each.
        per_pixel: parameters of a pixel, if there are colours.
    """

    def __init__(
        self,
        sizes: PixelSizes,
        features: int,
        layers: int,
        scales: int,
        dropout: float,
        colours: Colours | None = None,
        per_pixel: int = 0,
    ) -> None:
        super().__init__()
        inputs = sizes.channels * sizes.inputs
        self.colours = colours
        self.above = ShiftedConv2d(inputs, features, left=False)
        self.before = ShiftedConv2d(inputs, features, left=True)
        self.scale = Scale(features, layers, scales, sizes.condition, dropout)
        self.head = nn.Conv2d(2 * features, per_pixel if colours else sizes.outputs, 1)

    def forward(self, inputs: Tensor, condition: Tensor) -> Tensor:
        """Map (N, channels * inputs, H, W) to parameters (N, channels, H, W, outputs)."""
        # One row down, and one pixel to the right: here each place loses sight of itself.
        above = self.above(F.pad(inputs, (0, 0, 1, -1)))
        before = self.before(F.pad(inputs, (1, -1)))
        # Features of a pixel side by side in memory: small convolutions are faster so.
        above = above.contiguous(memory_format=torch.channels_last)
        before = before.contiguous(memory_format=torch.channels_last)
        _, before = self.scale(above, before, condition)
        parameters = self.head(concat_elu(before)).movedim(1, -1)
        if self.colours is None:
            return parameters.unsqueeze(1)
        return self.colours(parameters, inputs.movedim(1, -1)).movedim(-2, 1)

    def cache(self, condition: Tensor, size: tuple[int, int]) -> PixelCache:
        """Begin to draw images of a size."""
        return PixelCNNppCache(self, condition, size)


class CachedScale:
    """One size, and the smaller ones in its midst."""

    def __init__(self, scale: Scale, condition: Tensor, width: int) -> None:
        n = len(condition)
        self.down = [CachedPair(pair, condition, width) for pair in scale.down]
        self.up = [CachedPair(pair, condition, width) for pair in scale.up]
        self.smaller: CachedScale | None = None
        self.even_row = True
        if scale.smaller is not None:
            self.smaller = CachedScale(scale.smaller, condition, (width + 1) // 2)
            above, before = scale.shrink
            self.shrink_row = RowConvolution(above, n, width)
            self.shrink = PixelConvolution(before, n, width)
            self.grow_row, grow = scale.grow
            self.grow, self.grow_bias = grow.weight, grow.bias  # (in, out, 2, 2)
            self.small_row = condition.new_zeros(0)
            self.small = [condition.new_zeros(0)] * ((width + 1) // 2)

    def begin_row(self, above: Tensor, row: int) -> Tensor:
        """Run the stream above over its next row, (n, features, width), to the same shape."""
        kept = [above]
        for pair in self.down:
            above = pair.begin_row(above)
            kept.append(above)
        if self.smaller is None:
            kept.pop()
        else:
            width = above.shape[2]
            self.shrink_row.remember(above)
            if row % 2 == 0:
                self.small_row = self.smaller.begin_row(self.shrink_row(), row // 2)
                self.shrink.begin_row()
            layer = self.grow_row
            above = F.conv_transpose1d(
                self.small_row, layer.weight[:, :, row % 2], layer.bias, stride=2
            )[:, :, :width]
            # What the pixels of this row take of the small maps, by the parity of the column.
            self.now = [self.grow[:, :, row % 2, column] for column in range(2)]
            self.even_row = row % 2 == 0
        for pair in self.up:
            above = pair.begin_row(above, kept.pop())
        return above

    def __call__(self, before: Tensor, column: int) -> Tensor:
        """Run the other stream over one pixel, (n, features), to the same shape."""
        kept = [before]
        for pair in self.down:
            before = pair(before, column)
            kept.append(before)
        if self.smaller is None:
            kept.pop()
        else:
            half, odd = divmod(column, 2)
            self.shrink.places[column].copy_(before)
            if self.even_row and not odd:
                self.small[half] = self.smaller(self.shrink(half), half)
            before = torch.addmm(self.grow_bias, self.small[half], self.now[odd])
        for pair in self.up:
            before = pair(before, column, kept.pop())
        return before


class PixelCNNppCache:
    """What a PixelCNN++ keeps: of each layer, the row above and the one it is in."""

    def __init__(self, network: PixelCNNpp, condition: Tensor, size: tuple[int, int]) -> None:
        n, width = len(condition), size[1]
        self.above = RowConvolution(network.above, n, width)
        self.before = PixelConvolution(network.before, n, width)
        self.scale = CachedScale(network.scale, condition, width)
        self.head: nn.Conv2d = network.head
        self.kernel = network.head.weight.flatten(1).T.contiguous()
        self.colours, self.of_pixel = network.colours, condition.new_zeros(0)

    def parameters(self, inputs: Tensor, row: int, column: int, channel: int) -> Tensor:
        """Return the parameters of one value, (n, outputs)."""
        if channel == 0:  # the network does not look at the channels drawn since
            if column == 0:
                if row:
                    self.above.remember(inputs[:, :, row - 1])
                self.before.begin_row()
                self.scale.begin_row(self.above(), row)
            else:
                self.before.places[column].copy_(inputs[:, :, row, column - 1])
            before = self.scale(self.before(column), column)
            self.of_pixel = torch.addmm(self.head.bias, concat_elu(before), self.kernel)
        if self.colours is None:
            return self.of_pixel
        return self.colours(self.of_pixel, inputs[:, :, row, column])[:, channel]
