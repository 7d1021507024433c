"""Errata of chapter 09: what a source says fails, and what is right holds, on the same case."""

import numpy as np
import pytest
import torch

PSI = np.linspace(-50, 50, 100_001)  # slopes of the logit ψx of a Dirac-GAN


def best_slope(theta, penalty):
    """The slope that a discriminator prefers: real point at 0, generated one at theta."""
    value = np.log(0.5) - np.logaddexp(0, PSI * theta)
    return PSI[(value + penalty(PSI)).argmax()]


@pytest.mark.erratum("E10")
@pytest.mark.parametrize("theta", [0.5, -1.0])
def test_a_penalty_inside_the_value_rewards_a_discriminator_for_being_steep(theta):
    rewarded = best_slope(theta, lambda psi: 0.3 * abs(psi))
    charged = best_slope(theta, lambda psi: -0.3 / 2 * psi**2)
    assert abs(rewarded) > 49.9  # as far as the search goes
    assert 0.1 < abs(charged) < 2
    assert charged * theta < 0  # the logit falls from the real point to the generated one


@pytest.mark.erratum("E10")
@pytest.mark.parametrize("theta", [0.5, -0.1, 0.01])
def test_an_unsquared_norm_leaves_no_direction_near_the_goal(theta):
    assert abs(best_slope(theta, lambda psi: -0.3 * abs(psi))) < 1e-9
    assert abs(best_slope(theta, lambda psi: -0.3 / 2 * psi**2)) > 1e-3


@pytest.mark.erratum("E10")
def test_the_slope_of_a_probability_does_not_show_how_steep_a_sure_discriminator_is():
    points = torch.linspace(2, 3, 50, requires_grad=True)
    logit = 10 * points
    (of_probability,) = torch.autograd.grad(logit.sigmoid().sum(), points, retain_graph=True)
    (of_logit,) = torch.autograd.grad(logit.sum(), points)
    assert of_probability.square().mean() < 1e-12
    assert of_logit.square().mean() == 100


@pytest.mark.erratum("E10")
def test_a_penalty_at_real_points_is_no_business_of_the_generator():
    torch.manual_seed(0)
    generator, critic = torch.nn.Linear(2, 2), torch.nn.Linear(2, 1)
    real = torch.randn(8, 2, requires_grad=True)
    (slope,) = torch.autograd.grad(critic(real).sum(), real, create_graph=True)
    parameters = [*generator.parameters(), *critic.parameters()]
    gradients = torch.autograd.grad(slope.square().sum(), parameters, allow_unused=True)
    assert [g is None or not g.any() for g in gradients] == [True, True, False, True]
