"""The recorded runs of GANs hold what the book says of them."""

import json
from pathlib import Path

import pytest

RUNS = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "runs"
QUICK = sorted(RUNS.glob("gan-fashion-mnist-quick-*.json"))


def test_there_are_such_runs():
    assert QUICK


@pytest.mark.parametrize("file", QUICK, ids=lambda file: file.stem)
def test_no_class_has_less_than_half_its_fair_share_after_ten_minutes_on_one_thread(file):
    run = json.loads(file.read_text("utf-8"))
    samples = run["result"]["samples"]
    assert samples["images"] == 10_000
    assert len(samples["relative_shares"]) == samples["classes"] >= 10
    assert min(samples["relative_shares"]) == samples["smallest_relative_share"] >= 0.5
    assert run["environment"]["seconds"] <= 600
    assert run["environment"]["threads"] == 1
    assert run["environment"]["device"] == "cpu"
