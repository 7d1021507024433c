"""How evenly samples fall on the classes of the data, by the word of a classifier."""

from typing import NamedTuple

import torch
from torch import Tensor


class ClassShares(NamedTuple):
    """What :func:`class_shares` counts."""

    shares: Tensor
    """Of all samples, the part of each class, float64, (K,); adds up to 1."""
    relative: Tensor
    """Each share over its fair share, (K,): 1 is right, 0 is a class that never comes."""
    smallest: float
    """The smallest relative share."""
    rarest: int
    """The class that has it."""


def class_shares(labels: Tensor, fair: Tensor) -> ClassShares:
    """Count the classes of samples, and compare with what the data have.

    A classifier calls every image something. So a good share of a class says that something like
    it comes, not that it is well drawn.

    Args:
        labels: of the samples, as a classifier sees them: int64, (N,), 0 … K - 1.
        fair: numbers in proportion to the shares in the data, such as counts; (K,), above 0.

    Raises:
        ValueError: if there is no sample, a label is no class, or a fair share is not above 0.
    """
    if labels.ndim != 1 or len(labels) == 0 or not 0 <= labels.min() <= labels.max() < len(fair):
        raise ValueError(f"there must be samples, with labels from 0 to {len(fair) - 1}")
    if not (fair > 0).all():
        raise ValueError("every class must have a fair share above 0")
    shares = torch.bincount(labels.cpu(), minlength=len(fair)).double() / len(labels)
    relative = shares / (fair.cpu().double() / fair.sum().item())
    return ClassShares(shares, relative, relative.min().item(), int(relative.argmin()))
