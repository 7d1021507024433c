"""Errata of chapter 07: what a source says fails, and what is right holds, on the same case."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from genlearn import data, losses
from genlearn.models import GAN
from genlearn.training import Objective, fit

P = torch.tensor([0.5, 0.3, 0.15, 0.05]).double()
Q = torch.tensor([0.1, 0.2, 0.3, 0.4]).double()


def value(logits):
    """V of a table of logits, for masses on four points."""
    return -(P * softplus(-logits)).sum() - (Q * softplus(logits)).sum()


def moved(function, start, sign, steps=400):
    """Follow the slope of a function upwards (1) or downwards (-1)."""
    for _ in range(steps):
        start = start + 0.5 * sign * torch.func.grad(function)(start)
    return start


@pytest.mark.erratum("E1")
def test_a_discriminator_that_minimises_the_value_tells_everything_wrong():
    zero = torch.zeros(4).double()
    down, up = moved(value, zero, -1), moved(value, zero, 1)
    assert value(down) < value(zero) < value(up)
    assert ((down > 0) == (P < Q)).all()  # sure of "real" where made points prevail
    assert ((up > 0) == (P > Q)).all()


@pytest.mark.erratum("E1")
def test_a_generator_that_maximises_its_term_goes_where_it_is_caught():
    logits = (P / Q).log()

    def term(weights):
        """E log(1 - D) over what the generator makes of the four points."""
        return -(weights.softmax(0) * softplus(logits)).sum()

    start = torch.zeros(4).double()
    chances = {s: moved(term, start, s, 4000).softmax(0) @ logits.sigmoid() for s in (1, -1)}
    assert chances[1] < start.softmax(0) @ logits.sigmoid() < chances[-1]


@pytest.mark.erratum("E12")
def test_the_answers_of_a_discriminator_are_no_sample_of_the_data():
    """The data lie between 3 and 4; no probability does."""
    torch.manual_seed(0)
    gan = GAN.mlp(dims=1, hidden=(8,))
    x = 3 + torch.rand(500, 1)
    answers = gan.discriminator(x).sigmoid()
    assert ((answers > 0) & (answers < 1)).all()
    assert answers.shape == (500,)  # one number a point, however many coordinates a point has
    assert not ((answers > 3) & (answers < 4)).any()


@pytest.mark.erratum("E15")
def test_minus_log_d_makes_it_likelier_to_be_taken_for_real():
    logits = torch.linspace(-4, 4, 9)
    for loss in (losses.non_saturating_generator_loss, losses.saturating_generator_loss):
        downhill = -torch.func.grad(loss)(logits)
        assert (downhill > 0).all()
    # What the source says in words, minimise the probability, goes the other way.
    assert (-torch.func.grad(lambda a: a.sigmoid().mean())(logits) < 0).all()


@pytest.mark.erratum("E20")
def test_a_discriminator_that_wants_to_be_wrong_about_fakes_says_real_to_all():
    """All sixteen ways to call four points real or made, by their correct rates."""
    p, q = P.numpy(), Q.numpy()
    calls = [np.array(call) for call in product([False, True], repeat=4)]

    def as_the_source_has_it(real):
        return p[real].sum() - q[~real].sum()

    def both_rates(real):
        return p[real].sum() + q[~real].sum()

    assert max(calls, key=as_the_source_has_it).all()  # p and q play no part in that
    np.testing.assert_array_equal(max(calls, key=both_rates), p > q)


class Line(nn.Module):
    """A discriminator with the logit w₀ + w₁x."""

    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([0.0, 0.1]))

    def forward(self, x):
        return self.w[0] + self.w[1] * x[:, 0]


class Shift(nn.Module):
    """A generator that adds a number to the noise."""

    def __init__(self):
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1))

    def forward(self, z):
        return self.shift + z


class Around:
    """Points around a place, with standard deviation 1."""

    def __init__(self, mean):
        self.mean = mean

    def sample(self, n, generator=None):
        return self.mean + torch.randn(n, 1, generator=generator)


def generator_after(mean, in_turns):
    """Where the generator stands: trained before the discriminator, or in turns with it."""
    gan, stream = GAN(Shift(), Line(), 1), data.Draws(Around(mean), 64)
    players = [
        Objective(
            "discriminator",
            gan.discriminator_loss,
            torch.optim.SGD(gan.discriminator.parameters(), 0.1),
        ),
        Objective(
            "generator", gan.generator_loss, torch.optim.SGD(gan.generator.parameters(), 0.1)
        ),
    ]
    for objectives in [players] if in_turns else [players[1:], players[:1]]:
        fit(gan.players, objectives, stream, 150, device="cpu")
    return gan.generator.shift.item()


@pytest.mark.erratum("E21")
def test_a_generator_that_is_trained_first_never_hears_of_the_data():
    assert generator_after(2.0, in_turns=False) == generator_after(-2.0, in_turns=False)
    assert generator_after(2.0, in_turns=True) > 1 > -1 > generator_after(-2.0, in_turns=True)


def broken_loss(on_made, on_real):
    """The source's one loss, of the logits for made points and for what it calls real."""
    return (softplus(-on_made) + softplus(-on_real) + softplus(on_real)).mean()


@pytest.mark.erratum("E11")
def test_two_answers_for_one_batch_leave_the_discriminator_undecided():
    """Whatever the batch: the two terms are least at D = 1/2, and their least is 2 log 2."""
    logits = torch.linspace(-6, 6, 1201)
    terms = softplus(-logits) + softplus(logits)
    assert logits[terms.argmin()].abs() < 1e-5
    assert terms.min().item() == pytest.approx(2 * math.log(2))
    right = softplus(-logits[:, None]) + softplus(logits)  # two batches: as small as you like
    assert right.min() < 0.01


@pytest.mark.erratum("E11")
def test_one_optimiser_makes_the_discriminator_help_the_generator():
    on_made = torch.tensor([0.3, -1.0])
    helps = torch.func.grad(broken_loss)(on_made, torch.zeros(2))
    judges = torch.func.grad(losses.cross_entropy_discriminator_loss, 1)(torch.zeros(2), on_made)
    assert (helps < 0).all()  # a step down raises the logit of made points
    assert (judges > 0).all()


@pytest.mark.erratum("E11")
def test_the_broken_program_settles_at_the_value_of_a_tie_with_every_fake_called_real():
    torch.manual_seed(0)
    gan = GAN.mlp(latent_dim=2, hidden=(16,))
    adam = torch.optim.Adam(gan.parameters(), 1e-2)
    for _ in range(300):
        made, noise = gan.generator(gan.noise(64)), torch.randn(64, 2)
        loss = broken_loss(gan.discriminator(made), gan.discriminator(noise))
        adam.zero_grad()
        loss.backward()
        adam.step()
    assert loss.item() == pytest.approx(2 * math.log(2), abs=0.03)
    assert gan.discriminator(made).sigmoid().min() > 0.9
