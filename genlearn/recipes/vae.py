"""Train a VAE: settings that work, and the run from data to samples."""

import copy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genlearn import data
from genlearn.devices import state_put_back
from genlearn.history import History
from genlearn.losses import beta_vae_loss, warm_up
from genlearn.metrics import log_likelihood, mean_elbo
from genlearn.models import VAE
from genlearn.recipes.run_folder import load_newest, read_config, read_head
from genlearn.recipes.vae_settings import Config, config
from genlearn.recipes.whole_run import (
    bound_figures,
    bound_summary,
    descend,
    drawn,
    estimate_figures,
    in_parts,
    pixel_likelihood,
    validation,
    whole_run,
)
from genlearn.training import Callback

NAME = "vae"
BEST = "valid/loss"  # the figure by which the best weights are chosen

__all__ = ["BEST", "NAME", "Config", "build", "config", "load", "run", "sample", "summary", "train"]


def build(config: Config, shape: tuple[int, int, int], levels: int) -> VAE:
    """Make the untrained model of these settings, for images of a shape and number of levels."""
    options: dict[str, Any] = {
        "latent_dim": config.latent_dim,
        "dropout": config.dropout,
        "likelihood": pixel_likelihood(config.likelihood, levels, config.components),
    }
    with state_put_back([torch.default_generator]):
        torch.default_generator.manual_seed(config.seed)
        if config.network == "conv":
            return VAE.conv(
                shape, levels, channels=config.channels, blocks=config.blocks, **options
            )
        return VAE.mlp(
            shape, levels, hidden=config.hidden, pixel_features=config.pixel_features, **options
        )


def train(
    config: Config, dataset: data.Dataset, model: VAE, callbacks: tuple[Callback, ...] = ()
) -> History:
    """Train a model in place, and return what was logged."""

    def loss(step):
        images = step.batch[0]
        if config.moved:
            images = data.transforms.random_affine(
                images, step.generator, shift=config.shift, share=config.moved
            )
        if config.codes > 1:
            bound = model.iwae(images, config.codes, gradient=config.gradient)
            return {"loss": -bound.mean()}
        terms = model.terms(images)
        beta = config.beta * warm_up(step.index, config.warm_up)
        return {
            "loss": beta_vae_loss(terms.reconstruction, terms.rate, beta),
            "reconstruction": terms.reconstruction.mean(),
            "rate": terms.rate.mean(),
        }

    def validate() -> dict[str, float]:
        return {"valid/loss": -mean_elbo(model, dataset.valid, repeats=1).mean}

    best = copy.deepcopy(model)
    callbacks = (*validation(config, validate, BEST, model, best), *callbacks)
    return descend(
        NAME,
        config,
        dataset,
        model,
        loss,
        callbacks,
        networks=(model.encoder, model.decoder),
        averages={"best": best},
    )


def forward(model: VAE, images: Tensor) -> Tensor:
    """Pass images of levels through the networks once, so that the work of it can be counted."""
    return model.elbo(images)


def run(
    config: Config, folder: Path, *, resume: bool = False, progress: bool = False
) -> dict[str, Any]:
    """Train, evaluate and sample; everything is left in ``folder``.

    Two runs with the same settings on one CPU give equal files, but for environment.json.

    Args:
        config: the settings.
        folder: of the run; made if it is not there.
        resume: go on from the newest checkpoint in the folder, if there is one.
        progress: show a progress bar on standard error.

    Returns:
        The content of result.json.

    Raises:
        GenlearnError: on anything that the user can put right.
    """

    def evaluate(model: VAE, dataset: data.Dataset) -> dict[str, Any]:
        result = {}
        for name, split in {"valid": dataset.valid, "test": dataset.test}.items():
            # Many codes an image where images are few; beyond 5,000 the images' own spread rules.
            bound = mean_elbo(model, split, repeats=max(1, 5000 // len(split)))
            result[name] = bound_figures(bound, model)
        if config.importance_samples:
            estimate = log_likelihood(model, dataset.test, samples=config.importance_samples)
            result["test"]["importance_sampling"] = {
                "samples": config.importance_samples,
                "negative_log_likelihood_nats": round(-estimate.mean, 3),
                **estimate_figures(estimate, model),
            }
        return result

    return whole_run(
        NAME,
        config,
        folder,
        build=build,
        train=train,
        forward=forward,
        draw=lambda model, _: sample(model, 64, config.seed),
        evaluate=evaluate,
        # There is no rate when the importance-weighted bound is trained.
        curves=("vae/loss", "valid/loss", "vae/rate"),
        resume=resume,
        progress=progress,
    )


def summary(result: dict[str, Any]) -> list[str]:
    """Say in lines what a run came to, from the content of its result.json."""
    lines = bound_summary(result)
    if sampled := result["test"].get("importance_sampling"):
        lines.append(
            f"test: log-likelihood {-sampled['negative_log_likelihood_nats']:.2f} nats "
            f"(± {sampled['standard_error']:.2f}), {sampled['bits_per_dim']:.3f} bits per "
            f"dimension, from {sampled['samples']} importance samples an image"
        )
    return lines


def load(folder: Path, *, best: bool = False) -> VAE:
    """Return the model of a run, with the weights of its newest checkpoint.

    Args:
        folder: of the run.
        best: take those that had the lowest bound on the validation split, up to this checkpoint.

    Raises:
        GenlearnError: if there is no such run, or its files are damaged.
    """
    head = read_head(folder)
    model = build(read_config(folder, Config), head.shape, head.levels)
    load_newest(model, folder, "best" if best else NAME)
    return model


def sample(model: VAE, n: int, seed: int, *, progress: bool = False) -> torch.Tensor:
    """Draw n images, the same ones for the same seed; uint8, (n, C, H, W)."""
    device = next(model.parameters()).device
    return drawn(lambda: in_parts(model.sample, n, progress=progress), seed, device)
