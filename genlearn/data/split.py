"""Images as tensors of discrete levels, held in memory."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from genlearn.errors import DataError


@dataclass(frozen=True, eq=False)
class Split:
    """One part of a data set: images and, where there are any, their labels.

    Images keep the integer levels in which they were recorded; a model scales them for itself. So
    a likelihood is a probability mass over these levels, and figures of different models compare.

    Args:
        images: uint8, shape (N, C, H, W), values 0 … levels - 1.
        labels: int64, shape (N,), or None.
        levels: number of values that a pixel can take (binary images: 2, MNIST: 256).
        name: for messages, for example "digits/train".
        factors: what an image was drawn from, float, shape (N, F), or None where nobody knows.
        factor_names: what the F columns are, for example ("scale", "angle").

    Raises:
        DataError: if type, shape or range is another.
    """

    images: Tensor
    labels: Tensor | None
    levels: int
    name: str = "data"
    factors: Tensor | None = None
    factor_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        images, labels = self.images, self.labels
        if images.dtype != torch.uint8 or images.ndim != 4 or images.numel() == 0:
            raise DataError(
                f"{self.name}: images must be uint8 of shape (N, C, H, W), not empty; "
                f"got {images.dtype} of shape {tuple(images.shape)}"
            )
        if not 2 <= self.levels <= 256:
            raise DataError(f"{self.name}: levels must be 2 … 256, got {self.levels}")
        if (highest := int(images.max())) >= self.levels:
            raise DataError(
                f"{self.name}: a pixel has value {highest}, but with {self.levels} levels the "
                f"highest is {self.levels - 1}"
            )
        if labels is not None and (labels.dtype != torch.int64 or labels.shape != images.shape[:1]):
            raise DataError(
                f"{self.name}: labels must be int64 of shape ({len(images)},); "
                f"got {labels.dtype} of shape {tuple(labels.shape)}"
            )
        factors, expected = self.factors, (len(images), len(self.factor_names))
        if factors is not None and (not factors.is_floating_point() or factors.shape != expected):
            raise DataError(
                f"{self.name}: factors must be floating-point of shape {expected}; "
                f"got {factors.dtype} of shape {tuple(factors.shape)}"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: (C, H, W)."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def to(self, device: torch.device | str) -> "Split":
        """Return the split with its tensors on ``device``."""
        labels = None if self.labels is None else self.labels.to(device)
        factors = None if self.factors is None else self.factors.to(device)
        return replace(self, images=self.images.to(device), labels=labels, factors=factors)


@dataclass(frozen=True)
class Dataset:
    """The three fixed parts of a data set: train on one, choose on another, report the third."""

    name: str
    train: Split
    valid: Split
    test: Split

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one image: (C, H, W)."""
        return self.train.shape

    @property
    def levels(self) -> int:
        """Number of values that a pixel can take."""
        return self.train.levels
