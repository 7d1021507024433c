"""What can be done beside training: show progress, evaluate, draw samples, keep checkpoints."""

import math
import signal
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from genlearn.checkpoints import load_checkpoint, newest_checkpoint, save_checkpoint
from genlearn.errors import Interrupted, RunError
from genlearn.files import claimed, remove_leftovers
from genlearn.signals import Signals
from genlearn.training import Callback, Training, evaluating


class Progress(Callback):
    """A progress bar on standard error, with the newest value of one quantity.

    Args:
        show: name in the history, for example "vae/loss".
    """

    def __init__(self, show: str) -> None:
        self.show = show
        self.bar: tqdm | None = None

    def start(self, training: Training) -> None:
        """Open the bar."""
        # None: no bar in a log file, only where someone can watch it move
        disable = None if training.group.rank == 0 else True
        self.bar = tqdm(total=training.steps, unit="step", dynamic_ncols=True, disable=disable)

    def after_step(self, training: Training) -> None:
        """Move the bar; in a resumed run the first call covers the steps done before."""
        self.bar.update(training.step - self.bar.n)
        if training.history.rows and self.show in (row := training.history.rows[-1]):
            self.bar.set_postfix_str(f"{self.show} {row[self.show]:.2f}", refresh=False)

    def finish(self, training: Training) -> None:
        """Close the bar."""
        if self.bar is not None:
            self.bar.close()


class Evaluate(Callback):
    """Log figures that cost more than a step, such as a bound on the validation split.

    Args:
        function: gives a dict of numbers; called in evaluation mode and without gradients. Of
            several processes the first calls it, and tells the others.
        every: steps between calls; it is also called after the last step.
    """

    def __init__(self, function: Callable[[], dict[str, float]], every: int) -> None:
        self.function, self.every = function, every

    def after_step(self, training: Training) -> None:
        """Call the function when it is time, and when all losses so far are finite."""
        if _is_time(training, self.every):
            training.read()
            with evaluating(*training.modules.values()):
                training.history.add(training.step, training.group.first(self.function))


class Average(Callback):
    """Keep a running average of a network's weights, which is often better than any single state.

    average ← decay · average + (1 - decay) · source, after each step (eq-stable-average); counters
    are copied. Give the average to ``fit`` as one more module, so that checkpoints hold it, and put
    this callback before the one that writes them. If the network has batch normalisation, call
    ``nets.restate_batch_norm`` before you use the average: the statistics of the source are of
    other weights.

    Args:
        source: the network in training.
        average: a copy of it (``copy.deepcopy``), to be overwritten.
        decay: weight of the past. The first steps use less, (1 + steps) / (10 + steps), so that
            the average soon forgets the untrained weights.

    Source: Yazıcı et al. (2019), The Unusual Effectiveness of Averaging in GAN Training,
    arXiv 1806.04498.
    """

    def __init__(self, source: nn.Module, average: nn.Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must be at least 0 and below 1, got {decay}")
        self.source, self.average, self.decay = source, average, decay
        average.requires_grad_(False)
        # For a small network, going over its parts takes as long as the sums do.
        self.parameters = [list(network.parameters()) for network in (average, source)]
        self.has_buffers = any(True for _ in source.buffers())

    def after_step(self, training: Training) -> None:
        """Move the average a little towards the newest weights."""
        decay = min(self.decay, (1 + training.step) / (10 + training.step))
        with torch.no_grad():
            torch._foreach_lerp_(*self.parameters, 1 - decay)
            if self.has_buffers:
                for mine, newest in zip(self.average.buffers(), self.source.buffers(), strict=True):
                    mine.copy_(newest)


class KeepBest(Callback):
    """Keep the weights with which a logged figure was lowest: the choice by validation.

    Put this callback behind the one that logs the figure, and before the one that writes
    checkpoints; give ``best`` to ``fit`` as one more module, so that checkpoints hold it. What was
    lowest before is read from the history: a run that goes on after an interruption knows it.

    Args:
        source: the network in training, or an average of it.
        best: a copy of it (``copy.deepcopy``), to be overwritten.
        figure: name in the history, for example "valid/loss". Of equal figures the first counts.
    """

    def __init__(self, source: nn.Module, best: nn.Module, figure: str) -> None:
        self.source, self.best, self.figure = source, best, figure
        best.requires_grad_(False)

    def after_step(self, training: Training) -> None:
        """Copy the weights if the newest figure is the lowest so far."""
        rows = training.history.rows
        if not rows or rows[-1]["step"] != training.step or self.figure not in rows[-1]:
            return
        newest = rows[-1][self.figure]
        if all(newest < row[self.figure] for row in rows[:-1] if self.figure in row):
            self.best.load_state_dict(self.source.state_dict())


class StopEarly(Callback):
    """End the training when a logged figure has not been lower for a while.

    Put this callback behind the one that logs the figure. All is read from the history: so several
    processes agree, and a run that goes on after an interruption counts as it would have counted.
    What is left are the newest weights; :class:`KeepBest` keeps those of the lowest figure.

    Args:
        figure: name in the history, for example "valid/loss".
        patience: how many values in a row, each no lower than the lowest before, are enough.
    """

    def __init__(self, figure: str, patience: int) -> None:
        if patience < 1:
            raise ValueError(f"patience must be at least 1, got {patience}")
        self.figure, self.patience = figure, patience

    def after_step(self, training: Training) -> None:
        """End the training if the newest value was one too many."""
        rows = training.history.rows
        if not rows or rows[-1]["step"] != training.step or self.figure not in rows[-1]:
            return
        values = [row[self.figure] for row in rows if self.figure in row]
        since = len(values) - 1 - values.index(min(values))
        if since >= self.patience:
            training.stopped = f"{self.figure} was not lower for {since} evaluations"


class SampleGrid(Callback):
    """Write a picture of samples now and then: ``samples-000500.png``.

    Args:
        folder: where the pictures go.
        draw: gives images of levels, (N, C, H, W).
        levels: number of levels.
        every: steps between pictures; there is also one after the last step.
    """

    def __init__(self, folder: Path, draw: Callable[[], Tensor], levels: int, every: int) -> None:
        self.folder, self.draw, self.levels, self.every = Path(folder), draw, levels, every

    def after_step(self, training: Training) -> None:
        """Write a picture when it is time, and when all losses so far are finite."""
        if not _is_time(training, self.every):
            return
        training.read()
        if training.group.rank == 0:
            from genlearn.viz import save_png, tile  # matplotlib is slow to import

            with evaluating(*training.modules.values()):
                images = self.draw()
            save_png(tile(images, self.levels), self.folder / f"samples-{training.step:06d}.png")


class Checkpoint(Callback):
    """Keep the newest state in a folder, so that a run which was killed can go on exactly.

    SIGTERM and Ctrl-C end the training after the step in which they come, with a checkpoint; a
    second one ends the program at once. Beside the checkpoints lies history.jsonl, one row a line,
    to be looked at while the training goes on. If someone removes the folder, it is made again.

    Put this callback last: what a callback after it does at the same step would be done again, or
    not at all, on resuming. Several processes agree at log points, and the first of them writes.

    Args:
        folder: where the checkpoints go. No other run may write there at the same time.
        every: steps between checkpoints; there is also one after the last step.
        minutes: there is also one when so long none was written; 0: only steps count.
        keep: how many checkpoints stay.
        resume: go on from the newest checkpoint, if there is one.
        prepare: called before anything is written, to make what else the folder must hold.
    """

    def __init__(
        self,
        folder: Path,
        every: int,
        *,
        minutes: float = 0.0,
        keep: int = 1,
        resume: bool = False,
        prepare: Callable[[], object] = lambda: None,
    ) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        self.folder, self.every, self.keep = Path(folder), every, keep
        self.seconds, self.resume, self.prepare = 60 * minutes or math.inf, resume, prepare
        self.signals, self.claim, self.due = Signals(), ExitStack(), False

    def start(self, training: Training) -> None:
        """Load the newest checkpoint, if asked to.

        Raises:
            RunError: if there is one and it is not to be continued, or it is damaged, or another
                run writes into the folder.
        """
        if training.group.rank == 0:
            self.claim.enter_context(claimed(self.folder))
            remove_leftovers(self.folder)
        # What the first process sees counts for all: not each machine may have the folder.
        if newest := training.group.first(lambda: newest_checkpoint(self.folder)):
            if not self.resume:  # writing the first new one would remove it
                raise RunError(
                    f"{newest}: is of an earlier run; resume it or choose another folder"
                )
            load_checkpoint(newest, training)
        self.signals.listen()
        self.written = time.monotonic()

    def after_step(self, training: Training) -> None:
        """Write a checkpoint when it is time.

        Raises:
            Interrupted: if a signal came; the checkpoint is written by then.
        """
        self.due |= _is_time(training, self.every)
        if training.group.size > 1 and training.pending and not training.over:
            return  # no log point
        late = training.group.any(time.monotonic() - self.written >= self.seconds)
        stop = training.group.any(self.signals.noted > 0)
        if self.due or late or stop:
            self._save(training)
        if stop:
            number, self.signals.noted = self.signals.noted, 0
            raise Interrupted(number or signal.SIGTERM, training.step)

    def finish(self, training: Training) -> None:
        """Let the folder go, and obey a signal that came after the last step."""
        self.claim.close()
        self.signals.release()
        if self.signals.noted:
            signal.raise_signal(self.signals.noted)

    def _save(self, training: Training) -> None:
        if training.over:
            training.log()  # no log point follows

        def write() -> None:
            self.prepare()
            training.history.write(self.folder / "history.jsonl")
            save_checkpoint(self.folder, training, self.keep)

        training.group.first(write)
        self.written, self.due = time.monotonic(), False


def _is_time(training: Training, every: int) -> bool:
    return training.step % every == 0 or training.over
