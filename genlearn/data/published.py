"""The sets that the literature reports on, from files on this machine."""

import hashlib
from pathlib import Path

import numpy as np
import torch

from genlearn.data import sources
from genlearn.data.amat import read_amat
from genlearn.data.cifar import read_cifar
from genlearn.data.idx import read_idx
from genlearn.data.npz import read_npz
from genlearn.data.places import find_folder
from genlearn.data.sources import Source
from genlearn.data.split import Dataset, Split
from genlearn.errors import DataError

EMOJI_FOLDER = "noto-emoji"


def idx_set(name: str, source: Source) -> Dataset:
    """60,000 training and 10,000 test images, 28x28, in ten classes: the four files of MNIST."""
    folder = find_folder(name, name, source)

    def part(prefix: str, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        path = folder / f"{prefix}-images-idx3-ubyte.gz"
        images, labels = read_idx(path, 3), read_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", 1)
        if images.shape != (count, 28, 28) or labels.shape != (count,) or labels.max() > 9:
            raise DataError(
                f"{path}: expected {count} images of 28 x 28 with as many labels from 0 to 9, got "
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


def binarized_mnist() -> Dataset:
    """Larochelle's fixed binarisation of MNIST: his text files, or one archive of packed bits."""
    name, counts = "binarized-mnist", {"train": 50_000, "valid": 10_000, "test": 10_000}
    folder = find_folder(name, name, sources.BINARIZED_MNIST)
    texts = {part: folder / f"binarized_mnist_{part}.amat" for part in counts}
    if any(path.exists() for path in texts.values()):
        for file in sources.BINARIZED_MNIST.files:  # the text has no checksum of its own
            if fault := file.fault(folder / file.name):
                raise DataError(f"{folder / file.name}: {fault}; copy or download it again")
        images = {part: read_amat(texts[part], count) for part, count in counts.items()}
    else:
        images = _packed(folder / "binarized_mnist_packed.npz", counts)
    return Dataset(
        name,
        **{
            part: Split(torch.tensor(bits).unsqueeze(1), None, 2, f"{name}/{part}")
            for part, bits in images.items()
        },
    )


def _packed(path: Path, counts: dict[str, int]) -> dict[str, np.ndarray]:
    """Unpack bits, eight to a byte, the first pixel highest; uint8, (count, 28, 28)."""
    packed = read_npz(path, tuple(counts))
    for part, count in counts.items():
        if packed[part].shape != (count, 98) or packed[part].dtype != np.uint8:
            raise DataError(
                f"{path}: {part} must be uint8 of shape ({count}, 98), got "
                f"{packed[part].dtype} of shape {packed[part].shape}; replace the file"
            )
    return {part: np.unpackbits(bits, axis=1).reshape(-1, 28, 28) for part, bits in packed.items()}


def cifar10() -> Dataset:
    """60,000 photographs of ten kinds of things, from the archive of the binary version."""
    path = find_folder("cifar10", "cifar10", sources.CIFAR10) / sources.CIFAR10.files[0].name
    splits = {}
    for part, (images, labels) in read_cifar(path).items():
        splits[part] = torch.tensor(images), torch.tensor(labels, dtype=torch.int64)
    images, labels = splits["train"]
    return Dataset(
        "cifar10",
        train=Split(images[:45_000], labels[:45_000], 256, "cifar10/train"),
        valid=Split(images[45_000:], labels[45_000:], 256, "cifar10/valid"),
        test=Split(*splits["test"], 256, "cifar10/test"),
    )


def emoji() -> Dataset:
    """Pictures of the Noto Emoji font, laid on white.

    Variants of one picture (skin tone, gender) would tell a model its test images, so they stay in
    one part: which one, a hash of the name without them decides.
    """
    path = find_folder("emoji", EMOJI_FOLDER, None) / "noto_emoji_32x32_rgba.npz"
    arrays = read_npz(path, ("rgba", "name"))
    rgba, names = arrays["rgba"], arrays["name"]
    if rgba.dtype != np.uint8 or rgba.shape[1:] != (32, 32, 4) or names.shape != rgba.shape[:1]:
        raise DataError(
            f"{path}: expected pictures of uint8, (N, 32, 32, 4), with N names, got {rgba.dtype} "
            f"of shape {rgba.shape} and {names.shape}; replace the file"
        )
    alpha = rgba[..., 3:].astype(np.uint16)
    on_white = (rgba[..., :3] * alpha + 255 * (255 - alpha) + 127) // 255
    images = torch.tensor(on_white.astype(np.uint8)).permute(0, 3, 1, 2).contiguous()
    tenth = np.array([emoji_tenth(str(name)) for name in names])
    parts = {"train": tenth > 1, "valid": tenth == 1, "test": tenth == 0}
    return Dataset(
        "emoji",
        **{
            part: Split(images[torch.tensor(chosen)], None, 256, f"emoji/{part}")
            for part, chosen in parts.items()
        },
    )


# Skin tones, the signs for woman and man, and the marks that join them to a picture.
_VARIANT = {"1f3fb", "1f3fc", "1f3fd", "1f3fe", "1f3ff", "2640", "2642", "200d", "fe0f"}
_PERSON = {"1f468": "1f9d1", "1f469": "1f9d1"}  # man and woman as person


def emoji_tenth(name: str) -> int:
    """Put a picture, for example "emoji_u1f3ca_1f3fe_200d_2642", into one of ten equal groups."""
    codes = name.removeprefix("emoji_u").split("_")
    base = [_PERSON.get(code, code) for code in codes if code not in _VARIANT]
    digest = hashlib.blake2b("_".join(base or codes).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % 10
