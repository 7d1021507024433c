"""Errata of chapter 05: what a source says fails, and what is right holds, on the same case."""

import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from genlearn.models import PPCA


@pytest.fixture
def world():
    """A model whose evidence and posterior are known, with images, posteriors and prior."""
    torch.manual_seed(0)
    model, x = PPCA(5, 2).double(), torch.randn(20, 5).double()
    with torch.no_grad():
        model.log_noise_std.fill_(-0.4)
    prior = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double())
    return model, x, model.posterior(x), prior


@pytest.mark.erratum("E7")
def test_only_with_weight_one_is_the_objective_the_bound(world):
    """With the exact posterior the bound touches log p(x); other weights are above or below."""
    model, x, posterior, prior = world
    rate = kl_divergence(posterior, prior)
    reconstruction = model.elbo(x, posterior) + rate
    torch.testing.assert_close(reconstruction - rate, model.log_prob(x))
    assert (reconstruction - 0.5 * rate > model.log_prob(x) + 0.1).all()
    assert (reconstruction - 2 * rate < model.log_prob(x) - 0.1).all()


@pytest.mark.erratum("E7")
def test_a_weight_below_one_prefers_the_wrong_encoder(world):
    """The objective is better, and the bound worse, for a posterior that is too narrow."""
    model, x, exact, prior = world
    narrow = MultivariateNormal(exact.mean, 0.4 * exact.covariance_matrix)

    def objective(q, beta):
        return (model.elbo(x, q) - (beta - 1) * kl_divergence(q, prior)).mean()

    assert objective(narrow, 0.3) > objective(exact, 0.3)
    assert objective(narrow, 1) < objective(exact, 1)


@pytest.mark.erratum("E27")
def test_the_divergence_is_from_the_prior_and_not_from_the_true_posterior(world):
    """It is zero for codes that know nothing, and positive for the codes that are true."""
    model, x, truth, prior = world
    ignorant = MultivariateNormal(torch.zeros(20, 2).double(), torch.eye(2).double())
    assert kl_divergence(ignorant, prior).abs().max() < 1e-12
    assert (kl_divergence(truth, prior) > 0.1).all()
    # The distance from the true distribution of the codes is the gap, which needs log p(x).
    gap = model.log_prob(x) - model.elbo(x, ignorant)
    torch.testing.assert_close(gap, kl_divergence(ignorant, truth))
