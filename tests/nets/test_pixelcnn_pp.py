"""Shifted convolutions, streams at several sizes, and what they see."""

import pytest
import torch
import torch.nn.functional as F

from genlearn.nets import PixelCNNpp, PixelSizes
from genlearn.nets.shifted import ShiftedConv2d


def network(scales: int, layers: int = 1, features: int = 4) -> PixelCNNpp:
    """A network in float64, every weight random: its blocks begin by adding nothing."""
    torch.manual_seed(0)
    sizes = PixelSizes(channels=1, inputs=1, outputs=2, condition=1)
    made = PixelCNNpp(sizes, features, layers, scales, dropout=0.0).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_(std=0.3)
    return made


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("size", [(6, 4), (5, 7), (1, 1)], ids=str)
def test_a_shifted_convolution_is_the_usual_one_with_zeros_in_its_kernel(left, stride, size):
    layer = ShiftedConv2d(2, 3, left, stride).double()
    whole = torch.zeros(3, 2, 3, 3, dtype=torch.float64)
    whole[:, :, :2, : 2 if left else 3] = layer.weight.detach()
    x = torch.randn(2, 2, *size, dtype=torch.float64)
    expected = F.conv2d(x, whole, layer.bias, padding=1)[:, :, ::stride, ::stride]
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("size", [(8, 8), (7, 6), (1, 5), (5, 1), (2, 3)], ids=str)
@pytest.mark.parametrize("scales", [1, 2, 3, 4])
def test_images_of_any_size_at_any_number_of_scales(scales, size):
    parameters = network(scales)(torch.randn(2, 1, *size).double(), torch.zeros(2, 1).double())
    assert parameters.shape == (2, 1, *size, 2)


@pytest.mark.parametrize("scales", [1, 2, 3])
def test_each_pixel_sees_all_before_it_and_no_other(scales):
    """As deep as needed to reach everywhere: no blind spot, and nothing leaks from small maps."""
    height, width = 6, 7
    net = network(scales, layers=4 if scales == 1 else 2)
    image = torch.randn(1, 1, height, width, dtype=torch.float64, requires_grad=True)
    out = net(image, torch.zeros(1, 1, dtype=torch.float64)).sum((0, 1, 4)).flatten()
    for place in range(height * width):
        (slope,) = torch.autograd.grad(out[place], image, retain_graph=True)
        seen = slope.flatten().nonzero().flatten().tolist()
        assert seen == list(range(place))


def test_half_the_size_is_felt():
    """The short-cuts do not carry everything: without the small maps, the result is another."""
    net, x = network(2), torch.randn(1, 1, 6, 6, dtype=torch.float64)
    condition = torch.zeros(1, 1, dtype=torch.float64)
    before = net(x, condition)
    with torch.no_grad():
        for grow in net.scale.grow:
            grow.weight.zero_()
    assert (net(x, condition) - before).abs().max() > 1e-3


def test_an_untrained_block_hands_its_input_through():
    sizes = PixelSizes(channels=1, inputs=1, outputs=2, condition=1)
    block = PixelCNNpp(sizes, 4, 1, 1, dropout=0.0).scale.down[0]
    above, before = torch.randn(2, 3, 4, 5, 5)
    found = block(above, before, torch.ones(3, 1))
    assert torch.equal(found[0], above)
    assert torch.equal(found[1], before)
