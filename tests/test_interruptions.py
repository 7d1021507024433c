"""When a checkpoint is written, how many stay, and what signals and other runs can do to it."""

import os
import shutil
import signal
import threading
from pathlib import Path

import pytest
import torch
from torch import nn

from genlearn import callbacks
from genlearn.callbacks import Checkpoint
from genlearn.checkpoints import checkpoints, save_checkpoint
from genlearn.errors import Interrupted, RunError
from genlearn.files import PREFIX, claimed
from genlearn.history import History
from genlearn.processes import Group
from genlearn.training import Callback, Objective, fit

STEPS = 20


class At(Callback):
    """Do something after some step."""

    def __init__(self, step: int, do) -> None:
        self.step, self.do = step, do

    def after_step(self, training):
        if training.step == self.step:
            self.do(training)


@pytest.fixture
def train(numbered):
    """Train one number; its loss after k steps is minus k. Every fourth step is a log point."""

    def run(*beside: Callback, steps: int = STEPS, group: Group | None = None) -> History:
        module = nn.ParameterList([torch.zeros(())])
        optimizer = torch.optim.SGD(module.parameters(), lr=1)
        objective = Objective("toy", lambda step: module[0] * 1, optimizer)
        options = {"log_every": 4, "callbacks": beside, "group": group}
        return fit({"m": module}, [objective], numbered(4, 2), steps, **options)

    return run


@pytest.fixture
def written(monkeypatch) -> list[int]:
    """Steps at which checkpoints were written, in their order."""
    steps = []

    def save(folder, training, keep):
        steps.append(training.step)
        return save_checkpoint(folder, training, keep)

    monkeypatch.setattr(callbacks, "save_checkpoint", save)
    return steps


def send(number: int):
    return lambda training: signal.raise_signal(number)


def handlers() -> list:
    return [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]


def numbers(folder: Path) -> list[int]:
    return [int(path.name[11:]) for path in checkpoints(folder)]


# --- by the clock ------------------------------------------------------------


def test_the_clock_counts_from_the_last_checkpoint(train, written, tmp_path, monkeypatch):
    """A step takes 20 seconds: three steps are a minute, from any checkpoint on."""
    done = []
    monkeypatch.setattr(callbacks.time, "monotonic", lambda: 20.0 * len(done))
    clock = [At(step, done.append) for step in range(1, STEPS + 1)]
    train(*clock, Checkpoint(tmp_path, every=8, minutes=1))
    assert written == [3, 6, 8, 11, 14, 16, 19, 20]


def test_a_checkpoint_leaves_no_trace_in_the_history(train, tmp_path):
    """Between two log points it is written as at one. And history.jsonl has the rows so far."""
    plain = train()
    seen = []

    def look(training):
        seen.append((tmp_path / "history.jsonl").read_text().count("\n"))

    history = train(Checkpoint(tmp_path, every=3), At(7, look), At(15, look))
    assert history.rows == plain.rows
    assert seen == [1, 3]


# --- how many stay -----------------------------------------------------------


@pytest.mark.parametrize(("keep", "left"), [(1, [20]), (3, [15, 18, 20]), (99, None)])
def test_the_newest_checkpoints_stay(train, tmp_path, keep, left):
    train(Checkpoint(tmp_path, every=3, keep=keep))
    assert numbers(tmp_path) == (left or [3, 6, 9, 12, 15, 18, 20])


def test_a_checkpoint_is_removed_only_when_a_newer_one_is_whole(train, tmp_path, monkeypatch):
    before = []
    remove = callbacks.save_checkpoint.__globals__["remove"]

    def look(path):
        before.append(numbers(tmp_path))
        assert len(list((tmp_path / f"checkpoint-{before[-1][-1]:06d}").iterdir())) == 2
        remove(path)

    monkeypatch.setitem(callbacks.save_checkpoint.__globals__, "remove", look)
    train(Checkpoint(tmp_path, every=5))
    assert before == [[5, 10], [10, 15], [15, 20]]


def test_of_a_checkpoint_that_is_a_link_only_the_link_is_removed(train, tmp_path):
    elsewhere = tmp_path / "elsewhere"

    def move_away(training):
        shutil.move(tmp_path / "run" / "checkpoint-000005", elsewhere)
        (tmp_path / "run" / "checkpoint-000005").symlink_to(elsewhere)

    train(Checkpoint(tmp_path / "run", every=5), At(7, move_away))
    assert numbers(tmp_path / "run") == [20]
    assert sorted(path.name for path in elsewhere.iterdir()) == ["m.safetensors", "state.pt"]


def test_to_keep_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(ValueError, match="keep must be at least 1, got 0"):
        Checkpoint(tmp_path, every=5, keep=0)


# --- signals -----------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_training_after_its_step_with_a_checkpoint(train, tmp_path, number):
    before = handlers()
    with pytest.raises(Interrupted) as caught:
        train(At(7, send(number)), Checkpoint(tmp_path, every=5))
    assert (caught.value.number, caught.value.step) == (number, 7)
    assert str(caught.value) == f"stopped by {signal.Signals(number).name} after step 7"
    assert numbers(tmp_path) == [7]
    assert handlers() == before
    assert train(Checkpoint(tmp_path, every=5, resume=True)).rows == train().rows


def test_a_second_signal_ends_the_training_at_once(train, tmp_path):
    """It does what Ctrl-C does without us: no step is finished, no checkpoint written."""
    with pytest.raises(KeyboardInterrupt):
        train(*[At(7, send(signal.SIGINT))] * 2, Checkpoint(tmp_path, every=5))
    assert numbers(tmp_path) == [5]


def test_a_signal_after_the_last_step_is_obeyed(train, tmp_path):
    class Late(Callback):
        def finish(self, training):
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(Late(), Checkpoint(tmp_path, every=5))
    assert numbers(tmp_path) == [STEPS]


def test_what_is_ignored_stays_ignored(train, tmp_path):
    """As Ctrl-C is in a program that a shell runs in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        train(At(7, send(signal.SIGINT)), Checkpoint(tmp_path, every=5))
        assert handlers()[1] == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert numbers(tmp_path) == [STEPS]


def test_in_another_thread_the_handlers_are_left_alone(train, tmp_path):
    before, seen = handlers(), []
    look = At(7, lambda training: seen.extend(handlers()))
    thread = threading.Thread(target=train, args=(look, Checkpoint(tmp_path, every=5)))
    thread.start()
    thread.join()
    assert seen == before
    assert numbers(tmp_path) == [STEPS]


# --- a run that is stopped, several processes --------------------------------


def test_a_run_that_was_stopped_early_is_finished(train, tmp_path):
    """Also where no log point follows: what was not logged yet is logged with the checkpoint."""

    def stop(training):
        training.stopped = "enough"

    history = train(At(6, stop), Checkpoint(tmp_path, every=5))
    rows = (tmp_path / "history.jsonl").read_text().splitlines()
    assert rows == ['{"step": 4, "toy/loss": -1.5}', '{"step": 6, "toy/loss": -4.5}']
    assert numbers(tmp_path) == [6]
    assert train(Checkpoint(tmp_path, every=5, resume=True)).rows == history.rows
    assert numbers(tmp_path) == [6]


class Two(Group):
    """The first of two processes; the other one is always of the same opinion but for signals."""

    def __init__(self) -> None:
        super().__init__()
        self.size, self.asked = 2, 0

    def average(self, *_):
        pass

    share = average_gradients = average

    def first(self, function):
        return function()

    def any(self, flag):
        self.asked += 1
        return flag


def test_processes_agree_at_log_points_alone(train, written, tmp_path):
    """All must ask at the same steps, or they wait for each other for ever."""
    group = Two()
    train(Checkpoint(tmp_path, every=3), group=group)
    assert written == [4, 8, 12, 16, 20]
    assert group.asked == 2 * 5
    with pytest.raises(Interrupted) as caught:
        train(At(6, send(signal.SIGTERM)), Checkpoint(tmp_path / "2", every=99), group=group)
    assert caught.value.step == 8


# --- the folder --------------------------------------------------------------


def test_two_runs_do_not_share_a_folder(train, tmp_path):
    with claimed(tmp_path), pytest.raises(RunError, match="another run writes here"):
        train(Checkpoint(tmp_path, every=5))
    train(Checkpoint(tmp_path, every=5))
    with claimed(tmp_path):
        pass  # a run that has ended has let it go


def test_a_folder_that_is_removed_is_made_again_with_all_it_must_hold(train, tmp_path):
    folder = tmp_path / "run"

    def prepare():
        folder.mkdir(exist_ok=True)
        (folder / "config.toml").touch()

    checkpoint = Checkpoint(folder, every=5, prepare=prepare)
    history = train(At(7, lambda training: shutil.rmtree(folder)), checkpoint)
    assert sorted(os.listdir(folder)) == ["checkpoint-000020", "config.toml", "history.jsonl"]
    assert (folder / "history.jsonl").read_text().count("\n") == len(history.rows) == 5


def test_a_checkpoint_of_an_earlier_version_can_be_continued(train, tmp_path):
    """It says nothing of values that were not logged, nor of a run that was stopped."""
    train(Checkpoint(tmp_path, every=8), steps=8)
    file = tmp_path / "checkpoint-000008" / "state.pt"
    state = torch.load(file, weights_only=True)
    del state["pending"], state["stopped"]
    torch.save(state, file)
    assert train(Checkpoint(tmp_path, every=8, resume=True)).rows == train().rows


def test_a_disk_that_is_full_leaves_nothing_half_written(train, tmp_path, monkeypatch):
    """Nor does one that fills while the history is rewritten."""
    train(Checkpoint(tmp_path, every=8), steps=8)
    before = (tmp_path / "history.jsonl").read_text()

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match=r"history\.jsonl"):
        train(Checkpoint(tmp_path, every=8, resume=True))
    assert (tmp_path / "history.jsonl").read_text() == before
    assert not list(tmp_path.glob(f"{PREFIX}*"))


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user writes everywhere")
def test_a_folder_for_reading_only_is_named(train, tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(OSError, match="Permission denied") as caught:
            train(Checkpoint(tmp_path, every=5))
    finally:
        tmp_path.chmod(0o700)
    assert caught.value.filename == str(tmp_path / "history.jsonl")
