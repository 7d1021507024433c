"""What makes training fast on a device: chosen in one place, with the reason for each choice.

Nothing is timed to choose it. What is on follows from the device, from the cores that this process
may use, and from the work of one step; so a run that is begun anew on the same machine computes the
same, to the bit. ``benchmarks/threads.py`` measured where a second thread begins to pay.
"""

import math
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from genlearn.errors import TrainingError

WORK_OF_TWO_THREADS = 0.5e9
"""Floating-point operations of a step from which a second thread is used. There it pays clearly;
below it gains little on idle cores, and loses on busy ones: measured."""
FORWARD_PASSES = 3
"""Work of a step in forward passes: going backward costs two, one for each factor of a product."""


@dataclass(frozen=True)
class Speed:
    """What is on for a run, as :func:`genlearn.training.fit` takes it, and why."""

    device: torch.device
    threads: int
    """Of the CPU, in this process."""
    precision: Literal["fp32", "bf16"]
    channels_last: bool
    compile: bool
    why: dict[str, str]
    """Reasons by name of the choice."""

    def __str__(self) -> str:
        """Say in one line what is on, and why."""
        on_cuda = self.device.type == "cuda"
        name = torch.cuda.get_device_name(self.device) if on_cuda else self.device.type
        words = {"threads": f"{self.threads} thread{'s' * (self.threads > 1)}"}
        words["precision"] = self.precision
        if self.channels_last:
            words["channels_last"] = "channels last"
        if self.compile:
            words["compile"] = "compiled networks"
        parts = [f"{words[key]} ({self.why[key]})" for key in words]
        return ", ".join([name, *parts, "fused AdamW"])


def choose_speed(
    device: torch.device,
    *,
    precision: Literal["auto", "fp32", "bf16"] = "auto",
    channels_last: Literal["auto", "on", "off"] = "auto",
    compile: bool = False,
    threads: int = 0,
    work: float = 0.0,
    processes: int = 1,
) -> Speed:
    """Turn "auto" and 0 into what suits a device; what is asked for is taken as it is.

    Args:
        device: on which the networks lie.
        precision: "auto" is bf16 on CUDA where the device computes in it, else fp32. A CPU that
            could go faster in bf16 keeps to fp32, so that all of them compute nearly the same.
        channels_last: "auto" is on for bf16 on CUDA, whose units for such products read the
            channels of a pixel together. On a CPU it brought little where it was measured.
        compile: whether networks are to be compiled.
        threads: 0 is as many as the work of a step is worth, and one where the CPU only hands work
            to another device.
        work: floating-point operations of a step, :func:`step_work`.
        processes: that share the cores.
    """
    why = dict.fromkeys(("threads", "precision", "channels_last", "compile"), "as asked")
    if precision == "auto":
        precision, why["precision"] = _precision(device)
    if channels_last == "auto":
        on, why["channels_last"] = device.type == "cuda" and precision == "bf16", "for bf16"
    else:
        on = channels_last == "on"
    if not threads:
        threads, why["threads"] = choose_threads(work, cores() // processes, device)
    return Speed(device, threads, precision, on, compile, why)


def _precision(device: torch.device) -> tuple[Literal["fp32", "bf16"], str]:
    if device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16", "the device computes in it"
    if device.type == "cpu":
        faster = "; bf16 may be faster: this one has AMX" if _has_amx() else ""
        return "fp32", f"as on every CPU{faster}"
    return "fp32", "the device has no bf16"


def _has_amx() -> bool:
    """Whether the CPU has units for products of bf16 matrices."""
    return getattr(torch.cpu, "get_capabilities", dict)().get("amx_bf16", False)  # of late


# --- threads -------------------------------------------------------------------


def choose_threads(work: float, cores: int, device: torch.device) -> tuple[int, str]:
    """Return a number of threads for a step, and why.

    In small steps threads mostly wait: each operation lasts until all are done with their part of
    it. So each further one gains less, and the number grows as the root of the work: two for
    ``WORK_OF_TWO_THREADS``, four for four times as much. Beyond two it is not measured.

    Args:
        work: floating-point operations of the step.
        cores: that may be used.
        device: on which the networks lie.
    """
    if device.type != "cpu":
        return 1, "the CPU hands out the work"
    if cores <= 1:
        return 1, "one core"
    size = f"{work / 1e9:.2g} GFLOP"
    threads = max(1, min(cores, int(2 * math.sqrt(work / WORK_OF_TWO_THREADS))))
    return threads, f"a step {'is small' if threads == 1 else 'has work for them'}: {size}"


def cores() -> int:
    """Return how many cores this process may use.

    The least of what the system allows it, what its container is given, and OMP_NUM_THREADS.
    """
    if hasattr(os, "sched_getaffinity"):  # on Linux
        allowed = len(os.sched_getaffinity(0))
    else:
        allowed = os.cpu_count() or 1
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    limits = [allowed, _container_cores(), int(wanted) if wanted.isdecimal() else allowed]
    return max(1, min(limits))


def _container_cores(file: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Processor time that a container is given, in cores; many if there is no such limit."""
    try:
        time, period = file.read_text().split()
        return math.ceil(int(time) / int(period))
    except (OSError, ValueError):  # no container, or "max"
        return 1_000_000


def step_work(forward: Callable[[], Any], passes: float = FORWARD_PASSES) -> float:
    """Count the floating-point operations of a training step, of products and convolutions.

    Args:
        forward: passes a batch through the networks once. Where all its tensors lie on the device
            "meta", nothing is computed.
        passes: forward passes that cost as much as a step.
    """
    from torch.utils.flop_counter import FlopCounterMode  # slow to import

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        forward()
    return passes * counter.get_total_flops()


# --- networks ------------------------------------------------------------------


def channels_last_(module: nn.Module) -> None:
    """Keep the weights of convolutions so that the channels of a pixel stand together, in place.

    What a convolution gives is then kept so, too, whatever its input is.
    """
    for part in module.modules():
        if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
            part.to(memory_format=torch.channels_last)


def compile_(networks: Iterable[nn.Module], backend: str | Callable = "inductor") -> None:
    """Compile networks in place: at their first call, for whatever they are given then.

    The names of their weights stay as they are. A network whose gradient is differentiated again,
    as by a penalty on a critic, cannot be compiled.

    Args:
        networks: those that are called as a whole.
        backend: of ``torch.compile``.
    """
    import torch._dynamo  # slow to import

    # PyTorch's compiler passes over the code of torch.nn itself, and so over a whole Sequential,
    # without a word, unless something else calls it. All networks then have this caller in common,
    # and with it the number of times that one function may be compiled: each network is, for
    # training, for evaluation, and for another size of the batch.
    config = torch._dynamo.config
    config.recompile_limit = max(config.recompile_limit, 64)
    with config.patch(wrap_top_frame=True):
        for network in networks:
            network.compile(backend=backend)


def check_compiler(device: torch.device) -> None:
    """Compile a trifle, which shows whether compiling works here at all.

    Raises:
        TrainingError: if it does not.
    """
    try:
        torch.compile(torch.neg)(torch.ones(2, device=device))
    except Exception as error:  # whatever stands between here and a compiler
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise TrainingError(
            f"networks cannot be compiled for {device.type} ({reason}); install a C++ compiler, "
            "or leave compile off"
        ) from None


def check_gradients(networks: Iterable[nn.Module], device: torch.device, precision: str) -> None:
    """Refuse what PyTorch 2.13 compiles wrongly: on a CPU, in bf16, no gradient passes an Upsample.

    The loss is right then, and the layers before it never learn.

    Raises:
        TrainingError: if one of the networks enlarges images so.
    """
    if device.type == "cpu" and precision == "bf16":
        for network in networks:
            if any(isinstance(part, nn.Upsample) for part in network.modules()):
                raise TrainingError(
                    "a network with nn.Upsample, compiled for a CPU in bf16, gets wrong gradients "
                    "from PyTorch; choose fp32, or leave compile off"
                )


# --- memory --------------------------------------------------------------------


def peak_memory(device: torch.device) -> float:
    """Return the most memory that was in use so far, MB; nan where the system does not tell.

    On CUDA that of this process's tensors on the device; else the memory of the whole process.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    try:
        import resource  # not on Windows
    except ImportError:
        return math.nan
    import sys

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
