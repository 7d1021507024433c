"""What is descended: an objective gives a loss for a step, and its optimiser makes it smaller."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from genlearn.data import Batch


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
