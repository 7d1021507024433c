"""From an image back to the noise it may have come from.

A GAN has no encoder. Two repairs: search for the noise whose image is nearest, or train a network
to guess the noise of the generator's own images; and the guess is a good start for the search.

Sources: Creswell and Bharath (2016), Inverting the Generator of a Generative Adversarial Network,
arXiv 1611.05644; Zhu et al. (2016), Generative Visual Manipulation on the Natural Image Manifold,
arXiv 1609.03552, for the search, the trained guess, and the two together.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

Distance = Callable[[Tensor, Tensor], Tensor]
"""Maps generated and wanted images, (N, …) each, to one number each, (N,)."""


def squared_error(made: Tensor, wanted: Tensor) -> Tensor:
    """Squared differences of (N, …), summed over each image: shape (N,)."""
    return (made - wanted).square().flatten(1).sum(1)


class Inversion(NamedTuple):
    """Noise for each of N images, from the best of S starts."""

    noise: Tensor
    """Shape (N, L)."""
    images: Tensor
    """What the generator makes of it, scaled, shape (N, …)."""
    distances: Tensor
    """How far these are from the images wanted, shape (N,)."""
    all_distances: Tensor
    """The same for every start, shape (S, N)."""


def invert(
    generator: Callable[[Tensor], Tensor],
    images: Tensor,
    starts: Tensor,
    *,
    steps: int = 200,
    learning_rate: float = 0.1,
    prior_weight: float = 0.0,
    distance: Distance = squared_error,
) -> Inversion:
    """Search for the noise whose image is nearest, from several starts; eq-steer-inversion.

    Each search makes distance + prior_weight · ‖z‖² smaller, by Adam with a learning rate that
    falls to zero. The searches do not know of each other, so the generator must treat rows alone:
    batch normalisation must be in evaluation mode. Of each image's searches the one with the
    smallest such sum is returned. The generator's weights get no gradient.

    Args:
        generator: maps noise (S · N, L) to images; row s · N + n is start s of image n.
        images: what is wanted, in the generator's range, shape (N, …).
        starts: noise, shape (S, N, L).
        steps: of each search.
        learning_rate: of its first step.
        prior_weight: with squared error and pixel noise of standard deviation σ, σ² makes the
            search one for the most probable noise.
        distance: between generated and wanted images.

    Raises:
        ValueError: if there is not one start, or several, for each image.
    """
    if starts.ndim != 3 or len(starts) == 0 or starts.shape[1] != len(images):
        shape = tuple(starts.shape)
        raise ValueError(f"starts must be of shape (S, {len(images)}, L), got {shape}")
    count = len(starts)
    wanted = images.repeat(count, *[1] * (images.ndim - 1))
    z = starts.detach().flatten(0, 1).clone().requires_grad_()
    adam = torch.optim.Adam([z], learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, max(1, steps))
    for _ in range(steps):
        # The sum over rows: a row's gradient is its own, and so is its step of Adam.
        objective = distance(generator(z), wanted).sum() + prior_weight * z.square().sum()
        (z.grad,) = torch.autograd.grad(objective, z)
        adam.step()
        schedule.step()
    with torch.no_grad():
        made = generator(z)
        apart = distance(made, wanted)
        cost = (apart + prior_weight * z.square().sum(1)).view(count, -1)
        best = cost.argmin(0) * len(images) + torch.arange(len(images), device=z.device)
    return Inversion(z.detach()[best], made[best], apart[best], apart.view(count, -1))


def noise_regression_loss(
    encoder: nn.Module, generator: Callable[[Tensor], Tensor], noise: Tensor
) -> Tensor:
    """Mean squared error of an encoder's guess at the noise of the generator's own images.

    The best guess is the mean of all noise that makes the image: eq-steer-encoder. Only the encoder
    gets a gradient.

    Args:
        encoder: maps scaled images to noise (N, L).
        generator: maps noise to scaled images.
        noise: shape (N, L).

    Returns:
        A scalar, the mean over the batch of the error summed over the L dimensions. A guess that
        knows nothing has L.
    """
    with torch.no_grad():
        images = generator(noise)
    return (encoder(images) - noise).square().sum(1).mean()
