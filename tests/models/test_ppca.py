"""Probabilistic PCA against SciPy, and against what must hold of a Gaussian."""

import copy

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch.distributions import MultivariateNormal, kl_divergence

from genlearn.models import PPCA

DIM, LATENT = 4, 2


@pytest.fixture
def model() -> PPCA:
    """A model in float64 with nothing at zero."""
    torch.manual_seed(0)
    model = PPCA(DIM, LATENT).double()
    with torch.no_grad():
        model.mean.normal_()
        model.log_noise_std.fill_(-0.4)
    return model


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(5, DIM, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def moments(model: PPCA) -> tuple[np.ndarray, np.ndarray, float]:
    """(W, m, s²) as numpy arrays."""
    weight, mean, log_std = (p.detach().numpy() for p in model.parameters())
    return weight, mean, float(np.exp(2 * log_std))


def training_set() -> torch.Tensor:
    """200 correlated vectors."""
    generator = torch.Generator().manual_seed(2)
    mix = torch.randn(DIM, DIM, dtype=torch.float64, generator=generator)
    return torch.randn(200, DIM, dtype=torch.float64, generator=generator) @ mix + 3


def test_log_prob_is_that_of_the_marginal_gaussian(model, x):
    w, m, s2 = moments(model)
    expected = multivariate_normal.logpdf(x, m, w @ w.T + s2 * np.eye(DIM))
    np.testing.assert_allclose(model.log_prob(x).detach(), expected, rtol=1e-9)


def test_the_posterior_is_the_joint_gaussian_conditioned_on_x(model, x):
    """cov(z, x) = Wᵀ, so E[z | x] = Wᵀ C⁻¹ (x - m) and cov[z | x] = I - Wᵀ C⁻¹ W."""
    w, m, s2 = moments(model)
    gain = w.T @ np.linalg.inv(w @ w.T + s2 * np.eye(DIM))
    posterior = model.posterior(x)
    np.testing.assert_allclose(posterior.mean.detach(), (x.numpy() - m) @ gain.T, rtol=1e-9)
    for covariance in posterior.covariance_matrix.detach():
        np.testing.assert_allclose(covariance, np.eye(LATENT) - gain @ w, rtol=1e-8)


def test_the_posterior_obeys_bayes_rule(model, x):
    """Log p(z) + log p(x | z) - log p(z | x) is log p(x), whatever z."""
    w, m, s2 = moments(model)
    z = np.random.default_rng(0).normal(size=LATENT)
    joint = multivariate_normal.logpdf(z, np.zeros(LATENT)) + multivariate_normal.logpdf(
        x.numpy() - w @ z, m, s2 * np.eye(DIM)
    )
    posterior = model.posterior(x).log_prob(torch.tensor(z)).detach()
    np.testing.assert_allclose(joint - posterior.numpy(), model.log_prob(x).detach(), rtol=1e-9)


def test_the_bound_falls_short_by_the_kl_to_the_posterior(model, x):
    """elbo(q) = log p(x) - KL(q ‖ p(z | x)) for any Gaussian q; with no gap for the posterior."""
    exact = model.posterior(x)
    torch.testing.assert_close(model.elbo(x, exact), model.log_prob(x))
    covariance = torch.tensor([[0.5, 0.2], [0.2, 0.9]], dtype=torch.float64)
    q = MultivariateNormal(x[:, :LATENT], covariance.expand(5, LATENT, LATENT))
    gap = kl_divergence(q, exact)
    assert (gap > 0.1).all()
    torch.testing.assert_close(model.elbo(x, q), model.log_prob(x) - gap)


def test_maximum_likelihood_is_a_maximum():
    """The gradient is zero there, and every step away from it, in 20 directions, goes down."""
    x = training_set()
    model = PPCA.maximum_likelihood(x, LATENT)
    best = model.log_prob(x).mean()
    best.backward()
    for parameter in model.parameters():
        assert parameter.grad.abs().max() < 1e-10
    torch.manual_seed(0)
    for _ in range(20):
        moved = copy.deepcopy(model)
        with torch.no_grad():
            for parameter in moved.parameters():
                parameter += 0.02 * torch.randn_like(parameter)
        assert moved.log_prob(x).mean() < best


def test_maximum_likelihood_keeps_the_leading_variances():
    """W Wᵀ + s² I has the data's L largest eigenvalues, and the mean of the others D - L times."""
    x = training_set()
    w, m, s2 = moments(PPCA.maximum_likelihood(x, LATENT))
    data = np.linalg.eigvalsh(np.cov(x.numpy().T, bias=True))
    expected = [data[:-LATENT].mean()] * (DIM - LATENT) + list(data[-LATENT:])
    np.testing.assert_allclose(np.linalg.eigvalsh(w @ w.T + s2 * np.eye(DIM)), expected)
    np.testing.assert_allclose(m, x.mean(0))


@pytest.mark.parametrize("latent_dim", [0, DIM, DIM + 1])
def test_a_number_of_dimensions_that_leaves_no_noise_is_refused(latent_dim):
    with pytest.raises(ValueError, match=f"1 … 3, got {latent_dim}"):
        PPCA.maximum_likelihood(training_set(), latent_dim)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("dim", [4, 64])
def test_data_without_noise_are_refused(dtype, dim):
    """Also where rounding leaves a little of it."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(500, 2, dtype=dtype, generator=generator)
    x = x @ torch.randn(2, dim, dtype=dtype, generator=generator) + 3
    PPCA.maximum_likelihood(x, 1)
    for latent_dim in (2, 3):
        with pytest.raises(ValueError, match="no noise is left to fit"):
            PPCA.maximum_likelihood(x, latent_dim)
    with pytest.raises(ValueError, match="no noise is left to fit"):
        PPCA.maximum_likelihood(torch.ones_like(x), 2)


def test_equal_variances_leave_no_direction():
    """An eigenvalue can fall below the mean of the smaller ones by rounding alone."""
    x = torch.cat([torch.eye(20), -torch.eye(20)])
    for latent_dim in range(1, 20):
        model = PPCA.maximum_likelihood(x, latent_dim)
        assert all(p.isfinite().all() for p in model.parameters())
        torch.testing.assert_close(
            model.weight.detach(), torch.zeros(20, latent_dim), atol=1e-3, rtol=0
        )


def test_maximum_likelihood_draws_nothing_and_keeps_the_type():
    state = torch.get_rng_state()
    for dtype in (torch.float32, torch.float64):
        model = PPCA.maximum_likelihood(training_set().to(dtype), LATENT)
        assert {p.dtype for p in model.parameters()} == {dtype}
    assert torch.equal(torch.get_rng_state(), state)


def test_samples_have_the_models_mean_and_covariance(model):
    w, m, s2 = moments(model)
    torch.manual_seed(0)
    samples = model.sample(200_000).numpy()
    assert samples.dtype == np.float64
    covariance = w @ w.T + s2 * np.eye(DIM)
    # A covariance's entry has variance (c_ij² + c_ii c_jj) / n.
    variance = np.diag(covariance)
    allowed = 5 * np.sqrt((covariance**2 + np.outer(variance, variance)) / len(samples))
    assert (np.abs(np.cov(samples.T) - covariance) < allowed).all()
    assert (np.abs(samples.mean(0) - m) < 5 * np.sqrt(variance / len(samples))).all()


def test_prior_and_likelihood_have_the_shapes_and_values_of_the_story(model, x):
    """As a VAE has them: p(z) so many times, p(x | z) for a batch of codes."""
    w, m, s2 = moments(model)
    z = torch.randn(5, LATENT, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert model.latent_dim == LATENT
    assert model.prior(5).batch_shape == (5,)
    expected = multivariate_normal.logpdf(z, np.zeros(LATENT), np.eye(LATENT))
    np.testing.assert_allclose(model.prior(5).log_prob(z), expected)
    given = model.likelihood(z).log_prob(x).detach()
    for k in range(5):
        centre = w @ z[k].numpy() + m
        expected = multivariate_normal.logpdf(x[k], centre, s2 * np.eye(DIM))
        assert given[k].item() == pytest.approx(expected)
