"""What turns images into the vectors that distances between sets of images compare.

A distance belongs to its features: figures with other features compare with nothing. So each
extractor has a name, which goes wherever a figure goes.
"""

import hashlib
import io
import pickle
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from genlearn.errors import FeatureError

INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"
INCEPTION_SHA256 = "6726825d"
"""How the checksum of that file begins. No other weights make a figure comparable as FID."""


class Extractor(NamedTuple):
    """Turns images into feature vectors."""

    name: str
    """Of the features, as a table or a figure shows it."""
    function: Callable[[Tensor], Tensor]
    """From uint8 images (N, C, H, W) to floats (N, F)."""
    log_probs: Callable[[Tensor], Tensor] | None = None
    """From the same images to log p(y | x), (N, K), if the network names classes."""

    def __call__(self, images: Tensor) -> Tensor:
        """Features of uint8 images (N, C, H, W): float, (N, F)."""
        return self.function(images)


def pixel_features(levels: int) -> Extractor:
    """Take the pixels themselves, from 0 to 1, in the order of memory.

    Args:
        levels: of the images, whose values are 0 … levels - 1.

    Raises:
        ValueError: if there are fewer than 2 levels.
    """
    if levels < 2:
        raise ValueError(f"images must have at least 2 levels, got {levels}")
    return Extractor("pixels", lambda images: images.flatten(1).float() / (levels - 1))


def inception_features(
    weights: Path, levels: int = 256, *, device: torch.device | str = "cpu"
) -> Extractor:
    """Take the 2,048 features of Inception-v3, as FID does, by the package torch-fidelity.

    It enlarges images to 299 × 299 as the network's first program did. Images with one channel get
    three equal ones, and those with fewer than 256 levels are stretched to 0 … 255. Its classes,
    for Inception Score, are the 1,008 outputs without their bias, as is usual.

    Only numbers are read from the file; no program hidden in it is run.

    Args:
        weights: the file ``weights-inception-2015-12-05-6726825d.pth``, which belongs to the
            releases of torch-fidelity. It is never downloaded.
        levels: of the images, whose values are 0 … levels - 1; at most 256.
        device: where the network computes.

    Raises:
        ValueError: if the number of levels is not from 2 to 256.
        FeatureError: if the package or the file is not there, or the file is another.
    """
    if not 2 <= levels <= 256:
        raise ValueError(f"images must have 2 to 256 levels, got {levels}")
    checked = io.BytesIO()
    torch.save(_read_weights(Path(weights)), checked)
    checked.seek(0)  # the package itself would run a pickle: it gets one that holds numbers only
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
    except ImportError as error:
        raise FeatureError(
            f"Inception-v3 needs the package torch-fidelity ({error}): pip install torch-fidelity, "
            "or choose other features"
        ) from None
    try:
        network = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], checked)
    except RuntimeError:  # of load_state_dict
        raise FeatureError(f"{weights}: these are no weights of Inception-v3") from None
    network = network.to(device).eval()

    def outputs(images: Tensor) -> tuple[Tensor, Tensor]:
        if images.shape[1] not in (1, 3):
            raise ValueError(f"Inception-v3 sees 1 or 3 channels, got {images.shape[1]}")
        bright = (images.to(device).float() * (255 / (levels - 1))).round().to(torch.uint8)
        with torch.no_grad():
            return network(bright.expand(-1, 3, -1, -1))

    return Extractor(
        "Inception-v3",
        lambda images: outputs(images)[0],
        lambda images: outputs(images)[1].log_softmax(1),
    )


def features_of(
    extractor: Callable[[Tensor], Tensor],
    images: Tensor | Iterable[Tensor],
    batch_size: int = 500,
) -> Tensor:
    """Extract the features of images, float, (N, F); they lie where the extractor leaves them.

    Args:
        extractor: an :class:`Extractor` or any function like its own.
        images: uint8, (N, C, H, W), or batches of them.
        batch_size: images that the extractor sees at a time, of a tensor.

    Raises:
        ValueError: if there are no images, they are not uint8 (N, C, H, W), or a feature is not
            finite or not of shape (N, F).
    """
    batches = list(feature_batches(extractor, images, batch_size))
    if not batches:
        raise ValueError("there are no images")
    return torch.cat(batches)


def feature_batches(
    extractor: Callable[[Tensor], Tensor],
    images: Tensor | Iterable[Tensor],
    batch_size: int = 500,
) -> Iterator[Tensor]:
    """Yield the features batch by batch, so that they need not fit into memory together.

    ``moments_of(feature_batches(extractor, images))`` is all that the Fréchet distance needs.
    Arguments and errors are those of :func:`features_of`.
    """
    if isinstance(images, Tensor):
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        images = images.split(batch_size)
    for batch in images:
        if batch.ndim != 4 or batch.dtype != torch.uint8 or len(batch) == 0:
            raise ValueError(
                f"images must be uint8 (N, C, H, W), not empty; got {batch.dtype} "
                f"{tuple(batch.shape)}"
            )
        with torch.no_grad():
            features = extractor(batch)
        if features.ndim != 2 or len(features) != len(batch) or not features.is_floating_point():
            raise ValueError(
                f"an extractor must return floats (N, F), got {features.dtype} "
                f"{tuple(features.shape)} for {len(batch)} images"
            )
        if not features.isfinite().all():
            raise ValueError("features must be finite")
        yield features


def _read_weights(file: Path) -> dict[str, Tensor]:
    try:
        content = file.read_bytes()
    except OSError:
        raise FeatureError(
            f"{file}: no such file; get {INCEPTION_FILE} from the releases of torch-fidelity, or "
            "choose other features"
        ) from None
    if not hashlib.sha256(content).hexdigest().startswith(INCEPTION_SHA256):
        raise FeatureError(f"{file}: not {INCEPTION_FILE}, or damaged: its checksum is another")
    try:
        return torch.load(io.BytesIO(content), weights_only=True, map_location="cpu")
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, LookupError):
        raise FeatureError(f"{file}: damaged, or holds more than numbers: not loaded") from None
