"""The equations of chapter 15, each against something independent of its derivation."""

import math
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from torch.distributions import MultivariateNormal, kl_divergence

from genlearn.metrics import annealed_log_prob, density_bits_per_dim, sigmoid_schedule
from genlearn.models import PPCA

DOUBLE = {"dtype": torch.float64}


def cut_words(masses):
    """Words of bits for exact masses, as eq-likely-interval and eq-likely-length say."""
    words, low = [], Fraction(0)
    for mass in masses:
        bits = next(n for n in range(1, 200) if Fraction(1, 2**n) <= mass / 2)
        cut = math.ceil(low * 2**bits)
        words.append(format(cut, f"0{bits}b"))
        assert low <= Fraction(cut, 2**bits)
        assert Fraction(cut + 1, 2**bits) <= low + mass
        low += mass
    return words


@pytest.fixture
def masses():
    """Masses of 60 images, exact, from very likely to very rare; they add up to one."""
    generator = np.random.default_rng(0)
    counts = [int(10 ** generator.uniform(0, 6)) for _ in range(60)]
    return [Fraction(count, sum(counts)) for count in counts]


@pytest.mark.equation("eq-likely-kraft", "eq-likely-length")
def test_words_cut_from_intervals_are_short_and_none_begins_another(masses):
    words = cut_words(masses)
    for first, second in product(range(60), repeat=2):
        assert first == second or not words[second].startswith(words[first])
    assert sum(Fraction(1, 2 ** len(word)) for word in words) <= 1
    for mass, word in zip(masses, words, strict=True):
        ideal = -math.log2(mass)
        assert len(word) == math.ceil(ideal) + 1 < ideal + 2


@pytest.mark.equation("eq-likely-kraft")
def test_no_code_without_beginnings_is_shorter():
    """All sets of words of at most 3 bits: prefix-free ones never sum to more than one."""
    words = ["".join(bits) for n in (1, 2, 3) for bits in product("01", repeat=n)]
    free = most = 0
    for chosen in range(1, 2 ** len(words)):
        some = [word for k, word in enumerate(words) if chosen >> k & 1]
        if not any(a != b and b.startswith(a) for a in some for b in some):
            total = sum(2.0 ** -len(word) for word in some)
            free, most = free + 1, max(most, total)
    assert most == 1
    assert free == 675  # sets of disjoint pieces: a(n) = 1 + a(n - 1)², less the empty set


@pytest.mark.equation("eq-likely-coarser")
def test_coarse_images_are_never_less_likely():
    """All 256 images of four pixels and four levels, merged in three ways."""
    torch.manual_seed(0)
    fine = torch.randn(4, 4, 4, 4, **DOUBLE).mul(2).flatten().softmax(0).view(4, 4, 4, 4)
    for merge in ([0, 0, 1, 1], [0, 0, 0, 1], [0, 1, 1, 2]):
        coarse = {}
        for image in product(range(4), repeat=4):
            key = tuple(merge[level] for level in image)
            coarse[key] = coarse.get(key, 0.0) + fine[image].item()
        assert sum(coarse.values()) == pytest.approx(1)
        for image in product(range(4), repeat=4):
            assert coarse[tuple(merge[level] for level in image)] >= fine[image].item()


@pytest.mark.equation(
    "eq-likely-dequantised", "eq-likely-dequantised-gap", "eq-likely-density-bits"
)
@pytest.mark.parametrize(("low", "high"), [(0, 5), (-1, 1), (-3.2, 40)])
def test_the_bound_from_a_density_by_quadrature_on_every_scale(low, high):
    """A Gaussian over five levels; noise that is flat, and noise that is not."""
    levels, width = 5, (high - low) / 5
    density = stats.norm(low + 2.3 * width, 0.9 * width)
    for level in (0, 3):
        start = low + width * level
        mass = density.cdf(start + width) - density.cdf(start)
        for noise, kind in [(stats.uniform(), "uniform"), (stats.beta(2, 3), "learned")]:

            def bound(u, noise=noise, start=start):
                return noise.pdf(u) * (density.logpdf(start + width * u) - noise.logpdf(u))

            def divergence(u, noise=noise, start=start, mass=mass):
                true = density.pdf(start + width * u) * width / mass
                return noise.pdf(u) * (noise.logpdf(u) - math.log(true))

            lower, _ = integrate.quad(bound, 1e-12, 1 - 1e-12)
            gap, _ = integrate.quad(divergence, 1e-12, 1 - 1e-12)
            bits = density_bits_per_dim(
                lower, (1, 1, 1), levels, data_range=(low, high), dequantisation=kind
            )
            assert bits > -math.log2(mass)
            assert bits == pytest.approx((gap - math.log(mass)) / math.log(2), abs=1e-6)


@pytest.mark.equation("eq-likely-density-bits")
def test_bits_of_a_density_do_not_move_with_the_scale():
    """Samples of a Gaussian on three axes, and of the same Gaussian on other scales."""
    torch.manual_seed(0)
    y = torch.randint(0, 256, (50, 3)) + torch.rand(50, 3, **DOUBLE)
    found = []
    for low, high in [(0, 256), (0, 1), (-1, 1), (5, 9)]:
        factor = (high - low) / 256
        model = torch.distributions.Normal(low + 120 * factor, 60 * factor)
        log_density = model.log_prob(low + factor * y).sum(1)
        found.append(
            density_bits_per_dim(
                log_density, (3, 1, 1), 256, data_range=(low, high), dequantisation="uniform"
            )
        )
    for other in found[1:]:
        torch.testing.assert_close(found[0], other)


@pytest.mark.equation("eq-likely-forgotten")
@pytest.mark.parametrize(("low", "high", "shift"), [(0, 256, 0), (0, 1, -8), (-1, 1, -7)])
def test_what_a_forgotten_scale_is_worth(low, high, shift):
    """From a change of variables by hand: 256 levels, uniform density on the range."""
    forgotten = math.log2(high - low)  # -log2 of the density, taken as if it were a mass
    assert forgotten - 8 == shift  # 8 bits are right
    honest = density_bits_per_dim(
        -math.log(high - low), (1, 1, 1), 256, data_range=(low, high), dequantisation="uniform"
    )
    assert honest == pytest.approx(8)
    assert forgotten - honest == pytest.approx(shift)


@pytest.mark.equation("eq-likely-paired")
def test_error_of_a_difference_by_simulation():
    generator = np.random.default_rng(0)
    covariance = [[4.0, 2.7], [2.7, 2.25]]  # deviations 2 and 1.5, correlation 0.9
    a, b = generator.multivariate_normal([0, 1], covariance, (20_000, 50)).T
    measured = (a.mean(0) - b.mean(0)).var()
    assert measured == pytest.approx((4 + 2.25 - 2 * 0.9 * 2 * 1.5) / 50, rel=0.03)


def grid_transition(log_f, z, rng, step, leaps):
    """Many HMC moves from each of many codes of one number; NumPy alone, slope by differences."""

    def slope(x):
        return (log_f(x + 1e-5) - log_f(x - 1e-5)) / 2e-5

    r = rng.normal(size=z.shape)
    new, momentum = z, r
    for _ in range(leaps):
        momentum = momentum + step / 2 * slope(new)
        new = new + step * momentum
        momentum = momentum + step / 2 * slope(new)
    return new, momentum, r


@pytest.mark.equation("eq-likely-leapfrog", "eq-likely-metropolis", "eq-likely-invariant")
def test_a_move_that_may_be_refused_leaves_a_density_as_it_is():
    """Draws of a mixture of two Gaussians, moved with steps far too long, with and without coin."""
    rng = np.random.default_rng(0)
    parts = [stats.norm(-1, 0.5), stats.norm(1.2, 0.7)]

    def log_f(x):
        return np.logaddexp(parts[0].logpdf(x), parts[1].logpdf(x))

    def share_below(x):
        return (parts[0].cdf(x) + parts[1].cdf(x)) / 2

    which = rng.random(40_000) < 0.5
    z = np.where(
        which, parts[0].rvs(40_000, random_state=rng), parts[1].rvs(40_000, random_state=rng)
    )
    new, after, before = grid_transition(log_f, z, rng, 0.8, 3)
    lost = log_f(new) - log_f(z) + (before**2 - after**2) / 2
    take = np.log(rng.random(len(z))) < lost
    assert 0.3 < take.mean() < 0.9
    assert stats.kstest(np.where(take, new, z), share_below).pvalue > 0.01
    assert stats.kstest(new, share_below).pvalue < 1e-6


@pytest.mark.equation("eq-likely-balance")
def test_leapfrogs_can_be_run_backwards_and_keep_volumes():
    def slope(z):
        return -z + torch.sin(3 * z) * z.flip(-1)  # of no density in particular

    def leap(state):
        z, r = state.view(2, 2)
        for _ in range(4):
            r = r + 0.15 * slope(z)
            z = z + 0.3 * r
            r = r + 0.15 * slope(z)
        return torch.cat([z, -r])

    torch.manual_seed(0)
    state = torch.randn(4, **DOUBLE)
    torch.testing.assert_close(leap(leap(state)), state)
    jacobian = torch.autograd.functional.jacobian(leap, state)
    assert jacobian.det().abs().item() == pytest.approx(1)
    energies = torch.randn(2, 100, **DOUBLE)
    there, back = energies
    flow = (-there).exp() * (there - back).exp().clamp(max=1)
    returned = (-back).exp() * (back - there).exp().clamp(max=1)
    torch.testing.assert_close(flow, returned)


@pytest.fixture
def ppca():
    """Four dimensions, two of code."""
    torch.manual_seed(0)
    model = PPCA(4, 2).double().requires_grad_(False)
    model.mean.normal_()
    model.log_noise_std.fill_(-0.7)
    return model


@pytest.mark.equation("eq-likely-annealed-weight", "eq-likely-annealed-mean")
def test_mean_weight_of_chains_on_three_states():
    """Everything is a sum: two moves, all paths, chains that hardly mix."""
    torch.manual_seed(0)
    start, joint = torch.rand(2, 3, **DOUBLE).pow(3)
    start /= start.sum()
    bridge = [start ** (1 - beta) * joint**beta for beta in (0, 0.3, 0.6, 1)]

    def lazy_metropolis(f):
        """Propose any state, accept by the ratio: leaves f as it is."""
        move = (f[None] / f[:, None]).clamp(max=1) / 6
        move.fill_diagonal_(0)
        return move + torch.diag(1 - move.sum(1))

    moves = [lazy_metropolis(f) for f in bridge[1:3]]
    for f, move in zip(bridge[1:3], moves, strict=True):
        torch.testing.assert_close(f @ move, f)
    mean = mean_log = late = 0.0
    for a, b, c in product(range(3), repeat=3):
        chance = start[a] * moves[0][a, b] * moves[1][b, c]
        weight = (
            bridge[1][a] / bridge[0][a] * bridge[2][b] / bridge[1][b] * bridge[3][c] / bridge[2][c]
        )
        mean, mean_log = mean + chance * weight, mean_log + chance * weight.log()
        late += chance * bridge[1][b] / bridge[0][b] * bridge[2][c] / bridge[1][c]
    assert mean.item() == pytest.approx(joint.sum().item(), rel=1e-12)
    assert mean_log < joint.sum().log()
    # Weights that look at the code after the move are about another number.
    assert abs(late / bridge[2].sum() - 1) > 0.01


@pytest.mark.equation("eq-likely-annealed-bound", "eq-likely-annealed-mean", "alg-likely-annealed")
def test_annealed_weights_of_the_library_are_right_on_average(ppca):
    """Three temperatures and long steps: far from good, and unbiased all the same."""
    torch.manual_seed(1)
    x = ppca.sample(2)
    exact = ppca.log_prob(x)
    found = annealed_log_prob(ppca, x, chains=20_000, temperatures=3, leapfrog=2, step=0.8)
    assert (found.acceptance < 0.95).all()
    ratio = (found.log_weights - exact).exp()
    error = ratio.std(0) / math.sqrt(len(ratio))
    assert (error < 0.03).all()
    assert ((ratio.mean(0) - 1).abs() < 4.5 * error).all()
    # Bounds: with one chain, with ten at a time; below, and closer.
    few = found.log_weights.view(10, 2000, 2).logsumexp(0) - math.log(10)
    assert (found.log_weights.mean(0) < few.mean(0)).all()
    assert (few.mean(0) < exact + 3 * few.std(0) / math.sqrt(2000)).all()


@pytest.mark.equation("eq-likely-bridge", "eq-likely-annealed-gap")
def test_gap_of_perfect_moves_is_a_sum_of_divergences(ppca):
    """Independent draws of every Gaussian in between, against the sum in closed form."""
    torch.manual_seed(2)
    x = ppca.sample(1)
    noise = (2 * ppca.log_noise_std).exp()
    precision = ppca.weight.T @ ppca.weight / noise
    pull = (x - ppca.mean) @ ppca.weight / noise

    def between(beta):
        total = torch.eye(2, **DOUBLE) + beta * precision
        centre = torch.linalg.solve(total, beta * pull[0])
        return MultivariateNormal(centre, precision_matrix=total)

    gaps = {}
    for steps in (4, 8, 64, 128):
        betas = sigmoid_schedule(steps)
        bridge = [between(beta) for beta in betas]
        gaps[steps] = sum(kl_divergence(p, q) for p, q in pairwise(bridge)).item()
        if steps < 10:
            log_w = torch.zeros(20_000, **DOUBLE)
            for distribution, (before, beta) in zip(bridge[:-1], pairwise(betas), strict=True):
                z = distribution.sample((20_000,))
                log_w += (beta - before) * ppca.likelihood(z).log_prob(x)
            error = log_w.std().item() / math.sqrt(20_000)
            measured = ppca.log_prob(x).item() - log_w.mean().item()
            assert abs(measured - gaps[steps]) < 4.5 * error
            assert error < 0.03
    assert gaps[64] / gaps[128] == pytest.approx(2, rel=0.05)  # as one over the number of steps


@pytest.mark.equation("eq-likely-shell", "eq-likely-peak")
@pytest.mark.parametrize("dim", [1, 3, 50])
def test_lengths_and_log_densities_of_normal_draws(dim):
    """From SciPy's chi-squared distribution, and from draws."""
    mean, variance = stats.chi2(dim).stats("mv")
    assert (mean, variance) == pytest.approx((dim, 2 * dim))
    draws = np.random.default_rng(0).normal(size=(100_000, dim))
    log_density = stats.norm.logpdf(draws).sum(1)
    peak = dim * stats.norm.logpdf(0)
    assert peak - log_density.mean() == pytest.approx(dim / 2, rel=0.02)
    assert log_density.std() == pytest.approx(math.sqrt(dim / 2), rel=0.02)
    length = np.linalg.norm(draws, axis=1)
    assert length.std() < 0.75


@pytest.mark.equation("eq-likely-noise")
def test_ninety_nine_parts_of_noise_cost_less_than_five_nats():
    """Over all 256 images of eight binary pixels, also as a mean of the good model itself."""
    torch.manual_seed(0)
    good = (4 * torch.randn(256, **DOUBLE)).softmax(0)
    noise = torch.full((256,), 1 / 256, **DOUBLE)
    mixed = 0.01 * good + 0.99 * noise
    assert mixed.sum().item() == pytest.approx(1)
    cost = good.log() - mixed.log()
    assert cost.max() <= math.log(100)
    assert stats.entropy(good, mixed) < math.log(100)


@pytest.mark.equation("eq-likely-copies")
def test_the_copier_is_a_mass_that_says_what_its_samples_do():
    """Three copies of three pixels with four levels: all 64 images, and 100,000 samples."""
    copies = np.array([[0, 1, 2], [3, 3, 0], [0, 0, 2]])
    epsilon, levels = 0.3, 4
    images = np.array(list(product(range(4), repeat=3)))
    same = images[:, None] == copies
    mass = ((1 - epsilon) * same + epsilon / levels).prod(2).mean(1)
    assert mass.sum() == pytest.approx(1)
    rng = np.random.default_rng(0)
    drawn = copies[rng.integers(3, size=100_000)]
    wrong = rng.random(drawn.shape) < epsilon
    drawn = np.where(wrong, rng.integers(4, size=drawn.shape), drawn)
    counts = np.bincount(drawn @ [16, 4, 1], minlength=64)
    assert stats.chisquare(counts, 100_000 * mass).pvalue > 0.01
    # The exercise: each pixel that no copy has costs at least log(K / ε).
    apart = (~same).sum(2).min(1)
    assert (-np.log(mass) >= apart * math.log(levels / epsilon) - 1e-12).all()
