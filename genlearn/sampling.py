"""Drawing images value by value, and completing them.

Works with any :class:`genlearn.nets.PixelNetwork`: what makes it fast is the network's
own cache.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from genlearn.distributions import DrawableLikelihood
from genlearn.nets import PixelCache, PixelNetwork

Encode = Callable[[Tensor], Tensor]
"""Maps levels of any shape (…) to what a network is given for them, (…, inputs)."""


class NaiveCache:
    """Keeps nothing: a forward pass over the whole image for each value.

    Slow, and what every cache must agree with.
    """

    def __init__(self, network: PixelNetwork, condition: Tensor) -> None:
        self.network, self.condition = network, condition

    def parameters(self, inputs: Tensor, row: int, column: int, channel: int) -> Tensor:
        """Return the parameters of one value, (n, outputs)."""
        return self.network(inputs, self.condition)[:, channel, row, column]


class Drawn(NamedTuple):
    """Images, and what they say of the values that were given."""

    levels: Tensor
    """Shape (n, C, H, W), in the dtype of the uniform numbers."""
    log_weight: Tensor
    """Sum of log p(given value | all before it), nats, (n,); 0 where nothing was given."""


class Given(NamedTuple):
    """Values that are known beforehand."""

    levels: Tensor
    """Shape (n, C, H, W), integers."""
    known: Tensor
    """Bool, (n, C, H, W)."""


@torch.inference_mode()
def draw_in_order(
    cache: PixelCache,
    likelihood: DrawableLikelihood,
    encode: Encode,
    uniforms: Tensor,
    given: Given | None = None,
    rows: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Drawn:
    """Draw images value by value in the order of reading, keeping the values that are given.

    Args:
        cache: of the network, new.
        likelihood: of one value.
        encode: turns levels into the network's inputs.
        uniforms: numbers in [0, 1), (n, C, H, W): each fixes the draw of its value.
        given: values to keep. They are clamped: a value before them knows nothing of them.
        rows: wraps the row numbers, for a progress bar.
    """
    n, channels, height, width = uniforms.shape
    levels = torch.zeros_like(uniforms)
    blank = encode(levels[:1, :1, :1, :1])
    per_value = blank.shape[-1]
    inputs = blank.new_zeros(n, channels * per_value, height, width)
    log_weight = uniforms.new_zeros(n)
    for row in rows(range(height)):
        for column in range(width):
            for channel in range(channels):
                parameters = cache.parameters(inputs, row, column, channel)
                place = (slice(None), channel, row, column)
                drawn = likelihood.draw(parameters, uniforms[place])
                if given is not None:
                    known, value = given.known[place], given.levels[place].to(drawn.dtype)
                    drawn = torch.where(known, value, drawn)
                    log_prob = likelihood.distribution(parameters[:, None, None, None])
                    log_prob = log_prob.log_prob(drawn[:, None, None, None])
                    log_weight += torch.where(known, log_prob, torch.zeros_like(log_prob))
                levels[place] = drawn
                first = channel * per_value
                inputs[:, first : first + per_value, row, column] = encode(drawn)
    return Drawn(levels, log_weight)


class Completion(NamedTuple):
    """Images of which some values were known."""

    images: Tensor
    """Levels, uint8, (N, C, H, W); the known values are untouched."""
    effective_sample_size: Tensor
    """How many of the draws counted, 1 … particles, (N,)."""


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """(Σ w)² / Σ w² over the first axis: (particles, N) to (N,)."""
    return (2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0)).exp()


def choose_by_weight(drawn: Drawn, particles: int, uniform: Tensor) -> Completion:
    """Of each image's draws take one, with probabilities proportional to their weights.

    Args:
        drawn: particles * N images, all images' first draws first.
        particles: draws an image.
        uniform: numbers in [0, 1), (N,), which fix the choice.
    """
    log_weights = drawn.log_weight.double().unflatten(0, (particles, -1))
    cumulative = log_weights.softmax(0).cumsum(0)[:-1]
    chosen = (cumulative <= uniform).sum(0)
    images = drawn.levels.unflatten(0, (particles, -1))
    images = images[chosen, torch.arange(len(uniform), device=chosen.device)]
    return Completion(images.to(torch.uint8), effective_sample_size(log_weights))


def chunks(n: int, size: int) -> Iterator[slice]:
    """Cut n images into pieces of at most ``size``, so that memory does not grow with n."""
    for first in range(0, n, size):
        yield slice(first, min(first + size, n))
