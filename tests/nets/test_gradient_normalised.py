"""A discriminator divided by its steepness: values, and gradients both ways."""

import torch
from torch import nn

from genlearn.nets import GradientNormalised


class Line(nn.Module):
    def __init__(self):
        super().__init__()
        self.slope = nn.Parameter(torch.tensor([3.0, 4.0]))

    def forward(self, x):
        return x @ self.slope


def test_of_a_linear_function_by_hand():
    x = torch.tensor([[1.0, 0.0], [-1.0, -3.0]])
    torch.testing.assert_close(GradientNormalised(Line())(x), torch.tensor([3 / 8, -15 / 20]))


def test_a_factor_changes_nothing():
    torch.manual_seed(0)
    net, x = (
        nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0)),
        torch.randn(6, 2),
    )
    before = GradientNormalised(net)(x)
    with torch.no_grad():
        for parameter in net[2].parameters():
            parameter.mul_(7)
    torch.testing.assert_close(GradientNormalised(net)(x), before)


def test_gradients_reach_the_points_and_the_parameters():
    line, x = Line(), torch.tensor([[1.0, 2.0]], requires_grad=True)
    GradientNormalised(line)(x).sum().backward()
    # f / (5 + f) with f = 11: its derivative in f is 5 / 16², times the slope
    torch.testing.assert_close(x.grad, torch.tensor([[3.0, 4.0]]) * 5 / 16**2)
    assert line.slope.grad.abs().sum() > 0


def test_values_without_gradients_too():
    with torch.no_grad():
        assert GradientNormalised(Line())(torch.tensor([[1.0, 0.0]])).item() == 3 / 8
