"""A recurrent model that predicts an image value by value."""

from genlearn import nets
from genlearn.models.pixel_model import PixelModel


def pixel_lstm(
    shape: tuple[int, int, int],
    levels: int,
    *,
    hidden: int = 160,
    layers: int = 1,
    cell: nets.Cell = "lstm",
    position: int = 8,
    head: int = 64,
    dropout: float = 0.0,
    **options,
) -> PixelModel:
    """Make an LSTM or GRU that reads images of one size value by value; alg-sequence.

    Args:
        shape, levels: of the images, of any size and number of channels.
        hidden: length of a state.
        layers: states one above the other.
        cell: "lstm" or "gru".
        position: length of the learned vector that says where a value is.
        head: hidden features between a state and the parameters.
        dropout: share of features set to zero while training, between layers and in the head.
        options: likelihood, classes and embedding, as for :class:`PixelModel`.
    """

    def network(sizes: nets.PixelSizes) -> nets.PixelLSTM:
        return nets.PixelLSTM(sizes, shape[1:], hidden, layers, cell, position, head, dropout)

    return PixelModel(network, shape, levels, **options)
