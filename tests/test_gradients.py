"""Estimators of a gradient, against closed forms and quadrature over the noise."""

import numpy as np
import pytest
import torch

from genlearn.gradients import reparameterised_gradient, score_function_gradient

MEAN = torch.tensor([0.5, -1.0], dtype=torch.float64)
LOG_STD = torch.tensor([-0.3, 0.2], dtype=torch.float64)
ESTIMATORS = [score_function_gradient, reparameterised_gradient]


def grid() -> tuple[torch.Tensor, torch.Tensor]:
    """Gauss-Hermite nodes in two dimensions, exact for polynomials of the degrees used here."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(24)
    weights = weights / weights.sum()
    noise = torch.cartesian_prod(torch.tensor(nodes), torch.tensor(nodes))
    return noise, torch.tensor(np.outer(weights, weights).flatten())


def cubic(z: torch.Tensor) -> torch.Tensor:
    return z[:, 0] ** 3 + 2 * z[:, 0] * z[:, 1]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_both_are_right_on_average(estimator):
    """E[z³] = m³ + 3 m s², with derivatives 3 m² + 3 s² and 6 m s² (by log s); E[2 z y] = 2 m n."""
    noise, weights = grid()
    estimate = estimator(cubic, MEAN, LOG_STD, noise)
    variance = (2 * LOG_STD).exp()[0]
    by_mean = [3 * MEAN[0] ** 2 + 3 * variance + 2 * MEAN[1], 2 * MEAN[0]]
    torch.testing.assert_close(weights @ estimate.mean, torch.stack(by_mean))
    by_log_std = torch.stack([6 * MEAN[0] * variance, torch.zeros_like(variance)])
    torch.testing.assert_close(weights @ estimate.log_std, by_log_std)


def test_a_baseline_changes_the_scatter_and_not_the_average():
    """For f = Σ z² at N(0, I) and L = 2: second moments of the estimate worked out by hand."""
    noise, weights = grid()
    zero = torch.zeros(2, dtype=torch.float64)

    def square(z):
        return z.square().sum(1)

    plain = score_function_gradient(square, zero, zero, noise).mean[:, 0]
    better = score_function_gradient(square, zero, zero, noise, baseline=2.0).mean[:, 0]
    torch.testing.assert_close(weights @ plain, weights @ better)
    # E[(z² + y²)² z²] = 15 + 2 · 3 + 3 and E[(z² + y² - 2)² z²] = 24 - 4 (3 + 1) + 4.
    assert (weights @ plain**2).item() == pytest.approx(24)
    assert (weights @ better**2).item() == pytest.approx(12)


def test_a_jump_has_a_score_function_gradient_and_no_other():
    """P(z > 0) grows with the mean at the density of 0, though a step is flat everywhere."""
    noise = torch.randn(200_000, 1, generator=torch.Generator().manual_seed(0))
    zero = torch.zeros(1)

    def step(z):
        return (z[:, 0] > 0).float() + 0 * z[:, 0]

    score = score_function_gradient(step, zero, zero, noise).mean[:, 0]
    error = abs(score.mean().item() - 1 / (2 * np.pi) ** 0.5)
    assert error < 5 * score.std().item() / 200_000**0.5
    assert reparameterised_gradient(step, zero, zero, noise).mean.abs().max() == 0


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_estimates_work_without_gradients_and_leave_none_behind(estimator):
    mean = MEAN.clone().requires_grad_()
    with torch.no_grad():
        estimate = estimator(cubic, mean, LOG_STD, grid()[0])
    assert estimate.mean.shape == (576, 2)
    assert not estimate.mean.requires_grad
    assert mean.grad is None
