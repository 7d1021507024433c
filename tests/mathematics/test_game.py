"""The equations of chapter 07, each against something independent of its derivation."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats
from scipy.spatial import distance
from torch import nn
from torch.nn.functional import logsigmoid

from genlearn import data, losses
from genlearn.callbacks import Evaluate
from genlearn.losses import ADVERSARIAL_LOSSES
from genlearn.models import GAN
from genlearn.training import Objective, fit

RNG = np.random.default_rng
X = np.linspace(-30, 30, 60_001)  # outside, the densities here are below 1e-15
PAIRS = [
    (stats.norm(0.3, 1.2), stats.norm(-0.5, 0.8)),
    (stats.norm(-2.0, 0.7), stats.norm(1.5, 1.0)),
    (stats.norm(0.0, 1.0), stats.logistic(0.5, 0.6)),
]
HALF, ONE = (0.5, "saturating"), (1.0, "wasserstein")  # slope c at the solution, name of the loss


def random_masses(*shape, seed=0):
    """Positive numbers, the last axis of which adds up to one."""
    masses = RNG(seed).random(shape) + 0.02
    return masses / masses.sum(-1, keepdims=True)


def value(p, q, answers):
    return np.sum(p * np.log(answers) + q * np.log1p(-answers))


def js(p, q):
    """SciPy's Jensen–Shannon distance is the root of the divergence."""
    return distance.jensenshannon(p, q) ** 2


# The best discriminator, and the value


@pytest.mark.equation("eq-game-optimal")
def test_no_table_of_answers_is_paid_more_than_the_ratio():
    """A numerical optimiser over all answers, for masses on seven points."""
    for seed in range(5):
        p, q = random_masses(2, 7, seed=seed)

        def loss(a, p=p, q=q):
            return np.sum(p * np.logaddexp(0, -a) + q * np.logaddexp(0, a))

        logits = optimize.minimize(loss, np.zeros(7), tol=1e-12).x
        np.testing.assert_allclose(logits, np.log(p / q), atol=1e-4)
        np.testing.assert_allclose(1 / (1 + np.exp(-logits)), p / (p + q), atol=1e-5)


@pytest.mark.equation("eq-game-optimal")
def test_the_librarys_loss_is_least_at_the_logarithm_of_the_ratio():
    """Three possible points, which occur different numbers of times in the two batches."""
    real, fake = torch.tensor([0, 1, 1, 2]), torch.tensor([0, 0, 0, 1, 2, 2])
    logits = torch.tensor([1 / 3 * 6 / 4, 2 * 6 / 4, 1 / 2 * 6 / 4]).log().requires_grad_()
    losses.cross_entropy_discriminator_loss(logits[real], logits[fake]).backward()
    assert logits.grad.abs().max() < 1e-6


@pytest.mark.equation("eq-game-js")
def test_the_best_value_is_twice_js_less_twice_log_two():
    for seed in range(20):
        p, q = random_masses(2, 6, seed=seed)
        assert value(p, q, p / (p + q)) == pytest.approx(2 * js(p, q) - 2 * math.log(2))


@pytest.mark.equation("eq-game-js")
@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_the_best_value_by_quadrature(p, q):
    """Left: the library's loss at the logits log p/q, averaged over both. Right: its definition."""
    logits = torch.from_numpy(p.logpdf(X) - q.logpdf(X))
    ours = integrate.trapezoid(
        p.pdf(X) * logsigmoid(logits).numpy() + q.pdf(X) * logsigmoid(-logits).numpy(), X
    )
    log_m = np.logaddexp(p.logpdf(X), q.logpdf(X)) - math.log(2)
    divergence = sum(integrate.trapezoid(r.pdf(X) * (r.logpdf(X) - log_m), X) / 2 for r in (p, q))
    assert ours == pytest.approx(2 * divergence - 2 * math.log(2), abs=1e-8)


@pytest.mark.equation("eq-game-js")
def test_a_tie_is_worth_minus_twice_log_two_in_the_library():
    assert -losses.cross_entropy_discriminator_loss(torch.zeros(3), torch.zeros(5)).item() == (
        pytest.approx(-2 * math.log(2))
    )


@pytest.mark.equation("eq-game-gap")
def test_any_other_discriminator_falls_short_by_the_divergence_of_two_coins():
    for seed in range(20):
        p, q = random_masses(2, 6, seed=seed)
        answers = RNG(seed).uniform(0.05, 0.95, 6)
        best = p / (p + q)
        coins = [stats.entropy([b, 1 - b], [a, 1 - a]) for b, a in zip(best, answers, strict=True)]
        gap = value(p, q, best) - value(p, q, answers)
        assert gap == pytest.approx(np.sum((p + q) * coins))
        assert gap > 0


# The generator's losses


@pytest.mark.equation("eq-game-slopes")
@pytest.mark.parametrize("name", ["saturating", "non-saturating"])
def test_slopes_in_the_logit_by_autograd(name):
    logits = torch.linspace(-9, 9, 37, requires_grad=True)
    (37 * ADVERSARIAL_LOSSES[name].generator(logits)).backward()
    d = 1 / (1 + (-logits.detach().double()).exp())
    expected = -d if name == "saturating" else d - 1
    torch.testing.assert_close(logits.grad.double(), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.equation("eq-game-slopes")
def test_limits_of_the_slopes():
    """Caught: 0 and -1. Taken for real: -1 and 0. The small one vanishes like exp(-|a|)."""
    for a, of_saturating, of_non_saturating in [(-25.0, 0.0, -1.0), (25.0, -1.0, 0.0)]:
        for loss, limit in [
            (losses.saturating_generator_loss, of_saturating),
            (losses.non_saturating_generator_loss, of_non_saturating),
        ]:
            logit = torch.tensor([a], requires_grad=True)
            loss(logit).backward()
            assert logit.grad.item() == pytest.approx(limit, abs=1e-10)
            if limit == 0:
                assert logit.grad.item() == pytest.approx(-math.exp(-25), rel=1e-4)


@pytest.mark.equation("eq-game-chain")
@pytest.mark.parametrize("name", ["saturating", "non-saturating"])
def test_each_point_is_sent_uphill_with_a_weight_of_its_own(name):
    """The gradient of a small GAN's generator, assembled from its Jacobian point by point."""
    torch.manual_seed(0)
    gan = GAN.mlp(latent_dim=3, hidden=(5,), loss=ADVERSARIAL_LOSSES[name]).double()
    z = torch.randn(6, 3).double()
    gan.loss.generator(gan.discriminator(gan.generator(z))).backward()
    expected = [torch.zeros_like(p) for p in gan.generator.parameters()]
    for x in gan.generator(z):
        x_alone = x.detach().requires_grad_()
        logit = gan.discriminator(x_alone[None])[0]
        (uphill,) = torch.autograd.grad(logit, x_alone)
        w = logit.sigmoid() if name == "saturating" else (-logit).sigmoid()
        pulled = torch.autograd.grad(
            x, list(gan.generator.parameters()), w.detach() * uphill, retain_graph=True
        )
        expected = [e - p / 6 for e, p in zip(expected, pulled, strict=True)]
    for parameter, by_hand in zip(gan.generator.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, by_hand, atol=1e-6, rtol=1e-4)


T = torch.linspace(-25, 25, 5001, dtype=torch.float64)
Z = torch.linspace(-9, 9, 1801, dtype=torch.float64)
WEIGHT = torch.from_numpy(stats.norm.pdf(Z.numpy())) * (Z[1] - Z[0])
LOG_P = torch.logaddexp(
    math.log(0.6) + torch.distributions.Normal(-1.5, 0.5).log_prob(T),
    math.log(0.4) + torch.distributions.Normal(1.5, 0.5).log_prob(T),
)


def log_p(x):
    return torch.logaddexp(
        math.log(0.6) + torch.distributions.Normal(-1.5, 0.5).log_prob(x),
        math.log(0.4) + torch.distributions.Normal(1.5, 0.5).log_prob(x),
    )


def slope_against_the_best(name, mean, std):
    """The generator's gradient: D* is held still, points m + σz move, a sum over z."""
    numbers = torch.tensor([mean, std], dtype=torch.float64, requires_grad=True)
    x = numbers[0] + numbers[1] * Z
    logits = log_p(x) - torch.distributions.Normal(mean, std).log_prob(x)
    loss = logsigmoid(-logits) if name == "saturating" else -logsigmoid(logits)
    return torch.autograd.grad((WEIGHT * loss).sum(), numbers)[0]


def slope_of_divergence(divergence, mean, std):
    """Differentiate an integral over the line with respect to the generator's two numbers."""
    numbers = torch.tensor([mean, std], dtype=torch.float64, requires_grad=True)
    log_q = torch.distributions.Normal(*numbers).log_prob(T)
    log_m = torch.logaddexp(LOG_P, log_q) - math.log(2)
    return torch.autograd.grad(divergence(LOG_P, log_q, log_m) * (T[1] - T[0]), numbers)[0]


def twice_js(log_p, log_q, log_m):
    return (log_p.exp() * (log_p - log_m) + log_q.exp() * (log_q - log_m)).sum()


def reverse_less_js(log_p, log_q, log_m):
    return (log_q.exp() * (log_q - log_p)).sum() - twice_js(log_p, log_q, log_m)


PLACES = [(-2.0, 0.8), (0.0, 1.5), (2.5, 0.6)]


@pytest.mark.equation("eq-game-envelope")
@pytest.mark.parametrize(("mean", "std"), PLACES)
def test_saturating_loss_descends_twice_js(mean, std):
    torch.testing.assert_close(
        slope_against_the_best("saturating", mean, std),
        slope_of_divergence(twice_js, mean, std),
        atol=1e-7,
        rtol=1e-5,
    )


@pytest.mark.equation("eq-game-reverse")
@pytest.mark.parametrize(("mean", "std"), PLACES)
def test_non_saturating_loss_descends_reverse_kl_less_twice_js(mean, std):
    torch.testing.assert_close(
        slope_against_the_best("non-saturating", mean, std),
        slope_of_divergence(reverse_less_js, mean, std),
        atol=1e-7,
        rtol=1e-5,
    )


@pytest.mark.equation("eq-game-softened")
def test_reverse_kl_less_twice_js_is_a_divergence_of_the_mixture():
    for seed in range(20):
        p, q = random_masses(2, 6, seed=seed)
        ours = stats.entropy(q, p) - 2 * js(p, q)
        assert ours == pytest.approx(2 * stats.entropy((p + q) / 2, p))
        assert ours > 0


@pytest.mark.equation("eq-game-far")
@pytest.mark.parametrize("theta", [0.5, 2.0, 5.0])
def test_slopes_far_from_the_data(theta):
    """By quadrature over the line, from p, q and their ratio alone."""
    p, q = stats.norm(0, 1), stats.norm(theta, 1)
    mean_answer, _ = integrate.quad(
        lambda x: q.pdf(x) * p.pdf(x) / (p.pdf(x) + q.pdf(x)), theta - 12, theta + 12
    )
    numbers = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    x = numbers + Z
    logits = torch.distributions.Normal(0, 1).log_prob(x) - (-((x - theta) ** 2) / 2)
    logits = logits + math.log(2 * math.pi) / 2
    for loss, slope in [
        (logsigmoid(-logits), theta * mean_answer),
        (-logsigmoid(logits), theta * (1 - mean_answer)),
    ]:
        (ours,) = torch.autograd.grad((WEIGHT * loss).sum(), numbers, retain_graph=True)
        assert ours.item() == pytest.approx(slope, rel=1e-6)
    assert mean_answer <= math.exp(-(theta**2) / 8) / 2


@pytest.mark.equation("eq-game-gaussian")
def test_the_best_logit_between_two_gaussians_written_out():
    x = np.linspace(-4, 4, 17)
    m, sigma, mu, s = -1.0, 0.5, 1.0, 1.5
    formula = np.log(sigma / s) + (x - m) ** 2 / (2 * sigma**2) - (x - mu) ** 2 / (2 * s**2)
    np.testing.assert_allclose(
        formula, stats.norm.logpdf(x, mu, s) - stats.norm.logpdf(x, m, sigma)
    )
    assert np.polynomial.Polynomial.fit(x, formula, 2).convert().coef[2] == (
        pytest.approx(1 / (2 * sigma**2) - 1 / (2 * s**2))
    )


@pytest.mark.equation("eq-game-smoothing")
@pytest.mark.parametrize("smoothing", [0.1, 0.3])
def test_the_best_answer_under_smoothed_labels(smoothing):
    """Minimise the library's loss over a table of logits; masses are counts in the batches."""
    real, fake = torch.arange(4).repeat_interleave(torch.tensor([1, 2, 3, 4])), torch.arange(4)
    table = torch.zeros(4, requires_grad=True)
    newton = torch.optim.LBFGS([table], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        newton.zero_grad()
        loss = losses.cross_entropy_discriminator_loss(table[real], table[fake], smoothing)
        loss.backward()
        return loss

    newton.step(closure)
    p, q = torch.tensor([0.1, 0.2, 0.3, 0.4]), torch.full((4,), 0.25)
    expected = (1 - smoothing) * p / (p + q)
    torch.testing.assert_close(table.detach().sigmoid(), expected, atol=1e-4, rtol=0)


# The algorithm


@pytest.mark.equation("alg-game")
@pytest.mark.parametrize("name", ["saturating", "non-saturating"])
def test_training_is_the_algorithm_written_out(name):
    """Four rounds of the library against the losses as the equations have them, turn by turn."""
    torch.manual_seed(0)
    gan = GAN.mlp(latent_dim=2, hidden=(6,), unit=2.0, loss=ADVERSARIAL_LOSSES[name])
    g = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 2))
    d = nn.Sequential(nn.Linear(2, 6), nn.ReLU(), nn.Linear(6, 1))
    for mine, theirs in [(g, gan.generator), (d, gan.discriminator)]:
        mine.load_state_dict(theirs.state_dict())
    stream = data.Draws(data.Gaussians(), 16)
    objectives = [
        Objective(player, loss, torch.optim.SGD(gan.players[player].parameters(), 0.1))
        for player, loss in [
            ("discriminator", gan.discriminator_loss),
            ("generator", gan.generator_loss),
        ]
    ]
    fit(gan.players, objectives, stream, 4, device="cpu", seed=3)

    def noise(draw):
        torch.manual_seed(data.derive_seed(3, draw))
        return torch.randn(16, 2)

    def down(loss, module):
        gradients = torch.autograd.grad(loss, list(module.parameters()))
        with torch.no_grad():
            for parameter, gradient in zip(module.parameters(), gradients, strict=True):
                parameter -= 0.1 * gradient

    for turn in range(4):
        real, fake = stream.at(2 * turn)[0] / 2, g(noise(2 * turn))
        down(-(d(real).sigmoid().log().mean() + (1 - d(fake).sigmoid()).log().mean()), d)
        answers = d(g(noise(2 * turn + 1))).sigmoid()
        down((1 - answers).log().mean() if name == "saturating" else -answers.log().mean(), g)
    for mine, theirs in [(g, gan.generator), (d, gan.discriminator)]:
        for ours, other in zip(mine.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(other, ours, atol=1e-5, rtol=1e-4)


# Two numbers that chase each other


class Spot(nn.Module):
    """A generator that shifts the same points by θ, whatever the noise."""

    def __init__(self, theta, points):
        super().__init__()
        self.theta, self.points = nn.Parameter(torch.tensor(theta)), points

    def forward(self, z):
        return self.theta + self.points


class Slope(nn.Module):
    """A discriminator with the logit ψx."""

    def __init__(self, psi):
        super().__init__()
        self.psi = nn.Parameter(torch.tensor(psi))

    def forward(self, x):
        return self.psi * x[:, 0]


class Fixed:
    """A density that always gives the same points."""

    def __init__(self, points):
        self.points = points

    def sample(self, n, generator=None):
        return self.points


def played(start, h, rounds, order, loss="saturating", gamma=0.0, points=None):
    """Play the library's losses through ``fit``; θ and ψ after each round, (rounds + 1, 2)."""
    points = torch.zeros(1, 1) if points is None else points
    gan = GAN(Spot(start[0], points), Slope(start[1]), 1, loss=ADVERSARIAL_LOSSES[loss])

    def penalty(critic, real, fake):
        return gamma * losses.zero_centred_penalty(critic, real)

    def discriminator_loss(step):
        return gan.discriminator_loss(step, penalty)

    def look():
        return {"θ": gan.generator.theta.item(), "ψ": gan.discriminator.psi.item()}

    history = fit(
        gan.players,
        [
            Objective(
                "discriminator",
                discriminator_loss,
                torch.optim.SGD(gan.discriminator.parameters(), h),
            ),
            Objective(
                "generator", gan.generator_loss, torch.optim.SGD(gan.generator.parameters(), h)
            ),
        ],
        data.Draws(Fixed(points), len(points)),
        rounds,
        order=order,
        device="cpu",
        callbacks=[Evaluate(look, every=1)],
    )
    after = torch.tensor([history.series(name)[1] for name in ("θ", "ψ")]).T
    return torch.cat([torch.tensor([start]), after])


def jacobian_of_a_round(h, order, loss, gamma=0.0, points=None):
    """The linear map of one round at the solution: two tiny starts, played by ``fit``."""
    tiny = 1e-3
    columns = [
        played(start, h, 1, order, loss, gamma, points)[1] / tiny
        for start in [(tiny, 0.0), (0.0, tiny)]
    ]
    return torch.stack(columns, dim=1).double()


@pytest.mark.equation("eq-game-flow")
def test_infinitely_small_steps_stay_on_a_circle():
    """SciPy integrates the two slopes, which autograd takes from the value of the game."""

    def slopes(_, players):
        theta, psi = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in players)
        down, up = torch.autograd.grad(-torch.nn.functional.softplus(psi * theta), (theta, psi))
        return [-down.item(), up.item()]

    path = integrate.solve_ivp(slopes, (0, 15), [1.0, 0.3], rtol=1e-8, atol=1e-10).y
    np.testing.assert_allclose(np.hypot(*path), math.hypot(1, 0.3), rtol=1e-6)
    assert path[0].min() < -0.9  # it went round


@pytest.mark.equation("eq-game-simultaneous")
def test_at_the_same_time_every_round_leads_outwards_by_the_derived_factor():
    path = played((1.0, 0.0), 0.5, 40, "simultaneous").double()
    slopes = 1 / (1 + np.exp(-path.prod(1).numpy()))
    factors = (path[1:].square().sum(1) / path[:-1].square().sum(1)).numpy()
    np.testing.assert_allclose(factors, 1 + 0.25 * slopes[:-1] ** 2, rtol=1e-5)


@pytest.mark.equation("eq-game-simultaneous")
@pytest.mark.parametrize(("c", "loss"), [HALF, ONE])
@pytest.mark.parametrize("h", [0.1, 1.0])
def test_eigenvalues_at_the_same_time(h, c, loss):
    found = torch.linalg.eigvals(jacobian_of_a_round(h, "simultaneous", loss))
    assert found.abs().max().item() == pytest.approx(math.hypot(1, h * c), rel=1e-4)
    assert sorted(found.imag.tolist()) == pytest.approx([-h * c, h * c], rel=1e-3)


@pytest.mark.equation("eq-game-alternating")
@pytest.mark.parametrize(("c", "loss"), [HALF, ONE])
@pytest.mark.parametrize("h", [0.1, 1.0, 1.9])
def test_eigenvalues_in_turns_lie_on_the_unit_circle(h, c, loss):
    jacobian, k = jacobian_of_a_round(h, "alternating", loss), h * c
    found = torch.linalg.eigvals(jacobian)
    np.testing.assert_allclose(found.abs(), 1, rtol=2e-4)
    assert found.imag.max().item() == pytest.approx(k * math.sqrt(1 - k**2 / 4), rel=1e-3)
    expected = torch.tensor([[1 - k**2, k], [-k, 1.0]]).double()
    torch.testing.assert_close(jacobian, expected, atol=1e-4, rtol=0)


@pytest.mark.equation("eq-game-alternating")
def test_in_turns_with_too_large_a_step_the_players_run_away():
    found = torch.linalg.eigvals(jacobian_of_a_round(2.2, "alternating", "wasserstein"))
    assert found.imag.abs().max() == 0
    assert found.real.min() < -1.2


@pytest.mark.equation("eq-game-alternating")
def test_the_non_saturating_loss_has_the_same_map_near_the_solution():
    one, other = (
        jacobian_of_a_round(0.7, "alternating", name) for name in ("saturating", "non-saturating")
    )
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


@pytest.mark.equation("eq-game-alternating")
@pytest.mark.parametrize("h", [0.3, 1.2])
def test_alternating_rounds_of_fit_neither_arrive_nor_leave(h):
    order = "alternating"
    radius = played((0.01, 0.0), h, 300, order).norm(dim=1)
    assert 0.006 < radius.min() <= radius.max() < 0.016
    radius = played((0.01, 0.0), h, 300, "simultaneous").norm(dim=1)
    assert radius[-1] > 0.1


@pytest.mark.equation("eq-game-invariant")
@pytest.mark.parametrize("h", [0.3, 1.0])
def test_the_wasserstein_game_in_turns_stays_on_an_ellipse(h):
    path = played((1.0, -0.4), h, 60, "alternating", "wasserstein").double()
    q = path.square().sum(1) - h * path.prod(1)
    np.testing.assert_allclose(q, q[0], rtol=1e-4)
    assert path[:, 0].min() < -0.5  # it went round


@pytest.mark.equation("eq-game-r1")
@pytest.mark.parametrize(("c", "loss"), [HALF, ONE])
@pytest.mark.parametrize(("h", "gamma"), [(0.2, 0.5), (0.6, 1.0)])
def test_maps_under_r1(h, gamma, c, loss):
    k = h * c
    expected = {
        "simultaneous": [[1, k], [-k, 1 - h * gamma]],
        "alternating": [[1 - k**2, k * (1 - h * gamma)], [-k, 1 - h * gamma]],
    }
    determinants = {"simultaneous": 1 - h * gamma + k**2, "alternating": 1 - h * gamma}
    for order, matrix in expected.items():
        found = jacobian_of_a_round(h, order, loss, gamma)
        torch.testing.assert_close(found, torch.tensor(matrix).double(), atol=1e-4, rtol=0)
        assert torch.linalg.det(found).item() == pytest.approx(determinants[order], abs=2e-4)


@pytest.mark.equation("eq-game-range")
@pytest.mark.parametrize("c", [0.5, 1.0])
@pytest.mark.parametrize("gamma", [0.2, 1.0, 3.0])
def test_range_of_steps_that_arrive_under_r1(gamma, c):
    """A fine grid of step sizes, the moduli by NumPy, against the two conditions."""
    for h in np.linspace(0.01, 6, 400):
        k, left = h * c, 1 - h * gamma
        for matrix, conditions in [
            ([[1, k], [-k, left]], [gamma / c**2 - h, 4 - 2 * h * gamma + k**2]),
            ([[1 - k**2, k * left], [-k, left]], [4 - 2 * h * gamma - k**2]),
        ]:
            if min(abs(v) for v in conditions) > 1e-3:
                arrives = np.abs(np.linalg.eigvals(np.array(matrix, dtype=float))).max() < 1
                assert arrives == (min(conditions) > 0)


@pytest.mark.equation("eq-game-range")
def test_r1_brings_both_orders_home_through_fit():
    """With γ = 0.5 and c = 1/2 the ranges end at h = 2, and, in turns, at 2.5."""
    for h, order, home in [
        (0.4, "simultaneous", True),
        (0.4, "alternating", True),
        (3.0, "simultaneous", False),
        (2.2, "alternating", True),
    ]:
        radius = played((0.01, 0.0), h, 120, order, gamma=0.5).norm(dim=1)
        assert (radius[-1] < 1e-3) == home


@pytest.mark.equation("eq-game-spread")
def test_second_derivatives_of_the_value_with_spread():
    """A skewed set of points, mean 0: only its variance may matter."""
    points = torch.tensor([-1.0, -0.5, 1.5], dtype=torch.float64)
    variance = points.square().mean()

    def game(players):
        theta, psi = players
        return logsigmoid(psi * points).mean() + logsigmoid(-psi * (theta + points)).mean()

    hessian = torch.func.jacrev(torch.func.jacrev(game))(torch.zeros(2, dtype=torch.float64))
    expected = torch.stack([torch.zeros(()).double(), -torch.ones(()).double() / 2])
    torch.testing.assert_close(hessian[0], expected)
    torch.testing.assert_close(hessian[1, 1], -variance / 2)


@pytest.mark.equation("eq-game-spread")
@pytest.mark.parametrize("order", ["simultaneous", "alternating"])
def test_spread_brakes_as_r1_with_half_the_variance(order):
    points = torch.tensor([[-1.0], [-0.5], [1.5]])
    gamma = points.square().mean().item() / 2
    with_spread = jacobian_of_a_round(0.5, order, "saturating", points=points)
    with_r1 = jacobian_of_a_round(0.5, order, "saturating", gamma=gamma)
    torch.testing.assert_close(with_spread, with_r1, atol=2e-3, rtol=0)
