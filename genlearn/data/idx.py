"""The IDX file format, in which MNIST and its relatives are published.

A file begins with four bytes (0, 0, type, number of dimensions), then one big-endian 32-bit size a
dimension, then the values, last dimension fastest. Type 8 is an unsigned byte.
"""

import gzip
import zlib
from math import prod
from pathlib import Path

import numpy as np

from genlearn.errors import DataError

_UNSIGNED_BYTE = 8


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read a gzip-compressed IDX file of unsigned bytes.

    Args:
        path: the file, for example ``train-images-idx3-ubyte.gz``.
        dimensions: the number of dimensions it must have (images: 3, labels: 1).

    Returns:
        uint8 array of the sizes that the file states.

    Raises:
        DataError: if the file is missing, damaged, or holds something else.
    """
    try:
        with gzip.open(path, "rb") as file:
            content = file.read()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; put the original file there") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged ({error}); copy or download it again") from None

    header = 4 + 4 * dimensions
    expected = bytes([0, 0, _UNSIGNED_BYTE, dimensions])
    if len(content) < header or content[:4] != expected:
        raise DataError(
            f"{path}: not an IDX file of bytes with {dimensions} dimension(s): "
            f"it begins with {content[:4].hex()!r}, expected {expected.hex()!r}; replace the file"
        )
    sizes = [int(size) for size in np.frombuffer(content[4:header], dtype=">u4")]
    if len(content) - header != prod(sizes):
        raise DataError(
            f"{path}: holds {len(content) - header} values where its header says "
            f"{' x '.join(map(str, sizes))}; copy or download it again"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(sizes)
