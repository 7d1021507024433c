"""Pictures show the pixels they were given."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from genlearn.viz import grid, save_figure, save_png, style, subplots, tile


def test_a_tile_lays_images_row_by_row_with_grey_gaps():
    """Five 1 x 2 images in 3 columns; the highest level becomes 255, the empty place is grey."""
    images = torch.arange(10, dtype=torch.uint8).view(5, 1, 1, 2)
    g = 128
    expected = [
        [0, 28, g, 57, 85, g, 113, 142],
        [g] * 8,
        [170, 198, g, 227, 255, g, g, g],
    ]
    np.testing.assert_array_equal(
        tile(images, levels=10), np.array(expected, np.uint8), strict=True
    )


def test_a_tile_keeps_colours_apart():
    images = torch.tensor([[1, 0, 0], [0, 0, 1]], dtype=torch.uint8).view(2, 3, 1, 1)
    picture = tile(images, levels=2, columns=2, gap=0)
    np.testing.assert_array_equal(picture, [[[255, 0, 0], [0, 0, 255]]])


def test_means_are_rounded_and_stay_in_range():
    means = torch.tensor([-0.1, 0.5, 1.0, 1.2]).view(1, 1, 1, 4)
    assert tile(means, levels=2).tolist() == [[0, 128, 255, 255]]


@pytest.mark.parametrize("shape", [(0, 1, 2, 2), (4, 2, 2, 2), (4, 2, 2)])
def test_what_is_no_batch_of_images_is_refused(shape):
    with pytest.raises(ValueError, match="1 or 3, H, W"):
        tile(torch.zeros(shape), 2)


@pytest.mark.parametrize(("at_least", "factor"), [(4, 2), (5, 3), (1, 1)])
def test_a_png_holds_each_pixel_as_a_block(tmp_path, at_least, factor):
    array = np.arange(6, dtype=np.uint8).reshape(2, 3)
    save_png(array, tmp_path / "deep" / "x.png", at_least)
    read = np.asarray(Image.open(tmp_path / "deep" / "x.png"))
    np.testing.assert_array_equal(read, np.kron(array, np.ones((factor, factor), np.uint8)))


def test_a_grid_shows_each_block_below_the_other():
    first = torch.tensor([0, 1, 1]).view(3, 1, 1, 1)
    second = torch.tensor([1, 0]).view(2, 1, 1, 1)
    figure = grid([first, second], levels=2, columns=2, titles=["data", "model"])
    assert [axes.get_title() for axes in figure.axes] == ["data", "model"]
    shown = [axes.get_images()[0].get_array().tolist() for axes in figure.axes]
    assert shown == [[[0, 128, 255], [128] * 3, [255, 128, 128]], [[255, 128, 0]]]


def test_a_grid_needs_no_titles_but_one_for_each_block_if_any():
    blocks = [torch.zeros(2, 1, 1, 1)] * 2
    assert len(grid(blocks, levels=2).axes) == 2
    assert len(grid(blocks[0], levels=2).axes) == 1
    with pytest.raises(ValueError, match="shorter"):
        grid(blocks, levels=2, titles=["one"])


def test_images_are_shown_in_grey_from_black_to_white():
    (image,) = grid(torch.ones(1, 1, 1, 1), levels=2, columns=1).axes[0].get_images()
    assert image.get_cmap().name == "gray"
    assert image.get_clim() == (0, 255)
    assert image.get_interpolation() == "nearest"


def test_a_saved_figure_is_crisp_and_the_same_each_time(tmp_path):
    """Two pixels a point: the column of 7.2 inches is 1,440 pixels wide."""
    for name in ("a.png", "b.png"):
        figure, axes = subplots(height=1)
        axes.plot([1, 2], [3, 4])
        save_figure(figure, tmp_path / name)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png"))
    assert Image.open(io.BytesIO(first)).size == (round(style.WIDTH * 200), 200)
    assert first == second


def test_figures_are_not_kept_open():
    """Else a notebook shows each twice, and many of them fill the memory."""
    grid(torch.ones(1, 1, 1, 1), levels=2)
    subplots()
    style.subplot_mosaic([["a", "b"]])
    assert plt.get_fignums() == []
