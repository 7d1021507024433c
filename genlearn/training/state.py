"""All that changes while training, and what may be done beside it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from genlearn.errors import TrainingError
from genlearn.history import History
from genlearn.processes import Group
from genlearn.training.objective import Objective


class Callback:
    """Something to do beside training. All three calls do nothing unless they are written anew."""

    def start(self, training: "Training") -> None:
        """Before the first step."""

    def after_step(self, training: "Training") -> None:
        """After each step; ``training.step`` steps are done by then."""

    def finish(self, training: "Training") -> None:
        """After the last step, also when an error ended the training."""


class Lap(NamedTuple):
    """A stretch of training from one log point to the next; at each of them the host has waited."""

    steps: int
    draws: int
    """Batches, of each process."""
    seconds: float
    """Without what callbacks did at the log point before."""


@dataclass(eq=False)
class Training:
    """All that changes while training; callbacks see it, checkpoints hold it.

    Args:
        modules: the networks, by name.
        objectives: in the order in which they take their steps.
        steps: how many there are to do.
        step: how many are done.
        draws: how many batches were drawn by each process.
        history: what was logged.
        pending: name, step and value of what was recorded since the last log point.
        stopped: why training ends before its last step; empty while it does not.
        group: the processes that train together.
        lap: the steps between the last two log points; None before the first.
    """

    modules: dict[str, nn.Module]
    objectives: Sequence[Objective]
    steps: int
    step: int = 0
    draws: int = 0
    history: History = field(default_factory=History)
    pending: list[tuple[str, int, Tensor]] = field(default_factory=list)
    stopped: str = ""
    group: Group = field(default_factory=Group)
    lap: Lap | None = None

    @property
    def over(self) -> bool:
        """Whether no step will follow."""
        return self.step >= self.steps or bool(self.stopped)

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
        """Read what was recorded and add its means to the history.

        Raises:
            TrainingError: if a value is not finite; it names the first step where this was so.
        """
        if not self.pending:
            return
        sums: dict[str, list[float]] = {}
        for (name, _, _), value in zip(self.pending, self.read(), strict=True):
            sums.setdefault(name, []).append(value)
        self.pending.clear()
        self.history.add(self.step, {k: math.fsum(v) / len(v) for k, v in sums.items()})

    def read(self) -> list[float]:
        """Return what was recorded since the last log point. Here the host waits.

        Of several processes it is their mean.

        Raises:
            TrainingError: if a value is not finite; it names the first step where this was so.
        """
        if not self.pending:
            return []
        tensors = [value for _, _, value in self.pending]
        # Plain numbers were logged from the CPU.
        device = max((value.device for value in tensors), key=lambda device: device.type != "cpu")
        # In float64: the mean of two processes is exact, as one process alone would have it.
        values = torch.stack([value.to(device) for value in tensors]).cpu().double()
        self.group.average([values])
        numbers = values.tolist()
        for (name, step, _), number in zip(self.pending, numbers, strict=True):
            if not math.isfinite(number):
                raise TrainingError(
                    f"{name} is {number} at step {step}; lower the learning rate or clip the "
                    "gradient; the last checkpoint, if there is one, is from before"
                )
        return numbers

    def state_dict(self) -> dict[str, Any]:
        """All but the weights, as numbers and tensors alone.

        It holds what was not logged yet: a checkpoint may be written between two log points, and
        the history will be as if it had not been.
        """
        return {
            "step": self.step,
            "draws": self.draws * self.group.size,  # of all processes: their number may change
            "stopped": self.stopped,
            "history": self.history.rows,
            # cloned: a view would bring along all that it is a view of
            "pending": [(name, step, value.cpu().clone()) for name, step, value in self.pending],
            "optimizers": {o.name: o.optimizer.state_dict() for o in self.objectives},
            "schedules": {o.name: o.schedule.state_dict() for o in self.objectives if o.schedule},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go back to where :meth:`state_dict` was taken. The weights are loaded separately.

        Checkpoints of version 0.1.0 were written at log points alone, and no run stopped early.
        """
        self.step, self.stopped = state["step"], state.get("stopped", "")
        self.draws = -(-state["draws"] // self.group.size)  # rounded up: no draw is used twice
        self.history.rows[:] = state["history"]
        self.pending[:] = state.get("pending", [])
        for objective in self.objectives:
            objective.optimizer.load_state_dict(state["optimizers"][objective.name])
            _lay_out_as_parameters(objective.optimizer)
            if objective.schedule:
                objective.schedule.load_state_dict(state["schedules"][objective.name])


def _lay_out_as_parameters(optimizer: Optimizer) -> None:
    """Bring an optimiser's tensors into their parameters' order of memory.

    A fused step goes through them side by side, whatever order each is in: after a change of order
    since they were written, it would mix up their elements without a word.
    """
    for parameter, tensors in optimizer.state.items():
        for name, tensor in tensors.items():
            if torch.is_tensor(tensor) and tensor.shape == parameter.shape:
                tensors[name] = torch.empty_like(parameter, dtype=tensor.dtype).copy_(tensor)
