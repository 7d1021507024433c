"""Mean and covariance of features that come in batches, in bounded memory."""

from collections.abc import Iterable

import torch
from torch import Tensor

ROWS = 4096
"""Rows that are turned into float64 at a time."""


class Moments:
    """Count, mean and covariance of feature vectors; keeps F · F numbers, however many there are.

    Sums lie on the device of the first batch, in float64 (on the CPU where a device has none). Each
    batch is centred on its own mean before it is squared, so that a large common offset costs no
    digits.

    Args:
        features: F, length of a vector.

    Source: Chan, Golub and LeVeque (1983), Algorithms for Computing the Sample Variance.
    """

    def __init__(self, features: int) -> None:
        if features < 1:
            raise ValueError(f"a vector must have at least 1 feature, got {features}")
        self.features, self.count = features, 0
        self._mean, self._scatter = torch.empty(0), torch.empty(0)

    def update(self, batch: Tensor) -> None:
        """Count in a batch of features, (N, F), any real dtype.

        Raises:
            ValueError: if the shape does not fit, or a value is not finite; nothing is counted in.
        """
        if batch.ndim != 2 or batch.shape[1] != self.features:
            raise ValueError(f"features must be (N, {self.features}), got {tuple(batch.shape)}")
        check_finite(batch)
        for rows in batch.split(ROWS):
            rows = to_double(rows)
            mean = rows.mean(0)
            rows = rows - mean
            self._add(len(rows), mean, rows.T, rows)

    def merge(self, other: "Moments") -> None:
        """Count in all that another has counted.

        Raises:
            ValueError: if its vectors are of another length.
        """
        if other.features != self.features:
            raise ValueError(f"cannot merge {other.features} features into {self.features}")
        if other.count:
            self._add(other.count, other._mean, None, other._scatter)

    @property
    def mean(self) -> Tensor:
        """Mean, float64, (F,); needs one vector at least."""
        self._demand(1)
        return self._mean

    @property
    def covariance(self) -> Tensor:
        """Covariance, float64, (F, F): sums of products over n - 1; needs two vectors at least."""
        self._demand(2)
        return self._scatter / (self.count - 1)

    def _add(self, count: int, mean: Tensor, left: Tensor | None, right: Tensor) -> None:
        """Add a group of this mean, whose sum of squares about it is left @ right, or right."""
        if self.count == 0:
            self._mean = torch.zeros_like(mean)
            self._scatter = mean.new_zeros(self.features, self.features)
        mean, right = mean.to(self._mean.device), right.to(self._mean.device)
        if left is None:
            self._scatter += right
        else:
            self._scatter.addmm_(left.to(self._mean.device), right)
        total = self.count + count
        apart = mean - self._mean
        self._scatter.addr_(apart, apart, alpha=self.count * count / total)
        self._mean = self._mean + apart * (count / total)
        self.count = total

    def _demand(self, least: int) -> None:
        if self.count < least:
            raise ValueError(f"at least {least} feature vectors are needed, got {self.count}")


def moments_of(features: Tensor | Iterable[Tensor]) -> Moments:
    """Take the moments of features (N, F), or of batches of them, which are not kept.

    Raises:
        ValueError: if there is no batch, shapes do not fit, or a value is not finite.
    """
    moments = None
    for batch in [features] if isinstance(features, Tensor) else features:
        if batch.ndim != 2:
            raise ValueError(f"features must be (N, F), got {tuple(batch.shape)}")
        moments = moments or Moments(batch.shape[1])
        moments.update(batch)
    if moments is None:
        raise ValueError("there are no features")
    return moments


def to_double(features: Tensor) -> Tensor:
    """Turn a tensor into float64, where it lies; from a device without float64, on the CPU."""
    features = features.detach()
    return (features.cpu() if features.device.type == "mps" else features).double()


def check_finite(features: Tensor) -> None:
    """See to it that all of many values, (N, F), are numbers.

    Raises:
        ValueError: if one is not.
    """
    # A sum is finite only if every term is; no mask as large as the features is made.
    if not all(to_double(rows).sum(0).isfinite().all() for rows in features.split(ROWS)):
        raise ValueError("features must be finite")
