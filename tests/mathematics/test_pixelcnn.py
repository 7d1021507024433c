"""The equations of chapter 13, each against something independent of its derivation."""

import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import special, stats
from torch import nn

from genlearn import models, nets
from genlearn.distributions import ColourChain, DiscretisedLogisticMixture, LogisticPixels

PLACE, SIZE = (5, 4), (8, 10)


def jacobian(function, shape):
    """Slope of every output with respect to every input, (outputs, inputs), reading order."""
    x = torch.rand(1, *shape, dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(function, x)  # (1, C, H, W, …, 1, C, H, W)
    slope = slope.flatten(0, -5).view(-1, *shape)
    return slope.permute(0, 2, 3, 1).flatten(1)


def outputs_of(model):
    """What a pixel model predicts, one number a value, in reading order: (1, C, H, W) to (n,)."""
    torch.manual_seed(1)
    model.double().eval()

    def function(x):
        parameters = model.network(x, model.condition(len(x)))  # (1, C, H, W, P)
        return parameters.sum(-1).movedim(1, -1).flatten()

    return function


def positive(network):
    """All weights alike and positive, so that influences cannot cancel."""
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)
    return network.double()


def seen(function):
    """Pixels (d, e), rows up and columns to the right, that the output at PLACE depends on."""
    x = torch.zeros(1, 1, *SIZE, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(function(x)[0, :, *PLACE].sum(), x)
    return {(PLACE[0] - r, c - PLACE[1]) for r, c in slope[0, 0].nonzero().tolist()}


def all_places():
    return {(PLACE[0] - r, c - PLACE[1]) for r in range(SIZE[0]) for c in range(SIZE[1])}


def one_stack(layers, reach):
    kinds = "A" + "B" * (layers - 1)
    return positive(nn.Sequential(*(nets.MaskedConv2d(1, 1, 2 * reach + 1, k) for k in kinds)))


# One stack


@pytest.mark.equation("eq-pixelcnn-mask")
@pytest.mark.parametrize("kind", "AB")
def test_a_masked_convolution_written_out(kind):
    torch.manual_seed(0)
    layer, x = nets.MaskedConv2d(2, 3, 5, kind).double(), torch.randn(2, 6, 7).double()
    expected = layer.bias[:, None, None].repeat(1, 6, 7)
    for r, c, a, b in itertools.product(range(6), range(7), range(-2, 3), range(-2, 3)):
        looks = a < 0 or (a == 0 and b < 0) or (kind == "B" and a == b == 0)
        if looks and 0 <= r + a < 6 and 0 <= c + b < 7:
            expected[:, r, c] += layer.weight[:, :, a + 2, b + 2] @ x[:, r + a, c + b]
    torch.testing.assert_close(layer(x[None])[0], expected)


@pytest.mark.equation("eq-pixelcnn-causal")
@pytest.mark.parametrize("kinds", ["A", "AB", "ABBB"])
def test_one_mask_a_and_then_b_is_causal(kinds):
    torch.manual_seed(0)
    layers = []
    for i, kind in enumerate(kinds):
        layers += [nets.MaskedConv2d(4 if i else 1, 4, (3, 5)[i % 2], kind), nn.Tanh()]
    network = nn.Sequential(*layers).double()
    slope = jacobian(lambda x: network(x).sum(1).flatten(), (1, 4, 5))
    assert (slope.triu() == 0).all()
    assert (slope.diagonal(-1)[slope.diagonal(-1) != 0]).numel() >= 16  # all but row ends


@pytest.mark.equation("eq-pixelcnn-causal")
def test_mask_b_alone_lets_a_pixel_see_itself():
    torch.manual_seed(0)
    network = nn.Sequential(nets.MaskedConv2d(1, 4, 3, "B"), nets.MaskedConv2d(4, 1, 3, "B"))
    slope = jacobian(lambda x: network.double()(x).flatten(), (1, 4, 5))
    assert (slope.diagonal() != 0).all()
    assert (slope.triu(1) == 0).all()


@pytest.mark.equation("eq-pixelcnn-seen")
@pytest.mark.parametrize(("layers", "reach"), [(1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (2, 2)])
def test_the_field_of_one_stack(layers, reach):
    far = reach * layers
    expected = {
        (d, e)
        for d, e in all_places()
        if (d == 0 and -far <= e <= -1) or (1 <= d <= far and -far <= e <= reach * min(d, layers))
    }
    assert seen(one_stack(layers, reach)) == expected


@pytest.mark.equation("eq-pixelcnn-blind")
@pytest.mark.parametrize("reach", [1, 2])
def test_no_depth_reaches_the_blind_spot(reach):
    field = seen(one_stack(20, reach))  # further than the image is wide
    earlier = {(d, e) for d, e in all_places() if d > 0 or (d == 0 and e < 0)}
    assert earlier - field == {(d, e) for d, e in earlier if d >= 1 and e > reach * d}


@pytest.mark.equation("eq-pixelcnn-blind")
def test_the_library_has_the_blind_spot_in_one_stack_and_not_in_two():
    torch.manual_seed(0)
    sizes = {"features": 8, "layers": 8, "first_kernel": 3, "head": 32}
    shape = (1, 4, 6)
    one = jacobian(outputs_of(models.pixel_cnn(shape, 2, **sizes)), shape) != 0
    two = jacobian(outputs_of(models.gated_pixel_cnn(shape, 2, **sizes)), shape) != 0
    ranks = list(itertools.product(range(4), range(6)))
    for i, (r, c) in enumerate(ranks):
        for j, (s, t) in enumerate(ranks):
            assert two[i, j] == (j < i)
            assert not one[i, j] or (j < i and (r == s or t - c <= r - s))


# Two stacks


@pytest.mark.equation("eq-pixelcnn-shift", "eq-pixelcnn-gate")
@pytest.mark.parametrize("first", [True, False])
def test_a_gated_layer_written_out(first):
    torch.manual_seed(0)
    sizes = {"features": 3, "layers": 3, "first_kernel": 3, "head": 3}
    network = models.gated_pixel_cnn((1, 4, 5), 2, **sizes).network.double()
    layer = network.layers[0 if first else 1]
    v, h = torch.randn(2, 1 if first else 3, 4, 5, dtype=torch.float64)
    above = layer.vertical.bias[:, None, None].repeat(1, 4, 5)
    along = layer.horizontal.bias[:, None, None].repeat(1, 4, 5)
    for r, c, b in itertools.product(range(4), range(5), (-1, 0, 1)):
        for a in (-1, 0):
            if r + a >= 0 and 0 <= c + b < 5:
                above[:, r, c] += layer.vertical.weight[:, :, a + 1, b + 1] @ v[:, r + a, c + b]
        if b < (0 if first else 1) and c + b >= 0:
            along[:, r, c] += layer.horizontal.weight[:, :, 0, b + 1] @ h[:, r, c + b]
    junction, out = layer.junction.weight[..., 0, 0], layer.out.weight[..., 0, 0]
    along += torch.einsum("oi,irc->orc", junction, above)

    def gated(x):
        return torch.tanh(x[:3]) / (1 + torch.exp(-x[3:]))

    found = torch.einsum("oi,irc->orc", out, gated(along)) + layer.out.bias[:, None, None]
    condition = torch.zeros(1, 1, dtype=torch.float64)
    new_v, new_h, _ = layer(v[None], h[None], condition)
    torch.testing.assert_close(new_v[0], gated(above))
    torch.testing.assert_close(new_h[0], found if first else h + found)


@pytest.mark.equation("eq-pixelcnn-vertical", "eq-pixelcnn-union")
@pytest.mark.parametrize(("layers", "reach"), [(1, 1), (2, 1), (3, 1), (1, 2), (2, 2)])
def test_the_fields_of_two_stacks(layers, reach):
    kernel, far = 2 * reach + 1, reach * layers
    sizes = {"first_kernel": kernel, "kernel": kernel, "features": 2, "head": 2}
    model = models.gated_pixel_cnn((1, *SIZE), 2, layers=layers + 1, **sizes)
    network = positive(model.network)

    def stacks(x):
        v, h = F.pad(x, (0, 0, 1, -1)), x
        for layer in network.layers[:layers]:
            v, h, _ = layer(v, h, torch.zeros(1, 1, dtype=torch.float64))
        return v, h

    rectangle = {(d, e) for d, e in all_places() if 1 <= d <= far + 1 and abs(e) <= far}
    strip = {(d, e) for d, e in all_places() if d == 0 and -far <= e <= -1}
    assert seen(lambda x: stacks(x)[0]) == rectangle
    assert seen(lambda x: stacks(x)[1]) == rectangle | strip


# A world in which the blind spot is everything


def conditional_entropy(p, images, pixel, given):
    """H(pixel | given pixels), nats, from the probabilities of all images."""

    def entropy(columns):
        key = (images[:, columns] * 2 ** np.arange(len(columns))).sum(1)
        sums = np.bincount(key, weights=p, minlength=1)
        return special.entr(sums).sum()

    return entropy([*given, pixel]) - entropy(given)


def chain_world(height, width, epsilon):
    """All images and their probabilities; eq-pixelcnn-chains."""
    images = np.array(list(itertools.product([0, 1], repeat=height * width)))
    square = images.reshape(-1, height, width)
    error = square[:, 1:, :-3] ^ square[:, :-1, 3:]
    copied = error[0].size
    p = 0.5 ** (height * width - copied) * np.where(error, epsilon, 1 - epsilon).prod((1, 2))
    return images, p, copied


@pytest.mark.equation("eq-pixelcnn-chains", "eq-pixelcnn-coin", "eq-pixelcnn-floor")
def test_in_a_world_of_chains_one_stack_throws_coins():
    height, width, epsilon = 3, 5, 0.1
    images, p, copied = chain_world(height, width, epsilon)
    assert abs(p.sum() - 1) < 1e-12
    h = -epsilon * math.log(epsilon) - (1 - epsilon) * math.log(1 - epsilon)
    whole = special.entr(p).sum()
    assert abs(whole - copied * h - (height * width - copied) * math.log(2)) < 1e-9
    for i in range(height * width):
        r, c = divmod(i, width)
        for reach in (1, 2):
            field = [
                j for j in range(i) if j // width == r or j % width - c <= reach * (r - j // width)
            ]
            assert abs(conditional_entropy(p, images, i, field) - math.log(2)) < 1e-9
        is_copy = r >= 1 and c < width - 3
        expected = h if is_copy else math.log(2)
        assert abs(conditional_entropy(p, images, i, list(range(i))) - expected) < 1e-9


# Labels and colours


@pytest.mark.equation("eq-pixelcnn-condition")
def test_a_label_is_a_bias_of_values_and_switches():
    torch.manual_seed(0)
    sizes = {"features": 4, "layers": 3, "first_kernel": 3, "head": 4}
    model = models.gated_pixel_cnn((1, 3, 3), 2, classes=3, **sizes).double()
    x = torch.randint(2, (5, 1, 3, 3), dtype=torch.uint8)
    labelled = model.log_prob(x, torch.full((5,), 2))
    with torch.no_grad():
        for layer in model.network.layers:
            column = layer.condition.weight[:, 2]
            layer.vertical.bias += column[:8]
            layer.horizontal.bias += column[8:]
            layer.condition.weight.zero_()
    torch.testing.assert_close(model.log_prob(x, torch.zeros(5, dtype=torch.long)), labelled)


@pytest.mark.equation("eq-pixelcnn-bayes")
def test_bayes_rule_from_likelihoods():
    torch.manual_seed(0)
    sizes = {"features": 4, "layers": 2, "first_kernel": 3, "head": 4}
    model = models.gated_pixel_cnn((1, 2, 2), 2, classes=3, **sizes).double()
    images = torch.tensor(list(itertools.product([0, 1], repeat=4)), dtype=torch.uint8)
    images = images.view(16, 1, 2, 2)
    with torch.no_grad():
        likelihood = torch.stack(
            [model.log_prob(images, torch.full((16,), y)).exp() for y in range(3)]
        )
    prior = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    joint = prior[:, None] * likelihood
    assert abs(joint.sum() - 1) < 1e-12
    torch.testing.assert_close(joint.sum(1), prior)
    posterior = joint / joint.sum(0)
    torch.testing.assert_close(posterior.sum(0), torch.ones(16, dtype=torch.float64))
    torch.testing.assert_close(posterior * (prior @ likelihood), joint)


@pytest.mark.equation("eq-pixelcnn-colour", "eq-pixelcnn-channels")
@pytest.mark.parametrize("make", [models.pixel_cnn, models.gated_pixel_cnn])
def test_red_then_green_then_blue(make):
    torch.manual_seed(0)
    model = make((3, 2, 2), 3, features=12, layers=3, first_kernel=3, head=24)
    slope = jacobian(outputs_of(model), (3, 2, 2))
    assert (slope.triu() == 0).all()
    assert (slope[torch.ones(12, 12).tril(-1).bool()] != 0).all()


# Likelihoods


@pytest.mark.equation("eq-pixelcnn-logistic", "eq-pixelcnn-telescope")
@pytest.mark.parametrize("levels", [2, 5, 17, 256])
def test_a_mixture_of_logistics_has_the_mass_of_its_cumulative_function_and_sums_to_one(levels):
    torch.manual_seed(0)
    logits, means, log_scales = torch.randn(3, 20, 4, dtype=torch.float64)
    mixture = DiscretisedLogisticMixture(logits, 2 * means, log_scales - 1, levels)
    level = torch.arange(float(levels), dtype=torch.float64)
    mass = mixture.log_prob(level[:, None]).exp()
    border = (2 * np.arange(levels - 1) + 1) / (levels - 1) - 1
    border = np.concatenate([[-np.inf], border, [np.inf]])
    scale = np.exp(log_scales.numpy() - 1)
    below = stats.logistic.cdf(border[:, None, None], 2 * means.numpy(), scale)
    expected = (special.softmax(logits.numpy(), 1) * np.diff(below, axis=0)).sum(2)
    np.testing.assert_allclose(mass, expected, atol=1e-12)
    np.testing.assert_allclose(mass.sum(0), 1, atol=1e-12)


@pytest.fixture
def colour_mixture():
    """Weights (J,), and P_j(r), P_j(g | r), P_j(b | r, g) for four levels; all numbers."""
    rng = np.random.default_rng(0)
    levels, components = 4, 3
    numbers = rng.normal(size=(10, components))  # in the order of the library's ColourChain
    pi, centre, scale = special.softmax(numbers[0]), numbers[1:4], np.exp(numbers[4:7])
    alpha, beta, gamma = np.tanh(numbers[7:])
    border = (2 * np.arange(levels - 1) + 1) / (levels - 1) - 1
    border = np.concatenate([[-np.inf], border, [np.inf]])[:, None]
    scaled = np.linspace(-1, 1, levels)

    def mass(channel, shift):
        below = stats.logistic.cdf(border, centre[channel] + shift, scale[channel])
        return np.diff(below, axis=0)  # (levels, J)

    red = mass(0, 0)
    green = np.array([mass(1, alpha * r) for r in scaled])
    blue = np.array([[mass(2, beta * r + gamma * g) for g in scaled] for r in scaled])
    return pi, red, green, blue, numbers.ravel()


@pytest.mark.equation("eq-pixelcnn-joint", "eq-pixelcnn-posterior")
def test_posterior_weights_make_a_chain_of_the_joint(colour_mixture):
    pi, red, green, blue, _ = colour_mixture
    joint = np.einsum("j,rj,rgj,rgbj->rgb", pi, red, green, blue)
    assert abs(joint.sum() - 1) < 1e-12
    of_red = joint.sum((1, 2))
    green_given = joint.sum(2) / of_red[:, None]
    blue_given = joint / joint.sum(2, keepdims=True)

    w = pi * red / (pi * red).sum(1, keepdims=True)
    np.testing.assert_allclose(np.einsum("rj,rgj->rg", w, green), green_given, atol=1e-12)
    w = w[:, None] * green
    w /= w.sum(2, keepdims=True)
    np.testing.assert_allclose(np.einsum("rgj,rgbj->rgb", w, blue), blue_given, atol=1e-12)
    assert abs(np.einsum("j,rgj->rg", pi, green) - green_given).max() > 0.01  # the old weights


@pytest.mark.equation("eq-pixelcnn-joint", "eq-pixelcnn-posterior")
def test_the_chain_of_colours_multiplies_to_the_joint_mixture(colour_mixture):
    pi, red, green, blue, numbers = colour_mixture
    joint = np.einsum("j,rj,rgj,rgbj->rgb", pi, red, green, blue).ravel()
    chain = ColourChain(3, 3, 4)
    levels = torch.cartesian_prod(*[torch.arange(4.0, dtype=torch.float64)] * 3)
    conditionals = chain(torch.tensor(numbers).expand(64, -1), levels * 2 / 3 - 1)
    mixture = DiscretisedLogisticMixture(*conditionals.chunk(3, -1), levels=4)
    np.testing.assert_allclose(mixture.log_prob(levels).sum(1).exp(), joint, atol=1e-12)


# Attention


@pytest.mark.equation("eq-pixelcnn-attention")
def test_attention_is_a_weighted_mean_over_what_came_before():
    torch.manual_seed(0)
    layer = nets.CausalAttention(6, heads=2).double().requires_grad_(False)
    tokens = torch.randn(1, 5, 6, dtype=torch.float64)
    weight, bias = layer.queries_keys_values.weight, layer.queries_keys_values.bias
    q, k, u = (tokens[0] @ weight.T + bias).chunk(3, 1)
    expected = torch.zeros(5, 6, dtype=torch.float64)
    for i, head in itertools.product(range(5), (slice(0, 3), slice(3, 6))):
        shares = [math.exp(q[i, head] @ k[j, head] / math.sqrt(3)) for j in range(i + 1)]
        for j, share in enumerate(shares):
            expected[i, head] += share / sum(shares) * u[j, head]
    torch.testing.assert_close(layer(tokens)[0], layer.mix(expected))


@pytest.mark.equation("eq-pixelcnn-attention")
def test_a_transformer_sees_all_that_came_before_in_one_layer():
    torch.manual_seed(0)
    model = models.image_transformer((3, 2, 2), 3, width=8, layers=1, heads=2)
    slope = jacobian(outputs_of(model), (3, 2, 2))
    assert (slope.triu() == 0).all()
    assert (slope[torch.ones(12, 12).tril(-1).bool()] != 0).all()


# The whole model, honest and leaky


def all_images(shape, levels):
    every = itertools.product(range(levels), repeat=math.prod(shape))
    return torch.tensor(list(every), dtype=torch.uint8).view(-1, *shape)


@pytest.mark.equation("eq-pixelcnn-leak")
def test_a_leak_lets_probabilities_sum_to_anything_up_to_the_number_of_images():
    images = all_images((1, 2, 2), 2)
    totals = []
    for gain in (-60.0, 60.0):  # the opposite of what it is shown; what it is shown
        model = models.pixel_cnn((1, 2, 2), 2, features=4, layers=1, first_kernel=3, head=4)
        model.network.first = nets.MaskedConv2d(1, 4, 3, "B")
        for parameter in model.parameters():
            nn.init.zeros_(parameter)
        with torch.no_grad():  # x goes through as relu(x) and relu(-x): logit = gain * x
            model.network.first.weight[:2, 0, -1, 1] = torch.tensor([1.0, -1.0])
            model.network.head.first.weight[:2, :2, 0, 0] = torch.eye(2)
            model.network.head.last.weight[0, :2, 0, 0] = gain * torch.tensor([1.0, -1.0])
            totals.append(model.double().log_prob(images).exp().sum().item())
    assert 0 < totals[0] < 1e-20
    assert abs(totals[1] - 16) < 1e-9


@pytest.mark.equation("eq-pixelcnn-chain", "eq-pixelcnn-leak")
@pytest.mark.parametrize("make", [models.pixel_cnn, models.gated_pixel_cnn])
@pytest.mark.parametrize("likelihood", [None, LogisticPixels(3, 2)])
def test_an_honest_model_sums_to_one(make, likelihood):
    torch.manual_seed(0)
    sizes = {"features": 4, "layers": 2, "first_kernel": 3, "head": 4}
    model = make((1, 2, 3), 3, likelihood=likelihood, **sizes).double()
    total = model.log_prob(all_images((1, 2, 3), 3)).logsumexp(0).exp()
    assert abs(total - 1) < 1e-9


@pytest.mark.equation("alg-pixelcnn")
def test_one_run_gives_all_factors_and_sampling_draws_from_their_product():
    torch.manual_seed(0)
    model = models.gated_pixel_cnn((1, 2, 2), 2, features=4, layers=2, first_kernel=3, head=4)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # so that pixels depend on each other
    images = all_images((1, 2, 2), 2)
    with torch.no_grad():
        log_prob = model.log_prob(images)
        one_by_one = torch.zeros(16)
        for i in range(4):  # a factor at a time, with all later values blank
            shown = images.clone().flatten(1)
            shown[:, i:] = 0
            p = model.conditionals(shown.view(16, 1, 2, 2)).probs.flatten(1)[:, i]
            white = images.flatten(1)[:, i] == 1
            one_by_one += torch.where(white, p, 1 - p).log()
    torch.testing.assert_close(log_prob, one_by_one)
    drawn = model.sample(20_000).flatten(1).long() @ torch.tensor([8, 4, 2, 1])
    counts = drawn.bincount(minlength=16).numpy()
    expected = log_prob.exp().double().numpy()
    assert stats.chisquare(counts, 20_000 * expected / expected.sum()).pvalue > 1e-3
