"""Models that predict an image value by value: their likelihood is exact.

Source: van den Oord et al. (2016), Pixel Recurrent Neural Networks, arXiv 1601.06759, section 2.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.distributions import Distribution

from genlearn import sampling
from genlearn.distributions import (
    DrawableLikelihood,
    at_least_float32,
    check_images,
    level_dtype,
    likelihood_for,
)
from genlearn.nets import PixelNetwork, PixelSizes


class PixelModel(nn.Module):
    """p(x) = ∏ p(value | all values before it), in the order of reading.

    The values before a value: all pixels above, those on its left, and the earlier channels of its
    own pixel. One network gives the parameters of all these conditional distributions at once.

    Args:
        make_network: makes the network from what is asked of it; see
            :class:`genlearn.nets.PixelNetwork`.
        shape: of an image, (C, H, W).
        levels: values that a pixel's channel can take. Up to 256, images are uint8; a grid of more
            codes than that is int64 (:func:`genlearn.distributions.level_dtype`).
        likelihood: of one value; by default Bernoulli for 2 levels, else categorical.
        classes: number of labels, for a model of p(x | label); 0 for a model of p(x).
        embedding: 0 gives the network grey levels, black at -1 and white at 1. Above 0, each level
            is a learned vector of this length: for codes, which have no order.

    Raises:
        ValueError: if the likelihood is of another number of levels.
    """

    def __init__(
        self,
        make_network: Callable[[PixelSizes], PixelNetwork],
        shape: tuple[int, int, int],
        levels: int,
        *,
        likelihood: DrawableLikelihood | None = None,
        classes: int = 0,
        embedding: int = 0,
    ) -> None:
        super().__init__()
        self.likelihood = likelihood or likelihood_for(levels)
        if self.likelihood.levels != levels:
            raise ValueError(
                f"a likelihood of {self.likelihood.levels} levels is none of images of {levels}"
            )
        self.shape, self.levels, self.classes = tuple(shape), levels, classes
        self.vectors = nn.Embedding(levels, embedding) if embedding else None
        # Knows the model's dtype and device, and is found faster than a parameter.
        self.register_buffer("nothing", torch.zeros(()), persistent=False)
        outputs = self.likelihood.parameters_per_value
        self.network = make_network(PixelSizes(shape[0], embedding or 1, outputs, classes + 1))

    def encode(self, levels: Tensor) -> Tensor:
        """Turn levels of any shape (…) into what the network is given, (…, inputs)."""
        if self.vectors is not None:
            return self.vectors(levels.long())
        scaled = levels.to(self._like().dtype) * (2 / (self.levels - 1)) - 1
        return scaled.unsqueeze(-1)

    def condition(self, n: int, label: Tensor | None = None, altered: Tensor | None = None):
        """Return what is known of n images beforehand, (n, classes + 1).

        Args:
            n: number of images.
            label: int64, (n,); needed by a model with classes.
            altered: bool, (n,): images changed by augmentation. The model is told, so that what it
                learns of them does not blur what it says of real images. By default none is.

        Raises:
            ValueError: if labels are missing, too many, or out of range.
        """
        like = self._like()
        condition = torch.zeros(n, self.classes + 1, dtype=like.dtype, device=like.device)
        if (label is None) != (self.classes == 0):
            expected = f"labels 0 … {self.classes - 1}" if self.classes else "no labels"
            raise ValueError(f"this model needs {expected}")
        if label is not None:
            if tuple(label.shape) != (n,):
                raise ValueError(f"labels must be of shape ({n},), got {tuple(label.shape)}")
            if (
                label.device.type == "cpu"
                and n
                and not 0 <= label.min() <= label.max() < self.classes
            ):
                raise ValueError(f"labels must be 0 … {self.classes - 1}")
            condition[:, :-1] = F.one_hot(label.to(like.device), self.classes)
        if altered is not None:
            condition[:, -1] = altered
        return condition

    def parameters_of(
        self, x: Tensor, label: Tensor | None = None, altered: Tensor | None = None
    ) -> Tensor:
        """Return the parameters of each value's distribution, (N, C, H, W, outputs).

        Args:
            x: levels, integers, (N, C, H, W).
            label, altered: see :meth:`condition`.
        """
        inputs = self.encode(x).movedim(-1, 2).flatten(1, 2)
        return self.network(inputs, self.condition(len(x), label, altered))

    def conditionals(self, x: Tensor, label: Tensor | None = None) -> Distribution:
        """p(value | all values before it in x), batch shape (N, C, H, W); eq-sequence-chain."""
        self._check(x)
        return self.likelihood.distribution(self.parameters_of(x, label)).base_dist

    def log_prob(
        self, x: Tensor, label: Tensor | None = None, altered: Tensor | None = None
    ) -> Tensor:
        """Log p(x), exact: nats per image, shape (N,); eq-sequence-log.

        Args:
            x: levels, (N, C, H, W).
            label, altered: see :meth:`condition`.
        """
        self._check(x)
        # In bf16 there are no odd levels above 256, nor places half-way between levels above 128.
        parameters = at_least_float32(self.parameters_of(x, label, altered))
        return self.likelihood.distribution(parameters).log_prob(x.to(parameters.dtype))

    @torch.inference_mode()
    def sample(
        self,
        n: int,
        label: Tensor | None = None,
        *,
        uniforms: Tensor | None = None,
        cached: bool = True,
        batch_size: int = 256,
        progress: bool = False,
    ) -> Tensor:
        """Draw n images of levels, (n, C, H, W).

        Args:
            n: number of images.
            label: int64, (n,); needed by a model with classes.
            uniforms: numbers in [0, 1), (n, C, H, W), which fix all draws; by default new ones.
            cached: False runs the network over the whole image for each value, which is slow.
            batch_size: images drawn together; bounds the memory.
            progress: show a bar.
        """
        drawn = self._draw(n, label, None, uniforms, cached, batch_size, progress)
        return drawn.levels.to(level_dtype(self.levels))

    @torch.inference_mode()
    def complete(
        self,
        x: Tensor,
        known: Tensor,
        label: Tensor | None = None,
        *,
        particles: int = 1,
        uniforms: Tensor | None = None,
        batch_size: int = 256,
        progress: bool = False,
    ) -> sampling.Completion:
        """Draw the unknown values of images; the known ones stay as they are.

        A draw from p(unknown | known) if all known values come before the unknown ones in the order
        of reading. If not, values were drawn without regard to what is known behind them. Then take
        many particles: that many completions are drawn, and one is chosen with the probability that
        its known values deserve (importance resampling). With one particle, there
        is nothing to choose from, and the known values behind are not heard.

        Args:
            x: levels, (N, C, H, W); what stands at unknown values does not matter.
            known: bool, of any shape that broadcasts to x.
            label: int64, (N,); needed by a model with classes.
            particles: completions drawn for each image.
            uniforms: numbers in [0, 1), (particles * N, C, H, W), which fix all draws.
            batch_size: images drawn together; bounds the memory.
            progress: show a bar.
        """
        self._check(x)
        if particles < 1:
            raise ValueError(f"particles must be at least 1, got {particles}")
        n = len(x)
        known = known.expand(x.shape).repeat(particles, 1, 1, 1)
        given = sampling.Given(x.repeat(particles, 1, 1, 1), known)
        label = None if label is None else label.repeat(particles)
        drawn = self._draw(particles * n, label, given, uniforms, True, batch_size, progress)
        choice = torch.rand(n, dtype=torch.float64, device=x.device)
        return sampling.choose_by_weight(drawn, particles, choice, level_dtype(self.levels))

    def _draw(self, n, label, given, uniforms, cached, batch_size, progress) -> sampling.Drawn:
        """Draw n images in pieces."""
        like = self._like()
        condition = self.condition(n, label)
        if uniforms is None:
            uniforms = torch.rand(n, *self.shape, dtype=like.dtype, device=like.device)
        elif tuple(uniforms.shape) != (n, *self.shape):
            expected = (n, *self.shape)
            raise ValueError(f"uniforms must be of shape {expected}, got {tuple(uniforms.shape)}")
        options = {"cached": cached, "batch_size": batch_size, "progress": progress}
        parts = self.network, self.likelihood, self.encode
        return sampling.draw(*parts, condition, uniforms, given, **options)

    def _check(self, x: Tensor) -> None:
        check_images(x, self.shape, self.levels)

    def _like(self) -> Tensor:
        """A tensor of the dtype and device in which the network computes."""
        return self.nothing
