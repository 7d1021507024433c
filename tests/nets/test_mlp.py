"""An MLP is what its formula says."""

import numpy as np
import pytest
import torch
from scipy.special import expit
from torch import nn

from genlearn.nets import mlp


def test_an_mlp_equals_its_formula():
    """W₃ silu(W₂ silu(W₁ x + b₁) + b₂) + b₃, with nothing after the last layer."""
    torch.manual_seed(0)
    net = mlp((3, 5, 4, 2))
    x = torch.randn(7, 3)
    h = x.numpy()
    weights = [p.detach().numpy() for p in net.parameters()]
    for i, (w, b) in enumerate(zip(weights[::2], weights[1::2], strict=True)):
        h = h * expit(h) if i else h
        h = h @ w.T + b
    np.testing.assert_allclose(net(x).detach(), h, atol=1e-6)


def test_two_sizes_are_a_linear_layer():
    assert [type(layer) for layer in mlp((3, 2), dropout=0.5)] == [nn.Linear]


def test_dropout_acts_on_hidden_values_while_training_alone():
    """With identity weights and large inputs silu is the identity: the share can be counted."""
    net = mlp((1000, 1000, 1000), dropout=0.3)
    with torch.no_grad():
        for layer in net:
            if isinstance(layer, nn.Linear):
                layer.weight.copy_(torch.eye(1000))
                layer.bias.zero_()
    x = torch.full((20, 1000), 50.0)
    torch.manual_seed(0)
    out = net(x)
    assert (out == 0).float().mean().item() == pytest.approx(0.3, abs=0.02)  # five deviations
    torch.testing.assert_close(out[out != 0], torch.full_like(out[out != 0], 50 / 0.7))
    torch.testing.assert_close(net.eval()(x), x)


@pytest.mark.parametrize("sizes", [(), (3,)])
def test_too_few_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="input and an output"):
        mlp(sizes)
