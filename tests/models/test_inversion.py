"""Searching for noise: every image for itself, from every start, and nothing else is touched."""

import pytest
import torch
from torch import nn

from genlearn.models import invert, noise_regression_loss, squared_error


@pytest.fixture
def generator():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 12), nn.Unflatten(1, (3, 2, 2)))


def test_the_noise_of_an_easy_generator_is_found(generator):
    noise = 0.5 * torch.randn(5, 2)
    with torch.no_grad():
        images = generator(noise)
    found = invert(generator, images, torch.randn(6, 5, 2), steps=400)
    torch.testing.assert_close(found.noise, noise, atol=1e-2, rtol=0)
    torch.testing.assert_close(found.images, images, atol=1e-2, rtol=0)
    assert found.all_distances.shape == (6, 5)


def test_of_several_starts_each_image_gets_its_best(generator):
    images, starts = torch.randn(4, 3, 2, 2), 2 * torch.randn(5, 4, 2)
    found = invert(generator, images, starts, steps=3)
    best = found.all_distances.argmin(0)
    torch.testing.assert_close(found.distances, found.all_distances.amin(0))
    assert len(best.unique()) > 1
    alone = invert(generator, images, starts[best, torch.arange(4)][None], steps=3)
    torch.testing.assert_close(found.noise, alone.noise)


def test_searches_do_not_know_of_each_other(generator):
    images, starts = torch.randn(4, 3, 2, 2), torch.randn(1, 4, 2)
    together = invert(generator, images, starts, steps=20).noise
    alone = [invert(generator, images[i : i + 1], starts[:, i : i + 1], steps=20) for i in range(4)]
    torch.testing.assert_close(together, torch.cat([one.noise for one in alone]))


def test_without_a_step_the_start_comes_back(generator):
    starts = torch.randn(1, 3, 2)
    found = invert(generator, torch.randn(3, 3, 2, 2), starts, steps=0)
    assert torch.equal(found.noise, starts[0])


def test_the_distance_can_leave_pixels_out(generator):
    noise = 0.5 * torch.randn(3, 2)
    with torch.no_grad():
        images = generator(noise)
    spoilt = images.clone()
    spoilt[:, 0] = 9.0

    def of_the_rest(made, wanted):
        return squared_error(made[:, 1:], wanted[:, 1:])

    found = invert(generator, spoilt, torch.randn(6, 3, 2), steps=400, distance=of_the_rest)
    torch.testing.assert_close(found.images, images, atol=2e-2, rtol=0)


def test_nothing_but_the_noise_gets_a_gradient(generator):
    starts = torch.randn(1, 3, 2)
    before = starts.clone()
    found = invert(generator, torch.randn(3, 3, 2, 2), starts, steps=2)
    assert all(p.grad is None for p in generator.parameters())
    assert torch.equal(starts, before)
    assert not any(t.requires_grad for t in found)


def test_only_the_encoder_learns_to_guess(generator):
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(12, 2))
    noise_regression_loss(encoder, generator, torch.randn(4, 2)).backward()
    assert all(p.grad is None for p in generator.parameters())
    assert all(p.grad.abs().sum() > 0 for p in encoder.parameters())


def test_a_guess_that_knows_nothing_costs_the_number_of_dimensions():
    torch.manual_seed(0)
    loss = noise_regression_loss(torch.zeros_like, nn.Identity(), torch.randn(20_000, 3))
    assert abs(loss - 3) < 0.1


@pytest.mark.parametrize("shape", [(3, 2), (0, 3, 2), (2, 4, 2)])
def test_starts_must_be_some_for_each_image(generator, shape):
    with pytest.raises(ValueError, match=r"starts must be of shape \(S, 3, L\)"):
        invert(generator, torch.randn(3, 3, 2, 2), torch.randn(shape))
