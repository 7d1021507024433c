"""Multi-layer perceptrons."""

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def mlp(
    sizes: Sequence[int], dropout: float = 0.0, activation: type[nn.Module] = nn.SiLU
) -> nn.Sequential:
    """Linear layers with a nonlinearity between them (none after the last), on the last axis.

    Args:
        sizes: widths from input to output, for example (64, 256, 32).
        dropout: share of hidden values set to zero while training.
        activation: the nonlinearity.

    Raises:
        ValueError: if fewer than two sizes are given.
    """
    if len(sizes) < 2:
        raise ValueError(f"an MLP needs at least an input and an output size, got {sizes}")
    layers: list[nn.Module] = []
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        if i > 0:
            layers.append(activation())
            if dropout > 0:
                layers.append(nn.Dropout(dropout))
        layers.append(nn.Linear(inputs, outputs))
    return nn.Sequential(*layers)
