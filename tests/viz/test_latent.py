"""Grids of codes."""

from genlearn.viz import plane


def test_a_plane_is_read_like_a_page():
    """First coordinate to the right, second upwards, from the top left."""
    assert plane(3, extent=2).tolist() == [
        [-2, 2], [0, 2], [2, 2],
        [-2, 0], [0, 0], [2, 0],
        [-2, -2], [0, -2], [2, -2],
    ]  # fmt: skip
