"""The equations of chapter 05, each against something independent of its derivation."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch.distributions import MultivariateNormal, Normal
from torch.nn.functional import binary_cross_entropy_with_logits

from genlearn.losses import beta_vae_loss, free_bits, rate_parts, warm_up
from genlearn.metrics import factor_score, mutual_information_gap
from genlearn.models import PPCA

DOUBLE = {"dtype": torch.float64}
BETAS = [0.2, 0.5, 1.0, 2.0, 8.0]


@pytest.fixture
def tables():
    """Four images and three codes: p_data(x), p(z), p(x | z) and q(z | x), a row an image."""
    rng = np.random.default_rng(0)
    data, prior = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(3))
    return data, prior, rng.dirichlet(np.ones(4), size=3).T, rng.dirichlet(np.ones(3), size=4)


def distortion_and_rate(prior, likelihood, q):
    """D(x) and R(x) of each image, by summing over the codes."""
    return -(q * np.log(likelihood)).sum(1), stats.entropy(q, prior[None], axis=1)


def tempered(prior, likelihood, beta):
    """p(z) p(x | z)^(1/β) as a distribution over codes, and what it was divided by."""
    product = prior * likelihood ** (1 / beta)
    return product / product.sum(1, keepdims=True), product.sum(1)


# The weight of the rate


@pytest.mark.equation("eq-beta-objective")
@pytest.mark.parametrize("beta", BETAS)
def test_the_librarys_loss_is_distortion_plus_beta_times_rate(beta, random_vae):
    vae = random_vae((1, 2, 2), 3, latent_dim=2, hidden=(8,))
    x = torch.randint(0, 3, (50, 1, 2, 2), dtype=torch.uint8)
    terms = vae.terms(x, torch.randn(50, 2))
    by_hand = sum(-d + beta * r for d, r in zip(terms.reconstruction, terms.rate, strict=True)) / 50
    torch.testing.assert_close(beta_vae_loss(terms.reconstruction, terms.rate, beta), by_hand)


@pytest.mark.equation("eq-beta-bound")
@pytest.mark.parametrize("beta", BETAS)
def test_negative_objective_is_the_evidence_less_the_gap_and_the_surcharge(beta, tables):
    _, prior, likelihood, q = tables
    evidence = np.log(likelihood @ prior)
    posterior = likelihood * prior / (likelihood @ prior)[:, None]
    distortion, rate = distortion_and_rate(prior, likelihood, q)
    gap = stats.entropy(q, posterior, axis=1)
    np.testing.assert_allclose(-distortion - beta * rate, evidence - gap - (beta - 1) * rate)


@pytest.mark.equation("eq-beta-bound")
def test_a_small_weight_is_no_bound_and_a_large_one_is_a_looser_one():
    """At the exact posterior of probabilistic PCA, where the gap is zero."""
    torch.manual_seed(0)
    model, x = PPCA(5, 2).double(), torch.randn(7, 5, **DOUBLE)
    q, evidence = model.posterior(x), model.log_prob(x)
    rate = torch.distributions.kl_divergence(q, MultivariateNormal(torch.zeros(2), torch.eye(2)))
    for beta in BETAS:
        weighted = model.elbo(x, q) - (beta - 1) * rate
        assert torch.equal(weighted > evidence + 1e-9, torch.full((7,), beta < 1))
        assert torch.equal(weighted < evidence - 1e-9, torch.full((7,), beta > 1))


@pytest.mark.equation("eq-beta-tempered")
@pytest.mark.parametrize("beta", BETAS)
def test_the_best_encoder_is_the_tempered_posterior(beta, tables):
    _, prior, likelihood, _ = tables
    best, total = tempered(prior, likelihood, beta)
    distortion, rate = distortion_and_rate(prior, likelihood, best)
    np.testing.assert_allclose(distortion + beta * rate, -beta * np.log(total))
    rng = np.random.default_rng(1)
    for _ in range(50):
        q = rng.dirichlet(np.ones(3), size=4)
        distortion, rate = distortion_and_rate(prior, likelihood, q)
        excess = beta * stats.entropy(q, best, axis=1)
        np.testing.assert_allclose(distortion + beta * rate, excess - beta * np.log(total))
        assert (excess > 0).all()


@pytest.mark.equation("eq-beta-variance")
@pytest.mark.parametrize("beta", BETAS)
def test_for_a_gaussian_decoder_only_the_product_of_weight_and_variance_matters(beta):
    torch.manual_seed(0)
    x, rebuilt, rate = torch.rand(9, 12, **DOUBLE), torch.rand(9, 12, **DOUBLE), torch.rand(9)

    def objective(variance, weight):
        log_prob = Normal(rebuilt, math.sqrt(variance)).log_prob(x).sum(1)
        return weight * rate.double() - log_prob

    difference = objective(0.3, beta) - beta * objective(0.3 * beta, 1)
    constant = 6 * (math.log(2 * math.pi * 0.3) - beta * math.log(2 * math.pi * 0.3 * beta))
    torch.testing.assert_close(difference, torch.full((9,), constant, **DOUBLE))


# Rate and distortion


@pytest.mark.equation("eq-beta-information", "eq-beta-surgery")
def test_rate_and_distortion_enclose_the_information_of_the_code(tables):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        data, prior = rng.dirichlet(np.ones(4)), rng.dirichlet(np.ones(3))
        likelihood, q = rng.dirichlet(np.ones(4), size=3).T, rng.dirichlet(np.ones(3), size=4)
        distortion, rate = distortion_and_rate(prior, likelihood, q)
        joint = data[:, None] * q
        aggregate = joint.sum(0)
        information = stats.entropy(joint.ravel(), np.outer(data, aggregate).ravel())
        surplus = stats.entropy(aggregate, prior)
        assert data @ rate == pytest.approx(information + surplus)  # the surgery
        assert stats.entropy(data) - data @ distortion <= information <= data @ rate
        # Both are reached: a decoder that inverts the encoder, a prior that is the aggregate.
        inverse = joint / aggregate
        distortion, rate = distortion_and_rate(aggregate, inverse, q)
        assert stats.entropy(data) - data @ distortion == pytest.approx(information)
        assert data @ rate == pytest.approx(information)


@pytest.mark.equation("eq-beta-monotone", "eq-beta-slope")
def test_along_the_best_models_the_slope_is_minus_beta(tables):
    """With the decoder given, the best encoders are known in closed form."""
    data, prior, likelihood, _ = tables
    betas = np.geomspace(0.05, 20, 601)
    path = []
    for beta in betas:
        distortion, rate = distortion_and_rate(
            prior, likelihood, tempered(prior, likelihood, beta)[0]
        )
        path.append((data @ distortion, data @ rate))
    distortion, rate = np.array(path).T
    assert (np.diff(distortion) > 0).all()
    assert (np.diff(rate) < 0).all()
    slope = np.diff(distortion) / np.diff(rate)
    np.testing.assert_allclose(slope, -np.sqrt(betas[1:] * betas[:-1]), rtol=1e-4)


def linear_terms(covariance, decoder, encoder, variances, noise):
    """D and R of a linear VAE on data of that covariance, from moments alone."""
    dim = len(covariance)
    residual = torch.eye(dim, **DOUBLE) - decoder @ encoder
    error = (residual @ covariance @ residual.T).trace()
    error = error + (decoder.square().sum(0) * variances).sum()
    distortion = error / (2 * noise) + dim / 2 * math.log(2 * math.pi * noise)
    means = (encoder @ covariance @ encoder.T).diagonal()
    return distortion, 0.5 * (means + variances - 1 - variances.log()).sum()


@pytest.mark.equation("eq-beta-water")
@pytest.mark.parametrize("beta", [0.3, 1.0, 5.0])
def test_the_best_linear_vae_fills_eigenvalues_from_above(beta):
    """Found by a numerical optimiser from random weights, in coordinates that hide the axes."""
    torch.manual_seed(0)
    noise, eigenvalues = 0.4, torch.tensor([3.0, 1.5, 0.7, 0.1], **DOUBLE)
    axes = torch.linalg.qr(torch.randn(4, 4, **DOUBLE)).Q
    covariance = axes @ eigenvalues.diag() @ axes.T
    decoder, encoder = torch.randn(4, 3, **DOUBLE) / 2, torch.randn(3, 4, **DOUBLE) / 2
    weights = [w.requires_grad_() for w in (decoder, encoder, torch.zeros(3, **DOUBLE))]
    search = torch.optim.LBFGS(
        weights, max_iter=3000, tolerance_grad=1e-10, tolerance_change=1e-15,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def objective():
        search.zero_grad()
        d, r = linear_terms(covariance, decoder, encoder, weights[2].exp(), noise)
        (d + beta * r).backward()
        return d + beta * r

    search.step(objective)
    with torch.no_grad():
        d, r = linear_terms(covariance, decoder, encoder, weights[2].exp(), noise)
    level = beta * noise
    filled = eigenvalues[:3].clamp(max=level).sum() + eigenvalues[3]  # three codes at most
    expected = filled / (2 * noise) + 2 * math.log(2 * math.pi * noise)
    assert d.item() == pytest.approx(expected.item(), abs=1e-4)
    rate = (eigenvalues[:3] / level).log().clamp(min=0).sum() / 2
    assert r.item() == pytest.approx(rate.item(), abs=1e-3)


# Sums and means


@pytest.mark.equation("eq-beta-hidden")
@pytest.mark.parametrize(
    ("pixels", "dimensions", "weight"),
    [("sum", "sum", 1), ("mean", "sum", 16), ("mean", "mean", 16 / 3), ("sum", "mean", 1 / 3)],
)
def test_a_mean_is_a_sum_with_another_weight(pixels, dimensions, weight, random_vae):
    """Gradients of four programs in use, against the library's at the weight of the formula."""
    vae = random_vae((1, 4, 4), 2, latent_dim=3, hidden=(8,))
    x = torch.randint(0, 2, (5, 1, 4, 4), dtype=torch.uint8)
    noise = torch.randn(5, 3)
    mean, log_std = vae.encoder(2 * x.float() - 1).chunk(2, 1)
    logits = vae.decoder(mean + log_std.exp() * noise).squeeze(-1)
    error = binary_cross_entropy_with_logits(logits, x.float(), reduction="none")
    kl = -0.5 * (1 + 2 * log_std - mean**2 - (2 * log_std).exp())
    error = error.mean() if pixels == "mean" else error.sum() / 5
    kl = kl.mean() if dimensions == "mean" else kl.sum() / 5
    theirs = torch.autograd.grad(error + kl, vae.parameters(), retain_graph=True)
    terms = vae.terms(x, noise)
    loss = beta_vae_loss(terms.reconstruction, terms.rate, weight)
    factor = 16 if pixels == "mean" else 1
    for a, b in zip(theirs, torch.autograd.grad(loss, vae.parameters()), strict=True):
        torch.testing.assert_close(factor * a, b, rtol=1e-4, atol=1e-5)


# The parts of the rate


@pytest.fixture
def posteriors():
    """Three images with posteriors in the plane; their aggregate is far from independent."""
    mean = torch.tensor([[1.0, 1.2], [-1.0, -0.8], [0.4, 0.5]], **DOUBLE)
    std = torch.tensor([[0.5, 0.4], [0.6, 0.5], [0.3, 0.8]], **DOUBLE)
    return mean, std


@pytest.mark.equation("eq-beta-decomposition")
def test_the_parts_are_integrals_over_the_plane(posteriors):
    """Each part by quadrature, against the library's mean over many draws."""
    mean, std = posteriors
    axis = np.linspace(-6, 6, 401)
    cell = (axis[1] - axis[0]) ** 2
    one, two = (
        stats.norm.pdf(axis[:, None], mean[:, j].numpy(), std[:, j].numpy()) for j in (0, 1)
    )  # (401, 3) each
    each = one.T[:, :, None] * two.T[:, None, :]  # q(z | x), (3, 401, 401)
    joint, first, second = each.mean(0), one.mean(1), two.mean(1)
    product, prior = np.outer(first, second), stats.norm.pdf(axis)
    expected = [
        special.rel_entr(each, joint).sum() * cell / 3,
        special.rel_entr(joint, product).sum() * cell,
        (special.rel_entr(first, prior) + special.rel_entr(second, prior)).sum() * cell**0.5,
    ]
    # The same three images many times over have the same aggregate.
    torch.manual_seed(0)
    means, stds = mean.repeat(500, 1), std.repeat(500, 1)
    parts = rate_parts(means + stds * torch.randn(1500, 2, **DOUBLE), means, stds)
    assert min(expected) > 0.1
    for part, integral in zip(parts, expected, strict=True):
        error = part.std() / math.sqrt(1500)
        assert part.mean().item() == pytest.approx(integral, abs=4 * error.item())
        assert error < 0.04
    rate = (mean**2 + std**2 - 1 - 2 * std.log()).sum().item() / 6
    assert sum(expected) == pytest.approx(rate, abs=1e-6)


@pytest.mark.equation("eq-beta-decomposition")
@pytest.mark.parametrize("images", [None, 100])
def test_the_parts_add_up_exactly(images, posteriors):
    """At every code, and whatever the estimate of the aggregate: the terms cancel."""
    torch.manual_seed(0)
    mean, std = posteriors
    for _ in range(10):
        z = mean + std * torch.randn(3, 2, **DOUBLE)
        whole = (Normal(mean, std).log_prob(z) - Normal(0, 1).log_prob(z)).sum(1)
        torch.testing.assert_close(sum(rate_parts(z, mean, std, images)), whole)


@pytest.mark.equation("eq-beta-decomposition")
def test_an_aggregate_that_is_a_known_gaussian():
    """Means on the quantiles of N(0, 1 - s²), spread s: together N(0, 1), so two parts vanish."""
    torch.manual_seed(0)
    count, spread = 2000, 0.6
    quantiles = stats.norm.ppf((np.arange(count) + 0.5) / count) * math.sqrt(1 - spread**2)
    mean = torch.tensor(quantiles)[:, None]
    std = torch.full((count, 1), spread, **DOUBLE)
    parts = rate_parts(mean + std * torch.randn(count, 1, **DOUBLE), mean, std)
    assert parts.mutual_information.mean().item() == pytest.approx(-math.log(spread), abs=0.06)
    assert parts.total_correlation.abs().max() < 1e-12
    assert parts.dimension_wise.mean().item() == pytest.approx(0, abs=0.01)


@pytest.mark.equation("eq-beta-decomposition")
def test_codes_of_two_equal_dimensions_have_the_correlation_of_one():
    """q(z) lives near a line: what one dimension tells of the other is the part in the middle."""
    torch.manual_seed(0)
    count, spread = 2000, 0.6
    quantiles = stats.norm.ppf((np.arange(count) + 0.5) / count) * math.sqrt(1 - spread**2)
    mean = torch.tensor(quantiles)[:, None].expand(-1, 2)
    std = torch.full((count, 2), spread, **DOUBLE)
    parts = rate_parts(mean + std * torch.randn(count, 2, **DOUBLE), mean, std)
    correlation = 1 - spread**2  # of two standard normal coordinates
    expected = -math.log(1 - correlation**2) / 2
    assert parts.total_correlation.mean().item() == pytest.approx(expected, abs=0.05)


@pytest.mark.equation("eq-beta-weights")
def test_the_aggregate_of_a_sample_is_right_on_average():
    """Over all batches of three out of five that hold an image, its q(z) averages to the exact."""
    torch.manual_seed(0)
    mean, std = torch.randn(5, 2, **DOUBLE), torch.rand(5, 2, **DOUBLE) + 0.3
    z = mean + std * torch.randn(5, 2, **DOUBLE)
    own = Normal(mean, std).log_prob(z).sum(1)

    def aggregate(chosen, images):
        """q(z) at each code of a batch, taken back out of the library's answer."""
        parts = rate_parts(z[chosen], mean[chosen], std[chosen], images)
        return (own[chosen] - parts.mutual_information).exp()

    exact = aggregate(list(range(5)), None)
    by_hand = Normal(mean, std).log_prob(z[:, None]).sum(2).exp().mean(1)
    torch.testing.assert_close(exact, by_hand)
    for image in range(5):
        batches = [c for c in combinations(range(5), 3) if image in c]
        estimates = [aggregate(list(c), 5)[c.index(image)] for c in batches]
        torch.testing.assert_close(torch.stack(estimates).mean(), exact[image])


# Collapse and its cures


@pytest.mark.equation("eq-beta-free")
def test_free_bits_take_the_larger_of_floor_and_mean_rate_by_dimension():
    rates = torch.tensor([[0.0, 1.0, 0.4], [4.0, 1.0, 0.4]])
    assert free_bits(rates, 0.5).item() == pytest.approx(2.0 + 1.0 + 0.5)
    assert free_bits(rates, 0).item() == pytest.approx(rates.sum(1).mean().item())


@pytest.mark.equation("eq-beta-free")
def test_below_the_floor_nothing_presses_on_a_dimension():
    rates = torch.tensor([[0.0, 1.0, 0.4], [4.0, 1.0, 0.4]], requires_grad=True)
    gradient = torch.autograd.grad(free_bits(rates, 0.5), rates)[0]
    torch.testing.assert_close(gradient, torch.tensor([[0.5, 0.5, 0], [0.5, 0.5, 0]]))


@pytest.mark.equation("eq-beta-warm-up")
def test_the_warm_up_is_a_straight_line_to_one():
    steps = np.arange(0, 300)
    expected = np.interp(steps, [0, 120], [0, 1])
    np.testing.assert_allclose([warm_up(int(step), 120) for step in steps], expected)


# Disentanglement


@pytest.mark.equation("eq-beta-mig")
def test_the_gap_of_a_code_with_known_information():
    """Two bits x, y; dimension one is x, dimension two is x told right with chance 3/4."""
    x, wrong = np.meshgrid([0, 1], [0, 0, 0, 1])
    codes = torch.tensor(np.stack([x, x ^ wrong], axis=-1).reshape(-1, 2))
    flip = stats.entropy([0.25, 0.75])
    gap = mutual_information_gap(codes, torch.tensor(x.reshape(-1, 1)), bins=4)
    assert gap.information[0].tolist() == pytest.approx([math.log(2), math.log(2) - flip])
    assert gap.score == pytest.approx(flip / math.log(2))


@pytest.mark.equation("alg-beta-factor-score")
def test_votes_that_can_be_foretold():
    """Of (a, a + b) with a fixed, the first stands still; with b fixed, the second varies half.

    Of (a + b, a - b), neither factor leaves any trace in the variances: a coin is tossed.
    """
    a, b = torch.cartesian_prod(torch.arange(10.0), torch.arange(10.0)).T
    factors = torch.stack([a, b], dim=1)
    assert factor_score(torch.stack([a, a + b], dim=1), factors).accuracy == 1
    tossed = factor_score(torch.stack([a + b, a - b], dim=1), factors, seed=1)
    assert tossed.accuracy == pytest.approx(0.5, abs=4 * tossed.standard_error)


@pytest.mark.equation("eq-beta-rotation")
def test_turning_the_codes_changes_no_probability(random_vae):
    """All sixteen 2x2 images, by quadrature over the plane of codes, before and after a turn."""
    vae = random_vae((1, 2, 2), 2, latent_dim=2, hidden=(8,))
    images = torch.tensor([[int(bit) for bit in f"{n:04b}"] for n in range(16)]).view(
        16, 1, 1, 2, 2
    )
    axis = torch.linspace(-6, 6, 161)
    z = torch.cartesian_prod(axis, axis)
    angle = math.radians(30)
    turn = torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])

    def evidence(codes):
        with torch.no_grad():
            log_joint = vae.likelihood(codes).log_prob(images.float()) + vae.prior(len(z)).log_prob(
                z
            )
        return log_joint.logsumexp(1) + 2 * math.log(12 / 160)

    before, after = evidence(z), evidence(z @ turn)  # row vectors: decoder at Qᵀz
    torch.testing.assert_close(before, after, rtol=0, atol=1e-4)
    assert before.exp().sum().item() == pytest.approx(1, abs=1e-4)
    assert before.std() > 0.1
    x = torch.tensor([[[[0, 1], [1, 1]]]], dtype=torch.uint8)
    here = vae.likelihood(torch.tensor([[1.0, 0.5]])).log_prob(x.float())
    there = vae.likelihood(torch.tensor([[1.0, 0.5]]) @ turn).log_prob(x.float())
    assert abs(here - there) > 0.01  # the decoders are different


@pytest.mark.equation("eq-beta-rotation")
def test_a_turned_posterior_keeps_its_rate_and_its_bound():
    torch.manual_seed(0)
    model, x = PPCA(5, 2).double(), torch.randn(7, 5, **DOUBLE)
    turn = torch.linalg.qr(torch.randn(2, 2, **DOUBLE)).Q
    turned = PPCA(5, 2).double()
    turned.load_state_dict(model.state_dict())
    with torch.no_grad():
        turned.weight.copy_(model.weight @ turn.T)
    torch.testing.assert_close(turned.log_prob(x), model.log_prob(x))
    q = MultivariateNormal(torch.randn(7, 2, **DOUBLE), 0.3 * torch.eye(2, **DOUBLE))
    q_turned = MultivariateNormal(q.mean @ turn.T, turn @ q.covariance_matrix @ turn.T)
    torch.testing.assert_close(turned.elbo(x, q_turned), model.elbo(x, q))
