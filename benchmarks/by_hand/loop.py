"""What the loops written by hand share: images in shuffled epochs, and the usual update.

As lean as one writes it for one model: images lie in memory as uint8 and are taken from there by
``index_select``; nothing is seeded, checked or logged. The mean loss is read once in ``READ``
updates, so that the loop sees its model learn.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

READ = 50


def shuffled(images: Tensor, size: int) -> Iterator[Tensor]:
    """Batches of shuffled epochs, uint8, (size, C, H, W); what is left of an epoch is dropped."""
    while True:
        order = torch.randperm(len(images))
        for place in range(0, len(images) - size + 1, size):
            yield images.index_select(0, order[place : place + size])


def descend(
    model: nn.Module, loss: Callable[[Tensor], Tensor], batches: Iterator[Tensor]
) -> Iterator[None]:
    """Adam on one loss; yields once a step."""
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    step, total = 0, torch.zeros(())
    while True:
        adam.zero_grad()
        value = loss(next(batches))
        value.backward()
        adam.step()
        total += value.detach()
        step += 1
        if step % READ == 0:
            total.item()
            total.zero_()
        yield
