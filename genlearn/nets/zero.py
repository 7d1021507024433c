"""Layers that begin by adding nothing."""

from torch import nn


def start_at_zero(layer: nn.Module) -> nn.Module:
    """Set all parameters of a layer to 0, so that at first its output is 0; return the layer.

    For the last layer of an encoder: mean 0 and log standard deviation 0, so q(z | x) = p(z) for
    every image, and codes begin by saying nothing.
    """
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
