"""A generator and a discriminator, and what each of them makes smaller.

Source: Goodfellow et al. (2014), Generative Adversarial Nets, arXiv 1406.2661.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from genlearn import nets
from genlearn.distributions import at_least_float32
from genlearn.losses import ADVERSARIAL_LOSSES, AdversarialLoss
from genlearn.training import Step

Penalty = Callable[[nn.Module, Tensor, Tensor], Tensor]
"""Maps discriminator, real and generated data to a scalar, its weight included."""


class GAN(nn.Module):
    """Two networks: one makes data from noise, the other tells them from real data; alg-game.

    Networks see data in a range of their own: images of levels 0 … levels - 1 as numbers from -1
    to 1, points of the plane divided by ``unit``. :meth:`scaled` and :meth:`unscaled` go there and
    back. Losses and penalties are of scaled data.

    Args:
        generator: maps noise (N, latent_dim) to scaled data, (N, …).
        discriminator: maps scaled data to one number each, (N,).
        latent_dim: length of a noise vector, which is standard normal.
        loss: what each player makes smaller; by default the non-saturating pair.
        levels: of images; None for points.
        unit: of points: what the networks see as 1.
        augment: changes what the discriminator sees, real and generated data alike; gradients must
            pass through it.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        latent_dim: int,
        *,
        loss: AdversarialLoss = ADVERSARIAL_LOSSES["non-saturating"],
        levels: int | None = None,
        unit: float = 1.0,
        augment: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        self.latent_dim, self.loss, self.levels, self.unit = latent_dim, loss, levels, unit
        self.augment = augment

    @classmethod
    def mlp(
        cls,
        dims: int = 2,
        latent_dim: int = 8,
        hidden: Sequence[int] = (128, 128),
        **options,
    ) -> "GAN":
        """Make a GAN of two MLPs with ReLU, for points.

        Args:
            dims: coordinates of a point.
            latent_dim: length of a noise vector.
            hidden: widths of the hidden layers of both players.
            options: loss, unit and augment, as for the class.
        """
        generator = nets.mlp((latent_dim, *hidden, dims), activation=nn.ReLU)
        discriminator = nets.mlp((dims, *hidden, 1), activation=nn.ReLU)
        return cls(generator, nn.Sequential(*discriminator, nn.Flatten(0)), latent_dim, **options)

    @classmethod
    def dcgan(
        cls,
        shape: tuple[int, int, int],
        levels: int,
        *,
        latent_dim: int = 64,
        channels: Sequence[int] = (32, 64),
        normalise: tuple[nets.Normalisation, nets.Normalisation] = ("batch", "batch"),
        strided: bool = True,
        hidden: Sequence[int] = (),
        spectral: bool = False,
        init_std: float | None = 0.02,
        **options,
    ) -> "GAN":
        """Make a GAN of two convolutional networks by the rules of the DCGAN, for images.

        Trained with the objectives of both players in turn, this is alg-dcgan.

        Args:
            shape, levels: of the images, of any size and number of channels.
            latent_dim: length of a noise vector.
            channels: of the feature maps, from the largest down; see
                :func:`genlearn.nets.dcgan_generator`.
            normalise: of the generator and of the discriminator: "batch", "group" or "none".
            strided, hidden, init_std: of both players, as for the generator.
            spectral: divide each weight of the discriminator by its largest singular value.
            options: loss and augment, as for the class.
        """
        same = {"strided": strided, "hidden": hidden, "init_std": init_std}
        of_generator, of_discriminator = normalise
        generator = nets.dcgan_generator(
            latent_dim, shape, channels, normalise=of_generator, **same
        )
        discriminator = nets.dcgan_discriminator(
            shape, channels, normalise=of_discriminator, **same
        )
        if spectral:
            nets.spectrally_normalised(discriminator)
        return cls(generator, discriminator, latent_dim, levels=levels, **options)

    @classmethod
    def resnet(
        cls,
        shape: tuple[int, int, int],
        levels: int,
        *,
        latent_dim: int = 128,
        channels: Sequence[int] = (64, 128),
        spectral: bool = False,
        **options,
    ) -> "GAN":
        """Make a GAN of two residual networks, for images; no batch norm in the discriminator.

        Args:
            shape, levels, latent_dim, channels, spectral, options: as for :meth:`dcgan`.
        """
        generator = nets.resnet_generator(latent_dim, shape, channels)
        discriminator = nets.resnet_discriminator(shape, channels)
        if spectral:
            nets.spectrally_normalised(discriminator)
        return cls(generator, discriminator, latent_dim, levels=levels, **options)

    @property
    def players(self) -> dict[str, nn.Module]:
        """Both networks by name, for ``fit``."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def noise(self, n: int) -> Tensor:
        """Draw noise, shape (n, latent_dim)."""
        device = next(self.generator.parameters()).device
        return torch.randn(n, self.latent_dim, device=device)

    def generated(self, n: int) -> Tensor:
        """Make n scaled data of fresh noise, (n, …); float32, whatever the network computes in."""
        return at_least_float32(self.generator(self.noise(n)))

    def scaled(self, x: Tensor) -> Tensor:
        """Bring data into the networks' range; float32, same shape."""
        return x.float() / self.unit if self.levels is None else 2 * x.float() / self._top - 1

    def unscaled(self, x: Tensor) -> Tensor:
        """Bring networks' outputs back: points as float32, images as uint8 levels."""
        if self.levels is None:
            return x.float() * self.unit
        return ((x.float() + 1) / 2 * self._top).round().clamp(0, self._top).to(torch.uint8)

    @property
    def _top(self) -> int:
        return self.levels - 1

    def judge(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        """Return the discriminator's outputs for scaled real and generated data, (N,) and (M,).

        Both go through in one pass, unless the discriminator normalises over the batch: then the
        statistics of the mixture would tell it which is which; eq-dcgan-blind.
        """
        if self.augment is not None:
            real, fake = self.augment(real), self.augment(fake)
        if nets.has_batch_norm(self.discriminator):
            return self.discriminator(real), self.discriminator(fake)
        real_logits, fake_logits = self.discriminator(torch.cat([real, fake])).split(
            [len(real), len(fake)]
        )
        return real_logits, fake_logits

    def discriminator_loss(self, step: Step, penalty: Penalty | None = None) -> dict[str, Tensor]:
        """Judge the batch of a step and as many generated data, for the discriminator's update.

        Args:
            step: its batch holds the real data, shape (N, …), unscaled.
            penalty: added to the loss.

        Returns:
            Scalars by name. "loss" goes down; "real_logit" and "fake_logit" are the mean outputs;
            "penalty" is the part of the loss that it adds, if there is one.
        """
        real = self.scaled(step.batch[0])
        with torch.no_grad():  # the generator does not move now, so its gradient is not needed
            fake = self.generated(len(real))
        real_logits, fake_logits = self.judge(real, fake)
        loss = self.loss.discriminator(real_logits, fake_logits)
        terms = {
            "real_logit": at_least_float32(real_logits).mean(),
            "fake_logit": at_least_float32(fake_logits).mean(),
        }
        if penalty is None:
            return {"loss": loss, **terms}
        extra = penalty(self.discriminator, real, fake)
        return {"loss": loss + extra, "penalty": extra, **terms}

    def generator_loss(self, step: Step) -> dict[str, Tensor]:
        """Judge as many generated data as a step's batch has, for the generator's update.

        Returns:
            One scalar, "loss", which goes down.
        """
        fake = self.generated(len(step.batch[0]))
        if self.augment is not None:
            fake = self.augment(fake)
        return {"loss": self.loss.generator(self.discriminator(fake))}

    def sample(self, n: int, noise: Tensor | None = None) -> Tensor:
        """Draw data as they were before scaling: points (n, dims) or levels (n, C, H, W).

        Args:
            n: how many.
            noise: in place of fresh noise, shape (n, latent_dim).
        """
        with torch.no_grad():
            return self.unscaled(self.generator(self.noise(n) if noise is None else noise))
