"""The Fréchet distance against closed forms and SciPy's matrix square root."""

import pytest
import torch
from scipy.linalg import sqrtm

from genlearn.metrics import frechet_distance


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
