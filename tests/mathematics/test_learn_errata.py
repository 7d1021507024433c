"""Errata of chapter 03: what a source says fails, and what is right holds, on the same case."""

from itertools import product

import pytest
import torch

from genlearn.data import Gaussians
from genlearn.nets import mlp


@pytest.mark.erratum("E3")
def test_a_state_that_is_computed_gives_a_probability_and_one_that_is_chosen_does_not():
    """All images of four black or white pixels, under a recurrence with three states."""
    white = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)  # p(pixel is 1 | state)
    follows = torch.tensor([[1, 2], [0, 2], [2, 0]])  # the next state, by state and pixel
    by_state = torch.stack([1 - white, white], 1)
    computed, chosen = [], []
    for image in product([0, 1], repeat=4):
        state, mass = 1, 1.0
        for pixel in image:
            mass = mass * by_state[state, pixel].item()
            state = follows[state, pixel].item()
        computed.append(mass)
        chosen.append(by_state.max(0).values[list(image)].prod().item())  # the best of all states
    assert sum(computed) == pytest.approx(1)
    assert sum(chosen) > 10  # no probability at all,
    assert max(chosen) == pytest.approx(min(chosen))  # and every image scores the same
    assert max(computed) > 2 * min(computed)


@pytest.mark.erratum("E18")
def test_a_classifier_does_not_judge_whether_a_point_follows_the_distribution():
    """Two distributions of points and labels with one and the same p(y | x)."""
    torch.manual_seed(0)
    kinds = torch.rand(5, 3).double().softmax(1)  # p(y | x), a row for each of five points
    common, rare = torch.tensor([0.96, 0.01, 0.01, 0.01, 0.01]), torch.full((5,), 0.2)
    for p_x in (common.double(), rare.double()):
        joint = p_x[:, None] * kinds
        torch.testing.assert_close(joint / joint.sum(1, keepdim=True), kinds)
    assert not torch.allclose(common, rare)


@pytest.mark.erratum("E18")
def test_a_classifier_is_certain_where_no_point_ever_falls_and_a_discriminator_is_not():
    truth, made = Gaussians(), Gaussians(modes=1, radius=0.0, std=2.0)
    far = torch.tensor([[3.2, 0.0]], dtype=torch.float64)
    squares = (far - truth.means.double()).square().sum(1)
    kind = (-squares / (2 * truth.std**2)).softmax(0)
    real = (truth.log_prob(far) - made.log_prob(far)).sigmoid()
    assert kind.max() > 0.999
    assert real < 1e-3


@pytest.mark.erratum("E18")
def test_the_answer_of_a_discriminator_moves_with_the_model_and_that_of_a_classifier_does_not():
    truth, x = Gaussians(), torch.tensor([[1.9, 0.1]], dtype=torch.float64)
    answers = []
    for std in (2.0, 0.5):
        made = Gaussians(modes=1, radius=0.0, std=std)
        answers.append((truth.log_prob(x) - made.log_prob(x)).sigmoid().item())
    assert abs(answers[0] - answers[1]) > 0.01  # p(y | x) has no second distribution in it


@pytest.mark.erratum("E30")
def test_a_network_has_no_time_no_memory_and_no_place():
    """What nerve cells have: activity that depends on the past, and a place in the tissue."""
    torch.manual_seed(0)
    network, x = mlp((4, 8, 2)).double(), torch.randn(6, 4).double()
    alone = torch.cat([network(row[None]) for row in x])
    torch.testing.assert_close(network(x), alone)  # no neighbour, no before
    backwards = torch.cat([network(row[None]) for row in x.flip(0)]).flip(0)
    torch.testing.assert_close(backwards, alone)
    order = torch.randperm(8)
    moved = mlp((4, 8, 2)).double()
    moved.load_state_dict(network.state_dict())
    with torch.no_grad():  # the same units in other places
        moved[0].weight.copy_(network[0].weight[order])
        moved[0].bias.copy_(network[0].bias[order])
        moved[2].weight.copy_(network[2].weight[:, order])
    torch.testing.assert_close(moved(x), network(x))


@pytest.mark.erratum("E30")
def test_a_layer_is_a_matrix_and_a_bend_and_without_the_bend_two_layers_are_one():
    torch.manual_seed(0)
    network, x = mlp((4, 8, 2)).double(), torch.randn(6, 4).double()
    first, bend, last = network
    u = x @ first.weight.T + first.bias
    whole = u * torch.sigmoid(u) @ last.weight.T + last.bias
    torch.testing.assert_close(network(x), whole)
    one = last.weight @ first.weight
    bias = last.weight @ first.bias + last.bias
    torch.testing.assert_close(last(first(x)), x @ one.T + bias)
    assert (bend(u) - u).abs().max() > 0.1
