"""PixelCNN++: two streams of shifted convolutions, at several sizes with short-cuts between.

Source: Salimans et al. (2017), PixelCNN++, arXiv 1701.05517.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlearn.nets.pixel_network import PixelCache, PixelSizes
from genlearn.nets.zero import start_at_zero

Colours = Callable[[Tensor, Tensor], Tensor]
"""Maps parameters of a pixel (…, P) and its channels' values (…, C) to those of each value."""


def concat_elu(x: Tensor) -> Tensor:
    """ELU of x and of -x, side by side: (N, F, …) to (N, 2 F, …). Never flat on both sides."""
    return F.elu(torch.cat([x, -x], 1))


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


class GatedBlock(nn.Module):
    """x + a * sigmoid(b), where a and b come of two convolutions; at first it adds nothing.

    Args:
        features: of input and output.
        others: how many maps of as many features are heard besides.
        left: see :class:`ShiftedConv2d`.
        condition: length of the condition vector.
        dropout: share of hidden values set to zero while training.
    """

    def __init__(
        self, features: int, others: int, left: bool, condition: int, dropout: float
    ) -> None:
        super().__init__()
        self.first = ShiftedConv2d(2 * features, features, left)
        self.others = nn.ModuleList(
            nn.Conv2d(2 * features, features, 1, bias=False) for _ in range(others)
        )
        self.second = start_at_zero(ShiftedConv2d(2 * features, 2 * features, left))
        self.condition = nn.Linear(condition, 2 * features, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, condition: Tensor, *others: Tensor) -> Tensor:
        """Map (N, features, H, W) to the same shape; condition is (N, condition)."""
        hidden = self.first(concat_elu(x))
        for listen, other in zip(self.others, others, strict=True):
            hidden = hidden + listen(concat_elu(other))
        hidden = self.second(self.dropout(concat_elu(hidden)))
        value, opening = (hidden + self.condition(condition)[:, :, None, None]).chunk(2, 1)
        return x + value * opening.sigmoid()


class Pair(nn.Module):
    """A block of each stream. The one that knows more hears the other, never the other way round.

    Args:
        features, condition, dropout: of both blocks.
        kept: whether both also hear a map that was kept on the way down: the short-cut.
    """

    def __init__(self, features: int, kept: bool, condition: int, dropout: float) -> None:
        super().__init__()
        self.above = GatedBlock(features, int(kept), False, condition, dropout)
        self.before = GatedBlock(features, 1 + kept, True, condition, dropout)

    def forward(
        self, above: Tensor, before: Tensor, condition: Tensor, *kept: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Map both streams, (N, features, H, W) each, to the same shapes."""
        above = self.above(above, condition, *(map_above for map_above, _ in kept))
        before = self.before(before, condition, above, *(map_before for _, map_before in kept))
        return above, before


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
        layers: pairs of blocks at each size on the way down; as many, and one for the short-cut
            from where the size changes, on the way up.
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
        from genlearn.nets.pixelcnn_pp_cache import PixelCNNppCache

        return PixelCNNppCache(self, condition, size)
