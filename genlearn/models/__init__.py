"""Models: what they assume, their likelihoods or losses, and how they are sampled."""

from genlearn.models.classifier import Classifier
from genlearn.models.code_prior import CodePrior, IndependentPrior, PixelPrior
from genlearn.models.conditional_gan import ConditionalGAN
from genlearn.models.conditional_vae import ConditionalVAE
from genlearn.models.directions import (
    Components,
    mean_difference,
    principal_directions,
    separating_direction,
    slope_direction,
    without,
)
from genlearn.models.gan import GAN
from genlearn.models.hierarchical import HierarchicalVAE
from genlearn.models.image_transformer import image_transformer
from genlearn.models.inversion import Inversion, invert, noise_regression_loss, squared_error
from genlearn.models.latent import linear_path, spherical_path, towards, truncated_noise
from genlearn.models.pixel_lstm import pixel_lstm
from genlearn.models.pixel_model import PixelModel
from genlearn.models.pixelcnn import gated_pixel_cnn, pixel_cnn
from genlearn.models.pixelcnn_pp import pixel_cnn_pp
from genlearn.models.pixelrnn import diagonal_bilstm, row_lstm
from genlearn.models.ppca import PPCA
from genlearn.models.vae import VAE, Terms
from genlearn.models.vqvae import VQVAE, CodeTerms

__all__ = [
    "GAN",
    "PPCA",
    "VAE",
    "VQVAE",
    "Classifier",
    "CodePrior",
    "CodeTerms",
    "Components",
    "ConditionalGAN",
    "ConditionalVAE",
    "HierarchicalVAE",
    "IndependentPrior",
    "Inversion",
    "PixelModel",
    "PixelPrior",
    "Terms",
    "diagonal_bilstm",
    "gated_pixel_cnn",
    "image_transformer",
    "invert",
    "linear_path",
    "mean_difference",
    "noise_regression_loss",
    "pixel_cnn",
    "pixel_cnn_pp",
    "pixel_lstm",
    "principal_directions",
    "row_lstm",
    "separating_direction",
    "slope_direction",
    "spherical_path",
    "squared_error",
    "towards",
    "truncated_noise",
    "without",
]
