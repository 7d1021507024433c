"""An early end: when the figure of the validation split gets no lower."""

import pytest
import torch
from torch import nn

from genlearn.callbacks import Checkpoint, Evaluate, StopEarly
from genlearn.training import Callback, Objective, Training, fit


def train(numbered, figures, patience, *more: Callback, steps=20) -> Training:
    """Log these figures, one every second step, and be patient with them."""
    module, values = nn.Linear(1, 1), iter(figures)
    seen: list[Training] = []

    class Watch(Callback):
        def start(self, training):
            seen.append(training)

    objective = Objective(
        "m",
        lambda step: module.weight.square().sum(),
        torch.optim.SGD(module.parameters(), lr=0.01),
    )
    callbacks = [
        Evaluate(lambda: {"valid/loss": next(values)}, 2),
        StopEarly("valid/loss", patience),
        Watch(),
        *more,
    ]
    fit({"m": module}, [objective], numbered(12, 4), steps, log_every=5, callbacks=callbacks)
    return seen[0]


@pytest.mark.parametrize(
    ("figures", "patience", "step"),
    [
        ([3, 2, 2, 1, 2, 3, 1, 1, 1, 0], 3, 14),  # three that are no lower than the first 1
        ([3, 4, 5, 6], 1, 4),
        ([1, 3, 2, 1, 0.5, 0.6, 0.7], 4, 20),  # lower ones that are above the best do not count
        ([5, 6, 4, 5, 3, 4, 2, 3, 1, 2], 2, 20),  # each lower one begins anew
    ],
)
def test_it_ends_after_so_many_figures_that_are_no_lower(numbered, figures, patience, step):
    figures = [*figures, *[0.4, 0.3, 0.2, 0.1]]
    training = train(numbered, figures, patience)
    assert training.step == step
    assert training.over
    assert bool(training.stopped) == (step < 20)
    if training.stopped:
        assert training.stopped == f"valid/loss was not lower for {patience} evaluations"


def test_what_was_not_logged_by_then_is_logged(numbered):
    training = train(numbered, [1, 2], 1)
    assert [row["step"] for row in training.history.rows] == [2, 4]
    assert "m/loss" in training.history.rows[-1]


def test_a_run_that_ended_early_stays_ended(numbered, tmp_path):
    first = train(numbered, [1, 2, 2], 2, Checkpoint(tmp_path, 100))
    again = train(numbered, [], 2, Checkpoint(tmp_path, 100, resume=True))
    assert (first.step, again.step) == (6, 6)
    assert again.stopped == first.stopped != ""
    assert again.history.rows == first.history.rows


def test_patience_goes_on_counting_after_an_interruption(numbered, tmp_path):
    """The second evaluation is the first that is no lower, the third the second."""
    with pytest.raises(StopIteration):
        train(numbered, [1, 2], 2, Checkpoint(tmp_path, 1))
    resumed = train(numbered, [2, 0], 2, Checkpoint(tmp_path, 1, resume=True))
    assert resumed.step == 6


def test_no_patience_at_all_is_refused():
    with pytest.raises(ValueError, match="patience must be at least 1, got 0"):
        StopEarly("valid/loss", 0)
