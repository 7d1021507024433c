"""One look for every figure of the book.

Colours are those of Okabe and Ito, which readers with any kind of colour vision can tell apart.
Figures are opaque, so that they read the same on a light and on a dark page, and have two pixels
for each point of a 720-point column, so that they stay crisp on a dense screen.
"""

from typing import Any

from matplotlib.figure import Figure

WIDTH = 7.2
"""Inches: the width of the text column at 100 points an inch."""

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PINK = COLOURS = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
"""Okabe and Ito (2008), Color Universal Design."""

CYCLE = (BLUE, ORANGE, GREEN, RED, PINK, SKY, BLACK)
"""The order in which lines take their colours; yellow is too pale for a line."""

STYLE: dict[str, Any] = {
    "figure.dpi": 200,
    "savefig.dpi": 200,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "figure.constrained_layout.use": True,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}


def subplots(
    rows: int = 1, columns: int = 1, *, height: float = 2.6, **options: Any
) -> tuple[Figure, Any]:
    """Make a figure in the book's style, as wide as the text, with a grid of axes.

    The figure is shown only where it is the value of a cell. The style is left in matplotlib's
    global ``rcParams``: what is drawn into the figure later takes its fonts and lines from there.

    Args:
        rows, columns: of axes.
        height: of the whole figure, inches.
        options: for ``Figure.subplots``.
    """
    figure = _new_figure(height)
    return figure, figure.subplots(rows, columns, **options)


def subplot_mosaic(
    layout: list[list[str]], *, height: float = 2.6, **options: Any
) -> tuple[Figure, dict[str, Any]]:
    """Make a figure like :func:`subplots`, with named axes that may span several cells.

    Args:
        layout: names, one list a row.
        height: of the whole figure, inches.
        options: for ``Figure.subplot_mosaic``.
    """
    figure = _new_figure(height)
    return figure, figure.subplot_mosaic(layout, **options)


def _new_figure(height: float) -> Figure:
    import matplotlib.pyplot as plt  # slow, and not needed for training
    from cycler import cycler

    plt.rcParams.update(STYLE, **{"axes.prop_cycle": cycler(color=CYCLE)})
    figure = plt.figure(figsize=(WIDTH, height))
    plt.close(figure)  # else a notebook shows it twice
    return figure
