"""How long a training step takes."""

import statistics
import time
from typing import NamedTuple

import torch

from genlearn.bench.ceilings import wait
from genlearn.training import Callback, Training

BLOCKS = 15  # that a timing is cut into
FEWEST = 3  # blocks, where steps are long
LEAST_WARM_UP = 3  # steps


class Timing(NamedTuple):
    """Steps that were timed, in blocks of as many."""

    seconds: tuple[float, ...]
    """Of each block."""
    steps: int
    """Of a block."""
    images: int
    """Drawn from the data in a block: for every update of every objective, and each batch that is
    accumulated."""
    warm_up: int
    """Steps before the first block."""
    processor_seconds: float
    """That this process had a processor for, over all blocks and threads. In one thread on the CPU
    it is the time on the clock, unless other work had the processor meanwhile."""

    @property
    def seconds_a_step(self) -> float:
        """The median over the blocks."""
        return statistics.median(self.seconds) / self.steps

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third, of the seconds a step."""
        low, _, high = statistics.quantiles(self.seconds, n=4, method="inclusive")
        return low / self.steps, high / self.steps

    @property
    def images_a_second(self) -> float:
        """The median over the blocks."""
        return self.images / statistics.median(self.seconds)


class Stopwatch(Callback):
    """Time steps in blocks, after a warm-up, and stop the training; put it last.

    The host waits for the device before the first block and after the last, not in between. On
    CUDA events mark the blocks, and ``torch.cuda.max_memory_allocated`` begins anew with the first.

    Args:
        seconds: to be spent on the blocks, about; no fewer than three blocks are timed.
        period: steps until the same work comes again; a block is made of whole periods.
        steps: to be timed, about, instead of seconds; 0: as many as fit.
        images: of a batch.
        device: which the training runs on.
    """

    def __init__(
        self,
        seconds: float = 3.0,
        period: int = 1,
        steps: int = 0,
        images: int = 1,
        device: torch.device | str = "cpu",
    ) -> None:
        self.limit, self.period, self.fixed, self.images = seconds, period, steps, images
        self.device = torch.device(device)
        self.timing: Timing | None = None

    def start(self, training: Training) -> None:
        """Begin to warm up."""
        self.first, self.marks = training.step, []
        self.blocks = self.size = 0

    def after_step(self, training: Training) -> None:
        """Warm up, or end a block."""
        done = training.step - self.first
        if self.marks:
            if (done - self.warm_up) % self.size == 0:
                self._mark()
                if len(self.marks) > self.blocks:
                    self._stop(training)
        elif done % self.period == 0:
            wait(self.device)
            now = time.perf_counter()
            if done == self.period:  # the first steps allocate, choose kernels, or compile
                self.began = now
            enough = self.fixed or now - self.began >= self.limit / 10
            if done >= self.period + LEAST_WARM_UP and enough:
                self._plan((now - self.began) / (done - self.period))
                self.warm_up, self.draws = done, training.draws
                self.processor = time.process_time()
                if self.device.type == "cuda":
                    torch.cuda.reset_peak_memory_stats(self.device)
                self._mark()

    def _plan(self, seconds: float) -> None:
        """Choose size and number of blocks, from the seconds of a step."""
        periods = max(1, (self.fixed or self.limit / seconds) / self.period)
        self.blocks = min(BLOCKS, max(FEWEST, int(periods)))
        self.size = self.period * max(1, round(periods / self.blocks))

    def _mark(self) -> None:
        if self.device.type == "cuda":
            mark = torch.cuda.Event(enable_timing=True)
            mark.record(torch.cuda.current_stream(self.device))
        else:
            if self.device.type == "mps":
                wait(self.device)
            mark = time.perf_counter()
        self.marks.append(mark)

    def _stop(self, training: Training) -> None:
        wait(self.device)
        pairs = list(zip(self.marks, self.marks[1:], strict=False))
        if self.device.type == "cuda":
            seconds = [begin.elapsed_time(end) / 1000 for begin, end in pairs]
        else:
            seconds = [end - begin for begin, end in pairs]
        draws = (training.draws - self.draws) // self.blocks
        processor = time.process_time() - self.processor
        self.timing = Timing(
            tuple(seconds), self.size, draws * self.images, self.warm_up, processor
        )
        training.stopped = "timed"
