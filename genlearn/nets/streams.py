"""Gated blocks of two streams: one knows the rows above, the other also what is on the left.

Source: Salimans et al. (2017), PixelCNN++, arXiv 1701.05517.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlearn.nets.shifted import PixelConvolution, RowConvolution, ShiftedConv2d
from genlearn.nets.zero import start_at_zero


def concat_elu(x: Tensor) -> Tensor:
    """ELU of x and of -x, side by side: (N, F, …) to (N, 2 F, …). Never flat on both sides."""
    return F.elu(torch.cat([x, -x], 1))


def put_concat_elu(x: Tensor, place: Tensor) -> None:
    """Write it into a place."""
    F.elu(torch.cat([x, -x], 1, out=place), inplace=True)


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
        self.condition = start_at_zero(nn.Linear(condition, 2 * features, bias=False))
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
        put_concat_elu(before, self.first.places[column])
        hidden = self.first(column)
        for kernel, other in zip(self.before_hears_kept, kept, strict=True):
            hidden = torch.addmm(hidden, concat_elu(other), kernel)
        put_concat_elu(hidden, self.second.places[column])
        value, opening = self.second(column).chunk(2, 1)
        return torch.addcmul(before, value, opening.sigmoid())
