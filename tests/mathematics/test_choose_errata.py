"""Erratum of chapter 18: what the recorded contest says of data that VAEs and GANs need."""

import json
from pathlib import Path

import pytest

RECORD = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "head_to_head.json"


@pytest.fixture(scope="module")
def mean():
    rows = json.loads(RECORD.read_text("utf-8"))["rows"]

    def over_seeds(family, images, key):
        found = [r[key] for r in rows if r["family"] == family and r["train_images"] == images]
        assert len(found) >= 3
        return sum(found) / len(found)

    return over_seeds


@pytest.mark.erratum("E24")
def test_a_vae_does_not_lose_more_than_a_gan_when_images_are_few(mean):
    def factor(family):
        return mean(family, 50, "frechet_distance") / mean(family, 1000, "frechet_distance")

    assert factor("vae-conv") < 1.3 * factor("gan-r1") < 1.3 * factor("pixel-cnn")


@pytest.mark.erratum("E24")
def test_a_gan_of_few_images_repeats_them_and_a_vae_does_not(mean):
    assert mean("gan-r1", 50, "nearer_to_training_images") > 0.7
    assert mean("vae-conv", 50, "nearer_to_training_images") < 0.4
