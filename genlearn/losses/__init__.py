"""Losses as pure functions of tensors: each returns what its player makes smaller."""

from genlearn.losses.adversarial import (
    ADVERSARIAL_LOSSES,
    AdversarialLoss,
    cross_entropy_discriminator_loss,
    hinge_discriminator_loss,
    least_squares_discriminator_loss,
    least_squares_generator_loss,
    non_saturating_generator_loss,
    saturating_generator_loss,
    wasserstein_discriminator_loss,
    wasserstein_generator_loss,
)
from genlearn.losses.penalties import (
    clip_weights,
    interpolates,
    squared_gradient_norm,
    unit_gradient_penalty,
    zero_centred_penalty,
)
from genlearn.losses.vae import (
    RateParts,
    beta_vae_loss,
    free_bits,
    rate_parts,
    warm_up,
)

__all__ = [
    "ADVERSARIAL_LOSSES",
    "AdversarialLoss",
    "RateParts",
    "beta_vae_loss",
    "clip_weights",
    "cross_entropy_discriminator_loss",
    "free_bits",
    "hinge_discriminator_loss",
    "interpolates",
    "least_squares_discriminator_loss",
    "least_squares_generator_loss",
    "non_saturating_generator_loss",
    "rate_parts",
    "saturating_generator_loss",
    "squared_gradient_norm",
    "unit_gradient_penalty",
    "warm_up",
    "wasserstein_discriminator_loss",
    "wasserstein_generator_loss",
    "zero_centred_penalty",
]
