"""The equations of chapter 14, each against something independent of its derivation."""

import itertools
import math

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from genlearn import models, sampling
from genlearn.sampling import Drawn, choose_by_weight, effective_sample_size

DOUBLE = {"dtype": torch.float64}
SMALL = {"features": 8, "layers": 2, "head": 8}
MAKERS = {
    "pixel_lstm": (models.pixel_lstm, {"hidden": 8}),
    "row_lstm": (models.row_lstm, SMALL),
    "diagonal_bilstm": (models.diagonal_bilstm, SMALL),
    "pixel_cnn": (models.pixel_cnn, SMALL),
    "gated_pixel_cnn": (models.gated_pixel_cnn, {"features": 8, "layers": 2}),
    "pixel_cnn_pp": (models.pixel_cnn_pp, {"features": 8, "layers": 1}),
    "image_transformer": (models.image_transformer, {"width": 8, "heads": 2, "layers": 2}),
}
CONVOLUTIONS = ("pixel_cnn", "gated_pixel_cnn")


def random_model(name, shape, levels):
    """A model whose pixels depend on each other, in double precision."""
    torch.manual_seed(0)
    make, sizes = MAKERS[name]
    model = make(shape, levels, **sizes).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn_like(parameter))
    return model


def multiplications(run) -> int:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        run()
    return counter.get_total_flops() // 2


def one_pass(model) -> int:
    return multiplications(lambda: model.log_prob(torch.zeros(1, *model.shape, dtype=torch.uint8)))


@pytest.mark.equation("eq-fast-naive", "eq-fast-once")
@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_multiplications_counted(name):
    """A pass is linear in the pixels, naive sampling is a pass a pixel, cached sampling is one."""
    passes = {side: one_pass(random_model(name, (1, side, side), 2)) for side in (4, 8)}
    once = (4 * passes[4] - passes[8]) / 3  # what the condition of an image costs
    assert 0 <= once < 0.005 * passes[4]
    model = random_model(name, (1, 4, 4), 2)
    assert multiplications(lambda: model.sample(1, cached=False)) == 16 * passes[4]
    assert 0.5 * passes[4] < multiplications(lambda: model.sample(1)) <= passes[4]


@pytest.mark.equation("eq-fast-attention")
def test_attention_adds_a_square_of_the_pixels():
    """What is more than linear in n: d n (n + 1) for each layer, counted by PyTorch."""
    torch.manual_seed(0)
    layers, width = 3, 16
    options = {"layers": layers, "width": width, "heads": 2}
    count = {
        n: multiplications(lambda n=n: models.image_transformer((1, 1, n), 2, **options).sample(1))
        for n in (6, 12, 24)
    }
    square = {n: layers * width * n * (n + 1) for n in count}
    rest = {n: count[n] - square[n] for n in count}
    assert rest[12] - 2 * rest[6] == rest[24] - 2 * rest[12]  # linear, up to a constant
    assert rest[24] > 0


@pytest.mark.equation("eq-fast-final")
def test_a_feature_whose_values_are_all_drawn_never_changes():
    """What each feature of a PixelCNN rests on, by automatic differentiation; then other values."""
    model = random_model("pixel_cnn", (1, 3, 4), 5)
    x = torch.randn(1, 1, 3, 4, **DOUBLE)

    def features(inputs):
        kept = []
        hooks = [
            block.register_forward_hook(lambda *call: kept.append(call[2]))
            for block in model.network.blocks
        ]
        kept.append(model.network(inputs, model.condition(1))[:, 0].movedim(-1, 1))
        for hook in hooks:
            hook.remove()
        return torch.stack([layer.abs().sum(1).flatten() for layer in kept])  # (layers, pixels)

    jacobian = torch.autograd.functional.jacobian(features, x)[..., 0, 0, :, :].flatten(2)
    place = torch.arange(1, 13)
    ready = ((jacobian != 0) * place).amax(2)
    before = features(x)
    for k in range(13):
        other = torch.where(place.view(3, 4) <= k, x, torch.randn_like(x))
        after = features(other)
        assert torch.equal(after[ready <= k], before[ready <= k])
    assert (ready[-1] <= place - 1).all()  # of the parameters: r <= i - 1
    assert (ready[:-1] <= place - 1).all()
    assert ready.max() > 6


@pytest.mark.equation("eq-fast-equal", "alg-fast")
@pytest.mark.parametrize("name", MAKERS)
def test_cached_images_are_those_of_a_loop_written_out(name):
    """Without the library's loop: all conditionals for each pixel, and a search for the level."""
    model = random_model(name, (1, 3, 4), 3)
    uniforms = torch.rand(64, 1, 3, 4, **DOUBLE)
    x = torch.zeros(64, 1, 3, 4, dtype=torch.uint8)
    levels = torch.arange(3, **DOUBLE).view(3, 1, 1, 1, 1)
    for row, column in itertools.product(range(3), range(4)):
        with torch.no_grad():
            masses = model.conditionals(x).log_prob(levels.expand(3, 64, 1, 3, 4)).exp()
        cumulative = masses[:, :, 0, row, column].cumsum(0).T.contiguous()
        u = uniforms[:, 0, row, column, None].contiguous()
        x[:, 0, row, column] = torch.searchsorted(cumulative, u, right=True)[:, 0].clamp(max=2)
    assert torch.equal(model.sample(64, uniforms=uniforms), x)
    assert len(x.unique()) > 1


@pytest.mark.equation("eq-fast-flip")
@pytest.mark.parametrize("levels", [2, 3, 17])
def test_two_close_distributions_seldom_give_two_levels(levels):
    """The chance that the draws differ, by cutting [0, 1) at every step of both functions."""
    torch.manual_seed(0)
    for distance in (1e-4, 0.05, 0.5):
        p = torch.rand(levels, **DOUBLE)
        q = p + distance * torch.rand(levels, **DOUBLE)
        below_p, below_q = (p / p.sum()).cumsum(0)[:-1], (q / q.sum()).cumsum(0)[:-1]
        cuts = torch.cat([torch.tensor([0.0, 1.0], **DOUBLE), below_p, below_q]).sort().values
        middle, length = (cuts[1:] + cuts[:-1]) / 2, cuts.diff()
        level_p = (below_p <= middle[:, None]).sum(1)
        level_q = (below_q <= middle[:, None]).sum(1)
        chance = length[level_p != level_q].sum().item()
        bound = (below_p - below_q).abs().sum().item()
        assert 0 < chance <= bound + 1e-12
        if levels == 2:
            assert chance == pytest.approx(bound)


# --- completion, by adding up -------------------------------------------------


@pytest.fixture(scope="module")
def world():
    """All images of 3 x 3 black and white pixels, and log p(value | before) of each."""
    model = random_model("pixel_cnn", (1, 3, 3), 2)
    images = torch.tensor(list(itertools.product([0, 1], repeat=9)), dtype=torch.uint8)
    images = images.view(512, 1, 3, 3)
    with torch.no_grad():
        each = model.conditionals(images).log_prob(images.double())
    return model, images, each


def completions(world, known, x):
    """Of each image that agrees with x where known: p(image), q(rest), weight."""
    _, images, each = world
    agrees = ((images == x) | ~known).flatten(1).all(1)
    joint = each.flatten(1).sum(1).exp()
    q = (each * ~known).flatten(1).sum(1).exp()
    weight = (each * known).flatten(1).sum(1).exp()
    return agrees, joint, q, weight


KNOWN = {
    "first": torch.tensor([1, 1, 1, 1, 0, 0, 0, 0, 0]).view(3, 3).bool(),
    "last": torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1]).view(3, 3).bool(),
    "left": torch.tensor([1, 0, 0, 1, 0, 0, 1, 0, 0]).view(3, 3).bool(),
}


@pytest.mark.equation("eq-fast-exact")
def test_with_known_values_first_the_chain_rule_is_the_conditional(world):
    for x in world[1][::37]:
        agrees, joint, q, _ = completions(world, KNOWN["first"], x)
        torch.testing.assert_close(q[agrees], joint[agrees] / joint[agrees].sum())


@pytest.mark.equation("eq-fast-weights", "eq-fast-evidence")
@pytest.mark.parametrize("name", ["last", "left"])
def test_weights_turn_the_clamped_distribution_into_the_right_one(world, name):
    for x in world[1][::37]:
        agrees, joint, q, weight = completions(world, KNOWN[name], x)
        right = joint[agrees] / joint[agrees].sum()
        weighed = (q * weight)[agrees]
        torch.testing.assert_close(weighed.sum(), joint[agrees].sum())
        torch.testing.assert_close(weighed / weighed.sum(), right)
        torch.testing.assert_close(q[agrees].sum(), torch.tensor(1.0, **DOUBLE))
    assert (q[agrees] - right).abs().max() > 0.01  # and clamping is another distribution


@pytest.mark.equation("eq-fast-gap")
def test_the_mean_log_weight_is_a_bound_with_a_known_gap(world):
    for x in world[1][::37]:
        agrees, joint, q, weight = completions(world, KNOWN["last"], x)
        q, weight, joint = q[agrees], weight[agrees], joint[agrees]
        divergence = (q * (q / (joint / joint.sum())).log()).sum()
        torch.testing.assert_close(joint.sum().log() - (q * weight.log()).sum(), divergence)
        assert divergence > 0


@pytest.mark.equation("alg-fast-complete")
def test_two_particles_give_the_distribution_that_all_pairs_add_up_to(world):
    """Every pair of completions as the two particles, and evenly spread numbers for the choice."""
    agrees, _, q, weight = completions(world, KNOWN["last"], world[1][300])
    count = int(agrees.sum())  # 64 completions
    q, log_weight = q[agrees], weight[agrees].log()
    first, second = torch.cartesian_prod(torch.arange(count), torch.arange(count)).T
    chance = q[first] * q[second]
    share = torch.sigmoid(log_weight[first] - log_weight[second])
    expected = torch.zeros(count, **DOUBLE)
    expected.index_add_(0, first, chance * share)
    expected.index_add_(0, second, chance * (1 - share))

    numbers = (torch.arange(100, **DOUBLE) + 0.5) / 100
    found = torch.zeros(count, **DOUBLE)
    both = torch.cat([first, second])
    for uniform in numbers:
        drawn = Drawn(both.view(-1, 1, 1, 1), log_weight[both])
        choice = choose_by_weight(drawn, 2, uniform.expand(len(first)))
        found.index_add_(0, choice.images.flatten().long(), chance / 100)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.01 * expected.max().item())


@pytest.mark.equation("eq-fast-ess")
def test_effective_sample_size_is_that_of_a_mean_with_the_same_scatter():
    torch.manual_seed(0)
    log_weights = 1.5 * torch.randn(12, 3, **DOUBLE)
    shares = log_weights.softmax(0)
    numbers = torch.randn(200_000, 12, **DOUBLE)  # of variance 1
    scatter = (numbers @ shares).var(0)
    sizes = effective_sample_size(log_weights)
    torch.testing.assert_close(1 / sizes, scatter, rtol=0.02, atol=0)
    assert (sizes >= 1).all()
    assert (sizes <= 12).all()
    same = effective_sample_size(torch.zeros(12, 1, **DOUBLE)).item()
    one = effective_sample_size(torch.tensor([[0.0]] + [[-800.0]] * 11, **DOUBLE)).item()
    assert (same, one) == (pytest.approx(12), pytest.approx(1))


def test_exercise_two_particles_and_more():
    """0.70 with two particles, and an error near 0.144 / S."""

    def white(s):
        terms = (math.comb(s, k) / 2**s * 0.9 * k / (0.1 * s + 0.8 * k) for k in range(s + 1))
        return sum(terms)

    assert white(2) == pytest.approx(0.7)
    assert (0.9 - white(400)) * 400 == pytest.approx(0.144, rel=0.02)


def test_exercise_all_pixels_at_once():
    """Drawing every pixel anew from its own number, over and over, ends in the sampler's image."""
    model = random_model("gated_pixel_cnn", (1, 4, 4), 2)
    uniforms = torch.rand(20, 1, 4, 4, **DOUBLE)
    x = torch.zeros(20, 1, 4, 4, dtype=torch.uint8)
    sampled = model.sample(20, uniforms=uniforms).flatten(1)
    with torch.no_grad():
        for passes in range(1, 17):
            x = model.likelihood.draw(model.parameters_of(x), uniforms).to(torch.uint8)
            assert torch.equal(x.flatten(1)[:, :passes], sampled[:, :passes])
    assert torch.equal(x.flatten(1), sampled)


def test_the_naive_sampler_is_a_pass_for_each_pixel():
    model, calls = random_model("pixel_cnn", (1, 3, 3), 2), []
    model.network.register_forward_hook(lambda *_: calls.append(1))
    model.sample(2, cached=False)
    assert len(calls) == 9
    assert isinstance(sampling.NaiveCache(model.network, model.condition(1)), sampling.NaiveCache)
