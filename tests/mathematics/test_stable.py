"""The equations of chapter 09, each against something independent of its derivation."""

import copy
import math

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, special, stats
from torch import nn

from genlearn import losses, nets
from genlearn.callbacks import Average
from genlearn.data import Draws, Gaussians, derive_seed
from genlearn.models import GAN
from genlearn.training import Objective, Step, fit

DOUBLE = {"dtype": torch.float64}
DRAWS = np.random.default_rng


# Distances and their critics


def margins(n: int, m: int) -> np.ndarray:
    """The matrix that takes a flattened plan (n, m) to its two margins."""
    rows, columns = np.kron(np.eye(n), np.ones((1, m))), np.kron(np.ones((1, n)), np.eye(m))
    return np.concatenate([rows, columns])


@pytest.fixture
def clouds():
    """Five and seven points of three dimensions with unequal masses; cost, programme, solution."""
    generator = DRAWS(0)
    x, y = generator.normal(size=(5, 3)), generator.normal(size=(7, 3)) + 1
    p, q = generator.dirichlet(np.ones(5)), generator.dirichlet(np.ones(7))
    cost = np.linalg.norm(x[:, None] - y, axis=-1)
    plan = optimize.linprog(cost.ravel(), A_eq=margins(5, 7), b_eq=np.concatenate([p, q]))
    return x, y, p, q, cost, plan.fun, plan.x.reshape(5, 7)


def best_prices(cost, p, q):
    """The twin of the transport programme, solved on its own: u and v."""
    n, m = cost.shape
    twin = optimize.linprog(
        -np.concatenate([p, q]), A_ub=margins(n, m).T, b_ub=cost.ravel(), bounds=(None, None)
    )
    return twin.x[:n], twin.x[n:]


@pytest.mark.equation("eq-stable-lines")
@pytest.mark.parametrize("theta", [-0.7, 0.02, 3.0])
def test_parallel_lines(theta):
    """Twelve points on each line; the plan by a linear programme, the divergence by a table."""
    height = (np.arange(12) + 0.5) / 12
    cost = np.hypot(theta, height[:, None] - height)
    mass = np.full(24, 1 / 12)
    transport = optimize.linprog(cost.ravel(), A_eq=margins(12, 12), b_eq=mass).fun
    assert transport == pytest.approx(abs(theta))
    p, q = np.repeat([1 / 12, 0], 12), np.repeat([0, 1 / 12], 12)  # 24 places
    mean = (p + q) / 2
    divergence = (stats.entropy(p, mean) + stats.entropy(q, mean)) / 2
    assert divergence == pytest.approx(math.log(2))


@pytest.mark.equation("eq-stable-lagrangian")
def test_prices_of_broken_margins(clouds):
    _, _, p, q, cost, _, _ = clouds
    generator = DRAWS(1)
    plan, u, v = generator.random((5, 7)), generator.normal(size=5), generator.normal(size=7)
    broken = (cost * plan).sum() + u @ (p - plan.sum(1)) + v @ (q - plan.sum(0))
    sorted_anew = u @ p + v @ q + (plan * (cost - u[:, None] - v)).sum()
    assert broken == pytest.approx(sorted_anew)


@pytest.mark.equation("eq-stable-dual", "eq-stable-kantorovich")
def test_best_plan_best_prices_and_best_critic_are_worth_the_same(clouds):
    x, y, p, q, cost, distance, _ = clouds
    u, v = best_prices(cost, p, q)
    assert u @ p + v @ q == pytest.approx(distance)
    # the critic, as a programme of its own: a value for each of the twelve points
    points = np.concatenate([x, y])
    apart = np.linalg.norm(points[:, None] - points, axis=-1).ravel()
    difference = np.kron(np.eye(12), np.ones((12, 1))) - np.kron(np.ones((12, 1)), np.eye(12))
    critic = optimize.linprog(
        -np.concatenate([p, -q]), A_ub=difference, b_ub=apart, bounds=(None, None)
    )
    assert -critic.fun == pytest.approx(distance)


@pytest.mark.equation("eq-stable-tight", "eq-stable-line")
def test_the_best_critic_rises_at_full_rate_where_mass_is_moved(clouds):
    x, y, p, q, cost, _, plan = clouds
    _, v = best_prices(cost, p, q)

    def critic(point):  # eq-stable-extension
        return (np.linalg.norm(point - y, axis=-1) - v).min()

    moved = np.argwhere(plan > 1e-9)
    assert len(moved) >= 7
    for i, j in moved:
        for share in [0.0, 0.3, 0.8, 1.0]:
            here = critic(share * x[i] + (1 - share) * y[j])
            assert here == pytest.approx(critic(y[j]) + share * cost[i, j], abs=1e-8)
    generator = DRAWS(2)
    for _ in range(200):  # and nowhere faster
        a, b = 3 * generator.normal(size=(2, 3))
        assert abs(critic(a) - critic(b)) <= np.linalg.norm(a - b) + 1e-9


@pytest.mark.equation("eq-stable-quantile")
def test_on_a_line_the_distance_is_the_area_between_quantiles():
    generator = DRAWS(3)
    a, b = generator.normal(size=9), generator.exponential(size=9)
    cost = abs(a[:, None] - b)
    programme = optimize.linprog(cost.ravel(), A_eq=margins(9, 9), b_eq=np.full(18, 1 / 9)).fun
    assert abs(np.sort(a) - np.sort(b)).mean() == pytest.approx(programme)
    assert stats.wasserstein_distance(a, b) == pytest.approx(programme)  # by F and G
    one, two = stats.norm(0, 1), stats.norm(1, 2)
    across, _ = integrate.quad(lambda t: abs(one.ppf(t) - two.ppf(t)), 0, 1)
    upright, _ = integrate.quad(lambda x: abs(one.cdf(x) - two.cdf(x)), -30, 30, limit=200)
    assert across == pytest.approx(upright, rel=1e-4)


@pytest.mark.equation("eq-stable-wgan")
def test_the_wasserstein_losses_lead_where_they_should():
    """The best linear critic points from generated to real; the generator then moves that way."""
    real, fake = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    slope = torch.zeros(2, requires_grad=True)
    losses.wasserstein_discriminator_loss(real @ slope, fake @ slope).backward()
    assert (-slope.grad).tolist() == [2, 0]  # the critic goes up towards the real point
    fake.requires_grad_(True)
    losses.wasserstein_generator_loss(fake @ torch.tensor([1.0, 0.0])).backward()
    assert (-fake.grad).tolist() == [[1, 0]]


# Penalties


@pytest.mark.equation("eq-stable-linear", "eq-stable-gp", "eq-stable-one-sided", "eq-stable-zero")
@pytest.mark.parametrize("length", [0.4, 1.7])
def test_penalties_of_a_linear_critic(length):
    torch.manual_seed(0)
    slope = nn.functional.normalize(torch.randn(3, 4, 4), dim=None) * length

    def critic(images):
        return (images * slope).sum((1, 2, 3)) + 5

    images = torch.randn(10, 3, 4, 4)
    two_sided = losses.unit_gradient_penalty(critic, images)
    one_sided = losses.unit_gradient_penalty(critic, images, one_sided=True)
    assert two_sided.item() == pytest.approx((length - 1) ** 2, rel=1e-4)
    assert one_sided.item() == pytest.approx(max(0, length - 1) ** 2, rel=1e-4, abs=1e-9)
    zero = losses.zero_centred_penalty(critic, images)
    assert zero.item() == pytest.approx(length**2 / 2, rel=1e-4)


@pytest.mark.equation("eq-stable-gp", "eq-stable-zero")
def test_penalties_of_a_quadratic_critic_and_what_they_teach_it():
    """Of ½ xᵀAx, which has the gradient Ax: values, and derivatives by A, by hand."""
    torch.manual_seed(1)
    points = torch.randn(20, 3)
    matrix = torch.randn(3, 3)
    matrix = ((matrix + matrix.T) / 2).requires_grad_(True)

    def critic(x):
        return torch.einsum("ni,ij,nj->n", x, matrix, x) / 2

    slopes = points @ (matrix + matrix.T).detach() / 2
    norms = slopes.norm(dim=1, keepdim=True)
    for penalty, value, outer in [
        (losses.zero_centred_penalty, norms.square().mean() / 2, slopes),
        (losses.unit_gradient_penalty, (norms - 1).square().mean(), 2 * (1 - 1 / norms) * slopes),
    ]:
        (gradient,) = torch.autograd.grad(penalty(critic, points), matrix)
        by_hand = outer.T @ points / 20  # d/dA of a function of Ax, then made symmetric
        torch.testing.assert_close(penalty(critic, points), value)
        torch.testing.assert_close(gradient, (by_hand + by_hand.T) / 2, atol=1e-5, rtol=1e-4)


@pytest.mark.equation("eq-stable-zero")
def test_r1_and_r2_look_at_different_points():
    """A critic that is steep at generated points alone: R1 is zero there, R2 is not."""
    torch.manual_seed(0)
    gan = GAN(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 1), nn.Flatten(0)), 2)
    with torch.no_grad():
        gan.generator.weight.zero_()
        gan.generator.bias.copy_(torch.tensor([3.0, 0.0]))

    def steep_on_the_right(x):
        return (x[:, 0] - 1).relu() * 4

    gan.discriminator.forward = steep_on_the_right
    step = Step(0, (torch.zeros(8, 2),), torch.default_generator)
    charged = {
        name: gan.discriminator_loss(step, penalty)["penalty"].item()
        for name, penalty in {
            "R1": lambda f, real, fake: losses.zero_centred_penalty(f, real),
            "R2": lambda f, real, fake: losses.zero_centred_penalty(f, fake),
        }.items()
    }
    assert charged == {"R1": 0, "R2": 8}


@pytest.mark.equation("eq-stable-overshoot")
@pytest.mark.parametrize(("distance", "weight"), [(3.0, 10.0), (1.0, 0.5)])
def test_a_price_on_slope_leaves_it_above_one(distance, weight):
    """A critic of 50 free values on the line between two points, by descent on WGAN-GP's loss."""

    def loss(values):
        slopes = np.diff(values) / (distance / 49)
        return values[0] - values[-1] + weight * ((abs(slopes) - 1) ** 2).mean()

    best = optimize.minimize(loss, np.linspace(0, distance, 50), method="L-BFGS-B", tol=1e-12)
    slopes = np.diff(best.x) / (distance / 49)
    np.testing.assert_allclose(slopes, 1 + distance / (2 * weight), rtol=1e-3)


@pytest.mark.equation("eq-stable-lazy")
def test_a_lazy_penalty_gives_the_same_gradient_on_average():
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1), nn.Flatten(0)).double()
    points = torch.randn(16, 2, **DOUBLE)
    start = copy.deepcopy(critic.state_dict())

    def moved(weight, every):
        """How far eight steps of plain descent lead; too small to change the gradient."""
        critic.load_state_dict(start)
        sgd = torch.optim.SGD(critic.parameters(), 1e-6)
        objective = Objective(
            "lazy",
            lambda step: weight * losses.zero_centred_penalty(critic, points),
            sgd,
            every=every,
        )
        fit({"critic": critic}, [objective], Draws(Gaussians(), 1), 8, device="cpu")
        return torch.cat([(p.detach() - start[n]).flatten() for n, p in critic.named_parameters()])

    eager, lazy = moved(0.1, 1), moved(0.1 * 4, 4)
    assert eager.abs().max() > 0
    torch.testing.assert_close(lazy, eager, rtol=1e-4, atol=1e-12)


@pytest.mark.equation("eq-stable-dead")
@pytest.mark.parametrize("theta", [0.1, -0.5, 0.79, 0.9, -1.5])
def test_an_unsquared_penalty_silences_the_judge_near_the_goal(theta):
    def value(psi, penalty):
        return math.log(0.5) - np.logaddexp(0, psi * theta) - penalty(psi)

    def best(penalty):
        psi = np.linspace(-2, 2, 400_001)
        return psi[value(psi, penalty).argmax()]

    assert (abs(best(lambda psi: 0.4 * abs(psi))) < 1e-5) == (abs(theta) <= 0.8)
    assert best(lambda psi: 0.2 * psi**2) * theta < -1e-3


# The blur


@pytest.fixture(scope="module")
def judged():
    """The best logit less R1 on a line, by Newton's method on the full problem; and the grid."""
    x = np.linspace(-6, 6, 401)
    width = x[1] - x[0]
    difference = np.diff(np.eye(len(x)), axis=0) / width

    def best_logit(p, q, gamma):
        p, q = p.pdf(x), q.pdf(x)
        between = (p[1:] + p[:-1]) / 2
        stiffness = gamma * difference.T @ (between[:, None] * difference)
        f = np.zeros_like(x)
        for _ in range(8):
            share = special.expit(f)
            uphill = p * (1 - share) - q * share - stiffness @ f
            f += np.linalg.solve(np.diag((p + q) * share * (1 - share)) + stiffness, uphill)
        return f

    return x, best_logit


@pytest.mark.equation("eq-stable-blur")
@pytest.mark.parametrize("gamma", [0.0, 0.05, 0.5, 5.0])
def test_r1_answers_a_displaced_mode_as_if_all_were_blurred(judged, gamma):
    x, best_logit = judged
    f = best_logit(stats.norm(0, 1), stats.norm(0.01, 1), gamma)
    blurred = math.sqrt(1 + 2 * gamma)
    truth = stats.norm(0, blurred).logpdf(x) - stats.norm(0.01, blurred).logpdf(x)
    inner = abs(x) < 2
    np.testing.assert_allclose(
        np.polyfit(x[inner], f[inner], 1)[0], np.polyfit(x, truth, 1)[0], rtol=0.01
    )


@pytest.mark.equation("eq-stable-damped")
@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_r1_damps_a_fault_by_its_fineness(judged, n):
    """The data are bent by a Hermite polynomial; which share of it is left in the logit?"""
    x, best_logit = judged
    normal = stats.norm(0, 1)
    bend = special.eval_hermitenorm(n, x)

    class Bent:
        @staticmethod
        def pdf(x):
            return normal.pdf(x) * (1 - 1e-4 * special.eval_hermitenorm(n, x))

    for gamma in [0.1, 1.0]:
        f = best_logit(normal, Bent, gamma)
        share = np.sum(normal.pdf(x) * f * bend) / np.sum(normal.pdf(x) * bend**2) / 1e-4
        assert share == pytest.approx(1 / (1 + 2 * gamma * n), rel=0.01)


@pytest.mark.equation("eq-stable-operator")
def test_the_equation_of_r1s_best_logit_holds_for_two_modes(judged):
    x, best_logit = judged

    class Two:
        def __init__(self, left):
            self.left = left

        def pdf(self, x):
            one, two = stats.norm(-1.2, 0.8), stats.norm(1.2, 0.8)
            return self.left * one.pdf(x) + (1 - self.left) * two.pdf(x)

    p, q, gamma = Two(0.5), Two(0.501), 0.3
    f = best_logit(p, q, gamma)
    width = x[1] - x[0]
    flow = p.pdf((x[1:] + x[:-1]) / 2) * np.diff(f) / width
    left = f[1:-1] - 2 * gamma / p.pdf(x[1:-1]) * np.diff(flow) / width
    right = (p.pdf(x) - q.pdf(x))[1:-1] / p.pdf(x[1:-1])
    inner = abs(x[1:-1]) < 3
    np.testing.assert_allclose(left[inner], right[inner], atol=0.02 * abs(right[inner]).max())


@pytest.fixture(scope="module")
def small_games():
    """The whole game on a line at q = p, both densities free: eigenvalues of its Jacobian."""
    x = torch.linspace(-6, 6, 121, **DOUBLE)
    width = x[1] - x[0]
    p = torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi)
    between = torch.exp(-((x[1:] + x[:-1]) / 2).square() / 2) / math.sqrt(2 * math.pi)

    def value(f, q, gamma):
        softplus = nn.functional.softplus
        slopes = f.diff() / width
        penalty = gamma / 2 * (between * slopes.square()).sum()
        return (-(p * softplus(-f)).sum() - (q * softplus(f)).sum() - penalty) * width

    def eigenvalues(gamma):
        def field(state):
            f, h = state.chunk(2)
            q = p * (1 + h)
            (uphill,) = torch.autograd.grad(value(f, q, gamma), f, create_graph=True)
            midway = (f[1:] + f[:-1]) / 2
            flow = (q[1:] * between / p[1:] + q[:-1] * between / p[:-1]) / 2  # q between points
            flow = nn.functional.pad(flow * torch.sigmoid(-midway) * f.diff() / width, (1, 1))
            return torch.cat([uphill / (p * width), -flow.diff() / width / p])

        jacobian = torch.autograd.functional.jacobian(field, torch.zeros(242, **DOUBLE))
        return np.linalg.eigvals(jacobian.numpy())

    return eigenvalues


@pytest.mark.equation("eq-stable-detail")
@pytest.mark.parametrize("gamma", [0.0, 0.2])
def test_each_fineness_of_a_fault_plays_a_small_game_of_its_own(small_games, gamma):
    found = small_games(gamma)
    for fineness in [1, 2, 3]:  # Hermite polynomials of a standard normal mode
        for root in np.roots([1, 0.5 + gamma * fineness, fineness / 4]):
            assert abs(found - root).min() < 0.02 * abs(root)


@pytest.mark.equation("eq-stable-steps")
@pytest.mark.parametrize(("gamma", "fineness"), [(0.0, 3.0), (0.05, 8.0), (0.1, 20.0)])
def test_steps_shrink_a_fault_up_to_the_derived_size(gamma, fineness):
    game = np.array([[-0.5 - gamma * fineness, -0.5], [fineness / 2, 0]])
    assert abs(np.linalg.eigvals(game).imag).min() > 0
    limit = 4 * gamma + 2 / fineness
    for size, shrinks in [(0.98 * limit, True), (1.02 * limit, False)]:
        state = np.array([0.0, 1.0])
        for _ in range(3000):
            state = state + size * game @ state
        assert (np.linalg.norm(state) < 1) == shrinks


# Layers


@pytest.mark.equation("eq-stable-composition")
def test_a_network_of_normalised_layers_stretches_nothing():
    torch.manual_seed(0)
    layers = [nn.Linear(6, 20), nn.Linear(20, 20), nn.Linear(20, 1)]
    for layer in layers:
        nn.init.normal_(layer.weight)
    network = nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.LeakyReLU(0.2), layers[2])
    nets.spectrally_normalised(network)
    for _ in range(200):
        network(torch.zeros(1, 6))  # a step of the power iteration each
    network.eval()
    a, b = 3 * torch.randn(5000, 6), 3 * torch.randn(5000, 6)
    stretch = (network(a) - network(b)).norm(dim=1) / (a - b).norm(dim=1)
    assert stretch.max() < 1 + 1e-3
    product = math.prod(np.linalg.norm(layer.weight.detach().numpy(), 2) for layer in layers)
    assert product == pytest.approx(1, abs=2e-3)


@pytest.mark.equation("eq-stable-power")
def test_power_iteration_closes_in_on_the_first_singular_vector_at_the_derived_rate():
    torch.manual_seed(0)
    left, _ = torch.linalg.qr(torch.randn(7, 4, **DOUBLE))
    right, _ = torch.linalg.qr(torch.randn(4, 4, **DOUBLE))
    values = torch.tensor([2.0, 1.5, 0.7, 0.1], **DOUBLE)
    matrix = left * values @ right.T
    v = torch.randn(4, **DOUBLE)
    parts = right.T @ v
    for k in range(1, 6):
        v = matrix.T @ (matrix @ v)
        torch.testing.assert_close(right.T @ v, values ** (2 * k) * parts)
    for _ in range(60):
        v = nn.functional.normalize(matrix.T @ (matrix @ v), dim=0)
        assert (matrix @ v).norm() <= 2 + 1e-12
    assert (matrix @ v).norm().item() == pytest.approx(torch.linalg.svdvals(matrix)[0].item())


@pytest.mark.equation("eq-stable-normalised", "eq-stable-normalised-slope")
@pytest.mark.parametrize("factor", [0.1, 1.0, 30.0])
def test_a_gradient_normalised_critic_is_bounded_and_its_pieces_are_flat_enough(factor):
    torch.manual_seed(0)
    network = nn.Sequential(*nets.mlp((3, 32, 32, 1), activation=nn.ReLU), nn.Flatten(0)).double()
    with torch.no_grad():
        network[4].weight.mul_(factor)
        network[4].bias.mul_(factor)
    critic = nets.GradientNormalised(network)
    points = 2 * torch.randn(500, 3, **DOUBLE)
    value = critic(points).detach()
    assert value.abs().max() < 1
    step = 1e-6  # inside one piece, for all but a few points: slopes by differences
    slopes = torch.stack(
        [(critic(points + step * e) - critic(points - step * e)).detach() for e in torch.eye(3)]
    )
    norms = slopes.norm(dim=0) / (2 * step)
    close = (norms - (1 - value.abs()) ** 2).abs() < 1e-4
    assert close.double().mean() > 0.98


# Losses


@pytest.fixture
def tables():
    """Densities p and q on six places, none of them zero."""
    generator = DRAWS(5)
    return generator.dirichlet(np.ones(6)), generator.dirichlet(np.ones(6))


def parabola_bottom(p, b, q, a):
    """Where p (d - b)² + q (d - a)² is least, by search."""
    return optimize.minimize_scalar(lambda d: p * (d - b) ** 2 + q * (d - a) ** 2).x


@pytest.mark.equation("eq-stable-least-squares", "eq-stable-pearson")
def test_least_squares_finds_a_weighted_mean_and_leaves_pearsons_divergence(tables):
    p, q = tables
    for a, b, c in [(-1.0, 1.0, 0.0), (0.0, 2.0, 1.0), (0.0, 1.0, 1.0)]:
        best = np.array([parabola_bottom(p[i], b, q[i], a) for i in range(6)])
        np.testing.assert_allclose(best, (b * p + a * q) / (p + q), atol=1e-6)
        left = ((p + q) * (best - c) ** 2).sum()
        if b - c == 1 and b - a == 2:
            assert left == pytest.approx(((p + q - 2 * q) ** 2 / (p + q)).sum())
        else:  # the library's coding
            assert left == pytest.approx((q**2 / (p + q)).sum())
            assert left > 1 / 2  # its value at q = p, by Jensen's inequality


@pytest.mark.equation("eq-stable-hinge")
def test_hinge_finds_the_sign_and_leaves_the_total_variation(tables):
    p, q = tables
    real, fake = torch.tensor(10_000 * p).long(), torch.tensor(10_000 * q).long()
    p, q = (real / real.sum()).double(), (fake / fake.sum()).double()
    scale = torch.linspace(-2, 2, 401)

    def loss_at(place, output):
        """The library's loss, all outputs zero but one."""
        outputs = torch.zeros(6)
        outputs[place] = output
        return losses.hinge_discriminator_loss(
            outputs.repeat_interleave(real), outputs.repeat_interleave(fake)
        )

    best = torch.stack(
        [scale[torch.stack([loss_at(i, s) for s in scale]).argmin()] for i in range(6)]
    )
    torch.testing.assert_close(best.double(), (p - q).sign(), atol=1e-5, rtol=0)
    least = losses.hinge_discriminator_loss(
        best.repeat_interleave(real), best.repeat_interleave(fake)
    )
    variation = (p - q).abs().sum() / 2
    assert least.item() == pytest.approx(2 - 2 * variation.item(), abs=1e-4)
    assert least.item() == pytest.approx(2 * torch.minimum(p, q).sum().item(), abs=1e-4)


# Time


@pytest.mark.equation("eq-stable-two-scales")
@pytest.mark.parametrize(
    ("rate_g", "rate_d", "gamma"), [(1.0, 1.0, 0.0), (1.0, 7.0, 0.0), (0.5, 3.0, 0.3), (1.0, 40, 2)]
)
def test_eigenvalues_of_the_dirac_gan_with_two_rates(rate_g, rate_d, gamma):
    """The Jacobian of the players' own losses at the goal, by automatic differentiation."""

    def field(players):
        theta, psi = players.requires_grad_(True).unbind()

        def critic(x):
            return psi * x

        of_d = losses.cross_entropy_discriminator_loss(critic(torch.zeros(1)), critic(theta[None]))
        of_d = of_d + gamma * psi**2 / 2
        of_g = losses.non_saturating_generator_loss(critic(theta[None]))
        (down_g,) = torch.autograd.grad(of_g, theta, create_graph=True)
        (down_d,) = torch.autograd.grad(of_d, psi, create_graph=True)
        return torch.stack([-rate_g * down_g, -rate_d * down_d])

    jacobian = torch.autograd.functional.jacobian(field, torch.zeros(2))
    found = np.sort_complex(np.linalg.eigvals(jacobian.numpy()))
    root = np.emath.sqrt((gamma * rate_d) ** 2 - rate_g * rate_d) / 2
    derived = np.sort_complex(np.array([-gamma * rate_d / 2 - root, -gamma * rate_d / 2 + root]))
    np.testing.assert_allclose(found, derived, atol=1e-5)


@pytest.mark.equation("eq-stable-average")
def test_the_running_average_is_a_weighted_sum_of_all_weights():
    torch.manual_seed(0)
    source, average = nn.Linear(2, 1), nn.Linear(2, 1)
    start = average.weight.detach().clone()
    callback = Average(source, average, decay=0.0625)  # below its warm-up: the same at each step
    seen = []

    class Moving:
        step = 0

    for t in range(1, 8):
        nn.init.normal_(source.weight)
        seen.append(source.weight.detach().clone())
        Moving.step = t
        callback.after_step(Moving)
    decay = 0.0625
    closed = decay**7 * start + (1 - decay) * sum(decay**k * seen[6 - k] for k in range(7))
    torch.testing.assert_close(average.weight, closed)


@pytest.mark.equation("eq-stable-orbit")
@pytest.mark.parametrize(("beta", "omega"), [(0.9, 0.3), (0.99, 0.05)])
def test_the_average_of_a_circle_is_a_smaller_circle(beta, omega):
    average, turn = np.zeros(2), []
    for t in range(3000):
        average = beta * average + (1 - beta) * np.array([np.cos(omega * t), np.sin(omega * t)])
        turn.append(np.hypot(*average))
    expected = (1 - beta) / math.sqrt(1 - 2 * beta * math.cos(omega) + beta**2)
    np.testing.assert_allclose(turn[-100:], expected, rtol=1e-6)


@pytest.mark.equation("alg-stable")
def test_a_round_of_the_algorithm_written_out():
    """One step of each player and the average, through fit, against plain PyTorch."""
    torch.manual_seed(0)
    batches = Draws(Gaussians(std=0.05), 16)
    gan = GAN.mlp(hidden=(16,), unit=2.0)
    by_hand, average = copy.deepcopy(gan), copy.deepcopy(gan.generator)

    def r1(critic, real, fake):
        return 0.1 * losses.zero_centred_penalty(critic, real)

    def optimiser(player):
        return torch.optim.SGD(player.parameters(), 0.1)

    fit(
        {**gan.players, "average": average},
        [
            Objective("d", lambda s: gan.discriminator_loss(s, r1), optimiser(gan.discriminator)),
            Objective("g", gan.generator_loss, optimiser(gan.generator)),
        ],
        batches,
        1,
        device="cpu",
        callbacks=[Average(gan.generator, average, 0.1)],
    )

    def noise(draw):
        torch.manual_seed(derive_seed(0, draw))
        return torch.randn(16, 8)

    before = copy.deepcopy(by_hand.generator)
    g, d = by_hand.generator, by_hand.discriminator
    real = (batches.at(0)[0] / 2).requires_grad_(True)
    on_real, on_fake = d(real), d(g(noise(0)).detach())
    (slope,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
    loss = -on_real.sigmoid().log().mean() - (1 - on_fake.sigmoid()).log().mean()
    (loss + 0.1 / 2 * slope.square().sum(1).mean()).backward()
    optimiser(d).step()
    g.zero_grad()
    (-d(g(noise(1))).sigmoid().log().mean()).backward()
    optimiser(g).step()
    for ours, theirs in zip(by_hand.parameters(), gan.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    for old, new, mean in zip(
        before.parameters(), g.parameters(), average.parameters(), strict=True
    ):
        torch.testing.assert_close(mean, 0.1 * old + 0.9 * new, rtol=1e-4, atol=1e-6)


def test_an_average_is_judged_by_statistics_of_its_own():
    """The average of two networks' weights, with batch norm: the output must be normalised."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3, affine=False))
    source, average = copy.deepcopy(network), copy.deepcopy(network)
    nn.init.normal_(source[0].weight, 2.0)
    for _ in range(100):
        source(torch.randn(64, 4))  # statistics of the source

    class Moving:
        step = 10**6

    Average(source, average, decay=0.5).after_step(Moving)
    average.eval()
    nets.restate_batch_norm(average, [torch.randn(256, 4) for _ in range(50)])
    outputs = average(torch.randn(20_000, 4))
    torch.testing.assert_close(outputs.mean(0), torch.zeros(3), atol=0.05, rtol=0)
    torch.testing.assert_close(outputs.std(0), torch.ones(3), atol=0.05, rtol=0)


def test_the_matrix_of_a_convolution_hides_up_to_the_root_of_its_places():
    """The exercise: a kernel of nine ones, on a large image of ones."""
    kernel = torch.ones(1, 1, 3, 3)
    image = torch.ones(1, 1, 200, 200)
    of_matrix = torch.linalg.matrix_norm(kernel.flatten(1), 2)
    stretch = nn.functional.conv2d(image, kernel, padding=1).norm() / image.norm()
    assert of_matrix.item() == pytest.approx(3)
    assert 8.9 < stretch.item() <= 9
