"""A group of processes: each learns from batches of its own, and all keep the same weights."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn

from genlearn.errors import ProcessError


class Group:
    """The processes that train one model together; by default this one alone.

    Each call is made by all of them, at the same place of the program: it waits until all are
    there. A group of one does nothing.

    No module is wrapped, as PyTorch's DistributedDataParallel would: a loss may close over several
    networks, pass through them twice, or differentiate a gradient. What an update needs is averaged
    once, when all of it is there.

    Args:
        fabric: of Lightning, launched; None: this process alone.

    Raises:
        ProcessError: from any call, if another process of the group has ended.
    """

    def __init__(self, fabric: Any = None) -> None:
        self.fabric = fabric
        self.rank = fabric.global_rank if fabric else 0
        self.size = fabric.world_size if fabric else 1
        self.device: torch.device | None = fabric.device if fabric else None

    def add(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its sum over the processes, in place; one flat all-reduce."""
        self._reduce(tensors, divisor=1)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replace each tensor by its mean over the processes, in place; one flat all-reduce."""
        self._reduce(tensors, divisor=self.size)

    def average_gradients(
        self, parameters: Sequence[Tensor], statistics: Sequence[Tensor] = ()
    ) -> None:
        """Replace each gradient by its mean, eq-scale-union; a missing one counts as zero.

        Args:
            parameters: whose gradients are meant.
            statistics: what else is averaged, in the same message; see :func:`running_statistics`.
        """
        if self.size == 1:
            return
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        self.average([*(parameter.grad for parameter in parameters), *statistics])

    def share(self, tensors: Sequence[Tensor]) -> None:
        """Overwrite each tensor by the first process's, in place."""
        if self.size == 1:
            return
        for tensor in tensors:
            value = tensor.detach().contiguous()
            with _others_alive():
                distributed.broadcast(value, src=0)
            tensor.detach().copy_(value)

    def first(self, function: Callable[[], Any]) -> Any:
        """Call a function in the first process alone, and give its result to all.

        While it runs, :func:`current_group` is that process alone.
        """
        if self.size == 1:
            return function()
        value = None
        if self.rank == 0:
            with joined(Group()):
                value = function()
        with _others_alive():
            return self.fabric.broadcast(value)

    def any(self, flag: bool) -> bool:
        """Whether it is so in any process."""
        if self.size == 1:
            return flag
        found = torch.tensor(int(flag))
        with _others_alive():
            distributed.all_reduce(found)
        return bool(found)

    def _reduce(self, tensors: Sequence[Tensor], divisor: int) -> None:
        if self.size == 1 or not tensors:
            return
        flat = torch.cat([tensor.detach().flatten() for tensor in tensors])
        with _others_alive():
            distributed.all_reduce(flat)  # the host does not wait for a GPU
        parts = (flat / divisor).split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.detach().copy_(part.view_as(tensor))


_current = Group()


def current_group() -> Group:
    """Return the group to which :func:`launch` made this process belong, or this process alone."""
    return _current


@contextlib.contextmanager
def joined(group: Group) -> Iterator[None]:
    """Make it the current group in a block."""
    global _current
    before, _current = _current, group
    try:
        yield
    finally:
        _current = before


def running_statistics(module: nn.Module) -> list[Tensor]:
    """Return the running means and variances of batch normalisation in a network.

    No other buffers of our networks depend on the batch. Each process sees batches of its own, so
    these are averaged: what is left in all processes is the running mean of the statistics of all
    batches, where one process alone, which accumulates, would move its mean batch by batch.
    """
    parts = [p for p in module.modules() if isinstance(p, nn.modules.batchnorm._BatchNorm)]
    return [s for part in parts for s in (part.running_mean, part.running_var) if s is not None]


@contextlib.contextmanager
def _others_alive() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # a connection was closed
        raise ProcessError("another process of the group has ended") from error
