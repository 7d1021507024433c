"""The wavefront whose gradient is written by hand, against the plain one and small differences."""

import pytest
import torch
from torch import Tensor

from genlearn import nets
from genlearn.nets.row_lstm import wavefront
from genlearn.nets.scan_layer import ScanLayer
from genlearn.nets.wavefront_backward import fast_wavefront

SIZES = [(4, 5), (5, 2), (1, 4), (4, 1), (1, 1), (2, 3)]


def drawn(count: int, size, *, features=4, hidden=None, kernel=3, channels=1, batch=2):
    """Layers with large weights, an image and a context, in float64; all that has a gradient."""
    options = {"directions": 1, "taps": kernel // 2 + 1, "kernel": kernel, "dropout": 0.0}
    layers = [ScanLayer(features, hidden, 2, channels, **options).double() for _ in range(count)]
    for layer in layers:
        for parameter in layer.parameters():
            torch.nn.init.normal_(parameter, std=0.7)
    options = {"dtype": torch.float64, "requires_grad": True}
    x = torch.randn(features, *size, batch, **options)
    context = torch.randn(3, batch, **options)
    return layers, x, context, [x, context, *torch.nn.ModuleList(layers).parameters()]


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize(("hidden", "kernel", "channels"), [(None, 3, 1), (2, 5, 2), (6, 1, 1)])
def test_gradient_by_hand_is_that_of_automatic_differentiation(
    size, count, hidden, kernel, channels
):
    options = {"hidden": hidden, "kernel": kernel, "channels": channels}
    layers, x, context, leaves = drawn(count, size, **options)
    plain, fast = (run(layers, x, context) for run in (wavefront, fast_wavefront))
    torch.testing.assert_close(fast, plain, rtol=1e-12, atol=1e-12)
    direction = torch.randn_like(plain)
    expected = torch.autograd.grad(plain, leaves, direction)
    found = torch.autograd.grad(fast, leaves, direction)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("hidden", [None, 1])
def test_gradient_by_hand_is_that_of_small_differences(hidden):
    layers, x, context, leaves = drawn(2, (3, 2), features=1, hidden=hidden, batch=1)

    def run(*_: Tensor) -> Tensor:  # gradcheck moves the leaves themselves
        return fast_wavefront(layers, x, context)

    assert torch.autograd.gradcheck(run, leaves)


def test_a_graph_may_be_gone_back_through_twice():
    layers, x, context, leaves = drawn(3, (3, 4))
    out = fast_wavefront(layers, x, context).square().sum()
    once, again = (torch.autograd.grad(out, leaves, retain_graph=True) for _ in range(2))
    torch.testing.assert_close(again, once, rtol=0, atol=0)


@pytest.mark.parametrize("training", [False, True])
def test_dropout_is_that_of_the_plain_wavefront(training):
    sizes, found = nets.PixelSizes(1, 1, 1, 2), []
    for fused in (False, True):
        torch.manual_seed(0)
        network = nets.RowLSTM(sizes, 4, None, 2, 3, 3, 4, 0.5, fused).double().train(training)
        inputs = torch.randn(2, 1, 4, 3, dtype=torch.float64)
        network(inputs, torch.ones(2, 2, dtype=torch.float64)).square().sum().backward()
        found.append([parameter.grad for parameter in network.parameters()])
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-9)
