"""Errata of chapter 04: what a source says fails, and what is right holds, on the same case."""

import math

import pytest
import torch
from torch.distributions import MultivariateNormal, Normal

from genlearn.models import PPCA


@pytest.fixture
def world():
    """Four images and three codes: p(z), p(x | z) with a row an image, and the posterior."""
    torch.manual_seed(0)
    prior = torch.tensor([0.5, 0.3, 0.2]).double()
    likelihood = torch.rand(4, 3).double()
    likelihood /= likelihood.sum(0)
    joint = likelihood * prior
    return prior, likelihood, joint / joint.sum(1, keepdim=True)


@pytest.fixture
def vae_and_images(random_vae):
    vae = random_vae((1, 2, 2), 3, latent_dim=2, hidden=(8,))
    return vae, torch.randint(0, 3, (16, 1, 2, 2), dtype=torch.uint8)


def gradients(value, module):
    """Gradient of a mean with respect to each parameter; None where it plays no part."""
    return torch.autograd.grad(
        value.mean(), list(module.parameters()), retain_graph=True, allow_unused=True
    )


@pytest.mark.erratum("E2")
def test_the_encoder_that_only_reconstructs_is_not_the_best(world):
    prior, likelihood, posterior = world
    evidence = (likelihood * prior).sum(1).log()

    def reconstruction(q):
        return (q * likelihood.log()).sum(1)

    def bound(q):
        return reconstruction(q) + (q * prior.log()).sum(1) - torch.xlogy(q, q).sum(1)

    alone = torch.nn.functional.one_hot(likelihood.argmax(1), 3).double()
    assert (reconstruction(alone) > reconstruction(posterior)).all()
    assert (bound(alone) < bound(posterior)).all()
    torch.testing.assert_close(bound(posterior), evidence)


@pytest.mark.erratum("E2")
def test_an_objective_of_q_alone_cannot_train_the_decoder(vae_and_images):
    vae, x = vae_and_images
    q = vae.posterior(x)
    objective = q.log_prob(q.rsample()) - vae.terms(x).rate  # what the source gives the decoder
    assert all(gradient is None for gradient in gradients(objective, vae.decoder))
    assert all(gradient.abs().sum() > 0 for gradient in gradients(vae.elbo(x), vae.decoder))
    assert all(gradient.abs().sum() > 0 for gradient in gradients(vae.elbo(x), vae.encoder))


@pytest.mark.erratum("E8")
def test_squared_error_alone_removes_the_noise_of_the_code():
    """With a linear decoder every mean can be done: less noise, less error, and a worse bound."""
    torch.manual_seed(0)
    model, x = PPCA(5, 2).double(), torch.randn(7, 5).double()
    exact = model.posterior(x)
    errors, bounds = [], []
    for shrink in [1, 1e-2, 1e-4, 1e-6, 0]:
        covariance = shrink * exact.covariance_matrix
        residual = x - model.mean - exact.mean @ model.weight.T
        spread = torch.einsum("dl,nlk,dk->n", model.weight, covariance, model.weight)
        errors.append((residual.square().sum(1) + spread).mean())
        if shrink:
            q = MultivariateNormal(exact.mean, covariance)
            bounds.append(model.elbo(x, q).mean())
    assert (torch.stack(errors).diff() < 0).all()  # least without any noise: an autoencoder
    assert (torch.stack(bounds).diff() < -1).all()  # and ever further below log p(x)
    torch.testing.assert_close(bounds[0], model.log_prob(x).mean())


@pytest.mark.erratum("E13")
def test_without_the_prior_it_is_neither_an_equation_nor_a_bound(world):
    prior, likelihood, posterior = world
    evidence = (likelihood * prior).sum(1).log()
    without = (posterior * (likelihood.log() - posterior.log())).sum(1)
    assert (without > evidence + 0.1).all()  # too high, though q is exact
    with_prior = without + (posterior * prior.log()).sum(1)
    torch.testing.assert_close(with_prior, evidence)


@pytest.mark.erratum("E14")
def test_the_rate_does_not_train_the_decoder(vae_and_images):
    vae, x = vae_and_images
    terms = vae.terms(x)
    assert all(gradient is None for gradient in gradients(terms.rate, vae.decoder))
    assert all(gradient.abs().sum() > 0 for gradient in gradients(terms.rate, vae.encoder))
    assert all(g.abs().sum() > 0 for g in gradients(terms.reconstruction, vae.decoder))


@pytest.mark.erratum("E16")
def test_codes_from_the_prior_teach_the_encoder_nothing_of_the_image(vae_and_images):
    vae, x = vae_and_images
    from_prior = vae.likelihood(vae.prior(len(x)).sample()).log_prob(x.float())
    assert all(gradient is None for gradient in gradients(from_prior, vae.encoder))
    from_encoder = vae.terms(x).reconstruction
    assert all(gradient.abs().sum() > 0 for gradient in gradients(from_encoder, vae.encoder))


@pytest.mark.erratum("E17")
@pytest.mark.parametrize("beta", [0.1, 1.0, 4.0])
def test_with_squared_error_beta_is_the_variance(beta):
    """The loss is 2σ² times the negative bound, plus a constant, at σ² = β/2 alone."""
    torch.manual_seed(0)
    x, rebuilt = torch.rand(2, 9, 12).double()
    rate = 9 * torch.rand(9).double()
    loss = (x - rebuilt).square().sum(1) + beta * rate

    def spread_of_the_difference(variance):
        log_prob = Normal(rebuilt, math.sqrt(variance)).log_prob(x).sum(1)
        return (2 * variance * (rate - log_prob) - loss).std()

    assert spread_of_the_difference(beta / 2) < 1e-12
    assert spread_of_the_difference(beta) > 0.1
