"""Damaged files of every format: one DataError each, and never wrong data.

Each format that is read without a published checksum carries one of its own (gzip and zip: CRC-32),
which notices any damage within 32 bits in a row, a cut, and other damage but for one case in 2^32.
What it does not cover, such as the time in a gzip header, changes no data; then the very data of
the whole file must come back. Such cases are counted apart from the 200 that must be refused.
"""

import gzip
import io
import random
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genlearn.data import read_idx
from genlearn.data.cifar import read_cifar
from genlearn.data.npz import read_npz
from genlearn.errors import DataError

CASES = 200  # refused, for each format
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)


def idx() -> bytes:
    header = bytes([0, 0, 8, 3]) + struct.pack(">3I", *PIXELS.shape)
    return gzip.compress(header + PIXELS.tobytes(), mtime=0)


def npz() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, train=PIXELS, test=PIXELS[:2])
    return file.getvalue()


def cifar() -> bytes:
    file = io.BytesIO()
    rng = np.random.default_rng(0)
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name in [*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"]:
            table = rng.integers(0, 256, (2, 3073), dtype=np.uint8)
            table[:, 0] %= 10
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.size = table.size
            tar.addfile(info, io.BytesIO(table.tobytes()))
    return gzip.compress(file.getvalue(), mtime=0)


def flip(content: bytes, rng: random.Random) -> bytes:
    """One bit, as on a worn disk."""
    damaged = bytearray(content)
    damaged[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def cut(content: bytes, rng: random.Random) -> bytes:
    """The end is missing, as after a broken connection."""
    return content[: rng.randrange(len(content))]


def smear(content: bytes, rng: random.Random) -> bytes:
    """A block of zeros, as after a power cut."""
    begin = rng.randrange(len(content))
    end = min(len(content), begin + rng.choice([1, 16, 512]))
    return content[:begin] + bytes(end - begin) + content[end:]


def drop(content: bytes, rng: random.Random) -> bytes:
    """Some bytes in the middle are missing."""
    begin = rng.randrange(len(content))
    return content[:begin] + content[begin + rng.randint(1, 100) :]


FORMATS: dict[str, tuple[bytes, Callable[[Path], list[np.ndarray]]]] = {
    "idx": (idx(), lambda path: [read_idx(path, 3)]),
    "npz": (npz(), lambda path: list(read_npz(path, ("train", "test")).values())),
    "cifar": (cifar(), lambda path: [a for pair in read_cifar(path, 2).values() for a in pair]),
}


@pytest.mark.parametrize("kind", FORMATS)
def test_damage_is_one_data_error_and_never_wrong_data(kind, tmp_path):
    content, read = FORMATS[kind]
    path, rng = tmp_path / "file", random.Random(kind)
    path.write_bytes(content)
    whole = [array.copy() for array in read(path)]
    refusals, harmless = [], 0
    while len(refusals) < CASES:
        damaged = rng.choice([flip, cut, smear, drop])(content, rng)
        path.write_bytes(damaged)
        try:
            found = read(path)
        except DataError as error:
            refusals.append(str(error))
            continue
        harmless += 1
        for one, other in zip(found, whole, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)
    assert all(line.startswith(f"{path}: ") and "\n" not in line for line in refusals)
    assert harmless < CASES / 10
