"""The scan of :mod:`genlearn.nets.scan` with its gradient written by hand.

Automatic differentiation writes down every intermediate result, and visits each of them again. Here
a step keeps four tensors, most is computed in place, and a step back is two products of matrices,
each as large as the one forward, and some twenty operations on numbers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from genlearn.nets.scan import Step, before_first, shifted, split, taps_of


def fast_scan(inputs: Tensor, weight: Tensor, steps: Sequence[Step], own: int) -> Tensor:
    """Run an LSTM over the steps of an image: what ``scan`` computes, and its gradient, faster.

    The gradient cannot be differentiated again.

    Args:
        inputs, weight, steps, own: as for :func:`genlearn.nets.scan.scan`.
    """
    return _Scan.apply(inputs, weight, steps, own)


class _Scan(torch.autograd.Function):
    @staticmethod
    def forward(ctx, inputs: Tensor, weight: Tensor, steps: Sequence[Step], own: int) -> Tensor:
        """Run forward, and keep of each step what was seen, the gates, old cell and tanh(cell)."""
        batch, width, kernel = inputs.shape[3], weight.shape[1] // 4, taps_of(weight, inputs)
        hidden = cell = before_first(steps[0], kernel, weight, batch)
        # tanh(x) = 2 sigmoid(2 x) - 1: so all four gates are one call, and PyTorch's sigmoid takes
        # a small part of the time of its tanh.
        doubled = torch.cat([weight[:, : 3 * width], 2 * weight[:, 3 * width :]], 1)
        minus_one = weight.new_full((), -1)
        states, kept = [], []
        for step, x in zip(steps, split(inputs, steps), strict=True):
            places = step.pixels * batch
            padded = shifted(hidden, step.before * batch, step.after * batch)
            taps = [padded.narrow(2, tap * batch, places) for tap in range(kernel)]
            seen = torch.cat([x, *taps], 1)
            gates = torch.bmm(doubled, seen).sigmoid_()
            parts = input_gate, forget_gate, output_gate, candidate = gates.chunk(4, 1)
            torch.add(minus_one, candidate, alpha=2, out=candidate)
            old = shifted(cell, *_around(step, own, kernel, batch))
            cell = torch.mul(input_gate, candidate).addcmul_(forget_gate, old)
            squashed = torch.add(cell, cell).sigmoid_()
            torch.add(minus_one, squashed, alpha=2, out=squashed)
            hidden = output_gate * squashed
            states.append(hidden)
            kept.append((seen, gates, parts, old, squashed))
        ctx.save_for_backward(weight)
        ctx.kept, ctx.steps, ctx.own, ctx.batch, ctx.kernel = kept, steps, own, batch, kernel
        return torch.cat(states, 2).unflatten(2, (-1, batch))

    @staticmethod
    @once_differentiable
    def backward(ctx, slope: Tensor):
        """Go back through the steps; ``by_x`` is the slope of the loss in the direction of x."""
        (weight,) = ctx.saved_tensors
        steps, kernel, batch, width = ctx.steps, ctx.kernel, ctx.batch, weight.shape[1] // 4
        inputs = weight.shape[2] - kernel * width
        to_seen = weight.mT.contiguous()
        by_weight, by_inputs, slopes = torch.zeros_like(weight), [], split(slope, steps)
        by_hidden, by_cell = slopes[-1], None
        for t in reversed(range(len(steps))):
            step, (seen, gates, parts, old, squashed) = steps[t], ctx.kept[t]
            input_gate, forget_gate, output_gate, candidate = parts
            # Through hidden = output_gate * tanh(cell), whose slope is 1 - tanh(cell)^2.
            by_squashed = by_hidden * output_gate
            through = torch.addcmul(by_squashed, by_squashed * squashed, squashed, value=-1)
            by_cell = through if by_cell is None else through.add_(by_cell)
            # Through cell = forget_gate * old + input_gate * candidate.
            by_gates = torch.empty_like(gates)
            by_input, by_forget, by_output, by_candidate = by_gates.chunk(4, 1)
            torch.mul(by_cell, candidate, out=by_input)
            torch.mul(by_cell, old, out=by_forget)
            torch.mul(by_hidden, squashed, out=by_output)
            torch.mul(by_cell, input_gate, out=by_candidate)
            # Through the sigmoids, of slope s - s^2, and the candidate's tanh.
            soft = gates.narrow(1, 0, 3 * width)
            by_gates.narrow(1, 0, 3 * width).mul_(torch.addcmul(soft, soft, soft, value=-1))
            by_candidate.addcmul_(by_candidate, candidate * candidate, value=-1)
            # Through the product.
            by_weight.baddbmm_(by_gates, seen.mT)
            by_seen = torch.bmm(to_seen, by_gates)
            by_x, by_tap, *by_others = by_seen.split([inputs, *[width] * kernel], 1)
            by_inputs.append(by_x)
            if t == 0:
                break
            # Through the taps, to the step before.
            places, border = step.pixels * batch, (kernel - 1) * batch
            by_padded = shifted(by_tap, 0, border)
            for tap, by_tap in enumerate(by_others, 1):
                by_padded.narrow(2, tap * batch, places).add_(by_tap)
            by_hidden = shifted(by_padded, -step.before * batch, -step.after * batch)
            by_hidden = by_hidden + slopes[t - 1]
            before, after = _around(step, ctx.own, kernel, batch)
            by_cell = shifted(by_cell * forget_gate, -before, -after)
        by_inputs = torch.cat(by_inputs[::-1], 2).unflatten(2, (-1, batch))
        return by_inputs, by_weight, None, None


def _around(step: Step, tap: int, kernel: int, batch: int) -> tuple[int, int]:
    """How many places to put before and after a state, for its pixels to stand at a tap."""
    return (step.before - tap) * batch, (step.after - (kernel - 1 - tap)) * batch
