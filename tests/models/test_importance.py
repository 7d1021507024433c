"""Importance weights and their bound, against formulas written out and quadrature."""

import math

import pytest
import torch
from torch.distributions import Normal

from genlearn.data import Split
from genlearn.distributions import GaussianPixels, LogisticPixels
from genlearn.metrics import log_likelihood
from genlearn.models import VAE

SHAPE = (1, 2, 2)


@pytest.fixture
def images() -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(3, (6, *SHAPE), generator=generator, dtype=torch.uint8)


@pytest.fixture
def vae(random_vae) -> VAE:
    """One latent number, so that log p(x) is a sum over a line."""
    return random_vae(SHAPE, 3, latent_dim=1, hidden=(8,))


def exact_log_prob(vae: VAE, images: torch.Tensor) -> torch.Tensor:
    z = torch.linspace(-9, 9, 6001)
    log_prior = Normal(0, 1).log_prob(z)
    with torch.no_grad():
        p = vae.likelihood(z.unsqueeze(1))
        rows = [p.log_prob(x.float()) + log_prior for x in images]
    return torch.stack(rows).double().logsumexp(1) + math.log(18 / 6000)


def test_weights_are_those_written_out(vae, images):
    noise = torch.randn(5, 6, 1)
    q = vae.posterior(images).base_dist
    with torch.no_grad():
        log_weights = vae.log_weights(images, 5, noise)
        for k in range(5):
            z = q.loc + q.scale * noise[k]
            log_joint = vae.likelihood(z).log_prob(images.float()) + Normal(0, 1).log_prob(z)[:, 0]
            expected = log_joint - Normal(q.loc, q.scale).log_prob(z)[:, 0]
            torch.testing.assert_close(log_weights[k], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("gradient", ["reparameterised", "doubly"])
def test_the_bound_is_the_logarithm_of_the_mean_weight(vae, images, gradient):
    noise = torch.randn(7, 6, 1)
    with torch.no_grad():
        expected = vae.log_weights(images, 7, noise).exp().mean(0).log()
    torch.testing.assert_close(vae.iwae(images, 7, noise, gradient), expected)


def test_the_decoder_gets_the_same_gradient_either_way(vae, images):
    noise = torch.randn(7, 6, 1)
    one = vae.iwae(images, 7, noise).mean()
    two = vae.iwae(images, 7, noise, "doubly").mean()
    parameters = list(vae.decoder.parameters())
    for a, b in zip(
        torch.autograd.grad(one, parameters), torch.autograd.grad(two, parameters), strict=True
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_doubly_reparameterised_gradient_is_that_of_its_formula(vae, images):
    """Squared shares times the derivative of log w along the codes, one code at a time."""
    noise = torch.randn(4, 6, 1)
    q = vae.posterior(images).base_dist
    z = q.loc + q.scale * noise
    free = z.detach().requires_grad_()
    log_joint = torch.stack([vae.likelihood(c).log_prob(images.float()) for c in free])
    log_joint = log_joint + Normal(0, 1).log_prob(free)[..., 0]
    log_w = log_joint - Normal(q.loc.detach(), q.scale.detach()).log_prob(free)[..., 0]
    (slope,) = torch.autograd.grad(log_w.sum(), free)
    squared = log_w.detach().softmax(0).square().unsqueeze(-1)
    parameters = list(vae.encoder.parameters())
    expected = torch.autograd.grad((squared * slope * z).sum(), parameters)
    ours = torch.autograd.grad(vae.iwae(images, 4, noise, "doubly").sum(), parameters)
    for a, b in zip(ours, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_the_bound_without_gradients_is_the_same(vae, images):
    noise = torch.randn(4, 6, 1)
    with torch.no_grad():
        torch.testing.assert_close(vae.iwae(images, 4, noise, "doubly"), vae.iwae(images, 4, noise))


def test_importance_sampling_reaches_the_exact_log_likelihood(vae, images):
    """With codes from N(0, 1), which cover the line; a bad encoder would need far more of them."""
    for parameter in vae.encoder[-1][-1].parameters():
        torch.nn.init.zeros_(parameter)
    exact = exact_log_prob(vae, images).mean().item()
    estimate = log_likelihood(vae, Split(images, None, 3), samples=20_000, at_once=4000)
    assert estimate.mean == pytest.approx(exact, abs=0.02)
    assert estimate.images == 6


class Counting(torch.nn.Module):
    """Weights 1, 2, 3 … in the order in which they are asked for; notes how many at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.drawn, self.most = 0, 0

    def log_weights(self, x, k):
        self.most = max(self.most, k * len(x))
        numbers = torch.arange(self.drawn, self.drawn + k).add(1).log()
        self.drawn += k
        return numbers.unsqueeze(1).expand(k, len(x)) + x.flatten().float()


@pytest.mark.parametrize("at_once", [3, 8, 1000])
def test_chunks_bound_the_memory_and_change_nothing(at_once):
    split = Split(torch.tensor([0, 1, 2], dtype=torch.uint8).view(3, 1, 1, 1), None, 256)
    model = Counting()
    estimate = log_likelihood(model, split, samples=10, at_once=at_once, batch_size=3)
    assert model.most <= at_once
    assert estimate.mean == pytest.approx(math.log(5.5) + 1)  # the mean of 1 … 10
    assert estimate.standard_error == pytest.approx(1 / 3**0.5)


def test_an_estimate_leaves_the_random_numbers_alone_and_repeats_itself(vae, images):
    split, before = Split(images, None, 3), torch.get_rng_state()
    first = log_likelihood(vae, split, samples=3, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    assert log_likelihood(vae, split, samples=3, seed=5) == first
    assert log_likelihood(vae, split, samples=3, seed=6) != first


@pytest.mark.parametrize("name", ["samples", "at_once", "batch_size"])
def test_counts_below_one_are_refused(vae, images, name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        log_likelihood(vae, Split(images, None, 3), **{name: 0})


def test_a_single_image_has_no_standard_error(vae, images):
    with pytest.raises(ValueError, match="needs at least 2 images, got 1"):
        log_likelihood(vae, Split(images[:1], None, 3))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((0,), "k must be at least 1, got 0"),
        ((2, torch.zeros(3, 6, 1)), "noise is for 3 codes an image, not 2"),
        ((2, None, "triply"), "reparameterised or doubly, got 'triply'"),
    ],
)
def test_wrong_arguments_are_refused(vae, images, arguments, words):
    with pytest.raises(ValueError, match=words):
        vae.iwae(images, *arguments)


@pytest.mark.parametrize("likelihood", [GaussianPixels(3), LogisticPixels(3, 2), None], ids=type)
@pytest.mark.parametrize("build", [VAE.mlp, VAE.conv], ids=["mlp", "conv"])
def test_every_network_takes_every_likelihood(build, likelihood, images):
    vae = build(SHAPE, 3, latent_dim=2, likelihood=likelihood)
    terms = vae.terms(images)
    assert terms.elbo.shape == (6,)
    assert terms.rates.shape == (6, 2)
    assert terms.rate.max() == 0  # codes say nothing at first
    assert vae.sample(5).shape == (5, *SHAPE)
    assert vae.sample(5).max() < 3
    assert vae.mean_image(torch.zeros(4, 2)).shape == (4, *SHAPE)
    (-terms.elbo).mean().backward()
    assert all(p.grad is not None for p in vae.parameters())
