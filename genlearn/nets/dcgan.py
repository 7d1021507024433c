"""Generator and discriminator of convolutions alone, by the rules of the DCGAN.

Strides in place of pooling; batch normalisation in both networks, but for the generator's last
layer and the discriminator's first; no fully connected hidden layers; ReLU in the generator, and
tanh at its end; leaky ReLU in the discriminator; weights from N(0, 0.02²). Each rule can be
switched off, to see what it is good for.

A kernel of 4 with a stride of 2: the stride divides the kernel, so every output pixel of a
transposed convolution is a sum of equally many terms. With 3 or 5 it is not: a constant input gives
a checkerboard.

Source: Radford et al. (2016), Unsupervised Representation Learning with Deep Convolutional
Generative Adversarial Networks, arXiv 1511.06434.
"""

from collections.abc import Sequence
from itertools import pairwise
from math import prod
from typing import Literal

from torch import nn

from genlearn.nets.conv import check_channels, image_sizes

Normalisation = Literal["batch", "group", "none"]
"""Of feature maps: by statistics of the batch, of each image alone, or not at all."""


def dcgan_generator(
    latent_dim: int,
    shape: tuple[int, int, int],
    channels: Sequence[int] = (32, 64),
    *,
    normalise: Normalisation = "batch",
    strided: bool = True,
    hidden: Sequence[int] = (),
    leaky: float = 0.0,
    tanh: bool = True,
    init_std: float | None = 0.02,
) -> nn.Sequential:
    """Map noise (N, latent_dim) to images (N, C, H, W) in [-1, 1], of any size.

    Sizes follow eq-dcgan-transposed-size, the kernel eq-dcgan-overlap, the first weights
    eq-dcgan-start.

    Args:
        latent_dim: length of the noise.
        shape: (C, H, W) of one image.
        channels: of the feature maps, from the largest down: the first is half as high and wide as
            the image (rounded up), each other half as high and wide as the one before.
        normalise: every layer of feature maps. "batch": by statistics of the batch, for each
            channel; "group": of each image alone, over all its channels; or "none".
        strided: grow by transposed convolutions of stride 2; or else by nearest-neighbour
            upsampling, with a convolution of stride 1 behind it.
        hidden: widths of fully connected layers between the noise and the feature maps.
        leaky: slope of the rectifier below 0.
        tanh: whether it stands at the end. Without it values may leave [-1, 1].
        init_std: of the first weights, with biases 0; None leaves them as PyTorch draws them.

    Raises:
        ValueError: if there are no channels, or there is no such normalisation.
    """
    check_channels(channels)
    sizes = image_sizes(*shape[1:], len(channels) + 1)
    smallest = (channels[-1], *sizes[-1])
    layers = _fully_connected((latent_dim, *hidden), leaky)
    # The paper's first layer, a transposed convolution of a 1 x 1 image, is this linear map.
    first = nn.Linear((latent_dim, *hidden)[-1], prod(smallest), bias=_biased(normalise))
    layers.extend([first, nn.Unflatten(1, smallest)])
    widths = (*reversed(channels), shape[0])
    for i, (before, after) in enumerate(pairwise(widths), start=1):
        layers.extend([*_normalisation(normalise, before), _rectifier(leaky)])
        bias = _biased(normalise) or i == len(channels)
        layers.extend(_growing(before, after, sizes[-1 - i], strided, bias))
    if tanh:
        layers.append(nn.Tanh())
    return _initialised(nn.Sequential(*layers), init_std)


def dcgan_discriminator(
    shape: tuple[int, int, int],
    channels: Sequence[int] = (32, 64),
    *,
    normalise: Normalisation = "batch",
    strided: bool = True,
    hidden: Sequence[int] = (),
    leaky: float = 0.2,
    init_std: float | None = 0.02,
) -> nn.Sequential:
    """Map images (N, C, H, W) of any size to logits (N,): the generator's mirror image.

    Sizes follow eq-dcgan-conv-size. The layers are those of eq-dcgan-conv.

    With "batch", the logit of an image depends on the others of its batch. Penalties of the
    gradient ask for "group" or "none".

    Args:
        shape: (C, H, W) of one image.
        channels: of the feature maps, from the largest down, as for the generator.
        normalise: every layer of feature maps but the first; see :func:`dcgan_generator`.
        strided: shrink by convolutions of stride 2; or else by the maximum over 2 x 2 pixels,
            behind a convolution of stride 1.
        hidden: widths of fully connected layers between the feature maps and the logit.
        leaky: slope of the rectifier below 0; 0 is ReLU.
        init_std: of the first weights, with biases 0; None leaves them as PyTorch draws them.

    Raises:
        ValueError: if there are no channels, or there is no such normalisation.
    """
    check_channels(channels)
    sizes = image_sizes(*shape[1:], len(channels) + 1)
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(pairwise((shape[0], *channels))):
        layers.extend(_shrinking(before, after, sizes[i], strided, _biased(normalise) or i == 0))
        if i > 0:
            layers.extend(_normalisation(normalise, after))
        layers.append(_rectifier(leaky))
    widths = (channels[-1] * prod(sizes[-1]), *hidden)
    layers.extend([nn.Flatten(), *_fully_connected(widths, leaky), nn.Linear(widths[-1], 1)])
    return _initialised(nn.Sequential(*layers, nn.Flatten(0)), init_std)


def _growing(
    before: int, after: int, size: tuple[int, int], strided: bool, bias: bool
) -> list[nn.Module]:
    """Double height and width, to a size that is known, since it may be odd."""
    if not strided:
        return [nn.Upsample(size), nn.Conv2d(before, after, 3, padding=1, bias=bias)]
    odd = (size[0] % 2, size[1] % 2)
    padding = (1 + odd[0], 1 + odd[1])
    return [nn.ConvTranspose2d(before, after, 4, 2, padding, odd, bias=bias)]


def _shrinking(
    before: int, after: int, size: tuple[int, int], strided: bool, bias: bool
) -> list[nn.Module]:
    """Halve height and width of feature maps of a size, rounded up."""
    if not strided:
        convolution = nn.Conv2d(before, after, 3, padding=1, bias=bias)
        return [convolution, nn.MaxPool2d(2, ceil_mode=True)]
    padding = (1 + size[0] % 2, 1 + size[1] % 2)
    return [nn.Conv2d(before, after, 4, 2, padding, bias=bias)]


def _fully_connected(widths: Sequence[int], leaky: float) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers.extend([nn.Linear(before, after), _rectifier(leaky)])
    return layers


def _rectifier(leaky: float) -> nn.Module:
    return nn.LeakyReLU(leaky) if leaky else nn.ReLU()


def _normalisation(normalise: str, channels: int) -> list[nn.Module]:
    kinds = {"batch": [nn.BatchNorm2d(channels)], "group": [nn.GroupNorm(1, channels)], "none": []}
    if normalise not in kinds:
        raise ValueError(f"normalise must be batch, group or none, got {normalise!r}")
    return kinds[normalise]


def _biased(normalise: str) -> bool:
    """Say whether a layer needs a bias; batch norm takes it off, and brings its own."""
    return normalise != "batch"


def _initialised(network: nn.Sequential, std: float | None) -> nn.Sequential:
    layers = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    for layer in network.modules():
        if std is not None and isinstance(layer, layers):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network
