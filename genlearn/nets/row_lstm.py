"""Row LSTM: an LSTM that goes down an image row by row.

Source: van den Oord et al. (2016), Pixel Recurrent Neural Networks, arXiv 1601.06759, section 3.1.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from genlearn.nets.cached_lstm import CachedLSTM
from genlearn.nets.masked import CachedFirst, CachedHead, Head, MaskedConv2d
from genlearn.nets.pixel_network import PixelCache, PixelSizes
from genlearn.nets.scan import Step, at_tap, lstm, scan
from genlearn.nets.scan_backward import fast_scan
from genlearn.nets.scan_layer import ScanLayer, context_rows
from genlearn.nets.wavefront_backward import fast_wavefront


class RowLSTM(nn.Module):
    """A masked convolution of kind A, layers of Row LSTM (alg-pixelrnn-row), and the head.

    The state of a pixel is computed from the states of the three pixels above it, so it knows a
    triangle of the image: one pixel more on each side for each row up.

    Args:
        sizes: what the model asks for.
        features: of the feature maps; a multiple of the channels.
        hidden: features of the LSTM's state, or None for as many as features, added as they are.
        layers: number of layers.
        first_kernel: odd size of the first convolution.
        kernel: odd width of the row convolutions.
        head: hidden features of the two last layers.
        dropout: share of values set to zero while training.
        fused: whether training takes the gradient written by hand, see
            ``genlearn.nets.scan_backward`` and ``genlearn.nets.wavefront_backward``. With more
            than one layer, training with dropout does not: it runs ``wavefront``.

    Raises:
        ValueError: if a kernel is even.
    """

    def __init__(
        self,
        sizes: PixelSizes,
        features: int,
        hidden: int | None,
        layers: int,
        first_kernel: int,
        kernel: int,
        head: int,
        dropout: float,
        fused: bool = False,
    ) -> None:
        super().__init__()
        self.fused = fused
        if kernel % 2 == 0:
            raise ValueError(f"a kernel must be odd, got {kernel}")
        channels = sizes.channels
        self.first = MaskedConv2d(channels * sizes.inputs, features, first_kernel, "A", channels)
        options = {"directions": 1, "taps": kernel // 2 + 1, "kernel": kernel, "dropout": dropout}
        self.layers = nn.ModuleList(
            ScanLayer(features, hidden, sizes.condition, channels, **options) for _ in range(layers)
        )
        self.head = Head(features, head, sizes.outputs, channels, dropout)

    def forward(self, inputs: Tensor, condition: Tensor) -> Tensor:
        """Map (N, channels * inputs, H, W) to parameters (N, channels, H, W, outputs)."""
        x = self.first(inputs).permute(1, 2, 3, 0).contiguous()  # (features, H, W, N)
        context = context_rows(condition)
        if len(self.layers) == 1:
            x = row_lstm_layer(self.layers[0], x, context, fast_scan if self.fused else scan)
        elif self.layers:
            drops = self.training and self.layers[0].dropout.p > 0
            run = fast_wavefront if self.fused and not drops else wavefront
            x = run(list(self.layers), x, context)
        # The head maps each pixel alone. To it, the batch is one long image: x stays where it is.
        parameters = self.head(x.flatten(2).unsqueeze(0)).unflatten(3, x.shape[2:])
        return parameters.squeeze(0).permute(3, 0, 1, 2, 4)

    def cache(self, condition: Tensor, size: tuple[int, int]) -> PixelCache:
        """Begin to draw images of a size."""
        return RowLSTMCache(self, condition, size)


def row_lstm_layer(
    layer: ScanLayer, x: Tensor, context: Tensor, scan: Callable[..., Tensor] = scan
) -> Tensor:
    """Run one layer over an image.

    Args:
        layer: of a Row LSTM.
        x: (features, H, W, N).
        context: 1 and the condition, (1 + condition, N).
        scan: which of the two, ``scan`` or ``fast_scan``.

    Returns:
        x and what the LSTM adds to it, in the shape of x.
    """
    height, width, batch = x.shape[1:]
    on_the_left = Step(width, layer.taps - 1, 0)
    rows = x.flatten(2)
    taps = [at_tap(rows, tap, layer.taps, on_the_left, batch) for tap in range(layer.taps)]
    context = context.repeat(1, width).unsqueeze(1).expand(-1, height, -1)
    inputs = torch.cat([*taps, context]).view(1, -1, height * width, batch)
    reach = layer.kernel // 2
    steps = [Step(width, reach, reach)] * height
    hidden = scan(inputs, layer.weight(), steps, own=reach)
    return layer.add_to(x, hidden.view(layer.width, height, width, batch))


def wavefront(layers: Sequence[ScanLayer], x: Tensor, context: Tensor) -> Tensor:
    """Run several layers over an image, as :func:`row_lstm_layer` would one after the other.

    Row r of a layer needs row r - 1 of this layer and row r of the layer below. So when the first
    layer is at row t, the second can be at row t - 1, the third at t - 2, …: each tick computes one
    row of every layer, with one product of matrices for all of them.

    Args:
        layers: of one size.
        x, context: as for one layer.
    """
    height, width, batch = x.shape[1:]
    count, (taps, kernel) = len(layers), (layers[0].taps, layers[0].kernel)
    on_the_left, above = Step(width, taps - 1, 0), Step(width, kernel // 2, kernel // 2)
    weights = torch.cat([layer.weight() for layer in layers])
    ups = None if layers[0].up is None else torch.stack([layer.masked_up() for layer in layers])
    context = context.repeat(1, width).expand(count, -1, -1)
    nothing = x.new_zeros(1, layers[0].width, width * batch)
    hidden = cell = nothing[:0]  # of the layers at work
    below = x.new_zeros(0, len(x), width * batch)  # what each of them hands to the next
    rows, done = x.flatten(2).unsqueeze(0).unbind(2), []
    for tick in range(height + count - 1):
        if tick < count:  # one more layer begins
            hidden, cell = torch.cat([hidden, nothing]), torch.cat([cell, nothing])
        if tick >= height:  # the first of those at work has had its last row
            hidden, cell = hidden[1:], cell[1:]
        first, last = max(0, tick - height + 1), min(count, tick + 1)
        x = torch.cat([rows[tick], below]) if tick < height else below
        inputs = [at_tap(x, tap, taps, on_the_left, batch) for tap in range(taps)]
        states = [at_tap(hidden, tap, kernel, above, batch) for tap in range(kernel)]
        seen = torch.cat([*inputs, context[first:last], *states], 1)
        gates = torch.bmm(weights if last - first == count else weights[first:last], seen)
        hidden, cell = lstm(gates, cell)
        said = hidden if ups is None else torch.bmm(ups[first:last], hidden)
        below = x + layers[0].dropout(said)
        if last == count:  # a row leaves the last layer
            below, row = below.split([last - first - 1, 1])
            done.append(row)
    return torch.cat(done).transpose(0, 1).unflatten(2, (width, batch))


class RowLSTMCache:
    """What a Row LSTM keeps: its states in the row above, and its inputs on the left.

    When a row begins, all that its gates get from the row above is computed at once, for all pixels
    and layers. What is left for each pixel and layer is one small product.
    """

    def __init__(self, network: RowLSTM, condition: Tensor, size: tuple[int, int]) -> None:
        self.first, self.head = CachedFirst(network.first), CachedHead(network.head)
        context = context_rows(condition).T
        self.layers = [CachedRowLayer(layer, context, size[1]) for layer in network.layers]

    def parameters(self, inputs: Tensor, row: int, column: int, channel: int) -> Tensor:
        """Return the parameters of one value, (n, outputs)."""
        if column == 0 and channel == 0:
            self.first.begin_row(inputs, row)
            for layer in self.layers:
                layer.begin_row()
        x = self.first(inputs, row, column)
        for layer in self.layers:
            x = layer(x, column)
        return self.head(x, channel)


class CachedRowLayer:
    """One layer for one pixel at a time.

    Args:
        layer: of a Row LSTM.
        context: 1 and the condition, (n, 1 + condition).
        width: of the image.
    """

    def __init__(self, layer: ScanLayer, context: Tensor, width: int) -> None:
        self.width, self.kernel, self.left = width, layer.kernel, layer.taps - 1
        # For products from the right: (what is seen, gates).
        self.of_input = layer.masked_input()[0].T.contiguous()
        self.of_state = layer.state[0].T.contiguous()
        self.start = (context @ layer.context[0].T).repeat(width, 1)
        self.up = None if layer.up is None else layer.masked_up().T
        self.zero = context.new_zeros(len(context), layer.width)
        self.blank = [context.new_zeros(len(context), layer.features)] * self.left
        self.step = CachedLSTM(self.zero)
        self.hidden, self.cell = [self.zero] * width, [self.zero] * width  # by column

    def begin_row(self) -> None:
        """Compute what the gates of a row get from the row above."""
        border = [self.zero] * (self.kernel // 2)
        padded = [*border, *self.hidden, *border]
        taps = [torch.cat(padded[tap : tap + self.width]) for tap in range(self.kernel)]
        gates = torch.addmm(self.start, torch.cat(taps, 1), self.of_state)
        self.from_above = gates.chunk(self.width)
        self.cell_above, self.cell = self.cell, [self.zero] * self.width
        self.inputs = [*self.blank, *[None] * self.width]  # of this row, behind an empty border

    def __call__(self, x: Tensor, column: int) -> Tensor:
        """Map the features of one pixel, (n, features), to those of the next layer."""
        self.inputs[column + self.left] = x
        taps = torch.cat(self.inputs[column : column + self.left + 1], 1)
        start, cell = self.from_above[column], self.cell_above[column]
        hidden, self.cell[column] = self.step(start, taps, self.of_input, cell)
        self.hidden[column] = hidden
        return x + hidden if self.up is None else torch.addmm(x, hidden, self.up)
