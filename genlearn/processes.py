"""Several processes that train one model together, by Lightning Fabric."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lightning_fabric import Fabric  # slow to import

Value = TypeVar("Value")


class Group:
    """The processes that train one model together; by default this one alone.

    Each call is made by all of them, at the same place of the program. A group of one does nothing.

    Args:
        fabric: launched; None: this process alone.
    """

    def __init__(self, fabric: "Fabric | None" = None) -> None:
        self.fabric = fabric
        self.rank = fabric.global_rank if fabric else 0
        self.size = fabric.world_size if fabric else 1
        self.device: torch.device | None = fabric.device if fabric else None

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in place; one flat all-reduce."""
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
        flat = self.fabric.all_reduce(flat, reduce_op="mean")
        for tensor, part in zip(tensors, flat.split([t.numel() for t in tensors]), strict=True):
            tensor.detach().copy_(part.view_as(tensor))

    def average_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace each gradient by its mean; where a process has none, it counts as zero."""
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.average([parameter.grad for parameter in parameters])

    def first(self, function: Callable[[], Value]) -> Value:
        """Call a function in the first process alone, and give its result to all."""
        if self.size == 1:
            return function()
        return self.fabric.broadcast(function() if self.rank == 0 else None)

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        if self.size == 1:
            return flag
        return bool(self.fabric.all_reduce(torch.tensor(float(flag)), reduce_op="sum") > 0)
