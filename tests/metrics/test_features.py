"""Features of images, and the road to Inception-v3 with a network in its place."""

import hashlib
import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from genlearn.errors import FeatureError
from genlearn.metrics import (
    Extractor,
    features,
    features_of,
    inception_features,
    moments_of,
    pixel_features,
)

IMAGES = torch.randint(17, (7, 1, 2, 3), generator=torch.Generator().manual_seed(0))
IMAGES = IMAGES.to(torch.uint8)


class Network(nn.Module):
    """What torch-fidelity's network does at its edges; it keeps what it was shown."""

    def __init__(self, name, features_list, weights):
        super().__init__()
        assert features_list == ["2048", "logits_unbiased"]
        self.weight = nn.Parameter(torch.zeros(2, 3))
        self.load_state_dict(torch.load(weights, weights_only=False))  # as the package does it

    def forward(self, x):
        assert x.dtype == torch.uint8
        assert x.shape[1] == 3
        means = x.float().mean((2, 3))
        return means, means @ self.weight.T


@pytest.fixture
def inception(monkeypatch):
    """The package, with a small network."""
    module = ModuleType("torch_fidelity.feature_extractor_inceptionv3")
    module.FeatureExtractorInceptionV3 = Network
    monkeypatch.setitem(sys.modules, "torch_fidelity", ModuleType("torch_fidelity"))
    monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Saves weights so that their checksum is the one that is asked for."""

    def save(content):
        file = tmp_path / "weights.pth"
        torch.save(content, file)
        checksum = hashlib.sha256(file.read_bytes()).hexdigest()
        monkeypatch.setattr(features, "INCEPTION_SHA256", checksum[:8])
        return file

    return save


def test_pixels_run_from_zero_to_one():
    pixels = pixel_features(17)
    assert pixels.name == "pixels"
    assert pixels.log_probs is None
    torch.testing.assert_close(pixels(IMAGES), IMAGES.view(7, 6) / 16)


@pytest.mark.parametrize("batch_size", [1, 3, 500])
def test_features_come_in_the_order_of_the_images(batch_size):
    expected = IMAGES.view(7, 6) / 16
    torch.testing.assert_close(features_of(pixel_features(17), IMAGES, batch_size), expected)


def test_batches_of_images_give_the_same_features():
    found = features_of(pixel_features(17), iter(IMAGES.split(2)))
    torch.testing.assert_close(found, IMAGES.view(7, 6) / 16)


def test_features_need_not_be_kept():
    batches = features.feature_batches(pixel_features(17), IMAGES, 3)
    torch.testing.assert_close(moments_of(batches).mean, (IMAGES.view(7, 6) / 16).double().mean(0))


@pytest.mark.parametrize("wrong", [IMAGES.float(), IMAGES[0], IMAGES[:0]])
def test_what_is_no_set_of_images_is_refused(wrong):
    with pytest.raises(ValueError, match=r"images must be uint8 \(N, C, H, W\), not empty"):
        features_of(pixel_features(17), wrong)
    with pytest.raises(ValueError, match="no images"):
        features_of(pixel_features(17), [])


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x.float(), "must return floats"),
        (lambda x: x.flatten(1), "must return floats"),
        (lambda x: x.flatten(1)[1:].float(), "must return floats"),
        (lambda x: x.flatten(1).float() / 0, "finite"),
    ],
)
def test_features_of_the_wrong_kind_are_refused(function, message):
    with pytest.raises(ValueError, match=message):
        features_of(Extractor("wrong", function), IMAGES)


def test_inception_sees_three_equal_channels_from_0_to_255(inception, saved):
    weight = torch.randn(2, 3, generator=torch.Generator().manual_seed(1))
    extractor = inception_features(saved({"weight": weight}), levels=17)
    means = (IMAGES.float() * 255 / 16).round().mean((2, 3)).expand(7, 3)
    torch.testing.assert_close(extractor(IMAGES), means)
    torch.testing.assert_close(extractor.log_probs(IMAGES), (means @ weight.T).log_softmax(1))
    assert extractor.name == "Inception-v3"


def test_a_missing_file_is_told_in_one_line(tmp_path):
    with pytest.raises(FeatureError, match=r"gone\.pth: no such file; get weights-inception-2015"):
        inception_features(tmp_path / "gone.pth")


def test_another_file_is_not_taken_for_inception(inception, tmp_path):
    torch.save({"weight": torch.zeros(2, 3)}, tmp_path / "other.pth")
    with pytest.raises(FeatureError, match="its checksum is another"):
        inception_features(tmp_path / "other.pth")


def test_a_missing_package_is_told_in_one_line(saved, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(FeatureError, match=r"torch-fidelity \(.+\): pip install torch-fidelity"):
        inception_features(saved({"weight": torch.zeros(2, 3)}))


def test_weights_of_another_network_are_refused(inception, saved):
    with pytest.raises(FeatureError, match="no weights of Inception-v3"):
        inception_features(saved({"bias": torch.zeros(2)}))


class Program:
    """Pickled, it is a call."""

    def __reduce__(self):
        return print, ("a program hidden in a file was run",)


def test_no_program_in_a_file_is_run(inception, saved, capsys):
    with pytest.raises(FeatureError, match="holds more than numbers: not loaded"):
        inception_features(saved({"weight": Program()}))
    assert "hidden" not in capsys.readouterr().out


def test_a_file_cut_short_is_refused(inception, saved, monkeypatch):
    file = saved({"weight": torch.zeros(2, 3)})
    file.write_bytes(file.read_bytes()[:200])
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    monkeypatch.setattr(features, "INCEPTION_SHA256", checksum)
    with pytest.raises(FeatureError, match="damaged"):
        inception_features(file)


@pytest.mark.parametrize("levels", [1, 257])
def test_levels_that_make_no_picture_are_refused(levels, tmp_path):
    with pytest.raises(ValueError, match="2 to 256 levels"):
        inception_features(tmp_path, levels)
    with pytest.raises(ValueError, match="at least 2 levels"):
        pixel_features(1)
