"""Annealed importance sampling against log p(x) where it is known, or can be summed up."""

import math

import pytest
import torch

from genlearn.data import Split
from genlearn.metrics import annealed_log_likelihood, annealed_log_prob, sigmoid_schedule
from genlearn.models import PPCA, VAE


@pytest.fixture
def ppca() -> PPCA:
    """Five dimensions, two of code, and little noise: the posterior is far from the prior."""
    torch.manual_seed(0)
    model = PPCA(5, 2).double()
    with torch.no_grad():
        model.mean.normal_()
        model.log_noise_std.fill_(-0.7)
    return model


@pytest.fixture
def x(ppca) -> torch.Tensor:
    torch.manual_seed(1)
    return ppca.sample(3)


@pytest.mark.parametrize(("start", "temperatures"), [("prior", 2), ("prior", 5), ("shifted", 4)])
def test_the_mean_weight_is_the_probability(ppca, x, start, temperatures, monkeypatch):
    """However few the temperatures, and with steps so long that many moves are refused."""
    if start == "shifted":
        exact = ppca.posterior(x)
        wrong = torch.distributions.MultivariateNormal(
            exact.mean + 0.3, 2 * exact.covariance_matrix
        )
        monkeypatch.setattr(PPCA, "posterior", lambda self, x: wrong)
        start = "posterior"
    options = {"chains": 10_000, "temperatures": temperatures, "leapfrog": 2, "step": 0.75}
    found = annealed_log_prob(ppca, x, start=start, **options)
    assert (found.acceptance > 0.3).all()
    assert (found.acceptance < 0.9).all()
    ratio = (found.log_weights - ppca.log_prob(x).detach()).exp()
    error = ratio.std(0) / math.sqrt(len(ratio))
    assert (error < 0.05).all()
    assert ((ratio.mean(0) - 1).abs() < 4.5 * error).all()


def test_a_pilot_run_leaves_the_mean_weight_as_it_is(ppca, x):
    """Also with steps fitted by a pilot; its target of 0.7 is nearly reached."""
    found = annealed_log_prob(ppca, x, chains=4000, temperatures=20, leapfrog=3)
    assert ((found.acceptance - 0.7).abs() < 0.12).all()
    ratio = (found.log_weights - ppca.log_prob(x).detach()).exp()
    error = ratio.std(0) / math.sqrt(len(ratio))
    assert (error < 0.02).all()
    assert ((ratio.mean(0) - 1).abs() < 4.5 * error).all()


def test_more_temperatures_bring_the_bound_closer(ppca, x):
    exact = ppca.log_prob(x).detach()
    gaps = []
    for temperatures in (1, 4, 16, 64):
        found = annealed_log_prob(ppca, x, chains=500, temperatures=temperatures)
        gaps.append((exact - found.log_weights.mean(0)).mean().item())
        assert (found.effective >= 1).all()
        assert (found.effective <= 500).all()
    assert gaps[0] > gaps[1] > gaps[2] > gaps[3] > 0
    assert gaps[3] < gaps[0] / 20


def test_from_the_true_posterior_every_weight_is_the_probability(ppca, x):
    found = annealed_log_prob(ppca, x, chains=7, temperatures=6, start="posterior")
    expected = ppca.log_prob(x).detach()
    torch.testing.assert_close(found.log_weights, expected.expand(7, 3))
    torch.testing.assert_close(found.log_prob, expected)
    torch.testing.assert_close(found.effective, torch.full((3,), 7.0, dtype=torch.float64))


@pytest.mark.parametrize("start", ["prior", "posterior"])
def test_a_vae_with_one_number_of_code_agrees_with_a_sum_over_a_grid(start, random_vae):
    vae = random_vae((1, 2, 2), 3, seed=1, latent_dim=1, hidden=(8,))
    images = torch.randint(0, 3, (4, 1, 2, 2), dtype=torch.uint8)
    z = torch.linspace(-8, 8, 4001)[:, None]
    with torch.no_grad():
        given = torch.stack([vae.likelihood(z).log_prob(image.float()) for image in images])
        joint = given.double() + vae.prior(len(z)).log_prob(z)
    exact = joint.logsumexp(1) + math.log(16 / 4000)
    found = annealed_log_prob(vae, images, chains=400, temperatures=30, start=start)
    assert (found.log_prob - exact).abs().max() < 0.05
    assert found.log_prob.dtype == torch.float64


def test_the_log_of_the_mean_is_not_the_mean_of_the_logs(ppca, x):
    found = annealed_log_prob(ppca, x, chains=50, temperatures=4)
    weights = found.log_weights.exp()
    torch.testing.assert_close(found.log_prob, weights.mean(0).log())
    torch.testing.assert_close(found.effective, weights.sum(0) ** 2 / weights.square().sum(0))


def test_a_mean_over_a_split_is_that_of_its_images(random_vae):
    vae = random_vae((1, 2, 2), 3, seed=1, latent_dim=2, hidden=(8,), dropout=0.5).train()
    images = torch.randint(0, 3, (6, 1, 2, 2), dtype=torch.uint8)
    options = {"chains": 5, "temperatures": 4, "seed": 3}
    state = torch.get_rng_state()
    estimate = annealed_log_likelihood(vae, Split(images, None, 3), **options)
    each = annealed_log_prob(vae, images, **options)
    assert torch.equal(torch.get_rng_state(), state)
    assert vae.training
    assert estimate[:3] == pytest.approx(
        (each.log_prob.mean().item(), each.log_prob.std().item() / math.sqrt(6), 6)
    )
    assert estimate.effective == pytest.approx(each.effective.mean().item())
    assert estimate.acceptance == pytest.approx(each.acceptance.mean().item())
    small = annealed_log_likelihood(vae, Split(images, None, 3), batch_size=2, **options)
    assert small.images == 6
    other = annealed_log_prob(vae, images, chains=5, temperatures=4, seed=4)
    assert not torch.equal(other.log_prob, each.log_prob)


def test_the_schedule_rises_from_nothing_to_one_gently_at_both_ends():
    betas = sigmoid_schedule(10)
    assert len(betas) == 11
    assert betas[0] == 0
    assert betas[-1] == pytest.approx(1, abs=1e-12)
    torch.testing.assert_close(betas + betas.flip(0), torch.ones_like(betas))
    assert (betas.diff() > 0).all()
    assert betas.diff().argmax() in (4, 5)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"chains": 0}, "chains must be at least 1, got 0"),
        ({"temperatures": 0}, "temperatures must be at least 1, got 0"),
        ({"leapfrog": -1}, "leapfrog must be at least 1, got -1"),
        ({"start": "encoder"}, "start must be prior or posterior, got 'encoder'"),
        ({"step": 0.0}, "step must be above 0, got 0.0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(ppca, x, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        annealed_log_prob(ppca, x, **options)


def test_weights_that_are_not_numbers_are_named(ppca, x):
    with torch.no_grad():
        ppca.weight[0, 0] = math.nan
    with pytest.raises(ValueError, match="of a first code is not finite"):
        annealed_log_prob(ppca, x, chains=2, temperatures=2)


def test_one_image_has_no_standard_error():
    split = Split(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), None, 3)
    with pytest.raises(ValueError, match="at least 2 images, got 1"):
        annealed_log_likelihood(VAE.mlp((1, 2, 2), 3), split, chains=1, temperatures=1)
