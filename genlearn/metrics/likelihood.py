"""Likelihoods and bounds as one number a data set, with its unit and its uncertainty."""

import math
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genlearn.data import Split
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
            "over discrete levels"
        )
    return -log_prob / (prod(model.shape) * math.log(2))


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
    if len(split) < 2:
        raise ValueError(f"a standard error needs at least 2 images, got {len(split)}")
    generator = torch.Generator().manual_seed(seed)
    device = next(model.parameters()).device
    bounds = []
    with evaluating(model):
        for images in split.images.split(batch_size):
            images = images.to(device)
            noise = torch.randn(repeats, len(images), model.latent_dim, generator=generator)
            draws = [model.elbo(images, epsilon).double() for epsilon in noise.to(device)]
            bounds.append(torch.stack(draws).mean(0))
    every = torch.cat(bounds).cpu()
    return Estimate(every.mean().item(), every.std().item() / math.sqrt(len(every)), len(every))
