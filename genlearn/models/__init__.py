"""Models: what they assume, their likelihoods or losses, and how they are sampled."""

from genlearn.models.code_prior import CodePrior, IndependentPrior
from genlearn.models.ppca import PPCA
from genlearn.models.vae import VAE, Terms
from genlearn.models.vqvae import VQVAE, CodeTerms

__all__ = ["PPCA", "VAE", "VQVAE", "CodePrior", "CodeTerms", "IndependentPrior", "Terms"]
