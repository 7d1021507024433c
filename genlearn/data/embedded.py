"""Data sets made from what comes inside the wheels of scikit-learn and scikit-image."""

from pathlib import Path

import numpy as np
import torch

from genlearn.data.split import Dataset, Split
from genlearn.errors import DataError

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "motorcycle_left", "ihc")
"""Of the set ``patches``, in the order of its labels. All are PNG: a JPEG may be decoded otherwise
by another library. Chelsea is a cat; ihc shows stained tissue under a microscope."""

PATCH = 32  # pixels


def digits() -> Dataset:
    """Cut scikit-learn's digits, unshuffled: the test part is probably by other writers."""
    from sklearn.datasets import load_digits  # 0.7 s, so not at the top

    recorded = load_digits()
    images = torch.tensor(recorded.images, dtype=torch.uint8).unsqueeze(1)
    labels = torch.tensor(recorded.target, dtype=torch.int64)
    parts = {"train": slice(0, 1000), "valid": slice(1000, 1350), "test": slice(1350, None)}
    return Dataset(
        "digits",
        **{key: Split(images[s], labels[s], 17, f"digits/{key}") for key, s in parts.items()},
    )


def faces() -> Dataset:
    """Cut scikit-image's sample of Labeled Faces in the Wild: 100 faces, then 100 other crops.

    They are stored as numbers from 0 to 1, which become 256 levels. Label 1 is a face, 0 is none.
    """
    path = _bundled("lfw_subset.npy")
    try:
        stored = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: damaged ({error}); install scikit-image anew") from None
    if stored.shape != (200, 25, 25) or stored.min() < 0 or stored.max() > 1:
        raise DataError(
            f"{path}: expected 200 images of 25 x 25 from 0 to 1, got {stored.shape}; install the "
            "version of scikit-image that constraints.txt names"
        )
    images = torch.tensor(np.rint(stored * 255).astype(np.uint8)).view(2, 100, 1, 25, 25)
    labels = torch.tensor([1, 0]).view(2, 1).expand(2, 100)
    parts = {"train": slice(0, 70), "valid": slice(70, 85), "test": slice(85, 100)}
    return Dataset(
        "faces",
        **{
            key: Split(images[:, s].flatten(0, 1), labels[:, s].flatten(), 256, f"faces/{key}")
            for key, s in parts.items()
        },
    )


def patches() -> Dataset:
    """Cut 32 x 32 patches from five photographs; the label is the photograph.

    The left 70 % of each photograph are for training, the next 15 % for validation, the rest for
    the test. No patch crosses a border, so no pixel stands in two parts. Patches of one part
    overlap: they lie 8 pixels apart for training, and 16 elsewhere.
    """
    found: dict[str, list] = {"train": [], "valid": [], "test": []}
    for label, name in enumerate(PHOTOGRAPHS):
        picture = _photograph(f"{name}.png")
        width = picture.shape[1]
        borders = [0, width * 70 // 100, width * 85 // 100, width]
        for k, (part, stride) in enumerate([("train", 8), ("valid", 16), ("test", 16)]):
            region = torch.tensor(picture[:, borders[k] : borders[k + 1]])
            cut = region.unfold(0, PATCH, stride).unfold(1, PATCH, stride).flatten(0, 1)
            found[part].append((cut, torch.full((len(cut),), label)))
    return Dataset(
        "patches",
        **{
            part: Split(
                torch.cat([images for images, _ in pieces]).contiguous(),
                torch.cat([labels for _, labels in pieces]),
                256,
                f"patches/{part}",
            )
            for part, pieces in found.items()
        },
    )


def _photograph(name: str) -> np.ndarray:
    """Read a picture, uint8, (height, width, 3)."""
    from PIL import Image

    path = _bundled(name)
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: damaged ({error}); install scikit-image anew") from None


def _bundled(name: str) -> Path:
    """Return a file inside scikit-image, whose own loader may turn to the network for it."""
    import skimage

    path = Path(skimage.__file__).parent / "data" / name
    if not path.is_file():
        raise DataError(
            f"{path}: not in scikit-image {skimage.__version__}; install the version that "
            "constraints.txt names"
        )
    return path
