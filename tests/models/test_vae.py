"""The VAE's bound against the same computed by hand, without PyTorch."""

import copy

import numpy as np
import pytest
import torch
from scipy.special import expit, log_softmax
from torch import nn

from genlearn.distributions import CategoricalPixels
from genlearn.models import VAE

SHAPE = (1, 3, 2)


def images(levels: int, count: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(levels, (count, *SHAPE), generator=generator, dtype=torch.uint8)


def vae(levels: int, **options) -> VAE:
    """A model with all weights at random: an untrained one has codes that say nothing."""
    torch.manual_seed(0)
    model = VAE.mlp(SHAPE, levels, **{"latent_dim": 3, "hidden": (5,), **options})
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.5)
    return model


def by_hand(model: VAE, x: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, ...]:
    """(bound, reconstruction, rate, rates) in float64 from the weights alone."""

    def layers(net: nn.Module, h: np.ndarray) -> np.ndarray:
        weights = [p.detach().double().numpy() for p in net.parameters()]
        for i, (w, b) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
            h = (h * expit(h) if i else h) @ w.T + b
        return h

    levels, n = model.levels, len(x)
    encoded = layers(model.encoder, 2 * x.reshape(n, -1) / (levels - 1) - 1)
    mean, log_std = encoded[:, :3], encoded[:, 3:]
    z = mean + np.exp(log_std) * noise
    logits = layers(model.decoder[0], z).reshape(n, *SHAPE, -1)
    if len(model.decoder) > 2:  # the network that all pixels share
        logits = layers(model.decoder[3], logits * expit(logits))
    if levels == 2:
        logits = np.concatenate([np.zeros_like(logits), logits], axis=-1)
    chosen = np.take_along_axis(log_softmax(logits, -1), x[..., None], -1)
    reconstruction = chosen.reshape(n, -1).sum(1)
    rates = (mean**2 + np.exp(2 * log_std) - 1 - 2 * log_std) / 2
    rate = rates.sum(1)
    return reconstruction - rate, reconstruction, rate, rates


@pytest.mark.parametrize("levels", [2, 3, 17])
@pytest.mark.parametrize("options", [{}, {"pixel_features": 4}, {"hidden": (6, 5)}], ids=str)
def test_bound_and_terms_equal_those_computed_by_hand(levels, options):
    model, x = vae(levels, **options), images(levels)
    noise = torch.randn(4, 3, generator=torch.Generator().manual_seed(2))
    expected = by_hand(model, x.numpy().astype(int), noise.double().numpy())
    for ours, theirs in zip(model.terms(x, noise), expected, strict=True):
        np.testing.assert_allclose(ours.detach(), theirs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.elbo(x, noise).detach(), expected[0], rtol=1e-4)


def test_noise_drawn_by_default_is_standard_normal():
    """The mean of 4,000 default bounds against Gauss-Hermite quadrature over the noise."""
    model, x = vae(3, latent_dim=1), images(3, count=1)
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    noise = torch.tensor(nodes, dtype=torch.float32).unsqueeze(1)
    with torch.no_grad():
        exact = model.elbo(x.expand(40, *SHAPE), noise).double().numpy() @ weights / weights.sum()
        draws = model.elbo(x.expand(4000, *SHAPE)).double()
    assert abs(draws.mean().item() - exact) < 5 * draws.std().item() / 4000**0.5


def test_noise_of_zero_puts_the_code_at_the_mean():
    model, x = vae(3), images(3)
    at_mean = model.likelihood(model.posterior(x).mean).log_prob(x)
    terms = model.terms(x, torch.zeros(4, 3))
    torch.testing.assert_close(terms.reconstruction, at_mean)
    torch.testing.assert_close(terms.elbo, terms.reconstruction - terms.rate)


@pytest.mark.parametrize("options", [{}, {"pixel_features": 4}], ids=str)
def test_training_begins_with_codes_that_say_nothing(options):
    """So q(z | x) is the prior, and the bound is the reconstruction alone."""
    terms = VAE.mlp(SHAPE, 3, **options).terms(images(3))
    assert terms.rate.tolist() == [0] * 4
    assert torch.equal(terms.elbo, terms.reconstruction)


class Recorder(nn.Module):
    """An encoder that keeps what it is given."""

    def forward(self, x):
        self.seen = x
        return torch.zeros(len(x), 4)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_the_encoder_sees_levels_from_minus_one_to_one(levels):
    encoder = Recorder()
    model = VAE(encoder, nn.Identity(), CategoricalPixels(levels), (1, 1, 2), 2)
    model.posterior(torch.tensor([0, levels - 1], dtype=torch.uint8).view(1, 1, 1, 2))
    torch.testing.assert_close(encoder.seen.flatten(), torch.tensor([-1.0, 1.0]))


def test_samples_are_drawn_from_the_model():
    """A decoder that ignores z gives pixels of known frequencies, all levels and no others."""
    model = vae(3)
    with torch.no_grad():
        model.decoder[0][-1].weight.zero_()
    torch.manual_seed(0)
    samples = model.sample(20_000)
    assert samples.shape == (20_000, *SHAPE)
    assert samples.dtype == torch.uint8
    share = torch.stack([(samples == level).float().mean(0) for level in range(3)], -1)
    bias = model.decoder[0][-1].bias.detach().view(*SHAPE, 3)
    assert (share - bias.softmax(-1)).abs().max() < 5 * 0.5 / 20_000**0.5
    z = torch.zeros(1, 3)
    expected = (bias.softmax(-1) * torch.arange(3)).sum(-1)
    torch.testing.assert_close(model.mean_image(z)[0], expected)


def test_the_prior_is_standard_normal_on_the_models_device():
    model = vae(2)
    assert model.prior(4).log_prob(torch.zeros(4, 3)).tolist() == pytest.approx(
        [-1.5 * np.log(2 * np.pi)] * 4
    )
    assert model.levels == 2


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (images(3).float() / 2, TypeError, "do not scale them"),
        (images(3).view(4, 1, 2, 3), ValueError, r"\(N, 1, 3, 2\), got \(4, 1, 2, 3\)"),
        (images(3)[0], ValueError, r"got \(1, 3, 2\)"),
        (images(256), ValueError, "levels 0 … 2"),
    ],
)
def test_wrong_images_are_refused(x, error, words):
    model = vae(3)
    for method in (model.posterior, model.terms, model.elbo):
        with pytest.raises(error, match=words):
            method(x)


def test_a_state_dict_holds_the_whole_model():
    model, x, noise = vae(3, pixel_features=2), images(3), torch.ones(4, 3)
    other = VAE.mlp(SHAPE, 3, latent_dim=3, hidden=(5,), pixel_features=2)
    assert not torch.equal(other.elbo(x, noise), model.elbo(x, noise))
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    assert torch.equal(other.elbo(x, noise), model.elbo(x, noise))


def test_a_shared_pixel_network_needs_far_fewer_weights():
    """What pixel_features is for: 64 pixels of 17 levels."""
    count = [
        sum(p.numel() for p in VAE.mlp((1, 8, 8), 17, pixel_features=k).decoder.parameters())
        for k in (0, 4)
    ]
    # 16 -> 256 -> 64 · 17, and 16 -> 256 -> 64 · 4 with one 4 -> 32 -> 17
    assert count == [17 * 256 + 257 * 1088, 17 * 256 + 257 * 256 + 5 * 32 + 33 * 17]


def test_the_bound_is_float32_under_bf16_and_close():
    model, x, noise = vae(17), images(17), torch.zeros(4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        terms, q = model.terms(x, noise), model.posterior(x)
    assert {term.dtype for term in (*terms, q.mean, q.stddev)} == {torch.float32}
    torch.testing.assert_close(terms.elbo, model.elbo(x, noise), rtol=0.02, atol=0)
