"""Figures that say how good a model is."""

from genlearn.metrics.annealed import (
    Annealed,
    AnnealedEstimate,
    annealed_log_likelihood,
    annealed_log_prob,
    sigmoid_schedule,
)
from genlearn.metrics.class_shares import ClassShares, class_shares
from genlearn.metrics.disentanglement import (
    FactorScore,
    InformationGap,
    active_dimensions,
    factor_score,
    mutual_information_gap,
)
from genlearn.metrics.features import (
    Extractor,
    feature_batches,
    features_of,
    inception_features,
    pixel_features,
)
from genlearn.metrics.frechet import frechet_at_infinity, frechet_distance
from genlearn.metrics.human import (
    criterion_from_rates,
    d_prime_from_pairs,
    d_prime_from_rates,
    interval_from_pairs,
    interval_from_rates,
    trials_for_width,
    wilson,
)
from genlearn.metrics.human_test import HumanResult, HumanTest, Question
from genlearn.metrics.inception_score import InceptionScore, inception_score
from genlearn.metrics.interval import Interval, bootstrap
from genlearn.metrics.kernel_distance import (
    KernelDistance,
    SubsetDistance,
    kernel_distance,
    kernel_distance_of_subsets,
)
from genlearn.metrics.likelihood import (
    Estimate,
    bits_per_dim,
    density_bits_per_dim,
    log_likelihood,
    mean_elbo,
    mean_log_prob,
    mean_over,
)
from genlearn.metrics.memorisation import Memorisation, mann_whitney, memorisation
from genlearn.metrics.modes import ModeCoverage, mode_coverage
from genlearn.metrics.moments import Moments, moments_of
from genlearn.metrics.neighbours import BallCounts, Neighbours, ball_counts, neighbour_distances
from genlearn.metrics.precision_recall import (
    DensityCoverage,
    PrecisionRecall,
    density_coverage,
    precision_recall,
)
from genlearn.metrics.ssim import ms_ssim, psnr, ssim

__all__ = [
    "Annealed",
    "AnnealedEstimate",
    "BallCounts",
    "ClassShares",
    "DensityCoverage",
    "Estimate",
    "Extractor",
    "FactorScore",
    "HumanResult",
    "HumanTest",
    "InceptionScore",
    "InformationGap",
    "Interval",
    "KernelDistance",
    "Memorisation",
    "ModeCoverage",
    "Moments",
    "Neighbours",
    "PrecisionRecall",
    "Question",
    "SubsetDistance",
    "active_dimensions",
    "annealed_log_likelihood",
    "annealed_log_prob",
    "ball_counts",
    "bits_per_dim",
    "bootstrap",
    "class_shares",
    "criterion_from_rates",
    "d_prime_from_pairs",
    "d_prime_from_rates",
    "density_bits_per_dim",
    "density_coverage",
    "factor_score",
    "feature_batches",
    "features_of",
    "frechet_at_infinity",
    "frechet_distance",
    "inception_features",
    "inception_score",
    "interval_from_pairs",
    "interval_from_rates",
    "kernel_distance",
    "kernel_distance_of_subsets",
    "log_likelihood",
    "mann_whitney",
    "mean_elbo",
    "mean_log_prob",
    "mean_over",
    "memorisation",
    "mode_coverage",
    "moments_of",
    "ms_ssim",
    "mutual_information_gap",
    "neighbour_distances",
    "pixel_features",
    "precision_recall",
    "psnr",
    "sigmoid_schedule",
    "ssim",
    "trials_for_width",
    "wilson",
]
