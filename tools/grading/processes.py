"""A process with all that it started: what it uses, and its end."""

import os
import signal
import threading
import time
from contextlib import suppress

import psutil


def family(pid: int) -> list[psutil.Process]:
    """A process, what it started, and what these started.

    Also what was left behind by a parent that ended, as long as it stayed in the session of one of
    them. A kernel begins a session of its own, so it is not enough to look at one session.
    """
    rows = []
    for process in psutil.process_iter(["ppid"]):
        with suppress(OSError):
            rows.append((process, process.info["ppid"], os.getsid(process.pid)))
    members, grown = {pid}, True
    while grown:
        new = {
            process.pid
            for process, parent, session in rows
            if process.pid not in members and (parent in members or session in members)
        }
        members, grown = members | new, bool(new)
    return [process for process, _, _ in rows if process.pid in members]


def memory_mb(processes: list[psutil.Process]) -> float:
    """Memory in use, RSS: what they share is counted for each."""
    total = 0
    for process in processes:
        with suppress(psutil.Error):
            total += process.memory_info().rss
    return total / 2**20


def end(root: psutil.Process) -> None:
    """Kill a process and its family, at once.

    If it has ended by itself, its number may be another's by now; then only its family is killed.
    """
    for process in family(root.pid):
        with suppress(OSError):
            if process.pid != root.pid or root.is_running():
                os.kill(process.pid, signal.SIGKILL)


class MemoryWatch:
    """Kills a process with its family when it uses too much memory.

    The process itself is looked at every 50 ms, its family twice a second.

    Attributes:
        exceeded: whether that has happened.
    """

    def __init__(self, process: psutil.Process, limit_mb: float) -> None:
        self.process, self.limit_mb, self.exceeded = process, limit_mb, False
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "MemoryWatch":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        next_look = 0.0
        while not self._over.wait(0.05):
            looked_at = [self.process]
            if time.monotonic() > next_look:
                looked_at, next_look = family(self.process.pid), time.monotonic() + 0.5
            if memory_mb(looked_at) > self.limit_mb:
                self.exceeded = True
                end(self.process)
                return
