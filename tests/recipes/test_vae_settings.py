"""Settings: those that make no sense are refused, those of the profiles fit their data."""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch

from genlearn import data
from genlearn.errors import RunError
from genlearn.recipes import vae, vae_settings


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"latent_dim": -1}, "latent_dim must be at least 1, got -1"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"evaluate_every": 0}, "evaluate_every must be"),
        ({"checkpoint_every": 0}, "checkpoint_every must be"),
        ({"accumulate": 0}, "accumulate must be at least 1, got 0"),
        ({"threads": -1}, "threads must be at least 0, got -1"),
        ({"devices": 0}, "devices must be at least 1"),
        ({"keep": 0}, "keep must be at least 1"),
        ({"patience": -1}, "patience must be at least 0"),
        ({"checkpoint_minutes": -0.5}, "checkpoint_minutes must be at least 0 and finite"),
        ({"clip_gradient": math.inf}, "clip_gradient must be at least 0 and finite"),
        ({"precision": "fp16"}, "precision must be one of auto, fp32, bf16, got 'fp16'"),
        ({"channels_last": "yes"}, "channels_last must be one of auto, on, off, got 'yes'"),
        ({"hidden": (8, 0)}, "hidden must be widths"),
        ({"hidden": (8.5,)}, "hidden must be widths"),
        ({"pixel_features": -1}, "pixel_features must be"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"dropout": -0.1}, "dropout must be"),
        ({"learning_rate": 0.0}, "learning_rate must be"),
        ({"learning_rate": math.nan}, "learning_rate must be"),
        ({"learning_rate": math.inf}, "learning_rate must be"),
        ({"weight_decay": -0.1}, "weight_decay must be"),
        ({"channels": ()}, "channels must be one width or more"),
        ({"channels": (8, 0)}, "channels must be widths"),
        ({"blocks": 0}, "blocks must be at least 1"),
        ({"components": 0}, "components must be"),
        ({"codes": 0}, "codes must be"),
        ({"codes": 2, "beta": 0.5}, "the rate has no weight"),
        ({"codes": 2, "warm_up": 5}, "the rate has no weight"),
        ({"beta": -1.0}, "beta must be at least 0 and finite"),
        ({"warm_up": -1}, "warm_up must be"),
        ({"shift": math.inf}, "shift must be"),
        ({"moved": 1.1}, "moved must be 0 … 1"),
        ({"importance_samples": -1}, "importance_samples must be"),
        ({"seed": -1}, "seed must be"),
        ({"seed": 2**63}, "seed must be"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(setting, words):
    with pytest.raises(RunError, match=words):
        replace(vae.Config(), **setting)


def test_every_set_of_images_has_both_profiles():
    assert set(vae_settings.PROFILES) == set(product(data.names(), ["quick", "full"]))
    for name, profile in vae_settings.PROFILES:
        settings = vae.config(name, profile)
        assert (settings.data, settings.profile) == (name, profile)


def test_a_data_set_without_settings_is_refused_in_one_line():
    with pytest.raises(RunError, match=r"no settings for 'imagenet'; it has: digits, "):
        vae.config("imagenet")


@pytest.mark.parametrize("profile", ["quick", "full"])
@pytest.mark.parametrize("name", ["digits", "faces", "patches"])
def test_models_of_all_settings_take_their_images(name, profile):
    dataset, settings = data.load(name), vae.config(name, profile)
    model = vae.build(settings, dataset.shape, dataset.levels)
    with torch.no_grad():
        assert torch.isfinite(model.elbo(dataset.train.images[:2])).all()


def test_the_profile_comes_from_the_environment_unless_it_is_given(monkeypatch):
    quick, full = vae.config("mnist", "quick"), vae.config("mnist", "full")
    assert quick != full
    assert vae.config("mnist") == quick
    monkeypatch.setenv("GENLEARN_PROFILE", "full")
    assert vae.config("mnist") == full
    assert vae.config("mnist", "quick") == quick
    monkeypatch.setenv("GENLEARN_PROFILE", "huge")
    with pytest.raises(RunError, match=r"no profile 'huge' .*GENLEARN_PROFILE.*: quick, full"):
        vae.config("mnist")
