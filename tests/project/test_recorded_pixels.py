"""The recorded runs of models of pixels in order hold what the book says of them."""

import json
import statistics
from pathlib import Path

import pytest

RESULTS = Path(__file__).resolve().parents[2] / "benchmarks" / "results"
DIGITS = json.loads((RESULTS / "pixel_digits.json").read_text("utf-8"))
BARS = {
    "gated-pixel-cnn": 79.0,
    "pixel-cnn": 79.5,
    "row-lstm": 80.0,
    "pixel-lstm": 81.0,
    "diagonal-bilstm": 81.0,
    "transformer": 84.5,
}
"""Test nats of the digits, after at most six minutes of training on one thread."""


@pytest.mark.parametrize("model", BARS)
def test_each_model_learns_the_digits_as_well_as_it_should(model):
    """On average over seeds; 86.76 nats is what a comparable course's program reaches."""
    rows = [row for row in DIGITS["rows"] if row["model"] == model]
    assert [row["seed"] for row in rows] == [0, 1, 2]
    nats = [row["test"]["negative_log_likelihood_nats"] for row in rows]
    assert statistics.mean(nats) <= BARS[model]
    said = DIGITS["test_nats"][model]
    assert (said["seeds"], said["least"], said["most"]) == (len(rows), min(nats), max(nats))
    assert said["mean"] == pytest.approx(statistics.mean(nats), abs=1e-3)
    for row in rows:
        assert row["thread_seconds"] <= 360
        assert row["settings"]["threads"] == 1
        assert (row["test"]["images"], row["valid"]["images"]) == (447, 350)


def test_a_mixture_of_a_models_seeds_is_better_than_they_are_on_average():
    """As Jensen's inequality demands, on any data."""
    for row in DIGITS["mixtures"]:
        mine = [r for r in DIGITS["rows"] if row["mixture_of"] in ("all", r["model"])]
        assert len(mine) == row["models"]
        for split in ("valid", "test"):
            nats = [r[split]["negative_log_likelihood_nats"] for r in mine]
            assert row[split]["negative_log_likelihood_nats"] < statistics.mean(nats)


def test_a_prior_that_reads_the_codes_saves_nats():
    """Of a VQ-VAE on the digits: against the frequencies of codes at each place."""
    run = json.loads((RESULTS / "runs" / "vqvae-digits-quick-seed0.json").read_text("utf-8"))
    assert run["settings"]["prior"] == "pixel"
    for split in ("valid", "test"):
        figures = run["result"][split]
        assert figures["independent_rate_nats"] - figures["rate_nats"] > 4
