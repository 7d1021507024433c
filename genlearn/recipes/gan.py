"""Train a GAN on images: settings that work, and the run from data to samples."""

import copy
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import CosineAnnealingLR

from genlearn import data
from genlearn.augment import augmentation
from genlearn.callbacks import Average
from genlearn.devices import state_put_back
from genlearn.history import History
from genlearn.losses import (
    ADVERSARIAL_LOSSES,
    AdversarialLoss,
    cross_entropy_discriminator_loss,
    interpolates,
    unit_gradient_penalty,
    zero_centred_penalty,
)
from genlearn.models import GAN
from genlearn.nets import restate_batch_norm
from genlearn.recipes.gan_settings import Config, config
from genlearn.recipes.judge import accuracy, judge_figures, train_judge
from genlearn.recipes.run_folder import load_newest, read_config, read_head
from genlearn.recipes.run_speed import fit_options
from genlearn.recipes.whole_run import drawn, in_parts, whole_run
from genlearn.training import Callback, Objective, Step, evaluating, fit

NAME = "gan"
AT_ONCE = 500  # images drawn in one pass

__all__ = [
    "NAME",
    "Config",
    "Trained",
    "build",
    "config",
    "load",
    "run",
    "sample",
    "summary",
    "train",
]


class Trained(NamedTuple):
    """Both players, and the moving average of the generator, which draws the samples."""

    model: GAN
    average: nn.Module

    @property
    def modules(self) -> dict[str, nn.Module]:
        """All networks by name, as checkpoints have them."""
        return {**self.model.players, "average": self.average}


def build(config: Config, shape: tuple[int, int, int], levels: int) -> Trained:
    """Make the untrained players of these settings, for images of a shape and number of levels."""
    options: dict[str, Any] = {
        "latent_dim": config.latent_dim,
        "channels": config.channels,
        "spectral": config.spectral,
        "loss": _loss(config),
        "augment": _augment(config),
    }
    with state_put_back([torch.default_generator]):
        torch.default_generator.manual_seed(config.seed)
        if config.network == "dcgan":
            model = GAN.dcgan(shape, levels, normalise=("batch", config.normalise), **options)
        else:
            model = GAN.resnet(shape, levels, **options)
    return Trained(model, copy.deepcopy(model.generator))


def penalty_weight(config: Config, step: int) -> float:
    """Return the weight of the penalty at a step: from the first to the last by equal factors."""
    if not config.penalty_last:
        return config.penalty_weight
    return config.penalty_weight * (config.penalty_last / config.penalty_weight) ** (
        step / config.steps
    )


def train(
    config: Config, dataset: data.Dataset, trained: Trained, callbacks: tuple[Callback, ...] = ()
) -> History:
    """Train both players in place, and the average with them; return what was logged."""
    model, average = trained

    def discriminator_loss(step: Step) -> dict[str, Tensor]:
        if config.penalty == "none" or step.index % config.every:
            return model.discriminator_loss(step)
        # A penalty that is taken seldom counts as many times more.
        weight = config.every * penalty_weight(config, step.index)

        def penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
            if model.augment is not None:  # where the discriminator is used is where it is smooth
                real, fake = model.augment(real), model.augment(fake)
            return weight * _PENALTIES[config.penalty](critic, real, fake)

        return model.discriminator_loss(step, penalty)

    def player(name: str, loss: Callable, rate: float, repeat: int) -> Objective:
        optimizer = AdamW(
            model.players[name].parameters(),
            lr=rate,
            betas=(config.beta1, 0.99),
            weight_decay=config.weight_decay,
            fused=True,
        )
        schedule = CosineAnnealingLR(optimizer, config.steps * repeat)
        return Objective(name, loss, optimizer, repeat=repeat, schedule=schedule)

    # A penalty differentiates the discriminator's gradient again, which cannot be compiled.
    networks = (model.generator,) if config.penalty != "none" else tuple(model.players.values())
    rate = config.learning_rate
    own_rate = config.discriminator_learning_rate or rate
    return fit(
        trained.modules,
        [
            player("discriminator", discriminator_loss, own_rate, config.repeat),
            player("generator", model.generator_loss, rate, 1),
        ],
        data.Batches(dataset.train, config.batch_size, config.seed),
        config.steps,
        callbacks=(Average(model.generator, average, config.average), *callbacks),
        **fit_options(config, networks),
    )


def forward(trained: Trained, images: Tensor) -> dict[str, Tensor]:
    """Pass as many generated as real images through the networks, to count the work of it."""
    return trained.model.discriminator_loss(Step(0, (images,), torch.default_generator))


def run(
    config: Config, folder: Path, *, resume: bool = False, progress: bool = False
) -> dict[str, Any]:
    """Train, judge and sample: see :func:`genlearn.recipes.vae.run`.

    Where the data have labels, a classifier is trained on them in the same run. result.json has its
    accuracy on the test split, the classes that it sees in samples, and the Fréchet distance of its
    features between samples and the test split.
    """

    def evaluate(trained: Trained, dataset: data.Dataset) -> dict[str, Any]:
        result: dict[str, Any] = {"steps": config.steps, "judge": None, "samples": None}
        if dataset.train.labels is not None:
            judge = train_judge(
                dataset,
                steps=config.judge_steps,
                channels=config.judge_channels,
                device=config.device,
                seed=config.seed,
            )
            images = sample(trained, config.samples, config.seed)
            count = len(dataset.test)
            result["judge"] = {
                "accuracy": round(accuracy(judge, dataset.test), 4),
                "images": count,
            }
            result["samples"] = judge_figures(judge, images, dataset)
        return result

    return whole_run(
        NAME,
        config,
        folder,
        build=build,
        train=train,
        forward=forward,
        draw=lambda trained, _: sample(trained, 64, config.seed),
        evaluate=evaluate,
        curves=("discriminator/real_logit", "discriminator/fake_logit"),
        unit="mean output of the discriminator",
        show="generator/loss",
        resume=resume,
        progress=progress,
    )


def summary(result: dict[str, Any]) -> list[str]:
    """Say in lines what a run came to, from the content of its result.json."""
    if not (samples := result["samples"]):
        return [f"{result['data']} has no labels, so there is no classifier to judge samples"]
    judge = result["judge"]
    return [
        f"classifier: {judge['accuracy']:.1%} of {judge['images']} test images right",
        f"samples: of {samples['classes']} classes the rarest, {samples['rarest_class']}, has "
        f"{samples['smallest_relative_share']:.2f} of its fair share, {samples['images']} images",
        f"samples: Fréchet distance {samples['frechet_distance']:.1f} to the test images, training "
        f"images have {samples['frechet_distance_of_training_images']:.1f}",
    ]


def load(folder: Path) -> Trained:
    """Return the players of a run and the average, with the weights of its newest checkpoint.

    Raises:
        GenlearnError: if there is no such run, or its files are damaged.
    """
    head = read_head(folder)
    trained = build(read_config(folder, Config), head.shape, head.levels)
    for name, module in trained.modules.items():
        load_newest(module, folder, name)
    return trained


def sample(trained: Trained, n: int, seed: int, *, progress: bool = False) -> Tensor:
    """Draw n images from the average, the same ones for the same seed; uint8, (n, C, H, W).

    The statistics of batch norm are measured anew before, on noise of the same seed: those of the
    training are of other weights.
    """
    model, average = trained

    def draw() -> Tensor:
        generator = copy.deepcopy(average)
        restate_batch_norm(generator, [model.noise(AT_ONCE) for _ in range(10)])

        def some(size: int) -> Tensor:
            return model.unscaled(generator(model.noise(size)))

        with evaluating(generator):
            return in_parts(some, n, AT_ONCE, progress=progress)

    return drawn(draw, seed, next(average.parameters()).device).cpu()


_PENALTIES = {
    "r1": lambda critic, real, _: zero_centred_penalty(critic, real),
    "r2": lambda critic, _, fake: zero_centred_penalty(critic, fake),
    "gp": lambda critic, real, fake: unit_gradient_penalty(critic, interpolates(real, fake)),
    "gp-one-sided": lambda critic, real, fake: unit_gradient_penalty(
        critic, interpolates(real, fake), one_sided=True
    ),
}


def _loss(config: Config) -> AdversarialLoss:
    pair = ADVERSARIAL_LOSSES[config.loss]
    if not config.smoothing:
        return pair
    smooth = partial(cross_entropy_discriminator_loss, smoothing=config.smoothing)
    return pair._replace(discriminator=smooth)


def _augment(config: Config) -> Callable[[Tensor], Tensor] | None:
    match config.augment:
        case "none":
            return None
        case "shift":
            return augmentation(cutout=0, brightness=0, contrasts=0)
        case _:
            return augmentation()
