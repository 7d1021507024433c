"""Pictures of training."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from genlearn.history import History
from genlearn.viz.style import subplots


def curves(history: History, names: Sequence[str] | None = None, *, unit: str) -> Figure:
    """Draw quantities of a history against the training step.

    Args:
        history: what ``fit`` returned.
        names: which quantities; by default all.
        unit: of the vertical axis, for example "nats per image".
    """
    figure, axes = subplots()
    for name in names or history.names():
        axes.plot(*history.series(name), label=name)
    axes.set(xlabel="training step", ylabel=unit)
    axes.legend()
    return figure
