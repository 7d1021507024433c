"""Calling a function in several processes that form one group.

Either :func:`launch` starts them or ``torchrun`` did, on one machine or several. Lightning Fabric
gives each its device and connects them: by NCCL between GPUs, by Gloo between CPUs. Fabric could
start them too, but of its launchers one kills the main process without a word when another fails,
and one lets the others go on for up to half a minute.
"""

import logging
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import torch

from genlearn.errors import GenlearnError, ProcessError
from genlearn.processes.group import Group, current_group, joined
from genlearn.processes.supervising import supervised

# The first process may evaluate for hours while the others wait for its figures. A process that
# ended is noticed at once, by its closed connection or by who started it: not by a time limit.
LONGEST_WAIT = timedelta(days=7)


def launch(function: Callable[[], Any], devices: int = 1, device: str = "auto") -> Any:
    """Call a function in several processes, which form one group: see :func:`current_group`.

    Under ``torchrun`` they are there: this one joins the others. With one device the function is
    called in this process.

    The first process to fail ends the others, and its error is raised here. SIGTERM and Ctrl-C are
    passed on to all.

    Args:
        function: from a module, so that it can be pickled; perhaps with ``functools.partial``.
        devices: how many processes on this machine: each has a GPU, or they share the CPU.
        device: "auto" takes CUDA, if there is a GPU, else the CPU.

    Returns:
        What the function returned in the first process; None in the others.

    Raises:
        ProcessError: if a process was killed, or there are no such devices.
    """
    devices = devices_here(devices)
    if _by_torchrun():
        nodes = int(os.environ["WORLD_SIZE"]) // devices
        return _in_a_group(function, devices, nodes, _kind(devices, device))
    if devices == 1:
        return function()
    kind = _kind(devices, device)
    slow = ["lightning_fabric", getattr(function, "func", function).__module__]
    arguments = (function, devices, 1, kind)
    return supervised(_in_a_group, arguments, devices, preload=slow if kind == "cpu" else None)


def devices_here(asked: int = 1) -> int:
    """Return how many processes ``torchrun`` started on this machine; without it, what is asked.

    Raises:
        ProcessError: if more than one is asked for, and torchrun started another number.
    """
    if not _by_torchrun():
        return asked
    started = int(os.environ["LOCAL_WORLD_SIZE"])
    if asked not in (1, started):
        raise ProcessError(
            f"--devices {asked} contradicts torchrun, which started {started} processes here; "
            "leave --devices out"
        )
    return started


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def _kind(devices: int, device: str) -> str:
    """Return "cuda" or "cpu".

    Raises:
        ProcessError: if there are not as many of CUDA, or the device is another.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device not in ("cpu", "cuda"):
        raise ProcessError(f"--device {device} is not for several processes; choose cpu or cuda")
    if device == "cuda" and devices > torch.cuda.device_count():
        raise ProcessError(
            f"--devices {devices}: there are {torch.cuda.device_count()} of CUDA here; "
            "ask for fewer, or for --device cpu"
        )
    return device


def _in_a_group(function: Callable[[], Any], devices: int, nodes: int, kind: str) -> Any:
    """Join the others, call the function, and part from them."""
    from lightning_fabric import Fabric  # slow to import
    from lightning_fabric.plugins.environments import LightningEnvironment, TorchElasticEnvironment
    from lightning_fabric.strategies import DDPStrategy

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it greets at each start
    # What the host knows goes by Gloo, also where there are GPUs: no kernel has to wait while the
    # first process evaluates.
    backend = "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"
    strategy = DDPStrategy(process_group_backend=backend, timeout=LONGEST_WAIT)
    # Named, or Fabric would ask SLURM for the ranks wherever it finds that around it.
    ranks = TorchElasticEnvironment() if _by_torchrun() else LightningEnvironment()
    fabric = Fabric(
        accelerator=kind, devices=devices, num_nodes=nodes, strategy=strategy, plugins=ranks
    )
    fabric.launch()
    with joined(Group(fabric)):
        try:
            value = function()
        except GenlearnError as error:
            if error.args == (str(error),):
                error.args = (f"rank {fabric.global_rank}: {error}",)
            raise
        current_group().any(False)  # nobody leaves while another may still need it
    torch.distributed.destroy_process_group()
    return value if fabric.global_rank == 0 else None
