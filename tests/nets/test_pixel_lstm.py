"""A recurrent network over the values of an image: its steps, its order, and what it keeps."""

import pytest
import torch
from torch import nn

from genlearn.nets import PixelLSTM, PixelSizes, gru_step, lstm_step

DOUBLE = {"dtype": torch.float64}


def network(cell="lstm", channels=1, inputs=1, **sizes) -> PixelLSTM:
    torch.manual_seed(0)
    asked = PixelSizes(channels, inputs, outputs=4, condition=2)
    sizes = {"hidden": 5, "layers": 1, "position": 3, "head": 6, "dropout": 0.0} | sizes
    return PixelLSTM(asked, (2, 3), cell=cell, **sizes).double()


@pytest.mark.parametrize(
    ("step", "cell"), [(lstm_step, nn.LSTMCell(3, 5)), (gru_step, nn.GRUCell(3, 5))]
)
def test_one_step_is_that_of_pytorch(step, cell):
    torch.manual_seed(0)
    cell.double()
    x, h, memory = torch.randn(7, 3, **DOUBLE), *torch.randn(2, 7, 5, **DOUBLE)
    from_input = x @ cell.weight_ih.T + cell.bias_ih
    from_state = h @ cell.weight_hh.T + cell.bias_hh
    ours = step(from_input, from_state, (h, memory))
    theirs = cell(x, (h, memory)) if step is lstm_step else (cell(x, h),)
    torch.testing.assert_close(ours, theirs)


def test_each_step_is_given_the_value_before_it_in_the_order_of_reading():
    """The inputs of the recurrence, caught on their way: channels innermost, one step late."""
    net, caught = network(channels=2, inputs=3), []
    net.rnn.register_forward_pre_hook(lambda module, arguments: caught.append(arguments[0]))
    values = torch.randn(4, 2 * 3, 2, 3, **DOUBLE)
    condition = torch.randn(4, 2, **DOUBLE)
    net(values, condition)
    (steps,) = caught
    assert (steps[0, :, :3] == 0).all()
    place = 0
    for row in range(2):
        for column in range(3):
            for channel in range(2):
                value = values[:, 3 * channel : 3 * channel + 3, row, column]
                if place + 1 < len(steps):
                    assert torch.equal(steps[place + 1, :, :3], value)
                assert torch.equal(steps[place, :, 3:6], net.position[place].expand(4, -1))
                assert torch.equal(steps[place, :, 6:], condition)
                place += 1
    assert len(steps) == place == 12


@pytest.mark.parametrize("cell", ["lstm", "gru"])
@pytest.mark.parametrize("layers", [1, 2])
def test_it_begins_by_keeping_most_of_its_state(cell, layers):
    rnn = network(cell, layers=layers, hidden=4).rnn
    for layer in range(layers):
        bias = getattr(rnn, f"bias_hh_l{layer}")
        assert (bias[4:8] == 1).all()
        assert (bias[:4].abs() <= 0.5).all()  # as PyTorch draws it, within 1 / sqrt(4)


def test_a_cache_begins_with_an_empty_state_every_time():
    net, condition = network(), torch.zeros(2, 2, **DOUBLE)
    images = torch.randn(2, 2, 1, 2, 3, **DOUBLE)
    first = []
    for image in images:  # the second begins after the first was read to its end
        cache = net.cache(condition, (2, 3))
        read = [cache.parameters(image, row, column, 0) for row in range(2) for column in range(3)]
        first.append(read[0])
    torch.testing.assert_close(first[0], first[1])


def test_dropout_stands_between_layers_and_in_the_head_while_training():
    net = network(layers=2, hidden=8, dropout=0.5)
    x, condition = torch.randn(3, 1, 2, 3, **DOUBLE), torch.zeros(3, 2, **DOUBLE)
    assert net.rnn.dropout == 0.5
    assert not torch.equal(net(x, condition), net(x, condition))
    net.eval()
    assert torch.equal(net(x, condition), net(x, condition))


def test_an_unknown_cell_is_refused():
    with pytest.raises(ValueError, match="a cell is lstm or gru, got 'rnn'"):
        network("rnn")


def test_images_of_another_size_are_refused():
    net, condition = network(), torch.zeros(1, 2, **DOUBLE)
    message = r"this network is for images of \(2, 3\), got \(3, 2\)"
    with pytest.raises(ValueError, match=message):
        net(torch.zeros(1, 1, 3, 2, **DOUBLE), condition)
    with pytest.raises(ValueError, match=message):
        net.cache(condition, (3, 2))
