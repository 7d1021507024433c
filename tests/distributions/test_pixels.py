"""Likelihoods are masses: they are summed over every image there is."""

import itertools

import numpy as np
import pytest
import torch
from scipy.stats import norm
from torch import nn

from genlearn.distributions import (
    BernoulliPixels,
    CategoricalCodes,
    CategoricalPixels,
    LogisticPixels,
    check_images,
    diagonal_normal,
    level_dtype,
    likelihood_for,
    standard_normal,
)

SHAPE = (1, 2, 2)


def all_images(levels: int) -> torch.Tensor:
    """Every 2 x 2 image: shape (levels⁴, 1, 2, 2)."""
    return torch.tensor(list(itertools.product(range(levels), repeat=4))).view(-1, *SHAPE)


MASSES = {
    "Bernoulli": BernoulliPixels(),
    "categorical, 3 levels": CategoricalPixels(3),
    "categorical, 5 levels": CategoricalPixels(5),
    "codes, 3 of them": CategoricalCodes(3),
    "logistic, 2 levels": LogisticPixels(2),
    "logistic mixture, 5 levels": LogisticPixels(5, components=3),
}


@pytest.fixture(params=MASSES.values(), ids=MASSES)
def enumerated(request):
    """Some likelihood, parameters of one image, and the mass of every image."""
    likelihood = request.param
    generator = torch.Generator().manual_seed(0)
    parameters = 2 * torch.randn(1, *SHAPE, likelihood.parameters_per_value, generator=generator)
    images = all_images(likelihood.levels)
    mass = likelihood.distribution(parameters).log_prob(images.float()).exp().double()
    return likelihood, parameters, images, mass


def test_masses_of_all_images_sum_to_one(enumerated):
    *_, mass = enumerated
    assert mass.sum().item() == pytest.approx(1, abs=1e-5)


def test_the_mean_is_the_mean_over_all_images(enumerated):
    likelihood, parameters, images, mass = enumerated
    expected = (mass.view(-1, 1, 1, 1) * images).sum(0)
    torch.testing.assert_close(likelihood.mean(parameters)[0].double(), expected, atol=1e-5, rtol=0)


def test_samples_come_as_often_as_their_mass_says(enumerated):
    """100,000 samples: each pixel's mean within five standard errors."""
    likelihood, parameters, images, mass = enumerated
    mean = (mass.view(-1, 1, 1, 1) * images).sum(0)
    variance = (mass.view(-1, 1, 1, 1) * images**2).sum(0) - mean**2
    torch.manual_seed(0)
    samples = likelihood.distribution(parameters).sample((100_000,)).double().squeeze(1)
    assert samples.max() == likelihood.levels - 1
    assert ((samples.mean(0) - mean).abs() < 5 * (variance / 100_000).sqrt() + 1e-5).all()


def test_two_levels_give_a_bernoulli_and_more_a_categorical():
    """Both agree on two levels: a logit is the difference of two log-masses."""
    assert isinstance(likelihood_for(2), BernoulliPixels)
    assert isinstance(likelihood_for(17), CategoricalPixels)
    logits = torch.randn(1, *SHAPE, 2, generator=torch.Generator().manual_seed(0))
    one = BernoulliPixels().distribution(logits.diff(dim=-1))
    two = CategoricalPixels(2).distribution(logits)
    images = all_images(2)
    torch.testing.assert_close(one.log_prob(images.float()), two.log_prob(images))


@pytest.mark.parametrize("levels", [1, 3, 17, 256])
def test_a_bernoulli_is_refused_for_other_than_two_levels(levels):
    with pytest.raises(ValueError, match=f"2 levels, got {levels}; use CategoricalPixels"):
        BernoulliPixels(levels)


def test_a_bernoulli_has_one_parameter_whatever_is_asked():
    with pytest.raises(TypeError, match="parameters"):
        BernoulliPixels(parameters=5)


@pytest.mark.parametrize("levels", [1, 257])
def test_levels_that_no_image_has_are_refused(levels):
    with pytest.raises(ValueError, match=f"2 … 256, got {levels}"):
        CategoricalPixels(levels)


def test_codes_may_be_of_any_number_but_one():
    logits = torch.randn(1, *SHAPE, 600, generator=torch.Generator().manual_seed(0))
    codes = torch.tensor([0, 255, 256, 599]).view(1, *SHAPE)
    log_prob = CategoricalCodes(600).distribution(logits).log_prob(codes.float())
    expected = logits.log_softmax(-1).gather(-1, codes.unsqueeze(-1)).sum()
    torch.testing.assert_close(log_prob, expected.view(1))
    with pytest.raises(ValueError, match="at least 2, got 1"):
        CategoricalCodes(1)


@pytest.mark.parametrize("levels", [2, 17])
def test_log_probabilities_are_float32_under_bf16(levels):
    """784 pixels are added up: in bfloat16 the sum would be off by several nats."""
    likelihood = likelihood_for(levels)
    generator = torch.Generator().manual_seed(0)
    net = nn.Linear(3, 784 * likelihood.parameters_per_value)
    inputs = torch.randn(4, 3, generator=generator)
    images = torch.randint(levels, (4, 1, 28, 28), generator=generator).float()
    with torch.autocast("cpu", torch.bfloat16):
        parameters = net(inputs).view(4, 1, 28, 28, -1)
        log_prob = likelihood.distribution(parameters).log_prob(images)
        mean = likelihood.mean(parameters)
    assert parameters.dtype == torch.bfloat16
    assert log_prob.dtype == mean.dtype == torch.float32
    assert torch.equal(likelihood.distribution(parameters).log_prob(images), log_prob)

    logits = parameters.detach().double()
    if levels == 2:
        logits = torch.cat([torch.zeros_like(logits), logits], -1)
    every = logits.log_softmax(-1).gather(-1, images.long().unsqueeze(-1))
    torch.testing.assert_close(log_prob.double(), every.flatten(1).sum(1), atol=1e-3, rtol=0)


def test_a_diagonal_normal_is_that_of_scipy():
    mean, log_std, z = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0)).unbind(0)
    expected = norm.logpdf(z, mean, log_std.exp()).sum(1)
    np.testing.assert_allclose(diagonal_normal(mean, log_std).log_prob(z), expected, rtol=1e-5)
    expected = norm.logpdf(z).sum(1)
    np.testing.assert_allclose(standard_normal(5, 2).log_prob(z), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (torch.zeros(4, 1, 2, 2), TypeError, "uint8 levels 0 … 16, got torch.float32"),
        (torch.zeros(4, 1, 2, 2, dtype=torch.long), TypeError, "got torch.int64"),
        (torch.zeros(4, 2, 2, dtype=torch.uint8), ValueError, r"\(N, 1, 2, 2\), got \(4, 2, 2\)"),
        (torch.zeros(4, 3, 2, 2, dtype=torch.uint8), ValueError, r"got \(4, 3, 2, 2\)"),
        (torch.full((4, 1, 2, 2), 17, dtype=torch.uint8), ValueError, "0 … 16, got 17"),
    ],
)
def test_wrong_images_are_refused(x, error, words):
    with pytest.raises(error, match=words):
        check_images(x, SHAPE, 17)


@pytest.mark.parametrize("levels", [2, 256, 257, 5000])
def test_the_type_of_a_grid_holds_all_its_levels_and_no_other_type_passes(levels):
    grid = torch.full((2, *SHAPE), levels - 1)
    right = grid.to(level_dtype(levels))
    assert torch.equal(right.long(), grid)
    check_images(right, SHAPE, levels)
    wrong = grid.to(torch.int64 if levels <= 256 else torch.uint8)
    with pytest.raises(TypeError, match=f"{str(right.dtype)[6:]} levels 0 … {levels - 1}, got"):
        check_images(wrong, SHAPE, levels)
    if levels > 256:
        for odd in (levels, -1):
            with pytest.raises(ValueError, match=f"0 … {levels - 1}, got {odd}"):
                check_images(torch.full((2, *SHAPE), odd), SHAPE, levels)


def test_right_images_pass_and_so_does_an_empty_batch():
    check_images(torch.full((4, 1, 2, 2), 16, dtype=torch.uint8), SHAPE, 17)
    check_images(torch.zeros(0, 1, 2, 2, dtype=torch.uint8), SHAPE, 17)
