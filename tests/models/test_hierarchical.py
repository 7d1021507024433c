"""Two layers of codes, all of them linear and Gaussian: then everything is known exactly."""

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from genlearn.data import Split
from genlearn.metrics import log_likelihood
from genlearn.models import VAE, HierarchicalVAE

SHAPE = (1, 1, 3)
STD, LOWER_STD = 4.0, torch.tensor([0.5, 0.8])
MEAN = torch.tensor([120.0, 130.0, 128.0])
# Columns at right angles, and a diagonal map: so all posteriors have independent coordinates.
LOWER = torch.tensor([[8.0, 3.0], [6.0, -4.0], [0.0, 5.0]])
UPPER = torch.diag(torch.tensor([1.5, 0.7]))
PRIOR = UPPER @ UPPER.T + LOWER_STD.square().diag()  # covariance of z₁
MARGINAL = MultivariateNormal(MEAN, LOWER @ PRIOR @ LOWER.T + STD**2 * torch.eye(3))


class NormalPixels:
    """A density, N(mean, STD²), for a model in which every integral can be done."""

    levels, parameters_per_value = 256, 1

    def distribution(self, parameters: Tensor) -> Independent:
        return Independent(Normal(parameters.squeeze(-1), STD), 3)


def linear(weight: Tensor, bias: Tensor, log_std: Tensor | None = None) -> nn.Linear:
    """A layer that gives weight · input + bias, and behind it constant log standard deviations."""
    if log_std is not None:
        weight = torch.cat([weight, torch.zeros_like(weight)])
        bias = torch.cat([bias, log_std])
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.bias.copy_(bias)
    return layer


def model_of(off: float = 0.0) -> HierarchicalVAE:
    """The model, with its exact posterior; ``off`` shifts and widens both layers of it."""
    precision = (PRIOR.inverse() + LOWER.T @ LOWER / STD**2).diagonal()
    gain = LOWER.T / STD**2 / precision.unsqueeze(1)  # E[z₁ | x] = gain (x - MEAN)
    # The encoder sees u = 2 x / 255 - 1.
    encoder = linear(
        127.5 * gain, gain @ (127.5 - MEAN) + off / 4, (-precision.log() / 2) + off / 3
    )
    decoder = nn.Sequential(linear(LOWER, MEAN), nn.Unflatten(1, (*SHAPE, 1)))
    lower = VAE(nn.Sequential(nn.Flatten(), encoder), decoder, NormalPixels(), SHAPE, 2)
    down = linear(UPPER, torch.zeros(2), LOWER_STD.log())
    upper = UPPER.diagonal()
    precision = 1 + (upper / LOWER_STD) ** 2
    gain = (upper / LOWER_STD**2 / precision).diag()
    up = linear(gain, torch.full((2,), off / 4), (-precision.log() / 2) - off / 3)
    return HierarchicalVAE(lower, up, down, 2)


def images(count: int = 5) -> Tensor:
    torch.manual_seed(3)
    return MARGINAL.sample((count,)).clamp(0, 255).to(torch.uint8).view(-1, *SHAPE)


def exact(x: Tensor) -> Tensor:
    return MARGINAL.log_prob(x.float().view(-1, 3))


def divergence(model: HierarchicalVAE, x: Tensor) -> float:
    """KL(q(z₁, z₂ | x) ‖ p(z₁, z₂ | x)) of two Gaussians in four dimensions, for one image."""
    with torch.no_grad():
        q1 = model.lower.posterior(x)
        up = model.upper_encoder
        gain, shift, spread = up.weight[:2], up.bias[:2], up.bias[2:].exp()
        mean, cov = q1.mean[0], q1.stddev[0].square().diag()
        q_mean = torch.cat([mean, gain @ mean + shift])
        cross = gain @ cov
        low = torch.cat([cov, cross.T], 1)
        high = torch.cat([cross, gain @ cov @ gain.T + spread.square().diag()], 1)
        q = MultivariateNormal(q_mean, torch.cat([low, high]))
    # p(z₁, z₂ | x): condition the joint Gaussian of (z₁, z₂) on x.
    joint = torch.cat(
        [torch.cat([PRIOR, UPPER], 1), torch.cat([UPPER.T, torch.eye(2)], 1)]
    )  # covariance of (z₁, z₂)
    to_x = torch.cat([LOWER, torch.zeros(3, 2)], 1)
    kalman = joint @ to_x.T @ MARGINAL.covariance_matrix.inverse()
    p_mean = kalman @ (x.float().view(3) - MEAN)
    p_cov = joint - kalman @ to_x @ joint
    return kl_divergence(q, MultivariateNormal(p_mean, (p_cov + p_cov.T) / 2)).item()


def test_with_the_true_posterior_every_weight_is_the_likelihood():
    """Whatever codes are drawn: p(x, z₁, z₂) / p(z₁, z₂ | x) = p(x)."""
    model, x = model_of(), images()
    torch.manual_seed(0)
    with torch.no_grad():
        weights = model.log_weights(x, 50)
        torch.testing.assert_close(weights, exact(x).expand(50, 5), rtol=0, atol=2e-4)
        torch.testing.assert_close(model.iwae(x, 7), exact(x), rtol=0, atol=2e-4)
        # The rate of the upper layer is its mean, so elbo scatters; on average it is log p(x).
        draws = model.elbo(x[:1].expand(20_000, *SHAPE)).double()
    assert abs(draws.mean() - exact(x)[0]) < 5 * draws.std() / 20_000**0.5


def test_the_gap_of_the_bound_is_the_divergence_of_both_layers_together():
    model, x = model_of(off=1.0), images(1)
    torch.manual_seed(0)
    with torch.no_grad():
        draws = model.elbo(x.expand(100_000, *SHAPE)).double()
    gap = exact(x).item() - draws.mean().item()
    expected = divergence(model, x)
    assert expected > 0.5
    assert abs(gap - expected) < 5 * draws.std().item() / 100_000**0.5


def test_bounds_are_in_order_and_more_codes_come_nearer():
    model, x = model_of(off=1.0), images(1)
    torch.manual_seed(0)
    with torch.no_grad():
        weights = model.log_weights(x, 240_000).double().view(-1, 100)
    means, errors = [], []
    for k in (1, 10, 100):
        bounds = weights.view(-1, k).logsumexp(1) - math.log(k)
        means.append(bounds.mean().item())
        errors.append(bounds.std().item() / len(bounds) ** 0.5)
    assert means[0] + 5 * errors[0] < means[1] - 5 * errors[1]
    assert means[1] + 5 * errors[1] < means[2] - 5 * errors[2]
    assert means[2] < exact(x).item() + 5 * errors[2]
    assert weights.flatten().logsumexp(0).item() - math.log(240_000) == pytest.approx(
        exact(x).item(), abs=0.02
    )


def test_terms_add_up_and_their_layers_too():
    model, x, noise = model_of(off=1.0), images(), torch.randn(5, 4)
    terms = model.terms(x, noise)
    torch.testing.assert_close(terms.rates.sum(1), terms.rate)
    torch.testing.assert_close(terms.elbo, terms.reconstruction - terms.rate)
    assert torch.equal(model.elbo(x, noise), terms.elbo)
    z1 = model.lower.posterior(x)
    z1 = z1.mean + z1.stddev * noise[:, :2]
    expected = kl_divergence(model.upper_posterior(z1).base_dist, Normal(torch.zeros(2), 1.0))
    torch.testing.assert_close(terms.rates[:, 1], expected.sum(1))
    torch.testing.assert_close(terms.reconstruction, model.lower.likelihood(z1).log_prob(x.float()))


def test_samples_have_the_marginals_mean_and_covariance():
    torch.manual_seed(0)
    samples = model_of().sample(40_000).double().view(-1, 3)  # rounded down to whole levels
    spread = MARGINAL.covariance_matrix.double() + torch.eye(3) / 12
    error = 5 * (spread.diagonal() / 40_000).sqrt()
    assert ((samples.mean(0) + 0.5 - MEAN).abs() < error).all()
    scale = spread.diagonal().sqrt()
    assert ((samples.T.cov() - spread) / scale.outer(scale)).abs().max() < 5 * 2**0.5 / 200


def test_the_estimate_of_log_p_takes_both_layers():
    x = images(20)
    estimate = log_likelihood(model_of(), Split(x, None, 256), samples=3)
    assert estimate.mean == pytest.approx(exact(x).mean().item(), abs=1e-3)


@pytest.mark.parametrize("options", [{}, {"pixel_features": 2}], ids=str)
def test_training_begins_with_codes_that_say_nothing(options):
    model = HierarchicalVAE.mlp((1, 3, 2), 17, latent_dims=(4, 2), **options)
    x = torch.randint(17, (5, 1, 3, 2), dtype=torch.uint8)
    terms = model.terms(x)
    assert terms.rate.abs().max() < 1e-5
    assert (model.levels, model.latent_dim, model.shape) == (17, 6, (1, 3, 2))
    terms.elbo.sum().backward()
    assert model.sample(3).shape == (3, 1, 3, 2)


def test_wrong_numbers_of_codes_are_refused():
    model, x = model_of(), images()
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        model.iwae(x, 0)
    with pytest.raises(ValueError, match="noise is for 2 pairs of codes an image, not 3"):
        model.log_weights(x, 3, torch.zeros(2, 5, 4))
