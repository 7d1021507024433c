"""Random numbers for data that must be the same everywhere and always.

The streams of torch and NumPy may change from one version to the next. NumPy promises that the raw
bits of its generators do not, and the steps from there are exact.
"""

import numpy as np
from numpy.random import PCG64


def uniform(seed: int, *shape: int) -> np.ndarray:
    """Return float64 numbers, 0 ≤ u < 1, of a shape; always the same for the same seed."""
    bits = PCG64(seed).random_raw(int(np.prod(shape)))
    return ((bits >> np.uint64(11)) * 2.0**-53).reshape(shape)


def permutation(seed: int, count: int) -> np.ndarray:
    """Return 0 … count - 1 in random order; always the same for the same seed."""
    return np.argsort(uniform(seed, count), kind="stable")


def to_levels(coverage: np.ndarray) -> np.ndarray:
    """Turn shares of a pixel, 0 … 1, into levels 0 … 255, uint8.

    The inner rounding takes away the last bits, in which the sine of one machine may differ from
    that of another; without it an exact half could go up here and down there.
    """
    return np.rint(np.round(coverage * 255, 6)).astype(np.uint8)
