"""What ``import genlearn`` costs over ``import torch``.

Each measurement is a fresh process that imports PyTorch and then genlearn, timing both: genlearn
needs PyTorch in any case, so the second time is the difference. The bar is 0.3 s.
"""

import argparse
import json
import statistics
import subprocess
import sys

from common.record import record

BAR = 0.3
PROGRAM = """
import json, time
began = time.perf_counter()
import torch
middle = time.perf_counter()
import genlearn
print(json.dumps([middle - began, time.perf_counter() - middle]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=15, help="fresh processes")
    repeats = parser.parse_args().repeats

    rows = [measure() for _ in range(repeats + 1)][1:]  # the first fills the caches of the disk
    torch_seconds, own_seconds = zip(*rows, strict=True)
    own = statistics.median(own_seconds)
    line = (
        f"import genlearn costs {own:.3f} s over import torch (bar: {BAR} s; import torch takes "
        f"{statistics.median(torch_seconds):.2f} s; medians of {repeats})"
    )
    numbers = {
        "bar_seconds": BAR,
        "genlearn_over_torch_seconds": round(own, 4),
        "slowest_seconds": round(max(own_seconds), 4),
        "torch_seconds": round(statistics.median(torch_seconds), 4),
    }
    record("import_time", line, numbers)


def measure() -> tuple[float, float]:
    """Seconds of both imports in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    torch_seconds, own_seconds = json.loads(done.stdout)
    return torch_seconds, own_seconds


if __name__ == "__main__":
    main()
