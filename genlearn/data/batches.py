"""The order in which training sees the images, as a pure function."""

import copy
import hashlib

import torch
from torch import Tensor

from genlearn.data.split import Split

Batch = tuple[Tensor, ...]
"""(images,) or (images, labels), on the device of the split."""


def derive_seed(*keys: int) -> int:
    """Mix integers, such as (seed, epoch), into one seed; near keys give unrelated seeds."""
    digest = hashlib.blake2b(repr(keys).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1  # PyTorch takes 63 bits


class Batches:
    """An endless stream of shuffled epochs, cut into batches of equal size.

    A batch may end one epoch and begin the next. So every batch is full, and every image is seen
    exactly once an epoch.

    Args:
        split: where the images come from; batches lie on its device.
        size: images a batch.
        seed: fixes the order.

    Raises:
        ValueError: if size is below 1.
    """

    def __init__(self, split: Split, size: int, seed: int = 0) -> None:
        if size < 1:
            raise ValueError(f"a batch has at least one image, got size={size}")
        self.split, self.size, self.seed = split, size, seed
        self._epoch, self._permutation = -1, torch.empty(0)

    def to(self, device: torch.device | str) -> "Batches":
        """Return the same stream with its batches on ``device``."""
        moved = copy.copy(self)
        moved.split, moved._epoch = self.split.to(device), -1
        return moved

    def at(self, k: int, rank: int = 0, world: int = 1) -> Batch:
        """Return draw number ``k`` of process ``rank`` out of ``world``.

        The same arguments always give the same batch: a run that was interrupted goes on by asking
        for the next ``k``. Process r of W takes the draws r, r + W, r + 2W, … of the one stream.
        """
        begin = (k * world + rank) * self.size
        index = self._indices(begin, begin + self.size)
        # index_select copies image by image; images[index] would go through them value by value.
        images, labels = self.split.images.index_select(0, index), self.split.labels
        return (images,) if labels is None else (images, labels.index_select(0, index))

    def _indices(self, begin: int, end: int) -> Tensor:
        """Positions ``begin`` to ``end`` of the stream, as indices into the split."""
        length, parts = len(self.split), []
        while begin < end:
            epoch, offset = divmod(begin, length)
            stop = min(length, offset + end - begin)
            parts.append(self._shuffled(epoch)[offset:stop])
            begin += stop - offset
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _shuffled(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            # Drawn on the CPU, so that the order is the same whatever the device.
            generator = torch.Generator().manual_seed(derive_seed(self.seed, epoch))
            order = torch.randperm(len(self.split), generator=generator)
            device = self.split.images.device
            if device.type == "cuda":  # pinned memory: the host does not wait for the copy
                order = order.pin_memory()
            self._permutation = order.to(device, non_blocking=True)
            self._epoch = epoch
        return self._permutation
