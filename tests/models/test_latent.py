"""Truncated noise and paths: their ends, their limits, and what is refused."""

import math

import pytest
import torch

from genlearn.models import linear_path, spherical_path, towards, truncated_noise


def test_no_number_lies_beyond_the_threshold():
    torch.manual_seed(0)
    z = truncated_noise(1000, 5, 0.7)
    assert z.shape == (1000, 5)
    assert 0.69 < z.abs().max() <= 0.7


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan])
def test_a_threshold_must_be_above_zero(threshold):
    with pytest.raises(ValueError, match="threshold must be above 0"):
        truncated_noise(2, 2, threshold)


def test_towards_its_centre_a_point_keeps_a_share_of_its_way():
    points, centre = torch.tensor([[3.0, 1.0]]), torch.tensor([1.0, 1.0])
    assert towards(points, centre, 0.25).tolist() == [[1.5, 1.0]]
    assert torch.equal(towards(points, centre, 1.0), points)


@pytest.mark.parametrize("path", [linear_path, spherical_path])
def test_a_path_begins_and_ends_where_it_was_told(path):
    torch.manual_seed(0)
    start, end = torch.randn(2, 4, 6)
    points = path(start, end, 7)
    assert points.shape == (7, 4, 6)
    torch.testing.assert_close(points[0], start)
    torch.testing.assert_close(points[-1], end)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_where_there_is_no_single_arc_the_path_is_straight(sign):
    start = torch.tensor([1.0, 2.0])
    points = spherical_path(start, 2 * sign * start, 3)
    torch.testing.assert_close(points, linear_path(start, 2 * sign * start, 3))
