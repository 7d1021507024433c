"""A prior over grids of codes against counting."""

import itertools

import numpy as np
import torch

from genlearn.models import IndependentPrior


def grids(count: int = 50) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(3, (count, 2, 2), generator=generator)
    codes[:, 0, 1] = 2  # a place with one code alone
    return codes


def test_each_place_has_its_smoothed_frequencies():
    codes = grids()
    prior = IndependentPrior.fit(codes, 4, smoothing=0.5)
    for i, j in itertools.product(range(2), range(2)):
        counts = np.bincount(codes[:, i, j], minlength=4)
        np.testing.assert_allclose(prior.probabilities[i, j], (counts + 0.5) / 52, rtol=1e-6)


def test_probabilities_of_all_grids_sum_to_one():
    prior = IndependentPrior.fit(grids(), 3)
    every = torch.tensor(list(itertools.product(range(3), repeat=4))).view(-1, 2, 2)
    assert abs(prior.log_prob(every).exp().sum().item() - 1) < 1e-6


def test_the_probability_of_a_grid_is_the_product_over_its_places():
    prior = IndependentPrior.fit(grids(), 3)
    table, codes = prior.probabilities.double().numpy(), grids(9)
    expected = [
        sum(np.log(table[i, j, grid[i, j]]) for i in range(2) for j in range(2))
        for grid in codes.numpy()
    ]
    np.testing.assert_allclose(prior.log_prob(codes), expected, rtol=1e-5)


def test_samples_have_the_frequencies_of_their_places():
    prior = IndependentPrior.fit(grids(), 3)
    torch.manual_seed(0)
    samples = prior.sample(20_000)
    assert samples.shape == (20_000, 2, 2)
    assert samples.dtype == torch.int64
    share = torch.stack([(samples == code).float().mean(0) for code in range(3)], -1)
    assert (share - prior.probabilities).abs().max() < 5 * 0.5 / 20_000**0.5


def test_before_it_is_fitted_all_codes_are_equally_likely():
    prior = IndependentPrior((2, 2), 3)
    torch.testing.assert_close(prior.log_prob(grids(1)), torch.tensor([-4 * np.log(3)]).float())
