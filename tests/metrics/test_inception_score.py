"""Inception Score against tables for which it can be computed by hand."""

import math

import pytest
import torch

from genlearn.metrics import inception_score

RANDOM = torch.randn(101, 4, generator=torch.Generator().manual_seed(0)).mul(2).log_softmax(1)


def certain(labels, classes):
    return torch.nn.functional.one_hot(torch.tensor(labels), classes).float().log()


def by_hand(log_probs):
    probs = log_probs.double().exp()
    marginal = probs.mean(0)
    divergences = [
        sum(p * math.log(p / q) for p, q in zip(x, marginal, strict=True)) for x in probs
    ]
    return math.exp(sum(divergences) / len(divergences))


def test_written_out():
    assert inception_score(RANDOM).value == pytest.approx(by_hand(RANDOM), rel=1e-12)


def test_certain_and_even_classes_score_their_number():
    assert inception_score(certain([0, 1, 2, 3] * 5, 4)).value == pytest.approx(4)


def test_two_classes_out_of_four_score_two():
    assert inception_score(certain([0, 3] * 5, 4)).value == pytest.approx(2)


def test_images_told_alike_score_one():
    found = inception_score(RANDOM[:1].expand(10, 4))
    assert (found.value, found.low, found.high) == pytest.approx((1, 1, 1))
    assert found.spread is None


def test_batches_score_as_all_together():
    assert inception_score(iter(RANDOM.split(40))) == pytest.approx(inception_score(RANDOM))


def test_splits_are_scored_apart_in_their_order():
    scores = [by_hand(part) for part in RANDOM.tensor_split(3)]
    found = inception_score(RANDOM, 3)
    assert found.value == pytest.approx(sum(scores) / 3, rel=1e-12)
    assert found.spread == pytest.approx(torch.tensor(scores).std().item(), rel=1e-6)


@pytest.mark.parametrize("splits", [1, 5])
def test_its_interval_holds_the_expected_score_as_often_as_it_says(splits):
    generator = torch.Generator().manual_seed(0)
    tables = torch.randn(200, 200, 4, generator=generator).mul(2).log_softmax(2)
    runs = [inception_score(table, splits, level=0.9) for table in tables]
    expected = sum(run.value for run in runs) / len(runs)
    assert sum(run.low < expected < run.high for run in runs) / 200 == pytest.approx(0.9, abs=0.05)


@pytest.mark.parametrize(
    "wrong", [RANDOM.exp(), RANDOM + 0.1, RANDOM / math.log(2), RANDOM * math.nan]
)
def test_what_is_no_log_probability_is_refused(wrong):
    with pytest.raises(ValueError, match="must add up to 1"):
        inception_score(wrong)


def test_too_few_images_are_refused():
    with pytest.raises(ValueError, match="at least 2 images in each of 3 splits"):
        inception_score(RANDOM[:5], 3)
    with pytest.raises(ValueError, match="at least 2"):
        inception_score([RANDOM[:1]])
    with pytest.raises(ValueError, match=r"\(N, K\)"):
        inception_score(RANDOM[0])
    with pytest.raises(ValueError, match="batches cannot be split"):
        inception_score([RANDOM], 2)
