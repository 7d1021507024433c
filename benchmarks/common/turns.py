"""Programs that take turns in one process, so that all meet the same machine.

Time is that of the one thread on the processor: nothing here waits, so on an idle machine it is the
time on the clock, and on a busy one other programs disturb it little.
"""

import ctypes
import platform
import statistics
from collections.abc import Iterator
from time import process_time

from genlearn.training import Callback, Training


class Turns(Callback):
    """After each turn of ``fit``, let every other program take one; add up the time of each.

    Args:
        others: programs by name; each yields once a step.
        turn: steps of one program before the next has its turn.
        block: steps that are timed together.
    """

    def __init__(self, others: dict[str, Iterator[None]], turn: int, block: int) -> None:
        self.others, self.turn, self.block = others, turn, block
        self.blocks: dict[str, list[float]] = {name: [] for name in ("fit", *others)}

    def start(self, training: Training) -> None:
        self.began = process_time()

    def after_step(self, training: Training) -> None:
        if training.step % self.turn:
            return
        if training.step % self.block == self.turn % self.block:
            for seconds in self.blocks.values():
                seconds.append(0.0)
        self.take("fit")
        for name, other in self.others.items():
            for _ in range(self.turn):
                next(other)
            self.take(name)

    def take(self, name: str) -> None:
        now = process_time()
        self.blocks[name][-1] += now - self.began
        self.began = now

    def seconds(self) -> dict[str, list[float]]:
        """Seconds a block of each program; the first block warms up and is left out."""
        return {name: values[1:] for name, values in self.blocks.items()}

    def milliseconds_a_step(self) -> dict[str, float]:
        """The medians of the blocks."""
        return {
            name: round(statistics.median(values) / self.block * 1000, 4)
            for name, values in self.seconds().items()
        }


def keep_memory() -> None:
    """Tell the C library of Linux to keep memory that was freed, for what comes next.

    Else it may give some back to the system after every step and ask for it again: a fifth of a
    step's time, for whichever program has its tensors at the edge of what is in use.
    """
    if platform.libc_ver()[0] == "glibc":
        to_trim, to_map = -1, -3  # of malloc.h: what is freed beyond, what gets pages of its own
        ctypes.CDLL(None).mallopt(to_trim, 2**31 - 1)
        ctypes.CDLL(None).mallopt(to_map, 2**25)


def take_turns(
    programs: dict[str, Iterator[None]], turn: int, block: int, blocks: int
) -> dict[str, list[float]]:
    """Let programs take turns without ``fit``; return the seconds a block of each.

    Two steps of each come first and are left out: they warm up.
    """
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for program in programs.values():
        next(program), next(program)
    for _ in range(blocks):
        for values in seconds.values():
            values.append(0.0)
        for _ in range(0, block, turn):
            for name, program in programs.items():
                began = process_time()
                for _ in range(turn):
                    next(program)
                seconds[name][-1] += process_time() - began
    return seconds


def compare(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Median of the ratio less one, and its quartiles, over blocks taken at the same time."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {
        "overhead": round(middle - 1, 4),
        "first_quartile": round(low - 1, 4),
        "third_quartile": round(high - 1, 4),
    }
