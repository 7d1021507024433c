"""The equations of chapter 03, each against something independent of its derivation."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, special, stats

RNG = np.random.default_rng
PAIRS = [
    (stats.norm(0.3, 1.2), stats.norm(-0.5, 0.8)),
    (stats.laplace(0.2, 0.7), stats.norm(0.0, 2.0)),
    (stats.gumbel_r(0.0, 1.0), stats.logistic(0.5, 0.6)),
]


X = np.linspace(-40, 40, 80_001)  # outside, all densities here are below 1e-15


def expectation(p, values):
    """E_p[f(x)] by the trapezoid rule, from the values of f on X."""
    return integrate.trapezoid(p.pdf(X) * values, X)


def kl(p, q):
    return expectation(p, p.logpdf(X) - q.logpdf(X))


class Half:
    """The even mixture of two SciPy densities."""

    def __init__(self, p, q):
        self.p, self.q = p, q

    def pdf(self, x):
        return (self.p.pdf(x) + self.q.pdf(x)) / 2

    def logpdf(self, x):
        return np.logaddexp(self.p.logpdf(x), self.q.logpdf(x)) - math.log(2)


def js(p, q):
    return (kl(p, Half(p, q)) + kl(q, Half(p, q))) / 2


def random_masses(*shape, seed=0):
    """Positive numbers that add up to one."""
    masses = RNG(seed).random(shape) + 0.05
    return masses / masses.sum()


# Which kind, and real or made


@pytest.mark.equation("eq-learn-bayes")
def test_bayes_rule_by_counting():
    """Ten million pairs of point and label, drawn and counted."""
    prior = np.array([0.5, 0.3, 0.2])
    given = np.array([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.2, 0.2, 0.6]])  # a row a label
    counts = RNG(0).multinomial(10_000_000, (prior[:, None] * given).ravel()).reshape(3, 3)
    formula = prior[:, None] * given / (prior @ given)
    np.testing.assert_allclose(counts / counts.sum(0), formula, atol=2e-3)


@pytest.mark.equation("eq-learn-discriminator")
def test_the_ratio_is_the_classifier_with_the_least_loss():
    """A grid of all answers, for a point: none has less mean loss than p / (p + q)."""
    answers = np.linspace(1e-4, 1 - 1e-4, 9_999)
    for p, q in random_masses(20, 2):
        losses = -p * np.log(answers) - q * np.log1p(-answers)
        assert answers[losses.argmin()] == pytest.approx(p / (p + q), abs=1e-4)


# Networks


@pytest.mark.equation("eq-learn-logistic")
@pytest.mark.parametrize("y", [0, 1])
def test_loss_and_slope_of_a_logistic_answer(y):
    for a in np.linspace(-8, 8, 33):
        right = stats.bernoulli(1 / (1 + math.exp(-a))).pmf(y)
        assert np.logaddexp(0, a) - y * a == pytest.approx(-math.log(right))
        around = [np.logaddexp(0, b) - y * b for b in (a - 1e-5, a + 1e-5)]
        slope = (around[1] - around[0]) / 2e-5
        assert 1 / (1 + math.exp(-a)) - y == pytest.approx(slope, abs=1e-6)


@pytest.mark.equation("eq-learn-backward")
def test_gradients_by_hand_are_those_of_autograd():
    """One point, as the equations have it, against a network of PyTorch."""
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))
    network.double()
    x, y = torch.randn(3).double(), 1.0
    W1, b1, W2, b2 = network.parameters()
    output = network(x)
    torch.nn.functional.binary_cross_entropy_with_logits(output, torch.ones(1).double()).backward()
    with torch.no_grad():
        h = torch.tanh(W1 @ x + b1)
        delta = torch.sigmoid(W2 @ h + b2) - y
        g = (W2.T @ delta) * (1 - h**2)
    expected = [torch.outer(g, x), g, torch.outer(delta, h), delta]
    for parameter, by_hand in zip((W1, b1, W2, b2), expected, strict=True):
        torch.testing.assert_close(parameter.grad, by_hand)


# Likelihood and divergence


@pytest.mark.equation("eq-learn-gibbs")
def test_divergence_is_never_negative_and_zero_only_for_equal_masses():
    for seed in range(200):
        p, q = random_masses(6, seed=seed), random_masses(6, seed=seed + 1000)
        assert stats.entropy(p, q) > 0
        assert np.sum(p * np.log(p / q)) == pytest.approx(stats.entropy(p, q))
        assert np.sum(p * np.log(p / p)) == 0


@pytest.mark.equation("eq-learn-gibbs")
@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_divergence_of_densities_is_positive_in_both_directions(p, q):
    assert kl(p, q) > 0.01
    assert kl(q, p) > 0.01


@pytest.mark.equation("eq-learn-cross-entropy")
@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_cross_entropy_is_entropy_plus_divergence(p, q):
    """SciPy has the entropies in closed form."""
    cross_entropy = -expectation(p, q.logpdf(X))
    assert cross_entropy == pytest.approx(float(p.entropy()) + kl(p, q), abs=1e-6)


@pytest.mark.equation("eq-learn-ml")
def test_the_likeliest_of_a_family_is_the_nearest():
    """A family with one parameter, masses on eight values, all of a fine grid tried."""
    p = random_masses(8, seed=3)
    slopes = np.linspace(-1, 1, 2001)
    family = np.exp(slopes[:, None] * np.arange(8))
    family /= family.sum(1, keepdims=True)
    draws = RNG(0).choice(8, 2_000_000, p=p)
    likelihood = np.log(family) @ np.bincount(draws, minlength=8) / len(draws)
    divergence = np.array([stats.entropy(p, q) for q in family])
    assert slopes[likelihood.argmax()] == pytest.approx(slopes[divergence.argmin()], abs=2e-3)
    assert (likelihood < -stats.entropy(p) + 1e-3).all()  # the bar


@pytest.mark.equation("eq-learn-invariance")
def test_divergence_does_not_depend_on_the_units():
    """Log-normal densities, which SciPy has by itself, are normal ones seen through exp."""
    p, q = stats.norm(0.3, 0.5), stats.norm(-0.1, 0.8)
    p_y, q_y = stats.lognorm(0.5, scale=math.exp(0.3)), stats.lognorm(0.8, scale=math.exp(-0.1))
    in_y, _ = integrate.quad(
        lambda y: p_y.pdf(y) * (p_y.logpdf(y) - q_y.logpdf(y)), 0, 60, points=[0.5, 1, 3], limit=400
    )
    assert in_y == pytest.approx(kl(p, q), abs=1e-6)
    assert abs(float(p_y.entropy() - p.entropy())) > 0.2  # the entropy does


@pytest.mark.equation("eq-learn-moments")
@pytest.mark.parametrize("p", [stats.gumbel_r(0.4, 1.3), stats.laplace(-1.0, 0.6)])
def test_the_nearest_gaussian_has_the_mean_and_the_variance(p):
    """A minimiser that knows no derivative finds them."""
    found = optimize.minimize(
        lambda numbers: kl(p, stats.norm(numbers[0], math.exp(numbers[1]))),
        [0.0, 0.0],
        method="Nelder-Mead",
        options={"xatol": 1e-4, "fatol": 1e-9},
    )
    mean, std = found.x[0], math.exp(found.x[1])
    assert mean == pytest.approx(p.mean(), abs=2e-3)
    assert std == pytest.approx(p.std(), abs=2e-3)
    least = 0.5 * math.log(2 * math.pi * math.e * p.var()) - float(p.entropy())
    assert found.fun == pytest.approx(least, abs=1e-6)  # the exercise


@pytest.mark.equation("eq-learn-js-bounds")
@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_jensen_shannon_is_symmetric_and_between_its_bounds(p, q):
    assert 0 < js(p, q) < math.log(2)
    assert js(p, q) == pytest.approx(js(q, p), abs=1e-9)
    assert js(p, p) == pytest.approx(0, abs=1e-9)


@pytest.mark.equation("eq-learn-js-bounds")
def test_jensen_shannon_is_log_2_for_densities_in_different_places():
    assert js(stats.norm(-15, 0.5), stats.norm(15, 0.5)) == pytest.approx(math.log(2), abs=1e-8)


@pytest.mark.equation("eq-learn-js-discriminator")
@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_a_perfect_discriminator_measures_jensen_shannon(p, q):
    ratio = p.logpdf(X) - q.logpdf(X)  # the classifier's output before the logistic function
    by_classifier = (
        math.log(2)
        + expectation(p, special.log_expit(ratio)) / 2
        + expectation(q, special.log_expit(-ratio)) / 2
    )
    assert by_classifier == pytest.approx(js(p, q), abs=1e-6)


@pytest.mark.equation("eq-learn-js-discriminator")
def test_any_other_discriminator_measures_less():
    """The exercise."""
    p, q = random_masses(6, seed=1), random_masses(6, seed=2)
    m = (p + q) / 2
    exact = (stats.entropy(p, m) + stats.entropy(q, m)) / 2
    for seed in range(200):
        answers = RNG(seed).uniform(0.01, 0.99, 6)
        assert math.log(2) + (p @ np.log(answers) + q @ np.log1p(-answers)) / 2 < exact


@pytest.mark.equation("eq-learn-lost")
@pytest.mark.parametrize("weight", [0.6, 0.5, 0.01])
def test_what_a_lost_mode_costs(weight):
    """Two Gaussians thirty standard deviations apart; the model is the first."""
    first, second = stats.norm(-15, 1), stats.norm(15, 1)
    log_p = np.logaddexp(
        math.log(weight) + first.logpdf(X), math.log(1 - weight) + second.logpdf(X)
    )
    reverse = expectation(first, first.logpdf(X) - log_p)
    assert reverse == pytest.approx(math.log(1 / weight), abs=1e-6)


@pytest.mark.equation("eq-learn-chain")
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_conditionals_multiply_to_the_joint_in_any_order(order):
    """All 24 outcomes; each conditional is counted from the table by itself."""
    joint = random_masses(2, 3, 4)
    for outcome in np.ndindex(*joint.shape):
        product, known = 1.0, [slice(None)] * 3
        for axis in order:
            before = joint[tuple(known)].sum()
            known[axis] = slice(outcome[axis], outcome[axis] + 1)
            product *= joint[tuple(known)].sum() / before
        assert product == pytest.approx(joint[outcome])
