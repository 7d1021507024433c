"""All kinds of images of a data set at a glance."""

import numpy as np
import torch
from torch import Tensor

from genlearn.viz.images import tile


def contact_sheet(
    images: Tensor, labels: Tensor | None, levels: int, columns: int = 16, rows: int = 10
) -> np.ndarray:
    """Lay images of each class in a row of its own, in the order of the labels.

    Args:
        images: levels, uint8, shape (N, C, H, W) with C = 1 or 3.
        labels: int64, shape (N,); without labels (None) the first images fill ``rows`` rows.
        levels: number of levels.
        columns: images a row; the places of a class that has fewer stay black.
        rows: how many, where there are no labels.

    Returns:
        uint8, shape (height, width), or (height, width, 3) for colour.
    """
    if labels is None:
        return tile(images[: rows * columns], levels, columns)
    kinds = labels.unique()
    sheet = torch.zeros(len(kinds), columns, *images.shape[1:], dtype=images.dtype)
    for row, kind in zip(sheet, kinds, strict=True):
        first = images[labels == kind][:columns]
        row[: len(first)] = first
    return tile(sheet.flatten(0, 1), levels, columns)
