"""Parts of the caches of recurrent networks: what is done for one pixel at a time."""

import torch
import torch.nn.functional as F
from torch import Tensor

from genlearn.nets.masked import MaskedConv2d


class CachedLSTM:
    """One step of an LSTM after the other, in the same memory.

    Args:
        like: a hidden state, (…, n, width).
    """

    def __init__(self, like: Tensor) -> None:
        width = like.shape[-1]
        self.gates = like.new_empty(*like.shape[:-1], 4 * width)
        self.soft = self.gates[..., : 3 * width]
        parts = self.gates.chunk(4, -1)
        self.input_gate, self.forget_gate, self.output_gate, self.candidate = parts
        self.product = torch.addmm if like.ndim == 2 else torch.baddbmm

    def __call__(
        self, start: Tensor, seen: Tensor, weight: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the new hidden state and cell.

        Args:
            start: of the gates, (…, n, 4 * width).
            seen: what is still to be added to them, before its product with the weight.
            weight: (…, inputs, 4 * width).
            cell: of the step before.
        """
        self.product(start, seen, weight, out=self.gates)
        self.soft.sigmoid_()
        self.candidate.tanh_()
        cell = torch.addcmul(self.forget_gate * cell, self.input_gate, self.candidate)
        return self.output_gate * cell.tanh(), cell


class CachedFirst:
    """A network's first convolution for one pixel at a time, straight from the image.

    What the rows above contribute is computed once a row, for all its pixels.
    """

    def __init__(self, layer: MaskedConv2d) -> None:
        kernel, self.bias, self.reach = layer.masked_weight(), layer.bias, layer.reach
        self.above = kernel[:, :, :-1]
        # Of the last row, the pixel itself and those on its left: at a row's start there are fewer.
        row = kernel[:, :, -1, : self.reach + 1].movedim(0, 2)  # (in, taps, out)
        self.row = [
            row[:, self.reach - column :].flatten(0, 1).contiguous()
            for column in range(self.reach + 1)
        ]

    def begin_row(self, inputs: Tensor, row: int) -> None:
        """Compute what a row gets from those above it."""
        width = inputs.shape[3]
        if not self.reach:
            self.from_above = (self.bias,) * width
            return
        rows = inputs[:, :, max(0, row - self.reach) : row]
        padded = F.pad(rows, (self.reach, self.reach, self.reach - rows.shape[2], 0))
        above = F.conv2d(padded, self.above, self.bias)
        self.from_above = above.squeeze(2).permute(2, 0, 1).contiguous().unbind()

    def __call__(self, inputs: Tensor, row: int, column: int) -> Tensor:
        """Return the features of one pixel, (n, out)."""
        taps = inputs[:, :, row, max(0, column - self.reach) : column + 1].flatten(1)
        return torch.addmm(self.from_above[column], taps, self.row[min(column, self.reach)])
