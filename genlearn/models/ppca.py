"""Probabilistic PCA: the latent-variable model in which every integral can be done.

It is the yardstick of this book: what a VAE can only bound or estimate is exact here.

Source: Tipping and Bishop (1999), Probabilistic Principal Component Analysis, J. R. Stat. Soc. B
61(3), 611-622.
"""

import math

import torch
from torch import Tensor, nn
from torch.distributions import (
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    kl_divergence,
)


class PPCA(nn.Module):
    """p(z) = N(0, I), p(x | z) = N(W z + m, s² I), for real vectors x; eq-vae-ppca.

    Its likelihood is a density, not a mass: it can be positive, and it has no bits per dimension.

    Args:
        dim: D, length of x.
        latent_dim: L, length of z.
    """

    def __init__(self, dim: int, latent_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(dim, latent_dim) / math.sqrt(dim))
        self.mean = nn.Parameter(torch.zeros(dim))
        self.log_noise_std = nn.Parameter(torch.zeros(()))

    @classmethod
    def maximum_likelihood(cls, x: Tensor, latent_dim: int) -> "PPCA":
        """Fit in closed form: the leading eigenvectors of the covariance of x, (N, D).

        The noise variance is the mean of the eigenvalues left over.

        Raises:
            ValueError: unless 1 <= latent_dim < D, or if no noise is left over.
        """
        dim = x.shape[1]
        if not 1 <= latent_dim < dim:
            raise ValueError(f"latent_dim must be 1 … {dim - 1}, got {latent_dim}")
        mean = x.mean(0)
        covariance = (x - mean).T @ (x - mean) / len(x)
        eigenvalues, eigenvectors = torch.linalg.eigh(covariance)  # in ascending order
        noise = eigenvalues[:-latent_dim].mean()
        if noise <= 10 * torch.finfo(x.dtype).eps * eigenvalues[-1]:  # 0 but for rounding
            raise ValueError(
                "x lies in a subspace of latent_dim dimensions: no noise is left to fit"
            )
        scale = (eigenvalues[-latent_dim:] - noise).clamp(min=0).sqrt()
        with torch.device("meta"):  # no values yet, so no random number is drawn
            model = cls(dim, latent_dim)
        model.to(x.dtype).to_empty(device=x.device)
        with torch.no_grad():
            model.weight.copy_(eigenvectors[:, -latent_dim:] * scale)
            model.mean.copy_(mean)
            model.log_noise_std.copy_(noise.log() / 2)
        return model

    @property
    def latent_dim(self) -> int:
        """L."""
        return self.weight.shape[1]

    def prior(self, count: int | None = None) -> MultivariateNormal:
        """p(z), event shape (L,); with a count so many times, batch shape (count,)."""
        identity = torch.eye(self.latent_dim).to(self.weight)
        prior = MultivariateNormal(torch.zeros_like(identity[0]), identity)
        return prior if count is None else prior.expand((count,))

    def likelihood(self, z: Tensor) -> Independent:
        """p(x | z) for codes (N, L): batch shape (N,), event shape (D,)."""
        centre = z @ self.weight.T + self.mean
        return Independent(Normal(centre, self.log_noise_std.exp(), validate_args=False), 1)

    def log_prob(self, x: Tensor) -> Tensor:
        """Exact log p(x) = log N(x; m, W Wᵀ + s² I) for x (N, D), nats, shape (N,).

        Here the integral eq-vae-marginal can be done.
        """
        noise = (2 * self.log_noise_std).exp().expand_as(self.mean)
        return LowRankMultivariateNormal(self.mean, self.weight, noise).log_prob(x)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """Exact p(z | x) for x (N, D): batch shape (N,), event shape (L,); eq-vae-ppca-posterior.

        With M = Wᵀ W + s² I it is N(M⁻¹ Wᵀ (x - m), s² M⁻¹).
        """
        noise = (2 * self.log_noise_std).exp()
        precision = self.weight.T @ self.weight / noise + torch.eye(self.weight.shape[1]).to(x)
        mean = torch.linalg.solve(precision, ((x - self.mean) @ self.weight / noise).T).T
        return MultivariateNormal(mean, precision_matrix=precision)

    def elbo(self, x: Tensor, q: MultivariateNormal) -> Tensor:
        """Exact lower bound eq-vae-elbo for a Gaussian q(z | x), nats, shape (N,); no sampling.

        E_q log p(x | z) needs the mean and the covariance of q alone, since log p(x | z) is
        quadratic in z.
        """
        noise = (2 * self.log_noise_std).exp()
        residual = x - self.mean - q.mean @ self.weight.T
        spread = torch.einsum("dl,...lk,dk->...", self.weight, q.covariance_matrix, self.weight)
        error = (residual.square().sum(-1) + spread) / noise
        constant = x.shape[1] * (math.log(2 * math.pi) + 2 * self.log_noise_std)
        return -(error + constant) / 2 - kl_divergence(q, self.prior())

    @torch.no_grad()
    def sample(self, n: int) -> Tensor:
        """Draw n vectors, shape (n, D)."""
        centre = self.prior().sample((n,)) @ self.weight.T + self.mean
        return centre + torch.randn_like(centre) * self.log_noise_std.exp()
