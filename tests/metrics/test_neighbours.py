"""Neighbours and balls against all differences written out, and against scikit-learn."""

import math

import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from genlearn.metrics import ball_counts, neighbour_distances
from genlearn.metrics.neighbours import mutual_membership


def cloud(count: int, features: int, seed: int = 0) -> Tensor:
    return torch.randn(count, features, generator=torch.Generator().manual_seed(seed))


def table(points: Tensor, others: Tensor) -> Tensor:
    """All distances, one by one."""
    rows = [[math.dist(p, o) for o in others.tolist()] for p in points.tolist()]
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("at_once", [1, 100, 10_000])
def test_neighbours_in_another_set(at_once):
    points, others = cloud(30, 5), cloud(20, 5, seed=1)
    expected = table(points, others).sort(dim=1)
    found = neighbour_distances(points, others, 4, at_once=at_once)
    torch.testing.assert_close(found.distances, expected.values[:, :4])
    assert found.indices.equal(expected.indices[:, :4])


def test_neighbours_are_those_of_scikit_learn():
    points, others = cloud(200, 64), cloud(300, 64, seed=1)
    distances, indices = NearestNeighbors(n_neighbors=5).fit(others).kneighbors(points)
    found = neighbour_distances(points, others, 5)
    torch.testing.assert_close(found.distances, torch.tensor(distances).double(), rtol=1e-5, atol=0)
    assert found.indices.equal(torch.tensor(indices))


def test_no_point_is_its_own_neighbour():
    points = cloud(30, 3)
    found = neighbour_distances(points, k=2, at_once=70)
    expected = table(points, points).fill_diagonal_(math.inf).sort(dim=1)
    torch.testing.assert_close(found.distances, expected.values[:, :2])
    assert found.indices.equal(expected.indices[:, :2])


def test_a_copy_is_a_neighbour_at_distance_zero():
    points = cloud(6, 100).repeat(2, 1)
    found = neighbour_distances(points)
    assert found.distances.flatten().tolist() == [0] * 12
    assert found.indices.flatten().tolist() == [*range(6, 12), *range(6)]


@pytest.mark.parametrize("gap", [1e-3, 1e-6])
def test_close_points_far_from_the_origin_keep_their_digits(gap):
    """By ‖a‖² + ‖b‖² - 2 a·b alone such a distance is rounding."""
    points = 1e3 + cloud(40, 8).double() * gap
    found = neighbour_distances(points, k=3)
    expected = table(points, points).fill_diagonal_(math.inf).sort(dim=1)
    torch.testing.assert_close(found.distances, expected.values[:, :3], rtol=1e-12, atol=0)
    assert found.indices.equal(expected.indices[:, :3])


def test_among_two_groups_far_apart_small_distances_keep_their_digits():
    """Here no shift of the origin helps."""
    points = torch.cat([cloud(30, 8).double() * 1e-6 + side for side in (-1e3, 1e3)])
    found = neighbour_distances(points, k=3)
    expected = table(points, points).fill_diagonal_(math.inf).sort(dim=1)
    torch.testing.assert_close(found.distances, expected.values[:, :3], rtol=1e-12, atol=0)
    assert found.indices.equal(expected.indices[:, :3])


@pytest.mark.parametrize("values", [1, 2, 3])
def test_of_equally_near_points_the_first_comes_first(values):
    points = torch.randint(values, (80, 3), generator=torch.Generator().manual_seed(0))
    expected = table(points, points).fill_diagonal_(math.inf).sort(dim=1, stable=True)
    found = neighbour_distances(points, k=5)
    assert found.distances.equal(expected.values[:, :5])
    assert found.indices.equal(expected.indices[:, :5])


def test_levels_count_like_numbers():
    levels = torch.tensor([[0, 0], [255, 0], [3, 4]], dtype=torch.uint8)
    found = neighbour_distances(levels, k=2)
    far = math.dist([255, 0], [3, 4])
    assert found.distances.tolist() == [[5, 255], [far, 255], [5, far]]


def test_points_in_balls_are_counted():
    points, centres = cloud(40, 2), cloud(30, 2, seed=1)
    radii = torch.rand(30, generator=torch.Generator().manual_seed(2)).double()
    inside = table(points, centres) <= radii
    found = ball_counts(points, centres, radii, at_once=100)
    assert found.around_points.equal(inside.sum(1))
    assert found.inside_balls.equal(inside.sum(0))


def test_membership_both_ways_is_that_of_the_counts():
    first, second = cloud(40, 2), cloud(30, 2, seed=1)
    radii = torch.rand(70, generator=torch.Generator().manual_seed(2)).double() / 3
    held, holding = mutual_membership(first, second, radii[:40], radii[40:], at_once=100)
    assert held.equal(ball_counts(first, second, radii[40:]).around_points > 0)
    assert holding.equal(ball_counts(second, first, radii[:40]).around_points > 0)


class Largest(TorchDispatchMode):
    """Notes how many numbers the largest tensor has that is made."""

    numbers = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        tensors = [x for x in tree_leaves(made) if isinstance(x, Tensor)]
        self.numbers = max([self.numbers, *(x.numel() for x in tensors)])
        return made


def test_no_more_distances_are_held_than_asked_for():
    points, radii = cloud(300, 2), torch.full((300,), 0.3)
    with Largest() as largest:
        neighbour_distances(points, k=3, at_once=2000)
        ball_counts(points, points, radii, at_once=2000)
        mutual_membership(points, points, radii, radii, at_once=2000)
    assert 300 * 2 <= largest.numbers <= 2000


def test_a_point_on_the_rim_lies_inside():
    centres = torch.tensor([[1e3, 1e3], [1e3 + 3, 1e3 + 4], [0, 0]])
    found = ball_counts(centres[:2], centres, torch.tensor([5.0, 4.999, 1.0]))
    assert found.around_points.tolist() == [1, 2]


def test_the_point_that_gives_a_ball_its_radius_lies_inside():
    points = cloud(200, 50) + 30
    radii = neighbour_distances(points, k=3).distances[:, -1]
    assert ball_counts(points, points, radii).inside_balls.tolist() == [4] * 200


def test_a_ball_of_radius_zero_holds_copies_alone():
    points = cloud(5, 7)
    found = ball_counts(torch.cat([points, points + 1e-6]), points, torch.zeros(5))
    assert found.around_points.tolist() == [1] * 5 + [0] * 5


@pytest.mark.parametrize("shape", [(3,), (0, 2), (4, 3), (2, 0)], ids=str)
def test_shapes_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match="points must be"):
        neighbour_distances(torch.zeros(3, 2), torch.zeros(shape))


@pytest.mark.parametrize("k", [0, 3])
def test_there_must_be_k_others(k):
    with pytest.raises(ValueError, match="k must be from 1 to 2"):
        neighbour_distances(torch.zeros(3, 2), k=k)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("place", [0, 1])
def test_what_is_not_finite_is_refused(value, place):
    sets = [torch.zeros(3, 2), torch.zeros(4, 2)]
    sets[place][1, 1] = value
    with pytest.raises(ValueError, match="points must be finite"):
        neighbour_distances(*sets)


@pytest.mark.parametrize("radii", [[1.0], [1.0, -1.0], [1.0, math.nan]], ids=str)
def test_balls_need_radii(radii):
    with pytest.raises(ValueError, match="there must be 2 radii"):
        ball_counts(torch.zeros(3, 2), torch.zeros(2, 2), torch.tensor(radii))
