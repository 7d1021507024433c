"""Shares of classes: counted by hand."""

import pytest
import torch

from genlearn.metrics import class_shares


def test_shares_are_compared_with_those_of_the_data():
    labels = torch.tensor([0] * 5 + [1] * 2 + [2] * 3)
    found = class_shares(labels, fair=torch.tensor([50, 40, 10]))
    assert found.shares.tolist() == [0.5, 0.2, 0.3]
    torch.testing.assert_close(found.relative, torch.tensor([1, 0.5, 3], dtype=torch.float64))
    assert (found.smallest, found.rarest) == (pytest.approx(0.5), 1)


def test_a_class_that_never_comes_has_no_share():
    found = class_shares(torch.tensor([0, 0, 1]), fair=torch.ones(3))
    assert found.shares.shape == (3,)
    assert (found.smallest, found.rarest) == (0, 2)


def test_samples_that_are_distributed_like_the_data_have_shares_near_one():
    torch.manual_seed(0)
    fair = torch.tensor([0.1, 0.2, 0.7])
    labels = torch.multinomial(fair, 100_000, replacement=True)
    assert (class_shares(labels, fair).relative - 1).abs().max() < 0.05


@pytest.mark.parametrize(
    ("labels", "fair"),
    [([], [1, 1]), ([0, 2], [1, 1]), ([-1], [1, 1]), ([0, 1], [1, 0]), ([[0]], [1, 1])],
    ids=str,
)
def test_what_cannot_be_counted_is_refused(labels, fair):
    with pytest.raises(ValueError, match=r"there must be samples|above 0"):
        class_shares(torch.tensor(labels, dtype=torch.long), torch.tensor(fair))
