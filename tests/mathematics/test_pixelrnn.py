"""The equations of chapter 12, each against something independent of its derivation."""

import math
from collections import deque
from functools import partial
from itertools import product

import pytest
import torch

from genlearn.models import diagonal_bilstm, row_lstm
from genlearn.nets.diagonal_bilstm import diagonal_bilstm_layer
from genlearn.nets.row_lstm import row_lstm_layer
from genlearn.nets.scan_layer import ScanLayer

paper_bilstm = partial(diagonal_bilstm, mended=False)


def tiny(make, shape, levels=2, layers=1, **options):
    """A small model in float64, with weights large enough that all it hears leaves a trace."""
    torch.manual_seed(0)
    size = {"features": 6, "head": 6, "layers": layers, "first_kernel": 3} | options
    model = make(shape, levels, **size).double()
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(2)
    return model


def one_layer(**options):
    """The weights of one layer of the library, 3 features, float64."""
    torch.manual_seed(0)
    return ScanLayer(3, None, 0, 1, dropout=0.0, **options).double()


def run(layer_function, layer, x):
    """Apply a layer to one image (3, H, W)."""
    context = torch.ones(1, 1, dtype=x.dtype)
    return layer_function(layer, x.unsqueeze(-1), context).squeeze(-1)


def all_images(shape, levels):
    values = list(product(range(levels), repeat=math.prod(shape)))
    return torch.tensor(values, dtype=torch.uint8).view(-1, *shape)


def places(height, width):
    return list(product(range(height), range(width)))


def heard(model, at):
    """The pixels with a gradient on the prediction at a place, as a set."""
    torch.manual_seed(1)
    inputs = torch.rand(1, *model.shape, dtype=torch.float64, requires_grad=True)
    parameters = model.network(inputs, model.condition(1))[0, 0, at[0], at[1]]
    (slope,) = torch.autograd.grad(parameters.sum(), inputs)
    return {tuple(place) for place in slope[0, 0].nonzero().tolist()}


def shortest(starts, successors):
    """Steps from any of the starts to every node, breadth first."""
    steps = dict.fromkeys(starts, 0)
    queue = deque(starts)
    while queue:
        node = queue.popleft()
        for other in successors(node):
            if other not in steps:
                steps[other] = steps[node] + 1
                queue.append(other)
    return steps


# Distances and costs


def row_successors(node, width=5, height=4):
    a, b = node
    return [(a + 1, b + e) for e in (-1, 0, 1) if a + 1 < height and 0 <= b + e < width]


def diagonal_successors(node, width=5, height=4):
    direction, a, b = node
    down, aside = (direction, a + 1, b), (direction, a, b + (1 if direction == "left" else -1))
    used_below = [("left", a + 1, b)] if direction == "right" else []  # the shift
    return [n for n in [down, aside, *used_below] if n[1] < height and 0 <= n[2] < width]


@pytest.mark.equation("eq-pixelrnn-distance")
def test_steps_of_a_message_by_breadth_first_search():
    height, width = 4, 5
    for a, b in places(height, width):
        by_row = shortest([(a, b)], row_successors)
        by_diagonal = shortest([("left", a, b), ("right", a, b)], diagonal_successors)
        for r, s in places(height, width):
            if (r, s) < (a, b):
                continue
            line = places(height, width).index((r, s)) - places(height, width).index((a, b))
            assert line == (r - a) * width + (s - b)
            if abs(s - b) <= r - a:
                assert by_row[r, s] == r - a
            assert by_diagonal["left", r, s] == (r - a) + abs(s - b)


@pytest.mark.equation("eq-pixelrnn-cost")
def test_steps_that_wait_for_each_other_by_the_longest_chain():
    """Each state is computed as soon as all that it reads is there."""
    for height, width in [(1, 1), (1, 6), (6, 1), (4, 5), (7, 7)]:
        reads = {
            "line": lambda r, s, w=width: [(r, s - 1)] if s else [(r - 1, w - 1)],
            "row": lambda r, s: [(r - 1, s - 1), (r - 1, s), (r - 1, s + 1)],
            "diagonal": lambda r, s: [(r - 1, s), (r, s - 1)],
        }
        longest = {}
        for name, of in reads.items():
            time = {}
            for place in places(height, width):
                time[place] = 1 + max((time.get(other, 0) for other in of(*place)), default=0)
            longest[name] = max(time.values())
        expected = {"line": height * width, "row": height, "diagonal": height + width - 1}
        assert longest == expected


# The layers, against loops over pixels


def gates_of(layer, direction, inputs, states):
    seen = torch.cat([*inputs, torch.ones(1, dtype=torch.float64), *states])
    i, f, o, g = (layer.weight()[direction] @ seen).chunk(4)
    return i.sigmoid(), f.sigmoid(), o.sigmoid(), g.tanh()


@pytest.mark.equation(
    "alg-pixelrnn-row", "eq-pixelrnn-row", "eq-pixelrnn-row-input", "eq-pixelrnn-residual"
)
def test_row_lstm_is_the_loop_over_pixels():
    layer = one_layer(directions=1, taps=2, kernel=3)
    x = torch.randn(3, 4, 5, dtype=torch.float64)
    zero = torch.zeros(3, dtype=torch.float64)
    h, c = {}, {}
    for r, s in places(4, 5):
        inputs = [x[:, r, s - 1] if s else zero, x[:, r, s]]
        states = [h.get((r - 1, s + e), zero) for e in (-1, 0, 1)]
        i, f, o, g = gates_of(layer, 0, inputs, states)
        c[r, s] = f * c.get((r - 1, s), zero) + i * g
        h[r, s] = o * c[r, s].tanh()
    expected = x + torch.stack(list(h.values()), 1).view(3, 4, 5)
    torch.testing.assert_close(run(row_lstm_layer, layer, x), expected)


@pytest.mark.equation("eq-pixelrnn-diagonal")
def test_diagonal_bilstm_is_the_loop_over_pixels():
    layer = one_layer(directions=2, taps=1, kernel=2)
    x = torch.randn(3, 4, 5, dtype=torch.float64)
    zero = torch.zeros(3, dtype=torch.float64)
    expected = x.clone()
    for direction, image in enumerate([x, x.flip(2)]):
        h, c = {}, {}
        for r, s in places(4, 5):
            states = [h.get((r - 1, s), zero), h.get((r, s - 1), zero)]
            i, f, o, g = gates_of(layer, direction, [image[:, r, s]], states)
            c[r, s] = f * c.get((r, s - 1), zero) + i * g
            h[r, s] = o * c[r, s].tanh()
        for r, s in places(4, 5):
            if direction == 0:
                expected[:, r, s] += h[r, s]
            elif r:
                expected[:, r, s] += h[r - 1, 4 - s]
    torch.testing.assert_close(run(diagonal_bilstm_layer, layer, x), expected)


@pytest.mark.equation("eq-pixelrnn-skew", "eq-pixelrnn-skew-flat")
def test_a_string_cut_one_shorter_is_the_skewed_image():
    for height, width in product(range(1, 6), repeat=2):
        image = torch.arange(1, height * width + 1).view(height, width)
        string = torch.cat([image, torch.zeros(height, height, dtype=torch.long)], 1).flatten()
        cut = string[: height * (height + width - 1)].view(height, height + width - 1)
        expected = torch.zeros(height, height + width - 1, dtype=torch.long)
        for r, s in places(height, width):
            expected[r, r + s] = image[r, s]
        assert (cut == expected).all()


# What is heard


def one_direction(direction):
    """A layer of Diagonal BiLSTM whose other direction is silent."""
    layer = one_layer(directions=2, taps=1, kernel=2)
    with torch.no_grad():
        for weight in (layer.input, layer.context, layer.state):
            weight[1 - direction] = 0
    return layer


def heard_through(layer, at, shape=(3, 4, 5), first=torch.clone):
    """What the addition of a layer hears at a place, through a first convolution."""
    x = torch.rand(shape, dtype=torch.float64, requires_grad=True)
    features = first(x.unsqueeze(0)).squeeze(0)
    added = (run(diagonal_bilstm_layer, layer, features) - features)[:, at[0], at[1]]
    (slope,) = torch.autograd.grad(added.sum(), x)
    return {tuple(place) for place in slope.abs().sum(0).nonzero().tolist()}


@pytest.mark.equation("eq-pixelrnn-left", "eq-pixelrnn-right", "eq-pixelrnn-union")
def test_rectangles_of_the_two_directions_by_gradient():
    left, right = one_direction(0), one_direction(1)
    for r, s in places(4, 5):
        from_left, from_right = heard_through(left, (r, s)), heard_through(right, (r, s))
        assert from_left == {(a, b) for a, b in places(4, 5) if a <= r and b <= s}
        assert from_right == {(a, b) for a, b in places(4, 5) if a <= r - 1 and b >= s}
        assert from_left | from_right == {place for place in places(4, 5) if place <= (r, s)}


@pytest.mark.equation("eq-pixelrnn-leak")
def test_unshifted_direction_hears_the_pixel_itself():
    """Unshifted, a place would use the state that the library gives to the place below it."""
    first = tiny(paper_bilstm, (1, 5, 5), features=3).network.first
    right = one_direction(1)
    for r, s in places(4, 5):
        below = heard_through(right, (r + 1, s), (1, 5, 5), first)
        leak = {place for place in below if place >= (r, s)}
        assert leak == {(r, b) for b in range(5) if s <= b <= 5 - 2}


@pytest.mark.equation("eq-pixelrnn-leak-bound")
def test_leaking_factors_sum_to_at_most_the_bound():
    """Height and width 2: of the four factors, those of the first column hear the whole image."""
    torch.manual_seed(0)
    levels = 3
    x = all_images((2, 2), levels).long()
    n = len(x)
    for sharpness in (1, 30):
        leaking = [(sharpness * torch.randn(n, levels)).double().softmax(1) for _ in range(2)]
        last = (torch.randn(levels, levels).double().softmax(1))[x[:, 0, 0]]  # given the first
        lowest = torch.randn(levels**3, levels).double().softmax(1)
        lowest = lowest[x[:, 0, 0] * 9 + x[:, 0, 1] * 3 + x[:, 1, 0]]
        honest = last.gather(1, x[:, 0, 1:]) * lowest.gather(1, x[:, 1, 1:])
        total = (
            leaking[0].gather(1, x[:, 0, :1]) * leaking[1].gather(1, x[:, 1, :1]) * honest
        ).sum()
        assert total <= levels ** (2 * (2 - 1)) + 1e-9
        assert abs(honest.sum() - levels**2) < 1e-9  # reached by those that copy: factors of one


def within(depth, at, size, reach, first):
    """The field of a Row LSTM, as eq-pixelrnn-row-field says."""
    r, s = at
    field = set()
    for a, b in places(*size):
        m = r - a
        right = s + first + (m - 1) * reach if m else s - 1
        left = s - first - (depth + m) * reach
        if m >= 0 and left <= b <= right:
            field.add((a, b))
    return field


@pytest.mark.equation("eq-pixelrnn-row-field")
@pytest.mark.parametrize(
    ("depth", "kernel", "first_kernel"), [(1, 3, 3), (1, 3, 5), (2, 3, 5), (3, 3, 3), (1, 5, 5)]
)
def test_field_of_a_row_lstm_by_gradient(depth, kernel, first_kernel):
    size = (4, 11)
    options = {"kernel": kernel, "first_kernel": first_kernel}
    model = tiny(row_lstm, (1, *size), layers=depth, **options)
    for at in [(0, 3), (1, 0), (2, 10), *[(3, s) for s in range(0, 11, 2)]]:
        assert heard(model, at) == within(depth, at, size, kernel // 2, first_kernel // 2)


@pytest.mark.equation("eq-pixelrnn-mirror")
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_columns_that_can_know_their_mirror_image(depth):
    model = tiny(row_lstm, (1, 2, 8), layers=depth, first_kernel=5)
    for s in range(8):
        can_know = 7 - 2 * s <= 2 and 2 * s - 7 <= 3 + depth
        assert ((0, 7 - s) in heard(model, (1, s))) == can_know


@pytest.mark.equation("eq-pixelrnn-missing")
@pytest.mark.parametrize("layers", [1, 2])
def test_diagonal_bilstm_of_the_paper_misses_one_pixel(layers):
    height, width, q = 3, 6, 1
    model = tiny(paper_bilstm, (1, height, width), layers=layers)
    mended = tiny(diagonal_bilstm, (1, height, width), layers=layers)
    for r, s in places(height, width):
        earlier = {place for place in places(height, width) if place < (r, s)}
        unheard = {(r - 1, width - 1)} if r >= 1 and s < width - 1 - q else set()
        assert earlier - heard(model, (r, s)) == unheard
        assert heard(model, (r, s)) <= earlier
        assert heard(mended, (r, s)) == earlier


# Probabilities


@pytest.mark.equation("eq-pixelrnn-order", "eq-pixelrnn-marginal")
@pytest.mark.parametrize("make", [row_lstm, paper_bilstm, diagonal_bilstm])
def test_factors_are_the_conditionals_of_their_product(make):
    """Marginals by summing tables over all images, not by the chain rule."""
    levels, pixels = 3, 4
    model = tiny(make, (1, 2, 2), levels)
    images = all_images((1, 2, 2), levels)
    with torch.no_grad():
        joint = model.log_prob(images).exp().view([levels] * pixels)
        factors = model.conditionals(images).probs.view([levels] * pixels + [pixels, levels])
    marginals = [joint.sum(tuple(range(k, pixels))) for k in range(pixels)] + [joint]
    assert abs(marginals[0] - 1) < 1e-12
    for k in range(pixels):
        ratio = marginals[k + 1] / marginals[k].unsqueeze(-1)
        factor = factors[..., k, :][(..., *[0] * (pixels - k), slice(None))]
        torch.testing.assert_close(factor, ratio)


@pytest.mark.equation("eq-pixelrnn-colour")
@pytest.mark.parametrize("make", [row_lstm, diagonal_bilstm])
def test_colours_of_a_pixel_are_conditionals_in_the_order_red_green_blue(make):
    model = tiny(make, (3, 1, 2))
    values = all_images((2, 3), 2)  # pixel by pixel, each red, green, blue
    images = values.permute(0, 2, 1).unsqueeze(2)
    with torch.no_grad():
        joint = model.log_prob(images).exp().view([2] * 6)
        chance = model.conditionals(images).probs.squeeze(2)  # (64, 3, 2)
    chance = chance.permute(0, 2, 1).reshape([2] * 6 + [6])
    assert abs(joint.sum() - 1) < 1e-12
    for k in range(6):
        before = joint.sum(tuple(range(k, 6)))
        one = (joint.sum(tuple(range(k + 1, 6))) if k < 5 else joint).select(k, 1)
        factor = chance[..., k][(..., *[0] * (6 - k))]
        torch.testing.assert_close(factor, one / before)


@pytest.mark.equation("eq-pixelrnn-multiscale")
def test_small_image_first_is_an_exact_likelihood():
    """With networks, over all 3x3 binary images whose corners are the small image."""
    small, large = tiny(row_lstm, (1, 2, 2)), tiny(diagonal_bilstm, (1, 3, 3), classes=16)
    x = all_images((1, 3, 3), 2)
    corners = x[:, :, ::2, ::2]
    label = (corners.flatten(1) * torch.tensor([8, 4, 2, 1])).sum(1).long()
    rest = torch.ones(1, 3, 3, dtype=torch.bool)
    rest[:, ::2, ::2] = False
    with torch.no_grad():
        log_small = small.log_prob(corners)
        of_values = large.conditionals(x, label).log_prob(x.double())
    p = (log_small + of_values[:, rest].sum(1)).exp()
    assert abs(p.sum() - 1) < 1e-12
    # and the small image has the probability that the first network gave it
    of_label = torch.zeros(16, dtype=torch.float64).index_add(0, label, p)
    torch.testing.assert_close(of_label[label], log_small.exp())


@pytest.mark.equation("eq-pixelrnn-twice")
def test_known_pixels_counted_twice_give_the_chance_that_they_are_repeated():
    """Tables at random: p(z) of two small pixels, p'(x | z) of these and of two others."""
    torch.manual_seed(0)
    small = torch.rand(4, dtype=torch.float64)
    whole = torch.rand(4, 4, 4, dtype=torch.float64)  # given z: z again, and y
    small, whole = small / small.sum(), whole / whole.sum((1, 2), keepdim=True)
    total = sum(small[z] * whole[z, z, y] for z, y in product(range(4), repeat=2))
    repeated = (small[:, None] * whole.sum(2)).diagonal().sum()
    torch.testing.assert_close(total, repeated)
    assert total < 1
