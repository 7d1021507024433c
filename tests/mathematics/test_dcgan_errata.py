"""Errata of chapter 08: what a source says fails, and what is right holds, on the same case."""

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from genlearn.losses import cross_entropy_discriminator_loss
from genlearn.models import GAN
from genlearn.training import Objective, Step


@pytest.fixture
def gan():
    torch.manual_seed(0)
    return GAN.dcgan((1, 8, 8), 17, latent_dim=4, channels=(4, 8), init_std=None)


@pytest.fixture
def levels():
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 17, (6, 1, 8, 8), dtype=torch.uint8, generator=generator)


def step_of(levels):
    return Step(0, (levels,), torch.default_generator)


def weights(player):
    return [weight.detach().clone() for weight in player.parameters()]


@pytest.mark.erratum("E5")
def test_a_dense_layer_acts_on_the_last_axis_and_fits_no_reshape():
    """The source's layers at a smaller size; the counts of its own are in proportion."""
    side, channels = 3, 8
    size = side * side * channels
    maps = nn.Sequential(nn.Linear(5, size), nn.Unflatten(1, (side, side, channels)))
    dense = nn.Linear(channels, size)
    with torch.no_grad():
        made = dense(maps(torch.randn(2, 5)))
        assert made[0].numel() == side * side * size
        with pytest.raises(RuntimeError):
            made.reshape(2, side, side, channels, 1)
        # what was meant: a layer of all values of an image
        meant = nn.Linear(size, size)(maps(torch.randn(2, 5)).flatten(1))
    assert meant.reshape(2, side, side, channels, 1)[0].numel() == size
    assert 7 * 7 * (7 * 7 * 256) == 614_656


@pytest.mark.erratum("E5")
def test_minus_the_loss_of_a_training_step_trains_the_discriminator_again(gan):
    judge = gan.discriminator.eval()
    adam = torch.optim.Adam(judge.parameters(), 1e-3)
    fake = gan.generator(gan.noise(64)).detach()
    before, made = judge(fake).mean().item(), weights(gan.generator)
    loss = F.softplus(-judge(fake)).mean()
    adam.zero_grad()
    loss.backward()
    adam.step()
    generator_loss = -loss.item()  # the source's
    assert isinstance(generator_loss, float)  # nothing to differentiate
    assert judge(fake).mean() > before  # the judge was taught to believe
    assert all(weight.grad is None for weight in gan.generator.parameters())
    assert all(map(torch.equal, weights(gan.generator), made))


@pytest.mark.erratum("E5")
def test_the_right_step_moves_the_generator_and_leaves_the_judge(gan, levels):
    judged, made = weights(gan.discriminator), weights(gan.generator)
    adam = torch.optim.Adam(gan.generator.parameters(), 1e-3)
    objective = Objective("G", gan.generator_loss, adam)
    objective.loss(step_of(levels))["loss"].backward(inputs=objective.parameters)
    adam.step()
    assert not any(map(torch.equal, weights(gan.generator), made))
    assert all(map(torch.equal, weights(gan.discriminator), judged))


@pytest.mark.erratum("E8")
def test_a_new_layer_in_place_of_the_judge_teaches_the_generator_nothing_of_it(gan):
    """The source's combined model ends in a layer of its own: the discriminator is not in it."""
    torch.manual_seed(0)
    new = nn.Sequential(nn.Flatten(), nn.Linear(64, 1), nn.Flatten(0))
    z = gan.noise(8)
    parameters = [*gan.generator.parameters(), *gan.discriminator.parameters()]

    def slopes(judge):
        loss = F.softplus(-judge(gan.generator(z))).mean()
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        count = len(list(gan.generator.parameters()))
        return found[:count], found[count:]

    of_generator, of_judge = slopes(new)
    assert all(slope is None for slope in of_judge)
    other = copy.deepcopy(gan.discriminator)
    gan.discriminator.load_state_dict({k: v + 0.1 for k, v in other.state_dict().items()})
    assert all(map(torch.equal, slopes(new)[0], of_generator))  # whatever the discriminator knows

    right = slopes(gan.discriminator)
    assert all(slope is not None for slope in [*right[0], *right[1]])
    assert not any(map(torch.equal, right[0], slopes(other)[0]))


@pytest.mark.erratum("E22")
def test_half_a_discriminator_loss_teaches_to_call_everything_real():
    """Where our copy breaks off, only the loss of real images is there."""
    torch.manual_seed(0)
    real, fake = torch.randn(256, 1) + 1, torch.randn(256, 1) - 1

    def called_real(loss):
        """Train a judge; return the shares of real and of generated points that it calls real."""
        judge = nn.Sequential(nn.Linear(1, 1), nn.Flatten(0))
        adam = torch.optim.Adam(judge.parameters(), 0.1)
        for _ in range(300):
            adam.zero_grad()
            loss(judge).backward()
            adam.step()
        with torch.no_grad():
            return [(judge(x) > 0).float().mean().item() for x in (real, fake)]

    whole = called_real(lambda judge: cross_entropy_discriminator_loss(judge(real), judge(fake)))
    half = called_real(lambda judge: F.softplus(-judge(real)).mean())
    assert whole[0] > 0.75
    assert whole[1] < 0.25
    assert half[0] > 0.95
    assert half[1] > 0.5


@pytest.mark.erratum("E26")
def test_the_loss_of_the_generator_comes_through_the_discriminator_alone(gan, levels):
    gan.noise = lambda n: torch.linspace(-1, 1, 4 * n).view(n, 4)
    loss = gan.generator_loss(step_of(levels))["loss"]
    other_images = gan.generator_loss(step_of(16 - levels))["loss"]
    assert torch.equal(loss, other_images)  # there is no term that compares with images

    for parameter in gan.discriminator.parameters():
        nn.init.zeros_(parameter)  # a judge that sees no difference
    blind = gan.generator_loss(step_of(levels))["loss"]
    slopes = torch.autograd.grad(blind, list(gan.generator.parameters()))
    assert all(slope.abs().max() == 0 for slope in slopes)  # then there is nothing to learn
    assert blind.item() == pytest.approx(0.6931, abs=1e-4)  # and no term for the noise is left
