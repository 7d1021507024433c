"""A prior over grids of codes against counting."""

import itertools

import numpy as np
import pytest
import torch

from genlearn.models import VQVAE, IndependentPrior, PixelPrior


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


# --- a prior that reads place by place ----------------------------------------


def pixel_prior(codes: int, grid: tuple[int, int] = (2, 2), **options) -> PixelPrior:
    """One with weights so large that the places depend on each other."""
    torch.manual_seed(0)
    prior = PixelPrior.gated(
        grid, codes, embedding=3, features=4, layers=2, first_kernel=3, head=4, **options
    )
    with torch.no_grad():
        for parameter in prior.parameters():
            parameter.normal_(std=0.7)
    return prior.double().eval()


@pytest.mark.parametrize("label", [None, 1])
def test_probabilities_of_all_grids_sum_to_one_also_place_by_place(label):
    prior = pixel_prior(3, classes=0 if label is None else 2)
    every = torch.tensor(list(itertools.product(range(3), repeat=4))).view(-1, 2, 2)
    labels = None if label is None else torch.full((len(every),), label)
    probabilities = prior.log_prob(every, labels).exp()
    assert abs(probabilities.sum().item() - 1) < 1e-12
    assert probabilities.max() > 3 * probabilities.median()


def test_samples_have_the_probabilities_of_their_grids():
    """Of all 2-code grids of 2 x 1, with the labels asked for."""
    prior = pixel_prior(2, (2, 1), classes=2)
    every = torch.tensor(list(itertools.product(range(2), repeat=2))).view(-1, 2, 1)
    torch.manual_seed(0)
    n = 20_000
    for label in range(2):
        samples = prior.sample(n, torch.full((n,), label))
        assert (samples.dtype, samples.shape) == (torch.int64, (n, 2, 1))
        found = (samples.flatten(1) @ torch.tensor([2, 1])).bincount(minlength=4) / n
        expected = prior.log_prob(every, torch.full((4,), label)).exp()
        assert (found - expected).abs().max() < 5 * 0.5 / n**0.5


def test_codes_may_be_more_than_the_levels_of_an_image():
    """Each of 600 codes, with the probability that a sum over all gives it."""
    prior = pixel_prior(600, (1, 1))
    every = torch.arange(600).view(-1, 1, 1)
    assert abs(prior.log_prob(every).exp().sum().item() - 1) < 1e-12
    torch.manual_seed(0)
    samples = prior.sample(2000)
    assert samples.max() > 255
    assert samples.min() >= 0


def test_codes_of_augmented_images_are_told_apart():
    prior, codes = pixel_prior(3), grids(4)
    altered = torch.tensor([False, True, False, True])
    apart = prior.log_prob(codes, altered=altered) != prior.log_prob(codes)
    assert torch.equal(apart, altered)


@pytest.mark.parametrize("prior", [IndependentPrior((1, 2), 5), pixel_prior(5, (1, 2)).float()])
def test_a_vq_vae_takes_either_prior(prior):
    torch.manual_seed(0)
    model = VQVAE.conv((1, 2, 4), 2, codes=5, code_dim=2, channels=(2, 3)).eval()
    x = torch.randint(2, (6, 1, 2, 4), dtype=torch.uint8)
    codes = model.encode(x)
    expected = prior.log_prob(codes) + model.likelihood(codes).log_prob(x.float())
    torch.testing.assert_close(model.elbo(x, prior), expected)
    assert model.sample(7, prior).shape == (7, 1, 2, 4)
