"""The last good checkpoint survives whatever happens, and going on from it changes nothing."""

import io
import os
import pickle
import zipfile

import pytest
import torch
from torch import nn

from genlearn import checkpoints
from genlearn.callbacks import Checkpoint
from genlearn.checkpoints import (
    load_checkpoint,
    load_weights,
    newest_checkpoint,
    save_checkpoint,
)
from genlearn.data import Batches, Split
from genlearn.errors import RunError, TrainingError
from genlearn.files import PREFIX
from genlearn.models import VAE
from genlearn.training import Callback, Objective, Training, fit

STEPS = 30
BATCHES = Batches(Split(torch.arange(12, dtype=torch.uint8).view(12, 1, 1, 1) % 3, None, 3), 5)


class Run:
    """A VAE with all that a checkpoint must hold: AdamW, a schedule, and dropout."""

    def __init__(self, hidden: int = 8) -> None:
        torch.manual_seed(0)
        self.vae = VAE.mlp((1, 1, 1), 3, latent_dim=2, hidden=(hidden,), dropout=0.3)
        optimizer = torch.optim.AdamW(self.vae.parameters(), 0.01)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
        loss = lambda step: -self.vae.elbo(*step.batch).mean()
        self.objective = Objective("vae", loss, optimizer, schedule=schedule)

    def fit(self, *callbacks: Callback, steps: int = STEPS):
        return fit(
            {"vae": self.vae}, [self.objective], BATCHES, steps, log_every=4, callbacks=callbacks
        )

    def training(self, step: int = 0) -> Training:
        return Training({"vae": self.vae}, [self.objective], STEPS, step)

    def weights(self) -> torch.Tensor:
        return nn.utils.parameters_to_vector(self.vae.parameters()).detach()


class StopAt(Callback):
    """Imitate an interruption after some step."""

    def __init__(self, step: int) -> None:
        self.step = step

    def after_step(self, training):
        if training.step == self.step:
            raise KeyboardInterrupt


def names(folder) -> list[str]:
    """What is in the folder of a run, and so that it is neither less nor more."""
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def saved(tmp_path):
    """A checkpoint of ten steps."""
    Run().fit(Checkpoint(tmp_path, every=10), steps=10)
    return tmp_path / "checkpoint-000010"


# --- going on ----------------------------------------------------------------


@pytest.mark.parametrize("stop", [11, 17, 20, 29])
def test_an_interrupted_run_ends_as_if_it_had_not_been(tmp_path, stop):
    """Bit for bit: weights, history, and every byte of the last checkpoint."""
    straight = Run()
    expected = straight.fit(Checkpoint(tmp_path / "straight", every=5))

    with pytest.raises(KeyboardInterrupt):
        Run().fit(StopAt(stop), Checkpoint(tmp_path / "resumed", every=5))
    resumed = Run()
    torch.rand(7)  # another state of the global generator
    history = resumed.fit(Checkpoint(tmp_path / "resumed", every=5, resume=True))

    assert torch.equal(resumed.weights(), straight.weights())
    assert history.rows == expected.rows
    for name in ("vae.safetensors", "state.pt"):
        files = [
            tmp_path / run / f"checkpoint-{STEPS:06d}" / name for run in ("straight", "resumed")
        ]
        assert files[0].read_bytes() == files[1].read_bytes()


def test_a_finished_run_is_left_as_it_is(tmp_path, saved):
    again = Run()
    again.fit(Checkpoint(tmp_path, every=10, resume=True), steps=10)
    reference = Run()
    reference.fit(steps=10)
    assert torch.equal(again.weights(), reference.weights())


def test_checkpoints_of_an_earlier_run_are_not_overwritten_unasked(tmp_path, saved):
    before = (saved / "vae.safetensors").read_bytes()
    with pytest.raises(RunError, match="earlier run; resume it or choose another folder"):
        Run().fit(Checkpoint(tmp_path, every=5))
    assert (saved / "vae.safetensors").read_bytes() == before


def test_the_newest_checkpoint_has_the_highest_number(tmp_path):
    """As a number: a million comes after 999,500, though not in the alphabet."""
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / "nowhere") is None
    for name in ("checkpoint-999500", "checkpoint-1000000", "checkpoint-final"):
        (tmp_path / name).mkdir()
    assert newest_checkpoint(tmp_path).name == "checkpoint-1000000"


def test_one_checkpoint_is_kept_and_it_is_the_last_step(tmp_path):
    Run().fit(Checkpoint(tmp_path, every=7))
    assert names(tmp_path) == [f"checkpoint-{STEPS:06d}", "history.jsonl"]


# --- a crash while writing ---------------------------------------------------


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("moment", ["weights", "state", "move", "history"])
def test_a_crash_while_writing_leaves_the_last_checkpoint(
    tmp_path, saved, monkeypatch, moment, error
):
    before = {path.name: path.read_bytes() for path in saved.iterdir()}

    replace = os.replace

    def crash(*arguments, **_):
        if moment == "move" and "checkpoint" not in str(arguments[-1]):
            return replace(*arguments)
        raise error

    target = {
        "weights": (checkpoints.safetensors.torch, "save"),
        "state": (torch, "save"),
        "move": (os, "replace"),
        "history": (os, "replace"),
    }[moment]
    run = Run()
    monkeypatch.setattr(*target, crash)
    with pytest.raises(type(error)):
        run.fit(Checkpoint(tmp_path, every=5, resume=True))
    monkeypatch.undo()
    assert names(tmp_path) == [saved.name, "history.jsonl"]
    assert {path.name: path.read_bytes() for path in saved.iterdir()} == before
    load_checkpoint(saved, Run().training())


def test_what_a_killed_process_left_is_removed_at_the_next_start(tmp_path, saved):
    half = tmp_path / f"{PREFIX}123-checkpoint-000015"
    half.mkdir()
    (half / "vae.safetensors").write_bytes(b"half")
    Run().fit(Checkpoint(tmp_path, every=10, resume=True), steps=10)
    assert names(tmp_path) == [saved.name, "history.jsonl"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_never_saved(tmp_path, saved, value):
    """Not even where every loss was finite, as after a gradient that overflows."""
    run = Run()
    with torch.no_grad():
        next(run.vae.parameters())[0, 0] = value
    with pytest.raises(TrainingError, match=r"'vae' are not finite after step 14; .* is kept"):
        save_checkpoint(tmp_path, run.training(step=15))
    assert names(tmp_path) == [saved.name, "history.jsonl"]


def test_a_loss_that_is_not_finite_keeps_the_last_checkpoint(tmp_path):
    run = Run()
    loss = run.objective.loss
    run.objective.loss = lambda step: loss(step) * (float("nan") if step.index == 13 else 1)
    with pytest.raises(TrainingError, match="step 13"):
        run.fit(Checkpoint(tmp_path, every=5))
    assert names(tmp_path) == ["checkpoint-000010", "history.jsonl"]


# --- damaged files -----------------------------------------------------------


def refused(path, run: Run) -> str:
    with pytest.raises(RunError) as caught:
        load_checkpoint(path, run.training())
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_truncated_weights_are_refused(saved, length):
    file = saved / "vae.safetensors"
    file.write_bytes(file.read_bytes()[:length])
    assert "damaged" in refused(saved, Run())


@pytest.mark.parametrize("length", [0, 4, 1000, -30])
def test_a_truncated_state_is_refused(saved, length):
    file = saved / "state.pt"
    file.write_bytes(file.read_bytes()[:length])
    assert "damaged" in refused(saved, Run())


@pytest.mark.parametrize("name", ["vae.safetensors", "state.pt"])
def test_text_or_a_folder_or_nothing_in_place_of_a_file_is_refused(saved, name):
    file = saved / name
    file.write_text("<html>404</html>")
    assert "damaged" in refused(saved, Run())
    file.unlink()
    assert "no such file" in refused(saved, Run()).lower()
    file.mkdir()
    assert "damaged" in refused(saved, Run())


def test_weights_of_another_model_are_refused(saved):
    assert "weights of another model" in refused(saved, Run(hidden=9))
    with pytest.raises(RunError, match="weights of another model"):
        load_weights(nn.Linear(2, 2), saved / "vae.safetensors")


@pytest.mark.parametrize("state", [[1, 2], 3, {"step": 1}, {}, None, torch.zeros(2)], ids=str)
def test_a_state_that_is_no_state_is_refused(saved, state):
    torch.save(state, saved / "state.pt")
    assert "damaged, or from another training" in refused(saved, Run())


def test_the_state_of_other_optimisers_is_refused(saved):
    run = Run()
    run.objective.name = "critic"
    assert "'critic'" in refused(saved, run)


class Malicious:
    """On unpickling, makes a folder: it stands for any program."""

    def __init__(self, folder) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("form", ["new", "old", "bare"])
def test_a_program_in_the_state_is_refused_and_not_run(tmp_path, saved, form):
    evil, file = Malicious(tmp_path / "it-ran"), saved / "state.pt"
    if form == "bare":
        file.write_bytes(pickle.dumps(evil, protocol=2))
    else:
        torch.save({"step": evil}, file, _use_new_zipfile_serialization=form == "new")
    assert "holds more than numbers and tensors" in refused(saved, Run())
    assert not (tmp_path / "it-ran").exists()


def test_the_state_holds_numbers_and_tensors_alone(saved):
    """So any program may read it without running it."""
    state = torch.load(saved / "state.pt", weights_only=True)
    assert (state["step"], state["draws"]) == (10, 10)
    assert [row["step"] for row in state["history"]] == [4, 8, 10]
    assert set(state["optimizers"]) == set(state["schedules"]) == {"vae"}
    archive = zipfile.ZipFile(io.BytesIO((saved / "state.pt").read_bytes()))
    assert archive.testzip() is None
