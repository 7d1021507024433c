"""Scores of codes made by hand, whose right answers are known."""

import math

import pytest
import torch
from sklearn.metrics import mutual_info_score

from genlearn import data
from genlearn.metrics import active_dimensions, factor_score, mutual_information_gap


@pytest.fixture(scope="module")
def factors():
    """All combinations of 3 · 6 · 8 values, each four times."""
    grid = torch.cartesian_prod(torch.arange(3.0), torch.arange(6.0), torch.arange(8.0))
    return grid.repeat(4, 1)


def noise(like, dimensions):
    return torch.randn(len(like), dimensions, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def square():
    """All pairs of two factors with 12 values each."""
    return torch.cartesian_prod(torch.arange(12.0), torch.arange(12.0))


def turned(pairs):
    """Sum and difference: a turn by 45 degrees, and a factor of √2."""
    return torch.stack([pairs[:, 0] + pairs[:, 1], pairs[:, 0] - pairs[:, 1]], dim=1)


# Mutual-information gap


def test_a_code_equal_to_the_factors_has_a_gap_of_one(factors):
    result = mutual_information_gap(factors[:, [2, 0, 1]] * 3 - 1, factors)
    assert result.score == pytest.approx(1)
    entropies = torch.tensor([3.0, 6.0, 8.0]).double().log()
    torch.testing.assert_close(result.entropies, entropies)
    # Whole designs: what a dimension tells of another factor is exactly nothing.
    expected = entropies.diag()[:, [2, 0, 1]]
    torch.testing.assert_close(result.information, expected, rtol=0, atol=1e-9)


def test_a_factor_told_twice_has_no_gap(factors, square):
    doubled = torch.cat([factors, factors[:, :1]], dim=1)
    assert mutual_information_gap(doubled, factors).gaps.tolist() == pytest.approx([0, 1, 1])
    # Nor has one that nobody tells of.
    assert mutual_information_gap(square[:, [0, 0]], square).score == pytest.approx(0, abs=1e-9)


def test_a_turned_code_has_no_gap(square):
    """Sum and difference tell equally much of each factor, by symmetry."""
    result = mutual_information_gap(turned(square), square)
    assert result.score == pytest.approx(0, abs=1e-9)
    assert (result.information > 0.4).all()
    assert mutual_information_gap(square, square).score == pytest.approx(1)


def test_a_constant_code_has_a_gap_of_zero(factors):
    assert mutual_information_gap(torch.ones(len(factors), 3), factors).score == 0


def test_a_code_of_noise_has_nearly_no_gap(factors):
    result = mutual_information_gap(noise(factors, 5), factors)
    assert 0 <= result.score < 0.03
    # The bias of the estimate that the docstring names: half of 31 · 7 cells in 576 images.
    assert result.information[2].mean() == pytest.approx(31 * 7 / (2 * len(factors)), rel=0.25)


def test_information_is_that_of_scikit_learn(factors):
    codes = factors + 2 * noise(factors, 3)
    result = mutual_information_gap(codes, factors, bins=10)
    for j, code in enumerate(codes.T.contiguous()):
        edges = torch.linspace(code.min(), code.max(), 11)[1:-1]
        for k, factor in enumerate(factors.T):
            expected = mutual_info_score(factor.long(), torch.bucketize(code, edges))
            assert result.information[k, j].item() == pytest.approx(expected, abs=1e-3)


def test_gaps_are_shares_of_each_factors_own_entropy(factors):
    """The best dimension tells all of the 3 values, the second which of two halves it is in."""
    both = torch.stack([factors[:, 0], (factors[:, 0] == 2).float()], dim=1)
    gap = mutual_information_gap(both, factors[:, :1]).gaps.item()
    halves = -(math.log(1 / 3) / 3 + math.log(2 / 3) * 2 / 3)
    assert gap == pytest.approx(1 - halves / math.log(3))


def test_scale_and_sign_of_a_dimension_do_not_matter(factors):
    codes = factors + 0.3 * noise(factors, 3)
    result = mutual_information_gap(codes, factors)
    again = mutual_information_gap(codes * torch.tensor([-2.0, 64.0, 0.5]), factors)
    assert again.score == pytest.approx(result.score, abs=0.02)  # a bin's edge belongs to one side


# Factor score


def test_a_code_equal_to_the_factors_is_always_voted_right(factors):
    result = factor_score(factors[:, [2, 0, 1]], factors)
    assert (result.accuracy, result.standard_error, result.chance) == (1, 0, 1 / 3)


def test_a_code_of_noise_scores_chance(factors):
    result = factor_score(noise(factors, 6), factors)
    assert result.accuracy == pytest.approx(result.chance, abs=5 * result.standard_error)
    assert result.standard_error == pytest.approx(math.sqrt(2 / 9 / 1000), rel=0.1)


def test_a_turned_code_scores_chance(square):
    """Whichever factor is fixed, sum and difference vary equally."""
    result = factor_score(turned(square), square)
    assert result.accuracy == pytest.approx(1 / 2, abs=5 * result.standard_error)
    assert factor_score(square, square).accuracy == 1


def test_a_code_that_never_changes_scores_chance(factors):
    result = factor_score(torch.ones(len(factors), 4), factors)
    assert result == (1 / 3, 0.0, 1 / 3)


def test_a_dimension_that_never_changes_gets_no_vote(factors):
    """Its variance would be the least in every batch."""
    codes = torch.cat([torch.full((len(factors), 1), 0.7), factors], dim=1)
    assert factor_score(codes, factors).accuracy == 1


def test_variances_are_relative(factors):
    """A dimension of small scale is not the one that was held fixed."""
    blurred = factors + 0.2 * noise(factors, 3)
    assert factor_score(blurred * torch.tensor([100.0, 10.0, 1.0]), factors).accuracy > 0.95


def test_two_dimensions_may_stand_for_one_factor(factors):
    doubled = torch.cat([factors, factors + 0.01 * noise(factors, 3)], dim=1)
    assert factor_score(doubled, factors).accuracy > 0.99


def test_a_seed_fixes_the_votes(factors):
    codes = factors + 4 * noise(factors, 3)
    assert factor_score(codes, factors, seed=3) == factor_score(codes, factors, seed=3)
    assert factor_score(codes, factors, seed=3) != factor_score(codes, factors, seed=4)


# Both, and the count of dimensions in use


def test_the_factors_of_shapes_themselves_score_one():
    known = data.load("shapes").test.factors
    result = mutual_information_gap(known, known)
    assert result.score > 0.9  # 2,000 drawn combinations are no whole design
    assert factor_score(known, known, votes=200).accuracy == 1


def test_active_dimensions_are_those_whose_means_vary():
    signs = torch.tensor([-1.0, 1.0]).repeat(500)[:, None]
    codes = signs * torch.tensor([1.0, 0.2, 0.09, 0.0]) + 5
    assert active_dimensions(codes).tolist() == [True, True, False, False]
    assert active_dimensions(codes, 0.005).tolist() == [True, True, True, False]


@pytest.mark.parametrize("score", [mutual_information_gap, factor_score])
@pytest.mark.parametrize(
    ("codes", "factors", "message"),
    [
        (torch.rand(5, 2), torch.rand(4, 2), r"got \(5, 2\) and \(4, 2\)"),
        (torch.rand(5), torch.rand(5, 2), r"codes must be \(N, L\)"),
        (torch.rand(3, 2), torch.tensor([[0.0, 1], [1, 1], [2, 1]]), r"columns \[1\] never change"),
    ],
)
def test_what_does_not_fit_is_refused(score, codes, factors, message):
    with pytest.raises(ValueError, match=message):
        score(codes, factors)


def test_a_gap_needs_two_dimensions_and_two_bins(factors):
    with pytest.raises(ValueError, match="a second dimension"):
        mutual_information_gap(factors[:, :1], factors)
    with pytest.raises(ValueError, match="at least 2 bins, got 1"):
        mutual_information_gap(factors, factors, bins=1)


def test_a_vote_needs_two_images(factors):
    with pytest.raises(ValueError, match="got batch=1"):
        factor_score(factors, factors, batch=1)
