"""SHA-256 of what figures were computed from, in hexadecimal digits."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from torch import Tensor, nn

from genlearn import data


def network_checksum(network: nn.Module) -> str:
    """Return the checksum of a network's weights and their names."""
    return _of_tensors(dict(sorted(network.state_dict().items())))


def split_checksum(split: data.Split) -> str:
    """Return the checksum of a split's images and labels, in their order, and of its levels."""
    tensors = {f"{split.levels} levels": split.images}
    if split.labels is not None:
        tensors["labels"] = split.labels
    return _of_tensors(tensors)


def files_checksum(files: Iterable[Path]) -> str:
    """Return the checksum of files and their names, in the order of the names."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.name):
        digest.update(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}".encode())
    return digest.hexdigest()


def _of_tensors(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
