"""The Fréchet distance: how far apart two clouds of features are, seen as Gaussians.

Source: Dowson and Landau (1982), The Fréchet Distance between Multivariate Normal Distributions;
for images: Heusel et al. (2017), arXiv 1706.08500.
"""

import torch
from torch import Tensor


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """‖m₁ - m₂‖² + tr(C₁ + C₂ - 2 (C₁ C₂)^½), from means and covariances; squared units.

    Zero means equal means and covariances, not equal clouds. The fewer points, the larger the
    distance between two samples of one distribution.

    Args:
        first, second: feature vectors, shape (N, F) and (M, F); at least two each.

    Raises:
        ValueError: if the shapes do not fit, or a value is not finite.
    """
    shapes = tuple(first.shape), tuple(second.shape)
    if any(len(s) != 2 or s[0] < 2 for s in shapes) or shapes[0][1] != shapes[1][1]:
        raise ValueError(f"features must be (N, F) and (M, F), N and M at least 2, got {shapes}")
    first, second = first.double(), second.double()
    if not (first.isfinite().all() and second.isfinite().all()):
        raise ValueError("features must be finite")
    apart = (first.mean(0) - second.mean(0)).square().sum()
    one, two = first.T.cov().view(shapes[0][1], -1), second.T.cov().view(shapes[0][1], -1)
    # C₁ C₂ has the eigenvalues of R C₂ R with R = C₁^½, which is symmetric: real and not negative.
    root = _root(one)
    overlap = torch.linalg.eigvalsh(root @ two @ root).clamp(min=0).sqrt().sum()
    return max(0.0, (apart + one.trace() + two.trace() - 2 * overlap).item())


def _root(symmetric: Tensor) -> Tensor:
    """The square root of a covariance; eigenvalues below zero are rounding, and count as zero."""
    values, vectors = torch.linalg.eigh(symmetric)
    return vectors * values.clamp(min=0).sqrt() @ vectors.T
