"""Whole runs: settings that work, from the data to samples. One file a family of models."""

from genlearn.recipes import gan, plane_gan, vae, vqvae

RECIPES = {recipe.NAME: recipe for recipe in (vae, vqvae, gan)}
"""What ``genlearn train`` offers.

Each module has Config, config(), run(), summary(), load() and sample().
"""

__all__ = ["RECIPES", "gan", "plane_gan", "vae", "vqvae"]
