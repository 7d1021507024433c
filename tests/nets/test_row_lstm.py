"""Row LSTM, against a loop over single pixels; and what it may and can see."""

import pytest
import torch

from genlearn import nets
from genlearn.nets.row_lstm import row_lstm_layer, wavefront
from genlearn.nets.scan import lstm
from genlearn.nets.scan_layer import ScanLayer

SIZES = [(4, 5), (5, 2), (1, 4), (4, 1)]


def drawn_layer(features=4, hidden=None, kernel=3, channels=1) -> ScanLayer:
    """A layer with large weights, in float64."""
    options = {"directions": 1, "taps": kernel // 2 + 1, "kernel": kernel, "dropout": 0.0}
    layer = ScanLayer(features, hidden, 2, channels, **options).double()
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    return layer


def drawn_inputs(layer: ScanLayer, height: int, width: int, batch: int = 2):
    """Features (features, H, W, N) and the context of the images."""
    x = torch.randn(layer.features, height, width, batch, dtype=torch.float64)
    return x, torch.randn(3, batch, dtype=torch.float64)


def pixel_by_pixel(layer: ScanLayer, x, context):
    """The same layer as a loop over rows, columns and taps."""
    height, width, batch = x.shape[1:]
    reach, features = layer.kernel // 2, layer.features
    of_input = layer.masked_input()[0].unflatten(1, (-1, features))  # (gates, taps, features)
    of_state = layer.state[0].unflatten(1, (-1, layer.width))
    zero = x.new_zeros(layer.width, batch)
    states, out = {}, torch.zeros_like(x)
    for row in range(height):
        for column in range(width):
            gates = layer.context[0] @ context
            for tap in range(layer.taps):
                seen = column - (layer.taps - 1) + tap
                if seen >= 0:
                    gates = gates + of_input[:, tap] @ x[:, row, seen]
            for tap in range(layer.kernel):
                above = states.get((row - 1, column - reach + tap), (zero, zero))[0]
                gates = gates + of_state[:, tap] @ above
            cell = states.get((row - 1, column), (zero, zero))[1]
            hidden, cell = (part[0] for part in lstm(gates[None], cell[None]))
            states[row, column] = hidden, cell
            said = hidden if layer.up is None else layer.masked_up() @ hidden
            out[:, row, column] = x[:, row, column] + said
    return out


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(("hidden", "kernel", "channels"), [(None, 3, 1), (2, 3, 2), (None, 5, 2)])
def test_layer_is_a_loop_over_single_pixels(size, hidden, kernel, channels):
    layer = drawn_layer(hidden=hidden, kernel=kernel, channels=channels)
    x, context = drawn_inputs(layer, *size)
    found, expected = row_lstm_layer(layer, x, context), pixel_by_pixel(layer, x, context)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("hidden", [None, 2])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_wavefront_is_one_layer_after_the_other(size, hidden, count):
    layers = [drawn_layer(hidden=hidden) for _ in range(count)]
    x, context = drawn_inputs(layers[0], *size)
    expected = x
    for layer in layers:
        expected = row_lstm_layer(layer, expected, context)
    found = wavefront(layers, x, context)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_layer_sees_a_triangle():
    layer = drawn_layer(features=1)
    x, context = drawn_inputs(layer, 6, 9, batch=1)
    x.requires_grad_()
    row_lstm_layer(layer, x, context)[0, 4, 4, 0].backward()
    seen = {tuple(place) for place in x.grad[0, :, :, 0].nonzero().tolist()}
    # One column more on each side for each row up; and the pixel on the left of all that is seen.
    triangle = {(4 - up, 4 + side) for up in range(5) for side in range(-up - 1, up + 1)}
    assert seen == {(row, column) for row, column in triangle if 0 <= column < 9}


def test_a_channel_sees_itself_and_earlier_ones_of_its_pixel():
    layer = drawn_layer(features=6, hidden=3, channels=3)
    x, context = drawn_inputs(layer, 2, 2, batch=1)
    jacobian = torch.autograd.functional.jacobian(
        lambda pixel: row_lstm_layer(
            layer, torch.cat([x[:, :, :1], pixel], 2), context
        )[:, 0, 1, 0],
        x[:, :, 1:],
    )[:, :, 0, 0, 0]  # fmt: skip
    groups = jacobian.unflatten(0, (3, 2)).unflatten(2, (3, 2)).abs().amax((1, 3))
    assert torch.equal(groups > 0, torch.ones(3, 3).tril().bool())


def test_input_is_added_once():
    layer = drawn_layer(hidden=2)
    torch.nn.init.zeros_(layer.up)
    x, context = drawn_inputs(layer, 3, 3)
    assert torch.equal(row_lstm_layer(layer, x, context), x)
    assert torch.equal(wavefront([layer, layer], x, context), x)


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_network_computes_the_same_with_the_gradient_by_hand(layers):
    sizes, found = nets.PixelSizes(2, 1, 3, 2), []
    for fused in (False, True):
        torch.manual_seed(0)
        network = nets.RowLSTM(sizes, 8, 4, layers, 3, 3, 4, 0.0, fused).double()
        inputs = torch.randn(3, 2, 4, 5, dtype=torch.float64)
        parameters = network(inputs, torch.ones(3, 2, dtype=torch.float64))
        parameters.square().sum().backward()
        found.append([parameters, *[parameter.grad for parameter in network.parameters()]])
    assert found[0][0].shape == (3, 2, 4, 5, 3)
    torch.testing.assert_close(found[1], found[0], rtol=1e-9, atol=1e-9)


def test_network_reads_the_condition():
    network = nets.RowLSTM(nets.PixelSizes(1, 1, 1, 2), 4, None, 2, 3, 3, 4, 0.0)
    inputs = torch.randn(1, 1, 3, 3)
    found = [network(inputs, condition.unsqueeze(0)) for condition in torch.eye(2)]
    assert (found[0] - found[1]).abs().min() > 0


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="a kernel must be odd, got 2"):
        nets.RowLSTM(nets.PixelSizes(1, 1, 1, 1), 4, None, 1, 3, 2, 4, 0.0)
