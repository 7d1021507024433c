"""The training loop: descend one or more objectives, each over its own parameters.

A VAE has one objective and a GAN has two, one for each player. The loop knows no model: it draws a
batch, asks an objective for its loss, and lets the objective's optimiser take a step.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import nn

from genlearn.data import Batches, Draws, derive_seed
from genlearn.devices import autocast, default_generators, pick_device, state_put_back
from genlearn.history import History
from genlearn.processes import Group, running_statistics
from genlearn.speed import channels_last_, check_compiler, check_gradients, compile_
from genlearn.training.objective import Objective, Step
from genlearn.training.state import Callback, Lap, Training


def fit(
    modules: dict[str, nn.Module],
    objectives: Sequence[Objective],
    batches: Batches | Draws,
    steps: int,
    *,
    order: Literal["alternating", "simultaneous"] = "alternating",
    accumulate: int = 1,
    clip: float | None = None,
    precision: Literal["fp32", "bf16"] = "fp32",
    channels_last: bool = False,
    compile: Sequence[nn.Module] = (),
    device: str = "auto",
    group: Group | None = None,
    seed: int = 0,
    log_every: int = 50,
    callbacks: Sequence[Callback] = (),
) -> History:
    """Train for a number of steps; the modules are changed in place.

    Randomness: each draw seeds the default generators from (seed, number of the draw), so a run
    that was interrupted can go on exactly. Their state is put back at the end.

    Args:
        modules: all networks, by name; moved to the device, and left in evaluation mode.
        objectives: what to descend.
        batches: where the data come from.
        steps: training steps; in each, every objective takes its updates.
        order: "alternating": each player answers the other's newest weights,
            eq-game-alternating; "simultaneous": all gradients are taken before anyone moves,
            eq-game-simultaneous.
        accumulate: batches whose gradients are averaged for one update, eq-scale-union.
        clip: largest Euclidean norm of an objective's gradient.
        precision: "bf16" runs the networks under autocast.
        channels_last: keep the weights of convolutions in this order of memory.
        compile: networks to be compiled in place, parts of the modules. None of them may be one
            whose gradient the loss differentiates again.
        device: "auto" takes CUDA, then MPS, then the CPU; the processes of a group have their own.
        group: the processes that train together, each on batches of its own; by default this one
            alone. Their gradients are averaged before an update, so that all keep equal weights.
        seed: of all random numbers drawn while training, but for the order of the data.
        log_every: steps between log points.
        callbacks: in the order in which they are called.

    Raises:
        TrainingError: if a loss stops being finite, or networks cannot be compiled here, or not
            rightly.
        ValueError: if the settings do not exist or contradict each other.
    """
    _check(objectives, order, accumulate, log_every)
    group = group or Group()
    target = group.device or pick_device(device)
    if compile:
        check_compiler(target)
        check_gradients(compile, target, precision)
        compile_(compile)
    for module in modules.values():
        module.to(target).train()
        if channels_last:
            channels_last_(module)
    group.share([t for m in modules.values() for t in (*m.parameters(), *m.buffers())])
    statistics = [s for module in modules.values() for s in running_statistics(module)]
    batches = batches.to(target)
    training = Training(modules, objectives, steps, group=group)
    generators = default_generators(target)

    def backward(objective: Objective) -> None:
        """Add up the gradient of one update, over ``accumulate`` fresh batches."""
        for parameter in objective.parameters:
            parameter.grad = None
        for _ in range(accumulate):
            # Draws are numbered over all processes, so that two of them see together what one sees
            # that accumulates two.
            number = training.draws * group.size + group.rank
            for generator in generators:
                generator.manual_seed(derive_seed(seed, number))
            batch = batches.at(training.draws, group.rank, group.size)
            step = Step(training.step, batch, generators[-1])
            training.draws += 1
            with autocast(target, precision):
                losses = objective.loss(step)
            losses = losses if isinstance(losses, dict) else {"loss": losses}
            training.record(objective, losses)
            # A gradient belongs to its player: other parameters are left alone.
            (losses["loss"] / accumulate).backward(inputs=objective.parameters)
        group.average_gradients(objective.parameters, statistics)
        if clip is not None:
            nn.utils.clip_grad_norm_(objective.parameters, clip)

    def update(objective: Objective) -> None:
        objective.optimizer.step()
        if objective.schedule:
            objective.schedule.step()
        if objective.after_step:
            objective.after_step()

    with state_put_back(generators):
        try:
            for callback in callbacks:
                callback.start(training)
            began = _now(training)
            while not training.over:
                active = [o for o in objectives if training.step % o.every == 0]
                if order == "simultaneous":
                    for objective in active:
                        backward(objective)
                    for objective in active:
                        update(objective)
                else:
                    for objective in active:
                        for _ in range(objective.repeat):
                            backward(objective)
                            update(objective)
                training.step += 1
                if logs := training.step % log_every == 0 or training.step == steps:
                    training.log()
                    training.lap = Lap(*(b - a for a, b in zip(began, _now(training), strict=True)))
                for callback in callbacks:
                    callback.after_step(training)
                if logs:
                    began = _now(training)
            training.log()  # what is left where a callback stopped the training
        finally:
            for module in modules.values():
                module.eval()
            for callback in callbacks:
                callback.finish(training)
    return training.history


def _now(training: Training) -> Lap:
    return Lap(training.step, training.draws, time.perf_counter())


@contextlib.contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Run a block without dropout and without gradients; then go back to the mode before."""
    modes = [module.training for module in modules]
    try:
        for module in modules:
            module.eval()
        with torch.no_grad():
            yield
    finally:
        for module, mode in zip(modules, modes, strict=True):
            module.train(mode)


def _check(objectives: Sequence[Objective], order: str, accumulate: int, log_every: int) -> None:
    if order not in ("alternating", "simultaneous"):
        raise ValueError(f"order must be alternating or simultaneous, got {order!r}")
    counts = {"accumulate": accumulate, "log_every": log_every}
    for o in objectives:
        counts |= {f"{o.name}: repeat": o.repeat, f"{o.name}: every": o.every}
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    if len({o.name for o in objectives}) < len(objectives):
        raise ValueError("two objectives have the same name")
    if order == "simultaneous":
        owned = [id(p) for o in objectives for p in o.parameters]
        if len(set(owned)) < len(owned) or any(o.repeat != 1 for o in objectives):
            # A second gradient of the same parameter would replace the first.
            raise ValueError("in simultaneous order objectives share nothing and have repeat=1")
