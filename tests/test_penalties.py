"""Penalties on a critic's gradient, on critics whose gradient is known."""

import pytest
import torch
from torch import nn

from genlearn import losses

SLOPE = torch.tensor([[0.6, 0.8], [3.0, 4.0]])  # norms 1 and 5


def bowl(x):
    """Its gradient is x itself."""
    return x.square().sum(1) / 2


def test_half_the_mean_squared_norm():
    assert losses.zero_centred_penalty(bowl, SLOPE).item() == pytest.approx((1 + 25) / 4)


def test_squared_distance_of_the_norm_from_one():
    assert losses.unit_gradient_penalty(bowl, SLOPE).item() == pytest.approx(16 / 2)


def test_one_sided_charges_only_steep_places():
    flat_and_steep = SLOPE * torch.tensor([[0.1], [1.0]])
    both = losses.unit_gradient_penalty(bowl, flat_and_steep)
    steep = losses.unit_gradient_penalty(bowl, flat_and_steep, one_sided=True)
    assert both.item() == pytest.approx((0.9**2 + 16) / 2)
    assert steep.item() == pytest.approx(16 / 2)


@pytest.mark.parametrize("penalty", [losses.zero_centred_penalty, losses.unit_gradient_penalty])
def test_a_penalty_reaches_the_parameters_and_not_the_points(penalty):
    critic = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 1), nn.Flatten(0))
    points = SLOPE.clone().requires_grad_(True)
    penalty(critic, points).backward()
    assert critic[0].weight.grad.abs().sum() > 0
    assert points.grad is None


def test_a_critic_that_is_flat_has_a_finite_gradient():
    critic = nn.Sequential(nn.Linear(2, 1), nn.Flatten(0))
    nn.init.zeros_(critic[0].weight)
    losses.unit_gradient_penalty(critic, SLOPE).backward()
    assert critic[0].weight.grad.isfinite().all()


def test_points_between_lie_where_the_share_says():
    real, fake = torch.ones(3, 1, 2, 2), torch.zeros(3, 1, 2, 2)
    between = losses.interpolates(real, fake, torch.tensor([0.0, 0.25, 1.0]))
    assert between.flatten(1).tolist() == [[0.0] * 4, [0.25] * 4, [1.0] * 4]


def test_points_between_have_a_share_each():
    between = losses.interpolates(torch.ones(500, 2), torch.zeros(500, 2))
    assert torch.equal(between[:, 0], between[:, 1])
    assert between.min() < 0.05
    assert between.max() > 0.95


def test_points_that_do_not_pair_up_are_refused():
    with pytest.raises(ValueError, match="as many generated points as real ones"):
        losses.interpolates(torch.ones(3, 2), torch.ones(4, 2))


def test_clipped_weights_lie_within_the_limit():
    layer = nn.Linear(1, 3)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[-2.0], [0.005], [2.0]]))
    losses.clip_weights(layer, 0.01)
    assert layer.weight.flatten().tolist() == pytest.approx([-0.01, 0.005, 0.01])


def test_a_limit_of_nothing_is_refused():
    with pytest.raises(ValueError, match="limit of the weights must be above 0"):
        losses.clip_weights(nn.Linear(1, 1), 0)
