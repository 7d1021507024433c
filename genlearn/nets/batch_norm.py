"""Batch normalisation: the statistics that a network uses when it is not training."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn


def has_batch_norm(module: nn.Module) -> bool:
    """Say whether a network normalises over the batch: each output then depends on all inputs."""
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())


def restate_batch_norm(module: nn.Module, inputs: Iterable[Tensor]) -> None:
    """Measure the statistics anew, as the plain mean over batches; they replace the old ones.

    For weights that were averaged over training: the statistics found while training belong to
    other weights. Parameters and the training mode stay as they are.

    Args:
        module: a network with or without batch normalisation.
        inputs: batches of what the network takes.
    """
    with torch.no_grad():
        update_bn(inputs, module)
