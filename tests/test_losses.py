"""Weights, floors and parts of the rate: what their arguments mean, and what is refused.

Their equations are tested in mathematics/test_beta.py.
"""

import math

import pytest
import torch
from torch.distributions import Normal

from genlearn.losses import beta_vae_loss, free_bits, rate_parts, warm_up
from genlearn.models import VAE


def test_with_weight_one_the_loss_is_the_negative_bound():
    torch.manual_seed(0)
    x = torch.randint(0, 3, (6, 1, 2, 2), dtype=torch.uint8)
    terms = VAE.mlp((1, 2, 2), 3, latent_dim=2).terms(x)
    torch.testing.assert_close(
        beta_vae_loss(terms.reconstruction, terms.rate), -terms.elbo.mean(), rtol=1e-6, atol=0
    )


def test_the_rate_may_be_one_number_for_the_batch():
    loss = beta_vae_loss(torch.tensor([-5.0, -7.0]), torch.tensor(3.0), beta=2)
    assert loss.item() == 2 * 3 + 6


def test_warm_up_begins_at_zero_ends_at_one_and_stays():
    assert [warm_up(step, 4) for step in (0, 1, 2, 4, 5, 400)] == [0, 0.25, 0.5, 1, 1, 1]


def test_a_warm_up_of_no_steps_is_none():
    assert warm_up(0, 0) == 1


@pytest.mark.parametrize(
    ("rates", "nats", "message"),
    [
        (torch.zeros(5), 0.5, r"rates must be of shape \(N, L\), got \(5,\)"),
        (torch.zeros(5, 2), -0.1, "free bits are at least 0 nats, got -0.1"),
    ],
)
def test_wrong_free_bits_are_refused(rates, nats, message):
    with pytest.raises(ValueError, match=message):
        free_bits(rates, nats)


@pytest.mark.parametrize(
    ("shapes", "images", "message"),
    [
        ([(4, 2), (4, 2), (4, 3)], None, r"must all be \(N, L\), got \(4, 2\), \(4, 2\), \(4, 3\)"),
        ([(4,)] * 3, None, r"must all be \(N, L\)"),
        ([(4, 2)] * 3, 3, "a batch of 4 is no sample of 3 images"),
        ([(1, 2)] * 3, 3, "take at least 2"),
    ],
)
def test_wrong_codes_are_refused(shapes, images, message):
    with pytest.raises(ValueError, match=message):
        rate_parts(*(torch.ones(shape) for shape in shapes), images)


def test_a_data_set_of_one_image_has_nothing_to_tell():
    """Its aggregate is its own posterior: only the distance from the prior is left."""
    z, mean, std = torch.tensor([[0.3, -1.0]]), torch.ones(1, 2), torch.full((1, 2), 0.5)
    parts = rate_parts(z, mean, std)
    assert parts.mutual_information.item() == parts.total_correlation.item() == 0
    expected = Normal(mean, std).log_prob(z) - Normal(0, 1).log_prob(z)
    torch.testing.assert_close(parts.dimension_wise, expected.sum(1))


def test_parts_carry_gradients_to_codes_and_posteriors():
    torch.manual_seed(0)
    inputs = [torch.randn(5, 3, requires_grad=True) for _ in range(2)]
    std = torch.rand(5, 3).add(0.1).requires_grad_()
    for part in rate_parts(*inputs, std, images=50):
        gradients = torch.autograd.grad(part.sum(), [*inputs, std], retain_graph=True)
        assert all(g.isfinite().all() and g.any() for g in gradients)


def test_far_codes_underflow_nowhere():
    """Densities of e^-5000 are added as logarithms."""
    mean = torch.tensor([[0.0], [100.0]])
    parts = rate_parts(mean, mean, torch.ones(2, 1))
    torch.testing.assert_close(parts.mutual_information, torch.full((2,), math.log(2)))
