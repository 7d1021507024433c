"""NumPy's archives of arrays, read with every check that the format offers."""

import io
import zipfile
import zlib
from pathlib import Path

import numpy as np

from genlearn.errors import DataError

# What zipfile and numpy raise on a damaged archive. MemoryError: a size in a header is wrong;
# RuntimeError: a bit says that the file is encrypted.
_UNREADABLE = (
    OSError, ValueError, KeyError, EOFError, TypeError, MemoryError, RuntimeError, OverflowError,
    SyntaxError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def read_npz(path: Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Read arrays from an ``.npz`` archive; nothing in it is ever run.

    Args:
        path: the archive.
        names: of the arrays that it must hold; others are passed over.

    Returns:
        The arrays by name, of whatever type and shape the archive gives them.

    Raises:
        DataError: if the file is missing or damaged, or lacks an array.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # ``read`` goes to the end of a member, where zipfile compares its checksum.
            members = {name: io.BytesIO(archive.read(f"{name}.npy")) for name in names}
        return {
            name: np.lib.format.read_array(member, allow_pickle=False)
            for name, member in members.items()
        }
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; put the original file there") from None
    except _UNREADABLE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{path}: damaged ({reason}); copy or download it again") from None
