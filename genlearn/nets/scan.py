"""An LSTM that goes over an image in steps, many pixels at once.

Tensors are laid out as (directions, features, pixels, batch): the pixels of one step lie side by
side, so that a step is one product of matrices for each direction, whatever its size. In a loop,
tensors are split beforehand and never indexed: the gradient of ``x[:, :, t]`` is as large as x, and
a loop over t would fill it once a step.

Source: van den Oord et al. (2016), Pixel Recurrent Neural Networks, arXiv 1601.06759, equation 3.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Step(NamedTuple):
    """Pixels that are computed at once, and how those of the step before lie beside them.

    Pixel p sees the pixels p, p + 1, … of the step before, after that has got a border of zeros.
    """

    pixels: int
    before: int
    """Empty pixels to put before those of the last step."""
    after: int
    """Empty pixels to put behind them."""


def lstm(gates: Tensor, cell: Tensor, dim: int = 1) -> tuple[Tensor, Tensor]:
    """One step of an LSTM.

    Args:
        gates: input, forget and output gate and the candidate, before their nonlinearities, one
            after the other in ``dim``.
        cell: of the step before.

    Returns:
        The new hidden state and the new cell.
    """
    width = cell.shape[dim]
    soft, candidate = gates.split([3 * width, width], dim)
    input_gate, forget_gate, output_gate = soft.sigmoid().chunk(3, dim)
    cell = forget_gate * cell + input_gate * candidate.tanh()
    return output_gate * cell.tanh(), cell


def neighbours(x: Tensor, kernel: int, before: int, after: int) -> list[Tensor]:
    """Put a border of zeros around pixels; return what each sees at the kernel's 1st, 2nd … tap.

    Args:
        x: (D, features, pixels, N).
        kernel: taps.
        before, after: empty pixels on both sides.

    Returns:
        As many tensors as taps, each (D, features, pixels + before + after - kernel + 1, N).
    """
    padded = F.pad(x, (0, 0, before, after))
    count = padded.shape[2] - kernel + 1
    return [padded[:, :, tap : tap + count] for tap in range(kernel)]


def scan(inputs: Tensor, weight: Tensor, steps: Sequence[Step], own: int) -> Tensor:
    """Run an LSTM over the steps of an image.

    Input-to-state and state-to-state are one product: W_i x + W_s h = (W_i W_s)(x; h).

    Args:
        inputs: what each pixel is given, (D, inputs, pixels, N), the pixels of the first step
            first, then those of the second, …
        weight: (D, 4 * width, inputs + kernel * width): from a pixel's inputs, and from the hidden
            states that it sees of the step before, to its gates.
        steps: of the image; their pixels add up to its own.
        own: the tap whose cell a pixel takes over.

    Returns:
        Hidden states, (D, width, pixels, N), in the order of the inputs.
    """
    directions, width, batch = len(weight), weight.shape[1] // 4, inputs.shape[3]
    kernel = (weight.shape[2] - inputs.shape[1]) // width
    hidden = cell = inputs.new_zeros(directions, width, 0, batch)  # before the first step
    states = []
    for step, x in zip(steps, inputs.split([step.pixels for step in steps], 2), strict=True):
        seen = torch.cat([x, *neighbours(hidden, kernel, step.before, step.after)], 1)
        gates = torch.bmm(weight, seen.flatten(2)).unflatten(2, (step.pixels, batch))
        (cell,) = neighbours(cell, 1, step.before - own, step.after + own + 1 - kernel)
        hidden, cell = lstm(gates, cell)
        states.append(hidden)
    return torch.cat(states, 2)
