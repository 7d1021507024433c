"""What the two terms of a VAE's bound are turned into: weights, floors and parts.

Pure functions of tensors; a VAE gives these in float32, whatever its networks compute in.

Sources: Higgins et al. (2017) for the weight; Bowman et al. (2015), arXiv 1511.06349, for the
warm-up; Kingma et al. (2016), arXiv 1606.04934, for free bits; Chen et al. (2018),
arXiv 1802.04942, for the parts of the rate.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Normal


def beta_vae_loss(reconstruction: Tensor, rate: Tensor, beta: float = 1.0) -> Tensor:
    """Distortion plus β times the rate, the mean over images; eq-beta-objective.

    Args:
        reconstruction: log p(x | z), nats per image, shape (N,).
        rate: nats per image, shape (N,); or one number for the batch, as from :func:`free_bits`.
        beta: weight of the rate; with 1 this is the mean of the negative bound.

    Returns:
        Scalar (goes down).
    """
    return beta * rate.mean() - reconstruction.mean()


def warm_up(step: int, steps: int) -> float:
    """Weight that grows linearly from 0 at step 0 to 1 at step ``steps``, and stays there.

    Multiply it by β. Source: Bowman et al. (2015).
    """
    return min(1.0, step / steps) if steps else 1.0


def free_bits(rates: Tensor, nats: float) -> Tensor:
    """Rate in which the first ``nats`` of each dimension cost nothing to lower; eq-beta-free.

    A dimension whose mean rate over the batch is below ``nats`` counts as ``nats``: a constant, so
    no gradient presses it towards the prior.

    Args:
        rates: rate of each image and dimension, nats, shape (N, L).
        nats: the floor of one dimension.

    Returns:
        A scalar in nats per image, at least L · nats.

    Raises:
        ValueError: if the rates are not by image and dimension, or the floor is negative.
    """
    if rates.ndim != 2:
        raise ValueError(f"rates must be of shape (N, L), got {tuple(rates.shape)}")
    if nats < 0:
        raise ValueError(f"free bits are at least 0 nats, got {nats}")
    return rates.mean(0).clamp(min=nats).sum()


class RateParts(NamedTuple):
    """The rate in three parts, nats per image, each of shape (N,); eq-beta-decomposition.

    Single values may be negative; their means over codes are estimates of what is never negative.
    """

    mutual_information: Tensor
    """log q(z | x) - log q(z): what the code tells of which image it came from."""
    total_correlation: Tensor
    """log q(z) - Σ log q(z_j): how far the code's dimensions are from independent."""
    dimension_wise: Tensor
    """Σ [log q(z_j) - log p(z_j)]: how far each dimension alone is from the prior."""


def rate_parts(z: Tensor, mean: Tensor, std: Tensor, images: int | None = None) -> RateParts:
    """Split the rate at one code an image: eq-beta-decomposition, with eq-beta-weights.

    The three parts add up to log q(z | x) - log p(z), to rounding. The aggregate q(z) is the mean
    of q(z | x) over a data set. If the batch is the whole of it, the mean is taken as it is. If the
    batch is a sample, an image's own posterior has weight 1 / images, and the others share the
    rest, so that the estimate of q(z) has no bias. (Its logarithm has: the fewer images, the larger
    the mutual information seems.) Giving all of them one weight, as in the paper's minibatch
    weighting, would count each code's own posterior too much.

    Args:
        z: codes drawn from the posteriors, one each, shape (N, L). Memory grows as N² L.
        mean, std: of the posteriors, shape (N, L).
        images: of the data set that the batch is a sample of; by default the batch is all of it.

    Returns:
        Three tensors of shape (N,), with gradients.

    Raises:
        ValueError: if the shapes differ, or the data set is smaller than the batch.
    """
    if z.ndim != 2 or not z.shape == mean.shape == std.shape:
        shapes = ", ".join(str(tuple(t.shape)) for t in (z, mean, std))
        raise ValueError(f"codes, means and deviations must all be (N, L), got {shapes}")
    batch, images = len(z), len(z) if images is None else images
    if images < batch or (batch == 1 < images):
        raise ValueError(f"a batch of {batch} is no sample of {images} images; take at least 2")
    # every[i, k, j] = log q(z_ij | x_k), for each code i and the posterior of each image k
    every = Normal(mean, std, validate_args=False).log_prob(z[:, None])
    own = every.diagonal().T  # (N, L)
    log_weight = _log_weights(z, images)
    log_q = torch.logsumexp(every.sum(2) + log_weight, 1)
    log_q_each = torch.logsumexp(every + log_weight[..., None], 1).sum(1)
    log_prior = Normal(0.0, 1.0, validate_args=False).log_prob(z).sum(1)
    return RateParts(own.sum(1) - log_q, log_q - log_q_each, log_q_each - log_prior)


def _log_weights(z: Tensor, images: int) -> Tensor:
    """Log weight of each posterior in the aggregate at each code, (N, N)."""
    batch = len(z)
    others = (images - 1) / (images * (batch - 1)) if batch > 1 else 1.0
    return z.new_full((batch, batch), math.log(others)).fill_diagonal_(-math.log(images))
