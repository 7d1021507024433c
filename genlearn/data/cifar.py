"""The binary version of CIFAR-10: an archive of six files of 10,000 images each.

An image is one byte for its label and 3072 for its pixels: 32 x 32 of red, then of green, then of
blue, row by row. The files are read inside their .tar.gz, whose checksum covers each byte; a bit
that flipped in a file once unpacked could not be noticed. The pickled version is not read: a pickle
can run any program.
"""

import gzip
import io
import tarfile
import zlib
from pathlib import Path

import numpy as np

from genlearn.errors import DataError

FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{k}.bin" for k in range(1, 6))
TEST = ("test_batch.bin",)
CLASSES = 10
_RECORD = 1 + 3 * 32 * 32


def read_cifar(path: Path, records: int = 10_000) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Read the archive ``cifar-10-binary.tar.gz``.

    Args:
        path: the archive.
        records: images in each of its files; in the published one, 10,000.

    Returns:
        For "train" (five files) and "test" (one), images as uint8 of shape (N, 3, 32, 32) and
        labels as uint8 of shape (N,), 0 … 9.

    Raises:
        DataError: if the archive is missing, damaged, or holds something else.
    """
    try:
        # All at once: the checksum stands at the end, which tarfile alone would not reach.
        with gzip.open(path, "rb") as file:
            content = io.BytesIO(file.read())
        with tarfile.open(fileobj=content, mode="r:") as archive:
            batches = {name: _member(archive, name) for name in TRAIN + TEST}
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; put the original file there") from None
    except (OSError, EOFError, ValueError, KeyError, zlib.error, tarfile.TarError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: damaged ({reason}); copy or download it again") from None
    return {
        part: _records(path, [batches[name] for name in names], records)
        for part, names in {"train": TRAIN, "test": TEST}.items()
    }


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(f"{FOLDER}/{name}")
    if file is None:
        raise ValueError(f"{name} is no file")
    return file.read()


def _records(path: Path, files: list[bytes], records: int) -> tuple[np.ndarray, np.ndarray]:
    for content in files:
        if len(content) != records * _RECORD:
            raise DataError(
                f"{path}: a file in it holds {len(content):,} bytes where {records:,} images of "
                f"{_RECORD} were expected; copy or download it again"
            )
    table = np.frombuffer(b"".join(files), np.uint8).reshape(-1, _RECORD)
    labels, pixels = table[:, 0], table[:, 1:]
    if (highest := labels.max()) >= CLASSES:
        raise DataError(
            f"{path}: has label {highest} where the highest is {CLASSES - 1}; copy it again"
        )
    return pixels.reshape(-1, 3, 32, 32), labels
