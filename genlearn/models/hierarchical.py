"""A VAE with two layers of codes.

Source: Burda, Grosse and Salakhutdinov (2016), Importance Weighted Autoencoders, arXiv 1509.00519,
section 5, with two stochastic layers.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Independent, kl_divergence

from genlearn.distributions import PixelLikelihood, diagonal_normal, standard_normal
from genlearn.models.vae import VAE, Terms
from genlearn.nets import mlp, start_at_zero


class HierarchicalVAE(nn.Module):
    """p(z₂) p(z₁ | z₂) p(x | z₁), with q(z₁ | x) q(z₂ | z₁) from the image up.

    eq-sharp-hierarchical. A VAE whose prior p(z₁) is learnt: it is itself the marginal of a model
    with a code, z₂.

    Args:
        lower: its encoder gives q(z₁ | x), its decoder p(x | z₁); its own prior is not used.
        upper_encoder: maps z₁ (…, L₁) to (…, 2 L₂): mean and log standard deviation of q(z₂ | z₁).
        upper_decoder: maps z₂ (…, L₂) to (…, 2 L₁): the same of p(z₁ | z₂).
        upper_dim: L₂.
    """

    def __init__(
        self, lower: VAE, upper_encoder: nn.Module, upper_decoder: nn.Module, upper_dim: int
    ) -> None:
        super().__init__()
        self.lower, self.upper_encoder, self.upper_decoder = lower, upper_encoder, upper_decoder
        self.shape, self.lower_dim, self.upper_dim = lower.shape, lower.latent_dim, upper_dim

    @classmethod
    def mlp(
        cls,
        shape: tuple[int, int, int],
        levels: int,
        *,
        latent_dims: tuple[int, int] = (32, 16),
        hidden: Sequence[int] = (256,),
        upper_hidden: Sequence[int] = (128,),
        pixel_features: int = 0,
        dropout: float = 0.0,
        likelihood: PixelLikelihood | None = None,
    ) -> "HierarchicalVAE":
        """Build it from four MLPs.

        Args:
            shape, levels: of the images.
            latent_dims: (L₁, L₂).
            hidden: widths between x and z₁, as for :meth:`genlearn.models.VAE.mlp`.
            upper_hidden: widths from z₁ to z₂; from z₂ to z₁ they come in reverse.
            pixel_features, dropout, likelihood: as for :meth:`genlearn.models.VAE.mlp`.
        """
        low, high = latent_dims
        lower = VAE.mlp(
            shape,
            levels,
            latent_dim=low,
            hidden=hidden,
            pixel_features=pixel_features,
            dropout=dropout,
            likelihood=likelihood,
        )
        up = mlp((low, *upper_hidden, 2 * high), dropout)
        down = mlp((high, *reversed(upper_hidden), 2 * low), dropout)
        for net in (up, down):  # both layers begin at N(0, I), and both rates at 0
            start_at_zero(net[-1])
        return cls(lower, up, down, high)

    @property
    def levels(self) -> int:
        """Number of levels over which the likelihood is a mass."""
        return self.lower.levels

    @property
    def latent_dim(self) -> int:
        """L₁ + L₂: random numbers for one image."""
        return self.lower_dim + self.upper_dim

    def upper_posterior(self, z1: Tensor) -> Independent:
        """q(z₂ | z₁) for codes (…, L₁): batch shape (…), event shape (L₂,)."""
        return diagonal_normal(*self.upper_encoder(z1).float().chunk(2, dim=-1))

    def lower_prior(self, z2: Tensor) -> Independent:
        """p(z₁ | z₂) for codes (…, L₂): batch shape (…), event shape (L₁,)."""
        return diagonal_normal(*self.upper_decoder(z2).float().chunk(2, dim=-1))

    def terms(self, x: Tensor, noise: Tensor | None = None) -> Terms:
        """Return the bound and its parts, estimated with one pair of codes an image.

        ``rates`` are those of the two layers, (N, 2): log q(z₁ | x) - log p(z₁ | z₂), which has
        no closed form on average and may be negative for one draw, and KL(q(z₂ | z₁) ‖ p(z₂)).

        Args:
            x: images, uint8 levels, (N, C, H, W).
            noise: standard normal, (N, L₁ + L₂), for z₁ and then z₂; drawn here by default.
        """
        q1 = self.lower.posterior(x)
        z1, q2, z2 = self._draw(q1, noise)
        reconstruction = self.lower.likelihood(z1).log_prob(x.float())
        upper = kl_divergence(q2, standard_normal(len(x), self.upper_dim, x.device))
        rates = torch.stack([q1.log_prob(z1) - self.lower_prior(z2).log_prob(z1), upper], 1)
        return Terms(reconstruction - rates.sum(1), reconstruction, rates.sum(1), rates)

    def elbo(self, x: Tensor, noise: Tensor | None = None) -> Tensor:
        """Lower bound on log p(x), nats per image, shape (N,), with one pair of codes."""
        return self.terms(x, noise).elbo

    def log_weights(self, x: Tensor, k: int, noise: Tensor | None = None) -> Tensor:
        """Logarithms of p(x, z₁, z₂) / q(z₁, z₂ | x) for k pairs an image, shape (k, N).

        Args:
            x: images, uint8 levels, (N, C, H, W).
            k: pairs of codes an image.
            noise: standard normal, (k, N, L₁ + L₂); drawn here by default.
        """
        if noise is None:
            noise = torch.randn(k, len(x), self.latent_dim, device=x.device)
        if len(noise) != k:
            raise ValueError(f"noise is for {len(noise)} pairs of codes an image, not {k}")
        q1 = self.lower.posterior(x)
        z1, q2, z2 = self._draw(q1, noise)
        images = x.float().expand(k, *x.shape).flatten(0, 1)
        log_likelihood = self.lower.likelihood(z1.flatten(0, 1)).log_prob(images)
        prior = standard_normal(len(x), self.upper_dim, x.device).log_prob(z2)
        log_prior = prior + self.lower_prior(z2).log_prob(z1)
        return log_likelihood.view(k, -1) + log_prior - q1.log_prob(z1) - q2.log_prob(z2)

    def iwae(self, x: Tensor, k: int, noise: Tensor | None = None) -> Tensor:
        """Importance-weighted bound on log p(x), nats per image, shape (N,); eq-sharp-iwae.

        Raises:
            ValueError: if k is below 1.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        return self.log_weights(x, k, noise).logsumexp(0) - math.log(k)

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Draw n images: z₂, then z₁ from p(z₁ | z₂), then x. uint8, (n, C, H, W)."""
        device = next(self.parameters()).device
        z2 = standard_normal(n, self.upper_dim, device).sample()
        return self.lower.likelihood(self.lower_prior(z2).sample()).sample().to(torch.uint8)

    def _draw(self, q1: Independent, noise: Tensor | None) -> tuple[Tensor, Independent, Tensor]:
        """Draw z₁, and z₂ from its posterior, so that the gradient reaches both."""
        if noise is None:
            shape = (*q1.batch_shape, self.latent_dim)
            noise = torch.randn(shape, device=q1.base_dist.loc.device)
        first, second = noise.split([self.lower_dim, self.upper_dim], dim=-1)
        z1 = q1.base_dist.loc + q1.base_dist.scale * first
        q2 = self.upper_posterior(z1)
        return z1, q2, q2.base_dist.loc + q2.base_dist.scale * second
