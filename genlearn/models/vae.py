"""The variational autoencoder.

Sources: Kingma and Welling (2013), Auto-Encoding Variational Bayes, arXiv 1312.6114; Burda et al.
(2016), Importance Weighted Autoencoders, arXiv 1509.00519; Tucker et al. (2019), Doubly
Reparameterized Gradient Estimators, arXiv 1810.04152.
"""

import math
from collections.abc import Sequence
from math import prod
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, kl_divergence

from genlearn.distributions import (
    PixelLikelihood,
    diagonal_normal,
    likelihood_for,
    scaled_images,
    standard_normal,
)
from genlearn.nets import ConvDecoder, conv_encoder, mlp, start_at_zero


class Terms(NamedTuple):
    """The bound and its two parts, nats per image, of shape (N,); eq-vae-elbo-rate."""

    elbo: Tensor
    """reconstruction - rate; goes up."""
    reconstruction: Tensor
    """log p(x | z) at one z from q(z | x); goes up."""
    rate: Tensor
    """KL(q(z | x) ‖ p(z)), in closed form; 0 when the code says nothing about x."""
    rates: Tensor
    """The rate by dimension of the code, (N, L)."""


class VAE(nn.Module):
    """p(x, z) = p(z) p(x | z) with p(z) = N(0, I), and an approximate posterior q(z | x).

    Images have probability eq-vae-marginal under it, which only a grid over few codes can compute.

    Args:
        encoder: maps images scaled to [-1, 1], (N, C, H, W), to (N, 2 L): mean and log standard
            deviation of q.
        decoder: maps codes (N, L) to (N, C, H, W, P), the parameters of each pixel.
        likelihood: says what these P numbers mean, and over how many levels.
        shape: (C, H, W) of one image.
        latent_dim: L.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        likelihood: PixelLikelihood,
        shape: tuple[int, int, int],
        latent_dim: int,
    ) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.pixels, self.shape, self.latent_dim = likelihood, shape, latent_dim

    @classmethod
    def mlp(
        cls,
        shape: tuple[int, int, int],
        levels: int,
        *,
        latent_dim: int = 16,
        hidden: Sequence[int] = (256,),
        pixel_features: int = 0,
        dropout: float = 0.0,
        likelihood: PixelLikelihood | None = None,
    ) -> "VAE":
        """Build a VAE from two MLPs that mirror each other.

        Args:
            shape, levels: of the images.
            latent_dim: dimensions of the code z.
            hidden: widths of the encoder's hidden layers; the decoder has them in reverse.
            pixel_features: 0 gives each pixel its parameters from the decoder's last layer. More
                gives each pixel so many features, and one small network, shared by all pixels,
                turns them into the parameters: far fewer weights when there are many levels.
            dropout: share of hidden values set to zero while training.
            likelihood: of the pixels; by default :func:`genlearn.distributions.likelihood_for`.
        """
        likelihood = likelihood or likelihood_for(levels)
        last = pixel_features or likelihood.parameters_per_value
        body = mlp((latent_dim, *reversed(hidden), prod(shape) * last), dropout)
        decoder = nn.Sequential(body, nn.Unflatten(1, (*shape, last)))
        if pixel_features:
            decoder.extend([nn.SiLU(), mlp((last, 8 * last, likelihood.parameters_per_value))])
            # The shared network can tell pixels apart from the first step on. Else it is the code
            # that must say "this is a border pixel", and codes move far away from the prior.
            nn.init.normal_(body[-1].bias)
        encoder = nn.Sequential(nn.Flatten(), mlp((prod(shape), *hidden, 2 * latent_dim), dropout))
        start_at_zero(encoder[-1][-1])
        return cls(encoder, decoder, likelihood, shape, latent_dim)

    @classmethod
    def conv(
        cls,
        shape: tuple[int, int, int],
        levels: int,
        *,
        latent_dim: int = 16,
        channels: Sequence[int] = (24, 48),
        blocks: int = 1,
        dropout: float = 0.0,
        likelihood: PixelLikelihood | None = None,
    ) -> "VAE":
        """Build a VAE from two convolutional networks that mirror each other.

        Args:
            shape, levels: of the images, of any size and number of channels.
            latent_dim: dimensions of the code z.
            channels: of the feature maps, from full size down, each half as high and wide as the
                one before.
            blocks: residual blocks at each size.
            dropout: share of hidden values set to zero while training.
            likelihood: of the pixels; by default :func:`genlearn.distributions.likelihood_for`.
        """
        likelihood = likelihood or likelihood_for(levels)
        options = {"blocks": blocks, "dropout": dropout}
        encoder = conv_encoder(shape, channels, 2 * latent_dim, **options)
        start_at_zero(encoder[-1])
        count = likelihood.parameters_per_value
        decoder = ConvDecoder(latent_dim, shape, channels, count, **options)
        return cls(encoder, decoder, likelihood, shape, latent_dim)

    @property
    def levels(self) -> int:
        """Number of levels over which the likelihood is a mass."""
        return self.pixels.levels

    def prior(self, count: int) -> Independent:
        """p(z), ``count`` times: batch shape (count,), event shape (L,)."""
        return standard_normal(count, self.latent_dim, next(self.parameters()).device)

    def posterior(self, x: Tensor) -> Independent:
        """q(z | x) for images of levels, (N, C, H, W): batch shape (N,), event shape (L,)."""
        scaled = scaled_images(x, self.shape, self.levels)
        mean, log_std = self.encoder(scaled).float().chunk(2, dim=1)
        return diagonal_normal(mean, log_std)

    def likelihood(self, z: Tensor) -> Distribution:
        """p(x | z) for codes (N, L): batch shape (N,), event shape (C, H, W)."""
        return self.pixels.distribution(self.decoder(z))

    def terms(self, x: Tensor, noise: Tensor | None = None) -> Terms:
        """Return the bound and its parts, estimated with one code an image; alg-vae.

        The rate is exact: eq-vae-gaussian-kl.

        Args:
            x: images, uint8 levels, (N, C, H, W).
            noise: standard normal, (N, L), for z = mean + std · noise (eq-vae-reparameterised);
                drawn here by default.
        """
        q = self.posterior(x)
        z = q.rsample() if noise is None else q.base_dist.loc + q.base_dist.scale * noise
        reconstruction = self.likelihood(z).log_prob(x.float())
        rates = kl_divergence(q.base_dist, self.prior(len(x)).base_dist)
        rate = rates.sum(1)
        return Terms(reconstruction - rate, reconstruction, rate, rates)

    def elbo(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Lower bound on log p(x), nats per image, shape (N,); eq-vae-elbo-rate.

        It is an unbiased estimate of the bound with one code an image, and can lie above log p(x).
        """
        return self.terms(x, noise).elbo

    def log_weights(self, x: Tensor, k: int, noise: Tensor | None = None) -> Tensor:
        """Logarithms of p(x, z) / q(z | x) for k codes an image, shape (k, N); eq-sharp-weights.

        Args:
            x: images, uint8 levels, (N, C, H, W).
            k: codes an image, drawn from q(z | x).
            noise: standard normal, (k, N, L); drawn here by default.
        """
        q = self.posterior(x)
        z = _draw(q, k, noise)
        return self._log_joint(x, z) - q.log_prob(z)

    def iwae(
        self,
        x: Tensor,
        k: int,
        noise: Tensor | None = None,
        gradient: Literal["reparameterised", "doubly"] = "reparameterised",
    ) -> Tensor:
        """Importance-weighted bound on log p(x), nats per image, shape (N,); eq-sharp-iwae.

        logsumexp(log w) - log k: tighter than :meth:`elbo` on average, and equal to it for k = 1.
        Its value is the same for both gradients.

        Args:
            x: images, uint8 levels, (N, C, H, W).
            k: codes an image.
            noise: standard normal, (k, N, L); drawn here by default.
            gradient: "doubly" takes the encoder's gradient from the codes alone, with squared
                weights (eq-sharp-doubly): as right on average, with less scatter when k is large.

        Raises:
            ValueError: if k is below 1, or there is no such gradient.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        if gradient == "reparameterised":
            return self.log_weights(x, k, noise).logsumexp(0) - math.log(k)
        if gradient != "doubly":
            raise ValueError(f"gradient must be reparameterised or doubly, got {gradient!r}")
        q = self.posterior(x)
        z = _draw(q, k, noise)
        # The encoder acts through its codes alone: in log q(z | x) it is held fixed.
        fixed = diagonal_normal(q.base_dist.loc.detach(), q.base_dist.scale.detach().log())
        log_w = self._log_joint(x, z) - fixed.log_prob(z)
        shares = log_w.detach().softmax(0)
        if z.requires_grad:
            # Each log w below carries its share once; what flows back into a code, once more.
            z.register_hook(lambda grad: grad * shares.unsqueeze(-1))
        surrogate = (shares * log_w).sum(0)
        bound = log_w.detach().logsumexp(0) - math.log(k)
        return bound + (surrogate - surrogate.detach())

    def _log_joint(self, x: Tensor, z: Tensor) -> Tensor:
        """Take log p(x, z) for k codes an image: z (k, N, L) to (k, N)."""
        k, count = z.shape[:2]
        images = x.float().expand(k, *x.shape).flatten(0, 1)
        log_likelihood = self.likelihood(z.flatten(0, 1)).log_prob(images)
        return log_likelihood.view(k, count) + self.prior(count).log_prob(z)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Draw n images from the model: z from p(z), x from p(x | z). uint8, (n, C, H, W)."""
        return self.likelihood(self.prior(n).sample()).sample().to(torch.uint8)

    @torch.no_grad()
    def mean_image(self, z: Tensor) -> Tensor:
        """Expected level of each pixel given the code, float, (N, C, H, W)."""
        return self.pixels.mean(self.decoder(z))


def _draw(q: Independent, k: int, noise: Tensor | None) -> Tensor:
    """Draw k codes an image, (k, N, L), so that the gradient reaches q."""
    if noise is None:
        return q.rsample((k,))
    if len(noise) != k:
        raise ValueError(f"noise is for {len(noise)} codes an image, not {k}")
    return q.base_dist.loc + q.base_dist.scale * noise
