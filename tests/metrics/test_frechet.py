"""The Fréchet distance against closed forms and SciPy's matrix square root."""

import pytest
import torch
from scipy.linalg import sqrtm

from genlearn.metrics import frechet_at_infinity, frechet_distance, moments_of


def test_written_with_the_square_root_of_the_product():
    torch.manual_seed(0)
    a = torch.randn(50, 4) @ torch.randn(4, 4) + 1
    b = torch.randn(60, 4) @ torch.randn(4, 4)
    one, two = a.double().T.cov().numpy(), b.double().T.cov().numpy()
    apart = (a.double().mean(0) - b.double().mean(0)).square().sum().item()
    expected = apart + (one + two - 2 * sqrtm(one @ two).real).trace()
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-8)


def test_of_a_cloud_with_itself_is_zero():
    a = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-7)


def test_of_a_shifted_cloud_is_the_squared_shift():
    a = torch.randn(20, 2, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(a, a + torch.tensor([3.0, 4.0])) == pytest.approx(25, rel=1e-5)


def test_of_a_stretched_cloud_is_the_squared_difference_of_deviations():
    a = torch.randn(20, 1, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(a, 3 * a) == pytest.approx(
        (2 * a.mean()).square().item() + 4 * a.var().item(), rel=1e-5
    )


def test_fewer_points_than_features_are_no_trouble():
    a = torch.randn(3, 10, generator=torch.Generator().manual_seed(0))
    assert frechet_distance(a, a + 1) == pytest.approx(10, rel=1e-5)


@pytest.mark.parametrize("shape", [(1, 3), (5, 2), (5,)])
def test_shapes_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match="features must be"):
        frechet_distance(torch.zeros(5, 3), torch.zeros(shape))


def test_what_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        frechet_distance(torch.zeros(5, 1), torch.full((5, 1), torch.nan))


def test_moments_of_batches_do_as_well_as_features():
    a, b = torch.randn(2, 50, 3, generator=torch.Generator().manual_seed(0))
    one, two = moments_of(a.split(7)), moments_of((b + 1).split(50))
    expected = frechet_distance(a, b + 1)
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-12)
    assert frechet_distance(one, b + 1) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(5, 5), (5, 40), (40, 5), (40, 40)])
def test_singular_covariances_on_either_side_agree_with_the_nuclear_norm(n, m):
    """Of the product of both centred clouds; no covariance is formed."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(k, 9, generator=generator).double() for k in (n, m))
    left, right = (x - x.mean(0) for x in (a, b))
    overlap = torch.linalg.svdvals(left @ right.T).sum() / ((n - 1) * (m - 1)) ** 0.5
    apart = (a.mean(0) - b.mean(0)).square().sum()
    expected = apart + a.var(0).sum() + b.var(0).sum() - 2 * overlap
    assert frechet_distance(a, b) == pytest.approx(expected.item(), rel=1e-6)


def test_features_that_never_change_count_by_their_means():
    assert frechet_distance(torch.zeros(5, 2), torch.ones(9, 2)) == pytest.approx(2)
    a = torch.randn(30, 2, generator=torch.Generator().manual_seed(0)).double()
    expected = (a.mean(0) - 1).square().sum() + a.var(0).sum()
    assert frechet_distance(a, torch.ones(9, 2)) == pytest.approx(expected.item(), rel=1e-9)


def test_values_that_overflow_are_refused():
    with pytest.raises(ValueError, match="too large"):
        frechet_distance(torch.tensor([[1e200], [0.0]], dtype=torch.float64), torch.zeros(2, 1))


def test_extrapolation_takes_the_bias_of_the_first_cloud_away():
    """Simulated against the distance of endless many first points from the same reference."""
    generator = torch.Generator().manual_seed(0)
    reference = torch.randn(400, 4, generator=generator)
    endless = frechet_distance(torch.randn(400_000, 4, generator=generator) + 0.3, reference)
    clouds = torch.randn(60, 100, 4, generator=generator) + 0.3
    plain = sum(frechet_distance(cloud, reference) for cloud in clouds) / 60 - endless
    ends = [frechet_at_infinity(cloud, reference, shuffles=2) for cloud in clouds]
    assert plain > 0.08
    assert abs(sum(end.value for end in ends) / 60 - endless) < 0.04
    assert sum(end.low < endless < end.high for end in ends) >= 0.85 * 60


@pytest.mark.parametrize("n", [100, 200])
def test_two_samples_of_one_gaussian_are_as_far_apart_as_theory_has_it(n):
    """On average, to first order: 2 F / N from their means, F (F + 1) / 2N from covariances."""
    a, b = torch.randn(2, 400, n, 3, generator=torch.Generator().manual_seed(0))
    mean = sum(map(frechet_distance, a, b)) / 400
    assert mean == pytest.approx(2 * 3 / n + 3 * 4 / (2 * n), rel=0.06)


def test_parts_with_too_few_points_are_refused():
    with pytest.raises(
        ValueError, match="5 parts of at least twice as many points as features need 40"
    ):
        frechet_at_infinity(torch.randn(39, 4), torch.randn(39, 4))
    with pytest.raises(ValueError, match="2 parts and 1 shuffle"):
        frechet_at_infinity(torch.randn(39, 4), torch.randn(39, 4), parts=1)
