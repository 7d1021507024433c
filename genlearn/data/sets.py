"""The data sets that genlearn knows, by name."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from genlearn.data import embedded, published, sources
from genlearn.data.download import download
from genlearn.data.glyphs import glyphs
from genlearn.data.places import FOLDER_VARIABLE, cache_folder, has_download, local_folder
from genlearn.data.shapes import shapes
from genlearn.data.sources import Source
from genlearn.data.split import Dataset
from genlearn.data.toys import DENSITIES
from genlearn.errors import DataError


@dataclass(frozen=True)
class Entry:
    """What ``genlearn data list`` says of a data set, and how it is loaded."""

    name: str
    description: str
    split: str
    embedded: bool
    """Whether it needs no file beyond the installed packages."""
    loader: Callable[[], Dataset]
    origin: str
    """Where it comes from, in a few words."""
    folder: str = ""
    """Of its files, under GENLEARN_DATA and in the cache; its name by default."""
    source: Source | None = None
    """What can be downloaded; None: nothing."""


def load(name: str) -> Dataset:
    """Load a data set. This never downloads anything; ``fetch`` does.

    Args:
        name: one of ``names()``. Some need no file beyond the installed packages. The others are
            read from the folder that the variable GENLEARN_DATA names, or else from the cache.

    Raises:
        DataError: if the name is unknown, or a file is missing, damaged or of another shape.
    """
    return _entry(name).loader()


def fetch(name: str) -> Path:
    """Download a data set into the cache, but for what is already there.

    Returns:
        The folder of its files, which lies in the one that GENLEARN_CACHE names, or else in the
        system's cache folder.

    Raises:
        DataError: if the set is unknown or not to be downloaded, or a file cannot be had.
    """
    entry = _entry(name)
    if entry.source is None:
        remedy = (
            "it needs no download"
            if entry.embedded
            else f"it has no published checksum; put it into {entry.folder or name}/ in a folder "
            f"that {FOLDER_VARIABLE} names"
        )
        raise DataError(f"{name} is not to be downloaded: {remedy}")
    folder = cache_folder(entry.folder or name)
    download(entry.source, folder)
    return folder


def names() -> list[str]:
    """Names of the data sets, in the order in which the book meets them."""
    return list(ENTRIES)


def is_at_hand(name: str) -> bool:
    """Whether the files of a data set are on this machine (they may yet be damaged)."""
    entry = ENTRIES[name]
    folder = entry.folder or name
    return entry.embedded or local_folder(folder) is not None or has_download(folder, entry.source)


def _entry(name: str) -> Entry:
    if name in DENSITIES:
        raise DataError(
            f"{name} is a density in the plane, not a set of images; draw points with "
            f"genlearn.data.{DENSITIES[name].__name__}().sample(n)"
        )
    if name not in ENTRIES:
        raise DataError(f"data set {name!r} is unknown; choose one of: {', '.join(ENTRIES)}")
    return ENTRIES[name]


_MNIST_SPLIT = "50,000 train, the last 10,000 of the training file valid, 10,000 test"


def _idx_entry(name: str, description: str, source: Source) -> Entry:
    return Entry(
        name,
        description,
        _MNIST_SPLIT,
        False,
        lambda: published.idx_set(name, source),
        "download",
        source=source,
    )


ENTRIES = {
    entry.name: entry
    for entry in [
        Entry(
            "digits",
            "1,797 handwritten digits, 8x8, 17 grey levels",
            "rows 0-999 train, 1000-1349 valid, 1350-1796 test (probably other writers)",
            True,
            embedded.digits,
            "in scikit-learn",
        ),
        Entry(
            "faces",
            "100 faces and 100 other crops, 25x25, 256 grey levels",
            "of each kind the first 70 train, 15 valid, 15 test",
            True,
            embedded.faces,
            "in scikit-image",
        ),
        Entry(
            "patches",
            "13,124 patches of five photographs, 32x32, colour",
            "left 70 % of a photograph train, next 15 % valid, rest test",
            True,
            embedded.patches,
            "in scikit-image",
        ),
        Entry(
            "shapes",
            "13,000 shapes with known size, angle and place, 32x32, 256 grey levels",
            "10,000 train, 1,000 valid, 2,000 test, no combination twice",
            True,
            shapes,
            "made on the fly",
        ),
        Entry(
            "glyphs",
            "14,400 digits and capitals in many fonts, 28x28, 256 grey levels",
            "11,520 train, 1,440 valid, 1,440 test, each in fonts of its own",
            True,
            glyphs,
            "made on the fly",
        ),
        _idx_entry("mnist", "70,000 handwritten digits, 28x28, 256 grey levels", sources.MNIST),
        _idx_entry(
            "fashion-mnist",
            "70,000 pieces of clothing, 28x28, 256 grey levels",
            sources.FASHION_MNIST,
        ),
        _idx_entry(
            "kmnist", "70,000 cursive Japanese letters, 28x28, 256 grey levels", sources.KMNIST
        ),
        Entry(
            "binarized-mnist",
            "MNIST in black and white (Larochelle's fixed binarisation), no labels",
            "50,000 train, 10,000 valid, 10,000 test",
            False,
            published.binarized_mnist,
            "download",
            source=sources.BINARIZED_MNIST,
        ),
        Entry(
            "cifar10",
            "60,000 photographs of ten kinds of things, 32x32, colour",
            "45,000 train, the last 5,000 of the training files valid, 10,000 test",
            False,
            published.cifar10,
            "download",
            source=sources.CIFAR10,
        ),
        Entry(
            "emoji",
            "3,583 pictures of the Noto Emoji font on white, 32x32, colour, no labels",
            "a tenth valid, a tenth test, variants of a picture together",
            False,
            published.emoji,
            "local copy only",
            folder=published.EMOJI_FOLDER,
        ),
    ]
}
