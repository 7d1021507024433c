"""Devices: choosing one, its generators of random numbers, and its arithmetic."""

import contextlib
import platform
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from genlearn.errors import TrainingError


def pick_device(name: str = "auto") -> torch.device:
    """Return the device of that name; "auto" takes CUDA, then MPS, then the CPU.

    Raises:
        TrainingError: if there is no such device on this machine.
    """
    kind, _, index = name.partition(":")
    # PyTorch takes any number after cpu, but there is one CPU.
    if kind not in ("auto", "cpu", "cuda", "mps") or (kind == "cpu" and index not in ("", "0")):
        raise TrainingError(f"device {name!r} is unknown; choose auto, cpu, cuda or mps")
    if name == "auto":
        if torch.cuda.is_available():
            name = "cuda"
        else:
            name = "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0].split(". ")[0]
        raise TrainingError(f"device {name!r} cannot be used ({reason}); try auto or cpu") from None
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """Return what a record calls the device: the model of a GPU, "cpu", "mps"."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def cpu_name() -> str:
    """Return the model of the processor, as far as the system tells it."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """Return a block in which networks compute in "fp32" or "bf16".

    Raises:
        ValueError: if precision is another.
    """
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision must be fp32 or bf16, got {precision!r}")
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


def default_generators(device: torch.device) -> list[torch.Generator]:
    """Generators from which dropout and ``sample`` draw: the CPU's and, last, the device's."""
    generators = [torch.default_generator]
    if device.type == "cuda":
        index = device.index if device.index is not None else torch.cuda.current_device()
        generators.append(torch.cuda.default_generators[index])
    elif device.type == "mps":
        generators.append(torch.mps._get_default_mps_generator())  # there is no public name
    return generators


@contextlib.contextmanager
def state_put_back(generators: Sequence[torch.Generator]) -> Iterator[None]:
    """Run a block; then the generators go on as if it had not been run."""
    states = [generator.get_state() for generator in generators]
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run a block on one thread of the CPU, so that sums have one order, however many there are."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
