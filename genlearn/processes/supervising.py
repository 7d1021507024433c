"""Starting processes, and ending them all when one fails or when the one that started them ends."""

import contextlib
import multiprocessing
import os
import pickle
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.pool import ExceptionWithTraceback
from typing import Any

import torch

from genlearn.errors import GenlearnError, Interrupted, ProcessError

PATIENCE = 1.0  # seconds in which the others may say that they fail too, and why
BEGUN, DONE, FAILED = "begun", "done", "failed"


class Died(ProcessError):
    """A process ended without a word."""


def supervised(
    function: Callable, arguments: Sequence[Any], count: int, *, preload: Sequence[str] | None
) -> Any:
    """Call a function in several new processes of this machine; return what the first returned.

    Args:
        function: of a module; it finds its rank in the environment, as ``torchrun`` would say it.
        arguments: of the function.
        count: of processes.
        preload: modules which one process imports, so that the others can begin as copies of it,
            at once; None: each imports them itself, as CUDA demands, which survives no copying.

    Raises:
        BaseException: of the process that failed first; it says the rank if it is for the user.
        Died: if that process was killed.
    """
    if preload is None or "forkserver" not in multiprocessing.get_all_start_methods():
        context = multiprocessing.get_context("spawn")
    else:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["__main__", *preload])
    processes, pipes, port = [], [], _free_port()
    with contextlib.ExitStack() as at_the_end:
        with _handling(signal.SIGINT, handler=signal.SIG_IGN):  # new processes inherit it
            for rank in range(count):
                ours, theirs = context.Pipe(duplex=False)
                place = {"RANK": rank, "LOCAL_RANK": rank, "NODE_RANK": 0, "WORLD_SIZE": count}
                place |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
                environment = os.environ | {key: str(value) for key, value in place.items()}
                call = (function, arguments, environment, theirs)
                process = context.Process(target=_process, args=call)
                process.start()
                at_the_end.callback(_end, process)
                theirs.close()  # so that ours ends when the process does
                processes.append(process)
                pipes.append(ours)

        begun: set[int] = set()
        received: list[int] = []

        def pass_on(number: int, _: Any) -> None:
            received.append(number)
            for rank, process in enumerate(processes):
                if rank not in begun:
                    process.kill()  # it has done nothing yet, and would not hear us
                elif process.is_alive():
                    os.kill(process.pid, number)

        with _handling(signal.SIGTERM, signal.SIGINT, handler=pass_on):
            value, errors = _wait(processes, pipes, begun)
        if not errors:
            for process in processes:
                process.join()
            return value
    error = min(errors, key=_is_a_consequence)
    if received and isinstance(error, (Died, KeyboardInterrupt)):
        signal.raise_signal(received[0])  # we end as we would have ended alone
    raise error


def _wait(
    processes: Sequence[multiprocessing.Process], pipes: Sequence[Connection], begun: set[int]
) -> tuple[Any, list[BaseException]]:
    """Hear how each process ends; when one fails, the others have a moment.

    Returns:
        What the first process returned, and errors, in the order in which they came.
    """
    value, errors, until = None, [], None
    running = {pipe: rank for rank, pipe in enumerate(pipes)}
    while running:
        heard = wait(list(running), None if until is None else max(0, until - time.monotonic()))
        if not heard:
            break
        for pipe in heard:
            rank = running[pipe]
            try:
                what, content = pickle.loads(pipe.recv_bytes())
            except EOFError:
                what, content = FAILED, Died(f"rank {rank} {_how_it_ended(processes[rank])}")
            if what == BEGUN:
                begun.add(rank)
                continue
            del running[pipe]
            if what == FAILED:
                errors.append(content)
                # Those who were interrupted all end by themselves, the first when it has written.
                if until is None and not isinstance(content, Interrupted):
                    until = time.monotonic() + PATIENCE
            elif rank == 0:
                value = content
    return value, errors


def _is_a_consequence(error: BaseException) -> int:
    """Order errors: what a process says of itself; that it died; that it misses another."""
    return 2 if type(error) is ProcessError else int(isinstance(error, Died))


def _how_it_ended(process: multiprocessing.Process) -> str:
    process.join()
    code = process.exitcode
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return f"{how}; the other processes were ended"


def _end(process: multiprocessing.Process) -> None:
    process.kill()  # a process that waits for another hears nothing weaker
    process.join()


def _process(
    function: Callable, arguments: Sequence[Any], environment: dict[str, str], pipe: Connection
) -> None:
    """What each new process does."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if hasattr(os, "setpgrp"):
        os.setpgrp()  # Ctrl-C goes to the one who started us, who passes it on: not twice
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ.update(environment)
    if "OMP_NUM_THREADS" not in os.environ:  # as torchrun does: together they would be too many
        os.environ["OMP_NUM_THREADS"] = "1"
        torch.set_num_threads(1)

    def tell(what: str, content: Any = None) -> None:
        pipe.send_bytes(pickle.dumps((what, content)))  # pipe.send would lend a tensor, not send it

    tell(BEGUN)
    try:
        tell(DONE, function(*arguments))
    except GenlearnError as error:
        tell(FAILED, error)
    except BaseException as error:
        tell(FAILED, ExceptionWithTraceback(_as_can_be_sent(error), error.__traceback__))


def _as_can_be_sent(error: BaseException) -> BaseException:
    try:
        return pickle.loads(pickle.dumps(error))
    except Exception:  # its class demands what its message does not hold
        return RuntimeError(f"{type(error).__name__}: {error}")


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)  # wherever the main thread is; files are whole, or not there


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def _handling(*numbers: int, handler: Any) -> Iterator[None]:
    """Handle signals in a block. What is ignored stays ignored; other threads hear none."""
    before = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in numbers:
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
