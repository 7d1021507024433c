"""Images enter as integer levels, or not at all."""

import pytest
import torch

from genlearn.data import Dataset, Split
from genlearn.errors import DataError

IMAGES = torch.tensor([0, 1, 2, 1]).to(torch.uint8).view(2, 1, 1, 2)


@pytest.mark.parametrize(
    ("images", "labels", "levels", "words"),
    [
        (IMAGES.float(), None, 3, "uint8"),
        (IMAGES.long(), None, 3, "uint8"),
        (IMAGES[0], None, 3, "shape (1, 1, 2)"),
        (IMAGES[:0], None, 3, "not empty"),
        (IMAGES[:, :, :, :0], None, 3, "not empty"),
        (IMAGES, None, 2, "a pixel has value 2"),
        (IMAGES, None, 1, "levels must be 2 … 256, got 1"),
        (IMAGES, None, 257, "levels must be 2 … 256, got 257"),
        (IMAGES, torch.tensor([1]), 3, "labels must be int64 of shape (2,)"),
        (IMAGES, torch.tensor([[1], [2]]), 3, "labels must be int64 of shape (2,)"),
        (IMAGES, torch.tensor([1.0, 2.0]), 3, "labels must be int64"),
    ],
)
def test_wrong_images_or_labels_are_refused_in_one_line(images, labels, levels, words):
    with pytest.raises(DataError) as caught:
        Split(images, labels, levels, "toys/train")
    message = str(caught.value)
    assert message.startswith("toys/train: ")
    assert words in message
    assert "\n" not in message


def test_a_split_says_what_it_holds():
    split = Split(IMAGES, torch.tensor([7, 8]), 3)
    assert len(split) == 2
    assert split.shape == (1, 1, 2)
    dataset = Dataset("toys", split, split, split)
    assert (dataset.shape, dataset.levels) == ((1, 1, 2), 3)


@pytest.mark.parametrize("labels", [None, torch.tensor([7, 8])])
def test_moving_keeps_all_but_the_device(labels):
    moved = Split(IMAGES, labels, 3, "toys/train").to("cpu")
    assert torch.equal(moved.images, IMAGES)
    assert moved.labels is None if labels is None else torch.equal(moved.labels, labels)
    assert (moved.levels, moved.name) == (3, "toys/train")
