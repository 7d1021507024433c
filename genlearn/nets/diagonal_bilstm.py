"""Diagonal BiLSTM: two LSTMs that go over an image diagonal by diagonal.

Source: van den Oord et al. (2016), Pixel Recurrent Neural Networks, arXiv 1601.06759, section 3.2.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlearn.nets.cached_lstm import CachedLSTM
from genlearn.nets.masked import CachedFirst, CachedHead, Head, MaskedConv2d
from genlearn.nets.pixel_network import PixelCache, PixelSizes
from genlearn.nets.scan import Step, scan
from genlearn.nets.scan_backward import fast_scan
from genlearn.nets.scan_layer import ScanLayer, context_rows


class Diagonals(NamedTuple):
    """The pixels of an image sorted by diagonal: row + column, and from the top within each.

    This is the paper's skewed image without its empty corners.
    """

    order: Tensor
    """Which pixel, counted in the order of reading, stands at each place, (H * W,)."""
    back: Tensor
    """At which place each pixel stands, (H * W,)."""
    steps: list[Step]


@lru_cache(maxsize=16)
def diagonals(height: int, width: int, device: torch.device) -> Diagonals:
    """Sort the pixels of an image of a size.

    A pixel sees two of the diagonal before: the one above it and the one on its left. These are
    neighbours there, the one above standing first.
    """
    with torch.inference_mode(False):  # kept, and used again where gradients are needed
        row = torch.arange(height, device=device).unsqueeze(1)
        column = torch.arange(width, device=device)
        order = (row + column).flatten().argsort(stable=True)
        back = order.argsort()
    steps = []
    for diagonal in range(height + width - 1):
        top, bottom = max(0, diagonal - width + 1), min(diagonal, height - 1)
        starts_at_top, ends_at_left = int(top == 0), int(bottom == diagonal)
        steps.append(Step(bottom - top + 1, starts_at_top, ends_at_left))
    return Diagonals(order, back, steps)


class DiagonalBiLSTM(nn.Module):
    """Masked convolution of kind A, layers of Diagonal BiLSTM, and the head: eq-pixelrnn-diagonal.

    Each pixel knows all pixels before it. In the paper's network it knows all but one: the last
    pixel of the row above (eq-pixelrnn-missing). The first convolution shows a pixel to those
    behind it and to those near it in the rows below. The last one of a row has nobody behind
    it, and what goes over the next row from the left starts without it. So here the right-hand
    direction is shown, in the first layer, the very pixel at which it stands; it may see it,
    being given to the row below.

    Args:
        sizes: what the model asks for.
        features: of the feature maps; a multiple of the channels.
        hidden: features of the LSTMs' states, or None for as many as features, added as they are.
        layers: number of layers.
        first_kernel: odd size of the first convolution.
        head: hidden features of the two last layers.
        dropout: share of values set to zero while training.
        mended: whether the right-hand direction sees the pixel at which it stands. False: as in
            the paper.
        fused: whether training takes the gradient written by hand, see
            ``genlearn.nets.scan_backward``.
    """

    def __init__(
        self,
        sizes: PixelSizes,
        features: int,
        hidden: int | None,
        layers: int,
        first_kernel: int,
        head: int,
        dropout: float,
        mended: bool = True,
        fused: bool = False,
    ) -> None:
        super().__init__()
        self.fused = fused
        channels = sizes.channels
        self.first = MaskedConv2d(channels * sizes.inputs, features, first_kernel, "A", channels)
        options = {"directions": 2, "taps": 1, "kernel": 2, "dropout": dropout}
        self.layers = nn.ModuleList(
            ScanLayer(features, hidden, sizes.condition, channels, **options) for _ in range(layers)
        )
        self.itself = None
        if mended and layers:
            self.itself = nn.Conv2d(channels * sizes.inputs, features, 1, bias=False)
        self.head = Head(features, head, sizes.outputs, channels, dropout)

    def forward(self, inputs: Tensor, condition: Tensor) -> Tensor:
        """Map (N, channels * inputs, H, W) to parameters (N, channels, H, W, outputs)."""
        x = self.first(inputs).permute(1, 2, 3, 0).contiguous()  # (features, H, W, N)
        shown = None if self.itself is None else self.itself(inputs).permute(1, 2, 3, 0)
        context, run = context_rows(condition), fast_scan if self.fused else scan
        for layer in self.layers:
            x, shown = diagonal_bilstm_layer(layer, x, context, shown, run), None
        return self.head(x.permute(3, 0, 1, 2))

    def cache(self, condition: Tensor, size: tuple[int, int]) -> PixelCache:
        """Begin to draw images of a size."""
        return DiagonalBiLSTMCache(self, condition, size)


def diagonal_bilstm_layer(
    layer: ScanLayer,
    x: Tensor,
    context: Tensor,
    shown: Tensor | None = None,
    scan: Callable[..., Tensor] = scan,
) -> Tensor:
    """Run one layer over an image, in both directions.

    The right-hand direction is the left-hand one in the mirror. There, a pixel's state knows the
    pixels on its right. These come later in the order of reading, so each pixel is given the state
    of the pixel above it.

    Args:
        layer: of a Diagonal BiLSTM.
        x: (features, H, W, N).
        context: 1 and the condition, (1 + condition, N).
        shown: what the right-hand direction sees besides x, in the shape of x.
        scan: which of the two, ``scan`` or ``fast_scan``.

    Returns:
        x and what the LSTMs add to it, in the shape of x.
    """
    height, width = x.shape[1:3]
    order, back, steps = diagonals(height, width, x.device)
    mirrored = (x if shown is None else x + shown).flip(2)
    both = torch.stack([x, mirrored])
    context = context[:, None, None].expand(2, -1, height, width, -1)
    both = torch.cat([both, context], 1).flatten(2, 3)
    hidden = scan(both.index_select(2, order), layer.weight(), steps, own=1)
    left, right = hidden.index_select(2, back).unflatten(2, (height, width)).unbind()
    row_above = F.pad(right.flip(2), (0, 0, 0, 0, 1, -1))
    return layer.add_to(x, left + row_above)


class DiagonalBiLSTMCache:
    """What a Diagonal BiLSTM keeps: the states of both directions in the row above.

    The left-hand direction goes along the row that is being drawn. The right-hand one is asked for
    finished rows only, so it goes over a row once that is complete, for all layers at once.
    """

    def __init__(self, network: DiagonalBiLSTM, condition: Tensor, size: tuple[int, int]) -> None:
        self.first, self.head = CachedFirst(network.first), CachedHead(network.head)
        self.itself, layers = network.itself, list(network.layers)
        context = context_rows(condition).T
        self.left = [CachedLeft(layer, context, size[1]) for layer in layers]
        self.right = CachedRight(layers, context, size[1]) if layers else None

    def begin_row(self, inputs: Tensor, row: int) -> None:
        """Finish the row above, and compute what this row gets from it."""
        self.first.begin_row(inputs, row)
        if row and self.left:
            features = torch.stack([torch.cat(layer.inputs) for layer in self.left])
            if self.itself is not None:
                shown = self.itself(inputs[:, :, row - 1 : row])
                features[0] += shown.permute(2, 3, 0, 1).flatten(0, 2)
            self.right.follow(features)
            for layer, states in zip(self.left, self.right.states, strict=True):
                layer.right = states.chunk(layer.width)
        for layer in self.left:
            layer.begin_row()

    def parameters(self, inputs: Tensor, row: int, column: int, channel: int) -> Tensor:
        """Return the parameters of one value, (n, outputs)."""
        if column == 0 and channel == 0:
            self.begin_row(inputs, row)
        x = self.first(inputs, row, column)
        for layer in self.left:
            x = layer(x, column)
        return self.head(x, channel)


class CachedLeft:
    """One layer for one pixel at a time: its left-hand direction, and the sum of both.

    Args:
        layer: of a Diagonal BiLSTM.
        context: 1 and the condition, (n, 1 + condition).
        width: of the image.
    """

    def __init__(self, layer: ScanLayer, context: Tensor, width: int) -> None:
        self.width = width
        # For products from the right: (what is seen, gates).
        self.above, beside = layer.state[0].T.contiguous().chunk(2)
        self.of_input = torch.cat([layer.masked_input()[0].T, beside])
        self.start = (context @ layer.context[0].T).repeat(width, 1)
        self.up = None if layer.up is None else layer.masked_up().T
        self.zero = context.new_zeros(len(context), layer.width)
        self.step = CachedLSTM(self.zero)
        self.hidden = self.right = [self.zero] * width  # of the row above, by column
        self.inputs: list[Tensor] = []

    def begin_row(self) -> None:
        """Compute what the gates of a row get from the row above."""
        gates = torch.addmm(self.start, torch.cat(self.hidden[: self.width]), self.above)
        self.from_above = gates.chunk(self.width)
        # The last entry is the empty border on the left, column -1.
        self.hidden, self.cell = ([self.zero] * (self.width + 1) for _ in range(2))
        self.inputs = [self.zero] * self.width

    def __call__(self, x: Tensor, column: int) -> Tensor:
        """Map the features of one pixel, (n, features), to those of the next layer."""
        self.inputs[column] = x
        seen = torch.cat([x, self.hidden[column - 1]], 1)
        start, cell = self.from_above[column], self.cell[column - 1]
        hidden, self.cell[column] = self.step(start, seen, self.of_input, cell)
        self.hidden[column] = hidden
        said = hidden + self.right[column]
        return x + said if self.up is None else torch.addmm(x, said, self.up)


class CachedRight:
    """The right-hand direction of all layers, one row at a time.

    Args:
        layers: of a Diagonal BiLSTM.
        context: 1 and the condition, (n, 1 + condition).
        width: of the image.
    """

    def __init__(self, layers: list[ScanLayer], context: Tensor, width: int) -> None:
        self.width = width
        of_input = torch.stack([layer.masked_input()[1] for layer in layers]).mT
        above, beside = torch.stack([layer.state[1] for layer in layers]).mT.chunk(2, 1)
        self.of_input, self.beside = torch.cat([of_input, above], 1), beside.contiguous()
        start = context @ torch.stack([layer.context[1] for layer in layers]).mT
        self.start = start.repeat(1, width, 1)  # (layers, width * n, gates)
        self.zero = context.new_zeros(len(layers), len(context), layers[0].width)
        self.step = CachedLSTM(self.zero)
        self.states = self.zero.repeat(1, width, 1)  # of the last row

    def follow(self, features: Tensor) -> None:
        """Go over a finished row, from its right end.

        Args:
            features: what the layers were given there, (layers, width * n, features).
        """
        seen = torch.cat([features, self.states], 2)
        gates = torch.baddbmm(self.start, seen, self.of_input).chunk(self.width, 1)
        hidden = cell = self.zero
        states = []
        for start in reversed(gates):
            hidden, cell = self.step(start, hidden, self.beside, cell)
            states.append(hidden)
        self.states = torch.cat(states[::-1], 1)
