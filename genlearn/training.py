"""The training loop: descend one or more objectives, each over its own parameters.

A VAE has one objective and a GAN has two, one for each player. The loop knows no model: it draws a
batch, asks an objective for its loss, and lets the objective's optimiser take a step.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from genlearn.data import Batch, Batches, Draws, derive_seed
from genlearn.devices import autocast, default_generators, pick_device, state_put_back
from genlearn.errors import TrainingError
from genlearn.history import History


@dataclass(frozen=True, eq=False)
class Step:
    """What a loss is given.

    Args:
        index: number of the training step, from 0.
        batch: (images,) or (images, labels).
        generator: the device's default generator, seeded for this draw alone. Dropout and
            ``rsample`` use it by themselves.
    """

    index: int
    batch: Batch
    generator: torch.Generator


@dataclass(eq=False)
class Objective:
    """A loss, and the optimiser that makes it smaller.

    Args:
        name: under which its values stand in the history.
        loss: gives a scalar, or a dict of scalars with the key "loss" (the others are logged).
        optimizer: holds the parameters of this objective; no other parameter gets a gradient.
        repeat: updates a training step, each on a fresh batch.
        every: take part in each ``every``-th training step only.
        schedule: advanced after each update.
        after_step: called after each update.
    """

    name: str
    loss: Callable[[Step], Tensor | dict[str, Tensor | float]]
    optimizer: Optimizer
    repeat: int = 1
    every: int = 1
    schedule: LRScheduler | None = None
    after_step: Callable[[], None] | None = None

    def __post_init__(self) -> None:
        groups = self.optimizer.param_groups
        self.parameters = [p for group in groups for p in group["params"] if p.requires_grad]


class Callback:
    """Something to do beside training. All three calls do nothing unless they are written anew."""

    def start(self, training: "Training") -> None:
        """Before the first step."""

    def after_step(self, training: "Training") -> None:
        """After each step; ``training.step`` steps are done by then."""

    def finish(self, training: "Training") -> None:
        """After the last step, also when an error ended the training."""


@dataclass(eq=False)
class Training:
    """All that changes while training; callbacks see it, checkpoints hold it.

    Args:
        modules: the networks, by name.
        objectives: in the order in which they take their steps.
        steps: how many there are to do.
        step: how many are done.
        draws: how many batches were drawn.
    """

    modules: dict[str, nn.Module]
    objectives: Sequence[Objective]
    steps: int
    step: int = 0
    draws: int = 0
    history: History = field(default_factory=History)
    pending: list[tuple[str, int, Tensor]] = field(default_factory=list)

    def record(self, objective: Objective, losses: dict[str, Tensor | float]) -> None:
        """Keep the values of one update on the device, to be read at the next log point.

        Raises:
            ValueError: if a value is not one number.
        """
        for key, value in losses.items():
            name, value = f"{objective.name}/{key}", torch.as_tensor(value).detach()
            if value.ndim:
                raise ValueError(f"{name} must be a scalar, got shape {tuple(value.shape)}")
            self.pending.append((name, self.step, value))

    def log(self) -> None:
        """Read what was recorded and add its means to the history. Here the host waits.

        Raises:
            TrainingError: if a value is not finite; it names the first step where this was so.
        """
        if not self.pending:
            return
        tensors = [value for _, _, value in self.pending]
        # Plain numbers were logged from the CPU.
        device = max((value.device for value in tensors), key=lambda device: device.type != "cpu")
        values = torch.stack([value.to(device) for value in tensors]).tolist()
        sums: dict[str, list[float]] = {}
        for (name, step, _), value in zip(self.pending, values, strict=True):
            if not math.isfinite(value):
                raise TrainingError(
                    f"{name} is {value} at step {step}; lower the learning rate or clip the "
                    "gradient; the last checkpoint, if there is one, is from before"
                )
            sums.setdefault(name, []).append(value)
        self.pending.clear()
        self.history.add(self.step, {k: math.fsum(v) / len(v) for k, v in sums.items()})

    def state_dict(self) -> dict[str, Any]:
        """All but the weights, as numbers and tensors alone."""
        return {
            "step": self.step,
            "draws": self.draws,
            "history": self.history.rows,
            "optimizers": {o.name: o.optimizer.state_dict() for o in self.objectives},
            "schedules": {o.name: o.schedule.state_dict() for o in self.objectives if o.schedule},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where :meth:`state_dict` was taken. The weights are loaded separately."""
        self.step, self.draws = state["step"], state["draws"]
        self.history.rows[:] = state["history"]
        for objective in self.objectives:
            objective.optimizer.load_state_dict(state["optimizers"][objective.name])
            if objective.schedule:
                objective.schedule.load_state_dict(state["schedules"][objective.name])


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
    device: str = "auto",
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
        accumulate: batches whose gradients are averaged for one update.
        clip: largest Euclidean norm of an objective's gradient.
        precision: "bf16" runs the networks under autocast.
        device: "auto" takes CUDA, then MPS, then the CPU.
        seed: of all random numbers drawn while training, but for the order of the data.
        log_every: steps between log points.
        callbacks: in the order in which they are called.

    Raises:
        TrainingError: if a loss stops being finite.
        ValueError: if the settings do not exist or contradict each other.
    """
    _check(objectives, order, accumulate, log_every)
    target = pick_device(device)
    for module in modules.values():
        module.to(target).train()
    batches = batches.to(target)
    training = Training(modules, objectives, steps)
    generators = default_generators(target)

    def backward(objective: Objective) -> None:
        """Add up the gradient of one update, over ``accumulate`` fresh batches."""
        for parameter in objective.parameters:
            parameter.grad = None
        for _ in range(accumulate):
            for generator in generators:
                generator.manual_seed(derive_seed(seed, training.draws))
            step = Step(training.step, batches.at(training.draws), generators[-1])
            training.draws += 1
            with autocast(target, precision):
                losses = objective.loss(step)
            losses = losses if isinstance(losses, dict) else {"loss": losses}
            training.record(objective, losses)
            # A gradient belongs to its player: other parameters are left alone.
            (losses["loss"] / accumulate).backward(inputs=objective.parameters)
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
            while training.step < steps:
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
                if training.step % log_every == 0 or training.step == steps:
                    training.log()
                for callback in callbacks:
                    callback.after_step(training)
        finally:
            for module in modules.values():
                module.eval()
            for callback in callbacks:
                callback.finish(training)
    return training.history


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
