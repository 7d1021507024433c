"""Residual generator and discriminator, for spectral normalisation or penalties of the gradient.

Sources: Gulrajani et al. (2017), Improved Training of Wasserstein GANs, arXiv 1704.00028; Miyato et
al. (2018), Spectral Normalization for Generative Adversarial Networks, arXiv 1802.05957.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from math import prod

import torch.nn.functional as F
from torch import Tensor, nn

from genlearn.nets.conv import check_channels, image_sizes


class GrowingBlock(nn.Module):
    """Twice as high and wide: a shortcut, plus two convolutions behind batch norm and ReLU.

    Args:
        before, after: channels of input and output.
        size: height and width of the output.
    """

    def __init__(self, before: int, after: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.first_norm, self.second_norm = nn.BatchNorm2d(before), nn.BatchNorm2d(after)
        self.grow = nn.Upsample(size)
        self.first = nn.Conv2d(before, after, 3, padding=1, bias=False)  # a norm's bias follows
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, before, h, w) to (N, after, *size)."""
        hidden = self.first(self.grow(F.relu(self.first_norm(x))))
        # A 1 x 1 convolution and nearest-neighbour upsampling may change places: the small one
        # first costs a quarter.
        return self.second(F.relu(self.second_norm(hidden))) + self.grow(self.shortcut(x))


class ShrinkingBlock(nn.Module):
    """Half as high and wide (rounded up): a shortcut, plus two convolutions, and their average.

    Args:
        before, after: channels of input and output.
        shrink: whether to halve the size at all.
        activate: whether a ReLU comes first; not where the input is an image.
    """

    def __init__(
        self, before: int, after: int, *, shrink: bool = True, activate: bool = True
    ) -> None:
        super().__init__()
        self.activate = activate
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.shortcut = nn.Conv2d(before, after, 1)
        # At an odd border the mean is over the pixels that there are.
        pool = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)
        self.shrink = pool if shrink else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, before, H, W) to (N, after, h, w)."""
        hidden = self.first(F.relu(x) if self.activate else x)
        hidden = self.shrink(self.second(F.relu(hidden)))
        return hidden + self.shortcut(self.shrink(x))


class _SumOverPlaces(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.sum((2, 3))


def resnet_generator(
    latent_dim: int, shape: tuple[int, int, int], channels: Sequence[int] = (64, 128)
) -> nn.Sequential:
    """Map noise (N, latent_dim) to images (N, C, H, W) in [-1, 1], of any size.

    Args:
        latent_dim: length of the noise.
        shape: (C, H, W) of one image.
        channels: of the feature maps, from the largest down, as for
            :func:`genlearn.nets.dcgan_generator`.

    Raises:
        ValueError: if there are no channels.
    """
    check_channels(channels)
    sizes = image_sizes(*shape[1:], len(channels) + 1)
    smallest = (channels[-1], *sizes[-1])
    layers = [nn.Linear(latent_dim, prod(smallest)), nn.Unflatten(1, smallest)]
    # The last block keeps its channels: it reaches the image's own size.
    widths = (*reversed(channels), channels[0])
    for (before, after), size in zip(pairwise(widths), reversed(sizes[:-1]), strict=True):
        layers.append(GrowingBlock(before, after, size))
    layers.extend([nn.BatchNorm2d(channels[0]), nn.ReLU()])
    layers.extend([nn.Conv2d(channels[0], shape[0], 3, padding=1), nn.Tanh()])
    return _initialised(nn.Sequential(*layers))


def resnet_discriminator(
    shape: tuple[int, int, int], channels: Sequence[int] = (64, 128)
) -> nn.Sequential:
    """Map images (N, C, H, W) of any size to logits (N,), each from its own image alone.

    There is no normalisation of feature maps: a penalty of the gradient, or
    :func:`genlearn.nets.spectrally_normalised`, takes its place.

    Args:
        shape: (C, H, W) of one image.
        channels: of the feature maps, from the largest down, as for the generator.

    Raises:
        ValueError: if there are no channels.
    """
    check_channels(channels)
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(pairwise((shape[0], *channels))):
        layers.append(ShrinkingBlock(before, after, activate=i > 0))
    layers.extend([ShrinkingBlock(channels[-1], channels[-1], shrink=False), nn.ReLU()])
    layers.extend([_SumOverPlaces(), nn.Linear(channels[-1], 1), nn.Flatten(0)])
    return _initialised(nn.Sequential(*layers))


def _initialised(network: nn.Sequential) -> nn.Sequential:
    """Draw weights so that their gradients keep their size from layer to layer."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            behind_relu = isinstance(layer, nn.Conv2d) and layer.kernel_size == (3, 3)
            nn.init.xavier_uniform_(layer.weight, gain=math.sqrt(2) if behind_relu else 1.0)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network
