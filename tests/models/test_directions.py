"""Directions found in clouds of points where the right answer is known."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from genlearn.models import (
    mean_difference,
    principal_directions,
    separating_direction,
    slope_direction,
    without,
)


@pytest.fixture
def points():
    """Correlated, and not about zero."""
    torch.manual_seed(0)
    return torch.randn(500, 4) @ torch.randn(4, 4) + torch.randn(4)


def test_the_slope_of_a_linear_quantity_is_found_among_correlated_points(points):
    way = torch.tensor([2.0, -1.0, 0.0, 2.0])
    found = slope_direction(points, points @ way + 5)
    torch.testing.assert_close(found, way / 3, atol=1e-5, rtol=0)


def test_the_separating_direction_is_that_of_logistic_regression(points):
    positive = points @ torch.tensor([1.0, 0.5, 0.0, 0.0]) + 0.5 * torch.randn(500) > 0.3
    model = LogisticRegression(C=1 / 2.0, tol=1e-10, max_iter=5000)
    normal = model.fit(points.double().numpy(), positive.numpy()).coef_[0]
    expected = torch.tensor(normal / np.linalg.norm(normal)).float()
    torch.testing.assert_close(
        separating_direction(points, positive, 2.0), expected, atol=1e-4, rtol=0
    )


def test_points_that_a_plane_separates_have_a_finite_normal(points):
    normal = separating_direction(points, points[:, 0] > points[:, 0].median(), 1e-3)
    assert normal.isfinite().all()
    torch.testing.assert_close(normal.norm(), torch.tensor(1.0))


def test_the_difference_of_means_runs_from_those_without_to_those_with():
    points = torch.tensor([[0.0, 0.0], [0.0, 2.0], [3.0, 5.0]])
    found = mean_difference(points, torch.tensor([False, False, True]))
    torch.testing.assert_close(found, torch.tensor([0.6, 0.8]))


def test_what_is_left_has_length_one_and_right_angles_to_all_others():
    torch.manual_seed(0)
    direction, *others = torch.randn(3, 6)
    rest = without(direction, *others)
    torch.testing.assert_close(rest.norm(), torch.tensor(1.0))
    assert max(abs(rest @ other) for other in others) < 1e-6
    assert rest @ direction > 0


def test_components_are_those_of_scikit_learn(points):
    components = principal_directions(torch.randn(500, 3), points, 2)
    pca = PCA(2).fit(points.double().numpy())
    aligned = (components.axes.double().numpy() * pca.components_).sum(1)
    np.testing.assert_allclose(np.abs(aligned), 1, atol=1e-5)
    np.testing.assert_allclose(components.share, pca.explained_variance_ratio_, atol=1e-5)
    np.testing.assert_allclose(components.std**2, pca.explained_variance_ * 499 / 500, rtol=1e-4)


def test_the_sign_of_a_component_is_fixed(points):
    axes = principal_directions(torch.randn(500, 3), points, 3).axes
    assert (axes.gather(1, axes.abs().argmax(1, keepdim=True)) > 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: slope_direction(torch.randn(3, 4), torch.randn(3)), "fix no slope"),
        (lambda: slope_direction(torch.randn(9, 4), torch.ones(9)), "all the same"),
        (lambda: mean_difference(torch.randn(2, 4), torch.tensor([True, True])), "both True"),
        (lambda: mean_difference(torch.randn(2, 4), torch.tensor([1, 0])), "must be bool"),
        (lambda: separating_direction(torch.randn(2, 4), torch.tensor([True, False]), 0), "ridge"),
        (lambda: without(torch.ones(3), 2 * torch.ones(3)), "nothing is left"),
        (lambda: principal_directions(torch.randn(8, 2), torch.randn(8, 3), 4), "no 4 components"),
        (lambda: principal_directions(torch.randn(7, 2), torch.randn(8, 3), 1), "7 noise vectors"),
    ],
)
def test_what_has_no_answer_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
