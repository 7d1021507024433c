"""Train a VAE: settings that work, and the run from data to samples."""

import time
from functools import partial
from pathlib import Path
from typing import Any

import torch

from genlearn import data, distributions
from genlearn.callbacks import Checkpoint, Evaluate, Progress, SampleGrid
from genlearn.checkpoints import load_weights, newest_checkpoint
from genlearn.devices import default_generators, pick_device, state_put_back
from genlearn.errors import RunError
from genlearn.history import History
from genlearn.losses import beta_vae_loss, warm_up
from genlearn.metrics import Estimate, bits_per_dim, log_likelihood, mean_elbo
from genlearn.models import VAE
from genlearn.recipes.run_folder import (
    Head,
    open_run,
    read_config,
    read_head,
    write_history,
    write_result,
)
from genlearn.recipes.vae_settings import Config, config
from genlearn.training import Callback, Objective, fit

NAME = "vae"

__all__ = ["NAME", "Config", "build", "config", "load", "run", "sample", "train"]


def build(config: Config, shape: tuple[int, int, int], levels: int) -> VAE:
    """Make the untrained model of these settings, for images of a shape and number of levels."""
    likelihood = {
        "auto": distributions.likelihood_for,
        "categorical": distributions.CategoricalPixels,
        "gaussian": distributions.GaussianPixels,
        "logistic": partial(distributions.LogisticPixels, components=config.components),
    }[config.likelihood](levels)
    options: dict[str, Any] = {
        "latent_dim": config.latent_dim,
        "dropout": config.dropout,
        "likelihood": likelihood,
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
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)

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

    return fit(
        {NAME: model},
        [Objective(NAME, loss, optimizer, schedule=schedule)],
        data.Batches(dataset.train, config.batch_size, config.seed),
        config.steps,
        precision=config.precision,
        device=config.device,
        seed=config.seed,
        callbacks=(Evaluate(validate, config.evaluate_every), *callbacks),
    )


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
    from genlearn import viz  # matplotlib is slow to import

    began = time.perf_counter()
    torch.set_num_threads(config.threads)
    device = pick_device(config.device)  # an error here leaves no folder behind
    dataset = data.load(config.data)
    open_run(folder, Head(NAME, dataset.shape, dataset.levels), config, resume)
    model = build(config, dataset.shape, dataset.levels)

    def draw() -> torch.Tensor:
        return sample(model, 64, config.seed)

    callbacks: list[Callback] = [SampleGrid(folder, draw, dataset.levels, config.evaluate_every)]
    if progress:
        callbacks.append(Progress("vae/loss"))
    callbacks.append(Checkpoint(folder, config.checkpoint_every, resume))
    history = train(config, dataset, model, tuple(callbacks))
    trained = time.perf_counter()

    result: dict[str, Any] = {"data": config.data, "levels": dataset.levels}
    for name, split in {"valid": dataset.valid, "test": dataset.test}.items():
        # Many codes an image where there are few images; beyond 5,000 the images' own spread rules.
        bound = mean_elbo(model, split, repeats=max(1, 5000 // len(split)))
        result[name] = {"negative_elbo_nats": round(-bound.mean, 3), **_figures(bound, model)}
    if config.importance_samples:
        estimate = log_likelihood(model, dataset.test, samples=config.importance_samples)
        result["test"]["importance_sampling"] = {
            "samples": config.importance_samples,
            "negative_log_likelihood_nats": round(-estimate.mean, 3),
            **_figures(estimate, model),
        }
    viz.save_png(viz.tile(draw(), dataset.levels), folder / "samples.png")
    # There is no rate when the importance-weighted bound is trained.
    shown = [n for n in ("vae/loss", "valid/loss", "vae/rate") if n in history.names()]
    viz.save_figure(viz.curves(history, shown, unit="nats per image"), folder / "curves.png")
    write_history(folder, history.rows)
    seconds = {"seconds": time.perf_counter() - began, "training_seconds": trained - began}
    write_result(folder, result, seconds, device)
    return result


def _figures(estimate: Estimate, model: VAE) -> dict[str, float]:
    return {
        "standard_error": round(estimate.standard_error, 3),
        "bits_per_dim": round(bits_per_dim(estimate.mean, model), 4),
        "images": estimate.images,
    }


def load(folder: Path) -> VAE:
    """Return the model of a run, with the weights of its newest checkpoint.

    Raises:
        GenlearnError: if there is no such run, or its files are damaged.
    """
    head = read_head(folder)
    model = build(read_config(folder, Config), head.shape, head.levels)
    newest = newest_checkpoint(folder)
    if newest is None:
        raise RunError(f"{folder}: the run has no checkpoint yet")
    load_weights(model, newest / f"{NAME}.safetensors")
    return model.eval()


def sample(model: VAE, n: int, seed: int) -> torch.Tensor:
    """Draw n images, the same ones for the same seed; uint8, (n, C, H, W)."""
    generators = default_generators(next(model.parameters()).device)
    with state_put_back(generators):
        for generator in generators:
            generator.manual_seed(seed)
        return model.sample(n)
