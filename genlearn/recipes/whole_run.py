"""What the recipes share: a run from the data to samples, and what is made of its model."""

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from genlearn import data, distributions
from genlearn.callbacks import Checkpoint, Evaluate, KeepBest, Progress, SampleGrid, StopEarly
from genlearn.devices import default_generators, pick_device, state_put_back
from genlearn.history import History
from genlearn.metrics import Estimate, bits_per_dim
from genlearn.processes import current_group
from genlearn.recipes.run_folder import (
    Head,
    open_run,
    source_commit,
    write_config,
    write_result,
)
from genlearn.recipes.run_speed import fit_options, speed_of_run
from genlearn.recipes.settings import Settings
from genlearn.throughput import Throughput
from genlearn.training import Callback, Objective, Step, fit


def whole_run(
    name: str,
    config: Settings,
    folder: Path,
    *,
    build: Callable[[Any, tuple[int, int, int], int], Any],
    train: Callable[[Any, data.Dataset, Any, tuple[Callback, ...]], History],
    forward: Callable[[Any, Tensor], Any],
    draw: Callable[[Any, data.Dataset], Tensor],
    evaluate: Callable[[Any, data.Dataset], dict[str, Any]],
    curves: Sequence[str],
    unit: str = "nats per image",
    show: str | None = None,
    resume: bool,
    progress: bool,
) -> dict[str, Any]:
    """Train, evaluate and sample; everything is left in ``folder``.

    Args:
        name: of the recipe.
        config, folder, resume, progress: as for :func:`genlearn.recipes.vae.run`.
        build: makes the untrained model from settings, shape and levels.
        train: trains it in place, from settings, data, model and callbacks.
        forward: passes images of levels through its networks once.
        draw: gives images for the pictures of samples.
        evaluate: gives what result.json holds beside the data's name and levels.
        curves: what the figure of the history shows, where it was logged.
        unit: of these.
        show: what the progress bar shows; by default the loss of the objective of this name.

    Returns:
        The content of result.json.

    Raises:
        GenlearnError: on anything that the user can put right.
    """
    from genlearn import viz  # matplotlib is slow to import

    began, commit, group = time.perf_counter(), source_commit(), current_group()
    device = pick_device(config.device)  # an error here leaves no folder behind
    dataset = group.first(lambda: data.load(config.data))  # it may have to be downloaded: once
    speed = speed_of_run(config, device, dataset, build, forward)
    torch.set_num_threads(speed.threads)
    head = Head(name, dataset.shape, dataset.levels)
    group.first(lambda: open_run(folder, head, config, resume))
    if progress and group.rank == 0:
        print(f"training on {speed}", file=sys.stderr)
    model = build(config, dataset.shape, dataset.levels)

    def picture() -> Tensor:
        return draw(model, dataset)

    callbacks: list[Callback] = [
        SampleGrid(folder, picture, dataset.levels, config.evaluate_every),
        Throughput(folder, config.batch_size, config.checkpoint_every),
    ]
    if progress:
        callbacks.append(Progress(show or f"{name}/loss"))
    checkpoint = Checkpoint(
        folder,
        config.checkpoint_every,
        minutes=config.checkpoint_minutes,
        keep=config.keep,
        resume=resume,
        prepare=partial(write_config, folder, head, config),
    )
    callbacks.append(checkpoint)
    history = train(config, dataset, model, tuple(callbacks))
    trained = time.perf_counter()
    if progress and group.rank == 0 and (last := history.rows[-1]["step"]) < config.steps:
        print(f"ended early, after step {last}: patience was {config.patience}", file=sys.stderr)

    def conclude() -> dict[str, Any]:
        result = {"data": config.data, "levels": dataset.levels, **evaluate(model, dataset)}
        viz.save_png(viz.tile(picture(), dataset.levels), folder / "samples.png")
        shown = [curve for curve in curves if curve in history.names()]
        viz.save_figure(viz.curves(history, shown, unit=unit), folder / "curves.png")
        facts = {
            "seconds": round(time.perf_counter() - began, 1),
            "training_seconds": round(trained - began, 1),
            "commit": commit,  # of the code that ran, not of what lies there by now
            "speed": str(speed),
            "processes": group.size,
        }
        write_result(folder, result, facts, device)
        return result

    return group.first(conclude)


def descend(
    name: str,
    config: Settings,
    dataset: data.Dataset,
    model: nn.Module,
    loss: Callable[[Step], Tensor | dict[str, Tensor]],
    callbacks: Sequence[Callback],
    *,
    networks: Sequence[nn.Module] = (),
    averages: dict[str, nn.Module] | None = None,
    after_step: Callable[[], None] | None = None,
) -> History:
    """Train one model with one loss: AdamW, and a learning rate that falls along a cosine.

    Args:
        name: of model and objective.
        config: the settings.
        dataset: whose training split is learned from.
        model: trained in place.
        loss: see :class:`genlearn.training.Objective`.
        callbacks: see :func:`genlearn.training.fit`.
        networks: the parts of the model that can be compiled.
        averages: more modules for the checkpoints, which callbacks make from the model.
        after_step: called after each update.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    return fit(
        {name: model, **(averages or {})},
        [Objective(name, loss, optimizer, schedule=schedule, after_step=after_step)],
        data.Batches(dataset.train, config.batch_size, config.seed),
        config.steps,
        callbacks=callbacks,
        **fit_options(config, networks),
    )


def validation(
    config: Settings,
    function: Callable[[], dict[str, float]],
    figure: str,
    *keep: nn.Module,
) -> list[Callback]:
    """Return what evaluates the validation split, and what follows from it.

    Args:
        config: the settings; they may ask for an early end.
        function: see :class:`genlearn.callbacks.Evaluate`.
        figure: among what it gives, the one to be patient with.
        keep: source and best, where the best weights are kept: see
            :class:`genlearn.callbacks.KeepBest`.
    """
    callbacks: list[Callback] = [Evaluate(function, config.evaluate_every)]
    if keep:
        callbacks.append(KeepBest(*keep, figure))
    if config.patience:
        callbacks.append(StopEarly(figure, config.patience))
    return callbacks


def pixel_likelihood(name: str, levels: int, components: int = 1) -> distributions.PixelLikelihood:
    """Return the likelihood that a setting names: auto, categorical, gaussian or logistic."""
    return {
        "auto": distributions.likelihood_for,
        "categorical": distributions.CategoricalPixels,
        "gaussian": distributions.GaussianPixels,
        "logistic": partial(distributions.LogisticPixels, components=components),
    }[name](levels)


def bound_figures(bound: Estimate, model: nn.Module) -> dict[str, float]:
    """What result.json says of a bound on a split."""
    return {"negative_elbo_nats": round(-bound.mean, 3), **estimate_figures(bound, model)}


def bound_summary(result: dict[str, Any]) -> list[str]:
    """Say in lines what the bounds came to, from the content of a result.json."""
    lines = []
    for split in ("valid", "test"):
        figures = result[split]
        lines.append(
            f"{split}: bound {figures['negative_elbo_nats']:.2f} nats per image "
            f"(± {figures['standard_error']:.2f}), {figures['bits_per_dim']:.3f} bits per "
            f"dimension, {result['levels']} levels, {figures['images']} images"
        )
    return lines


def estimate_figures(estimate: Estimate, model: nn.Module) -> dict[str, float]:
    """What result.json says of any estimate of log p(x), beside its name."""
    return {
        "standard_error": round(estimate.standard_error, 3),
        "bits_per_dim": round(bits_per_dim(estimate.mean, model), 4),
        "images": estimate.images,
    }


def drawn(draw: Callable[[], Tensor], seed: int, device: torch.device) -> Tensor:
    """Draw with the default generators seeded, and put their state back."""
    generators = default_generators(device)
    with state_put_back(generators):
        for generator in generators:
            generator.manual_seed(seed)
        return draw()


def in_parts(
    draw: Callable[[int], Tensor], n: int, at_once: int = 200, *, progress: bool = False
) -> Tensor:
    """Draw n images, so many in one pass, which bounds the memory.

    Args:
        draw: gives as many images as it is asked for.
        n: of them all.
        at_once: of one pass.
        progress: show a bar on standard error, if that is a terminal.
    """
    sizes = [min(at_once, n - done) for done in range(0, n, at_once)]
    bar = tqdm(sizes, "drawing", disable=None if progress else True)
    return torch.cat([draw(size) for size in bar])
