"""How fast a training goes, beside its history."""

import json
import time

import pytest
import torch
from torch import nn

from genlearn.callbacks import Checkpoint, Evaluate
from genlearn.throughput import Throughput
from genlearn.training import Callback, Objective, fit


def train(numbered, folder, steps=20, log_every=5, pause=0.0, repeat=1, more=()):
    """Steps of a millisecond or a little more, and evaluations that take longer."""
    module = nn.Linear(1, 1)

    def loss(step):
        time.sleep(1e-3)
        return module.weight.square().sum()

    def evaluate():
        time.sleep(pause)
        return {"valid/loss": 1.0}

    objective = Objective("m", loss, torch.optim.SGD(module.parameters(), lr=0.01), repeat=repeat)
    callbacks = [Throughput(folder, 4, 5), Evaluate(evaluate, 5), *more]
    return fit(
        {"m": module}, [objective], numbered(12, 4), steps, log_every=log_every, callbacks=callbacks
    )


def rows(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "speed.jsonl").read_text().splitlines()]


def test_each_log_point_has_a_row_and_the_history_knows_nothing_of_it(numbered, tmp_path):
    history = train(numbered, tmp_path, repeat=2)
    names = {"step", "steps_per_second", "images_per_second", "memory_mb"}
    assert [row["step"] for row in rows(tmp_path)] == [5, 10, 15, 20]
    assert all(set(row) == names for row in rows(tmp_path))
    assert history.names() == ["m/loss", "valid/loss"]
    for row in rows(tmp_path):
        # Two updates a step, each on four images, take two milliseconds at least.
        assert 0 < row["steps_per_second"] <= 500
        assert row["images_per_second"] == pytest.approx(8 * row["steps_per_second"], rel=1e-3)
        assert row["memory_mb"] > 50  # PyTorch alone has more


def test_evaluations_take_none_of_the_time(numbered, tmp_path):
    train(numbered, tmp_path, pause=0.15)
    assert all(row["steps_per_second"] > 5 / 0.15 for row in rows(tmp_path))


def test_a_run_that_goes_on_keeps_the_rows_of_its_first_part(numbered, tmp_path):
    class Enough(Callback):
        def after_step(self, training):
            if training.step == 12:
                raise InterruptedError

    with pytest.raises(InterruptedError):
        train(numbered, tmp_path, more=(Checkpoint(tmp_path, 5), Enough()))
    before = rows(tmp_path)
    assert [row["step"] for row in before] == [5, 10]
    train(numbered, tmp_path, more=(Checkpoint(tmp_path, 5, resume=True),))
    assert [row["step"] for row in rows(tmp_path)] == [5, 10, 15, 20]
    assert rows(tmp_path)[:2] == before


def test_a_file_that_is_damaged_is_begun_anew(numbered, tmp_path):
    (tmp_path / "speed.jsonl").write_text('{"step": 5}\nno row\n')
    train(numbered, tmp_path, steps=5)
    assert len(rows(tmp_path)) == 1
