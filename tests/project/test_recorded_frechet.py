"""What is recorded of the cost of the Fréchet distance keeps its bar."""

import json
from pathlib import Path

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"


def test_it_costs_at_most_twice_what_it_cannot_avoid_in_bounded_memory():
    run = json.loads((RESULTS / "frechet.json").read_text("utf-8"))
    assert (run["images"], run["features"]) == (50_000, 2048)
    assert run["ratio"] <= run["bar"] == 2
    assert run["relative_difference_from_eigenvalues_of_the_product"] < 1e-6
    assert run["peak_mebibytes"] < run["mebibytes_of_all_features_in_float64"] / 3
    assert not run["commit"].endswith("+")
