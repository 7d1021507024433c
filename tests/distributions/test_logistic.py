"""The discretised logistic mixture, against SciPy in float64 and far out in the tails."""

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp
from scipy.stats import logistic

from genlearn.distributions import DiscretisedLogisticMixture, LogisticPixels

LEVELS = 256
STEP = 2 / (LEVELS - 1)


def of_scipy(logits, means, log_scales) -> np.ndarray:
    """Log P of all 256 levels; each difference taken on the side where it does not cancel."""
    levels = np.arange(LEVELS)[:, None]
    frozen = logistic(means, np.exp(log_scales))
    border = (levels + 0.5) * STEP - 1  # above each level
    borders = np.concatenate([[[-np.inf]] * 1, border[:-1], [[np.inf]]])
    left, right = borders[:-1], borders[1:]
    by_cdf = frozen.cdf(right) - frozen.cdf(left)
    by_sf = frozen.sf(left) - frozen.sf(right)
    mass = np.where((left + right) / 2 < means, by_cdf, by_sf)
    return logsumexp(log_softmax(logits) + np.log(mass), axis=1)


def all_levels(logits, means, log_scales) -> torch.Tensor:
    def tensor(values):
        return torch.tensor(values, dtype=torch.float32).expand(LEVELS, -1)

    pixels = DiscretisedLogisticMixture(tensor(logits), tensor(means), tensor(log_scales), LEVELS)
    return pixels.log_prob(torch.arange(LEVELS).float())


@pytest.mark.parametrize("log_scale", [-6.0, -3.0, 0.0, 3.0])
@pytest.mark.parametrize("mean", [-30.0, -1.0, 0.3, 1.0, 30.0])
def test_masses_of_256_levels_sum_to_one(mean, log_scale):
    total = all_levels([0.0], [mean], [log_scale]).double().exp().sum().item()
    assert total == pytest.approx(1, abs=1e-5)


def test_masses_are_those_of_scipy():
    logits, means, log_scales = [0.3, -1.0, 0.0], [-0.8, 0.1, 0.9], [-3.0, -1.0, -4.0]
    ours = all_levels(logits, means, log_scales).numpy()
    np.testing.assert_allclose(ours, of_scipy(logits, means, log_scales), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mean", [-2.0, 0.0, 2.0])
def test_tails_and_their_gradients_are_finite_and_right(mean):
    """Thousands of widths away the mass is below every float32; its logarithm is known."""
    log_scale = -6.5
    means = torch.tensor([[mean]], requires_grad=True)
    log_scales = torch.tensor([[log_scale]], requires_grad=True)
    level = 200
    pixels = DiscretisedLogisticMixture(torch.zeros(1, 1), means, log_scales, LEVELS)
    log_mass = pixels.log_prob(torch.tensor([float(level)]))
    log_mass.sum().backward()
    precision = np.exp(-log_scale)
    near, far = (level - 0.5) * STEP - 1 - mean, (level + 0.5) * STEP - 1 - mean
    # In the tail on the right σ(-b) - σ(-a) = e^-b - e^-a, and likewise on the left.
    tail = min(abs(near), abs(far)) * precision
    expected = -tail + np.log(-np.expm1(-STEP * precision))
    assert log_mass.item() == pytest.approx(expected, rel=1e-5)
    assert means.grad.item() == pytest.approx(np.sign(near) * precision, rel=1e-4)
    assert torch.isfinite(log_scales.grad).all()


def test_extreme_scales_give_no_infinity():
    for log_scale in (-1e4, 1e4):
        assert torch.isfinite(all_levels([0.0], [0.2], [log_scale])).all()


def test_with_one_component_and_two_levels_it_is_a_bernoulli():
    """The border lies at 0: P(white) = σ(mean / scale)."""
    pixels = DiscretisedLogisticMixture(
        torch.zeros(1, 1), torch.tensor([[0.4]]), torch.tensor([[-0.7]]), levels=2
    )
    log_odds = pixels.log_prob(torch.ones(1)) - pixels.log_prob(torch.zeros(1))
    assert log_odds.item() == pytest.approx(0.4 * np.exp(0.7), rel=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((1,), "2 … 256, got 1"), ((257,), "got 257"), ((17, 0), "components must be at least 1")],
)
def test_what_is_no_likelihood_is_refused(arguments, words):
    with pytest.raises(ValueError, match=words):
        LogisticPixels(*arguments)
