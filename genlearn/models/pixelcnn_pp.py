"""PixelCNN++."""

from genlearn import nets
from genlearn.distributions import ColourChain, DrawableLikelihood, LogisticPixels
from genlearn.models.pixel_model import PixelModel


def pixel_cnn_pp(
    shape: tuple[int, int, int],
    levels: int,
    *,
    features: int = 32,
    layers: int = 2,
    scales: int = 3,
    dropout: float = 0.0,
    likelihood: DrawableLikelihood | None = None,
    **options,
) -> PixelModel:
    """Make a PixelCNN++: two streams at several sizes, with short-cuts, and a logistic mixture.

    Args:
        shape, levels: of the images, of any size and number of channels.
        features: of each stream.
        layers: blocks of each stream at each size on the way down. On the way up there are as many
            at the smallest size, and one more at each other.
        scales: sizes at which it looks at an image, each half as high and wide, rounded up. 1 for
            no change of size.
        dropout: share of hidden values set to zero while training.
        likelihood: by default a mixture of 5 logistic densities,
            :class:`~genlearn.distributions.LogisticPixels`; for colours, nothing else will do. All
            channels of a pixel share one mixture then, and each moves the means of those behind it
            (:class:`~genlearn.distributions.ColourChain`).
        options: classes and embedding (of images of one channel), as for :class:`PixelModel`.

    Raises:
        ValueError: if colours have another likelihood, or are given as learned vectors.

    Source: Salimans et al. (2017), PixelCNN++, arXiv 1701.05517.
    """
    likelihood = likelihood or LogisticPixels(levels, components=5)

    def network(sizes: nets.PixelSizes) -> nets.PixelCNNpp:
        if sizes.channels == 1:
            return nets.PixelCNNpp(sizes, features, layers, scales, dropout)
        if not isinstance(likelihood, LogisticPixels):
            raise ValueError("the channels of a PixelCNN++ share a mixture: use LogisticPixels")
        if sizes.inputs != 1:
            raise ValueError("a PixelCNN++ needs the levels of colours themselves: embedding=0")
        chain = ColourChain(sizes.channels, likelihood.components, levels)
        return nets.PixelCNNpp(
            sizes, features, layers, scales, dropout, chain, chain.parameters_per_pixel
        )

    return PixelModel(network, shape, levels, likelihood=likelihood, **options)
