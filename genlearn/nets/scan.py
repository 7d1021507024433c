"""An LSTM that goes over an image in steps, many pixels at once.

Tensors are laid out as (directions, features, pixels, batch): the pixels of one step lie side by
side, so that a step is one product of matrices for each direction, whatever its size. Inside the
loops the two last axes are one. Tensors are split before a loop and never indexed in it: the
gradient of ``x[:, :, t]`` is as large as x, and a loop over t would fill it once a step.

Source: van den Oord et al. (2016), Pixel Recurrent Neural Networks, arXiv 1601.06759, equation 3.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Step(NamedTuple):
    """Pixels that are computed at once, and how those of the step before lie beside them.

    Those of the step before get a border of zeros. Then pixel p sees the pixels p, p + 1, … among
    them: at the kernel's tap 0, 1, …
    """

    pixels: int
    before: int
    """Empty pixels to put before those of the last step."""
    after: int
    """Empty pixels to put behind them."""


def lstm(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """One step of an LSTM.

    Args:
        gates: input, forget and output gate and the candidate, before their nonlinearities:
            (D, 4 * width, places).
        cell: of the step before, (D, width, places).

    Returns:
        The new hidden state and the new cell.
    """
    width = cell.shape[1]
    soft, candidate = gates.split([3 * width, width], 1)
    input_gate, forget_gate, output_gate = soft.sigmoid().chunk(3, 1)
    cell = forget_gate * cell + input_gate * candidate.tanh()
    return output_gate * cell.tanh(), cell


def shifted(x: Tensor, before: int, after: int) -> Tensor:
    """Put zeros before and after places, (D, features, places); below 0, take as many off.

    The gradient goes back the same way: shifted by (-before, -after).
    """
    places = x.shape[2]
    first, last = max(0, -before), places - max(0, -after)
    if first >= last:  # nothing is left of x
        return x.new_zeros(*x.shape[:2], places + before + after)
    if (first, last) != (0, places):
        x = x[:, :, first:last]
    parts = [x]
    if before > 0:
        parts.insert(0, x.new_zeros(*x.shape[:2], before))
    if after > 0:
        parts.append(x.new_zeros(*x.shape[:2], after))
    return torch.cat(parts, 2) if len(parts) > 1 else x


def at_tap(x: Tensor, tap: int, kernel: int, step: Step, batch: int) -> Tensor:
    """Return what each pixel of a step sees at one tap of the kernel.

    Args:
        x: of the step before, (D, features, pixels * batch).
        tap, kernel: which tap, of how many.
        step: of which the pixels see it.
        batch: images side by side.
    """
    before, after = step.before - tap, step.after - (kernel - 1 - tap)
    return shifted(x, before * batch, after * batch)


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
    batch, kernel = inputs.shape[3], taps_of(weight, inputs)
    hidden = cell = before_first(steps[0], kernel, weight, batch)
    states = []
    for step, x in zip(steps, split(inputs, steps), strict=True):
        taps = [at_tap(hidden, tap, kernel, step, batch) for tap in range(kernel)]
        gates = torch.bmm(weight, torch.cat([x, *taps], 1))
        hidden, cell = lstm(gates, at_tap(cell, own, kernel, step, batch))
        states.append(hidden)
    return torch.cat(states, 2).unflatten(2, (-1, batch))


def split(x: Tensor, steps: Sequence[Step]) -> tuple[Tensor, ...]:
    """Cut an image into its steps: (D, features, pixels, N) into (D, features, pixels * N) each."""
    return x.flatten(2).split([step.pixels * x.shape[3] for step in steps], 2)


def taps_of(weight: Tensor, inputs: Tensor) -> int:
    """How many taps a weight has for hidden states."""
    return (weight.shape[2] - inputs.shape[1]) // (weight.shape[1] // 4)


def before_first(step: Step, kernel: int, weight: Tensor, batch: int) -> Tensor:
    """Return the state of zeros that the first step sees."""
    pixels = step.pixels + kernel - 1 - step.before - step.after
    return weight.new_zeros(len(weight), weight.shape[1] // 4, pixels * batch)
