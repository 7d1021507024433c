"""Letters and digits from the outlines of the fonts that come with matplotlib.

A font's outline is a formula, so what is drawn here depends on no rasteriser, no hinting and no
font of the machine. Each glyph becomes a table of distances from its edge; slanting, scaling and
thickening are then arithmetic with coordinates and distances.
"""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genlearn.data.chance import permutation, to_levels, uniform
from genlearn.data.split import Dataset, Split

CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""Label k of the set ``glyphs`` stands for the k-th of these."""

FONTS = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic",
    "cmr10", "cmb10", "cmti10",
    "DejaVuSansMono", "cmtt10",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "cmss10",
)  # fmt: skip
"""Factor ``font`` k stands for the k-th of these. No typeface is in two parts of the set."""

SIZE = 28  # pixels
FACTOR_NAMES = ("font", "scale", "slant", "thickness")
"""Font: index into FONTS; scale: longer side of the upright glyph, pixels; slant: how far the top
leans to the right, as a share of the height; thickness: pixels by which each edge is moved out."""

_RANGES = ((14, 20), (-0.3, 0.3), (-0.2, 0.5))  # of scale, slant, thickness
_PARTS = {"train": (range(8), 40), "valid": (range(8, 10), 20), "test": (range(10, 14), 10)}
_CELLS, _REACH = 48, 0.75  # the table has 48 x 48 points and reaches this far; the glyph, to 0.5


def glyphs() -> Dataset:
    """Draw 14,400 glyphs; every character is equally frequent in every font."""
    parts = {}
    for seed, (part, (fonts, times)) in enumerate(_PARTS.items()):
        kinds = [(label, font) for label in range(len(CHARACTERS)) for font in fonts] * times
        table = np.array(kinds, dtype=float)[permutation(2 * seed, len(kinds))]
        low, high = np.array(_RANGES).T
        drawn = low + (high - low) * uniform(2 * seed + 1, len(kinds), len(_RANGES))
        labels = torch.tensor(table[:, 0]).long()
        factors = torch.tensor(np.concatenate([table[:, 1:], drawn], axis=1), dtype=torch.float32)
        parts[part] = Split(
            render_glyphs(labels, factors), labels, 256, f"glyphs/{part}", factors, FACTOR_NAMES
        )
    return Dataset("glyphs", **parts)


def render_glyphs(labels: Tensor, factors: Tensor) -> Tensor:
    """Draw glyphs.

    Args:
        labels: int64, shape (N,), indices into CHARACTERS.
        factors: float, shape (N, 4), the columns of FACTOR_NAMES.

    Returns:
        White glyphs on black, uint8, shape (N, 1, 28, 28).

    Raises:
        ValueError: if a shape is wrong, or a label or font is out of range.
    """
    if labels.ndim != 1 or factors.shape != (len(labels), len(FACTOR_NAMES)):
        raise ValueError(
            f"labels and factors must be of shapes (N,) and (N, {len(FACTOR_NAMES)}), got "
            f"{tuple(labels.shape)} and {tuple(factors.shape)}"
        )
    table = factors.detach().cpu().double().numpy()
    kinds = list(zip(table[:, 0].astype(int), labels.tolist(), strict=True))
    if not all(0 <= font < len(FONTS) and 0 <= k < len(CHARACTERS) for font, k in kinds):
        raise ValueError("a label or font is out of range")
    images = np.empty((len(kinds), SIZE, SIZE), np.uint8)
    for begin in range(0, len(kinds), 1000):
        block = slice(begin, begin + 1000)
        distances = np.stack([_distances(*kind) for kind in kinds[block]])
        images[block] = _render(distances, table[block])
    return torch.from_numpy(images).unsqueeze(1)


def _render(distances: np.ndarray, table: np.ndarray) -> np.ndarray:
    _, scale, slant, thickness = (column[:, None, None] for column in table.T)
    offset = np.arange(SIZE) + 0.5 - SIZE / 2
    right, up = offset[None, None, :], -offset[None, :, None]
    distance = _interpolate(distances, (right - slant * up) / scale, up / scale)
    return to_levels(np.clip(0.5 + distance * scale + thickness, 0, 1))


def _interpolate(tables: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Look up points of the n-th table between its grid points, linearly in both directions."""
    last = _CELLS - 1
    column, row = np.broadcast_arrays(*(
        np.clip((w + _REACH) * (last / (2 * _REACH)), 0, last - 1e-9) for w in (u, v)
    ))  # fmt: skip
    j, i = column.astype(int), row.astype(int)
    b, a = column - j, row - i
    n = np.arange(len(tables))[:, None, None]
    lower = tables[n, i, j] * (1 - b) + tables[n, i, j + 1] * b
    upper = tables[n, i + 1, j] * (1 - b) + tables[n, i + 1, j + 1] * b
    return lower * (1 - a) + upper * a


@cache
def _distances(font: int, label: int) -> np.ndarray:
    """Distance of each grid point from the outline, positive inside, where the longer side is 1."""
    begin, end = _outline(FONTS[font], CHARACTERS[label])
    axis = np.linspace(-_REACH, _REACH, _CELLS)[:, None]
    dx, dy = (end - begin).T
    x, y = (
        (axis - begin[:, 0])[None, :],
        (axis - begin[:, 1])[:, None],
    )  # from where a segment begins
    square = dx**2 + dy**2
    along = np.clip(x * (dx / square) + y * (dy / square), 0, 1)
    distance = np.sqrt(((along * dx - x) ** 2 + (along * dy - y) ** 2).min(axis=2))
    # A ray to the right crosses the outline upwards as often as downwards, unless it began inside.
    upwards = np.sign(dy)
    spans = ((axis >= begin[:, 1]) != (axis >= end[:, 1]))[:, None]
    crosses = spans & (upwards * dx * y > upwards * dy * x)
    winding = crosses @ upwards
    return np.where(winding != 0, distance, -distance)


def _outline(font: str, character: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the line segments around a glyph, from (S, 2) to (S, 2), in a box of longer side 1."""
    import matplotlib  # slow to import
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"{font}.ttf"
    path = TextPath((0, 0), character, size=100, prop=FontProperties(fname=file), usetex=False)
    loops = path.to_polygons(closed_only=True)
    points = np.concatenate(loops)
    low, high = points.min(axis=0), points.max(axis=0)
    loops = [(loop - (low + high) / 2) / (high - low).max() for loop in loops]
    begin = np.concatenate([loop[:-1] for loop in loops])
    end = np.concatenate([loop[1:] for loop in loops])
    moving = (begin != end).any(axis=1)
    return begin[moving], end[moving]
