"""The equations of chapter 06, each against something independent of its derivation."""

import math
from decimal import Decimal, localcontext
from itertools import product

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from sklearn.cluster import KMeans
from torch import nn
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from genlearn.distributions import (
    CategoricalPixels,
    DequantisedNormal,
    DiscretisedLogisticMixture,
    LogisticPixels,
)
from genlearn.models import PPCA, VAE, VQVAE, ConditionalVAE, HierarchicalVAE, IndependentPrior
from genlearn.nets import Codebook

DOUBLE = {"dtype": torch.float64}


# Likelihoods of levels


@pytest.mark.equation("eq-sharp-gaussian")
@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.5), (-0.9, 0.03), (0.4, 0.2), (1.3, 2.0)])
def test_the_dequantised_gaussian_is_a_mean_over_the_noise(levels, mean, std):
    """On the scale of levels, where no change of scale is needed, and below the log mass."""
    pixel = DequantisedNormal(torch.tensor(mean, **DOUBLE), torch.tensor(std).log(), levels)
    density = stats.norm((mean + 1) * levels / 2, std * levels / 2)
    for level in {0, levels // 3, levels - 1}:
        ours = pixel.log_prob(torch.tensor(level, **DOUBLE)).item()
        average, _ = integrate.quad(lambda u, x=level: density.logpdf(x + u), 0, 1)
        assert ours == pytest.approx(average, rel=1e-6)
        if (mass := density.cdf(level + 1) - density.cdf(level)) > 0:
            assert ours < math.log(mass)


@pytest.mark.equation("eq-sharp-logistic")
@pytest.mark.parametrize("components", [1, 3])
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_logistic_masses_sum_to_one_wherever_the_density_lies(levels, components):
    """Inside the range and far outside; far narrower than a level, far wider than the range."""
    means, log_scales = torch.meshgrid(
        torch.tensor([-40.0, -1.001, -0.3, 0.0, 0.502, 1.0, 6.0]),
        torch.tensor([-50.0, -7.0, -5.0, -2.0, 0.0, 3.0, 50.0]),
        indexing="ij",
    )
    parameters = torch.stack([means.flatten(), log_scales.flatten()])
    each = [parameters.roll(5 * shift, 1) for shift in range(components)]
    means, log_scales = torch.stack(each, -1)
    logits = torch.randn(means.shape, generator=torch.Generator().manual_seed(0))
    pixels = DiscretisedLogisticMixture(logits, means, log_scales, levels)
    log_mass = pixels.log_prob(torch.arange(levels).view(-1, 1).float())
    assert log_mass.isfinite().all()
    total = log_mass.double().exp().sum(0)
    torch.testing.assert_close(total, torch.ones_like(total), atol=1e-5, rtol=0)


@pytest.mark.equation("eq-sharp-logistic")
def test_logistic_masses_are_what_the_density_holds_within_half_a_step():
    """Against SciPy's logistic distribution; the ends have all that lies beyond."""
    levels, mean, scale = 17, 0.3, 0.2
    pixels = DiscretisedLogisticMixture(
        *torch.tensor([0.0, mean, math.log(scale)]).view(3, 1, 1), levels=levels
    )
    borders = np.concatenate([[-np.inf], (np.arange(16) + 0.5) / 8 - 1, [np.inf]])
    expected = np.diff(stats.logistic(mean, scale).cdf(borders))
    ours = pixels.log_prob(torch.arange(17.0).view(-1, 1)).exp().flatten()
    np.testing.assert_allclose(ours, expected, rtol=1e-4)


@pytest.mark.equation("eq-sharp-logistic-product")
@pytest.mark.parametrize(("mean", "log_scale"), [(-0.2, -1.0), (0.9, -6.5), (-3.0, -3.0)])
def test_the_tail_of_a_logistic_in_many_decimals(mean, log_scale):
    """σ(a) - σ(b) itself, with two hundred decimals, where in float32 it is often 0."""
    pixels = DiscretisedLogisticMixture(
        *torch.tensor([0.0, mean, log_scale], **DOUBLE).view(3, 1), levels=256
    )
    with localcontext() as context:
        context.prec = 900  # a σ of up to e^1000 from 0 or 1
        inverse = (-Decimal(log_scale)).exp()

        def below(place):
            return 1 / (1 + (-(place - Decimal(mean)) * inverse).exp())

        for level in [1, 100, 128, 254]:
            centre = Decimal(2 * level) / 255 - 1
            mass = below(centre + Decimal(1) / 255) - below(centre - Decimal(1) / 255)
            ours = pixels.log_prob(torch.tensor(level, **DOUBLE)).item()
            assert ours == pytest.approx(float(mass.ln()), rel=1e-9)


@pytest.mark.equation("eq-sharp-logistic-product")
def test_the_gradient_of_a_far_tail_is_finite_and_points_home():
    parameters = torch.tensor([0.0, -1.0, -7.0]).requires_grad_()
    pixel = LogisticPixels(256).distribution(parameters.expand(1, 1, 1, 1, 3))
    pixel.log_prob(torch.full((1, 1, 1, 1), 200.0)).sum().backward()
    assert parameters.grad.isfinite().all()
    assert parameters.grad[1] > 0  # the mean, towards the pixel
    assert parameters.grad[2] >= 0  # and the scale not narrower


# Importance weights


@pytest.fixture
def ppca() -> PPCA:
    torch.manual_seed(0)
    model = PPCA(5, 2).double().requires_grad_(False)
    model.weight.normal_()
    model.mean.normal_()
    model.log_noise_std.fill_(-0.3)
    return model


@pytest.fixture
def point(ppca) -> torch.Tensor:
    torch.manual_seed(1)
    return ppca.sample(1)


def proposal(ppca, x, shift=0.0, widen=1.0):
    """A Gaussian q(z | x) that misses the posterior as told."""
    exact = ppca.posterior(x)
    return MultivariateNormal(exact.mean + shift, widen * exact.covariance_matrix)


def log_weights(ppca, x, q, z):
    """Take log p(x, z) - log q(z | x) for z of shape (n, 1, L)."""
    spread = ppca.log_noise_std.exp()
    log_x = Normal(ppca.mean + z @ ppca.weight.T, spread).log_prob(x).sum(-1)
    return (log_x + Normal(0, 1).log_prob(z).sum(-1) - q.log_prob(z))[:, 0]


def even_codes(q, seed, count):
    """Draw codes that cover q evenly (scrambled Sobol points), shape (count, 1, L)."""
    uniform = torch.quasirandom.SobolEngine(2, scramble=True, seed=seed).draw(count, **DOUBLE)
    noise = torch.special.ndtri(uniform.clamp(1e-9, 1 - 1e-9))
    return (q.mean[0] + noise @ q.scale_tril[0].T).unsqueeze(1)


@pytest.mark.equation("eq-vae-gap", "eq-sharp-weights")
@pytest.mark.parametrize(
    ("shift", "widen"), [(0, 1), (0.2, 1), (0, 3), (-0.4, 1.5), (0.1, 0.3), (0, 0.1)]
)
def test_the_mean_log_weight_misses_the_evidence_by_the_divergence(ppca, point, shift, widen):
    """To 1e-3 nats, from codes alone; sixteen repetitions give the standard error."""
    q = proposal(ppca, point, shift, widen)
    gaps = torch.stack(
        [
            ppca.log_prob(point)[0] - log_weights(ppca, point, q, even_codes(q, seed, 2**13)).mean()
            for seed in range(16)
        ]
    )
    error = gaps.std().item() / 4
    assert error < 2e-4
    divergence = kl_divergence(q, ppca.posterior(point)).item()
    assert gaps.mean().item() == pytest.approx(divergence, abs=1e-3)


@pytest.mark.equation("eq-sharp-mean-weight")
def test_the_mean_weight_of_the_library_is_the_evidence(random_vae):
    """p(x) by quadrature over one latent number, against 200,000 weights."""
    vae = random_vae((1, 2, 2), 3, seed=1, latent_dim=1, hidden=(8,))
    x = torch.tensor([[[[0, 1], [2, 1]]]], dtype=torch.uint8)
    z = torch.linspace(-9, 9, 6001).unsqueeze(1)
    with torch.no_grad():
        # A proposal wider than the prior: the weights are bounded.
        vae.encoder[-1][-1].weight.zero_()
        vae.encoder[-1][-1].bias.copy_(torch.tensor([0.3, 0.2]))
        log_joint = vae.likelihood(z).log_prob(x.float()) + vae.prior(len(z)).log_prob(z)
        exact = log_joint.double().exp().sum() * (18 / 6000)
        torch.manual_seed(0)
        weights = vae.log_weights(x, 200_000).double().exp()
    error = weights.std() / math.sqrt(len(weights))
    assert abs(weights.mean() - exact) < 5 * error
    assert error < 0.01 * exact


@pytest.mark.equation("eq-sharp-iwae", "eq-sharp-ordering")
@pytest.mark.parametrize(("shift", "widen"), [(0.4, 2.0), (0, 3), (0.1, 0.8)])
def test_more_codes_never_lower_the_bound_and_never_pass_the_evidence(ppca, point, shift, widen):
    """For k = 1 … 1000, with standard errors, on the same 400,000 codes."""
    q = proposal(ppca, point, shift, widen)
    torch.manual_seed(0)
    ratio = log_weights(ppca, point, q, q.sample((400_000,))) - ppca.log_prob(point)
    # The mean of w / p(x) is 1. Subtracting what the draws make of it takes away most scatter.
    control = ratio.exp() - 1
    sizes = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
    groups = [ratio.view(-1, k).logsumexp(1) - math.log(k) for k in sizes]
    gaps = [g - control.view(-1, k).mean(1) for g, k in zip(groups, sizes, strict=True)]
    mean = torch.stack([gap.mean() for gap in gaps])
    error = torch.stack([gap.std() / math.sqrt(len(gap)) for gap in gaps])
    assert (mean < -5 * error).all()  # below log p(x)
    assert (mean.diff() > 5 * torch.hypot(error[1:], error[:-1])).all()  # each above the last
    elbo = ppca.elbo(point, q) - ppca.log_prob(point)
    assert abs(mean[0] - elbo) < 5 * error[0]  # k = 1 is the ELBO
    # Nor does this hang on the control: the plain means say the same.
    plain = torch.stack([g.mean() for g in groups])
    assert (plain - mean).abs().max() < 5 * control.std() / math.sqrt(len(control))


@pytest.mark.equation("eq-sharp-gap", "eq-sharp-second-moment")
@pytest.mark.parametrize("widen", [0.7, 1.5, 3.0])
def test_the_gap_shrinks_as_the_variance_over_twice_the_codes(ppca, point, widen):
    q = proposal(ppca, point, 0, widen)
    variance = widen**2 / (2 * widen - 1) - 1  # two latent numbers
    torch.manual_seed(0)
    ratio = log_weights(ppca, point, q, q.sample((1_000_000,))) - ppca.log_prob(point)
    k = 250
    log_mean = ratio.view(-1, k).logsumexp(1) - math.log(k)
    excess = ratio.exp().view(-1, k).mean(1) - 1  # of mean 0
    gap = excess - log_mean
    error = gap.std().item() / math.sqrt(len(gap))
    assert gap.mean().item() == pytest.approx(variance / (2 * k), rel=0.06, abs=5 * error)
    assert error < 0.05 * variance / (2 * k)


@pytest.mark.equation("eq-sharp-second-moment")
@pytest.mark.parametrize("c", [0.51, 0.7, 1.0, 3.0])
def test_the_second_moment_of_the_weights_by_quadrature(c):
    p, q = stats.norm(0, 1), stats.norm(0, math.sqrt(c))
    # exp(2 log p - log q): the quotient of the densities is 0 / 0 far out.
    integral, _ = integrate.quad(
        lambda z: math.exp(2 * p.logpdf(z) - q.logpdf(z)), -80, 80, points=[0], limit=500
    )
    assert c / math.sqrt(2 * c - 1) == pytest.approx(integral, rel=1e-6)


# Gradients


@pytest.fixture
def line() -> tuple[torch.Tensor, torch.Tensor]:
    """Nodes and weights of a mean over two standard normal numbers, (k = 2, M) and (M,).

    A grid of even steps: for smooth functions that vanish at its ends nothing is more accurate.
    """
    nodes = torch.linspace(-8, 8, 161, **DOUBLE)
    weights = Normal(0, 1).log_prob(nodes).exp() * (nodes[1] - nodes[0])
    return torch.cartesian_prod(nodes, nodes).T, torch.cartesian_prod(weights, weights).prod(1)


def bound_of_two(mean, log_std, noise, weight):
    """L_2 for the posterior N(0, 1) and q = N(mean, std²), less log p(x), by quadrature."""
    z = mean + math.exp(log_std) * noise
    log_w = -(z**2) / 2 + noise**2 / 2 + log_std
    return (weight * (log_w.logsumexp(0) - math.log(2))).sum().item()


@pytest.mark.equation("eq-sharp-gradient", "eq-sharp-doubly")
@pytest.mark.parametrize(("mean", "log_std"), [(0.5, 0.4), (-0.8, -0.2)])
def test_both_gradients_are_the_slope_of_the_bound(line, mean, log_std):
    """Two codes: the slope is the difference of two quadratures, the gradients are one each."""
    noise, weight = line
    step = 1e-4
    slopes = [
        (bound_of_two(mean + step, log_std, *line) - bound_of_two(mean - step, log_std, *line)),
        (bound_of_two(mean, log_std + step, *line) - bound_of_two(mean, log_std - step, *line)),
    ]
    slopes = [slope / (2 * step) for slope in slopes]

    std = math.exp(log_std)
    z = mean + std * noise
    log_w = -(z**2) / 2 + noise**2 / 2
    shares = log_w.softmax(0)
    # Ordinary: d log w / d mean and d log w / d log std, all of it, by hand.
    plain = [(shares * -z), shares * (1 - z * std * noise)]
    # Doubly: squared shares, and the way through the code alone.
    slope = -z + (z - mean) / std**2
    doubly = [(shares**2 * slope), shares**2 * slope * std * noise]
    for exact, one, two in zip(slopes, plain, doubly, strict=True):
        assert (weight * one.sum(0)).sum().item() == pytest.approx(exact, abs=1e-5)
        assert (weight * two.sum(0)).sum().item() == pytest.approx(exact, abs=1e-5)


class Given(nn.Module):
    """An encoder that says the same of every image; each image has parameters of its own."""

    def __init__(self, mean: float, log_std: float, count: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(torch.tensor([mean, log_std]).repeat(count, 1))

    def forward(self, x):
        return self.rows


def tiny_vae(count: int) -> VAE:
    """One latent number, one pixel of three levels; the posterior is no Gaussian."""
    decoder = nn.Sequential(nn.Linear(1, 3), nn.Unflatten(1, (1, 1, 1, 3)))
    with torch.no_grad():
        decoder[0].weight.copy_(torch.tensor([[2.0], [0.0], [-1.5]]))
        decoder[0].bias.copy_(torch.tensor([0.2, 0.0, -0.3]))
    return VAE(Given(0.6, -0.1, count), decoder, CategoricalPixels(3), (1, 1, 1), 1)


@pytest.mark.equation("eq-sharp-doubly", "eq-sharp-gradient")
def test_both_gradients_of_the_library_agree_on_average(line):
    """By quadrature over the noise of two codes, so without any scatter."""
    noise, weight = line
    vae = tiny_vae(len(weight))
    x = torch.zeros(len(weight), 1, 1, 1, dtype=torch.uint8)
    means, scatter = [], []
    for gradient in ["reparameterised", "doubly"]:
        bound = vae.iwae(x, 2, noise.float().unsqueeze(-1), gradient)
        (rows,) = torch.autograd.grad(bound.sum(), vae.encoder.rows)
        means.append((weight.unsqueeze(1) * rows).sum(0))
        scatter.append(rows.std(0))
    assert (means[0].abs() > 0.02).all()  # there is something to agree on
    torch.testing.assert_close(means[0], means[1], rtol=0, atol=2e-4)
    assert (scatter[0] - scatter[1]).abs().min() > 0.1  # and they are two different estimates


def gradients(k: int, gradient: str, count: int = 1500) -> torch.Tensor:
    """Estimates of the bound's gradient for mean and log std, shape (count, 2)."""
    vae = tiny_vae(count)
    torch.manual_seed(k)
    bound = vae.iwae(torch.zeros(count, 1, 1, 1, dtype=torch.uint8), k, gradient=gradient)
    return torch.autograd.grad(bound.sum(), vae.encoder.rows)[0]


@pytest.mark.equation("eq-sharp-doubly")
def test_with_more_codes_one_gradient_drowns_and_the_other_clears():
    """Plain shares scatter as k^(-1/2), squared ones as k^(-3/2); the signal shrinks as 1/k."""
    plain, doubly = (
        {k: gradients(k, gradient) for k in [10, 100]} for gradient in ["reparameterised", "doubly"]
    )
    tenfold = torch.tensor([10.0, 10.0])
    torch.testing.assert_close(
        plain[10].std(0) / plain[100].std(0), tenfold**0.5, rtol=0.25, atol=0
    )
    torch.testing.assert_close(
        doubly[10].std(0) / doubly[100].std(0), tenfold**1.5, rtol=0.25, atol=0
    )
    torch.testing.assert_close(doubly[10].mean(0) / doubly[100].mean(0), tenfold, rtol=0.25, atol=0)
    assert (plain[100].var(0) > 100 * doubly[100].var(0)).all()


# Codes that are whole numbers, labels, and two layers


@pytest.mark.equation("eq-sharp-ema")
def test_without_memory_the_codebook_does_k_means():
    """Updates on the same vectors until nothing moves, against scikit-learn from the same start."""
    torch.manual_seed(0)
    centres = 4 * torch.randn(6, 2)
    vectors = centres.repeat(40, 1) + torch.randn(240, 2)
    book = Codebook(6, 2, decay=0.0, restart=0.0)
    start = vectors[:6].clone()
    book.words.copy_(start)
    for _ in range(100):
        book(vectors)
        book.update()
    theirs = KMeans(6, init=start.numpy(), n_init=1, tol=0, max_iter=100).fit(vectors.numpy())
    np.testing.assert_allclose(book.words, theirs.cluster_centers_, atol=1e-3)


def randomise(model: nn.Module, std: float = 0.7) -> None:
    torch.manual_seed(3)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=std)


@pytest.mark.equation("eq-sharp-vq-bound")
@torch.no_grad()
def test_the_bound_of_a_vqvae_is_one_term_of_the_sum_over_all_codes():
    """2 x 2 codes of 3 words: 81 grids, and 16 images whose probabilities sum to one."""
    model = VQVAE.conv((1, 2, 2), 2, codes=3, code_dim=2, channels=(3,)).eval()
    randomise(model)
    model.codebook.words.normal_()
    grids = torch.tensor(list(product(range(3), repeat=4))).view(81, 2, 2)
    prior = IndependentPrior.fit(grids[[1, 5, 40, 66]], 3)
    images = torch.tensor(list(product(range(2), repeat=4)), dtype=torch.uint8).view(16, 1, 2, 2)
    p = model.likelihood(grids)
    every = torch.stack([p.log_prob(x.float()) for x in images]) + prior.log_prob(grids)
    evidence = every.logsumexp(1)
    assert evidence.exp().sum().item() == pytest.approx(1, abs=1e-5)
    bound = model.elbo(images, prior)
    assert (bound < evidence).all()
    own = (model.encode(images).flatten(1).unsqueeze(1) == grids.flatten(1)).all(-1)
    torch.testing.assert_close(bound, every[own])


def on_line(extent: float = 8.0, count: int = 321) -> tuple[torch.Tensor, float]:
    nodes = torch.linspace(-extent, extent, count)
    return nodes, 2 * extent / (count - 1)


@pytest.mark.equation("eq-sharp-conditional")
@torch.no_grad()
def test_the_bound_given_a_label_is_below_the_evidence_given_it_by_the_divergence():
    """One latent number, two classes; each class has an evidence of its own, by quadrature."""
    model = ConditionalVAE.mlp((1, 2, 2), 3, 2, latent_dim=1, hidden=(8,))
    randomise(model)
    x = torch.tensor([[[[0, 1], [2, 1]]]], dtype=torch.uint8)
    z, cell = on_line()
    found = []
    for label in (0, 1):
        y = torch.tensor([label])
        given = model.given(y)
        q = given.posterior(x).base_dist
        log_joint = given.likelihood(z.unsqueeze(1)).log_prob(x.float())
        log_joint = log_joint + Normal(0, 1).log_prob(z)
        evidence = log_joint.logsumexp(0) + math.log(cell)
        nodes = q.loc[0] + q.scale[0] * z  # a grid of q's own, which may be narrow
        log_q = q.log_prob(nodes.unsqueeze(1))[:, 0]
        log_p = given.likelihood(nodes.unsqueeze(1)).log_prob(x.float())
        log_p = log_p + Normal(0, 1).log_prob(nodes)
        share = log_q.exp() * cell * q.scale[0]
        divergence = (share * (log_q - log_p + evidence)).sum()
        assert divergence > 0.01
        draws = model.elbo(x.expand(50_000, -1, -1, -1), y.expand(50_000))
        error = draws.std() / math.sqrt(len(draws))
        assert abs(draws.mean() + divergence - evidence) < 5 * error
        assert error < 0.03
        found.append(evidence)
    assert abs(found[0] - found[1]) > 0.1


@pytest.mark.equation("eq-sharp-hierarchical")
@torch.no_grad()
def test_the_bound_of_two_layers_is_an_expectation_over_both():
    """By quadrature over the plane of two latent numbers; below the evidence by the divergence."""
    model = HierarchicalVAE.mlp((1, 2, 2), 3, latent_dims=(1, 1), hidden=(8,), upper_hidden=(4,))
    randomise(model, 0.4)
    x = torch.tensor([[[[0, 1], [2, 1]]]], dtype=torch.uint8)
    line, cell = on_line(7.0, 281)
    q1 = model.lower.posterior(x).base_dist
    z1 = q1.loc + q1.scale * line.unsqueeze(1)  # (281, 1), where q(z1 | x) lies
    q2 = model.upper_posterior(z1).base_dist
    z2 = q2.loc + q2.scale * line  # (281, 281): a row for each z1
    prior = model.lower_prior(z2.flatten().unsqueeze(1))
    log_middle = prior.log_prob(z1.expand(281, 281).flatten().unsqueeze(1)).view(281, 281)
    log_x = model.lower.likelihood(z1).log_prob(x.float()).unsqueeze(1)
    log_p = log_x + log_middle + Normal(0, 1).log_prob(z2)
    log_q = q1.log_prob(z1) + q2.log_prob(z2)
    standard = Normal(0, 1).log_prob(line).exp() * cell
    exact = (standard.unsqueeze(1) * standard * (log_p - log_q)).sum()

    draws = model.elbo(x.expand(50_000, -1, -1, -1))
    error = draws.std() / math.sqrt(len(draws))
    assert abs(draws.mean() - exact) < 5 * error
    assert error < 0.03

    wide, cell = on_line(8.0, 401)  # log p(x): z2 over its prior, and z1 given it
    p1 = model.lower_prior(wide.unsqueeze(1)).base_dist
    places = p1.loc + p1.scale * line
    log_x = model.lower.likelihood(places.flatten().unsqueeze(1)).log_prob(x.float())
    mass = Normal(0, 1).log_prob(wide).exp().unsqueeze(1) * cell * standard
    evidence = (mass * log_x.view(401, 281).exp()).sum().log()
    assert exact < evidence - 0.01
