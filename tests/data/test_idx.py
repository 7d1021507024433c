"""Files in MNIST's format are read exactly, or refused in one line."""

import gzip
import random
import struct

import numpy as np
import pytest

from genlearn.data import read_idx
from genlearn.errors import DataError

VALUES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)


def idx(sizes, values: bytes, magic=(0, 0, 8)) -> bytes:
    """An IDX file by the letter of the format."""
    return bytes([*magic, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + values


GOOD = idx((2, 3, 4), VALUES.tobytes())


def test_a_good_file_is_read_in_order(tmp_path):
    path = tmp_path / "images.gz"
    path.write_bytes(gzip.compress(GOOD))
    np.testing.assert_array_equal(read_idx(path, 3), VALUES, strict=True)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an IDX file"),
        (b"<html>404</html>", "damaged"),
        (GOOD, "damaged"),  # not compressed
        (gzip.compress(GOOD)[:-10], "damaged"),
        (gzip.compress(GOOD)[:5], "damaged"),
        (gzip.compress(b""), "not an IDX file"),
        (gzip.compress(GOOD[:9]), "not an IDX file"),
        (gzip.compress(idx((2, 3, 4), VALUES.tobytes(), (0, 0, 9))), "00000903"),
        (gzip.compress(idx((2, 3, 4), VALUES.tobytes(), (1, 0, 8))), "01000803"),
        (gzip.compress(idx((24,), VALUES.tobytes())), "expected '00000803'"),
        (gzip.compress(GOOD[:-1]), "holds 23 values where its header says 2 x 3 x 4"),
        (gzip.compress(GOOD + b"\0"), "holds 25 values where its header says 2 x 3 x 4"),
        (gzip.compress(idx((2**32 - 1,) * 3, VALUES.tobytes())), "4294967295 x 4294967295"),
        (gzip.compress(idx((2**31, 2**31, 4), b"")), "holds 0 values"),  # 2⁶⁴: 0 in a word
        (gzip.compress(idx((2**16, 2**16, 1), b"")), "holds 0 values"),
    ],
    ids=range(15),  # compressed bytes hold the time of day, and make no names
)
def test_a_damaged_file_is_refused_in_one_line(tmp_path, content, words):
    path = tmp_path / "images.gz"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        read_idx(path, 3)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert words in message
    assert "\n" not in message


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_idx(tmp_path / "nothing.gz", 3)
    with pytest.raises(DataError, match="directory"):
        read_idx(tmp_path, 3)


def test_random_damage_gives_the_right_array_or_a_data_error(tmp_path):
    """400 files, each with some bytes changed or cut off (often only the time in the header)."""
    path, rng, messages = tmp_path / "images.gz", random.Random(0), []
    good = gzip.compress(GOOD, mtime=0)
    for _ in range(400):
        content = bytearray(good)
        for _ in range(rng.choice([1, 2, 5])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path.write_bytes(content[: rng.randrange(len(content))] if rng.random() < 0.2 else content)
        try:
            np.testing.assert_array_equal(read_idx(path, 3), VALUES)
        except DataError as error:
            messages.append(str(error))
    assert len(messages) > 300
    assert not any("\n" in message for message in messages)
