"""What precision and recall of 10,000 real and 10,000 fake images cost, in time and in memory.

No method by exact distances can do without three tables of scalar products: real by real, fake by
fake, and one by the other. The plain products alone, in float64 and in blocks of the same size, are
what the time is compared with. The rest is bounds, nearest candidates, their distances again by
differences, and the comparison with the radii. The bar is twice the products.

Three whole tables would take 2.3 GB. What is held at most beyond the features themselves is
measured by the system; most of it is the copy of one set in float64.

Features are like those of Inception's last layer in number, 2,048, and their spread falls off; and,
once more, 64, as our classifiers have: there the products are cheap, and the rest weighs more.
"""

import argparse
import resource
import sys
from time import process_time

import torch
from common.record import record
from torch import Tensor

from genlearn.metrics import density_coverage, precision_recall
from genlearn.metrics.neighbours import AT_ONCE

BAR = 2.0
FEATURES = (64, 2048)  # the larger last: the system tells the highest peak so far


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000, help="real ones, and as many fakes")
    images = parser.parse_args().images

    torch.set_num_threads(1)
    runs = {features: measure(images, features) for features in FEATURES}
    large = runs[FEATURES[-1]]
    line = (
        f"precision and recall of {images:,} x {images:,} images with {FEATURES[-1]:,} features: "
        f"{large['precision_recall_seconds']:.0f} s, {large['precision_recall_over_products']:.2f} "
        f"times its three products of scalars (bar {BAR:g}), and {large['peak_mebibytes']:.0f} MiB "
        f"beyond the features, {large['float64_copy_mebibytes']:.0f} of them a copy in float64"
    )
    record("precision_recall", line, {"bar": BAR, "images": images, "runs": runs})


def measure(images: int, features: int) -> dict[str, float]:
    real, fake = (cloud(images, features, seed) for seed in (0, 1))
    before = peak_mebibytes()
    began = process_time()
    found = precision_recall(real, fake)
    precision_recall_seconds = process_time() - began
    began = process_time()
    density_coverage(real, fake)
    density_coverage_seconds = process_time() - began
    peak = peak_mebibytes() - before
    began = process_time()
    products(real, fake)
    products_seconds = process_time() - began
    return {
        "precision_recall_seconds": round(precision_recall_seconds, 2),
        "density_coverage_seconds": round(density_coverage_seconds, 2),
        "products_seconds": round(products_seconds, 2),
        "precision_recall_over_products": round(precision_recall_seconds / products_seconds, 3),
        "density_coverage_over_products": round(
            density_coverage_seconds / products_seconds * 3 / 2, 3
        ),
        "peak_mebibytes": round(peak, 1),
        "float64_copy_mebibytes": round(images * features * 8 / 2**20, 1),
        "three_tables_mebibytes": round(3 * images**2 * 8 / 2**20, 1),
        "precision": round(found.precision.value, 4),
        "recall": round(found.recall.value, 4),
    }


def cloud(images: int, features: int, seed: int) -> Tensor:
    points = torch.randn(images, features, generator=torch.Generator().manual_seed(seed))
    return points.mul_(torch.arange(1, features + 1) ** -0.5)


def products(real: Tensor, fake: Tensor) -> None:
    """The three tables of scalar products, some rows at a time."""
    for points, others in ((real, real), (fake, fake), (fake, real)):
        there = others.double().T
        for some in points.split(AT_ONCE // len(others)):
            torch.mm(some.double(), there)


def peak_mebibytes() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        2**20 if sys.platform == "darwin" else 2**10
    )


if __name__ == "__main__":
    main()
