"""A small classifier of images: a judge of samples, and features in which to compare them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genlearn.distributions import scaled_images
from genlearn.nets import conv_encoder


class Classifier(nn.Module):
    """p(label | image), as logits of the classes.

    Args:
        encoder: maps images scaled to [-1, 1], (N, C, H, W), to vectors (N, F).
        width: F.
        classes: K.
        shape: (C, H, W) of one image.
        levels: number of values that a pixel can take.
        dropout: share of the features set to zero while training.

    Raises:
        ValueError: if there are fewer than two classes.
    """

    def __init__(
        self,
        encoder: nn.Module,
        width: int,
        classes: int,
        shape: tuple[int, int, int],
        levels: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if classes < 2:
            raise ValueError(f"a classifier tells at least 2 classes apart, got {classes}")
        self.encoder, self.classes, self.shape, self.levels = encoder, classes, shape, levels
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, classes))

    @classmethod
    def conv(
        cls,
        shape: tuple[int, int, int],
        levels: int,
        classes: int,
        *,
        channels: Sequence[int] = (8, 16, 32),
        width: int = 64,
        dropout: float = 0.5,
    ) -> "Classifier":
        """Build a classifier from a convolutional network, whose images do not see each other.

        Args:
            shape, levels: of the images, of any size and number of channels.
            classes: K.
            channels: of the feature maps, from full size down, each half as high and wide as the
                one before.
            width: F, the length of the features.
            dropout: share of the features set to zero while training.
        """
        return cls(conv_encoder(shape, channels, width), width, classes, shape, levels, dropout)

    def features(self, x: Tensor) -> Tensor:
        """Turn images, uint8 levels, (N, C, H, W), into vectors (N, F); float32."""
        return F.silu(self.encoder(scaled_images(x, self.shape, self.levels)).float())

    def logits(self, x: Tensor) -> Tensor:
        """Turn images, uint8 levels, (N, C, H, W), into logits (N, K); float32."""
        return self.head(self.features(x)).float()

    def loss(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the mean of -log p(label | image), in nats, and the share of right answers.

        Args:
            x: images, uint8 levels, (N, C, H, W).
            labels: int64, (N,), 0 … K - 1.
        """
        logits = self.logits(x)
        right = (logits.argmax(1) == labels).float().mean()
        return {"loss": F.cross_entropy(logits, labels), "accuracy": right}

    @torch.no_grad()
    def classify(self, x: Tensor) -> Tensor:
        """Return the most likely class of each image, int64, (N,)."""
        return self.logits(x).argmax(1)
