"""An LSTM for one pixel at a time, as the caches of recurrent networks need it."""

import torch
from torch import Tensor


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
