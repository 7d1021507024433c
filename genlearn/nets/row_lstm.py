"""Row LSTM: an LSTM that goes down an image row by row.

Source: van den Oord et al. (2016), Pixel Recurrent Neural Networks, arXiv 1601.06759, section 3.1.
"""

import torch
from torch import Tensor, nn

from genlearn.nets.masked import CachedHead, Head, MaskedConv2d
from genlearn.nets.pixel_network import PixelSizes
from genlearn.nets.pixelcnn import CachedConvolution
from genlearn.nets.scan import Step, lstm, neighbours, scan
from genlearn.nets.scan_layer import ScanLayer, context_rows


class RowLSTM(nn.Module):
    """A masked convolution of kind A, layers of Row LSTM, and the head.

    The state of a pixel is computed from the states of the three pixels above it, so it knows a
    triangle of the image: one pixel more on each side for each row up.

    Args:
        sizes: what the model asks for.
        features: of the feature maps; a multiple of the channels.
        hidden: features of the LSTM's state, or None, see :class:`ScanLayer`.
        layers: number of layers.
        first_kernel: odd size of the first convolution.
        kernel: odd width of the row convolutions.
        head: hidden features of the two last layers.
        dropout: share of values set to zero while training.

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
    ) -> None:
        super().__init__()
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
        if len(self.layers) > 1:
            x = wavefront(list(self.layers), x, context_rows(condition))
        else:
            for layer in self.layers:
                x = row_lstm_layer(layer, x, context_rows(condition))
        parameters = self.head(x.flatten(1, 2).unsqueeze(0))  # (1, channels, pixels, N, outputs)
        return parameters.squeeze(0).unflatten(1, x.shape[1:3]).movedim(3, 0)

    def cache(self, condition: Tensor, size: tuple[int, int]) -> "RowLSTMCache":
        """Begin to draw images of a size."""
        return RowLSTMCache(self, condition, size)


def row_lstm_layer(layer: ScanLayer, x: Tensor, context: Tensor) -> Tensor:
    """Run one layer over an image.

    Args:
        layer: of a Row LSTM.
        x: (features, H, W, N).
        context: 1 and the condition, (1 + condition, N).

    Returns:
        x and what the LSTM adds to it, in the shape of x.
    """
    height, width, batch = x.shape[1:]
    taps = neighbours(x, layer.taps, layer.taps - 1, 0)  # on the left, and the pixel itself
    context = context[:, None, None].expand(-1, height, width, -1)
    inputs = torch.cat([*taps, context]).flatten(1, 2).unsqueeze(0)
    reach = layer.kernel // 2
    first, later = Step(width, reach, width + reach), Step(width, reach, reach)
    steps = [first, *[later] * (height - 1)]
    hidden = scan(inputs, layer.weight(), steps, own=reach)
    return layer.add_to(x, hidden.view(layer.width, height, width, batch))


def wavefront(layers: list[ScanLayer], x: Tensor, context: Tensor) -> Tensor:
    """Run several layers over an image, as :func:`row_lstm_layer` would one after the other.

    Row r of layer l needs row r - 1 of layer l and row r of the layer below. So when the first
    layer is at row t, the second can be at row t - 1, the third at t - 2, …: each tick computes one
    row of every layer, as one product of matrices for all of them.

    Args:
        layers: of one size.
        x, context: as for one layer.
    """
    height, width, batch = x.shape[1:]
    count, reach, last = len(layers), layers[0].kernel // 2, layers[0].taps - 1
    weights = torch.cat([layer.weight() for layer in layers])
    up = None if layers[0].up is None else torch.stack([layer.masked_up() for layer in layers])
    context = context[None, :, None].expand(count, -1, width, -1)
    nothing = x.new_zeros(1, layers[0].width, width, batch)
    hidden = cell = nothing[:0]
    rows, done = x.unsqueeze(0).unbind(2), []
    below = x.new_zeros(0, len(x), width, batch)  # what each layer hands to the next
    for tick in range(height + count - 1):
        if tick < count:  # one more layer begins
            hidden, cell = torch.cat([hidden, nothing]), torch.cat([cell, nothing])
        if tick >= height:  # the first of those at work has had its last row
            hidden, cell = hidden[1:], cell[1:]
        entering = torch.cat([rows[tick], below]) if tick < height else below
        work = slice(max(0, tick - height + 1), min(count, tick + 1))
        states = neighbours(hidden, layers[0].kernel, reach, reach)
        inputs = [*neighbours(entering, last + 1, last, 0), context[: len(entering)]]
        seen = torch.cat([*inputs, *states], 1).flatten(2)
        gates = torch.bmm(weights[work], seen).unflatten(2, (width, batch))
        hidden, cell = lstm(gates, cell)
        said = hidden
        if up is not None:
            said = torch.bmm(up[work], hidden.flatten(2)).unflatten(2, (width, batch))
        below = entering + layers[0].dropout(said)
        if work.stop == count:  # a row leaves the last layer
            below, row = below.split([len(below) - 1, 1])
            done.append(row)
    return torch.stack(done, 2).squeeze(0)


class RowLSTMCache:
    """What a Row LSTM keeps: its states in the row above, and its inputs on the left.

    When a row begins, all that its gates get from the row above is computed at once, for all pixels
    and layers. What is left for each pixel and layer is one small product.
    """

    def __init__(self, network: RowLSTM, condition: Tensor, size: tuple[int, int]) -> None:
        layers, (n, width) = network.layers, (len(condition), size[1])
        self.width, self.kernel = width, layers[0].kernel if len(layers) else 1
        self.first = CachedConvolution(network.first, n, size)
        self.head = CachedHead(network.head)
        context = context_rows(condition).T
        # For products from the right: (inputs, gates).
        self.products = [layer.masked_input()[0].T.contiguous() for layer in layers]
        self.ups = [None if layer.up is None else layer.masked_up().T for layer in layers]
        self.from_state = [layer.state[0].T.contiguous() for layer in layers]
        self.from_context = [(context @ layer.context[0].T).repeat(width, 1) for layer in layers]
        self.nothing = [context.new_zeros(n, layer.width) for layer in layers]
        self.hidden = [[zero] * width for zero in self.nothing]  # of each layer, by column
        self.cell = [[zero] * width for zero in self.nothing]
        self.blank = context.new_zeros(n, network.first.out_channels)
        taps = layers[0].taps - 1 if len(layers) else 0
        self.inputs = [[self.blank] * (taps + width) for _ in layers]
        self.taps = taps

    def begin_row(self, row: int) -> None:
        """Compute what the gates of a row get from the row above."""
        reach = self.kernel // 2
        self.above = []
        self.cell_above = [list(cells) for cells in self.cell]
        for zero, hidden, weight, start in zip(
            self.nothing, self.hidden, self.from_state, self.from_context, strict=True
        ):
            padded = [zero] * reach + hidden + [zero] * reach
            seen = torch.cat(
                [torch.cat(padded[tap : tap + self.width]) for tap in range(self.kernel)], 1
            )
            gates = torch.addmm(start, seen, weight)
            self.above.append(gates.chunk(self.width))

    def parameters(self, inputs: Tensor, row: int, column: int, channel: int) -> Tensor:
        """Return the parameters of one value, (n, outputs)."""
        self.first.follow(inputs, row, column, channel)
        if column == 0 and channel == 0:
            self.begin_row(row)
        x = self.first(inputs[:, :, row, column], column)
        for layer, (product, up) in enumerate(zip(self.products, self.ups, strict=True)):
            own = self.inputs[layer]
            own[column + self.taps] = x
            taps = torch.cat(own[column : column + self.taps + 1], 1) if self.taps else x
            gates = torch.addmm(self.above[layer][column], taps, product)
            hidden, cell = lstm(gates, self.cell_above[layer][column])
            self.hidden[layer][column], self.cell[layer][column] = hidden, cell
            x = x + hidden if up is None else torch.addmm(x, hidden, up)
        return self.head(x, channel)
