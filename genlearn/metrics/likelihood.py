"""Likelihoods and bounds as one number a data set, with its unit and its uncertainty."""

import math
from collections.abc import Callable, Sequence
from math import prod
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from genlearn.data import Split
from genlearn.devices import default_generators, state_put_back
from genlearn.training import evaluating


class Estimate(NamedTuple):
    """A mean over images, with the standard error of that mean."""

    mean: float
    standard_error: float
    images: int


def bits_per_dim(log_prob: float | Tensor, model: nn.Module) -> float | Tensor:
    """Turn log p(x), or a bound on it, into bits per dimension; eq-vae-bits.

    Bits per dimension are what a perfect coder would spend on each of the C · H · W values. So they
    need a probability mass: a model of discrete levels.

    Args:
        log_prob: nats per image (goes up).
        model: says the image's ``shape`` and over how many ``levels`` its likelihood is a mass.

    Returns:
        Bits (goes down), same type and shape as ``log_prob``.

    Raises:
        TypeError: if the model has no levels: its likelihood is a density.
    """
    if not hasattr(model, "levels"):
        raise TypeError(
            f"{type(model).__name__} gives a density; bits per dimension need a probability mass "
            "over discrete levels; of dequantised images, density_bits_per_dim makes them"
        )
    return -log_prob / (prod(model.shape) * math.log(2))


def density_bits_per_dim(
    log_density: float | Tensor,
    shape: Sequence[int],
    levels: int,
    *,
    data_range: tuple[float, float],
    dequantisation: Literal["uniform", "learned"],
) -> float | Tensor:
    """Turn a log density of dequantised images into bits of their levels; eq-likely-density-bits.

    Averaged over the noise, it is an upper bound on the bits of a mass over the levels, so it may
    be set beside :func:`bits_per_dim` and can only lose by that.

    Args:
        log_density: nats per image, of y = low + (high - low) (x + u) / levels, where x are the
            levels and u the noise, in [0, 1); "learned" noise has log q(u | x) subtracted.
        shape: of one image.
        levels: number of levels.
        data_range: (low, high), the interval on which the images lie on the density's scale: (0, 1)
            where levels were divided by their number, (0, levels) where they were not.
        dequantisation: which noise was added: one level wide and flat, or drawn from a q(u | x).

    Returns:
        Bits (goes down), same type and shape as ``log_density``.

    Raises:
        TypeError: if no noise was added: a density on levels themselves has no bits, since it can
            be as large as one likes.
        ValueError: if there are fewer than 2 levels, or the range is not finite and rising.
    """
    if dequantisation not in ("uniform", "learned"):
        raise TypeError(
            "a density of images has bits per dimension only if noise was added to their levels; "
            f"dequantisation must be uniform or learned, got {dequantisation!r}"
        )
    low, high = data_range
    if levels < 2:
        raise ValueError(f"there must be at least 2 levels, got {levels}")
    if not (math.isfinite(high - low) and low < high):
        raise ValueError(f"data_range must be (low, high), low below high, got {data_range}")
    width = (high - low) / levels  # of one level on the scale of the density
    return -log_density / (prod(shape) * math.log(2)) - math.log2(width)


def mean_elbo(
    model: nn.Module, split: Split, *, repeats: int = 10, batch_size: int = 100, seed: int = 0
) -> Estimate:
    """Estimate the mean bound over a split, in nats per image.

    Each image's bound is averaged over ``repeats`` codes. Noise is drawn on the CPU, so that the
    figure does not depend on the device.

    Args:
        model: has ``elbo(x, noise)`` and ``latent_dim``, like :class:`genlearn.models.VAE`.
        split: the images.
        repeats: codes an image.
        batch_size: images at a time.
        seed: of the noise.

    Returns:
        Mean (goes up), its standard error over images, and the number of images.

    Raises:
        ValueError: if there are fewer than 2 images, which have no standard error.
    """
    generator = torch.Generator().manual_seed(seed)

    def bound(images: Tensor) -> Tensor:
        noise = torch.randn(repeats, len(images), model.latent_dim, generator=generator)
        draws = [model.elbo(images, epsilon).double() for epsilon in noise.to(images.device)]
        return torch.stack(draws).mean(0)

    return mean_over(model, split, bound, batch_size=batch_size)


def mean_over(
    model: nn.Module, split: Split, function: Callable[[Tensor], Tensor], *, batch_size: int = 100
) -> Estimate:
    """Take the mean over a split of a figure that each image has.

    Args:
        model: in evaluation mode meanwhile; images are moved to its device.
        split: the images.
        function: from images (N, C, H, W) to figures (N,); called without gradients.
        batch_size: images at a time.

    Returns:
        Mean, its standard error over images, and the number of images.

    Raises:
        ValueError: if there are fewer than 2 images, which have no standard error.
    """
    return _estimate(model, split, (split.images,), function, batch_size)


def mean_log_prob(
    model: nn.Module, split: Split, *, labelled: bool = False, batch_size: int = 100
) -> Estimate:
    """Take the mean of log p(x) over a split, in nats per image: exact but for rounding.

    Args:
        model: has ``log_prob(x, label)``, like :class:`genlearn.models.PixelModel`.
        split: the images.
        labelled: take log p(x | label) at each image's own label.
        batch_size: images at a time.

    Returns:
        Mean (goes up), its standard error over images, and the number of images.

    Raises:
        ValueError: if there are fewer than 2 images, which have no standard error, or labels are
            asked for where there are none.
    """
    if not labelled:
        return mean_over(model, split, model.log_prob, batch_size=batch_size)
    if split.labels is None:
        raise ValueError(f"{split.name} has no labels")
    return _estimate(model, split, (split.images, split.labels), model.log_prob, batch_size)


def _estimate(
    model: nn.Module,
    split: Split,
    parts: tuple[Tensor, ...],
    function: Callable[..., Tensor],
    batch_size: int,
) -> Estimate:
    """Take the mean of a figure that each image has, of these parts of a split."""
    if len(split) < 2:
        raise ValueError(f"a standard error needs at least 2 images, got {len(split)}")
    device = next(model.parameters()).device
    with evaluating(model):
        batches = zip(*(part.split(batch_size) for part in parts), strict=True)
        figures = [function(*(part.to(device) for part in batch)).double() for batch in batches]
    every = torch.cat(figures).cpu()
    return Estimate(every.mean().item(), every.std().item() / math.sqrt(len(every)), len(every))


def log_likelihood(
    model: nn.Module,
    split: Split,
    *,
    samples: int = 5000,
    at_once: int = 4096,
    batch_size: int = 64,
    seed: int = 0,
) -> Estimate:
    """Estimate the mean log p(x) over a split by importance sampling, in nats per image.

    For each image the mean of ``samples`` weights p(x, z) / q(z | x) is taken; eq-sharp-iwae. On
    average the estimate lies below log p(x), and reaches it as samples grow.

    Args:
        model: has ``log_weights(x, k)``, like :class:`genlearn.models.VAE`.
        split: the images.
        samples: codes an image.
        at_once: codes decoded at a time, which bounds the memory.
        batch_size: images at a time.
        seed: of the codes.

    Returns:
        Mean (goes up), its standard error over images, and the number of images.

    Raises:
        ValueError: if there are fewer than 2 images, or a number is below 1.
    """
    for name, value in {"samples": samples, "at_once": at_once, "batch_size": batch_size}.items():
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")

    def log_mean_weight(images: Tensor) -> Tensor:
        most = at_once // len(images)
        total = torch.tensor(-math.inf, dtype=torch.float64, device=images.device)
        for done in range(0, samples, most):
            log_weights = model.log_weights(images, min(most, samples - done)).double()
            total = torch.logaddexp(total, log_weights.logsumexp(0))
        return total - math.log(samples)

    generators = default_generators(next(model.parameters()).device)
    with state_put_back(generators):
        for generator in generators:
            generator.manual_seed(seed)
        return mean_over(model, split, log_mean_weight, batch_size=min(batch_size, at_once))
