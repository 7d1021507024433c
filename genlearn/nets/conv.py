"""Convolutional networks between images and vectors."""

from collections.abc import Sequence
from itertools import pairwise
from math import prod

from torch import Tensor, nn

from genlearn.nets.resnet import ResidualBlock


def image_sizes(height: int, width: int, count: int) -> list[tuple[int, int]]:
    """Sizes of an image that is halved (rounded up) count - 1 times, largest first."""
    sizes = [(height, width)]
    for _ in range(count - 1):
        height, width = (height + 1) // 2, (width + 1) // 2
        sizes.append((height, width))
    return sizes


def conv_features(
    shape: tuple[int, int, int],
    channels: Sequence[int],
    *,
    blocks: int = 1,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Map images (N, C, H, W) of any size to feature maps (N, channels[-1], h, w).

    Args:
        shape: (C, H, W) of one image.
        channels: of the feature maps, from the full size down; each is half as high and wide as the
            one before, rounded up.
        blocks: residual blocks at each size.
        dropout: share of hidden values set to zero while training, inside the blocks.

    Raises:
        ValueError: if there are no channels.
    """
    check_channels(channels)
    layers: list[nn.Module] = [nn.Conv2d(shape[0], channels[0], 3, padding=1)]
    layers.extend(ResidualBlock(channels[0], dropout) for _ in range(blocks))
    for before, after in pairwise(channels):
        layers.append(nn.Conv2d(before, after, 3, stride=2, padding=1))
        layers.extend(ResidualBlock(after, dropout) for _ in range(blocks))
    return nn.Sequential(*layers, nn.GroupNorm(1, channels[-1]), nn.SiLU())


def conv_encoder(
    shape: tuple[int, int, int], channels: Sequence[int], outputs: int, **options: float
) -> nn.Sequential:
    """Map images (N, C, H, W) of any size to vectors (N, outputs).

    Args:
        shape, channels, options: as for :func:`conv_features`.
        outputs: length of the vector.

    Raises:
        ValueError: if there are no channels.
    """
    features = conv_features(shape, channels, **options)
    smallest = image_sizes(*shape[1:], len(channels))[-1]
    last = nn.Linear(channels[-1] * prod(smallest), outputs)
    return nn.Sequential(*features, nn.Flatten(), last)


class ConvDecoder(nn.Sequential):
    """Map vectors (N, inputs) to (N, C, H, W, parameters): the encoder's mirror image.

    Or grids of vectors, (N, inputs, h, w), of the size of the encoder's smallest feature maps.

    Feature maps grow by nearest-neighbour upsampling to the very sizes at which the encoder had
    them, so odd heights and widths need no care.

    Args:
        inputs: length of a vector.
        shape: (C, H, W) of one image.
        channels: of the feature maps, from the full size down, as for the encoder.
        parameters: numbers for each value of the image.
        blocks: residual blocks at each size.
        dropout: share of hidden values set to zero while training, inside the blocks.
        grid: whether there is a vector for each place of the smallest feature maps.

    Raises:
        ValueError: if there are no channels.
    """

    def __init__(
        self,
        inputs: int,
        shape: tuple[int, int, int],
        channels: Sequence[int],
        parameters: int,
        *,
        blocks: int = 1,
        dropout: float = 0.0,
        grid: bool = False,
    ) -> None:
        check_channels(channels)
        sizes = image_sizes(*shape[1:], len(channels))
        layers: list[nn.Module] = []
        if grid:
            layers.append(nn.Conv2d(inputs, channels[-1], 3, padding=1))
        else:
            first = nn.Linear(inputs, channels[-1] * prod(sizes[-1]))
            # Places differ from the first step on, whatever the code says; else codes would have to
            # tell the border from the middle, and move far from the prior to do so.
            nn.init.normal_(first.bias)
            layers.extend([first, nn.Unflatten(1, (channels[-1], *sizes[-1]))])
        layers.extend(ResidualBlock(channels[-1], dropout) for _ in range(blocks))
        small_to_large = zip(pairwise(reversed(channels)), reversed(sizes[:-1]), strict=True)
        for (before, after), size in small_to_large:
            layers.extend([nn.Upsample(size), nn.Conv2d(before, after, 3, padding=1)])
            layers.extend(ResidualBlock(after, dropout) for _ in range(blocks))
        layers.extend([nn.GroupNorm(1, channels[0]), nn.SiLU()])
        super().__init__(*layers, nn.Conv2d(channels[0], shape[0] * parameters, 1))
        self.parameters_per_value = parameters

    def forward(self, z: Tensor) -> Tensor:
        """Map (N, inputs) to (N, C, H, W, parameters)."""
        planes = super().forward(z).unflatten(1, (-1, self.parameters_per_value))
        return planes.movedim(2, -1)


def check_channels(channels: Sequence[int]) -> None:
    """Check the channels of a convolutional network.

    Raises:
        ValueError: if there are none, or one is below 1.
    """
    if not channels or min(channels) < 1:
        raise ValueError(f"channels must be one or more numbers of at least 1, got {channels}")
