"""Whole runs: settings that work, from the data to samples. One file a family of models."""

from genlearn.recipes import vae, vqvae

RECIPES = {recipe.NAME: recipe for recipe in (vae, vqvae)}
"""What ``genlearn train`` offers. Each module has Config, config(), run(), load(), sample()."""

__all__ = ["RECIPES", "vae", "vqvae"]
