"""The data sets that genlearn knows, by name."""

import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from genlearn.data.idx import read_idx
from genlearn.data.split import Dataset, Split
from genlearn.errors import DataError

FOLDER_VARIABLE = "GENLEARN_DATA"
"""Environment variable that names the folder of local data sets."""


# What np.load and zipfile raise on a damaged archive. TypeError: a file of one array is no archive;
# MemoryError: a size in a header is wrong; RuntimeError: a bit says that the file is encrypted.
_UNREADABLE = (
    OSError, ValueError, KeyError, EOFError, TypeError, MemoryError, RuntimeError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """What ``genlearn data list`` says of a data set, and how it is loaded."""

    name: str
    description: str
    split: str
    embedded: bool
    loader: Callable[[], Dataset]


def load(name: str) -> Dataset:
    """Load a data set.

    Args:
        name: one of ``names()``. ``digits`` comes with scikit-learn and needs no network; the
            others are read from the folder that the variable GENLEARN_DATA names.

    Raises:
        DataError: if the name is unknown, or a file is missing, damaged or of another shape.
    """
    if name not in ENTRIES:
        raise DataError(f"data set {name!r} is unknown; choose one of: {', '.join(ENTRIES)}")
    return ENTRIES[name].loader()


def names() -> list[str]:
    """Names of the data sets, in the order in which the book meets them."""
    return list(ENTRIES)


def is_at_hand(name: str) -> bool:
    """Whether the files of a data set are on this machine (they may yet be damaged)."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return ENTRIES[name].embedded or (folder is not None and (Path(folder) / name).is_dir())


def _digits() -> Dataset:
    from sklearn.datasets import load_digits  # 0.7 s, so not at the top

    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.uint8).unsqueeze(1)
    labels = torch.tensor(digits.target, dtype=torch.int64)
    return _cut("digits", images, labels, levels=17, train=1000, valid=350)


def _idx_set(name: str) -> Dataset:
    """60,000 training and 10,000 test images of 28x28, in the four files of MNIST."""
    folder = _local_folder(name)

    def part(prefix: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        path = folder / f"{prefix}-images-idx3-ubyte.gz"
        images, labels = read_idx(path, 3), read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", 1)
        if images.shape != (count, 28, 28) or labels.shape != (count,):
            raise DataError(
                f"{path}: expected {count} images of 28 x 28 with as many labels, got "
                f"{images.shape} and {labels.shape}; put the original files there"
            )
        return torch.tensor(images).unsqueeze(1), torch.tensor(labels, dtype=torch.int64)

    images, labels = part("train", 60_000)
    test_images, test_labels = part("t10k", 10_000)
    return Dataset(
        name,
        train=Split(images[:50_000], labels[:50_000], 256, f"{name}/train"),
        valid=Split(images[50_000:], labels[50_000:], 256, f"{name}/valid"),
        test=Split(test_images, test_labels, 256, f"{name}/test"),
    )


def _binarized_mnist() -> Dataset:
    """Larochelle's fixed binarisation of MNIST, bits packed eight to a byte; it has no labels."""
    path = _local_folder("binarized-mnist") / "binarized_mnist_packed.npz"
    counts = {"train": 50_000, "valid": 10_000, "test": 10_000}
    splits = {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            packed = {part: archive[part] for part in counts}
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; put the original file there") from None
    except _UNREADABLE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: damaged ({reason}); copy or download it again") from None
    for part, count in counts.items():
        if packed[part].shape != (count, 98) or packed[part].dtype != np.uint8:
            raise DataError(
                f"{path}: {part} must be uint8 of shape ({count}, 98), got "
                f"{packed[part].dtype} of shape {packed[part].shape}; replace the file"
            )
        images = torch.tensor(np.unpackbits(packed[part], axis=1)).view(count, 1, 28, 28)
        splits[part] = Split(images, None, 2, f"binarized-mnist/{part}")
    return Dataset("binarized-mnist", **splits)


def _local_folder(name: str) -> Path:
    root = os.environ.get(FOLDER_VARIABLE)
    if not root:
        raise DataError(
            f"{name} is not part of the package; set {FOLDER_VARIABLE} to a folder that holds "
            f"{name}/ with the original files"
        )
    folder = Path(root) / name
    if not folder.is_dir():
        raise DataError(
            f"{folder}: no such folder; {FOLDER_VARIABLE} must name a folder that holds {name}/"
        )
    return folder


def _cut(
    name: str, images: torch.Tensor, labels: torch.Tensor, levels: int, train: int, valid: int
) -> Dataset:
    """Cut a set, unshuffled, into its first ``train``, the next ``valid``, and the other images."""
    parts = {
        "train": slice(0, train),
        "valid": slice(train, train + valid),
        "test": slice(train + valid, None),
    }
    return Dataset(
        name,
        **{key: Split(images[s], labels[s], levels, f"{name}/{key}") for key, s in parts.items()},
    )


ENTRIES = {
    entry.name: entry
    for entry in [
        Entry(
            "digits",
            "1,797 handwritten digits, 8x8, 17 grey levels",
            "rows 0-999 train, 1000-1349 valid, 1350-1796 test (other writers)",
            True,
            _digits,
        ),
        Entry(
            "mnist",
            "70,000 handwritten digits, 28x28, 256 grey levels",
            "50,000 train, the last 10,000 of the training file valid, 10,000 test",
            False,
            lambda: _idx_set("mnist"),
        ),
        Entry(
            "fashion-mnist",
            "70,000 pieces of clothing, 28x28, 256 grey levels",
            "50,000 train, the last 10,000 of the training file valid, 10,000 test",
            False,
            lambda: _idx_set("fashion-mnist"),
        ),
        Entry(
            "binarized-mnist",
            "MNIST in black and white (Larochelle's fixed binarisation), no labels",
            "50,000 train, 10,000 valid, 10,000 test",
            False,
            _binarized_mnist,
        ),
    ]
}
