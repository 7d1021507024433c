"""The scan of :mod:`genlearn.nets.scan` with its gradient written by hand.

Automatic differentiation writes down every intermediate result, and visits each of them again. Here
a step keeps four tensors, most is computed in place, and every step back is two products of
matrices, as large as the one forward, and a dozen operations on numbers.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from genlearn.nets.scan import Step, at_tap, before_first, shifted, split, taps_of


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
        states, kept = [], []
        for step, x in zip(steps, split(inputs, steps), strict=True):
            taps = [at_tap(hidden, tap, kernel, step, batch) for tap in range(kernel)]
            seen = torch.cat([x, *taps], 1)
            gates = torch.bmm(doubled, seen).sigmoid_()
            input_gate, forget_gate, output_gate, candidate = gates.chunk(4, 1)
            candidate.mul_(2).sub_(1)
            old = at_tap(cell, own, kernel, step, batch)
            cell = torch.mul(input_gate, candidate).addcmul_(forget_gate, old)
            squashed = torch.mul(cell, 2).sigmoid_().mul_(2).sub_(1)
            hidden = output_gate * squashed
            states.append(hidden)
            kept += [seen, gates, old, squashed]
        ctx.save_for_backward(weight, *kept)
        ctx.steps, ctx.own, ctx.batch, ctx.kernel = steps, own, batch, kernel
        return torch.cat(states, 2).unflatten(2, (-1, batch))

    @staticmethod
    @once_differentiable
    def backward(ctx, slope: Tensor):
        """Go back through the steps; slopes are of the loss, by what stands in their name."""
        weight, *kept = ctx.saved_tensors
        steps, kernel, batch = ctx.steps, ctx.kernel, ctx.batch
        width = weight.shape[1] // 4
        to_seen = weight.mT.contiguous()
        by_weight, by_inputs = torch.zeros_like(weight), []
        slopes = split(slope, steps)
        from_next = cell_from_next = None
        for t in reversed(range(len(steps))):
            seen, gates, old, squashed = kept[4 * t : 4 * t + 4]
            input_gate, forget_gate, output_gate, candidate = gates.chunk(4, 1)
            by_hidden = slopes[t] if from_next is None else slopes[t] + from_next
            by_cell = torch.ops.aten.tanh_backward(by_hidden * output_gate, squashed)
            if cell_from_next is not None:
                by_cell += cell_from_next
            by_gates = torch.empty_like(gates)
            by_input, by_forget, by_output, by_candidate = by_gates.chunk(4, 1)
            torch.mul(by_cell, candidate, out=by_input)
            torch.mul(by_cell, old, out=by_forget)
            torch.mul(by_hidden, squashed, out=by_output)
            torch.mul(by_cell, input_gate, out=by_candidate)
            soft, by_soft = gates[:, : 3 * width], by_gates[:, : 3 * width]
            torch.ops.aten.sigmoid_backward.grad_input(by_soft, soft, grad_input=by_soft)
            torch.ops.aten.tanh_backward.grad_input(
                by_candidate, candidate, grad_input=by_candidate
            )
            by_weight.baddbmm_(by_gates, seen.mT)
            by_seen = torch.bmm(to_seen, by_gates)
            by_x, *by_taps = by_seen.split([seen.shape[1] - kernel * width, *[width] * kernel], 1)
            by_inputs.append(by_x)
            if t:
                step = steps[t]
                from_next = None
                for tap, by_tap in enumerate(by_taps):
                    back = _back(by_tap, tap, kernel, step, batch)
                    from_next = back if from_next is None else from_next + back
                cell_from_next = _back(by_cell * forget_gate, ctx.own, kernel, step, batch)
        by_inputs = torch.cat(by_inputs[::-1], 2).unflatten(2, (-1, batch))
        return by_inputs, by_weight, None, None


def _back(slope: Tensor, tap: int, kernel: int, step: Step, batch: int) -> Tensor:
    """Turn slopes by what was seen at a tap into slopes by the state of the step before."""
    before, after = step.before - tap, step.after - (kernel - 1 - tap)
    return shifted(slope, -before * batch, -after * batch)
