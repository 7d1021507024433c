"""PixelCNN++ for one pixel at a time: the stream that knows the rows above runs once a row.

Maps of half the size have a new place at every second pixel of every second row alone.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlearn.nets.pixelcnn_pp import Pair, PixelCNNpp, Scale, ShiftedConv2d, concat_elu


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


class CachedPair:
    """A block of each stream: the first for a row, then the other for its pixels."""

    def __init__(self, pair: Pair, condition: Tensor, width: int) -> None:
        n, above, before = len(condition), pair.above, pair.before
        self.rows = [RowConvolution(layer, n, width) for layer in (above.first, above.second)]
        self.first, self.second = (
            PixelConvolution(layer, n, width) for layer in (before.first, before.second)
        )
        self.to_above = above.condition(condition).unsqueeze(2)
        self.to_before = before.condition(condition).unsqueeze(2)
        # Kernels of 1 x 1: for rows as they are, for pixels as matrices.
        self.above_hears = [listen.weight.squeeze(3) for listen in above.others]
        self.before_hears = before.others[0].weight.squeeze(3)
        self.before_hears_kept = [
            listen.weight.flatten(1).T.contiguous() for listen in before.others[1:]
        ]

    def begin_row(self, above: Tensor, *kept: Tensor) -> Tensor:
        """Run the stream above over its next row, (n, features, width), to the same shape."""
        first, second = self.rows
        first.remember(concat_elu(above))
        hidden = first()
        for kernel, other in zip(self.above_hears, kept, strict=True):
            hidden = hidden + F.conv1d(concat_elu(other), kernel)
        second.remember(concat_elu(hidden))
        value, opening = (second() + self.to_above).chunk(2, 1)
        above = above + value * opening.sigmoid()
        self.first.begin_row(F.conv1d(concat_elu(above), self.before_hears))
        self.second.begin_row(self.to_before)
        return above

    def __call__(self, before: Tensor, column: int, *kept: Tensor) -> Tensor:
        """Run the other stream over one pixel, (n, features), to the same shape."""
        self.first.places[column].copy_(concat_elu(before))
        hidden = self.first(column)
        for kernel, other in zip(self.before_hears_kept, kept, strict=True):
            hidden = torch.addmm(hidden, concat_elu(other), kernel)
        self.second.places[column].copy_(concat_elu(hidden))
        value, opening = self.second(column).chunk(2, 1)
        return torch.addcmul(before, value, opening.sigmoid())


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
