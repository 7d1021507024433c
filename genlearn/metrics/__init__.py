"""Figures that say how good a model is."""

from genlearn.metrics.likelihood import Estimate, bits_per_dim, log_likelihood, mean_elbo

__all__ = ["Estimate", "bits_per_dim", "log_likelihood", "mean_elbo"]
