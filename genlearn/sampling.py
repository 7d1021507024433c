"""Drawing images value by value, and completing them.

Works with any :class:`genlearn.nets.PixelNetwork`: what makes it fast is the network's
own cache.

Source: Ramachandran et al. (2017), Fast Generation for Convolutional Autoregressive Models, arXiv
1704.06001.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from genlearn.distributions import DrawableLikelihood
from genlearn.nets import PixelCache, PixelNetwork

Encode = Callable[[Tensor], Tensor]
"""Maps levels of any shape (…) to what a network is given for them, (…, inputs)."""


class NaiveCache:
    """Keeps nothing: a forward pass over the whole image for each value; eq-fast-naive.

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
    """Sum of log p(given value | all before it), nats, (n,); 0 where nothing was given;
    eq-fast-weights."""


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
    after_row: Callable[[], object] = lambda: None,
) -> Drawn:
    """Draw images value by value in the order of reading, keeping the values that are given.

    This is alg-fast. Step 1 is the cache's: see :class:`genlearn.nets.PixelCache`.

    Args:
        cache: of the network, new.
        likelihood: of one value.
        encode: turns levels into the network's inputs.
        uniforms: numbers in [0, 1), (n, C, H, W): each fixes the draw of its value.
        given: values to keep. They are clamped: a value before them knows nothing of them.
        after_row: called after each row, for a progress bar.
    """
    n, channels, height, width = uniforms.shape
    blank = encode(uniforms[:1, 0, 0, 0])
    per_value = blank.shape[-1]
    # Everything is cut into views of one value beforehand: indexing takes longer than computing.
    pixels = blank.new_zeros(height * width, n, channels * per_value)
    inputs = pixels.view(height, width, n, -1).permute(2, 3, 0, 1)
    places = [place for pixel in pixels for place in pixel.split(per_value, 1)]
    numbers = in_order(uniforms)
    known = [None] * len(numbers) if given is None else in_order(given.known)
    values = known if given is None else in_order(given.levels.to(uniforms.dtype))
    drawn, log_weight = [], uniforms.new_zeros(n)
    for row in range(height):
        for column in range(width):
            for channel in range(channels):
                value = len(drawn)
                parameters = cache.parameters(inputs, row, column, channel)
                level = likelihood.draw(parameters, numbers[value])
                if given is not None:
                    level = torch.where(known[value], values[value], level)
                    of_value = likelihood.distribution(parameters[:, None, None, None])
                    log_prob = of_value.log_prob(level[:, None, None, None])
                    log_weight += torch.where(known[value], log_prob, 0.0)
                drawn.append(level)
                places[value].copy_(encode(level))
        after_row()
    levels = torch.stack(drawn, 1).unflatten(1, (height, width, channels)).movedim(3, 1)
    return Drawn(levels.contiguous(), log_weight)


def in_order(values: Tensor) -> tuple[Tensor, ...]:
    """Cut (n, C, H, W) into C * H * W pieces of shape (n,), in the order of reading."""
    return values.permute(2, 3, 1, 0).flatten(0, 2).contiguous().unbind()


@torch.inference_mode()
def draw(
    network: PixelNetwork,
    likelihood: DrawableLikelihood,
    encode: Encode,
    condition: Tensor,
    uniforms: Tensor,
    given: Given | None = None,
    *,
    cached: bool = True,
    batch_size: int = 256,
    progress: bool = False,
) -> Drawn:
    """Draw any number of images, in batches of equal size, each with a cache of its own.

    What a cache holds is freed with its batch, so memory does not grow with the number of images,
    but for the images themselves. On a CUDA device with more than one batch the whole loop over an
    image is captured once and replayed for each: launching thousands of small kernels one by one
    would take longer than running them.

    Args:
        network, likelihood, encode: of a model.
        condition: (n, D), what is known of each image.
        uniforms: numbers in [0, 1), (n, C, H, W).
        given: values to keep.
        cached: False for a :class:`NaiveCache`.
        batch_size: at most so many images are drawn together.
        progress: show a bar, on a terminal.

    Raises:
        ValueError: if there is no image to draw, or no room for one in a batch.
    """
    from tqdm import tqdm

    n, size = len(uniforms), tuple(uniforms.shape[2:])
    if n < 1 or batch_size < 1:
        raise ValueError(f"cannot draw {n} images in batches of {batch_size}: both must be above 0")

    count = -(-n // batch_size)
    parts = [part.chunk(count) for part in (condition, uniforms, *(given or ()))]
    pieces = list(zip(*parts, strict=True))
    with tqdm(total=len(pieces) * size[0], unit="row", disable=None if progress else True) as bar:

        def draw_piece(after_row, condition: Tensor, uniforms: Tensor, *given: Tensor) -> Drawn:
            cache = network.cache(condition, size) if cached else NaiveCache(network, condition)
            values = Given(*given) if given else None
            return draw_in_order(cache, likelihood, encode, uniforms, values, after_row)

        if uniforms.is_cuda and cached and len(pieces) > 1:
            drawn = _replayed(partial(draw_piece, _nothing), pieces, partial(bar.update, size[0]))
        else:
            drawn = [draw_piece(bar.update, *piece) for piece in pieces]
    return Drawn(*map(torch.cat, zip(*drawn, strict=True)))


def _nothing() -> None:
    """Done after each row where nobody watches."""


def _replayed(
    draw_piece: Callable[..., Drawn],
    pieces: list[tuple[Tensor, ...]],
    after_piece: Callable[[], object],
) -> list[Drawn]:
    """Capture the drawing of the first piece as a CUDA graph, and replay it for every one.

    A graph reads and writes fixed places in memory. So each piece is copied to where the first one
    lay when it was captured, and its images are copied away. Behind a last piece that is shorter
    stand images of the piece before; they are drawn once more, and cut off.
    """
    fixed = [part.clone() for part in pieces[0]]
    device = fixed[0].device
    stream = torch.cuda.Stream(device)
    stream.wait_stream(torch.cuda.current_stream(device))
    with torch.cuda.stream(stream):  # libraries set themselves up at their first call
        draw_piece(*(part[:1] for part in fixed))
    torch.cuda.current_stream(device).wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = draw_piece(*fixed)
    drawn = []
    for piece in pieces:
        for place, part in zip(fixed, piece, strict=True):
            place[: len(part)].copy_(part)
        graph.replay()
        drawn.append(Drawn(*(part[: len(piece[0])].clone() for part in captured)))
        after_piece()
    return drawn


class Completion(NamedTuple):
    """Images of which some values were known."""

    images: Tensor
    """Levels, (N, C, H, W); the known values are untouched."""
    effective_sample_size: Tensor
    """How many of the draws counted, 1 … particles, (N,); eq-fast-ess."""


def effective_sample_size(log_weights: Tensor) -> Tensor:
    """(Σ w)² / Σ w² over the first axis: (particles, N) to (N,); eq-fast-ess."""
    return (2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0)).exp()


def choose_by_weight(
    drawn: Drawn, particles: int, uniform: Tensor, dtype: torch.dtype = torch.uint8
) -> Completion:
    """Of each image's draws take one, with probabilities proportional to their weights.

    This is step 3 of alg-fast-complete.

    Args:
        drawn: particles * N images, all images' first draws first.
        particles: draws an image.
        uniform: numbers in [0, 1), (N,), which fix the choice.
        dtype: of the images.
    """
    log_weights = drawn.log_weight.double().unflatten(0, (particles, -1))
    cumulative = log_weights.softmax(0).cumsum(0)[:-1]
    chosen = (cumulative <= uniform).sum(0)
    images = drawn.levels.unflatten(0, (particles, -1))
    images = images[chosen, torch.arange(len(uniform), device=chosen.device)]
    return Completion(images.to(dtype), effective_sample_size(log_weights))
