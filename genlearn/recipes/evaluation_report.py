"""What a person sees of an evaluation, or of several: a table of words, and a picture."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from genlearn import viz


class Row(NamedTuple):
    """A figure, as tables and pictures name it."""

    name: str
    title: str
    digits: int
    """After the point."""
    best: str
    """What a good value is."""


ROWS = (
    Row("nats", "nats per image", 2, "low"),
    Row("bits_per_dim", "bits per dimension", 3, "low"),
    Row("frechet_distance", "Fréchet distance", 2, "0"),
    Row("frechet_at_infinity", "  of endless samples", 2, "0"),
    Row("kernel_distance", "kernel distance", 4, "0"),
    Row("class_score", "class score", 2, "high"),
    Row("precision", "precision", 3, "high"),
    Row("recall", "recall", 3, "high"),
    Row("density", "density", 3, "1"),
    Row("coverage", "coverage", 3, "high"),
    Row("memorisation", "nearer than held-out", 3, "0.5"),
    Row("classification_accuracy", "classification score", 3, "high"),
)
SHARES = ("precision", "recall", "coverage", "memorisation", "classification_accuracy")
INCEPTION = {"frechet_distance": "FID", "class_score": "Inception Score"}
"""What figures are called with Inception's features, and only with them."""

Columns = dict[str, dict[str, Any]]
"""Figures by name, by the name of what was measured."""


def table(columns: Columns, content: dict[str, Any]) -> list[str]:
    """Return the lines of a table, a row for each figure that any column has.

    Args:
        columns: of the table.
        content: of an evaluation.json; says what the features are, and how sure the intervals.
    """
    rows = [row for row in ROWS if any(row.name in figures for figures in columns.values())]
    lines = [["", *columns, "best"]]
    for row in rows:
        cells = [_cell(figures.get(row.name), row) for figures in columns.values()]
        lines.append([_title(row, content), *cells, row.best])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]
    return [*text, *notes(columns, content)]


def notes(columns: Columns, content: dict[str, Any]) -> list[str]:
    """Say below a table what its numbers are."""
    lines = [
        f"In brackets intervals of {content['level']:.0%}, behind ± standard errors.",
        f"Features: {_features(content)}.",
    ]
    reasons = {
        f"{_title(row, content).strip()}: {figure['reason']}"
        for row in ROWS
        for figures in columns.values()
        if (figure := figures.get(row.name)) and "reason" in figure
    }
    if reasons:
        lines.append(f"Left out: {'; '.join(sorted(reasons))}.")
    if any("memorisation" in figures for figures in columns.values()):
        lines.append(
            "Nearer than held-out: how often a sample is nearer to the training images than a test "
            "image is."
        )
    return lines


def heading(content: dict[str, Any]) -> str:
    """Say in a line what was compared with what."""
    step = content.get("best_step")  # which earlier versions did not say
    best = f", best weights of step {step}" if step is not None else ""
    return (
        f"{content['samples']:,} samples (seed {content['seed']}{best}) and "
        f"{content['training_images_as_samples']:,} training images, against "
        f"{content['test_images']:,} test images of {content['data']}"
    )


def picture(
    columns: Columns, content: dict[str, Any], pairs: tuple[Tensor, Tensor] | None = None
) -> Figure:
    """Draw the figures with their intervals and, below, samples with what lies nearest to them.

    Args:
        columns: as for :func:`table`.
        content: of an evaluation.json.
        pairs: samples, and the training image nearest to each: uint8, (n, C, H, W).
    """
    layout = [["shares", "frechet"], ["shares", "kernel"]]
    height = 1.6 + 0.5 * len(columns)
    if pairs is not None:
        layout.append(["pairs", "pairs"])
        height += 2.2
    figure, axes = viz.subplot_mosaic(layout, height=height)
    shares = [row for row in ROWS if row.name in SHARES]
    shares = [row for row in shares if any(row.name in f for f in columns.values())]
    _points(axes["shares"], shares, columns, content)
    axes["shares"].set(xlim=(-0.02, 1.02), xlabel="share")
    axes["shares"].legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    for place, names in [
        ("frechet", ("frechet_distance", "frechet_at_infinity")),
        ("kernel", ("kernel_distance",)),
    ]:
        _points(axes[place], [row for row in ROWS if row.name in names], columns, content)
        axes[place].axvline(0, color="0.7", linewidth=0.8, zorder=0)
    title = f"{content['data']}, {content['samples']:,} samples, {content['features']['name']}"
    figure.suptitle(title, fontsize=9)
    if pairs is not None:
        samples, originals = pairs
        title = "in these features nearest to a training image, and below each that image"
        both = torch.cat([samples, originals])
        viz.show_images(axes["pairs"], both, content["levels"], len(samples), title)
    return figure


def _points(axes: Axes, rows: Sequence[Row], columns: Columns, content: dict[str, Any]) -> None:
    """Draw a line of points a figure, a colour each column, with bars for intervals."""
    step = 0.7 / max(1, len(columns))
    colours = [*viz.style.CYCLE]
    for place, (name, figures) in enumerate(columns.items()):
        colour = "0.45" if name == "training images" else colours[place % len(colours)]
        label = name
        for line, row in enumerate(rows):
            figure = figures.get(row.name)
            if figure is None or figure["value"] is None:
                continue
            y = line + (place - (len(columns) - 1) / 2) * step
            if figure["low"] is not None:
                axes.plot([figure["low"], figure["high"]], [y, y], color=colour, linewidth=2)
            axes.plot(figure["value"], y, "o", color=colour, markersize=4, label=label)
            label = None
    axes.set_yticks(range(len(rows)), [_title(row, content).strip() for row in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)


def _cell(figure: dict[str, Any] | None, row: Row) -> str:
    if figure is None or figure["value"] is None:
        return "-"
    digits = f".{row.digits}f"
    if "standard_error" in figure:
        most = "≤ " if figure.get("at_most") else ""
        return f"{most}{figure['value']:{digits}} ± {figure['standard_error']:{digits}}"
    if figure["low"] is None:
        return f"{figure['value']:{digits}}"
    return f"{figure['value']:{digits}} ({figure['low']:{digits}} … {figure['high']:{digits}})"


def _title(row: Row, content: dict[str, Any]) -> str:
    if content["features"]["name"] == "Inception-v3":
        return INCEPTION.get(row.name, row.title)
    return row.title


def _features(content: dict[str, Any]) -> str:
    features = content["features"]
    name = f"{features['name']}"
    if "features" not in name:
        name += f", {features['count']:,} features"
    if "accuracy" in features:
        name += f", {features['accuracy']:.1%} of test images right"
    return name
