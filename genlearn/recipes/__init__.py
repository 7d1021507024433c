"""Whole runs: settings that work, from the data to samples. One file a family of models."""

from genlearn.recipes import gan, pixel, plane_gan, vae, vqvae

RECIPES = {recipe.NAME: recipe for recipe in (vae, vqvae, gan, pixel)}
"""What ``genlearn train`` offers.

Each module has Config, config(), run(), summary(), load() and sample().
"""

__all__ = ["RECIPES", "gan", "pixel", "plane_gan", "vae", "vqvae"]
