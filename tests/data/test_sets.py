"""The data sets, by name: what they hold, and how a wrong copy is refused."""

import gzip
import io
import random

import numpy as np
import pytest
import torch

from genlearn import data
from genlearn.errors import DataError

ARCHIVE = "binarized_mnist_packed.npz"
COUNTS = {"train": 50_000, "valid": 10_000, "test": 10_000}


def refusal(name: str) -> str:
    """Load a data set; return the one line by which it is refused."""
    with pytest.raises(DataError) as caught:
        data.load(name)
    message = str(caught.value)
    assert "\n" not in message
    return message


def npz(**arrays) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Where the archive of binarized-mnist is looked for."""
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / "binarized-mnist").mkdir()
    return tmp_path / "binarized-mnist" / ARCHIVE


def test_digits_are_those_of_scikit_learn():
    """1,797 images in 17 levels, cut in the order of the file."""
    from sklearn.datasets import load_digits

    digits, original = data.load("digits"), load_digits()
    parts = (digits.train, digits.valid, digits.test)
    assert [len(part) for part in parts] == [1000, 350, 447]
    assert [part.name for part in parts] == ["digits/train", "digits/valid", "digits/test"]
    images = torch.cat([part.images for part in parts]).squeeze(1).numpy()
    np.testing.assert_array_equal(images, original.images)
    np.testing.assert_array_equal(torch.cat([part.labels for part in parts]), original.target)
    assert digits.levels == 17
    assert images.max() == 16


def test_an_unknown_name_is_answered_with_the_known_ones():
    message = refusal("cifar11")
    assert "'cifar11'" in message
    assert all(name in message for name in data.names())


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "binarized-mnist"])
def test_without_a_folder_the_message_says_how_to_name_one(no_local_data, name):
    assert f"set {data.FOLDER_VARIABLE}" in refusal(name)
    assert not data.is_at_hand(name)
    assert data.is_at_hand("digits")


@pytest.mark.parametrize("name", ["mnist", "binarized-mnist"])
def test_a_folder_that_is_not_there_is_named(monkeypatch, tmp_path, name):
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path / "nowhere"))
    assert refusal(name).startswith(f"{tmp_path / 'nowhere' / name}: no such folder")
    assert not data.is_at_hand(name)


def test_an_idx_set_of_another_size_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / "mnist").mkdir()
    assert "no such file" in refusal("mnist")
    images = bytes([0, 0, 8, 3, *[0, 0, 0, 2] * 3]) + bytes(8)
    labels = bytes([0, 0, 8, 1, 0, 0, 0, 2]) + bytes(2)
    (tmp_path / "mnist/train-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
    (tmp_path / "mnist/train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))
    message = refusal("mnist")
    assert "expected 60000 images of 28 x 28" in message
    assert "(2, 2, 2)" in message


def test_binarized_mnist_unpacks_bits_from_the_highest(archive):
    """The first pixel is the highest bit of the first byte; 98 bytes make an image."""
    packed = {part: np.zeros((count, 98), np.uint8) for part, count in COUNTS.items()}
    packed["valid"][3, 0], packed["valid"][3, 97] = 0b1000_0000, 0b0000_0011
    archive.write_bytes(npz(**packed))
    dataset = data.load("binarized-mnist")
    assert {part: len(getattr(dataset, part)) for part in COUNTS} == COUNTS
    assert dataset.levels == 2
    assert dataset.valid.labels is None
    white = dataset.valid.images.nonzero().tolist()
    assert white == [[3, 0, 0, 0], [3, 0, 27, 26], [3, 0, 27, 27]]
    assert not dataset.train.images.any()


SMALL = {part: np.zeros((2, 98), np.uint8) for part in COUNTS}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged"),
        (b"<html>404</html>", "damaged"),
        (npz(**SMALL)[:-30], "damaged"),
        (npz(**SMALL)[:200], "damaged"),
        (npz(train=SMALL["train"], test=SMALL["test"]), "valid"),
        (npz(**SMALL), "train must be uint8 of shape (50000, 98), got uint8 of shape (2, 98)"),
        (npz(**SMALL | {"train": np.zeros((50_000, 98), np.int8)}), "got int8"),
        (npz(**SMALL | {"train": np.array([{"a": 1}], dtype=object)}), "allow_pickle=False"),
    ],
)
def test_a_wrong_archive_is_refused_in_one_line(archive, content, words):
    """Pickled objects are not loaded: they could run any program."""
    archive.write_bytes(content)
    message = refusal("binarized-mnist")
    assert message.startswith(f"{archive}: ")
    assert words in message


def test_an_array_a_folder_or_nothing_in_place_of_the_archive_is_refused(archive):
    assert "no such file" in refusal("binarized-mnist")
    with archive.open("wb") as file:
        np.save(file, SMALL["train"])
    assert "damaged" in refusal("binarized-mnist")
    archive.unlink()
    archive.mkdir()
    assert "directory" in refusal("binarized-mnist")


def test_random_damage_to_the_archive_is_a_data_error(archive):
    """300 archives, each with some bytes changed; zipfile and numpy fail in many ways."""
    rng, good = random.Random(0), npz(**SMALL)
    for _ in range(300):
        content = bytearray(good)
        for _ in range(rng.choice([1, 2, 5])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        archive.write_bytes(content)
        refusal("binarized-mnist")


def test_the_real_mnist_has_its_known_counts(real_data):
    mnist = data.load("mnist")
    assert [len(part) for part in (mnist.train, mnist.valid, mnist.test)] == [
        50_000,
        10_000,
        10_000,
    ]
    assert mnist.train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    known = [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert mnist.test.labels.bincount().tolist() == known
    # The mean and deviation by which half the world normalises MNIST: 0.1307, 0.3081.
    pixels = torch.cat([mnist.train.images, mnist.valid.images]).float() / 255
    assert round(pixels.mean(dtype=torch.float64).item(), 4) == 0.1307
    assert round(pixels.std().item(), 4) == 0.3081


def test_the_real_fashion_mnist_has_its_known_counts(real_data):
    fashion = data.load("fashion-mnist")
    assert fashion.test.labels.bincount().tolist() == [1000] * 10
    labels = torch.cat([fashion.train.labels, fashion.valid.labels])
    assert labels.bincount().tolist() == [6000] * 10


def test_the_real_binarized_mnist_is_mnist_in_black_and_white(real_data):
    """Pixels are drawn with MNIST's grey values as probabilities, so the means agree."""
    binary, grey = data.load("binarized-mnist"), data.load("mnist")
    difference = binary.test.images.double().mean() - grey.test.images.double().mean() / 255
    assert abs(difference.item()) < 5e-4
