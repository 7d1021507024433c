"""The families of the head-to-head: each is told the label, and has 100,000 weights to draw with.

The settings are those of the recipes for the digits; what differs stands here. Sizes are such that
what is needed to draw an image has 100,000 parameters, within 5 %: a decoder, a generator, a
decoder with codebook and prior, or the whole of a model of pixels. What only training needs, an
encoder or a discriminator, comes on top, and is counted in ``parameters_in_training``.

Of a model with a likelihood, or a bound, the moving average of the weights that is best on the
validation split is kept; of a GAN, which has none, the average at the end.
"""

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from genlearn import data, nets
from genlearn.callbacks import Average, Evaluate, KeepBest
from genlearn.devices import state_put_back
from genlearn.losses import beta_vae_loss, warm_up
from genlearn.models import GAN, VAE, VQVAE, ConditionalGAN, ConditionalVAE, PixelPrior
from genlearn.recipes import gan, pixel, vae, vqvae
from genlearn.recipes.whole_run import descend, drawn, pixel_likelihood
from genlearn.training import evaluating

CLASSES = 10
SHAPE, LEVELS = (1, 8, 8), 17
AT_ONCE = 500  # images drawn in one pass
AVERAGE = 0.995  # share of the moving average of weights that is kept at a step

LogProb = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Entry:
    """An untrained model of one family, with all that a run asks of it."""

    settings: dict[str, Any]
    train: Callable[[data.Dataset], None]
    """Change the model in place."""
    draw: Callable[[Tensor], Tensor]
    """Map labels (N,) to images (N, C, H, W), with the default generator's numbers."""
    log_prob: LogProb | None
    """log p(x | label) of images and labels, or a lower bound on it, nats, (N,)."""
    exact: bool
    """Whether it is no bound."""
    log_weights: Callable[[Tensor, Tensor, int], Tensor] | None
    """log p(x, z | label) / q(z | x, label) of k codes, (k, N), where there are any."""
    parameters_to_sample: int
    parameters_in_training: int


def make(family: str, *, steps: int, rate: float = 1.0, seed: int = 0) -> Entry:
    """Make the untrained model of a family; ``rate`` multiplies the recipe's learning rates."""
    maker, differs = FAMILIES[family]
    return maker(family, steps, rate, seed, **differs)


def count(modules: Iterable[nn.Module]) -> int:
    """Number of parameters."""
    return sum(p.numel() for module in modules for p in module.parameters())


def of_pixels(family: str, steps: int, rate: float, seed: int, **differs) -> Entry:
    """A model of pixels in order; its likelihood is exact."""
    config = pixel.config("digits", "full", family)
    config = replace(
        config,
        classes=CLASSES,
        steps=steps,
        learning_rate=rate * config.learning_rate,
        seed=seed,
        **differs,
    )
    trained = pixel.build(config, SHAPE, LEVELS)
    return Entry(
        asdict(config),
        lambda dataset: pixel.train(config, dataset, trained),
        lambda labels: trained.best.sample(len(labels), labels),
        trained.best.log_prob,
        True,
        None,
        count([trained.model]),
        count([trained.model]),
    )


class LabelPlanes(nn.Module):
    """A convolutional encoder whose flat input ends with the label's one-hot vector.

    Each class becomes one more channel, all ones or all zeros.

    Args:
        net: takes (N, C + classes, H, W).
        shape: (C, H, W).
    """

    def __init__(self, net: nn.Module, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.net, self.shape = net, shape

    def forward(self, flat: Tensor) -> Tensor:
        """Apply it to (N, C H W + classes)."""
        values = math.prod(self.shape)
        images = flat[:, :values].unflatten(1, self.shape)
        planes = flat[:, values:, None, None].expand(-1, -1, *self.shape[1:])
        return self.net(torch.cat([images, planes], 1))


def _conditional_vae(config: vae.Config) -> ConditionalVAE:
    likelihood = pixel_likelihood(config.likelihood, LEVELS)
    if config.network == "mlp":
        return ConditionalVAE.mlp(
            SHAPE,
            LEVELS,
            CLASSES,
            latent_dim=config.latent_dim,
            hidden=config.hidden,
            pixel_features=config.pixel_features,
            dropout=config.dropout,
            likelihood=likelihood,
        )
    options = {"blocks": config.blocks, "dropout": config.dropout}
    encoder = nets.conv_encoder(
        (SHAPE[0] + CLASSES, *SHAPE[1:]), config.channels, 2 * config.latent_dim, **options
    )
    nets.start_at_zero(encoder[-1])
    values = likelihood.parameters_per_value
    inputs = config.latent_dim + CLASSES
    decoder = nets.ConvDecoder(inputs, SHAPE, config.channels, values, **options)
    inner = VAE(LabelPlanes(encoder, SHAPE), decoder, likelihood, SHAPE, config.latent_dim)
    return ConditionalVAE(inner, CLASSES)


def of_codes(family: str, steps: int, rate: float, seed: int, **differs) -> Entry:
    """A VAE whose encoder and decoder know the label."""
    config = vae.config("digits", "full")
    config = replace(
        config,
        steps=steps,
        learning_rate=rate * config.learning_rate,
        seed=seed,
        evaluate_every=100,
        warm_up=0 if differs.get("codes", 1) > 1 else steps // 5,
        **differs,
    )
    with state_put_back([torch.default_generator]):
        torch.default_generator.manual_seed(seed)
        model = _conditional_vae(config)
    average, best = copy.deepcopy(model), copy.deepcopy(model)

    def train(dataset: data.Dataset) -> None:
        def loss(step):
            images, labels = step.batch
            images = data.transforms.random_affine(
                images, step.generator, shift=config.shift, share=config.moved
            )
            if config.codes > 1:
                return -model.iwae(images, labels, config.codes, gradient=config.gradient).mean()
            terms = model.terms(images, labels)
            beta = config.beta * warm_up(step.index, config.warm_up)
            return beta_vae_loss(terms.reconstruction, terms.rate, beta)

        valid = dataset.valid

        def validate() -> dict[str, float]:
            if config.codes > 1:
                figure = -average.iwae(valid.images, valid.labels, config.codes)
            else:
                terms = average.terms(valid.images, valid.labels)
                figure = config.beta * terms.rate - terms.reconstruction
            return {"valid/loss": figure.mean().item()}

        callbacks = (
            Average(model, average, AVERAGE),
            Evaluate(validate, config.evaluate_every),
            KeepBest(average, best, "valid/loss"),
        )
        averages = {"average": average, "best": best}
        descend("vae", config, dataset, model, loss, callbacks, averages=averages)

    return Entry(
        asdict(config),
        train,
        best.sample,
        best.elbo,
        False,
        best.log_weights,
        count([model.vae.decoder]),
        count([model]),
    )


def of_grid_codes(family: str, steps: int, rate: float, seed: int, **differs) -> Entry:
    """A VQ-VAE whose prior knows the label: half of the steps are its own, half the prior's."""
    config = vqvae.config("digits", "full")
    config = replace(
        config,
        steps=steps // 2,
        prior_steps=steps // 2,
        learning_rate=rate * config.learning_rate,
        seed=seed,
        **differs,
    )
    model: VQVAE = vqvae.build(config, SHAPE, LEVELS)
    with state_put_back([torch.default_generator]):
        torch.default_generator.manual_seed(seed)
        prior = PixelPrior.gated(
            model.grid,
            config.codes,
            features=config.prior_features,
            layers=config.prior_layers,
            first_kernel=3,
            dropout=config.prior_dropout,
            classes=CLASSES,
        )
    average, best = copy.deepcopy(prior), copy.deepcopy(prior)

    def train(dataset: data.Dataset) -> None:
        vqvae.train(config, dataset, model)
        model.eval()
        valid = vqvae.encode(model, dataset.valid)

        def loss(step):
            images, labels = step.batch
            moved = data.transforms.random_affine(
                images, step.generator, shift=1.0, angle=10.0, zoom=1.1, share=config.prior_moved
            )
            altered = (moved != images).flatten(1).any(1)
            with evaluating(model):
                codes = model.encode(moved)
            return -prior.log_prob(codes, labels, altered).mean()

        def validate() -> dict[str, float]:
            return {"valid/rate": -average.log_prob(valid, dataset.valid.labels).mean().item()}

        callbacks = (
            Average(prior, average, AVERAGE),
            Evaluate(validate, 100),
            KeepBest(average, best, "valid/rate"),
        )
        own = replace(config, steps=config.prior_steps)
        averages = {"average": average, "best": best}
        descend("prior", own, dataset, prior, loss, callbacks, averages=averages)

    def bound(x: Tensor, labels: Tensor) -> Tensor:
        codes = model.encode(x)
        return best.log_prob(codes, labels) + model.likelihood(codes).log_prob(x.float())

    def draw(labels: Tensor) -> Tensor:
        return model.likelihood(best.sample(len(labels), labels)).sample().to(torch.uint8)

    words = model.codebook.words.numel()  # no parameter for the optimiser, but learned all the same
    return Entry(
        asdict(config),
        train,
        draw,
        bound,
        False,
        None,
        count([model.decoder, prior]) + words,
        count([model, prior]) + words,
    )


def _conditional_gan(config: gan.Config) -> ConditionalGAN:
    generator = nets.dcgan_generator(config.latent_dim + CLASSES, SHAPE, config.channels)
    judge = nets.dcgan_discriminator(SHAPE, config.channels, normalise=config.normalise)
    width = judge[-2].in_features
    projected = nets.ProjectedLabel(judge[:-2], width, CLASSES)
    if config.spectral:
        nets.spectrally_normalised(projected)
    inner = GAN(
        nets.ConcatenatedLabel(generator, CLASSES),
        projected,
        config.latent_dim,
        levels=LEVELS,
        loss=gan._loss(config),
        augment=gan._augment(config),
    )
    model = ConditionalGAN(inner, CLASSES)
    model.augment = inner.augment  # which the recipe asks for
    return model


def of_games(family: str, steps: int, rate: float, seed: int, **differs) -> Entry:
    """A GAN by the rules of the DCGAN, whose players know the label."""
    config = gan.config("digits", "full")
    config = replace(config, steps=steps, seed=seed, **differs)
    config = replace(
        config,
        learning_rate=rate * config.learning_rate,
        discriminator_learning_rate=rate * config.discriminator_learning_rate,
    )
    with state_put_back([torch.default_generator]):
        torch.default_generator.manual_seed(seed)
        model = _conditional_gan(config)
    average = copy.deepcopy(model.generator)

    def train(dataset: data.Dataset) -> None:
        gan.train(config, dataset, gan.Trained(model, average))
        # The statistics of batch norm in the average are measured anew, at its own weights.
        labels = torch.arange(AT_ONCE) % CLASSES
        model.gan.generator = average
        drawn(
            lambda: nets.restate_batch_norm(
                model.given(labels).generator, [model.noise(AT_ONCE) for _ in range(10)]
            ),
            seed,
            torch.device("cpu"),
        )
        model.eval()

    return Entry(
        asdict(config),
        train,
        model.sample,
        None,
        False,
        None,
        count([model.generator]),
        count(model.players.values()),
    )


_GAN = {"channels": (48, 96), "latent_dim": 56, "batch_size": 32, "average": AVERAGE}
_CONV = {"network": "conv", "channels": (28, 52), "latent_dim": 16, "batch_size": 64}

FAMILIES: dict[str, tuple[Callable[..., Entry], dict[str, Any]]] = {
    "vae-mlp": (of_codes, {"network": "mlp", "hidden": (350,), "pixel_features": 4}),
    "vae-conv": (of_codes, _CONV),
    "beta-vae": (of_codes, {**_CONV, "beta": 2.0}),
    "iwae": (of_codes, {**_CONV, "codes": 5, "gradient": "doubly", "batch_size": 16}),
    "vq-vae": (of_grid_codes, {"prior_features": 28}),
    "gan": (of_games, {**_GAN, "normalise": "batch", "penalty": "none", "penalty_last": 0.0}),
    "gan-r1": (of_games, _GAN),
    "wgan-gp": (
        of_games,
        {
            **_GAN, "loss": "wasserstein", "penalty": "gp", "penalty_weight": 10.0,
            "penalty_last": 0.0, "every": 1, "repeat": 3, "beta1": 0.0,
            "discriminator_learning_rate": 1e-3,
        },
    ),
    "gan-spectral": (
        of_games,
        {**_GAN, "loss": "hinge", "spectral": True, "penalty": "none", "penalty_last": 0.0},
    ),
    "pixel-lstm": (of_pixels, {"features": 122, "head": 96}),
    "row-lstm": (of_pixels, {"features": 48}),
    "diagonal-bilstm": (of_pixels, {"features": 60}),
    "pixel-cnn": (of_pixels, {"features": 76, "layers": 6, "head": 72}),
    "gated-pixel-cnn": (of_pixels, {"features": 30, "layers": 5, "head": 48}),
    "pixel-cnn-pp": (of_pixels, {"features": 10, "layers": 2}),
    "transformer": (of_pixels, {"features": 44, "layers": 4}),
}  # fmt: skip
"""By name: who makes it, and what differs from the recipe's settings."""
