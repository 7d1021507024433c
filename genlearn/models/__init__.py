"""Models: what they assume, their likelihoods or losses, and how they are sampled."""

from genlearn.models.ppca import PPCA
from genlearn.models.vae import VAE, Terms

__all__ = ["PPCA", "VAE", "Terms"]
