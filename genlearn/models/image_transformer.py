"""A model of images by causal self-attention."""

from genlearn import nets
from genlearn.models.pixel_model import PixelModel


def image_transformer(
    shape: tuple[int, int, int],
    levels: int,
    *,
    width: int = 64,
    layers: int = 4,
    heads: int = 4,
    first_kernel: int = 3,
    dropout: float = 0.0,
    **options,
) -> PixelModel:
    """Make a model in which each value looks at all values before it, by attention.

    Args:
        shape, levels: of the images, of any size and number of channels.
        width: of a token, a multiple of heads.
        layers, heads: of the transformer.
        first_kernel: odd size of the masked convolution from which tokens start; 1 shows them
            nothing but earlier channels of their own pixel.
        dropout: share of values set to zero while training.
        options: likelihood, classes and embedding, as for :class:`PixelModel`.

    Source: Parmar et al. (2018), arXiv 1802.05751; here with attention over the whole image.
    """

    def network(sizes: nets.PixelSizes) -> nets.ImageTransformer:
        return nets.ImageTransformer(sizes, shape[1:], width, layers, heads, first_kernel, dropout)

    return PixelModel(network, shape, levels, **options)
