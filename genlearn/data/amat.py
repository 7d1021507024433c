"""Text files of zeros and ones, in which the binarised MNIST was published.

A line holds the 784 pixels of one image, with a space between any two.
"""

from pathlib import Path

import numpy as np

from genlearn.errors import DataError

PIXELS = 28 * 28
_ZERO, _SPACE, _NEWLINE = b"0 \n"


def read_amat(path: Path, count: int) -> np.ndarray:
    """Read a file of binary 28 x 28 images.

    The format has no checksum: a bit that flipped makes a 1 of a 0. So compare the file's own
    checksum with the published one before you trust it.

    Args:
        path: the file, for example ``binarized_mnist_train.amat``.
        count: the number of images that it must hold.

    Returns:
        uint8 array of zeros and ones, shape (count, 28, 28).

    Raises:
        DataError: if the file is missing, or holds something else.
    """
    try:
        content = np.fromfile(path, np.uint8)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; put the original file there") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    if content.size != count * 2 * PIXELS:
        raise DataError(
            f"{path}: holds {content.size:,} bytes where {count:,} lines of {2 * PIXELS} were "
            "expected; copy or download it again"
        )
    characters = content.reshape(count, PIXELS, 2)
    digits, gaps = characters[:, :, 0] - np.uint8(_ZERO), characters[:, :, 1]
    if digits.max() > 1 or (gaps[:, :-1] != _SPACE).any() or (gaps[:, -1] != _NEWLINE).any():
        raise DataError(
            f"{path}: must hold zeros and ones with a space between any two, "
            f"{PIXELS} a line; copy or download it again"
        )
    return digits.reshape(count, 28, 28)
