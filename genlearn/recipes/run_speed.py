"""What the settings of a run say of its speed: see :mod:`genlearn.speed`."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from genlearn import data
from genlearn.devices import pick_device
from genlearn.processes import current_group
from genlearn.recipes.settings import Settings
from genlearn.speed import Speed, check_compiler, choose_speed, cores, step_work


def speed_of_run(
    config: Settings,
    device: torch.device,
    dataset: data.Dataset,
    build: Callable[[Any, tuple[int, int, int], int], Any],
    forward: Callable[[Any, Tensor], Any],
) -> Speed:
    """Choose what is on for a run.

    Args:
        config, device, dataset: of the run.
        build: makes the untrained model from settings, shape and levels.
        forward: passes images of levels through its networks once.

    Raises:
        TrainingError: if networks are to be compiled and cannot be.
    """
    if config.compile:
        check_compiler(device)
    work = 0.0
    # Counted only where it decides something.
    if device.type == "cpu" and not config.threads and cores() > config.devices:
        work = work_of_a_step(config, dataset, build, forward)
    return _chosen(config, device, work)


def work_of_a_step(
    config: Settings,
    dataset: data.Dataset,
    build: Callable[[Any, tuple[int, int, int], int], Any],
    forward: Callable[[Any, Tensor], Any],
) -> float:
    """Count the floating-point operations of a step: see :func:`genlearn.speed.step_work`.

    Args:
        config, dataset, build, forward: as for :func:`speed_of_run`.
    """
    with torch.device("meta"):  # shapes alone: nothing is computed, and nothing is drawn
        images = torch.zeros(config.batch_size, *dataset.shape, dtype=torch.uint8)
        model = build(config, dataset.shape, dataset.levels)
        return step_work(lambda: forward(model, images))


def fit_options(config: Settings, networks: Sequence[nn.Module]) -> dict[str, Any]:
    """Return what the settings say of :func:`genlearn.training.fit`.

    Args:
        config: the settings.
        networks: those that can be compiled.
    """
    speed = _chosen(config, pick_device(config.device))
    return {
        "accumulate": config.accumulate,
        "clip": config.clip_gradient or None,
        "precision": speed.precision,
        "channels_last": speed.channels_last,
        "compile": networks if config.compile else (),
        "device": config.device,
        "group": current_group(),
        "seed": config.seed,
    }


def _chosen(config: Settings, device: torch.device, work: float = 0.0) -> Speed:
    return choose_speed(
        device,
        precision=config.precision,
        channels_last=config.channels_last,
        compile=config.compile,
        threads=config.threads,
        work=work,
        processes=config.devices,
    )
