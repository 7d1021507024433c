"""Figures that say how good a model is."""

from genlearn.metrics.disentanglement import (
    FactorScore,
    InformationGap,
    active_dimensions,
    factor_score,
    mutual_information_gap,
)
from genlearn.metrics.likelihood import (
    Estimate,
    bits_per_dim,
    log_likelihood,
    mean_elbo,
    mean_over,
)

__all__ = [
    "Estimate",
    "FactorScore",
    "InformationGap",
    "active_dimensions",
    "bits_per_dim",
    "factor_score",
    "log_likelihood",
    "mean_elbo",
    "mean_over",
    "mutual_information_gap",
]
