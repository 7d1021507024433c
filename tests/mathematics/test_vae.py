"""The equations of chapter 04, each against something independent of its derivation."""

import math
from itertools import product

import pytest
import torch
from scipy import integrate, stats
from torch.distributions import MultivariateNormal, Normal, kl_divergence

from genlearn.distributions import diagonal_normal, standard_normal
from genlearn.metrics import bits_per_dim
from genlearn.models import PPCA, VAE

DOUBLE = {"dtype": torch.float64}


@pytest.fixture
def tables():
    """A world of four images and three codes: p(x, z), q(z | x) and p_data(x), all at random."""
    torch.manual_seed(0)
    joint = torch.rand(4, 3, **DOUBLE)
    encoder = torch.rand(4, 3, **DOUBLE)
    data = torch.rand(4, **DOUBLE)
    return joint / joint.sum(), encoder / encoder.sum(1, keepdim=True), data / data.sum()


def enumerated_elbo(joint, encoder):
    return (encoder * (joint / encoder).log()).sum(1)


@pytest.fixture
def ppca():
    """Five dimensions, two latent, as a float64 model with known parameters."""
    torch.manual_seed(0)
    model = PPCA(5, 2).double()
    with torch.no_grad():
        model.mean.normal_()
        model.log_noise_std.fill_(-0.4)
    return model


@pytest.mark.equation("eq-vae-marginal")
def test_marginal_of_a_vae_is_a_probability_mass():
    """Integrated over the code on a grid, all sixteen 2x2 binary images sum to one."""
    torch.manual_seed(0)
    vae = VAE.mlp((1, 2, 2), 2, latent_dim=1, hidden=(8,))
    images = torch.tensor(list(product([0.0, 1.0], repeat=4))).view(16, 1, 1, 2, 2)
    z = torch.linspace(-8, 8, 4001)[:, None]
    with torch.no_grad():
        log_joint = vae.likelihood(z).log_prob(images) + vae.prior(len(z)).log_prob(z)
    evidence = log_joint.exp().sum(1) * (16 / 4000)
    assert evidence.sum().item() == pytest.approx(1, abs=1e-5)
    assert evidence.std() > 0.001  # and they are not all alike


@pytest.mark.equation("eq-vae-jensen")
def test_elbo_is_below_the_evidence_for_any_encoder(tables):
    joint, _, _ = tables
    for seed in range(1, 101):  # seed 0 made the tables
        generator = torch.Generator().manual_seed(seed)
        encoder = torch.rand(4, 3, generator=generator, **DOUBLE)
        encoder /= encoder.sum(1, keepdim=True)
        assert (enumerated_elbo(joint, encoder) < joint.sum(1).log()).all()


@pytest.mark.equation("eq-vae-gap")
def test_gap_is_the_divergence_from_the_true_posterior(tables, ppca):
    joint, encoder, _ = tables
    posterior = joint / joint.sum(1, keepdim=True)
    gap = (encoder * (encoder / posterior).log()).sum(1)
    torch.testing.assert_close(enumerated_elbo(joint, encoder) + gap, joint.sum(1).log())
    assert (enumerated_elbo(joint, posterior) - joint.sum(1).log()).abs().max() < 1e-12

    # The same where the code is continuous, with the exact evidence of probabilistic PCA.
    x = torch.randn(7, 5, **DOUBLE)
    exact = ppca.posterior(x)
    for shift, widen in [(0, 1), (0.5, 1), (0, 3), (-1, 0.2)]:
        q = MultivariateNormal(exact.mean + shift, widen * exact.covariance_matrix)
        gap = ppca.log_prob(x) - ppca.elbo(x, q)
        torch.testing.assert_close(gap, kl_divergence(q, exact), rtol=0, atol=1e-9)
        assert (gap > -1e-9).all()


@pytest.mark.equation("eq-vae-joint-kl")
def test_mean_elbo_is_a_divergence_between_two_joint_distributions(tables):
    joint, encoder, data = tables
    pairs = data[:, None] * encoder
    divergence = stats.entropy(pairs.flatten(), joint.flatten())  # SciPy's KL
    entropy = stats.entropy(data)
    elbo = (data * enumerated_elbo(joint, encoder)).sum().item()
    assert divergence == pytest.approx(-entropy - elbo)
    # What the chapter concludes: images alone are never further apart than pairs.
    assert stats.entropy(data, joint.sum(1)) <= divergence


@pytest.mark.equation("eq-vae-elbo-rate")
def test_elbo_of_the_library_is_an_expectation_over_the_encoder(random_vae):
    """E_q[log p(x, z) - log q(z | x)] by quadrature, against the library's noisy estimates."""
    vae = random_vae((1, 2, 2), 3, seed=1, latent_dim=1, hidden=(8,))
    x = torch.tensor([[[[0, 1], [2, 1]]]], dtype=torch.uint8)
    with torch.no_grad():
        encoded = vae.encoder(x.float() - 1)
        q = Normal(encoded[:, 0], encoded[:, 1].exp())
        z = torch.linspace(-8, 8, 8001)[:, None]
        logits = vae.decoder(z).log_softmax(-1).flatten(1, 3)  # (8001, 4, 3)
        log_x = logits[:, range(4), x.flatten().long()].sum(1)
        integrand = log_x + Normal(0, 1).log_prob(z[:, 0]) - q.log_prob(z)[:, 0]
        exact = (q.log_prob(z)[:, 0].exp() * integrand).sum() * (z[1] - z[0]).item()

        many = x.expand(200_000, -1, -1, -1)
        terms = vae.terms(many)
    error = terms.elbo.std() / math.sqrt(len(many))
    assert abs(terms.elbo.mean() - exact) < 5 * error
    assert error < 0.01
    torch.testing.assert_close(terms.elbo, terms.reconstruction - terms.rate)


@pytest.mark.equation("eq-vae-gaussian-kl-one", "eq-vae-gaussian-kl")
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.8, 0.3), (-2.0, 1.7), (0.1, 0.05)])
def test_gaussian_kl_by_quadrature(mean, std):
    q, p = stats.norm(mean, std), stats.norm()
    integral, _ = integrate.quad(
        lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), mean - 12 * std, mean + 12 * std
    )
    formula = (mean**2 + std**2 - 1 - math.log(std**2)) / 2
    assert formula == pytest.approx(integral, abs=1e-8)
    # The library's, in three dimensions: three times as much.
    ones = torch.ones(1, 3)
    library = kl_divergence(
        diagonal_normal(mean * ones, math.log(std) * ones), standard_normal(1, 3)
    )
    assert library.item() == pytest.approx(3 * formula, rel=1e-5, abs=1e-6)


@pytest.mark.equation("eq-vae-elbo-rate", "eq-vae-reparameterised", "eq-vae-gaussian-kl")
def test_terms_of_the_library_written_out(random_vae):
    """Three code dimensions and given noise, with no distribution object in sight."""
    vae = random_vae((1, 2, 2), 3, seed=2, latent_dim=3, hidden=(8,))
    x = torch.randint(0, 3, (5, 1, 2, 2), dtype=torch.uint8)
    noise = torch.randn(5, 3)
    with torch.no_grad():
        mean, log_std = vae.encoder(x.float() - 1).chunk(2, 1)
        log_probs = vae.decoder(mean + log_std.exp() * noise).log_softmax(-1)
        terms = vae.terms(x, noise)
    each_pixel = log_probs.gather(-1, x.long()[..., None])
    torch.testing.assert_close(terms.reconstruction, each_pixel.sum((1, 2, 3, 4)))
    rate = (mean**2 + (2 * log_std).exp() - 1 - 2 * log_std).sum(1) / 2
    torch.testing.assert_close(terms.rate, rate)
    torch.testing.assert_close(terms.elbo, terms.reconstruction - rate)


@pytest.mark.equation("eq-vae-reparameterised")
def test_the_default_draw_carries_a_gradient_to_the_encoder(random_vae):
    vae = random_vae((1, 2, 2), 3, latent_dim=2, hidden=(8,))
    x = torch.randint(0, 3, (5, 1, 2, 2), dtype=torch.uint8)
    vae.terms(x).reconstruction.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in vae.encoder.parameters())


@pytest.mark.equation("eq-vae-score", "eq-vae-reparameterised", "eq-vae-pathwise")
def test_both_gradient_estimators_are_unbiased():
    """For f(z) = z³ and one dimension, against the derivatives of E f = µ³ + 3µσ²."""
    torch.manual_seed(0)
    mean, std = torch.tensor([0.7, 1.2], **DOUBLE).requires_grad_().unbind()
    q = Normal(mean, std)
    noise = torch.randn(1_000_000, **DOUBLE)
    z = mean + std * noise
    exact = torch.stack([3 * mean**2 + 3 * std**2, 6 * mean * std]).detach()
    slope = 3 * z**2
    pathwise = torch.stack([slope, slope * noise]).detach()
    torch.testing.assert_close(pathwise.mean(1), exact, rtol=0.02, atol=0)

    fixed = z.detach()
    # d log q / d mean and d log q / d std of a Gaussian, written out.
    score = torch.stack([noise / std, (noise**2 - 1) / std]).detach() * fixed**3
    torch.testing.assert_close(score.mean(1), exact, rtol=0.03, atol=0)
    # The same from autograd: rsample carries the pathwise gradient, log_prob the score.
    auto = torch.autograd.grad((z**3).mean(), (mean, std), retain_graph=True)
    torch.testing.assert_close(torch.stack(auto), pathwise.mean(1))
    auto = torch.autograd.grad((q.log_prob(fixed) * fixed**3).mean(), (mean, std))
    torch.testing.assert_close(torch.stack(auto), score.mean(1))


@pytest.mark.equation("eq-vae-variance")
@pytest.mark.parametrize("dim", [1, 2, 3])
def test_scatter_of_the_estimators_by_quadrature(dim):
    """Gauss-Hermite quadrature is exact for these polynomials."""
    nodes, weights = torch.tensor(stats_hermite(8), **DOUBLE)
    noise = torch.cartesian_prod(*[nodes] * dim).view(-1, dim)
    weight = torch.cartesian_prod(*[weights] * dim).view(-1, dim).prod(1)
    z = 1 + noise
    score = z.square().sum(1) * noise[:, 0]
    path = 2 * z[:, 0]
    n = dim - 1
    for estimate, variance in [(path, 4), (score, 4 * n**2 + 22 * n + 30)]:
        mean = (weight * estimate).sum()
        assert mean.item() == pytest.approx(2)
        assert ((weight * estimate**2).sum() - mean**2).item() == pytest.approx(variance)
    # With the baseline b = E f = 2 dim, as in the exercise.
    baseline = (z.square().sum(1) - 2 * dim) * noise[:, 0]
    assert (weight * baseline**2).sum().item() - 4 == pytest.approx(6 * n + 18)


def stats_hermite(order):
    """Nodes and weights of E[f(ε)] for standard normal ε."""
    import numpy as np

    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    return np.stack([nodes, weights / math.sqrt(2 * math.pi)])


@pytest.mark.equation("eq-vae-ppca")
def test_ppca_marginal_by_quadrature():
    """The log of p(x) is log ∫ p(x | z) p(z) dz, with one latent number and no Gaussian algebra."""
    torch.manual_seed(0)
    model = PPCA(3, 1).double()
    with torch.no_grad():  # else the mean is 0 and the noise 1, and much goes unseen
        model.mean.normal_()
        model.log_noise_std.fill_(-0.4)
    x = torch.randn(4, 3, **DOUBLE)
    z = torch.linspace(-10, 10, 20_001, **DOUBLE)
    with torch.no_grad():
        mean = model.mean + z[:, None] * model.weight[:, 0]
        log_x = Normal(mean, model.log_noise_std.exp()).log_prob(x[:, None]).sum(-1)
        log_joint = log_x + Normal(0, 1).log_prob(z)
        evidence = log_joint.logsumexp(1) + (z[1] - z[0]).log()
        torch.testing.assert_close(model.log_prob(x), evidence)


@pytest.mark.equation("eq-vae-ppca-square", "eq-vae-ppca-posterior")
def test_ppca_posterior_by_conditioning_the_joint_gaussian(ppca):
    """The joint of (z, x) is Gaussian; condition it by the textbook formula, in D x D form."""
    x = torch.randn(6, 5, **DOUBLE)
    weight, noise = ppca.weight.detach(), math.exp(2 * -0.4)
    covariance = weight @ weight.T + noise * torch.eye(5, **DOUBLE)
    gain = weight.T @ covariance.inverse()
    posterior = ppca.posterior(x)
    torch.testing.assert_close(posterior.mean, (x - ppca.mean) @ gain.T)
    torch.testing.assert_close(
        posterior.covariance_matrix[0], torch.eye(2, **DOUBLE) - gain @ weight
    )
    torch.testing.assert_close(  # and in the form that the chapter prints
        posterior.covariance_matrix[0],
        noise * (weight.T @ weight + noise * torch.eye(2, **DOUBLE)).inverse(),
    )


@pytest.mark.equation("eq-vae-bits")
def test_a_uniform_model_needs_log2_levels_bits():
    for levels in (2, 17, 256):
        vae = VAE.mlp((3, 4, 4), levels, latent_dim=2)
        log_prob = -48 * math.log(levels)
        assert bits_per_dim(log_prob, vae) == pytest.approx(math.log2(levels))


@pytest.mark.equation("alg-vae")
def test_training_follows_the_gradient_of_the_bound(random_vae):
    """One step of the loop moves the weights as autograd of the mean bound says."""
    from genlearn.data import Batches, Split
    from genlearn.training import Objective, fit

    torch.manual_seed(0)
    images = torch.randint(0, 3, (8, 1, 2, 2), dtype=torch.uint8)
    vae = random_vae((1, 2, 2), 3, latent_dim=2, hidden=(6,))
    noise = torch.randn(8, 2)
    order = Batches(Split(images, None, 3), 8).at(0)[0]
    gradient = torch.autograd.grad(vae.elbo(order, noise).mean(), vae.parameters())
    expected = [p + 0.1 * g for p, g in zip(vae.parameters(), gradient, strict=True)]
    descent = torch.optim.SGD(vae.parameters(), lr=0.1)
    objective = Objective("vae", lambda step: -vae.elbo(step.batch[0], noise).mean(), descent)
    fit({"vae": vae}, [objective], Batches(Split(images, None, 3), 8), 1, device="cpu")
    torch.testing.assert_close(list(vae.parameters()), expected)


@pytest.mark.equation("alg-vae")
def test_each_epoch_brings_every_image_in_an_order_of_its_own():
    from genlearn.data import Batches, Split

    images = torch.arange(50, dtype=torch.uint8).view(-1, 1, 1, 1)
    batches = Batches(Split(images, None, 256), 50)
    epochs = torch.stack([batches.at(k)[0].flatten() for k in range(20)])
    assert (epochs.sort(1).values == torch.arange(50)).all()
    assert len(epochs.unique(dim=0)) == 20
