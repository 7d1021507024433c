"""Pictures of images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from genlearn.files import written_whole
from genlearn.viz.style import WIDTH, subplots


def tile(images: Tensor, levels: int, columns: int | None = None, gap: int = 1) -> np.ndarray:
    """Lay images side by side in one array.

    Args:
        images: levels, uint8 or float (means), shape (N, C, H, W) with C = 1 or 3.
        levels: number of levels; the highest becomes 255.
        columns: images a row; by default the array is about square.
        gap: grey pixels between images.

    Returns:
        uint8, shape (height, width), or (height, width, 3) for colour.

    Raises:
        ValueError: if there is no image, or another number of channels.
    """
    if images.ndim != 4 or len(images) == 0 or images.shape[1] not in (1, 3):
        raise ValueError(f"images must be of shape (N, 1 or 3, H, W), got {tuple(images.shape)}")
    n, channels, height, width = images.shape
    columns = columns or int(np.ceil(np.sqrt(n)))
    rows = -(-n // columns)
    grey = (images.detach().cpu().float() * (255 / (levels - 1))).round().clamp(0, 255)
    canvas = np.full(
        (rows * (height + gap) - gap, columns * (width + gap) - gap, channels), 128, np.uint8
    )
    for i, image in enumerate(grey.permute(0, 2, 3, 1).numpy().astype(np.uint8)):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image
    return canvas[..., 0] if channels == 1 else canvas


def save_png(array: np.ndarray, path: Path, at_least: int = 512) -> None:
    """Write a uint8 array as PNG, each pixel a square block so that the picture can be seen.

    Args:
        array: shape (height, width) or (height, width, 3).
        path: the file; it is whole, or it is not there.
        at_least: pixels of the shorter side after enlarging.
    """
    from PIL import Image  # comes with matplotlib

    factor = -(-at_least // min(array.shape[:2]))
    array = array.repeat(factor, axis=0).repeat(factor, axis=1)
    with written_whole(Path(path)) as temporary:
        Image.fromarray(array).save(temporary, format="PNG")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as PNG; the file is whole, or it is not there."""
    with written_whole(Path(path)) as temporary:
        figure.savefig(temporary, format="png")


def show_images(
    axes: Axes, images: Tensor, levels: int, columns: int | None = None, title: str = ""
) -> None:
    """Draw a tile of images into axes, without ticks."""
    axes.imshow(tile(images, levels, columns), vmin=0, vmax=255)
    axes.set_axis_off()
    axes.set_title(title)


def grid(
    images: Tensor | Sequence[Tensor],
    levels: int,
    *,
    columns: int = 16,
    titles: Sequence[str] = (),
) -> Figure:
    """Show images in rows of ``columns``; several tensors stand one below the other.

    Args:
        images: shape (N, C, H, W), or a sequence of such.
        levels: number of levels.
        columns: images a row.
        titles: one for each tensor, or none at all.
    """
    blocks = [images] if isinstance(images, Tensor) else list(images)
    titles = titles or [""] * len(blocks)
    rows = [-(-len(block) // columns) for block in blocks]
    titled = sum(bool(title) for title in titles)
    height, width = blocks[0].shape[2:]
    figure, axes = subplots(
        len(blocks),
        1,
        height=WIDTH / columns * height / width * sum(rows) + 0.25 * titled,
        squeeze=False,
        height_ratios=rows,
    )
    for axis, block, title in zip(axes[:, 0], blocks, titles, strict=True):
        show_images(axis, block, levels, columns, title)
    return figure
