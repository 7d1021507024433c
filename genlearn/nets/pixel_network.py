"""What every network is that predicts the values of an image one after the other.

A value is one channel of one pixel. Their order is that of reading: row by row, each row from the
left, and within a pixel channel by channel (red, then green, then blue).
"""

from typing import NamedTuple, Protocol

from torch import Tensor


class PixelSizes(NamedTuple):
    """What a model asks of its network."""

    channels: int
    """Of the images."""
    inputs: int
    """Numbers that stand for one value: 1 for a grey level, more for a learned vector."""
    outputs: int
    """Parameters of the distribution of one value."""
    condition: int
    """Length of the vector that says what is known of an image beforehand."""


class PixelCache(Protocol):
    """What a network keeps while an image is drawn, so that nothing is computed twice."""

    def parameters(self, inputs: Tensor, row: int, column: int, channel: int) -> Tensor:
        """Return the parameters of the distribution of one value, given all before it.

        To be called once for each value, in their order.

        Args:
            inputs: (n, channels * inputs, H, W), right up to that value; what stands beyond does
                not matter.
            row, column, channel: which value.

        Returns:
            Shape (n, outputs).
        """
        ...


class PixelNetwork(Protocol):
    """Maps an image to the parameters of the distribution of each value given those before it."""

    def __call__(self, inputs: Tensor, condition: Tensor) -> Tensor:
        """Map inputs (N, channels * inputs, H, W) to parameters (N, channels, H, W, outputs).

        The parameters of a value may depend on the values before it alone, never on itself.
        condition: (N, condition).
        """
        ...

    def cache(self, condition: Tensor, size: tuple[int, int]) -> PixelCache:
        """Begin to draw images of this (height, width), with conditions of shape (n, condition)."""
        ...
