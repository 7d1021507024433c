"""The equations of chapter 08, each against something independent of its derivation."""

import cmath
import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy import optimize
from scipy.spatial.distance import jensenshannon
from torch import nn
from torch.nn import functional as F

from genlearn.data import Batches, Split
from genlearn.losses import cross_entropy_discriminator_loss, non_saturating_generator_loss
from genlearn.models import GAN
from genlearn.nets import dcgan_discriminator, dcgan_generator
from genlearn.training import Objective, fit

DOUBLE = {"dtype": torch.float64}
CHANCE = 2 * math.log(2)


@pytest.mark.equation("eq-dcgan-conv-size", "eq-dcgan-transposed-size")
@pytest.mark.parametrize(("k", "s"), list(product([1, 2, 3, 4, 5], [1, 2, 3])))
def test_sizes_are_those_of_torch(k, s):
    kernel = torch.zeros(1, 1, k)
    for n, p in product(range(k, 13), range(k)):
        m = F.conv1d(torch.zeros(1, 1, n), kernel, stride=s, padding=p).shape[-1]
        assert m == (n + 2 * p - k) // s + 1
        for o in range(s):
            size = s * (m - 1) + k - 2 * p + o
            if size < 1:
                continue
            back = F.conv_transpose1d(torch.zeros(1, 1, m), kernel, None, s, p, o)
            assert back.shape[-1] == size
        # one of the paddings of the output leads back to where we came from
        assert n - (s * (m - 1) + k - 2 * p) in range(s)


@pytest.mark.equation("eq-dcgan-conv-size", "eq-dcgan-transposed-size")
@pytest.mark.parametrize("side", [7, 8, 25, 28, 32])
def test_networks_halve_rounded_up_and_double_back(side):
    generator = dcgan_generator(3, (1, side, side), (4, 5))
    discriminator = dcgan_discriminator((1, side, side), (4, 5))
    half, quarter = -(-side // 2), -(-side // 4)
    down, up = [], []
    signal = torch.zeros(2, 1, side, side)
    for layer in discriminator:
        signal = layer(signal)
        if isinstance(layer, nn.Conv2d):
            down.append(signal.shape[-1])
    signal = torch.zeros(2, 3)
    for layer in generator:
        signal = layer(signal)
        if isinstance(layer, nn.ConvTranspose2d):
            up.append(signal.shape[-1])
    assert (down, up) == ([half, quarter], [half, side])


@pytest.mark.equation("eq-dcgan-transpose")
@pytest.mark.parametrize(
    ("k", "s", "p", "o"), [(4, 2, 1, 0), (3, 2, 1, 1), (5, 3, 0, 2), (2, 1, 1, 0)]
)
def test_transposed_convolution_is_the_transpose(k, s, p, o):
    """Against a matrix written entry by entry, and in two dimensions against inner products."""
    torch.manual_seed(0)
    m = 4
    n = s * (m - 1) + k - 2 * p + o
    kernel = torch.randn(k, **DOUBLE)
    matrix = torch.zeros(m, n, **DOUBLE)
    for i, a in product(range(m), range(k)):
        if 0 <= s * i + a - p < n:
            matrix[i, s * i + a - p] = kernel[a]
    y = torch.randn(m, **DOUBLE)
    stamped = F.conv_transpose1d(y[None, None], kernel[None, None], None, s, p, o)[0, 0]
    torch.testing.assert_close(stamped, matrix.T @ y)

    kernels = torch.randn(2, 3, k, k, **DOUBLE)
    images, maps = torch.randn(1, 3, n, n, **DOUBLE), torch.randn(1, 2, m, m, **DOUBLE)
    forward = (F.conv2d(images, kernels, None, s, p) * maps).sum()
    backward = (images * F.conv_transpose2d(maps, kernels, None, s, p, o)).sum()
    torch.testing.assert_close(forward, backward)


@pytest.mark.equation("eq-dcgan-overlap")
@pytest.mark.parametrize(("k", "s"), list(product([2, 3, 4, 5, 6], [1, 2, 3])))
def test_terms_of_a_pixel_are_counted(k, s):
    ones = torch.ones(1, 1, 12)
    p = 1
    counted = F.conv_transpose1d(ones, torch.ones(1, 1, k), None, s, p)[0, 0]
    inside = range(k, len(counted) - k)
    formula = [max(0, math.ceil((k - (j + p) % s) / s)) for j in inside]
    assert counted[list(inside)].tolist() == formula
    assert (len(set(formula)) == 1) == (k % s == 0)


@pytest.mark.equation("eq-dcgan-overlap")
@pytest.mark.parametrize("side", [7, 8, 28])
def test_generator_paints_no_checkerboard(side):
    """With equal weights, a constant input gives a constant output away from the border."""
    growing = [
        layer
        for layer in dcgan_generator(3, (1, side, side), (4, 5))
        if isinstance(layer, nn.ConvTranspose2d)
    ]
    for layer in growing:
        nn.init.ones_(layer.weight)
        with torch.no_grad():
            output = layer(torch.ones(1, layer.in_channels, 6, 6))[0, 0, 2:-2, 2:-2]
        assert output.unique().tolist() == [4 * layer.in_channels]


@pytest.mark.equation("eq-dcgan-invariance", "eq-dcgan-weight-scale")
def test_batch_norm_ignores_shift_and_scale_of_what_it_is_given():
    torch.manual_seed(0)
    x = torch.randn(6, 3, 5, 5, **DOUBLE)
    norm = nn.BatchNorm2d(3, eps=1e-14).double()
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    scale, shift = torch.rand(3, 1, 1, **DOUBLE) + 0.1, torch.randn(3, 1, 1, **DOUBLE)
    torch.testing.assert_close(norm(scale * x + shift), norm(x))

    judge = torch.randn(6, 2, 5, 5, **DOUBLE)
    norm = nn.BatchNorm2d(2, eps=1e-14).double()

    def value(weight):
        return (judge * norm(F.conv2d(x, weight, padding=1)).tanh()).sum()

    weight = torch.randn(2, 3, 3, 3, **DOUBLE)
    slopes = []
    for factor in [1.0, 0.02, 7.0]:
        point = (factor * weight).requires_grad_()
        slopes.append(factor * torch.autograd.grad(value(point), point)[0])
    torch.testing.assert_close(slopes[1], slopes[0])
    torch.testing.assert_close(slopes[2], slopes[0])


@pytest.mark.equation("eq-dcgan-blind")
def test_linear_judge_behind_batch_norm_cannot_beat_chance():
    """However different the batches; one batch of both, and it can."""
    torch.manual_seed(0)
    real, fake = torch.randn(64, 5, **DOUBLE) + 3, 2 * torch.rand(64, 5, **DOUBLE) - 3
    losses = []
    for _ in range(20):
        judge = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 1), nn.Flatten(0)).double()
        for parameter in judge.parameters():
            nn.init.normal_(parameter)
        r, q = judge(real), judge(fake)
        torch.testing.assert_close(r.mean(), q.mean())
        losses.append(cross_entropy_discriminator_loss(r, q).item())
    assert min(losses) >= CHANCE - 1e-6

    judge = nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 1), nn.Flatten(0)).double()
    nn.init.ones_(judge[1].weight)
    r, q = judge(torch.cat([real, fake])).chunk(2)
    assert cross_entropy_discriminator_loss(r, q) < 0.1


@pytest.mark.equation("eq-dcgan-blind")
def test_library_never_mixes_real_and_generated_where_it_normalises():
    """A generated image's logit must not change with the real images beside it."""
    torch.manual_seed(0)
    gan = GAN.dcgan((1, 8, 8), 17, latent_dim=4, channels=(4, 8), init_std=None)
    fake, real = torch.randn(6, 1, 8, 8), torch.randn(6, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(gan.judge(real, fake)[1], gan.judge(real + 3, fake)[1])


def test_discriminator_sees_the_contrast_of_a_batch():
    """Its first layer is not normalised, so a batch at half the contrast is another batch."""
    torch.manual_seed(0)
    judge = dcgan_discriminator((1, 8, 8), (4, 8), init_std=None)
    images = torch.randn(16, 1, 8, 8)
    with torch.no_grad():
        change = (judge(images) - judge(images / 2)).abs().mean()
        assert change > 0.1 * judge(images).std()


@pytest.mark.equation("eq-dcgan-start")
@pytest.mark.parametrize("channels", [16, 64])
def test_first_images_are_grey(channels):
    torch.manual_seed(0)
    squares = []
    with torch.no_grad():
        for _ in range(20):
            generator = dcgan_generator(8, (1, 28, 28), (channels, 8))
            before_tanh = generator[:-1](torch.randn(32, 8))
            squares.append(before_tanh.square().mean())
    rms = torch.stack(squares).mean().sqrt().item()
    assert rms == pytest.approx(0.02 * math.sqrt(2 * channels), rel=0.1)


@pytest.mark.equation("eq-dcgan-age")
@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9])
def test_mean_age_of_a_running_mean(beta):
    k = np.arange(2000)
    weights = (1 - beta) * beta**k
    assert weights.sum() == pytest.approx(1)
    assert (k * weights).sum() == pytest.approx(beta / (1 - beta))


def spiral(beta, step, alternating):
    """The largest eigenvalue, by modulus, of a step of both players on xy, in real numbers."""

    def move(state):
        x, y, mean_x, mean_y = state
        mean_x = beta * mean_x + (1 - beta) * y
        new_x = x - step * mean_x
        mean_y = beta * mean_y - (1 - beta) * (new_x if alternating else x)
        return [new_x, y - step * mean_y, mean_x, mean_y]

    values = np.linalg.eigvals(np.array([move(row) for row in np.eye(4)]).T)
    return max(values, key=lambda value: (abs(value), value.imag))


@pytest.mark.equation("eq-dcgan-alternating")
@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.5, 0.9])
def test_alternating_steps_have_one_more_factor(beta):
    for step in [0.1, 0.01]:
        factor = spiral(beta, step, alternating=True)
        left = ((factor - 1) * (factor - beta)) ** 2
        assert abs(left + (step * (1 - beta)) ** 2 * factor**3) < 1e-13


@pytest.mark.equation("eq-dcgan-characteristic", "eq-dcgan-delta")
@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.5, 0.9])
def test_factor_of_a_step_solves_the_quadratic(beta):
    errors = []
    for step in [0.004, 0.002, 0.001]:
        factor = spiral(beta, step, alternating=False)
        left = factor * (factor - 1)
        right = beta * (factor - 1) + 1j * step * (1 - beta) * factor
        assert abs(left - right) < 1e-12
        errors.append(abs(factor - 1 - 1j * step - step**2 * beta / (1 - beta)))
    if beta:  # without momentum the expansion is exact
        assert errors[0] / errors[1] == pytest.approx(8, rel=0.2)  # third order
        assert errors[1] / errors[2] == pytest.approx(8, rel=0.1)
    else:
        assert max(errors) < 1e-12


@pytest.mark.equation("eq-dcgan-momentum", "eq-dcgan-growth")
@pytest.mark.parametrize("beta", [-0.5, 0.0, 0.5, 0.9])
@pytest.mark.parametrize("alternating", [False, True])
def test_spiral_opens_with_the_age_of_the_gradients(beta, alternating):
    """Simulated for as long as it takes to see it, against the formula."""
    step, count = 0.002, 40_000
    x, y, mean_x, mean_y = 1.0, 0.0, 0.0, 0.0
    radii = []
    for t in range(count):
        mean_x = beta * mean_x + (1 - beta) * y
        new_x = x - step * mean_x
        mean_y = beta * mean_y - (1 - beta) * (new_x if alternating else x)
        x, y = new_x, y - step * mean_y
        if t in (count // 10, count - 1):
            radii.append(math.hypot(x, y))
    growth = math.log(radii[1] / radii[0]) / (count - 1 - count // 10) / step**2
    age = beta / (1 - beta)
    assert growth == pytest.approx(age + (0 if alternating else 0.5), abs=0.02, rel=0.01)
    radius = abs(spiral(beta, step, alternating))
    assert math.log(radius) / step**2 == pytest.approx(growth, abs=0.03, rel=0.01)


@pytest.mark.equation("alg-dcgan")
def test_a_round_of_the_library_is_the_algorithm():
    """Against steps written with autograd and the formula of plain descent."""
    torch.manual_seed(0)
    gan = GAN.dcgan((1, 8, 8), 17, latent_dim=4, channels=(4, 8), init_std=None).double()
    levels = torch.randint(0, 17, (6, 1, 8, 8), dtype=torch.uint8)
    noise = torch.randn(2, 6, 4, **DOUBLE)
    mine = {
        name: {key: value.clone() for key, value in player.state_dict().items()}
        for name, player in gan.players.items()
    }
    by_hand = GAN.dcgan((1, 8, 8), 17, latent_dim=4, channels=(4, 8)).double()
    for name, player in by_hand.players.items():
        player.load_state_dict(mine[name])
    G, D = by_hand.generator, by_hand.discriminator

    def descend(player, loss):
        weights = list(player.parameters())
        for weight, slope in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.data -= 0.1 * slope

    fake = G(noise[0]).detach()
    descend(
        D, -D(levels.double() / 8 - 1).sigmoid().log().mean() - (1 - D(fake).sigmoid()).log().mean()
    )
    descend(G, -D(G(noise[1])).sigmoid().log().mean())

    stream = iter(noise)
    gan.noise = lambda n: next(stream)
    objectives = [
        Objective(
            "D", gan.discriminator_loss, torch.optim.SGD(gan.discriminator.parameters(), 0.1)
        ),
        Objective("G", gan.generator_loss, torch.optim.SGD(gan.generator.parameters(), 0.1)),
    ]
    gan.scaled = lambda x: x.double() / 8 - 1
    fit(gan.players, objectives, Batches(Split(levels, None, 17), 6), 1, device="cpu")
    # the order of a batch is without effect: means do not see it
    for name, player in gan.players.items():
        expected = by_hand.players[name].state_dict()
        for key, value in player.state_dict().items():
            torch.testing.assert_close(value, expected[key], rtol=1e-5, atol=1e-6)


@pytest.mark.equation("eq-dcgan-through")
def test_generator_learns_from_the_picture_that_the_judge_hands_back():
    torch.manual_seed(0)
    gan = GAN.mlp(dims=3, latent_dim=2, hidden=(5,)).double()
    z = torch.randn(7, 2, **DOUBLE)
    weights = dict(gan.generator.named_parameters())

    def make(parameters):
        return torch.func.functional_call(gan.generator, parameters, (z,))

    points = make(weights).detach().requires_grad_()
    pictures = torch.autograd.grad(F.softplus(-gan.discriminator(points)).mean(), points)[0]
    jacobian = torch.func.jacrev(make)(weights)  # (7, 3, shape of the weight)
    loss = non_saturating_generator_loss(gan.discriminator(gan.generator(z)).double())
    slopes = torch.autograd.grad(loss, list(weights.values()))
    for name, slope in zip(weights, slopes, strict=True):
        expected = torch.tensordot(pictures, jacobian[name], dims=2)
        torch.testing.assert_close(slope, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.equation("eq-dcgan-chance")
def test_losses_at_chance():
    undecided = torch.zeros(9)
    assert cross_entropy_discriminator_loss(undecided, undecided).item() == pytest.approx(CHANCE)
    assert non_saturating_generator_loss(undecided).item() == pytest.approx(CHANCE / 2)


@pytest.mark.equation("eq-dcgan-js")
def test_loss_of_any_discriminator_bounds_the_divergence():
    """On six points, SciPy's divergence; the optimum is found by SciPy too."""
    rng = np.random.default_rng(0)
    p, q = rng.dirichlet(np.ones(6), size=2)
    divergence = jensenshannon(p, q) ** 2

    def loss(logits):
        return p @ np.logaddexp(0, -logits) + q @ np.logaddexp(0, logits)

    for _ in range(200):
        assert divergence >= math.log(2) - loss(3 * rng.standard_normal(6)) / 2
    best = optimize.minimize(loss, np.zeros(6))
    assert divergence == pytest.approx(math.log(2) - best.fun / 2, abs=1e-6)


@pytest.mark.equation("eq-dcgan-floor")
def test_both_players_cannot_win():
    torch.manual_seed(0)
    for spread in [0.0, 0.1, 1.0, 10.0]:
        real, fake = 20 + torch.randn(50), spread * torch.randn(50)
        total = cross_entropy_discriminator_loss(real, fake) + non_saturating_generator_loss(fake)
        assert total.item() >= CHANCE - 1e-6
        if not spread:  # reached where D is sure of real images and undecided on generated ones
            assert total.item() == pytest.approx(CHANCE, abs=1e-6)


@pytest.mark.equation("eq-dcgan-point")
def test_best_answer_to_a_fixed_discriminator_is_one_image():
    """All 5³ generators from three noise vectors to five images are tried."""
    logits = torch.tensor([0.3, -1.0, 2.0, 1.9, 0.0])
    loss = {
        images: non_saturating_generator_loss(logits[list(images)]).item()
        for images in product(range(5), repeat=3)
    }
    best = min(loss, key=loss.get)
    assert best == (2, 2, 2)
    assert loss[best] == pytest.approx(F.softplus(-logits.max()).item())
    assert cmath.isclose(sorted(loss.values())[0], loss[best])
