"""Diagonal BiLSTM, against a loop over single pixels; and what it may and can see."""

import pytest
import torch

from genlearn import nets
from genlearn.nets.diagonal_bilstm import diagonal_bilstm_layer, diagonals
from genlearn.nets.scan import at_tap, lstm
from genlearn.nets.scan_layer import ScanLayer

SIZES = [(4, 4), (3, 5), (5, 3), (1, 4), (4, 1)]


def drawn_layer(features=4, hidden=None, channels=1) -> ScanLayer:
    """A layer with large weights, in float64."""
    options = {"directions": 2, "taps": 1, "kernel": 2, "dropout": 0.0}
    layer = ScanLayer(features, hidden, 2, channels, **options).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return layer


def drawn_inputs(layer: ScanLayer, height: int, width: int, batch: int = 2):
    """Features (features, H, W, N) and the context of the images."""
    x = torch.randn(layer.features, height, width, batch, dtype=torch.float64)
    return x, torch.randn(3, batch, dtype=torch.float64)


def one_direction(layer: ScanLayer, which: int, x, context) -> dict:
    """States of one direction, as a loop over rows and columns: place -> hidden state."""
    height, width, batch = x.shape[1:]
    above, beside = layer.state[which].chunk(2, 1)
    zero = x.new_zeros(layer.width, batch)
    hidden, cells = {}, {}
    for row in range(height):
        for column in range(width) if which == 0 else reversed(range(width)):
            side = (row, column - 1 if which == 0 else column + 1)
            gates = layer.masked_input()[which] @ x[:, row, column]
            gates = gates + layer.context[which] @ context
            gates = gates + above @ hidden.get((row - 1, column), zero)
            gates = gates + beside @ hidden.get(side, zero)
            found = lstm(gates[None], cells.get(side, zero)[None])
            hidden[row, column], cells[row, column] = (part[0] for part in found)
    return hidden


def pixel_by_pixel(layer: ScanLayer, x, context):
    """The same layer as a loop over rows and columns."""
    left, right = (one_direction(layer, which, x, context) for which in range(2))
    out = torch.zeros_like(x)
    for row, column in left:
        said = left[row, column]
        if row:
            said = said + right[row - 1, column]
        if layer.up is not None:
            said = layer.masked_up() @ said
        out[:, row, column] = x[:, row, column] + said
    return out


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_pixel_stands_beside_the_one_above_and_the_one_on_its_left(size):
    height, width = size
    order, back, steps = diagonals(height, width, torch.device("cpu"))
    assert torch.equal(order[back], torch.arange(height * width))
    numbers = torch.arange(1, height * width + 1).view(size)
    expected = torch.zeros(2, height, width, dtype=torch.int64)
    expected[0, 1:], expected[1, :, 1:] = numbers[:-1], numbers[:, :-1]
    before, seen = numbers.new_zeros(1, 1, 0), []
    for step, pixels in zip(steps, order.split([step.pixels for step in steps]), strict=True):
        seen.append(torch.cat([at_tap(before, tap, 2, step, 1)[0] for tap in range(2)]))
        before = numbers.flatten()[pixels].view(1, 1, -1)
    assert torch.equal(torch.cat(seen, 1)[:, back].view(2, height, width), expected)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("hidden", "channels"), [(None, 1), (2, 2)])
def test_layer_is_a_loop_over_single_pixels(size, hidden, channels):
    layer = drawn_layer(hidden=hidden, channels=channels)
    x, context = drawn_inputs(layer, *size)
    found = diagonal_bilstm_layer(layer, x, context)
    expected = pixel_by_pixel(layer, x, context)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("place", [(0, 0), (2, 0), (3, 2), (3, 4), (0, 4)])
def test_layer_sees_everything_before_a_pixel_and_the_pixel_itself(place):
    layer = drawn_layer(features=1)
    x, context = drawn_inputs(layer, 4, 5, batch=1)
    x.requires_grad_()
    diagonal_bilstm_layer(layer, x, context)[0, *place, 0].backward()
    seen = x.grad.flatten().ne(0)
    assert torch.equal(seen, torch.arange(20) <= place[0] * 5 + place[1])


def seen_by_network(mended: bool, place: tuple[int, int]) -> torch.Tensor:
    """Which pixels of a 4 x 7 image move the parameters of one."""
    torch.manual_seed(0)
    network = nets.DiagonalBiLSTM(nets.PixelSizes(1, 1, 1, 1), 16, None, 3, 3, 16, 0.0, mended)
    inputs = torch.randn(8, 1, 4, 7, dtype=torch.float64, requires_grad=True)
    out = network.double()(inputs, torch.zeros(8, 1, dtype=torch.float64))
    out[:, 0, place[0], place[1], 0].sum().backward()
    return inputs.grad.abs().amax((0, 1)) > 0


@pytest.mark.parametrize("place", [(0, 1), (1, 0), (2, 3), (3, 6), (3, 0)])
def test_network_sees_everything_before(place):
    expected = torch.arange(28).view(4, 7) < place[0] * 7 + place[1]
    assert torch.equal(seen_by_network(True, place), expected)


@pytest.mark.parametrize(("place", "hidden"), [((2, 3), True), ((3, 0), True), ((3, 5), False)])
def test_the_papers_network_does_not_see_the_end_of_the_row_above(place, hidden):
    expected = torch.arange(28).view(4, 7) < place[0] * 7 + place[1]
    if hidden:  # further away than the first convolution, of 3 x 3, reaches
        expected[place[0] - 1, -1] = False
    assert torch.equal(seen_by_network(False, place), expected)


def test_a_channel_sees_itself_and_earlier_ones_of_its_pixel():
    layer = drawn_layer(features=6, hidden=3, channels=3)
    x, context = drawn_inputs(layer, 1, 1, batch=1)
    jacobian = torch.autograd.functional.jacobian(
        lambda pixel: diagonal_bilstm_layer(layer, pixel, context)[:, 0, 0, 0], x
    )[:, :, 0, 0, 0]
    groups = jacobian.unflatten(0, (3, 2)).unflatten(2, (3, 2)).abs().amax((1, 3))
    assert torch.equal(groups > 0, torch.ones(3, 3).tril().bool())


def test_input_is_added_once():
    layer = drawn_layer(hidden=2)
    torch.nn.init.zeros_(layer.up)
    x, context = drawn_inputs(layer, 3, 3)
    assert torch.equal(diagonal_bilstm_layer(layer, x, context), x)


@pytest.mark.parametrize("layers", [0, 2])
def test_network_computes_the_same_with_the_gradient_by_hand(layers):
    sizes, found = nets.PixelSizes(2, 1, 3, 2), []
    for fused in (False, True):
        torch.manual_seed(0)
        network = nets.DiagonalBiLSTM(sizes, 8, 4, layers, 3, 4, 0.0, True, fused).double()
        inputs = torch.randn(3, 2, 4, 5, dtype=torch.float64)
        parameters = network(inputs, torch.ones(3, 2, dtype=torch.float64))
        parameters.square().sum().backward()
        found.append([parameters, *[parameter.grad for parameter in network.parameters()]])
    assert found[0][0].shape == (3, 2, 4, 5, 3)
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-9)


def test_pixels_sorted_while_sampling_serve_in_training_too():
    network = nets.DiagonalBiLSTM(nets.PixelSizes(1, 1, 1, 1), 4, None, 1, 3, 4, 0.0)
    inputs, condition = torch.randn(1, 1, 6, 11), torch.zeros(1, 1)
    diagonals.cache_clear()
    with torch.inference_mode():
        network(inputs, condition)
    network(inputs, condition).sum().backward()
    assert network.first.weight.grad.abs().max() > 0
