"""The order of the data is a pure function that shows every image once an epoch."""

import random

import pytest
import torch

from genlearn.data import Batches, Split, derive_seed


def numbers(batch) -> list[int]:
    return batch[0].flatten().tolist()


def stream(batches: Batches, draws: int) -> list[int]:
    return [number for k in range(draws) for number in numbers(batches.at(k))]


@pytest.mark.parametrize(
    ("count", "size"),
    [(12, 4), (10, 4), (7, 3), (3, 7), (5, 5), (1, 1), (1, 3)],
    ids=lambda number: str(number),
)
def test_each_image_comes_once_an_epoch(numbered, count, size):
    """Also where the size does not divide the number of images, or is larger."""
    seen = stream(numbered(count, size), draws=3 * count)  # 3 · size epochs
    epochs = [seen[i : i + count] for i in range(0, len(seen), count)]
    assert len(epochs) == 3 * size
    assert all(sorted(epoch) == list(range(count)) for epoch in epochs)


def test_a_batch_depends_on_its_number_alone(numbered):
    """Asked in any order, again, or of a new object, draw k is the same."""
    batches = numbered(10, 4)
    expected = [numbers(batches.at(k)) for k in range(8)]
    for k in [7, 0, 3, 3, 6, 1]:
        assert numbers(batches.at(k)) == expected[k]
        assert numbers(numbered(10, 4).at(k)) == expected[k]


@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_one_stream(numbered, world):
    """Rank r of W takes the draws r, r + W, r + 2W, … of a single process."""
    batches = numbered(10, 4)
    for k in range(6):
        for rank in range(world):
            assert numbers(batches.at(k, rank, world)) == numbers(batches.at(k * world + rank))


def test_the_order_is_shuffled_anew_each_epoch_and_for_each_seed(numbered):
    first, second = stream(numbered(100, 100), 2)[:100], stream(numbered(100, 100), 2)[100:]
    other = stream(numbered(100, 100, seed=1), 1)
    assert len({tuple(order) for order in (range(100), first, second, other)}) == 4


def test_the_size_of_batches_does_not_change_the_order(numbered):
    assert stream(numbered(10, 4), 5) == stream(numbered(10, 2), 10)


@pytest.mark.parametrize("case", range(20))
def test_batches_are_the_images_of_shuffled_epochs_written_out(case):
    """Bit for bit, for drawn sizes, ranks and places, wherever an epoch ends within a batch."""
    draw = random.Random(case)
    count, size, world = draw.randint(1, 40), draw.randint(1, 50), draw.randint(1, 4)
    generator = torch.Generator().manual_seed(case)
    images = torch.randint(256, (count, draw.choice([1, 3]), 5, 4), generator=generator)
    images, labels = images.to(torch.uint8), torch.randint(10, (count,), generator=generator)
    if case % 2:  # such as channels last: no image lies in one piece
        images = images.movedim(1, -1).contiguous().movedim(-1, 1)
    batches = Batches(Split(images, labels, 256), size, seed=case)
    last = 5 * world * size
    order = torch.cat([epoch_written_out(count, case, e) for e in range(last // count + 1)])
    for k in random.Random(case).sample(range(5), 5):
        for rank in range(world):
            chosen = order[(k * world + rank) * size :][:size]
            seen, their_labels = batches.at(k, rank, world)
            assert torch.equal(seen, images[chosen])
            assert torch.equal(their_labels, labels[chosen])


def epoch_written_out(count: int, seed: int, epoch: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(derive_seed(seed, epoch))
    return torch.randperm(count, generator=generator)


def test_who_changes_a_batch_changes_nothing_else(numbered):
    """Neither the images, nor another batch: not even the same one, asked for again."""
    batches = numbered(10, 4)
    expected = [numbers(batches.at(k)) for k in range(5)]
    kept = [batches.at(k) for k in (1, 1, 2)]
    for tensor in batches.at(1):
        tensor.fill_(0)
    assert [numbers(batch) for batch in kept] == [expected[1], expected[1], expected[2]]
    assert [numbers(batches.at(k)) for k in range(5)] == expected
    assert [batch[1].tolist() for batch in kept] == [
        [100 + number for number in numbers(batch)] for batch in kept
    ]


def test_labels_stay_with_their_images(numbered):
    images, labels = numbered(10, 7).at(3)
    assert labels.tolist() == [100 + number for number in images.flatten().tolist()]


def test_without_labels_a_batch_is_images_alone():
    batches = Batches(Split(torch.zeros(4, 3, 2, 2, dtype=torch.uint8), None, 2), 3)
    (images,) = batches.at(0)
    assert images.shape == (3, 3, 2, 2)
    assert images.dtype == torch.uint8


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_lie_on_the_device_and_in_the_same_order(numbered):
    batches = numbered(10, 4)
    there = batches.to("cuda")
    assert all(tensor.device.type == "cuda" for tensor in there.at(0))
    assert stream(there, 10) == stream(batches, 10)


def test_moving_keeps_what_a_subclass_adds(numbered):
    class Backwards(Batches):
        def at(self, k, rank=0, world=1):
            return tuple(tensor.flip(0) for tensor in super().at(k, rank, world))

    plain = numbered(10, 4)
    moved = Backwards(plain.split, 4).to("cpu")
    assert numbers(moved.at(0)) == numbers(plain.at(0))[::-1]


def test_an_empty_batch_is_refused(numbered):
    with pytest.raises(ValueError, match="size=0"):
        numbered(10, 0)


def test_derived_seeds_differ_and_fit_a_generator():
    seeds = [derive_seed(seed, epoch) for seed in range(30) for epoch in range(30)]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert derive_seed(1, 2) != derive_seed(2, 1)


def test_the_order_of_a_seed_is_the_same_in_every_version(numbered):
    """So that a run of last year can be repeated."""
    assert derive_seed(0, 0) == 1350176041220068806
    assert stream(numbered(10, 10), 1) == [6, 7, 5, 2, 8, 3, 4, 1, 9, 0]
