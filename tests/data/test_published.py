"""The published sets: their real files where they are here, and small ones made by the letter."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from genlearn import data
from genlearn.data import published, sources
from genlearn.data.amat import read_amat
from genlearn.data.published import emoji_tenth
from genlearn.errors import DataError

ROOT = Path(__file__).resolve().parents[2]
NAMED = os.environ.get(data.FOLDER_VARIABLE)
REAL = Path(NAMED) if NAMED else ROOT.parent / "shared" / "data"


@pytest.fixture
def real(monkeypatch):
    """Name the folder of the real sets, or skip the test where one of them is not there."""

    def folder(*names: str) -> Path:
        for name in names:
            if not (REAL / name).is_dir():
                pytest.skip(f"{name} is not here: {data.FOLDER_VARIABLE} names no folder with it")
        monkeypatch.setenv(data.FOLDER_VARIABLE, str(REAL))
        return REAL

    return folder


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.delenv(data.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv(data.CACHE_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "source"), [("mnist", sources.MNIST), ("fashion-mnist", sources.FASHION_MNIST)]
)
def test_the_checksums_are_those_of_the_real_files(real, name, source):
    folder = real(name) / name
    assert [file.fault(folder / file.name) for file in source.files] == [None] * 4


def test_the_packed_archive_holds_the_published_text(real):
    """Written out as text again, each part has the checksum of Larochelle's file."""
    real("binarized-mnist")
    dataset = data.load("binarized-mnist")
    for part, file in zip(("train", "valid", "test"), sources.BINARIZED_MNIST.files, strict=True):
        bits = getattr(dataset, part).images.flatten(1).numpy()
        text = np.full((len(bits), 784, 2), ord(" "), np.uint8)
        text[:, :, 0] = bits + ord("0")
        text[:, -1, 1] = ord("\n")
        assert text.size == file.size
        assert hashlib.sha256(text.tobytes()).hexdigest() == file.sha256


def test_a_verified_download_is_loaded_from_the_cache(real, cache, monkeypatch):
    folder = real("mnist") / "mnist"
    expected = data.load("mnist")
    monkeypatch.delenv(data.FOLDER_VARIABLE)
    (cache / "mnist").symlink_to(folder)
    assert data.is_at_hand("mnist")
    assert torch.equal(data.load("mnist").train.images, expected.train.images)


def test_a_local_copy_goes_before_a_download(cache, monkeypatch):
    for root in ("local", "cache"):
        (cache / root / "mnist").mkdir(parents=True)
    monkeypatch.setenv(data.CACHE_VARIABLE, str(cache / "cache"))
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(cache / "local"))
    for file in sources.MNIST.files:
        (cache / "cache" / "mnist" / file.name).touch()
    with pytest.raises(DataError, match="local/mnist/train-images"):
        data.load("mnist")
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(cache / "elsewhere"))
    with pytest.raises(DataError, match="cache/mnist/train-images"):
        data.load("mnist")


def test_emoji_lie_on_white(real):
    folder = real("noto-emoji") / "noto-emoji"
    emoji = data.load("emoji")
    images = torch.cat([part.images for part in (emoji.train, emoji.valid, emoji.test)])
    rgba = np.load(folder / "noto_emoji_32x32_rgba.npz")["rgba"]
    assert len(images) == len(rgba) == 3583
    alpha = rgba[..., 3:] / 255
    expected = np.rint(rgba[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    # The parts are in another order, so compare the pictures as a collection.
    found = sorted(image.tobytes() for image in images.permute(0, 2, 3, 1).numpy())
    assert found == sorted(image.tobytes() for image in np.ascontiguousarray(expected))


def test_no_emoji_of_the_test_is_a_variant_of_a_training_one(real):
    """Without tones and genders, the names of the parts have nothing in common."""
    names = np.load(real("noto-emoji") / "noto-emoji/noto_emoji_32x32_rgba.npz")["name"].tolist()
    part_of: dict[str, set[int]] = {}
    for name in names:
        base = name
        for tone in "bcdef":
            base = base.replace(f"_1f3f{tone}", "")
        for joined in ("_200d_2640", "_200d_2642", "_200d", "_fe0f"):
            base = base.replace(joined, "")
        base = base.replace("1f468", "1f9d1").replace("1f469", "1f9d1")
        part_of.setdefault(base, set()).add(emoji_tenth(name))
    assert 1000 < len(part_of) < len(names) / 2
    assert all(len(tenths) == 1 for tenths in part_of.values())


def test_variants_of_an_emoji_share_a_group_and_the_groups_are_even():
    group = emoji_tenth("emoji_u1f9d1_200d_1f393")
    variants = ["1f468_200d_1f393", "1f469_1f3fe_200d_1f393", "1f9d1_1f3fb_200d_1f393"]
    assert {emoji_tenth(f"emoji_u{name}") for name in variants} == {group}
    counts = np.bincount([emoji_tenth(f"emoji_u{k:x}") for k in range(0x10000, 0x12710)])
    assert counts.shape == (10,)
    assert abs(counts - 1000).max() < 150  # five standard deviations


def amat(images: np.ndarray) -> bytes:
    rows = (" ".join(str(pixel) for pixel in row) for row in images.reshape(len(images), -1))
    return "".join(f"{row}\n" for row in rows).encode()


def test_text_of_zeros_and_ones_is_read_in_order(tmp_path):
    images = np.random.default_rng(0).integers(0, 2, (3, 28, 28), dtype=np.uint8)
    path = tmp_path / "images.amat"
    path.write_bytes(amat(images))
    np.testing.assert_array_equal(read_amat(path, 3), images, strict=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "holds 0 bytes where 2 lines of 1568 were expected"),
        (amat(np.zeros((3, 784), int)), "holds 4,704 bytes"),
        (amat(np.zeros((2, 784), int)).replace(b"0", b"2", 1), "zeros and ones"),
        (amat(np.zeros((2, 784), int)).replace(b" ", b",", 1), "zeros and ones"),
        (amat(np.zeros((2, 784), int)).replace(b"\n", b" ", 1), "zeros and ones"),
    ],
    ids=["nothing", "a line more", "another digit", "another gap", "no end of line"],
)
def test_other_text_is_refused_in_one_line(tmp_path, content, words):
    path = tmp_path / "images.amat"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_amat(path, 2)
    assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(DataError, match="no such file"):
        read_amat(tmp_path / "nothing.amat", 2)


def test_a_local_text_must_have_the_published_checksum(monkeypatch, tmp_path):
    """A bit that flips there makes another image, and nothing else would tell."""
    folder = tmp_path / "binarized-mnist"
    folder.mkdir()
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    for file in sources.BINARIZED_MNIST.files:
        count = file.size // 1568
        (folder / file.name).write_bytes(amat(np.zeros((1, 784), int)) * count)
    with pytest.raises(DataError, match="has SHA-256"):
        data.load("binarized-mnist")
    # With these texts' own checksums they are read.
    files = tuple(
        sources.File(
            file.name, file.size, hashlib.sha256((folder / file.name).read_bytes()).hexdigest()
        )
        for file in sources.BINARIZED_MNIST.files
    )
    monkeypatch.setattr(published.sources, "BINARIZED_MNIST", sources.Source("", files))
    dataset = data.load("binarized-mnist")
    assert [len(part) for part in (dataset.train, dataset.valid, dataset.test)] == [
        50_000,
        10_000,
        10_000,
    ]
    assert not dataset.train.images.any()
