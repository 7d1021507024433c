"""What the Fréchet distance of two streams of features costs, over the arithmetic it cannot avoid.

Two sets of 50,000 feature vectors of length 2,048, float32, come in batches of 1,000 and are not
kept. Two programs take turns batch by batch, in one process:

moments     the library: checked, turned into float64, centred, and counted in; at the end the
            distance, which is one Cholesky factor, two products and the eigenvalues of a
            symmetric matrix
products    what no program can leave out: XᵀX of batches that are float64 and centred already; at
            the end one eigendecomposition of a symmetric matrix

moments / products is what the library costs; the bar is 2. For comparison, the same end by the
eigenvalues of C₁ C₂, which is not symmetric, as torchmetrics has it. Drawing the features is not
timed. Time is that of one thread on the processor. Peak memory is read before the second program
and the comparison have run.
"""

import argparse
import resource
import statistics
import sys
from collections.abc import Callable
from time import process_time

import torch
from common.record import record
from torch import Tensor

from genlearn.metrics import Moments, frechet_distance

FEATURES, BATCH = 2048, 1000
BAR = 2.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=50_000, help="vectors of each set")
    parser.add_argument("--ends", type=int, default=3, help="times the end is timed")
    settings = parser.parse_args()

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    batches = settings.images // BATCH
    before = peak_mebibytes()
    one, two = streamed(batches)
    frechet_distance(one, two)
    memory = peak_mebibytes() - before

    seconds = take_turns(batches)
    c1, c2 = one.covariance, two.covariance
    ends: dict[str, list[float]] = {"distance": [], "eigendecomposition": []}
    for _ in range(settings.ends):
        ends["distance"].append(timed(lambda: frechet_distance(one, two)))
        ends["eigendecomposition"].append(timed(lambda: torch.linalg.eigh(c1)))
    end = {name: statistics.median(values) for name, values in ends.items()}
    roots = torch.empty(0)

    def by_product() -> None:
        nonlocal roots
        roots = torch.linalg.eigvals(c1 @ c2).sqrt().real

    end["eigenvalues of the product"] = timed(by_product)
    theirs = (one.mean - two.mean).square().sum() + c1.trace() + c2.trace() - 2 * roots.sum()
    apart = abs(frechet_distance(one, two) / theirs.item() - 1)

    ours = sum(seconds["moments"]) + end["distance"]
    least = sum(seconds["products"]) + end["eigendecomposition"]
    line = (
        f"Fréchet distance of 2 x {settings.images:,} vectors of {FEATURES:,} features: "
        f"{ours / least:.2f} times two covariance products and one symmetric eigendecomposition "
        f"(bar {BAR:g}); {ours:.0f} s on one thread, its end {end['distance']:.1f} s "
        f"(by eigenvalues of the product {end['eigenvalues of the product']:.0f} s); "
        f"{memory:.0f} MiB at the peak"
    )
    pairs = zip(seconds["moments"], seconds["products"], strict=True)
    low, _, high = statistics.quantiles([a / b for a, b in pairs], n=4)
    numbers = {
        "bar": BAR,
        "images": settings.images,
        "features": FEATURES,
        "batch": BATCH,
        "ratio": round(ours / least, 4),
        "moments_over_products_quartiles": [round(low, 4), round(high, 4)],
        "seconds_of_the_stream": {name: round(sum(values), 3) for name, values in seconds.items()},
        "seconds_of_the_end": {name: round(value, 3) for name, value in end.items()},
        "relative_difference_from_eigenvalues_of_the_product": float(f"{apart:.1e}"),
        "peak_mebibytes": round(memory, 1),
        "mebibytes_of_all_features_in_float64": settings.images * FEATURES * 2 * 8 / 2**20,
    }
    record("frechet", line, numbers)


def draw(generator: torch.Generator, spread: float) -> Tensor:
    """Features as those of a network after a ReLU are: not negative, many of them zero."""
    return (torch.randn(BATCH, FEATURES, generator=generator) * spread).relu_()


def streamed(batches: int) -> tuple[Moments, Moments]:
    generator = torch.Generator().manual_seed(0)
    moments = Moments(FEATURES), Moments(FEATURES)
    for _ in range(batches):
        for count, spread in zip(moments, (1.0, 1.1), strict=True):
            count.update(draw(generator, spread))
    return moments


def take_turns(batches: int) -> dict[str, list[float]]:
    """Seconds of each batch of both sets."""
    generator = torch.Generator().manual_seed(1)
    moments, product = Moments(FEATURES), torch.zeros(FEATURES, FEATURES, dtype=torch.float64)
    seconds: dict[str, list[float]] = {"moments": [], "products": []}
    for _ in range(2 * batches):
        batch = draw(generator, 1.0)
        ready = batch.double()
        ready -= ready.mean(0)
        seconds["moments"].append(timed(lambda x=batch: moments.update(x)))
        seconds["products"].append(timed(lambda x=ready: product.addmm_(x.T, x)))
    return seconds


def timed(work: Callable[[], object]) -> float:
    began = process_time()
    work()
    return process_time() - began


def peak_mebibytes() -> float:
    """The most memory that this process has had so far; macOS counts in bytes, Linux in 1,024."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
