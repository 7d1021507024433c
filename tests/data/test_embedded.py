"""The sets that come inside the wheels, against the files that they are made from."""

import hashlib
import socket

import numpy as np
import pytest
import torch

from genlearn import data
from genlearn.data import embedded
from genlearn.errors import DataError


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """As on a machine without a network: nothing here may ask for one."""

    def refuse(*arguments):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def parts_of(dataset: data.Dataset) -> list[data.Split]:
    return [dataset.train, dataset.valid, dataset.test]


def test_faces_are_those_of_scikit_image():
    """Half a level of rounding apart; the first half of the file are faces."""
    from skimage.data import lfw_subset

    faces = data.load("faces")
    assert [len(part) for part in parts_of(faces)] == [140, 30, 30]
    assert (faces.shape, faces.levels) == ((1, 25, 25), 256)
    for label, original in ((1, lfw_subset()[:100]), (0, lfw_subset()[100:])):
        found = torch.cat([part.images[part.labels == label] for part in parts_of(faces)])
        assert np.abs(found.squeeze(1).numpy() / 255 - original).max() <= 0.5 / 255 + 1e-12


def test_what_is_labelled_a_face_looks_like_the_mean_face():
    """Correlation with the mean training face tells most faces of the test from other crops."""
    faces = data.load("faces")
    mean = faces.train.images[faces.train.labels == 1].double().mean(0).flatten()
    likeness = [
        torch.corrcoef(torch.stack([mean, image.double().flatten()]))[0, 1].item()
        for image in faces.test.images
    ]
    guess = torch.tensor(likeness) > 0.4
    assert (guess == (faces.test.labels == 1)).float().mean() >= 0.85


def test_patches_are_cut_from_the_photographs():
    """The first of each photograph is its upper left corner."""
    from skimage import data as original

    patches = data.load("patches")
    assert (patches.shape, patches.levels) == ((3, 32, 32), 256)
    pictures = [original.astronaut(), original.chelsea(), original.coffee()]
    for label, picture in enumerate(pictures):
        for part, begin in ((patches.train, 0), (patches.valid, 0.7), (patches.test, 0.85)):
            column = int(picture.shape[1] * begin + 1e-6)
            first = part.images[part.labels == label][0].permute(1, 2, 0).numpy()
            np.testing.assert_array_equal(first, picture[:32, column : column + 32])


def test_no_pixel_stands_in_two_parts(monkeypatch):
    """Pictures whose colours are the coordinates show from where each patch was cut."""

    def coordinates(name: str) -> np.ndarray:
        picture = np.zeros((150, 250, 3), np.uint8)
        picture[:, :, 0] = np.arange(150)[:, None]
        picture[:, :, 1] = np.arange(250)
        return picture

    monkeypatch.setattr(embedded, "_photograph", coordinates)
    patches = embedded.patches()
    columns = [set(part.images[:, 1].flatten().tolist()) for part in parts_of(patches)]
    assert [min(found) for found in columns] == [0, 175, 212]
    assert columns[0] | columns[1] | columns[2] >= set(range(0, 168))
    assert not columns[0] & columns[1]
    assert not columns[1] & columns[2]
    assert not columns[0] & columns[2]
    # Rows and columns are not swapped: along a patch's row the second coordinate grows.
    assert (patches.train.images[:, 1, :, 1:] > patches.train.images[:, 1, :, :-1]).all()
    assert patches.train.labels.unique().tolist() == [0, 1, 2, 3, 4]


def test_no_patch_of_the_test_is_a_training_patch():
    """But for plain black, of which there is some on both sides of a photograph."""
    patches = data.load("patches")
    train = {image.tobytes() for image in patches.train.images.numpy()}
    others = torch.cat([patches.valid.images, patches.test.images]).numpy()
    assert train & {image.tobytes() for image in others} <= {bytes(3 * 32 * 32)}


def test_the_images_are_the_same_on_every_machine():
    digests = {}
    for name in ("faces", "patches"):
        images = b"".join(part.images.numpy().tobytes() for part in parts_of(data.load(name)))
        digests[name] = hashlib.sha256(images).hexdigest()[:16]
    assert digests == {"faces": "d07562eb86406d5f", "patches": "71c1b0329833857a"}


@pytest.mark.parametrize("name", ["faces", "patches"])
def test_a_wheel_without_the_file_is_one_line(monkeypatch, tmp_path, name):
    import skimage

    monkeypatch.setattr(skimage, "__file__", str(tmp_path / "__init__.py"))
    with pytest.raises(DataError, match=rf"{tmp_path}.*not in scikit-image \d") as caught:
        data.load(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"damage", b"\x93NUMPY"], ids=["none", "text", "head"])
@pytest.mark.parametrize("name", ["faces", "patches"])
def test_a_damaged_wheel_is_one_line(monkeypatch, tmp_path, name, content):
    (tmp_path / "file").write_bytes(content)
    monkeypatch.setattr(embedded, "_bundled", lambda name: tmp_path / "file")
    with pytest.raises(DataError, match="install scikit-image anew") as caught:
        data.load(name)
    assert "\n" not in str(caught.value)


def test_faces_of_another_shape_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(embedded, "_bundled", lambda name: tmp_path / "faces.npy")
    for wrong in (np.zeros((100, 25, 25)), np.full((200, 25, 25), 1.5)):
        np.save(tmp_path / "faces.npy", wrong)
        with pytest.raises(DataError, match="expected 200 images of 25 x 25 from 0 to 1"):
            data.load("faces")
