"""The wavefront of :mod:`genlearn.nets.row_lstm` with its gradient written by hand.

Automatic differentiation makes a new tensor for each intermediate result and visits each of them
again. Here, what the way back needs is written where it stays: in one buffer for each kind, with a
place for each tick and layer. The layers at work at a tick stand side by side in it, so that every
operation is one call for all of them, on the way back too.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from genlearn.nets.scan_layer import ScanLayer

sigmoid_slope = torch.ops.aten.sigmoid_backward.grad_input  # by_y, y -> by_y * (y - y^2)
tanh_slope = torch.ops.aten.tanh_backward.grad_input  # by_y, y -> by_y * (1 - y^2)


def fast_wavefront(layers: Sequence[ScanLayer], x: Tensor, context: Tensor) -> Tensor:
    """Run Row LSTM layers over an image: what ``wavefront`` computes, and its gradient, faster.

    The gradient cannot be differentiated again. There is no dropout: while it is at work, use
    ``wavefront``.

    Args:
        layers, x, context: as for :func:`genlearn.nets.row_lstm.wavefront`.
    """
    weights = [(layer.masked_input(), layer.state, layer.context) for layer in layers]
    weights = torch.cat([torch.cat(parts, 2) for parts in weights])
    ups = None if layers[0].up is None else torch.stack([layer.masked_up() for layer in layers])
    sizes = layers[0].taps, layers[0].kernel
    return _Wavefront.apply(x, context, weights, ups, *sizes)


class _Wavefront(torch.autograd.Function):
    """What ``forward`` is given, and ``backward`` gives the slopes of.

    x: (features, H, W, N).
    context: (1 + condition, N).
    weights: (layers, 4 * width, taps * features + kernel * width + 1 + condition).
    ups: (layers, features, width), or None.
    """

    @staticmethod
    def forward(ctx, x: Tensor, context: Tensor, weights: Tensor, ups: Tensor | None, *sizes: int):
        """Run forward, and keep inputs, states, gates, cells and tanh(cells) of all rows."""
        taps, kernel = sizes
        features, height, columns, batch = x.shape
        count, width, places = len(weights), weights.shape[1] // 4, columns * batch
        ticks = height + count - 1
        # tanh(x) = 2 sigmoid(2 x) - 1: so all four gates are one call, and PyTorch's sigmoid takes
        # a small part of the time of its tanh.
        doubled = torch.cat([weights[:, : 3 * width], 2 * weights[:, 3 * width :]], 1)
        minus_one = x.new_full((), -1)
        # What a layer has before each tick, and at the end. Rows of inputs and states have borders
        # of zeros, so what the taps of a kernel see are windows one column (N places) apart. The
        # last "input" is what the last layer hands out.
        left, reach = (taps - 1) * batch, kernel // 2 * batch
        padded_inputs = x.new_empty(ticks + 1, count + 1, features, left + places)
        padded_states = x.new_empty(ticks + 1, count, width, reach + places + reach)
        cells = x.new_empty(ticks + 1, count, width, places)
        inputs = padded_inputs[..., left:]
        states = padded_states[..., reach : reach + places]
        padded_inputs[..., :left] = 0
        padded_states[..., :reach] = padded_states[..., reach + places :] = 0
        for tick in range(count):  # the one at which this layer begins
            states[tick, tick] = cells[tick, tick] = 0
        inputs[:height, 0] = x.flatten(2).transpose(0, 1)
        gates = x.new_empty(ticks, count, 4 * width, places)
        squashed = x.new_empty(ticks, count, width, places)
        seen = _Seen(padded_inputs[:, :count], padded_states, context, taps, kernel)
        for tick in range(ticks):
            now, then = _at_work(tick, height, count)
            gate = gates[tick, now]
            torch.bmm(doubled[now], seen(tick, now), out=gate).sigmoid_()
            input_gate, forget_gate, output_gate, candidate = gate.chunk(4, 1)
            torch.add(minus_one, candidate, alpha=2, out=candidate)
            cell, tanh = cells[tick + 1, now], squashed[tick, now]
            torch.mul(forget_gate, cells[tick, now], out=cell)
            cell.addcmul_(input_gate, candidate)
            torch.add(cell, cell, out=tanh).sigmoid_()
            torch.add(minus_one, tanh, alpha=2, out=tanh)
            state = torch.mul(output_gate, tanh, out=states[tick + 1, now])
            said = state if ups is None else torch.bmm(ups[now], state)
            torch.add(inputs[tick, now], said, out=inputs[tick + 1, then])
        ctx.save_for_backward(context, weights, ups)
        ctx.kept = seen, states, gates, squashed, cells
        ctx.sizes = *x.shape, taps, kernel
        return inputs[count:, count].transpose(0, 1).unflatten(2, (columns, batch)).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx, slope: Tensor):
        """Go back through the ticks; ``by_x`` is the slope of the loss in the direction of x."""
        context, weights, ups = ctx.saved_tensors
        seen, states, gates, squashed, cells = ctx.kept
        features, height, columns, batch, taps, kernel = ctx.sizes
        count, width, places = len(weights), weights.shape[1] // 4, columns * batch
        ticks, parts = height + count - 1, [taps * features, kernel * width]
        # The context is seldom in need of a slope, so it is left out of this product.
        to_seen, to_context = weights.mT.split([sum(parts), len(context)], 1)
        to_seen = to_seen.contiguous()
        by_weights = torch.zeros_like(weights)
        by_ups = None if ups is None else torch.zeros_like(ups)
        by_context = context.new_zeros(len(context), places)
        # As ``inputs`` in forward: what each layer gets, and what the last hands out.
        by_inputs = slope.new_empty(ticks + 1, count + 1, features, places)
        by_inputs[count:, count] = slope.flatten(2).transpose(0, 1)
        # In the directions of each layer's newest state and cell. Zeros when its last row is met.
        by_states, by_cells = slope.new_zeros(2, count, width, places)
        by_gates = slope.new_empty(count, 4 * width, places)
        by_seen = slope.new_empty(count, sum(parts), places)
        by_taps, by_taps_above = by_seen.split(parts, 1)
        for tick in reversed(range(ticks)):
            now, then = _at_work(tick, height, count)
            gate, tanh = gates[tick, now], squashed[tick, now]
            input_gate, forget_gate, output_gate, candidate = gate.chunk(4, 1)
            # Through what is handed on, x + hidden or x + up hidden.
            by_out, by_state = by_inputs[tick + 1, then], by_states[now]
            if ups is None:
                by_state += by_out
            else:
                by_state.baddbmm_(ups[now].mT, by_out)
                by_ups[now].baddbmm_(by_out, states[tick + 1, now].mT)
            # Through hidden = output_gate * tanh(cell).
            by_gate, by_cell = by_gates[now], by_cells[now]
            by_input_gate, by_forget_gate, by_output_gate, by_candidate = by_gate.chunk(4, 1)
            torch.mul(by_state, tanh, out=by_output_gate)
            by_tanh = by_state.mul_(output_gate)
            by_cell += tanh_slope(by_tanh, tanh, grad_input=by_tanh)
            # Through cell = forget_gate * old + input_gate * candidate.
            torch.mul(by_cell, candidate, out=by_input_gate)
            torch.mul(by_cell, cells[tick, now], out=by_forget_gate)
            torch.mul(by_cell, input_gate, out=by_candidate)
            by_cell *= forget_gate
            # Through the sigmoids and the candidate's tanh.
            by_soft = by_gate[:, : 3 * width]
            sigmoid_slope(by_soft, gate[:, : 3 * width], grad_input=by_soft)
            tanh_slope(by_candidate, candidate, grad_input=by_candidate)
            # Through the product.
            if ctx.needs_input_grad[1]:
                by_context += torch.bmm(to_context[now], by_gate).sum(0)
            by_weights[now].baddbmm_(by_gate, seen(tick, now).mT)
            torch.bmm(to_seen[now], by_gate, out=by_seen[now])
            # Through the taps, to the row itself and to the states above it.
            by_input = by_inputs[tick, now].copy_(by_out)
            _add_windows(by_input, by_taps[now], taps - 1, batch)
            _add_windows(by_state.zero_(), by_taps_above[now], kernel // 2, batch)
        by_x = by_inputs[:height, 0].transpose(0, 1).unflatten(2, (columns, batch))
        by_context = by_context.unflatten(1, (columns, batch)).sum(1)
        return by_x, by_context, by_weights, by_ups, None, None


class _Seen:
    """What layers see at a tick: their inputs and states, by the taps, and the context.

    It is put together anew each time: that takes less time than to fetch it from where it would
    have been kept, far from the processor.
    """

    def __init__(
        self, inputs: Tensor, states: Tensor, context: Tensor, taps: int, kernel: int
    ) -> None:
        (count, features), width, batch = inputs.shape[1:3], states.shape[2], context.shape[1]
        places = inputs.shape[3] - (taps - 1) * batch
        # (ticks, layers, taps, features, places)
        self.inputs = inputs.unfold(3, places, batch).transpose(2, 3)
        self.states = states.unfold(3, places, batch).transpose(2, 3)
        parts = [taps * features, kernel * width, len(context)]
        self.seen = inputs.new_empty(count, sum(parts), places)
        by_inputs, by_states, by_context = self.seen.split(parts, 1)
        self.by_inputs = by_inputs.unflatten(1, (taps, features))
        self.by_states = by_states.unflatten(1, (kernel, width))
        by_context.copy_(context.repeat(1, places // batch))

    def __call__(self, tick: int, now: slice) -> Tensor:
        """Return inputs and states at all taps, and context: (layers, seen, places).

        They stand until the next call.
        """
        self.by_inputs[now] = self.inputs[tick, now]
        self.by_states[now] = self.states[tick, now]
        return self.seen[now]


def _at_work(tick: int, height: int, count: int) -> tuple[slice, slice]:
    """Which layers are at work, and which get their rows: layer l is at row tick - l."""
    first, last = max(0, tick - height + 1), min(count, tick + 1)
    return slice(first, last), slice(first + 1, last + 1)


def _add_windows(by_row: Tensor, by_windows: Tensor, own: int, batch: int) -> None:
    """Add up what a row means to the pixels that see it through the taps of a kernel.

    Args:
        by_row: added to, (layers, features, places).
        by_windows: slopes of what each pixel sees, (layers, taps * features, places).
        own: the tap at which a pixel sees its own column.
        batch: places in a column.
    """
    places = by_row.shape[2]
    for tap, by_window in enumerate(by_windows.split(by_row.shape[1], 1)):
        # At place p, this tap sees place p + ahead.
        ahead = (tap - own) * batch
        first, last = max(0, -ahead), min(places, places - ahead)
        if first < last:
            by_row[:, :, first + ahead : last + ahead] += by_window[:, :, first:last]
