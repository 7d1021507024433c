"""Convolutional models that predict an image value by value."""

from genlearn import nets
from genlearn.models.pixel_model import PixelModel


def pixel_cnn(
    shape: tuple[int, int, int],
    levels: int,
    *,
    features: int = 64,
    layers: int = 5,
    first_kernel: int = 7,
    kernel: int = 3,
    head: int = 64,
    dropout: float = 0.0,
    places: bool = False,
    **options,
) -> PixelModel:
    """Make a PixelCNN: one network of masked convolutions.

    Args:
        shape, levels: of the images, of any size and number of channels.
        features: of the feature maps; half of them must be a multiple of the channels.
        layers: residual blocks.
        first_kernel, kernel: odd sizes, of the first layer and of the blocks.
        head: hidden features of the two last layers, a multiple of the channels.
        dropout: share of hidden values set to zero while training.
        places: whether features of each place are learned, for images that are centred.
        options: likelihood, classes and embedding, as for :class:`PixelModel`.

    Source: van den Oord et al. (2016), arXiv 1601.06759, section 3.6.
    """

    def network(sizes: nets.PixelSizes) -> nets.PixelCNN:
        of_places = shape[1:] if places else None
        return nets.PixelCNN(
            sizes, features, layers, first_kernel, kernel, head, dropout, of_places
        )

    return PixelModel(network, shape, levels, **options)


def gated_pixel_cnn(
    shape: tuple[int, int, int],
    levels: int,
    *,
    features: int = 32,
    layers: int = 5,
    first_kernel: int = 7,
    kernel: int = 3,
    head: int = 64,
    dropout: float = 0.0,
    **options,
) -> PixelModel:
    """Make a Gated PixelCNN: two stacks of convolutions with gates, and no blind spot.

    Args:
        shape, levels: of the images, of any size and number of channels.
        features: of each stack, a multiple of the channels.
        layers: of both stacks.
        first_kernel, kernel: odd sizes, of the first layer and of the others.
        head: features of the two last layers, a multiple of the channels.
        dropout: share of hidden values set to zero while training.
        options: likelihood, classes and embedding, as for :class:`PixelModel`.

    Source: van den Oord et al. (2016), Conditional Image Generation with PixelCNN Decoders,
    arXiv 1606.05328.
    """

    def network(sizes: nets.PixelSizes) -> nets.GatedPixelCNN:
        return nets.GatedPixelCNN(sizes, features, layers, first_kernel, kernel, head, dropout)

    return PixelModel(network, shape, levels, **options)
