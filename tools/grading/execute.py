"""Running a notebook within limits, so that a bad cell costs its own points and no others.

A cell that raises, prints too much, or takes too long and can be interrupted, fails; the kernel
goes on. A cell that cannot be interrupted, uses too much memory or ends the kernel is left out, and
the notebook is run again from its first cell without it.
"""

import asyncio
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.preprocessors import Execute
from traitlets.config import Config

from grading.limits import Limits
from grading.processes import MemoryWatch, end


def run(notebook: NotebookNode, scratch: Path, limits: Limits) -> dict[int, str]:
    """Run a notebook's cells in ``scratch``; they get their outputs in place.

    Returns:
        Position of each cell that went beyond a limit → which one.
    """
    reasons: dict[int, str] = {}
    deadline = time.monotonic() + limits.submission_seconds
    left_out: set[int] = set()
    while True:
        once = LimitedRun(scratch, limits, deadline, left_out, reasons)
        try:
            once.preprocess(notebook, {"metadata": {"path": str(scratch)}})
            return reasons
        except (DeadKernelError, CellTimeoutError) as error:
            if once.current is None:
                raise
            too_slow = isinstance(error, CellTimeoutError)
            reasons[once.current] = (
                f"more than {limits.memory_mb} MB of memory"
                if once.watch.exceeded
                else f"more than {once.allowed:.0f} s, and not to be interrupted"
                if too_slow
                else "the kernel ended"
            )
            fail(notebook.cells[once.current], reasons[once.current])
            left_out.add(once.current)


def fail(cell: NotebookNode, reason: str) -> None:
    """Give a cell an error as its only output."""
    cell.outputs = [new_output("error", ename="BeyondLimit", evalue=reason, traceback=[reason])]


class LimitedRun(Execute):
    """One pass through a notebook, with a fresh kernel.

    Attributes:
        current: position of the cell that runs or ran last; None before the first.
        allowed: seconds that it had.
        watch: of the kernel's memory.
    """

    iopub_timeout = 5  # seconds that an interrupted cell has to stop

    def __init__(
        self,
        scratch: Path,
        limits: Limits,
        deadline: float,
        left_out: set[int],
        reasons: dict[int, str],
    ) -> None:
        # Sockets in the scratch folder: no port that another kernel may take first, or listen to.
        config = Config()
        config.KernelManager.transport = "ipc"
        config.KernelManager.connection_file = str(scratch / "kernel.json")
        super().__init__(config=config, kernel_name="python3", shutdown_kernel="immediate")
        self.limits, self.deadline, self.left_out = limits, deadline, left_out
        self.reasons, self.current, self.allowed = reasons, None, 0.0
        self.timeout_func = lambda cell: self.allowed

    @contextmanager
    def setup_kernel(self, **options):
        """Watch the kernel as long as it lives; afterwards nothing that it started is left."""
        with super().setup_kernel(**options):
            kernel = psutil.Process(self.km.provisioner.pid)
            self.watch = MemoryWatch(kernel, self.limits.memory_mb)
            try:
                with self.watch:
                    yield
            finally:
                end(kernel)

    def preprocess_cell(self, cell, resources, index):
        """Run a cell, unless it has been left out or the time is over."""
        if cell.cell_type != "code" or index in self.left_out:
            return cell, resources
        left = self.deadline - time.monotonic()
        if left <= 0:
            if cell.execution_count is None:  # else it ran in an earlier pass
                self.reasons[index] = f"no time left of {self.limits.submission_seconds:.0f} s"
                fail(cell, self.reasons[index])
            return cell, resources
        self.current, self.allowed = index, min(self.limits.cell_seconds, left)
        self.printed = 0
        cell, resources = super().preprocess_cell(cell, resources, index)
        self.note_limits(cell, index)
        return cell, resources

    def note_limits(self, cell: NotebookNode, index: int) -> None:
        """Write down which limit the cell met, if it did."""
        if self.printed > self.limits.output_kb * 1024:
            self.reasons[index] = f"more than {self.limits.output_kb} kB of output"
        elif any(output.get("ename") == "CellTimeoutError" for output in cell.get("outputs", [])):
            self.reasons[index] = f"more than {self.allowed:.0f} s"
        else:
            self.reasons.pop(index, None)  # it did better this time
            return
        fail(cell, self.reasons[index])

    def process_message(self, msg, cell, cell_index):
        """Take a message of the kernel, and stop a cell that shows too much."""
        if "text" in msg["content"] or "data" in msg["content"]:
            before = self.printed
            self.printed += len(str(msg["content"]))
            if self.printed > self.limits.output_kb * 1024:
                if before <= self.limits.output_kb * 1024:
                    self.stopping = asyncio.ensure_future(self.km.interrupt_kernel())
                return None
        return super().process_message(msg, cell, cell_index)
