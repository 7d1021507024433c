"""Diagonal BiLSTM: two LSTMs that go over an image diagonal by diagonal.

Source: van den Oord et al. (2016), Pixel Recurrent Neural Networks, arXiv 1601.06759, section 3.2.
"""

from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genlearn.nets.masked import CachedHead, Head, MaskedConv2d
from genlearn.nets.pixel_network import PixelSizes
from genlearn.nets.pixelcnn import CachedConvolution
from genlearn.nets.scan import Step, lstm, scan
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
    """A masked convolution of kind A, layers of Diagonal BiLSTM, and the head.

    Each pixel knows all pixels before it. In the paper's network it knows all but one: the last
    pixel of the row above. The first convolution shows a pixel to those behind it and to those near
    it in the rows below. The last one of a row has nobody behind it, and what goes over the next
    row from the left starts without it. So here the right-hand direction is shown, in the first
    layer, the very pixel at which it stands; it may see it, being given to the row below.

    Args:
        sizes: what the model asks for.
        features: of the feature maps; a multiple of the channels.
        hidden: features of the LSTMs' states, or None, see :class:`ScanLayer`.
        layers: number of layers.
        first_kernel: odd size of the first convolution.
        head: hidden features of the two last layers.
        dropout: share of values set to zero while training.
        mended: whether the right-hand direction sees the pixel at which it stands. False: as in
            the paper.
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
    ) -> None:
        super().__init__()
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
        for layer in self.layers:
            x, shown = diagonal_bilstm_layer(layer, x, context_rows(condition), shown), None
        parameters = self.head(x.flatten(1, 2).unsqueeze(0))  # (1, channels, pixels, N, outputs)
        return parameters.squeeze(0).unflatten(1, x.shape[1:3]).movedim(3, 0)

    def cache(self, condition: Tensor, size: tuple[int, int]) -> "DiagonalBiLSTMCache":
        """Begin to draw images of a size."""
        return DiagonalBiLSTMCache(self, condition, size)


def diagonal_bilstm_layer(
    layer: ScanLayer, x: Tensor, context: Tensor, shown: Tensor | None = None
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

    The left-hand direction goes along the row that is being drawn. The right-hand one needs
    finished rows only, so it goes over a row when that is complete, for all layers at once.
    """

    def __init__(self, network: DiagonalBiLSTM, condition: Tensor, size: tuple[int, int]) -> None:
        layers, (n, width) = network.layers, (len(condition), size[1])
        self.width = width
        self.first, self.itself = CachedConvolution(network.first, n, size), network.itself
        self.head = CachedHead(network.head)
        context = context_rows(condition).T
        self.ups = [None if layer.up is None else layer.masked_up().T for layer in layers]
        if not len(layers):
            return
        # For products from the right, (layers, directions, inputs, gates). A pixel's state is made
        # of its input, the state above and the state on its left.
        of_input = torch.stack([layer.masked_input() for layer in layers]).mT
        above, beside = torch.stack([layer.state for layer in layers]).mT.chunk(2, 2)
        self.product = torch.cat([of_input, beside], 2)[:, 0].contiguous().unbind()
        self.above = above[:, 0].contiguous()
        self.right_product = torch.cat([of_input, above], 2)[:, 1].contiguous()
        self.right_beside = beside[:, 1].contiguous()
        weights = torch.stack([layer.context for layer in layers]).mT
        start = (context @ weights).unsqueeze(2).expand(-1, -1, width, -1, -1).flatten(2, 3)
        self.start, self.right_start = start.unbind(1)  # (layers, width * n, gates)
        state = context.new_zeros(len(layers), n, layers[0].width)
        self.zero = state
        self.nothing = state[0]
        self.hidden = [[self.nothing] * width for _ in layers]
        self.right = [[self.nothing] * width for _ in layers]
        self.right_state = state.new_zeros(len(layers), width * n, layers[0].width)
        self.inputs = [[None] * width for _ in layers]

    def begin_row(self, row_above: Tensor | None) -> None:
        """Finish the row above; compute what the gates of this row get from it."""
        if row_above is not None:
            self.finish_row(row_above)
        hidden = torch.stack([torch.cat(states) for states in self.hidden])
        gates = torch.baddbmm(self.start, hidden, self.above)
        self.from_above = [part.chunk(self.width) for part in gates]
        self.hidden = [[self.nothing] * self.width for _ in self.hidden]
        self.cell = [[self.nothing] * self.width for _ in self.hidden]

    def finish_row(self, pixels: Tensor) -> None:
        """Let the right-hand direction go over a complete row, pixels of (n, values, W)."""
        inputs = torch.stack([torch.cat(inputs) for inputs in self.inputs])
        if self.itself is not None:
            inputs[0] += (
                self.itself(pixels.unsqueeze(2)).permute(3, 0, 1, 2).flatten(0, 1).squeeze(2)
            )
        seen = torch.cat([inputs, self.right_state], 2)
        gates = torch.baddbmm(self.right_start, seen, self.right_product).chunk(self.width, 1)
        hidden = cell = self.zero
        states = []
        for from_above in reversed(gates):
            hidden, cell = lstm(torch.baddbmm(from_above, hidden, self.right_beside), cell, 2)
            states.append(hidden)
        self.right_state = torch.cat(states[::-1], 1)
        self.right = [part.chunk(self.width) for part in self.right_state]

    def parameters(self, inputs: Tensor, row: int, column: int, channel: int) -> Tensor:
        """Return the parameters of one value, (n, outputs)."""
        self.first.follow(inputs, row, column, channel)
        x = self.first(inputs[:, :, row, column], column)
        if self.ups and column == 0 and channel == 0:
            self.begin_row(inputs[:, :, row - 1] if row else None)
        for layer, up in enumerate(self.ups):
            hidden, cell, nothing = self.hidden[layer], self.cell[layer], self.nothing
            beside, cell_beside = (
                (hidden[column - 1], cell[column - 1]) if column else (nothing, nothing)
            )
            seen = torch.cat([x, beside], 1)
            gates = torch.addmm(self.from_above[layer][column], seen, self.product[layer])
            state, cell[column] = lstm(gates, cell_beside)
            hidden[column], self.inputs[layer][column] = state, x
            said = state + self.right[layer][column]
            x = x + said if up is None else torch.addmm(x, said, up)
        return self.head(x, channel)
