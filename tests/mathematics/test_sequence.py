"""The equations of chapter 11, each against something independent of its derivation."""

import math
from itertools import permutations, product

import pytest
import torch
from scipy import stats
from torch import nn

from genlearn.distributions import CategoricalPixels
from genlearn.models import pixel_lstm
from genlearn.nets import lstm_step

DOUBLE = {"dtype": torch.float64}


@pytest.fixture
def model():
    """An LSTM over 2x2 images of three levels, with weights large enough to matter."""
    torch.manual_seed(0)
    model = pixel_lstm((1, 2, 2), 3, hidden=6, layers=2, position=3, head=5).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter))
    return model


@pytest.fixture
def images():
    """All 81 of them, in the order of counting."""
    return torch.tensor(list(product(range(3), repeat=4)), dtype=torch.uint8).view(-1, 1, 2, 2)


@pytest.fixture
def tables():
    """Two distributions over four pixels of three levels: the data, and a model."""
    torch.manual_seed(0)
    tables = torch.rand(2, 3, 3, 3, 3, **DOUBLE).pow(2)
    return tables / tables.flatten(1).sum(1).view(2, 1, 1, 1, 1)


def marginal(table, places):
    """The distribution of some axes of a table, kept in its shape."""
    others = [axis for axis in range(table.ndim) if axis not in places]
    return table.sum(others, keepdim=True) if others else table


@pytest.mark.equation("eq-sequence-chain")
def test_conditionals_of_the_library_are_ratios_of_its_joint_probabilities(model, images):
    """p(x_i | x_<i) from a table of all images, without any of the network's order."""
    with torch.no_grad():
        table = model.log_prob(images).exp().view(3, 3, 3, 3)
        conditionals = model.conditionals(images).probs.view(3, 3, 3, 3, 4, 3)
    assert table.sum().item() == pytest.approx(1)
    for i in range(4):
        ratio = marginal(table, range(i + 1)) / marginal(table, range(i))
        expected = ratio.expand(3, 3, 3, 3)
        by_network = conditionals[..., i, :].gather(
            -1, images.view(3, 3, 3, 3, 4)[..., i : i + 1].long()
        )
        torch.testing.assert_close(by_network[..., 0], expected)


@pytest.mark.equation("eq-sequence-order")
def test_every_order_gives_the_same_product(tables):
    table = tables[0]
    for order in permutations(range(4)):
        factors = [marginal(table, order[: i + 1]) / marginal(table, order[:i]) for i in range(4)]
        torch.testing.assert_close(math.prod(factors), table)


@pytest.mark.equation("eq-sequence-raster")
def test_the_library_numbers_values_row_by_row_with_channels_innermost():
    """Value i depends on those of smaller number alone; the number is that of the formula."""
    torch.manual_seed(0)
    channels, height, width = 2, 2, 3
    model = pixel_lstm((channels, height, width), 3, hidden=5).double().eval()
    x = torch.randint(0, 3, (1, channels, height, width), dtype=torch.uint8)

    def number(c, r, s):
        return (r * width + s) * channels + c + 1

    places = list(product(range(channels), range(height), range(width)))
    assert sorted(number(*place) for place in places) == list(range(1, 13))
    with torch.no_grad():
        before = model.parameters_of(x)
        for place in places:
            changed = x.clone()
            changed[0][place] = (changed[0][place] + 1) % 3
            moved = (model.parameters_of(changed) != before)[0].any(-1)
            for other in places:
                assert moved[other].item() == (number(*other) > number(*place))


@pytest.mark.equation("eq-sequence-log")
def test_log_prob_is_the_sum_of_teacher_forced_steps(model, images):
    """Each conditional from an image whose later pixels were never filled in."""
    x, total = images[::7], 0.0
    with torch.no_grad():
        for place in range(4):
            past = x.flatten(1).clone()
            past[:, place:] = 0
            probs = model.conditionals(past.view_as(x)).probs.flatten(1, 3)[:, place]
            total = total + probs.gather(1, x.flatten(1)[:, place, None].long())[:, 0].log()
        torch.testing.assert_close(model.log_prob(x), total)


@pytest.mark.equation("eq-sequence-kl")
def test_the_divergence_is_a_sum_over_pixels(tables):
    data, model = tables
    total = 0.0
    for i in range(4):
        of_data = marginal(data, range(i + 1)).flatten(i)  # (3, …, 3), the last axis is x_i
        of_model = marginal(model, range(i + 1)).flatten(i)
        past = of_data.sum(-1)
        each = stats.entropy(of_data.numpy(), of_model.numpy(), axis=-1)  # SciPy normalises
        total += (past * torch.as_tensor(each)).sum().item()
    assert total == pytest.approx(stats.entropy(data.flatten(), model.flatten()))


@pytest.mark.equation("eq-sequence-product", "eq-sequence-vanish")
def test_the_derivative_of_a_plain_state_is_a_product_and_bounded():
    """PyTorch's own recurrent layer, differentiated by autograd."""
    torch.manual_seed(0)
    rnn = nn.RNN(3, 5).double()
    x, h = torch.randn(9, 3, **DOUBLE), torch.randn(1, 5, **DOUBLE)
    recurrent = rnn.weight_hh_l0.detach()
    largest = torch.linalg.matrix_norm(recurrent, 2)
    for n in [1, 4, 9]:
        jacobian = torch.autograd.functional.jacobian(lambda h, n=n: rnn(x[:n], h)[1], h)[0, :, 0]
        states = rnn(x[:n], h)[0].detach()
        expected = torch.eye(5, **DOUBLE)
        for state in states:
            expected = torch.diag(1 - state**2) @ recurrent @ expected
        torch.testing.assert_close(jacobian, expected)
        assert torch.linalg.matrix_norm(jacobian, 2) <= largest**n


@pytest.mark.equation("eq-sequence-gated")
def test_with_gates_held_fixed_the_memory_passes_the_product_of_its_keep_gates():
    """The library's step over eight inputs; what the state adds to the gates is held fixed."""
    torch.manual_seed(0)
    gates, h = torch.randn(8, 1, 20, **DOUBLE), torch.randn(1, 5, **DOUBLE)

    def last_memory(memory):
        state = (h, memory)
        for from_input in gates:
            state = lstm_step(from_input, torch.zeros(1, 20, **DOUBLE), state)
        return state[1]

    jacobian = torch.autograd.functional.jacobian(last_memory, torch.randn(1, 5, **DOUBLE))
    kept = 1 / (1 + (-gates[:, 0, 5:10]).exp())
    torch.testing.assert_close(jacobian[0, :, 0], torch.diag(kept.prod(0)))


@pytest.mark.equation("eq-sequence-state", "eq-sequence-lstm", "alg-sequence")
def test_the_library_is_the_algorithm_written_out():
    """Steps by hand over labelled colour images, from the weights of the library."""
    torch.manual_seed(0)
    shape, levels = (3, 2, 2), 4
    model = pixel_lstm(shape, levels, hidden=5, position=3, head=6, classes=2).double().eval()
    x = torch.randint(0, levels, (6, *shape), dtype=torch.uint8)
    label = torch.tensor([0, 1, 1, 0, 1, 0])
    net, known = model.network, torch.eye(3, **DOUBLE)[label]  # the last entry: not altered
    cell = nn.LSTMCell(net.rnn.input_size, 5).double()
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in net.rnn.state_dict().items()})
    sequence = x.permute(0, 2, 3, 1).flatten(1).long()  # rows, columns, then channels
    h, memory = torch.zeros(2, 6, 5, **DOUBLE)
    previous, total = torch.zeros(6, 1, **DOUBLE), 0.0
    for i, value in enumerate(sequence.T):
        u = torch.cat([previous, net.position[i].expand(6, -1), known], 1)
        h, memory = cell(u, (h, memory))
        total = total + net.head(h).log_softmax(1).gather(1, value[:, None])[:, 0]
        previous = 2 * value[:, None].double() / (levels - 1) - 1
    torch.testing.assert_close(model.log_prob(x, label), total)


@pytest.mark.equation("alg-sequence")
def test_draws_come_as_often_as_their_probability_says(model, images):
    torch.manual_seed(0)
    probabilities = model.log_prob(images).exp()
    drawn = model.sample(20_000).flatten(1).long() @ torch.tensor([27, 9, 3, 1])
    counts = drawn.bincount(minlength=81)
    likely = probabilities > 1e-3  # the test of Pearson wants no rare cases
    observed = torch.cat([counts[likely], counts[~likely].sum()[None]]).double()
    expected = torch.cat([probabilities[likely], probabilities[~likely].sum()[None]]) * 20_000
    chi_squared = ((observed - expected) ** 2 / expected).sum().item()
    assert stats.chi2.sf(chi_squared, len(expected) - 1) > 1e-4


@pytest.mark.equation("eq-sequence-tempered")
@pytest.mark.parametrize("temperature", [0.5, 1.7])
def test_tempered_steps_make_a_model_of_another_joint_distribution(tables, temperature):
    table = tables[0]
    stepwise, denominator = 1.0, 1.0
    for i in range(4):
        given = marginal(table, range(i + 1)) / marginal(table, range(i))
        raised = given ** (1 / temperature)
        total = raised.sum(i, keepdim=True)
        stepwise, denominator = stepwise * raised / total, denominator * total
    assert stepwise.sum().item() == pytest.approx(1)
    torch.testing.assert_close(stepwise, table ** (1 / temperature) / denominator)
    jointly = table ** (1 / temperature) / (table ** (1 / temperature)).sum()
    assert (stepwise - jointly).abs().max() > 1e-4


@pytest.mark.equation("eq-sequence-temperature")
def test_a_tempered_softmax_has_its_logits_divided():
    torch.manual_seed(0)
    logits = torch.randn(5, 1, 1, 1, 7, **DOUBLE)
    p = CategoricalPixels(7).distribution(logits).base_dist.probs
    q = CategoricalPixels(7).distribution(logits / 0.6).base_dist.probs
    raised = p ** (1 / 0.6)
    torch.testing.assert_close(q, raised / raised.sum(-1, keepdim=True))


@pytest.mark.equation("eq-sequence-free")
def test_inputs_drawn_without_regard_to_the_image_are_best_ignored(tables):
    """Best tables for one pixel given the pixel before, true or drawn, by direct minimisation."""
    pairs = tables[0].sum((2, 3))  # of the true first and second pixel
    of_second = pairs.sum(0)
    drawn = tables[1].sum((1, 2, 3))  # of a drawn first pixel
    torch.manual_seed(0)
    logits = torch.randn(3, 3, **DOUBLE, requires_grad=True)

    def loss():
        weights = drawn[:, None] * of_second  # a drawn input, and the pixel of another image
        return -(weights * logits.log_softmax(1)).sum()

    at_random = logits.detach().softmax(1)
    divergence = sum(drawn[k] * stats.entropy(of_second, at_random[k]) for k in range(3))
    assert loss().item() == pytest.approx(stats.entropy(of_second) + divergence.item())
    for _ in range(500):
        (slope,) = torch.autograd.grad(loss(), logits)
        logits.data -= 5 * slope
    torch.testing.assert_close(
        logits.detach().softmax(1), of_second.expand(3, 3), rtol=0, atol=1e-4
    )
    # With the true input the best table would have been another.
    assert (pairs / pairs.sum(1, keepdim=True) - of_second).abs().max() > 0.05
