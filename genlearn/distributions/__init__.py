"""Probability distributions, as torch.distributions objects.

``validate_args=False`` throughout: PyTorch's own validation reads values back from the device, and
so makes a GPU wait. What a user may get wrong is checked once, where images enter
(:class:`genlearn.data.Split`, :func:`check_images`).
"""

from genlearn.distributions.colours import ColourChain
from genlearn.distributions.dequantised import DequantisedNormal, GaussianPixels
from genlearn.distributions.gaussian import diagonal_normal, standard_normal
from genlearn.distributions.logistic import DiscretisedLogisticMixture, LogisticPixels
from genlearn.distributions.pixels import (
    BernoulliPixels,
    CategoricalCodes,
    CategoricalPixels,
    DrawableLikelihood,
    PixelLikelihood,
    at_least_float32,
    check_images,
    level_dtype,
    likelihood_for,
    scaled_images,
)

__all__ = [
    "BernoulliPixels",
    "CategoricalCodes",
    "CategoricalPixels",
    "ColourChain",
    "DequantisedNormal",
    "DiscretisedLogisticMixture",
    "DrawableLikelihood",
    "GaussianPixels",
    "LogisticPixels",
    "PixelLikelihood",
    "at_least_float32",
    "check_images",
    "diagonal_normal",
    "level_dtype",
    "likelihood_for",
    "scaled_images",
    "standard_normal",
]
