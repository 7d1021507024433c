"""Losses of the two players of a GAN.

A discriminator gives one number an image, of shape (N,). For the first three pairs of losses it is
a logit: D(x) = sigmoid(logit) is the probability of "real". For the hinge and Wasserstein losses it
is a score without a unit. Each function takes such numbers in any precision, computes in float32,
and returns a scalar that its player makes smaller: the mean over the batch.

Sources: Goodfellow et al. (2014), arXiv 1406.2661; Mao et al. (2017), arXiv 1611.04076; Lim and Ye
(2017), arXiv 1705.02894; Arjovsky et al. (2017), arXiv 1701.07875.
"""

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F


def cross_entropy_discriminator_loss(
    real_logits: Tensor, fake_logits: Tensor, smoothing: float = 0.0
) -> Tensor:
    """-E log D(x) - E log(1 - D(G(z))), nats: the negative value of the game, eq-game-value.

    A discriminator that always says 1/2 has 2 log 2; the best one is eq-game-optimal, and under
    smoothing eq-game-smoothing.

    Args:
        real_logits: of real data, shape (N,).
        fake_logits: of generated data, shape (M,).
        smoothing: the target of real data is 1 - smoothing instead of 1 (one-sided label
            smoothing: Salimans et al. (2016), arXiv 1606.03498).

    Raises:
        ValueError: if smoothing is not at least 0 and below 1.
    """
    if not 0 <= smoothing < 1:
        raise ValueError(f"smoothing must be at least 0 and below 1, got {smoothing}")
    real, fake = real_logits.float(), fake_logits.float()
    # -log D = softplus(-logit) and -log(1 - D) = softplus(logit), without overflow
    of_real = (1 - smoothing) * F.softplus(-real) + smoothing * F.softplus(real)
    return of_real.mean() + F.softplus(fake).mean()


def saturating_generator_loss(fake_logits: Tensor) -> Tensor:
    """E log(1 - D(G(z))), nats: the generator's part of the value; eq-game-saturating.

    Its gradient with respect to the logit is -D, eq-game-slopes: nothing is left of it where D is
    sure of a fake.
    """
    return -F.softplus(fake_logits.float()).mean()


def non_saturating_generator_loss(fake_logits: Tensor) -> Tensor:
    """-E log D(G(z)), nats, eq-game-non-saturating: a gradient also where D is sure of a fake.

    Its gradient with respect to the logit is -(1 - D), eq-game-slopes. The fixed points are those
    of the saturating loss.
    """
    return F.softplus(-fake_logits.float()).mean()


def least_squares_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """½ E (D(x) - 1)² + ½ E D(G(z))², where D is the output itself, not squashed.

    The best output is that of eq-stable-least-squares.
    """
    return ((real_logits.float() - 1).square().mean() + fake_logits.float().square().mean()) / 2


def least_squares_generator_loss(fake_logits: Tensor) -> Tensor:
    """½ E (D(G(z)) - 1)²."""
    return (fake_logits.float() - 1).square().mean() / 2


def hinge_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E max(0, 1 - D(x)) + E max(0, 1 + D(G(z))): nothing to gain beyond a margin of 1.

    The best output, and what is then left, are in eq-stable-hinge.
    """
    return F.relu(1 - real_logits.float()).mean() + F.relu(1 + fake_logits.float()).mean()


def wasserstein_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """E D(G(z)) - E D(x): for a critic D of Lipschitz constant 1, at least -W₁(data, model).

    See eq-stable-wgan.
    """
    return fake_logits.float().mean() - real_logits.float().mean()


def wasserstein_generator_loss(fake_logits: Tensor) -> Tensor:
    """-E D(G(z)), eq-stable-wgan. The hinge loss has the same one for its generator."""
    return -fake_logits.float().mean()


class AdversarialLoss(NamedTuple):
    """What each player of a GAN makes smaller."""

    discriminator: Callable[[Tensor, Tensor], Tensor]
    """Maps outputs for real and for generated data, (N,) each, to a scalar."""
    generator: Callable[[Tensor], Tensor]
    """Maps outputs for generated data, (N,), to a scalar."""


ADVERSARIAL_LOSSES = {
    "saturating": AdversarialLoss(cross_entropy_discriminator_loss, saturating_generator_loss),
    "non-saturating": AdversarialLoss(
        cross_entropy_discriminator_loss, non_saturating_generator_loss
    ),
    "least-squares": AdversarialLoss(
        least_squares_discriminator_loss, least_squares_generator_loss
    ),
    "hinge": AdversarialLoss(hinge_discriminator_loss, wasserstein_generator_loss),
    "wasserstein": AdversarialLoss(wasserstein_discriminator_loss, wasserstein_generator_loss),
}
"""The pairs of losses by name."""
