"""The conditional variational autoencoder: images of a class that one asks for.

Sources: Sohn, Lee and Yan (2015), Learning Structured Output Representation using Deep Conditional
Generative Models, NeurIPS 28; Kingma et al. (2014), Semi-supervised Learning with Deep Generative
Models, arXiv 1406.5298, for a prior that does not depend on the class.
"""

from collections.abc import Sequence
from math import prod
from typing import Literal

import torch
from torch import Tensor, nn

from genlearn.distributions import PixelLikelihood
from genlearn.models.vae import VAE, Terms
from genlearn.nets import mlp, start_at_zero


class ConditionalVAE(nn.Module):
    """p(x, z | y) = p(z) p(x | z, y) for labels y, with q(z | x, y); eq-sharp-conditional.

    For each y this is a VAE, whose encoder and decoder know y: :meth:`given` returns it. The code
    need not say what the label says already, so it is left with the style.

    Args:
        vae: its encoder takes flat images with the label's one-hot vector behind them, its decoder
            codes with the same behind them.
        classes: labels are 0 … classes - 1.
    """

    def __init__(self, vae: VAE, classes: int) -> None:
        super().__init__()
        self.vae, self.classes = vae, classes
        self.shape, self.latent_dim = vae.shape, vae.latent_dim

    @classmethod
    def mlp(
        cls,
        shape: tuple[int, int, int],
        levels: int,
        classes: int,
        *,
        latent_dim: int = 16,
        hidden: Sequence[int] = (256,),
        pixel_features: int = 0,
        dropout: float = 0.0,
        likelihood: PixelLikelihood | None = None,
    ) -> "ConditionalVAE":
        """Build it from two MLPs; arguments as for :meth:`genlearn.models.VAE.mlp`."""
        vae = VAE.mlp(
            shape,
            levels,
            latent_dim=latent_dim + classes,  # the decoder's inputs
            hidden=hidden,
            pixel_features=pixel_features,
            dropout=dropout,
            likelihood=likelihood,
        )
        encoder = mlp((prod(shape) + classes, *hidden, 2 * latent_dim), dropout)
        start_at_zero(encoder[-1])
        return cls(VAE(encoder, vae.decoder, vae.pixels, shape, latent_dim), classes)

    @property
    def levels(self) -> int:
        """Number of levels over which the likelihood is a mass."""
        return self.vae.levels

    def given(self, labels: Tensor) -> VAE:
        """Return the VAE of these labels, int64, (N,); the weights are shared.

        It takes batches of N images, and of N codes or several times N: the labels are repeated.

        Raises:
            ValueError: if a label is no class.
        """
        if labels.device.type == "cpu" and not ((labels >= 0) & (labels < self.classes)).all():
            raise ValueError(f"labels must be 0 … {self.classes - 1}, got {labels.tolist()}")
        beside = nn.functional.one_hot(labels, self.classes).float()
        encoder, decoder = _Beside(self.vae.encoder, beside), _Beside(self.vae.decoder, beside)
        return VAE(encoder, decoder, self.vae.pixels, self.shape, self.latent_dim)

    def terms(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Terms:
        """Return the bound on log p(x | y) and its parts; see :meth:`genlearn.models.VAE.terms`."""
        return self.given(y).terms(x, noise)

    def elbo(self, x: Tensor, y: Tensor, noise: Tensor | None = None) -> Tensor:
        """Lower bound on log p(x | y), nats per image, shape (N,)."""
        return self.given(y).elbo(x, noise)

    def log_weights(self, x: Tensor, y: Tensor, k: int, noise: Tensor | None = None) -> Tensor:
        """Logarithms of p(x, z | y) / q(z | x, y) for k codes an image, shape (k, N)."""
        return self.given(y).log_weights(x, k, noise)

    def iwae(
        self,
        x: Tensor,
        y: Tensor,
        k: int,
        noise: Tensor | None = None,
        gradient: Literal["reparameterised", "doubly"] = "reparameterised",
    ) -> Tensor:
        """Importance-weighted bound on log p(x | y), nats per image, shape (N,)."""
        return self.given(y).iwae(x, k, noise, gradient)

    def sample(self, labels: Tensor) -> Tensor:
        """Draw an image for each label, int64 (N,): uint8, (N, C, H, W)."""
        return self.given(labels).sample(len(labels))

    def mean_image(self, z: Tensor, labels: Tensor) -> Tensor:
        """Expected level of each pixel given code (N, L) and label (N,), (N, C, H, W)."""
        return self.given(labels).mean_image(z)


class _Beside(nn.Module):
    """A network whose input has something behind it: (N, …) flattened, then (N, extra).

    Several inputs may share a row: those of number r, r + N, r + 2 N, …
    """

    def __init__(self, net: nn.Module, extra: Tensor) -> None:
        super().__init__()
        self.net, self.extra = net, extra

    def forward(self, x: Tensor) -> Tensor:
        times, odd = divmod(len(x), len(self.extra))
        if odd:
            raise ValueError(f"{len(x)} rows cannot share {len(self.extra)} labels evenly")
        return self.net(torch.cat([x.flatten(1), self.extra.repeat(times, 1)], 1))
