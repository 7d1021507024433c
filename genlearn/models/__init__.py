"""Models: what they assume, their likelihoods or losses, and how they are sampled."""

from genlearn.models.classifier import Classifier
from genlearn.models.code_prior import CodePrior, IndependentPrior
from genlearn.models.conditional_vae import ConditionalVAE
from genlearn.models.gan import GAN
from genlearn.models.hierarchical import HierarchicalVAE
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
    "ConditionalVAE",
    "HierarchicalVAE",
    "IndependentPrior",
    "Terms",
]
