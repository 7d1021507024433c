"""The binary version of CIFAR-10, from archives made by the letter of its description."""

import gzip
import io
import tarfile

import numpy as np
import pytest

from genlearn import data
from genlearn.data import cifar
from genlearn.data.cifar import read_cifar
from genlearn.errors import DataError

RECORDS = 3
FILES = [f"data_batch_{k}.bin" for k in (1, 2, 3, 4, 5)] + ["test_batch.bin"]


def record(label: int, red: int, green: int, blue: int) -> bytes:
    """Label, then the red, the green and the blue of 1,024 pixels; here a plain colour."""
    return bytes([label]) + bytes([red]) * 1024 + bytes([green]) * 1024 + bytes([blue]) * 1024


def batches() -> dict[str, bytes]:
    return {
        name: b"".join(record((k + i) % 10, 10 * k, i, 200) for i in range(RECORDS))
        for k, name in enumerate(FILES)
    }


def archive(files: dict[str, bytes], folder: str = "cifar-10-batches-bin") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return gzip.compress(file.getvalue(), mtime=0)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cifar-10-binary.tar.gz"


def test_images_and_labels_are_read_in_order(path):
    path.write_bytes(archive(batches()))
    found = read_cifar(path, RECORDS)
    images, labels = found["train"]
    assert images.shape == (15, 3, 32, 32)
    assert labels.tolist() == [0, 1, 2, 1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6]
    assert (images[4, 0] == 10).all()  # red of the second image of the second file
    assert (images[4, 1] == 1).all()
    assert (images[4, 2] == 200).all()
    assert found["test"][1].tolist() == [5, 6, 7]


def test_pixels_go_row_by_row(path):
    pixels = np.arange(3072).astype(np.uint8)
    files = batches()
    files["test_batch.bin"] = (b"\7" + pixels.tobytes()) * RECORDS
    path.write_bytes(archive(files))
    images, _ = read_cifar(path, RECORDS)["test"]
    np.testing.assert_array_equal(images[2].ravel(), pixels)
    assert images[0, 0, 1, 0] == 32


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "damaged"),
        (b"<html>404</html>", "damaged"),
        (gzip.compress(b"no archive" * 100), "damaged"),
        (archive(batches())[:-20], "damaged"),
        (archive(batches(), "cifar-10-batches-py"), "damaged"),
        (archive({k: v for k, v in batches().items() if "4" not in k}), "data_batch_4.bin"),
        (archive(batches() | {"data_batch_2.bin": b"\0" * 3073}), "holds 3,073 bytes where 3"),
        (archive(batches() | {"test_batch.bin": record(10, 0, 0, 0) * 3}), "label 10"),
    ],
    ids=["nothing", "a page", "no tar", "cut", "pickles", "a file less", "short", "label"],
)
def test_another_archive_is_refused_in_one_line(path, content, words):
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_cifar(path, RECORDS)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message


def test_a_folder_in_place_of_a_file_is_refused(path):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name in FILES:
            info = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            info.type = tarfile.DIRTYPE
            tar.addfile(info)
    path.write_bytes(file.getvalue())
    with pytest.raises(DataError, match="is no file"):
        read_cifar(path, RECORDS)


def test_the_set_is_loaded_from_a_local_archive(monkeypatch, tmp_path):
    """In full size would be 184 MB; the cut is at 45,000, so all small images are for training."""
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match="cifar10: no such folder"):
        data.load("cifar10")
    (tmp_path / "cifar10").mkdir()
    with pytest.raises(DataError, match=r"binary\.tar\.gz: no such file"):
        data.load("cifar10")
    (tmp_path / "cifar10" / "cifar-10-binary.tar.gz").write_bytes(archive(batches()))
    with pytest.raises(DataError, match=r"holds 9,219 bytes where 10,000 images"):
        data.load("cifar10")


def test_the_last_tenth_of_the_training_files_is_for_validation(monkeypatch, tmp_path):
    images = np.zeros((50_000, 3, 32, 32), np.uint8)
    labels = np.arange(50_000) % 10
    both = {"train": (images, labels), "test": (images[:10_000], labels[:10_000])}
    monkeypatch.setenv(data.FOLDER_VARIABLE, str(tmp_path))
    (tmp_path / "cifar10").mkdir()
    monkeypatch.setattr(data.published, "read_cifar", lambda path: both)
    images[45_000] = 1
    dataset = data.load("cifar10")
    assert [len(part) for part in (dataset.train, dataset.valid, dataset.test)] == [
        45_000,
        5_000,
        10_000,
    ]
    assert dataset.valid.images[0].eq(1).all()
    assert not dataset.train.images.any()
    assert cifar.CLASSES == 10
