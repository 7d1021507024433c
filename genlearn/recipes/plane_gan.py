"""Train GANs on densities of the plane, with any stabiliser, and count what they learned.

The winners let the weight of their penalty fall during training; why that helps is derived in
``plane_gan_settings``.
"""

import copy
import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genlearn import losses, nets
from genlearn.callbacks import Average
from genlearn.data import Draws, derive_seed
from genlearn.devices import state_put_back
from genlearn.history import History
from genlearn.metrics import frechet_distance, mode_coverage
from genlearn.models import GAN
from genlearn.recipes.plane_gan_settings import DATA, STABILISERS, WINNERS, Config, config
from genlearn.recipes.whole_run import drawn
from genlearn.training import Callback, Objective, Step, fit

__all__ = [
    "DATA", "STABILISERS", "WINNERS", "Config", "Figures", "Trained", "build", "config",
    "evaluate", "objectives", "sample", "train",
]  # fmt: skip

_PENALTIES: dict[str, Callable[[nn.Module, Tensor, Tensor], Tensor]] = {
    "R1": lambda critic, real, fake: losses.zero_centred_penalty(critic, real),
    "R2": lambda critic, real, fake: losses.zero_centred_penalty(critic, fake),
    # The mean over both halves, twice, is the sum of the means.
    "R1 and R2": lambda critic, real, fake: (
        2 * losses.zero_centred_penalty(critic, torch.cat([real, fake]))
    ),
    "between": lambda critic, real, fake: losses.zero_centred_penalty(
        critic, losses.interpolates(real, fake)
    ),
    "unit": lambda critic, real, fake: losses.unit_gradient_penalty(
        critic, losses.interpolates(real, fake)
    ),
    "unit, one-sided": lambda critic, real, fake: losses.unit_gradient_penalty(
        critic, losses.interpolates(real, fake), one_sided=True
    ),
}


class Trained(NamedTuple):
    """What :func:`train` gives."""

    gan: GAN
    """Its generator is the average over training where the settings ask for one."""
    history: History
    """Means of the losses, of what the discriminator says, and of the penalty."""


class Figures(NamedTuple):
    """What :func:`evaluate` measures."""

    modes: int
    """With at least a fifth of their fair share of the points."""
    of: int
    """Modes that there are."""
    high_quality: float
    """Share of the points within three standard deviations of a mode; of the data: 0.989."""
    frechet_distance: float
    """To as many points of the data, as two Gaussians in the plane; squared units."""


def build(config: Config) -> GAN:
    """Make the untrained GAN of these settings. Its unit is the spread of a coordinate."""
    density = DATA[config.data]
    pair = losses.ADVERSARIAL_LOSSES[config.loss]
    if config.smoothing:

        def smoothed(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
            return losses.cross_entropy_discriminator_loss(
                real_logits, fake_logits, config.smoothing
            )

        pair = losses.AdversarialLoss(smoothed, pair.generator)
    with state_put_back([torch.default_generator]):
        torch.default_generator.manual_seed(config.seed)
        generator = nets.mlp((config.latent_dim, *config.hidden, 2), activation=nn.ReLU)
        discriminator = nets.mlp((2, *config.discriminator_hidden, 1), activation=nn.ReLU)
    with torch.no_grad():
        generator[0].weight /= config.noise_scale
    discriminator.append(nn.Flatten(0))
    if config.spectral_norm:
        nets.spectrally_normalised(discriminator)
    if config.gradient_normalised:
        discriminator = nets.GradientNormalised(discriminator)
    unit = math.hypot(density.means.square().mean().sqrt(), density.std)
    scaled = _Scaled(config.noise_scale)
    return GAN(
        nn.Sequential(scaled, *generator), discriminator, config.latent_dim, loss=pair, unit=unit
    )


class _Scaled(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, noise: Tensor) -> Tensor:
        return self.factor * noise


def train(config: Config, callbacks: Sequence[Callback] = ()) -> Trained:
    """Train a GAN from its first weights.

    Args:
        config: the settings.
        callbacks: called after the average was taken; the modules are named generator,
            discriminator and, where there is one, average.
    """
    gan = build(config)
    modules, callbacks = gan.players, list(callbacks)
    if config.average:
        modules["average"] = copy.deepcopy(gan.generator)
        callbacks.insert(0, Average(gan.generator, modules["average"], config.average))
    history = fit(
        modules,
        objectives(config, gan),
        Draws(DATA[config.data], config.batch_size, derive_seed(config.seed, -1)),
        config.steps,
        order=config.order,
        clip=config.clip_gradient or None,
        device="cpu",
        seed=config.seed,
        callbacks=callbacks,
    )
    gan.generator = modules.get("average", gan.generator)
    return Trained(gan, history)


def objectives(config: Config, gan: GAN) -> list[Objective]:
    """What the players descend, the discriminator first. A lazy penalty is an objective too."""
    takes = _PENALTIES.get(config.penalty)

    def penalty(step: Step) -> Callable[[nn.Module, Tensor, Tensor], Tensor]:
        weight = config.lazy * config.weight_at(step.index)
        return lambda critic, real, fake: weight * takes(critic, real, fake)

    def judge(step: Step) -> dict[str, Tensor]:
        eager = takes is not None and config.lazy == 1
        return gan.discriminator_loss(step, penalty(step) if eager else None)

    def smooth(step: Step) -> Tensor:
        real = gan.scaled(step.batch[0])
        return penalty(step)(gan.discriminator, real, real)

    def clip() -> None:
        losses.clip_weights(gan.discriminator, config.clip_weights)

    def adam(module: nn.Module, rate: float) -> torch.optim.Optimizer:
        # fused: all parameters in one call, which for networks of this size is much of a step
        betas = (config.momentum, 0.99)
        return torch.optim.Adam(module.parameters(), rate, betas, fused=True)

    def falling(optimizer: torch.optim.Optimizer, updates: int):
        if not config.cosine:
            return None
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)

    mine = adam(gan.discriminator, config.discriminator_rate or config.learning_rate)
    theirs = adam(gan.generator, config.learning_rate)
    players = [
        Objective(
            "discriminator",
            judge,
            mine,
            repeat=config.critic_repeats,
            schedule=falling(mine, config.steps * config.critic_repeats),
            after_step=clip if config.clip_weights else None,
        ),
        Objective(
            "generator",
            gan.generator_loss,
            theirs,
            schedule=falling(theirs, config.steps),
        ),
    ]
    if config.lazy > 1:
        players.insert(0, Objective("penalty", smooth, mine, every=config.lazy))
    return players


def sample(gan: GAN, n: int, seed: int = 0) -> Tensor:
    """Draw n points, the same ones for the same seed; float32, (n, 2)."""
    return drawn(lambda: gan.sample(n), seed, torch.device("cpu"))


def evaluate(config: Config, gan: GAN, samples: int = 10_000, seed: int = 0) -> Figures:
    """Draw from a trained GAN and compare with the density that it learned from."""
    density = DATA[config.data]
    points = sample(gan, samples, seed)
    found = mode_coverage(points, density)
    real = density.sample(samples, torch.Generator().manual_seed(seed))
    return Figures(
        found.modes, len(density.means), found.high_quality, frechet_distance(points, real)
    )
