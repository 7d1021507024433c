"""Train a VAE: settings that work, and the run from data to samples."""

import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from genlearn import data
from genlearn.callbacks import Checkpoint, Evaluate, Progress, SampleGrid
from genlearn.checkpoints import load_weights, newest_checkpoint
from genlearn.devices import default_generators, pick_device, state_put_back
from genlearn.errors import RunError
from genlearn.history import History
from genlearn.metrics import bits_per_dim, mean_elbo
from genlearn.models import VAE
from genlearn.recipes.run_folder import (
    Head,
    open_run,
    read_config,
    read_head,
    write_history,
    write_result,
)
from genlearn.training import Callback, Objective, fit

NAME = "vae"


@dataclass(frozen=True)
class Config:
    """Settings of a VAE made of two MLPs."""

    data: str = "digits"
    """Data set; see `genlearn data list`."""
    profile: Literal["quick", "full"] = "quick"
    """quick: minutes on a laptop's CPU. full: sized for a GPU."""
    latent_dim: int = 16
    """Dimensions of the code z."""
    hidden: tuple[int, ...] = (256,)
    """Widths of the encoder's hidden layers; the decoder has them in reverse."""
    pixel_features: int = 4
    """Features a pixel before the shared output network; 0: no such network."""
    dropout: float = 0.2
    """Share of hidden values set to zero while training."""
    steps: int = 2000
    """Training steps."""
    batch_size: int = 128
    """Images a step."""
    learning_rate: float = 2e-3
    """Of AdamW, at the start; falls to zero along a cosine."""
    weight_decay: float = 0.01
    """Of AdamW."""
    evaluate_every: int = 500
    """Steps between bounds on the validation split, and between pictures of samples."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: networks in bfloat16, likelihoods in float32."""
    device: str = "auto"
    """auto takes CUDA, then MPS, then the CPU."""
    threads: int = 1
    """CPU threads; models of this size are fastest with one."""
    seed: int = 0
    """Fixes weights, order of the data, and all noise."""

    def __post_init__(self) -> None:
        every = ("evaluate_every", "checkpoint_every")
        for name in ("latent_dim", "steps", "batch_size", *every, "threads"):
            if getattr(self, name) < 1:
                raise RunError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not all(isinstance(width, int) and width >= 1 for width in self.hidden):
            raise RunError(f"hidden must be widths of at least 1, got {self.hidden}")
        if self.pixel_features < 0:
            raise RunError(f"pixel_features must be at least 0, got {self.pixel_features}")
        if not 0 <= self.dropout < 1:
            raise RunError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        if not 0 < self.learning_rate < math.inf:
            raise RunError(f"learning_rate must be above 0 and finite, got {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise RunError(f"weight_decay must be at least 0 and finite, got {self.weight_decay}")
        if not 0 <= self.seed < 2**63:
            raise RunError(f"seed must be 0 … 2^63 - 1, got {self.seed}")


_GREY_28 = {"hidden": (400,), "dropout": 0.0, "batch_size": 32, "steps": 2000}
_BINARY_28 = {"hidden": (400,), "latent_dim": 32, "pixel_features": 0, "dropout": 0.0}
_LONG = {
    "hidden": (500, 500),
    "latent_dim": 50,
    "learning_rate": 1e-3,
    "batch_size": 256,
    "evaluate_every": 5000,
    "checkpoint_every": 5000,
}
_GREY_28_LONG = {**_LONG, "pixel_features": 16, "steps": 100_000}

# What differs from the defaults of Config, by data set and profile.
PROFILES: dict[tuple[str, str], dict[str, Any]] = {
    ("digits", "quick"): {},
    ("digits", "full"): {},  # a larger model learns 1,000 images by heart: no better bound
    ("mnist", "quick"): _GREY_28,
    ("mnist", "full"): _GREY_28_LONG,
    ("fashion-mnist", "quick"): _GREY_28,
    ("fashion-mnist", "full"): _GREY_28_LONG,
    **{(name, "quick"): _GREY_28 for name in ("kmnist", "glyphs")},
    **{(name, "full"): _GREY_28_LONG for name in ("kmnist", "glyphs")},
    ("binarized-mnist", "quick"): {**_BINARY_28, "learning_rate": 1e-3, "steps": 5000},
    ("binarized-mnist", "full"): {**_LONG, "pixel_features": 0, "steps": 200_000},
}


def config(data: str = "digits", profile: str | None = None) -> Config:
    """Return the settings for a data set.

    Args:
        data: name of the data set.
        profile: "quick" or "full"; by default what the variable GENLEARN_PROFILE says, or quick.

    Raises:
        RunError: if there is no such profile, or none for the data set.
    """
    known = list(dict.fromkeys(name for name, _ in PROFILES))
    if data not in known:
        raise RunError(f"the recipe has no settings for {data!r}; it has: {', '.join(known)}")
    profile = profile or os.environ.get("GENLEARN_PROFILE") or "quick"
    if (data, profile) not in PROFILES:
        raise RunError(
            f"there is no profile {profile!r} (--profile or GENLEARN_PROFILE); there are: "
            "quick, full"
        )
    return replace(Config(data, profile), **PROFILES[data, profile])


def build(config: Config, shape: tuple[int, int, int], levels: int) -> VAE:
    """Make the untrained model of these settings, for images of a shape and number of levels."""
    with state_put_back([torch.default_generator]):
        torch.default_generator.manual_seed(config.seed)
        return VAE.mlp(
            shape,
            levels,
            latent_dim=config.latent_dim,
            hidden=config.hidden,
            pixel_features=config.pixel_features,
            dropout=config.dropout,
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
        terms = model.terms(step.batch[0])
        return {
            "loss": -terms.elbo.mean(),
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

    result: dict[str, Any] = {"data": config.data, "levels": dataset.levels}
    for name, split in {"valid": dataset.valid, "test": dataset.test}.items():
        # Many codes an image where there are few images; beyond 5,000 the images' own spread rules.
        bound = mean_elbo(model, split, repeats=max(1, 5000 // len(split)))
        result[name] = {
            "negative_elbo_nats": round(-bound.mean, 3),
            "standard_error": round(bound.standard_error, 3),
            "bits_per_dim": round(bits_per_dim(bound.mean, model), 4),
            "images": bound.images,
        }
    viz.save_png(viz.tile(draw(), dataset.levels), folder / "samples.png")
    viz.save_figure(
        viz.curves(history, ("vae/loss", "valid/loss", "vae/rate"), unit="nats per image"),
        folder / "curves.png",
    )
    write_history(folder, history.rows)
    write_result(folder, result, time.perf_counter() - began, device)
    return result


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
