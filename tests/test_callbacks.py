"""What happens beside training: when, in which mode, and what is left behind."""

import copy
import io
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from genlearn.callbacks import Average, Evaluate, KeepBest, Progress, SampleGrid
from genlearn.errors import TrainingError
from genlearn.training import Callback, Objective, Training, fit


@pytest.fixture
def train(numbered):
    """Train one number for some steps; its loss after k steps is minus k."""

    def run(steps, *callbacks, log_every=2):
        module = nn.ParameterList([torch.zeros(())])
        optimizer = torch.optim.SGD(module.parameters(), lr=1)
        objective = Objective("toy", lambda step: module[0] * 1, optimizer)
        options = {"log_every": log_every, "callbacks": callbacks}
        return fit({"m": module}, [objective], numbered(4, 2), steps, **options), module

    return run


def test_figures_are_logged_when_it_is_time_and_after_the_last_step(train):
    seen = []

    def figures():
        seen.append(torch.is_grad_enabled())
        return {"valid/loss": float(len(seen))}

    history, _ = train(5, Evaluate(figures, every=2))
    assert history.series("valid/loss") == ([2, 4, 5], [1.0, 2.0, 3.0])
    assert history.rows[0] == {"step": 2, "toy/loss": -0.5, "valid/loss": 1.0}
    assert seen == [False] * 3


def test_figures_are_taken_in_evaluation_mode_and_training_goes_on(train):
    modes = []

    class Mode(Callback):
        def start(self, training):
            self.module = training.modules["m"]

        def after_step(self, training):
            modes.append(self.module.training)

    mode = Mode()
    train(2, mode, Evaluate(lambda: modes.append(mode.module.training) or {}, every=1), mode)
    assert modes == [True, False, True] * 2


@pytest.mark.parametrize("kind", ["figures", "pictures"])
def test_nothing_is_drawn_from_weights_that_are_not_finite(train, tmp_path, kind):
    """Also between two log points the loss is what is complained of, with its first bad step."""

    class Spoil(Callback):
        def after_step(self, training):
            if training.step == 1:
                with torch.no_grad():
                    training.modules["m"][0].fill_(float("nan"))

    def draw():
        raise AssertionError("drawn all the same")

    looks = {"figures": Evaluate(draw, every=3), "pictures": SampleGrid(tmp_path, draw, 256, 3)}
    with pytest.raises(TrainingError, match="toy/loss is nan at step 1"):
        train(9, Spoil(), looks[kind], log_every=100)


def test_pictures_of_samples_are_written_when_it_is_time(train, tmp_path):
    """Four images of 1 x 1: a 3 x 3 tile with its gaps, enlarged in whole blocks."""
    draw = lambda: torch.tensor([0, 1, 2, 3]).view(4, 1, 1, 1)
    train(5, SampleGrid(tmp_path, draw, levels=4, every=2))
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["samples-000002.png", "samples-000004.png", "samples-000005.png"]
    pixels = np.asarray(Image.open(tmp_path / names[0]))
    assert pixels.shape == (513, 513)
    corners = pixels[:: 2 * 171, :: 2 * 171]
    np.testing.assert_array_equal(corners, [[0, 85], [170, 255]])


def test_the_weights_of_the_lowest_figure_are_kept(train):
    """Of two equal figures those of the first; between figures nothing is copied."""
    figures = iter([5.0, 3.0, 4.0, 3.0])
    kept = []

    class Watch(Callback):
        def start(self, training):
            self.best = copy.deepcopy(training.modules["m"])
            self.keep = KeepBest(training.modules["m"], self.best, "valid/loss")

        def after_step(self, training):
            self.keep.after_step(training)
            kept.append(self.best[0].item())

    evaluate = Evaluate(lambda: {"valid/loss": next(figures)}, every=2)
    train(8, evaluate, Watch())
    assert kept == [0, -2, -2, -4, -4, -4, -4, -4]  # after k steps the number is minus k


def test_what_was_best_before_an_interruption_is_read_from_the_history():
    source, best = nn.Linear(1, 1), nn.Linear(1, 1)
    before = copy.deepcopy(best.state_dict())
    training = Training({}, [], 9, step=6)
    training.history.add(3, {"valid/loss": 1.0})
    training.history.add(6, {"valid/loss": 2.0})
    KeepBest(source, best, "valid/loss").after_step(training)
    assert all(torch.equal(best.state_dict()[name], before[name]) for name in before)
    training.history.rows[-1]["valid/loss"] = 0.5
    KeepBest(source, best, "valid/loss").after_step(training)
    assert torch.equal(best.weight, source.weight)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_the_progress_bar_shows_the_newest_value_on_a_terminal(train, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    train(4, Progress("toy/loss"))
    last = terminal.getvalue().split("\r")[-1]
    assert "4/4" in last
    assert "toy/loss -2.50" in last  # of the steps 2 and 3


def test_there_is_no_progress_bar_in_a_log_file(train, monkeypatch):
    file = io.StringIO()
    monkeypatch.setattr(sys, "stderr", file)
    train(4, Progress("toy/loss"))
    assert file.getvalue() == ""


def test_an_average_is_the_weighted_sum_of_all_states():
    """Against the sum written out, with the weights of the first steps."""
    net = nn.Linear(1, 1, bias=False).double()
    average = copy.deepcopy(net)
    keep, states = Average(net, average, decay=0.5), [net.weight.item()]
    training = Training({}, [], 6)
    weights = [1.0]
    for state in (3.0, -1.0, 2.0, 5.0, 7.0, -4.0):
        training.step += 1
        with torch.no_grad():
            net.weight.fill_(state)
        keep.after_step(training)
        decay = min(0.5, (1 + training.step) / (10 + training.step))
        weights = [decay * w for w in weights] + [1 - decay]
        states.append(state)
    expected = sum(w * s for w, s in zip(weights, states, strict=True))
    assert average.weight.item() == pytest.approx(expected, rel=1e-6)
    assert sum(weights) == pytest.approx(1)


def test_an_average_copies_counters_and_wants_no_gradient():
    norm = nn.BatchNorm1d(2)
    average = copy.deepcopy(norm)
    norm(torch.randn(8, 2))
    Average(norm, average).after_step(Training({}, [], 1, step=1))
    assert average.num_batches_tracked == 1
    assert not any(p.requires_grad for p in average.parameters())


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_an_average_that_forgets_nothing_is_refused(decay):
    with pytest.raises(ValueError, match="decay must be at least 0 and below 1"):
        Average(nn.Linear(1, 1), nn.Linear(1, 1), decay)
