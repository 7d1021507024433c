"""Recurrent models that predict an image value by value.

Source: van den Oord et al. (2016), Pixel Recurrent Neural Networks, arXiv 1601.06759.
"""

from genlearn import nets
from genlearn.models.pixel_model import PixelModel


def row_lstm(
    shape: tuple[int, int, int],
    levels: int,
    *,
    features: int = 64,
    hidden: int | None = None,
    layers: int = 2,
    first_kernel: int = 5,
    kernel: int = 3,
    head: int = 64,
    dropout: float = 0.0,
    fused: bool = False,
    **options,
) -> PixelModel:
    """Make a PixelRNN of Row LSTMs.

    Args:
        shape, levels: of the images, of any size and number of channels.
        features: of the feature maps, a multiple of the channels.
        hidden: features of the LSTMs' states, a multiple of the channels; a masked 1 x 1
            convolution takes them up to ``features`` (the paper has half as many). By default as
            many as features, and added as they are.
        layers: of LSTMs, each added to its input.
        first_kernel, kernel: odd sizes, of the first layer and of the convolutions along rows.
        head: hidden features of the two last layers, a multiple of the channels.
        dropout: share of values set to zero while training.
        fused: train with the gradient written by hand: faster, same numbers.
        options: likelihood, classes and embedding, as for :class:`PixelModel`.

    Source: van den Oord et al. (2016), arXiv 1601.06759, section 3.1.
    """

    def network(sizes: nets.PixelSizes) -> nets.RowLSTM:
        sizes_of_layers = features, hidden, layers, first_kernel, kernel, head
        return nets.RowLSTM(sizes, *sizes_of_layers, dropout, fused)

    return PixelModel(network, shape, levels, **options)


def diagonal_bilstm(
    shape: tuple[int, int, int],
    levels: int,
    *,
    features: int = 64,
    hidden: int | None = None,
    layers: int = 2,
    first_kernel: int = 5,
    head: int = 64,
    dropout: float = 0.0,
    mended: bool = True,
    fused: bool = False,
    **options,
) -> PixelModel:
    """Make a PixelRNN of Diagonal BiLSTMs.

    Args:
        shape, levels, features, hidden, layers, first_kernel, head, dropout, fused, options: as
            for :func:`row_lstm`.
        mended: False leaves the last pixel of the row above unseen, as the paper does; see
            :class:`genlearn.nets.DiagonalBiLSTM`.

    Source: van den Oord et al. (2016), arXiv 1601.06759, section 3.2.
    """

    def network(sizes: nets.PixelSizes) -> nets.DiagonalBiLSTM:
        sizes_of_layers = features, hidden, layers, first_kernel, head
        return nets.DiagonalBiLSTM(sizes, *sizes_of_layers, dropout, mended, fused)

    return PixelModel(network, shape, levels, **options)
