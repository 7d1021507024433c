"""Curves show what was logged."""

import pytest

from genlearn.history import History
from genlearn.viz import curves

HISTORY = History(
    [{"step": 10, "vae/loss": 3.0}, {"step": 20, "vae/loss": 2.0, "valid/loss": 2.5, "vae/rate": 1}]
)


def lines(figure) -> dict[str, tuple[list, list]]:
    (axes,) = figure.axes
    return {
        line.get_label(): (line.get_xdata().tolist(), line.get_ydata().tolist())
        for line in axes.get_lines()
    }


def test_each_quantity_is_a_named_line_over_the_steps():
    figure = curves(HISTORY, unit="nats per image")
    assert lines(figure) == {
        "vae/loss": ([10, 20], [3, 2]),
        "valid/loss": ([20], [2.5]),
        "vae/rate": ([20], [1]),
    }
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("training step", "nats per image")
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["vae/loss", "valid/loss", "vae/rate"]


def test_quantities_can_be_chosen():
    assert list(lines(curves(HISTORY, ["valid/loss"], unit="nats"))) == ["valid/loss"]
    with pytest.raises(KeyError, match="was not logged"):
        curves(HISTORY, ["gan/loss"], unit="nats")
