"""genlearn: GAN, VAE and PixelRNN models to learn from, small enough to read in one sitting."""

from genlearn import data, distributions, gradients, losses, metrics, models, nets, training

__version__ = "0.1.0"

__all__ = [
    "__version__",
    "data",
    "distributions",
    "gradients",
    "losses",
    "metrics",
    "models",
    "nets",
    "training",
]
