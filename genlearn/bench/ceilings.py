"""What a device can do at most: a large product of matrices, and a large copy, timed."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import torch

from genlearn.bench.cost import Cost
from genlearn.devices import pick_device

LEAST, MOST = 1024, 8192  # rows and columns of the matrices
LONG_ENOUGH = 0.02  # seconds of one product; a shorter one is tried again twice as large
COPIED = 2**28  # bytes; more than any cache holds


class Ceilings(NamedTuple):
    """What a device reached; both figures as its best of several tries."""

    flops: float
    """Floating-point operations a second, in a large product of matrices."""
    bytes: float
    """Bytes a second, read and written, in a large copy."""

    @property
    def ridge(self) -> float:
        """FLOPs for each byte, above which the product is the lower ceiling: flops / bytes."""
        return self.flops / self.bytes

    def bound(self, cost: Cost) -> Literal["compute", "memory"]:
        """Return which ceiling is the lower one for this cost."""
        return "compute" if cost.intensity > self.ridge else "memory"

    def least_seconds(self, cost: Cost) -> float:
        """Return the time that the lower ceiling leaves: the roofline, eq-scale-roofline.

        Where tensors stay in a cache, a program may be faster than the memory's ceiling says.

        Source: Williams, Waterman and Patterson (2009), Roofline: an insightful visual performance
        model for multicore architectures, Communications of the ACM 52.
        """
        return max(cost.flops / self.flops, cost.bytes / self.bytes)

    def highest(self, other: "Ceilings") -> "Ceilings":
        """Return the higher of both, figure by figure."""
        return Ceilings(max(self.flops, other.flops), max(self.bytes, other.bytes))


def measure_ceilings(
    device: str = "auto", precision: Literal["fp32", "bf16"] = "fp32", seconds: float = 0.5
) -> Ceilings:
    """Time a large product of matrices and a large copy.

    In fp32 on CUDA the product rounds to TF32 where PyTorch lets convolutions do so, as it does
    unless told otherwise: no network computes faster than this.

    Args:
        device: "auto" takes CUDA, then MPS, then the CPU.
        precision: of the product.
        seconds: of each of the two measurements, at least.

    Raises:
        TrainingError: if there is no such device.
        ValueError: if precision is another.
    """
    if precision not in ("fp32", "bf16"):
        raise ValueError(f"precision must be fp32 or bf16, got {precision!r}")
    target = pick_device(device)
    dtype = torch.float32 if precision == "fp32" else torch.bfloat16
    size = LEAST
    with _rounded_like_convolutions(target):
        while True:
            a, b = (torch.randn(size, size, device=target).to(dtype) for _ in range(2))
            product = torch.empty_like(a)
            once = _best(lambda: torch.mm(a, b, out=product), target, 0)  # noqa: B023
            if once >= LONG_ENOUGH or size >= MOST:
                break
            size *= 2
        flops = 2 * size**3 / _best(lambda: torch.mm(a, b, out=product), target, seconds)
    source = torch.zeros(COPIED, dtype=torch.uint8, device=target)
    copy = torch.ones_like(source)
    return Ceilings(flops, 2 * COPIED / _best(lambda: copy.copy_(source), target, seconds))


def wait(device: torch.device) -> None:
    """Wait until a device has done all that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _best(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """Return the shortest time of the work, in seconds; it is done once more to warm up."""
    work()
    wait(device)
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        began = time.perf_counter()
        work()
        wait(device)
        times.append(time.perf_counter() - began)
    return min(times)


@contextlib.contextmanager
def _rounded_like_convolutions(device: torch.device) -> Iterator[None]:
    """Let products of matrices round to TF32 on CUDA if convolutions may."""
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda" and before == "highest" and torch.backends.cudnn.allow_tf32:
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        if torch.get_float32_matmul_precision() != before:
            torch.set_float32_matmul_precision(before)
