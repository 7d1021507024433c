"""Do single dimensions of a code follow single factors of the images? Two scores, and a count.

They need images whose factors are known, such as the data set ``shapes``. The codes are posterior
means. Neither score can be trusted alone: see sec-beta-locatello.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class InformationGap(NamedTuple):
    """Mutual-information gap; eq-beta-mig."""

    score: float
    """Mean of the gaps: 1 if each factor has one dimension of its own, which tells it exactly."""
    gaps: Tensor
    """Gap of each factor, shape (F,): share of its entropy, 0 … 1."""
    information: Tensor
    """Mutual information of each factor and dimension, nats, shape (F, L)."""
    entropies: Tensor
    """Entropy of each factor, nats, shape (F,)."""


class FactorScore(NamedTuple):
    """How often a majority vote names the factor that was held fixed; alg-beta-factor-score."""

    accuracy: float
    """Share of right votes (goes up)."""
    standard_error: float
    """Of the accuracy, over the votes; not over models."""
    chance: float
    """Accuracy of a code that says nothing: one over the number of factors."""


def active_dimensions(codes: Tensor, threshold: float = 0.01) -> Tensor:
    """Say which dimensions are in use: their posterior means vary over the images.

    Args:
        codes: posterior means, shape (N, L).
        threshold: least variance; 0.01 in Burda et al. (2015), arXiv 1509.00519.

    Returns:
        bool, shape (L,).
    """
    return codes.double().var(0) > threshold


def mutual_information_gap(codes: Tensor, factors: Tensor, bins: int = 32) -> InformationGap:
    """Measure how much more the best dimension tells of a factor than the second best.

    Each dimension is cut into bins of equal width between its least and its largest value, and the
    mutual information is that of the table of counts (no correction: for independent codes it is
    about (bins - 1) (values - 1) / 2N nats too large, for all dimensions alike). A factor may have
    any number of values; each distinct one counts as its own. If factors need more than ``bins``
    values, not even a perfect code scores 1.

    Args:
        codes: posterior means, shape (N, L).
        factors: float or integer, shape (N, F).
        bins: of each dimension.

    Raises:
        ValueError: if shapes do not fit, there is only one dimension, or a factor is constant.

    Source: Chen et al. (2018), arXiv 1802.04942; eq-beta-mig. They average over draws from
    the posterior; we take its mean, as Locatello et al. (2019), arXiv 1811.12359, do.
    """
    _check(codes, factors)
    if codes.shape[1] < 2:
        raise ValueError("a gap needs a second dimension of the code")
    if bins < 2:
        raise ValueError(f"there must be at least 2 bins, got {bins}")
    binned = _binned(codes.double(), bins)
    information, entropies = [], []
    for column in factors.T:
        values, value = column.unique(return_inverse=True)
        shares = torch.bincount(value).double() / len(value)
        entropies.append(-(shares * shares.log()).sum())
        tables = [_table(value, b, len(values), bins) for b in binned.T]
        information.append(torch.stack([_information(table) for table in tables]))
    table, entropy = torch.stack(information), torch.stack(entropies)
    best = table.topk(2, dim=1).values
    gaps = (best[:, 0] - best[:, 1]) / entropy
    return InformationGap(gaps.mean().item(), gaps, table, entropy)


def factor_score(
    codes: Tensor, factors: Tensor, *, batch: int = 64, votes: int = 1000, seed: int = 0
) -> FactorScore:
    """Hold one factor fixed, and tell which by the dimension that varies least.

    For a vote, one factor and one image are drawn at random, then ``batch`` images that share this
    image's value of the factor. The vote is the dimension whose variance among them is least,
    relative to its variance over all images. A table that names the commonest factor for each
    dimension is made from one half of the votes and tried on the other. Dimensions that are not
    :func:`active_dimensions` take no part; a code without any active one scores chance.

    Args:
        codes: posterior means, shape (N, L).
        factors: float or integer, shape (N, F).
        batch: images a vote; drawn with replacement.
        votes: in each half.
        seed: of the draws.

    Raises:
        ValueError: if shapes do not fit, or a factor is constant.

    Source: Kim and Mnih (2018), arXiv 1802.05983; alg-beta-factor-score.
    """
    _check(codes, factors)
    if batch < 2 or votes < 1:
        raise ValueError(f"a vote needs at least 2 images, got batch={batch}, votes={votes}")
    kinds, chance = factors.shape[1], 1 / factors.shape[1]
    active = active_dimensions(codes)
    if not active.any():
        return FactorScore(chance, 0.0, chance)
    codes = codes[:, active].double()
    scaled = codes / codes.std(0)
    generator = torch.Generator().manual_seed(seed)
    ballots = torch.zeros(2, codes.shape[1], kinds, dtype=torch.long)
    for half in ballots:
        for kind in torch.randint(kinds, (votes,), generator=generator).tolist():
            first = torch.randint(len(codes), (), generator=generator)
            alike = (factors[:, kind] == factors[first, kind]).nonzero().flatten()
            drawn = alike[torch.randint(len(alike), (batch,), generator=generator)]
            half[scaled[drawn].var(0).argmin(), kind] += 1
    named = ballots[0].argmax(1, keepdim=True)  # the factor that each dimension stands for
    accuracy = ballots[1].gather(1, named).sum().item() / votes
    error = math.sqrt(accuracy * (1 - accuracy) / votes)
    return FactorScore(accuracy, error, chance)


def _check(codes: Tensor, factors: Tensor) -> None:
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors):
        raise ValueError(
            f"codes must be (N, L) and factors (N, F), got {tuple(codes.shape)} and "
            f"{tuple(factors.shape)}"
        )
    if constant := [k for k, column in enumerate(factors.T) if len(column.unique()) < 2]:
        raise ValueError(f"factors in columns {constant} never change: nothing can be told of them")


def _binned(codes: Tensor, bins: int) -> Tensor:
    """Number of the bin of each value, int64, shape (N, L)."""
    low, high = codes.min(0).values, codes.max(0).values
    width = (high - low).clamp(min=torch.finfo(codes.dtype).tiny)  # a constant: all in bin 0
    return ((codes - low) / width * bins).long().clamp(max=bins - 1)


def _table(value: Tensor, binned: Tensor, values: int, bins: int) -> Tensor:
    """Share of images with each value in each bin, shape (values, bins)."""
    counts = torch.bincount(value * bins + binned, minlength=values * bins)
    return counts.view(values, bins).double() / len(value)


def _information(table: Tensor) -> Tensor:
    """Mutual information of a joint distribution, nats, a scalar."""
    independent = table.sum(1, keepdim=True) * table.sum(0, keepdim=True)
    return torch.xlogy(table, table / independent.where(table > 0, table.new_ones(()))).sum()
