"""SIGTERM and Ctrl-C: noted when they come, obeyed when there is a good moment."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Signals:
    """Takes note of the first SIGTERM or SIGINT from :meth:`listen` to :meth:`release`.

    With the first one the handlers are put back, so a second one does what it would have done
    without us: it ends the program at once. What is ignored stays ignored, as Ctrl-C in a program
    that runs in the background. Python hears signals in its main thread alone; in another thread
    nothing is changed.
    """

    def __init__(self) -> None:
        self.noted = 0  # number of the signal; there is no signal 0
        self._before: dict[int, object] = {}

    def listen(self) -> None:
        """Begin to take note."""
        self.noted = 0
        if not _hears():
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            # None: a handler that is no function of Python, and could not be put back.
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                self._before[number] = signal.signal(number, self._note)

    def release(self) -> None:
        """Put the handlers back."""
        while self._before:
            signal.signal(*self._before.popitem())

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.noted = number
        self.release()


@contextmanager
def sigterm_raises() -> Iterator[None]:
    """In a block, SIGTERM ends what is done as Ctrl-C does: as KeyboardInterrupt(SIGTERM)."""
    if not _hears() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def end(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt(number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _hears() -> bool:
    return threading.current_thread() is threading.main_thread()
