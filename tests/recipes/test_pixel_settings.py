"""Settings: those that make no sense are refused, those of the profiles fit their data."""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch

from genlearn import data
from genlearn.errors import RunError
from genlearn.recipes import pixel, pixel_settings


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"steps": 0}, "steps must be at least 1, got 0"),
        ({"model": "rnn"}, "there is no model 'rnn'; there are: pixel-lstm, row-lstm, "),
        ({"features": 0}, "features must be at least 1"),
        ({"hidden": -1}, "hidden must be at least 0"),
        ({"layers": 0}, "layers must be at least 1"),
        ({"embedding": -1}, "embedding must be at least 0"),
        ({"position": 0}, "position must be at least 1"),
        ({"head": 0}, "head must be at least 1"),
        ({"components": 0}, "components must be"),
        ({"first_kernel": 4}, "first_kernel must be odd, got 4"),
        ({"first_kernel": 0}, "first_kernel must be at least 1"),
        ({"kernel": 2}, "kernel must be odd, got 2"),
        ({"dropout": 1.0}, "dropout must be"),
        ({"average": 1.0}, "average must be"),
        ({"classes": -1}, "classes must be at least 0"),
        ({"moved": 1.1}, "moved must be 0 … 1"),
        ({"shift": math.inf}, "shift must be"),
        ({"angle": -1.0}, "angle must be"),
        ({"zoom": 0.9}, "zoom must be at least 1"),
        ({"zoom": math.inf}, "zoom must be"),
        ({"valid_images": 1}, "valid_images must be at least 2"),
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused(setting, words):
    with pytest.raises(RunError, match=words):
        replace(pixel.Config(), **setting)


def test_every_set_of_images_has_both_profiles_of_every_model():
    assert set(pixel_settings.PROFILES) == set(product(data.names(), ["quick", "full"]))
    for (name, profile), model in product(pixel_settings.PROFILES, pixel.MODELS):
        settings = pixel.config(name, profile, model)
        assert (settings.data, settings.profile, settings.model) == (name, profile, model)


def test_a_data_set_without_settings_is_refused_in_one_line():
    with pytest.raises(RunError, match=r"no settings for 'imagenet'; it has: digits, "):
        pixel.config("imagenet")


def test_the_profile_comes_from_the_environment_unless_it_is_given(monkeypatch):
    monkeypatch.setenv("GENLEARN_PROFILE", "full")
    assert pixel.config("glyphs") == pixel.config("glyphs", "full")
    assert pixel.config("glyphs", "quick") != pixel.config("glyphs", "full")
    monkeypatch.setenv("GENLEARN_PROFILE", "huge")
    with pytest.raises(RunError, match=r"no profile 'huge' .*GENLEARN_PROFILE.*: quick, full"):
        pixel.config("digits")


def test_the_papers_depth_and_width_are_those_of_full_runs_on_binary_digits():
    """Table 4 of van den Oord et al. (2016): the Diagonal BiLSTM of 7 layers, h = 16."""
    settings = pixel.config("binarized-mnist", "full", "diagonal-bilstm")
    assert settings.layers == 7
    model = pixel.build(settings, (1, 28, 28), 2).model
    assert model.network.layers[0].state.shape == (2, 4 * 16, 2 * 16)  # gates, and two neighbours


@pytest.mark.parametrize("model", pixel.MODELS)
@pytest.mark.parametrize("name", ["digits", "faces"])
def test_models_of_quick_settings_take_their_images(name, model):
    """Grey and of 17 levels; and two random images in colour, of a size that is odd."""
    settings = pixel.config(name, "quick", model)
    shape, levels = ((1, 8, 8), 17) if name == "digits" else ((3, 5, 7), 256)
    best = pixel.build(settings, shape, levels).best.eval()
    images = torch.randint(levels, (2, *shape), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.isfinite(best.log_prob(images)).all()
    assert pixel.sample(best, 2, 0).shape == (2, *shape)


@pytest.mark.parametrize("model", pixel.MODELS)
@pytest.mark.parametrize("name", ["binarized-mnist", "cifar10"])
def test_models_of_full_settings_can_be_built(name, model):
    """Without weights: on the device "meta" nothing is allocated."""
    settings = replace(pixel.config(name, "full", model), layers=2)
    shape, levels = ((1, 28, 28), 2) if name == "binarized-mnist" else ((3, 32, 32), 256)
    with torch.device("meta"):
        trained = pixel.build(settings, shape, levels)
    assert sum(p.numel() for p in trained.model.parameters()) > 0
