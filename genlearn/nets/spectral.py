"""Spectral normalisation of every layer of a network.

Source: Miyato et al. (2018), Spectral Normalization for Generative Adversarial Networks,
arXiv 1802.05957.
"""

from torch import nn
from torch.nn.utils.parametrizations import spectral_norm


def spectrally_normalised(network: nn.Module) -> nn.Module:
    """Divide each layer's weight by its largest singular value; return the network.

    By PyTorch's own parametrisation: each pass in training mode takes one step of the power
    iteration (eq-stable-power), whose vectors are buffers. A linear layer then stretches no
    difference, once the iteration has found the value, and so does a network of them
    (eq-stable-composition). A convolution's weight is taken as the matrix (outputs, inputs times
    kernel), whose norm is not that of the convolution: that may stretch by up to the square root of
    the number of places in its kernel.

    Args:
        network: its linear layers and (transposed) convolutions are changed in place.
    """
    kinds = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)
    for layer in [layer for layer in network.modules() if isinstance(layer, kinds)]:
        spectral_norm(layer)
    return network
