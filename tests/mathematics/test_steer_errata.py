"""Errata of chapter 10: what a source says fails, and what is right holds, on the same case."""

import math

import pytest
import torch
from torch import nn

from genlearn.models import GAN, noise_regression_loss


@pytest.mark.erratum("E9")
def test_a_game_that_never_settles_has_no_local_optimum_to_be_stuck_in():
    """V = θψ: the gradient is zero at the solution alone, and simultaneous steps run off."""
    state, rate = torch.tensor([0.6, 0.8], dtype=torch.float64), 0.1
    for step in range(1, 101):
        theta, psi = state
        state = torch.stack([theta - rate * psi, psi + rate * theta])  # one descends, one climbs
        assert state.norm() == pytest.approx((1 + rate**2) ** (step / 2))
    hessian = torch.tensor([[0.0, 1.0], [1.0, 0.0]], dtype=torch.float64)
    assert torch.linalg.eigvalsh(hessian).tolist() == [-1, 1]  # a saddle, no hill and no valley


@pytest.mark.erratum("E9")
def test_a_plain_gan_has_no_map_from_data_to_noise():
    torch.manual_seed(0)
    gan, points = GAN.mlp(dims=2, latent_dim=8, hidden=(16,)), torch.randn(5, 2)
    assert gan.discriminator(points).shape == (5,)  # one number a point, and no code
    with pytest.raises(RuntimeError):
        gan.generator(points)  # the other way round only
    assert set(gan.players) == {"generator", "discriminator"}


@pytest.mark.erratum("E9")
def test_where_many_noise_vectors_make_one_picture_no_encoder_can_name_the_one():
    """G keeps 2 of 4 coordinates. The best encoder knows these two, and errs by the others."""
    torch.manual_seed(0)
    noise = torch.randn(100_000, 4)

    def generator(z):
        return z[:, :2]

    encoder = nn.Linear(2, 4)
    with torch.no_grad():  # least squares, in closed form
        inputs = torch.cat([generator(noise), torch.ones(len(noise), 1)], 1)
        solution = torch.linalg.lstsq(inputs, noise).solution
        encoder.weight.copy_(solution[:2].T)
        encoder.bias.copy_(solution[2])
    error = noise_regression_loss(encoder, generator, noise).item()
    assert math.isclose(error, 2, abs_tol=0.05)
    other = noise.clone()
    other[:, 2:] += 3.0
    assert torch.equal(generator(other), generator(noise))
