"""The equations of chapter 10, each against something independent of its derivation."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, special, stats
from torch import nn

from genlearn.losses import zero_centred_penalty
from genlearn.models import (
    PPCA,
    ConditionalGAN,
    invert,
    linear_path,
    noise_regression_loss,
    principal_directions,
    slope_direction,
    spherical_path,
    towards,
    truncated_noise,
    without,
)
from genlearn.nets import ConcatenatedLabel, ProjectedLabel
from genlearn.training import Step

DOUBLE = {"dtype": torch.float64}


@pytest.fixture
def tables():
    """p(y), p(x | y) and q(x | y) for three labels and six images, a row a label."""
    rng = np.random.default_rng(0)
    return rng.dirichlet(np.ones(3)), *rng.dirichlet(np.ones(6), size=(2, 3))


def value(p, q, d):
    """The value of the game: tables of p, q and the discriminator's probability."""
    return (p * np.log(d) + q * np.log1p(-d)).sum()


def best_value(p, q):
    """Largest value that any table of probabilities reaches, by numerical search."""

    def loss_and_slope(a):
        a = a.reshape(p.shape)
        loss = -(p * special.log_expit(a) + q * special.log_expit(-a)).sum()
        return loss, ((p + q) * special.expit(a) - p).ravel()

    found = optimize.minimize(loss_and_slope, np.zeros(p.size), jac=True, tol=1e-13)
    return -found.fun, special.expit(found.x.reshape(p.shape))


def jensen_shannon(p, q):
    return (stats.entropy(p, (p + q) / 2) + stats.entropy(q, (p + q) / 2)) / 2


# The game


@pytest.mark.equation("eq-steer-value")
def test_the_conditional_game_is_one_game_for_each_class(tables):
    prior, p, q = tables
    reached, d = best_value(prior[:, None] * p, prior[:, None] * q)
    classes = [jensen_shannon(*pair) for pair in zip(p, q, strict=True)]
    assert abs(reached - (2 * prior @ classes - 2 * math.log(2))) < 1e-9
    np.testing.assert_allclose(d, p / (p + q), atol=1e-5)


@pytest.mark.equation("eq-steer-value")
def test_labels_of_another_frequency_can_be_told_apart_without_a_look(tables):
    prior, p, _ = tables
    other = prior[::-1]
    reached, _ = best_value(prior[:, None] * p, other[:, None] * p)
    of_labels, _ = best_value(prior, other.copy())
    assert reached > -2 * math.log(2) + 0.01
    assert abs(reached - of_labels) < 1e-9


@pytest.mark.equation("eq-steer-blind")
def test_without_labels_only_the_mixture_counts(tables):
    prior, p, q = tables
    mixture = prior @ q
    reached, _ = best_value(prior @ p, mixture)
    assert abs(reached - 2 * jensen_shannon(prior @ p, mixture) + 2 * math.log(2)) < 1e-9
    # one table for all pairs of a column: what a discriminator without labels can say
    d = (prior @ p) / (prior @ p + mixture)
    for exchanged in (q, np.tile(mixture, (3, 1))):  # with labels ignored the mixture is the same
        pairs = value(prior[:, None] * p, prior[:, None] * exchanged, np.tile(d, (3, 1)))
        assert abs(pairs - reached) < 1e-9


@pytest.mark.equation("eq-steer-concatenation")
def test_a_concatenated_label_chooses_the_bias():
    torch.manual_seed(0)
    layer, x = nn.Linear(5 + 3, 4), torch.randn(6, 5)
    net = ConcatenatedLabel(layer, 3)
    for label in range(3):
        expected = x @ layer.weight[:, :5].T + layer.bias + layer.weight[:, 5 + label]
        torch.testing.assert_close(net(x, torch.full((6,), label)), expected)


# Projection


@pytest.fixture
def log_linear():
    """Features of six images, class vectors of data and model, and their joint tables."""
    rng = np.random.default_rng(1)
    features, v_p, v_q = rng.normal(size=(6, 2)), *rng.normal(size=(2, 3, 2))
    p_x, q_x = rng.dirichlet(np.ones(6), size=2)
    p = p_x[:, None] * special.softmax(features @ v_p.T, 1)
    q = q_x[:, None] * special.softmax(features @ v_q.T, 1)
    return features, v_p, v_q, p, q


@pytest.mark.equation("eq-steer-ratio")
def test_the_best_logit_is_that_of_the_label_and_that_of_the_image(log_linear):
    *_, p, q = log_linear
    _, d = best_value(p, q)
    label = np.log(p / p.sum(1, keepdims=True)) - np.log(q / q.sum(1, keepdims=True))
    image = np.log(p.sum(1) / q.sum(1))
    np.testing.assert_allclose(special.logit(d), label + image[:, None], atol=1e-3)


@pytest.mark.equation("eq-steer-projection")
def test_the_projection_is_the_best_discriminator_of_log_linear_classes(log_linear):
    """The library's network, with ψ given as one more feature, against enumerated tables."""
    features, v_p, v_q, p, q = log_linear
    normalisers = special.logsumexp(features @ v_p.T, 1) - special.logsumexp(features @ v_q.T, 1)
    psi = np.log(p.sum(1) / q.sum(1)) - normalisers
    net = ProjectedLabel(nn.Identity(), 3, 3).double()
    with torch.no_grad():
        net.class_vectors.weight[:, :2] = torch.from_numpy(v_p - v_q)
        net.unlabelled.weight.copy_(torch.tensor([[0.0, 0.0, 1.0]]))
        net.unlabelled.bias.zero_()
    x = torch.from_numpy(np.column_stack([features, psi]))
    logits = [net(x, torch.full((6,), label)).detach().numpy() for label in range(3)]
    np.testing.assert_allclose(np.stack(logits, 1), np.log(p / q), atol=1e-12)


@pytest.mark.equation("eq-steer-projection")
def test_the_centred_logits_have_no_more_rank_than_there_are_features(log_linear):
    *_, p, q = log_linear
    rng = np.random.default_rng(2)
    for logits, rank in [(np.log(p / q), 2), (rng.normal(size=(6, 4)), 3)]:
        centred = logits - logits.mean(1, keepdims=True)
        assert np.linalg.matrix_rank(centred, tol=1e-9) == rank


@pytest.mark.equation("alg-steer")
def test_a_step_of_each_player_written_out():
    """Losses from logarithms and a finite difference of the logit, without the library's losses."""
    torch.manual_seed(0)
    gan = ConditionalGAN.mlp((1, 2, 2), 3, 2, latent_dim=3, hidden=(8,))
    nn.init.normal_(gan.discriminator.class_vectors.weight)
    images, y = torch.randint(3, (5, 1, 2, 2), dtype=torch.uint8), torch.tensor([0, 1, 1, 0, 1])
    step = Step(0, (images, y), torch.default_generator)
    torch.manual_seed(1)
    z = torch.randn(5, 3).double()
    torch.manual_seed(1)
    terms = gan.discriminator_loss(
        step, lambda critic, real, _: 0.7 * zero_centred_penalty(critic, real)
    )
    torch.manual_seed(1)
    g_loss = gan.generator_loss(step)["loss"]
    gan = gan.double()
    real = images.double() - 1
    with torch.no_grad():
        fake = gan.generator(z, y)
        d_real, d_fake = (torch.sigmoid(gan.discriminator(x, y)) for x in (real, fake))
        eps, squares = 1e-6, torch.zeros(5, **DOUBLE)
        for pixel in range(4):
            shift = torch.zeros(4, **DOUBLE)
            shift[pixel] = eps
            shift = shift.view(1, 1, 2, 2)
            up, down = (gan.discriminator(real + s * shift, y) for s in (1, -1))
            squares += ((up - down) / (2 * eps)).square()
    expected = -d_real.log().mean() - (1 - d_fake).log().mean() + 0.35 * squares.mean()
    torch.testing.assert_close(terms["loss"].double(), expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(g_loss.double(), -d_fake.log().mean(), rtol=1e-5, atol=1e-6)


# Truncation


@pytest.mark.equation("eq-steer-truncated")
@pytest.mark.parametrize("tau", [0.3, 1.0, 2.5])
def test_the_variance_of_truncated_noise(tau):
    formula = 1 - 2 * tau * stats.norm.pdf(tau) / (2 * stats.norm.cdf(tau) - 1)
    assert abs(formula - stats.truncnorm(-tau, tau).var()) < 1e-12
    torch.manual_seed(0)
    z = truncated_noise(100, 1000, tau).flatten()
    assert stats.kstest(z.double().numpy(), stats.truncnorm(-tau, tau).cdf).pvalue > 0.01
    assert abs(z.var() / formula - 1) < 0.02


@pytest.mark.equation("eq-steer-truncated")
def test_without_a_threshold_noise_is_standard_normal():
    torch.manual_seed(0)
    z = truncated_noise(100, 1000, math.inf).flatten()
    assert stats.kstest(z.double().numpy(), stats.norm.cdf).pvalue > 0.01


def test_towards_the_mean_the_scatter_shrinks_by_the_share():
    torch.manual_seed(0)
    h = torch.randn(50, 3, **DOUBLE)
    shrunk = towards(h, h.mean(0), 0.3)
    torch.testing.assert_close(shrunk.mean(0), h.mean(0))
    torch.testing.assert_close(shrunk.T.cov(), 0.09 * h.T.cov())


# Paths


@pytest.mark.equation("eq-steer-shell")
@pytest.mark.parametrize("dims", [2, 32, 512])
def test_the_squared_length_of_noise(dims):
    mean, variance = stats.chi2(dims).stats()
    assert (mean, variance) == (dims, 2 * dims)
    torch.manual_seed(0)
    square = truncated_noise(20_000, dims, math.inf).square().sum(1)
    assert abs(square.mean() / dims - 1) < 0.03
    assert abs(square.var() / (2 * dims) - 1) < 0.06


@pytest.mark.equation("eq-steer-straight")
def test_the_straight_path_is_shorter_halfway():
    torch.manual_seed(0)
    points = linear_path(*torch.randn(2, 20_000, 16), 5)
    t = torch.linspace(0, 1, 5)
    expected = 16 * ((1 - t) ** 2 + t**2)
    torch.testing.assert_close(points.square().sum(2).mean(1), expected, rtol=0.02, atol=0)


@pytest.mark.equation("eq-steer-slerp")
def test_the_spherical_path_turns_evenly_and_keeps_the_length():
    """Against the rotation in the plane of both ends, by the matrix exponential."""
    torch.manual_seed(0)
    a, b = torch.randn(2, 5, **DOUBLE)
    b = b * a.norm() / b.norm()
    c = b - (b @ a) / (a @ a) * a
    u, w = a / a.norm(), c / c.norm()
    angle = torch.arccos(a @ b / (a @ a))
    turn = torch.outer(w, u) - torch.outer(u, w)
    expected = [torch.matrix_exp(t * angle * turn) @ a for t in torch.linspace(0, 1, 6, **DOUBLE)]
    torch.testing.assert_close(spherical_path(a, b, 6), torch.stack(expected))


# Directions


@pytest.mark.equation("eq-steer-stein")
def test_the_slope_is_the_mean_gradient():
    """Both means by Gauss-Hermite quadrature in two dimensions."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    z = torch.tensor(np.stack(np.meshgrid(nodes, nodes, indexing="ij"), -1).reshape(-1, 2))
    weight = torch.tensor(np.outer(weights, weights).ravel() / (2 * math.pi))

    def quantity(z):
        return torch.tanh(z[:, 0] + 0.5 * z[:, 1]) + torch.sin(z[:, 1]) * z[:, 0] ** 2

    z.requires_grad_()
    f = quantity(z)
    (gradient,) = torch.autograd.grad(f.sum(), z)
    slope = (weight * f) @ z
    torch.testing.assert_close(slope, weight @ gradient, rtol=1e-6, atol=1e-8)
    torch.manual_seed(0)
    drawn = torch.randn(200_000, 2, **DOUBLE)
    found = slope_direction(drawn, quantity(drawn))
    assert found @ slope / slope.norm() > 0.999


@pytest.mark.equation("eq-steer-without")
def test_a_linear_quantity_stays_where_it_was():
    torch.manual_seed(0)
    u, w, z = torch.randn(4), torch.randn(4), torch.randn(7, 4)
    rest = without(u, w)
    torch.testing.assert_close((z + 3 * rest) @ w, z @ w)
    expected = u - (u @ w) / (w @ w) * w
    torch.testing.assert_close(rest, expected / expected.norm())
    assert rest @ u < u.norm()  # the price


@pytest.mark.equation("eq-steer-components")
def test_for_a_linear_layer_the_directions_are_right_singular_vectors():
    torch.manual_seed(0)
    left = torch.linalg.qr(torch.randn(6, 4)).Q
    right = torch.linalg.qr(torch.randn(4, 4)).Q
    weight = left @ torch.diag(torch.tensor([4.0, 3.0, 2.0, 1.0])) @ right
    noise = torch.randn(200_000, 4)
    components = principal_directions(noise, noise @ weight.T + 1.0, 4)
    assert ((components.noise * right).sum(1).abs() > 0.999).all()
    expected = torch.tensor([4.0, 3.0, 2.0, 1.0])
    torch.testing.assert_close(components.std, expected, rtol=0.02, atol=0)


# Inversion


@pytest.mark.equation("eq-steer-inversion")
def test_for_a_linear_generator_the_search_ends_at_the_posterior_mean():
    torch.manual_seed(0)
    model, x = PPCA(6, 3).double(), torch.randn(4, 6, **DOUBLE)
    nn.init.constant_(model.log_noise_std, -0.5)
    weight, mean = model.weight.detach(), model.mean.detach()
    found = invert(
        lambda z: z @ weight.T + mean,
        x,
        torch.randn(2, 4, 3, **DOUBLE),
        steps=600,
        prior_weight=math.exp(-1.0),
    )
    torch.testing.assert_close(found.noise, model.posterior(x).mean.detach(), atol=1e-4, rtol=0)


@pytest.mark.equation("eq-steer-encoder")
def test_the_best_guess_is_the_mean_of_all_noise_that_makes_the_picture():
    """With x = z₁ + z₂ of standard normal noise: E[z | x] = (x/2, x/2), with scatter 1."""

    def generator(z):
        return z.sum(1, keepdim=True)

    def scatter(x):
        def integrand(z):
            return stats.norm.pdf(z) * stats.norm.pdf(x - z)

        total = integrate.quad(integrand, -9, 9)[0]
        mean = integrate.quad(lambda z: z * integrand(z), -9, 9)[0] / total
        square = integrate.quad(lambda z: z * z * integrand(z), -9, 9)[0] / total
        return mean, 2 * (square - mean**2)  # z₁ and z₂ alike

    mean, left = scatter(1.3)
    assert abs(mean - 0.65) < 1e-6
    torch.manual_seed(0)
    noise = torch.randn(100_000, 2)
    losses = {
        share: noise_regression_loss(lambda x, s=share: s * x.expand(-1, 2), generator, noise)
        for share in (0.3, 0.5, 0.7)
    }
    assert abs(losses[0.5] - left) < 0.02
    # ‖e - z̄‖² for the others: 2 · (0.2 x)² with E[x²] = 2
    for share in (0.3, 0.7):
        assert abs(losses[share] - left - 0.16) < 0.02
