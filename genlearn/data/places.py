"""Where the files of published data sets lie on this machine."""

import os
from pathlib import Path

from genlearn.data.sources import Source
from genlearn.errors import DataError

FOLDER_VARIABLE = "GENLEARN_DATA"
"""Environment variable that names the folder of local data sets."""

CACHE_VARIABLE = "GENLEARN_CACHE"
"""Environment variable that names the folder of downloads; by default the system's cache folder."""


def local_folder(folder: str) -> Path | None:
    """Return the folder of a set under GENLEARN_DATA, or None if there is none."""
    root = os.environ.get(FOLDER_VARIABLE)
    return Path(root) / folder if root and (Path(root) / folder).is_dir() else None


def cache_folder(folder: str) -> Path:
    """Return the folder into which a set is downloaded; it need not exist."""
    import pooch  # reads its configuration on import

    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("genlearn")) / folder


def has_download(folder: str, source: Source | None) -> bool:
    """Whether every file of a set is in the cache (it may yet be damaged)."""
    if source is None:
        return False
    cache = cache_folder(folder)
    return all((cache / file.name).is_file() for file in source.files)


def find_folder(name: str, folder: str, source: Source | None) -> Path:
    """Return the folder that holds the files of a set: a local one before a downloaded one.

    A download must match its published checksums. A local copy may be packed in another way; then
    only what it holds is checked, by its reader.

    Args:
        name: of the set, for messages.
        folder: its name under GENLEARN_DATA and in the cache.
        source: what can be downloaded; None: nothing.

    Raises:
        DataError: if there is no such folder, or a file in the cache is damaged.
    """
    if local := local_folder(folder):
        return local
    if source and has_download(folder, source):
        for file in source.files:
            path = cache_folder(folder) / file.name
            if fault := file.fault(path):
                raise DataError(f"{path}: {fault}; run: genlearn data fetch {name}")
        return cache_folder(folder)
    fetch = f"; or run: genlearn data fetch {name}" if source else ""
    if root := os.environ.get(FOLDER_VARIABLE):
        raise DataError(
            f"{Path(root) / folder}: no such folder; {FOLDER_VARIABLE} must name a folder that "
            f"holds {folder}/{fetch}"
        )
    raise DataError(
        f"{name} is not part of the package; set {FOLDER_VARIABLE} to a folder that holds "
        f"{folder}/ with the original files{fetch}"
    )
