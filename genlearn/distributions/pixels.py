"""Likelihoods of images whose pixels are independent given the parameters."""

from typing import Protocol

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, Distribution, Independent


class PixelLikelihood(Protocol):
    """p(x | parameters) for images whose pixels are independent given the parameters.

    Attributes:
        levels: the values 0 … levels - 1 over which it is a probability mass.
        parameters_per_value: how many numbers it needs for each value of the image.
    """

    levels: int
    parameters_per_value: int

    def distribution(self, parameters: Tensor) -> Distribution:
        """Turn (N, C, H, W, parameters) into a distribution over (C, H, W), batch shape (N,)."""
        ...

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected level of each pixel, shape (N, C, H, W)."""
        ...


class DrawableLikelihood(PixelLikelihood, Protocol):
    """A likelihood whose values can be drawn one by one, as models of pixels in order need it."""

    def draw(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        """Turn uniform numbers in [0, 1), (…), into levels by the inverse of the distribution.

        Args:
            parameters: of any values, (…, parameters_per_value).
            uniform: one number a value. The same number always gives the same level.

        Returns:
            Levels as floating-point numbers, (…).
        """
        ...


def at_least_float32(parameters: Tensor) -> Tensor:
    """Return float64 as it is, all else as float32.

    Log-probabilities of many pixels are added up: half precision would not do.
    """
    return parameters if parameters.dtype == torch.float64 else parameters.float()


class BernoulliPixels:
    """Black or white: one logit a pixel.

    Only for images of two levels. On grey pixels the same formula is no probability: it does not
    sum to one, and a constant image can "win".

    Raises:
        ValueError: if levels is not 2.
    """

    levels = 2
    parameters_per_value = 1

    def __init__(self, levels: int = 2) -> None:
        if levels != 2:
            raise ValueError(
                f"a Bernoulli likelihood needs images of 2 levels, got {levels}; "
                "use CategoricalPixels for grey levels"
            )

    def distribution(self, parameters: Tensor) -> Distribution:
        """Turn logits (N, C, H, W, 1) into a distribution over (C, H, W)."""
        logits = at_least_float32(parameters).squeeze(-1)
        return Independent(Bernoulli(logits=logits, validate_args=False), 3, validate_args=False)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the probability of white, shape (N, C, H, W)."""
        return at_least_float32(parameters).squeeze(-1).sigmoid()

    def draw(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        """Turn uniform numbers into levels: white where they lie below its probability."""
        return (uniform < self.mean(parameters)).to(uniform.dtype)


class CategoricalPixels:
    """Grey levels without any order: one logit a level and pixel.

    Args:
        levels: number of values a pixel can take.

    Raises:
        ValueError: if levels is not 2 … 256.
    """

    def __init__(self, levels: int) -> None:
        if not 2 <= levels <= 256:
            raise ValueError(f"levels must be 2 … 256, got {levels}")
        self.levels = self.parameters_per_value = levels

    def distribution(self, parameters: Tensor) -> Distribution:
        """Turn logits (N, C, H, W, levels) into a distribution over (C, H, W)."""
        pixels = Categorical(logits=at_least_float32(parameters), validate_args=False)
        return Independent(pixels, 3, validate_args=False)

    def mean(self, parameters: Tensor) -> Tensor:
        """Return the expected level, shape (N, C, H, W)."""
        probabilities = at_least_float32(parameters).softmax(-1)
        level = torch.arange(self.levels, device=parameters.device, dtype=probabilities.dtype)
        # A sum, not a product of matrices, which bf16 autocast would round.
        return (probabilities * level).sum(-1)

    def draw(self, parameters: Tensor, uniform: Tensor) -> Tensor:
        """Turn uniform numbers into levels: how many cumulative probabilities lie at or below."""
        # The last cumulative probability is 1, or 1 less a rounding: it is left out.
        cumulative = at_least_float32(parameters).softmax(-1).cumsum(-1)[..., :-1]
        return (cumulative <= uniform.unsqueeze(-1)).sum(-1).to(uniform.dtype)


class CategoricalCodes(CategoricalPixels):
    """Codes of a grid, such as those of a VQ-VAE: as categories, but of any number.

    Args:
        count: number of codes.

    Raises:
        ValueError: if count is below 2.
    """

    def __init__(self, count: int) -> None:
        if count < 2:
            raise ValueError(f"count must be at least 2, got {count}")
        self.levels = self.parameters_per_value = count


def likelihood_for(levels: int) -> PixelLikelihood:
    """Return the usual likelihood of images with ``levels`` levels: Bernoulli for 2."""
    return BernoulliPixels() if levels == 2 else CategoricalPixels(levels)


def level_dtype(levels: int) -> torch.dtype:
    """Return the type of a grid with so many levels: uint8 for images, int64 for more than 256."""
    return torch.uint8 if levels <= 256 else torch.int64


def scaled_images(x: Tensor, shape: tuple[int, int, int], levels: int) -> Tensor:
    """Turn levels into what networks are given: black at -1, white at 1; float32, same shape.

    Raises:
        TypeError, ValueError: as :func:`check_images` does.
    """
    check_images(x, shape, levels)
    return x.float() * (2 / (levels - 1)) - 1


def check_images(x: Tensor, shape: tuple[int, int, int], levels: int) -> None:
    """Check a batch of images before a likelihood is taken.

    The range is looked at on the CPU alone: on another device this would make the host wait, and
    :class:`genlearn.data.Split` has looked already.

    Raises:
        TypeError: if x is not of integer levels (:func:`level_dtype`).
        ValueError: if shape or range is another.
    """
    if x.dtype != (expected := level_dtype(levels)):
        raise TypeError(
            f"images must be {str(expected).removeprefix('torch.')} levels 0 … {levels - 1}, "
            f"got {x.dtype}; do not scale them, the model does"
        )
    if x.ndim != 4 or tuple(x.shape[1:]) != tuple(shape):
        raise ValueError(
            f"images must be of shape (N, {', '.join(map(str, shape))}), got {tuple(x.shape)}"
        )
    if x.device.type == "cpu" and x.numel():
        least, most = int(x.min()), int(x.max())
        if least < 0 or most >= levels:
            odd = least if least < 0 else most
            raise ValueError(f"images must have levels 0 … {levels - 1}, got {odd}")
