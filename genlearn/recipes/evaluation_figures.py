"""The figures of an evaluation: each with an interval, as evaluation.json has them.

All intervals are for other samples, with the images that judge them as they are; those of the
kernel distance, of memorisation and of classification also for other test images.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from genlearn.errors import RunError
from genlearn.metrics.frechet import frechet_at_infinity, frechet_distance
from genlearn.metrics.inception_score import inception_score
from genlearn.metrics.interval import bootstrap, normal_width
from genlearn.metrics.kernel_distance import kernel_distance
from genlearn.metrics.memorisation import Memorisation, memorisation
from genlearn.metrics.moments import moments_of
from genlearn.metrics.precision_recall import density_coverage, precision_recall

LEVEL = 0.95
"""Of all intervals."""

LEAST = 6
"""Samples: density and coverage look at the fifth neighbour."""

RESAMPLES = 200
"""Of the Fréchet distance, for its interval; with more than 256 features, where each takes long,
a fifth as many."""


class Real(NamedTuple):
    """Features of real images."""

    train: Tensor
    """Of all training images, (N, F)."""
    test: Tensor
    """Of all test images, (M, F); samples are compared with these."""


class Figures(NamedTuple):
    """What :func:`figures_of` finds."""

    figures: dict[str, dict[str, Any]]
    """By name, each with value, low and high; or with value None, and the reason."""
    memorisation: Memorisation
    """With the nearest training image of each sample."""


def figures_of(
    samples: Tensor,
    log_probs: Tensor | None,
    real: Real,
    *,
    tell: Callable[[str], object] = lambda name: None,
) -> Figures:
    """Compare the features of samples with those of the test images.

    The Fréchet distance has an interval, and a value at infinity, where there are four samples or
    more for each feature. Figures that look at neighbours take as many samples as test images: the
    first of both.

    Args:
        samples: features, (N, F), N at least ``LEAST``.
        log_probs: of the classes, as the network of the features names them, (N, K); None: there
            is no class score.
        real: the same features of real images.
        tell: called with the name of each figure before it is computed.
    """
    count = min(len(samples), len(real.test))
    fake, test = samples[:count], real.test[:count]
    found: dict[str, dict[str, Any]] = {}
    tell("Fréchet distance")
    found |= _frechet(samples, real.test)
    tell("kernel distance")
    found["kernel_distance"] = _kernel(samples, real.test)
    if log_probs is not None:
        tell("class score")
        found["class_score"] = interval_figures(inception_score(log_probs, level=LEVEL))
    tell("precision and recall")
    near = precision_recall(test, fake)
    found["precision"] = interval_figures(near.precision)
    found["recall"] = interval_figures(near.recall)
    tell("density and coverage")
    dense = density_coverage(test, fake)
    found["density"] = interval_figures(dense.density)
    found["coverage"] = interval_figures(dense.coverage)
    tell("memorisation")
    copied = memorisation(real.train, real.test, samples)
    found["memorisation"] = {**interval_figures(copied.nearer), "z": rounded(copied.z)}
    return Figures(found, copied)


def interval_figures(interval: Any) -> dict[str, float]:
    """Turn anything with value, low and high into what evaluation.json holds."""
    return {name: rounded(getattr(interval, name)) for name in ("value", "low", "high")}


def normal_figures(value: float, standard_error: float) -> dict[str, float]:
    """Turn a value with a standard error into what evaluation.json holds."""
    half = normal_width(LEVEL) * standard_error
    ends = {"value": value, "low": value - half, "high": value + half}
    return {k: rounded(v) for k, v in {**ends, "standard_error": standard_error}.items()}


def rounded(value: float) -> float:
    """Round to six digits: more of them would differ from machine to machine."""
    return float(f"{value:.6g}")


def likelihood_figures(run: Path, result: dict[str, Any]) -> dict[str, Any] | None:
    """What result.json says of the likelihood of test images; None if the model has none.

    Args:
        run: its folder, for messages.
        result: the content of its result.json.

    Raises:
        RunError: if it holds something else.
    """
    found = result.get("test")
    if found is None:
        return None
    try:
        # p(image) is what compares; p(image | label) would know more.
        found = found.get("without_label", found)
        kind, name = "exact", "negative_log_likelihood_nats"
        if "negative_elbo_nats" in found:
            kind, name = "bound", "negative_elbo_nats"
        if estimate := found.get("importance_sampling"):
            found, kind = estimate, "importance sampling"
            name = "negative_log_likelihood_nats"
        nats, error = float(found[name]), float(found["standard_error"])
        bits, images = float(found["bits_per_dim"]), int(found["images"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RunError(
            f"{run / 'result.json'}: damaged (no likelihood of test images); resume the run"
        ) from None
    per_nat = bits / nats if nats else 0.0
    return {
        "kind": kind,
        "images": images,
        "nats": normal_figures(nats, error),
        "bits_per_dim": normal_figures(bits, error * per_nat),
    }


def _frechet(samples: Tensor, test: Tensor) -> dict[str, dict[str, Any]]:
    features, reference = samples.shape[1], moments_of(test)
    distance = partial(frechet_distance, second=reference)
    parts = min(5, len(samples) // (2 * features))
    if parts < 2:
        needs, ends = f"needs {4 * features:,} samples", {"low": None, "high": None}
        value = rounded(distance(samples))
        return {
            "frechet_distance": {"value": value, **ends, "reason": f"interval {needs}"},
            "frechet_at_infinity": {"value": None, **ends, "reason": needs},
        }
    resamples = RESAMPLES if features <= 256 else RESAMPLES // 5
    return {
        "frechet_distance": interval_figures(
            bootstrap(distance, samples, resamples=resamples, level=LEVEL)
        ),
        "frechet_at_infinity": interval_figures(
            frechet_at_infinity(samples, reference, parts=parts, level=LEVEL)
        ),
    }


def _kernel(samples: Tensor, test: Tensor) -> dict[str, float]:
    found = kernel_distance(samples, test)
    return normal_figures(found.value, found.standard_error)
