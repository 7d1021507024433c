"""The conditional GAN: images of a class that one asks for.

Sources: Mirza and Osindero (2014), Conditional Generative Adversarial Nets, arXiv 1411.1784; Miyato
and Koyama (2018), cGANs with Projection Discriminator, arXiv 1802.05637.
"""

from collections.abc import Sequence
from functools import partial
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn

from genlearn.models.gan import GAN, Penalty
from genlearn.nets import ConcatenatedLabel, ProjectedLabel, mlp
from genlearn.training import Step


class ConditionalGAN(nn.Module):
    """A GAN whose two players both know the label: eq-steer-game.

    For given labels it is a GAN, which :meth:`given` returns. In a step the generated data get the
    labels of the real ones, so that the labels alone tell the discriminator nothing.

    Args:
        gan: its generator maps noise (N, latent_dim) and labels (N,) to scaled data, its
            discriminator scaled data and labels to one number each, (N,).
        classes: labels are 0 … classes - 1.
    """

    def __init__(self, gan: GAN, classes: int) -> None:
        super().__init__()
        self.gan, self.classes = gan, classes
        self.latent_dim, self.levels = gan.latent_dim, gan.levels

    @classmethod
    def mlp(
        cls,
        shape: tuple[int, int, int],
        levels: int,
        classes: int,
        *,
        latent_dim: int = 32,
        hidden: Sequence[int] = (128, 128),
        label: Literal["projection", "concatenation"] = "projection",
        **options,
    ) -> "ConditionalGAN":
        """Make one of two MLPs, for images.

        The generator has ReLU and tanh at its end, and is given the label by concatenation; the
        discriminator has leaky ReLU.

        Args:
            shape, levels: of the images.
            classes: labels are 0 … classes - 1.
            latent_dim: length of a noise vector.
            hidden: widths of the hidden layers of both players.
            label: how the discriminator is given it.
            options: loss and augment, as for :class:`genlearn.models.GAN`.

        Raises:
            ValueError: if there is no such way to give it the label.
        """
        if label not in ("projection", "concatenation"):
            raise ValueError(f"label must be projection or concatenation, got {label!r}")
        values, leaky = prod(shape), partial(nn.LeakyReLU, 0.2)
        body = mlp((latent_dim + classes, *hidden, values), activation=nn.ReLU)
        generator = nn.Sequential(*body, nn.Tanh(), nn.Unflatten(1, shape))
        if label == "projection":
            features = nn.Sequential(
                nn.Flatten(), *mlp((values, *hidden), activation=leaky), leaky()
            )
            discriminator = ProjectedLabel(features, hidden[-1], classes)
        else:
            body = mlp((values + classes, *hidden, 1), activation=leaky)
            discriminator = ConcatenatedLabel(nn.Sequential(*body, nn.Flatten(0)), classes)
        generator = ConcatenatedLabel(generator, classes)
        return cls(GAN(generator, discriminator, latent_dim, levels=levels, **options), classes)

    @property
    def generator(self) -> nn.Module:
        """Maps noise and labels to scaled data."""
        return self.gan.generator

    @property
    def discriminator(self) -> nn.Module:
        """Maps scaled data and labels to one number each."""
        return self.gan.discriminator

    @property
    def players(self) -> dict[str, nn.Module]:
        """Both networks by name, for ``fit``."""
        return self.gan.players

    def given(self, labels: Tensor) -> GAN:
        """Return the GAN of these labels, int64, (N,); the weights are shared.

        Its networks take N rows, or several times N: the labels are repeated.

        Raises:
            ValueError: if a label is no class.
        """
        if labels.device.type == "cpu" and not ((labels >= 0) & (labels < self.classes)).all():
            raise ValueError(f"labels must be 0 … {self.classes - 1}, got {labels.tolist()}")
        gan = self.gan
        return GAN(
            _Given(gan.generator, labels),
            _Given(gan.discriminator, labels),
            gan.latent_dim,
            loss=gan.loss,
            levels=gan.levels,
            unit=gan.unit,
            augment=gan.augment,
        ).train(gan.training)

    def noise(self, n: int) -> Tensor:
        """Draw noise, shape (n, latent_dim)."""
        return self.gan.noise(n)

    def generate(self, noise: Tensor, labels: Tensor) -> Tensor:
        """Make scaled data of noise (N, latent_dim), or of several times N, and labels (N,)."""
        return self.given(labels).generator(noise)

    def discriminator_loss(self, step: Step, penalty: Penalty | None = None) -> dict[str, Tensor]:
        """Judge the batch of a step and as many generated data with the same labels; alg-steer.

        Args:
            step: its batch holds data and labels.
            penalty: added to the loss; its discriminator knows the labels already.

        Returns:
            Scalars, as :meth:`~genlearn.models.GAN.discriminator_loss`.
        """
        return self.given(step.batch[1]).discriminator_loss(step, penalty)

    def generator_loss(self, step: Step) -> dict[str, Tensor]:
        """Judge generated data with the labels of a step's batch; alg-steer.

        Returns:
            The scalar "loss", which goes down.
        """
        return self.given(step.batch[1]).generator_loss(step)

    def sample(self, labels: Tensor | int, noise: Tensor | None = None) -> Tensor:
        """Draw data as they were before scaling, one for each label.

        Args:
            labels: int64, (N,); or how many: then the classes take turns.
            noise: in place of fresh noise, shape (N, latent_dim).
        """
        if isinstance(labels, int):
            device = next(self.generator.parameters()).device
            labels = torch.arange(labels, device=device) % self.classes
        return self.given(labels).sample(len(labels), noise)


class _Given(nn.Module):
    """A network whose label is fixed for each row of a batch; rows r, r + N, … share one."""

    def __init__(self, net: nn.Module, labels: Tensor) -> None:
        super().__init__()
        self.net, self.labels = net, labels

    def forward(self, x: Tensor) -> Tensor:
        times, odd = divmod(len(x), len(self.labels))
        if odd:
            raise ValueError(f"{len(x)} rows cannot share {len(self.labels)} labels evenly")
        return self.net(x, self.labels.repeat(times))
