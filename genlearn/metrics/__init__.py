"""Figures that say how good a model is."""

from genlearn.metrics.class_shares import ClassShares, class_shares
from genlearn.metrics.disentanglement import (
    FactorScore,
    InformationGap,
    active_dimensions,
    factor_score,
    mutual_information_gap,
)
from genlearn.metrics.frechet import frechet_distance
from genlearn.metrics.likelihood import (
    Estimate,
    bits_per_dim,
    log_likelihood,
    mean_elbo,
    mean_log_prob,
    mean_over,
)
from genlearn.metrics.modes import ModeCoverage, mode_coverage

__all__ = [
    "ClassShares",
    "Estimate",
    "FactorScore",
    "InformationGap",
    "ModeCoverage",
    "active_dimensions",
    "bits_per_dim",
    "class_shares",
    "factor_score",
    "frechet_distance",
    "log_likelihood",
    "mean_elbo",
    "mean_log_prob",
    "mean_over",
    "mode_coverage",
    "mutual_information_gap",
]
