"""Uniform numbers become levels by the inverse of a distribution function."""

import pytest
import torch

from genlearn.distributions import BernoulliPixels, CategoricalPixels, LogisticPixels

LIKELIHOODS = [BernoulliPixels(), CategoricalPixels(7), LogisticPixels(9, components=3)]


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda one: type(one).__name__)
def test_evenly_spread_numbers_give_each_level_its_probability(likelihood):
    torch.manual_seed(0)
    parameters = torch.randn(5, likelihood.parameters_per_value, dtype=torch.float64)
    n = 100_000
    uniform = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    levels = likelihood.draw(parameters, uniform.view(-1, 1).expand(n, 5))
    for k in range(likelihood.levels):
        value = torch.full((5, 1, 1, 1), k, dtype=torch.float64)
        log_prob = likelihood.distribution(parameters.view(5, 1, 1, 1, -1)).log_prob(value)
        torch.testing.assert_close(
            (levels == k).double().mean(0), log_prob.exp(), rtol=0, atol=2 / n
        )


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda one: type(one).__name__)
def test_the_largest_number_below_one_gives_a_level(likelihood):
    parameters = torch.randn(50, likelihood.parameters_per_value)
    uniform = torch.full((50,), 1 - 2**-24)
    assert likelihood.draw(parameters, uniform).max() <= likelihood.levels - 1


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda one: type(one).__name__)
def test_double_precision_is_kept(likelihood):
    parameters = torch.randn(2, 1, 1, 1, likelihood.parameters_per_value, dtype=torch.float64)
    value = torch.zeros(2, 1, 1, 1, dtype=torch.float64)
    assert likelihood.distribution(parameters).log_prob(value).dtype == torch.float64
    assert likelihood.mean(parameters).dtype == torch.float64
