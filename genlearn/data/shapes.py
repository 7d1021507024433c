"""White shapes on black, drawn from factors that are known: which, how large, turned how, where.

None of the shapes looks the same after a turn, so each image has one angle only.
"""

import numpy as np
import torch
from torch import Tensor

from genlearn.data.chance import permutation, to_levels
from genlearn.data.split import Dataset, Split

SHAPES = ("triangle", "half-disc", "angle iron")
SIZE = 32  # pixels
FACTORS: dict[str, np.ndarray] = {
    "shape": np.arange(3.0),
    "scale": np.linspace(4, 8, 6),
    "angle": np.arange(24) * (np.pi / 12),
    "x": np.arange(16) + 8.5,
    "y": np.arange(16) + 8.5,
}
"""The values of each factor. Shape: index into SHAPES; scale: radius of the circle around the
shape, in pixels; angle: radians, counter-clockwise; x, y: centre of that circle, in pixels from the
left and from the top."""

_COUNTS = {"train": 10_000, "valid": 1_000, "test": 2_000}


def shapes() -> Dataset:
    """Draw 13,000 of the 110,592 combinations of factors, each at most once; labels are shapes."""
    grid = tuple(len(values) for values in FACTORS.values())
    chosen = permutation(0, int(np.prod(grid)))[: sum(_COUNTS.values())]
    indices = np.unravel_index(chosen, grid)
    columns = [values[i] for values, i in zip(FACTORS.values(), indices, strict=True)]
    factors = torch.tensor(np.stack(columns, axis=1), dtype=torch.float64)
    images = render_shapes(factors)
    parts, begin = {}, 0
    for part, count in _COUNTS.items():
        s = slice(begin, begin + count)
        labels = factors[s, 0].long()
        known = (factors[s].float(), tuple(FACTORS))
        parts[part] = Split(images[s], labels, 256, f"shapes/{part}", *known)
        begin += count
    return Dataset("shapes", **parts)


def render_shapes(factors: Tensor) -> Tensor:
    """Draw shapes.

    Args:
        factors: float, shape (N, 5): shape, scale, angle, x and y as FACTORS describes them; all
            but the shape may also lie between the values there.

    Returns:
        Images, uint8, shape (N, 1, 32, 32); 255 inside, 0 outside, between them on the edge.

    Raises:
        ValueError: if the factors have another shape, or there is no such shape.
    """
    if factors.ndim != 2 or factors.shape[1] != len(FACTORS):
        raise ValueError(f"factors must be (N, {len(FACTORS)}), got {tuple(factors.shape)}")
    table = factors.detach().cpu().double().numpy()
    if not np.isin(table[:, 0], FACTORS["shape"]).all():
        raise ValueError(f"shape must be 0 … {len(SHAPES) - 1}")
    images = np.empty((len(table), SIZE, SIZE), np.uint8)
    for begin in range(0, len(table), 1000):  # the coordinates of 1000 images take 8 MB each
        block = slice(begin, begin + 1000)
        images[block] = _render(table[block])
    return torch.from_numpy(images).unsqueeze(1)


def _render(table: np.ndarray) -> np.ndarray:
    shape, scale, angle, x, y = (column[:, None, None] for column in table.T)
    centres = np.arange(SIZE) + 0.5
    right, up = centres[None, None, :] - x, y - centres[None, :, None]
    cos, sin = np.cos(angle), np.sin(angle)
    u, v = (cos * right + sin * up) / scale, (cos * up - sin * right) / scale
    distance = np.empty_like(u)
    for k, inside in enumerate((_triangle, _half_disc, _angle_iron)):
        chosen = shape[:, 0, 0] == k
        distance[chosen] = inside(u[chosen], v[chosen])
    # A straight edge at distance d from a pixel's centre covers about ½ + d of it.
    return to_levels(np.clip(0.5 + distance * scale, 0, 1))


# Distance from the edge, positive inside, of shapes that the unit circle around 0 encloses.


def _triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Corners (1, 0), (-0.8, 0.6), (-0.8, -0.6)."""
    normal_u, normal_v = 0.6 / np.hypot(0.6, 1.8), 1.8 / np.hypot(0.6, 1.8)
    return np.minimum(u + 0.8, normal_u * (1 - u) - normal_v * np.abs(v))


def _half_disc(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The right half of the unit disc."""
    return np.minimum(u, 1 - np.hypot(u, v))


def _angle_iron(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The square of half-width 0.7 without its upper right corner, which is 0.8 wide."""
    square = 0.7 - np.maximum(np.abs(u), np.abs(v))
    return np.minimum(square, np.maximum(-0.1 - u, -0.1 - v))
