"""One mixture for all channels, against the joint probability computed directly."""

import itertools

import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import logistic

from genlearn.distributions import ColourChain, LogisticPixels


def scaled(levels_of_pixel: torch.Tensor, levels: int) -> torch.Tensor:
    return levels_of_pixel * (2 / (levels - 1)) - 1


def chained(parameters, pixel, levels: int, components: int) -> torch.Tensor:
    """Log-probability of each channel given those before it, (…, C)."""
    chain = ColourChain(pixel.shape[-1], components, levels)
    conditionals = chain(parameters, scaled(pixel, levels))
    likelihood = LogisticPixels(levels, components)
    return likelihood.distribution(conditionals.unsqueeze(0)).base_dist.log_prob(pixel)[0]


def joint(parameters, pixel, levels: int, components: int) -> float:
    """Log-probability of one pixel of three channels, straight from the sum over components."""
    numbers = parameters.view(10, components).numpy()
    logits, means, log_scales = numbers[0], numbers[1:4], numbers[4:7]
    green_red, blue_red, blue_green = torch.tensor(numbers[7:10]).tanh().numpy()
    red, green, blue = (2 * value / (levels - 1) - 1 for value in pixel.tolist())
    centres = [
        means[0],
        means[1] + green_red * red,
        means[2] + blue_red * red + blue_green * green,
    ]
    log_terms = logits - logsumexp(logits)
    half = 1 / (levels - 1)
    for value, centre, log_scale in zip((red, green, blue), centres, log_scales, strict=True):
        density = logistic(centre, torch.tensor(log_scale).exp().numpy())
        low = -torch.inf if value == -1 else value - half
        high = torch.inf if value == 1 else value + half
        log_terms = log_terms + torch.tensor(density.cdf(high) - density.cdf(low)).log().numpy()
    return float(logsumexp(log_terms))


@pytest.mark.parametrize("components", [1, 2, 5])
@pytest.mark.parametrize("levels", [2, 3, 256])
def test_the_product_of_the_conditionals_is_the_joint_mixture(levels, components):
    torch.manual_seed(levels + components)
    parameters = torch.randn(6, 10 * components, dtype=torch.float64)
    pixels = torch.randint(0, levels, (6, 3)).double()
    pixels[0], pixels[1] = 0, levels - 1  # both ends
    found = chained(parameters, pixels, levels, components).sum(-1)
    for one, pixel, log_prob in zip(parameters, pixels, found.tolist(), strict=True):
        assert log_prob == pytest.approx(joint(one, pixel, levels, components), abs=1e-9)


def test_probabilities_of_all_colours_sum_to_one():
    torch.manual_seed(0)
    every = torch.tensor(list(itertools.product(range(3), repeat=3))).double()
    parameters = torch.randn(10 * 4, dtype=torch.float64).expand(len(every), -1)
    total = chained(parameters, every, 3, 4).sum(-1).exp().sum().item()
    assert total == pytest.approx(1, abs=1e-12)


def test_a_channel_hears_of_those_before_it_alone():
    torch.manual_seed(0)
    chain = ColourChain(3, 2, 5)
    parameters = torch.randn(20, dtype=torch.float64)
    values = torch.tensor([-0.5, 0.0, 0.5], dtype=torch.float64, requires_grad=True)
    conditionals = chain(parameters, values)
    heard = [
        (torch.autograd.grad(one.sum(), values, retain_graph=True)[0] != 0).tolist()
        for one in conditionals
    ]
    assert heard == [[False, False, False], [True, False, False], [True, True, False]]


def test_one_channel_is_a_plain_mixture():
    parameters = torch.randn(7, 9)
    assert torch.equal(ColourChain(1, 3, 4)(parameters, torch.zeros(7, 1))[:, 0], parameters)
