"""The cache of judges, and the features that they give."""

from dataclasses import replace

import pytest
import safetensors.torch
import torch
from torch.nn import functional as F

from genlearn import data
from genlearn.data.places import cache_folder
from genlearn.errors import RunError
from genlearn.recipes import judge as judges
from genlearn.recipes.checksums import network_checksum as checksum
from genlearn.recipes.judge import cached_judge, judge_features, train_judge

QUICK = {"steps": 3, "channels": (2, 3), "device": "cpu"}


@pytest.fixture(scope="module")
def digits() -> data.Dataset:
    return data.load("digits")


@pytest.fixture
def trainings(monkeypatch) -> list[dict]:
    """The settings of each training that is begun."""
    begun = []

    def counted(dataset, **settings):
        begun.append(settings)
        return train_judge(dataset, **settings)

    monkeypatch.setattr(judges, "train_judge", counted)
    # The signature is read from the function in place.
    counted.__signature__ = judges.inspect.signature(train_judge)
    return begun


def files() -> list:
    return sorted(cache_folder("judges").glob("*"))


def test_a_judge_is_trained_once(digits, trainings):
    first = cached_judge(digits, **QUICK)
    again = cached_judge(digits, **QUICK)
    assert len(trainings) == len(files()) == 1
    assert checksum(again) == checksum(first) == checksum(train_judge(digits, **QUICK))
    assert torch.equal(again.logits(digits.test.images), first.logits(digits.test.images))
    assert not again.training


@pytest.mark.parametrize(
    "change",
    [{"steps": 4}, {"channels": (3, 3)}, {"seed": 1}, {"learning_rate": 1e-3}, {"shift": 0.0}],
    ids=str,
)
def test_another_setting_is_another_judge(digits, trainings, change):
    judge = cached_judge(digits, **QUICK)
    other = cached_judge(digits, **{**QUICK, **change})
    assert len(trainings) == len(files()) == 2
    assert checksum(other) != checksum(judge)


def test_other_images_or_labels_are_another_judge(digits, trainings):
    """Under the same name of the set, such as a local copy in another state."""
    train = digits.train
    cached_judge(digits, **QUICK)
    for part in (
        replace(train, images=train.images.flip(3)),
        replace(train, labels=9 - train.labels),
        replace(train, levels=18),
    ):
        cached_judge(replace(digits, train=part), **QUICK)
    assert len(trainings) == len(files()) == 4


def test_other_test_images_are_the_same_judge(digits, trainings):
    cached_judge(digits, **QUICK)
    cached_judge(replace(digits, test=digits.valid), **QUICK)
    assert len(trainings) == 1


@pytest.mark.parametrize(
    "damage", ["cut", "empty", "a flipped bit", "foreign", "no tensors", "text"]
)
def test_a_damaged_or_foreign_file_is_trained_anew_and_replaced(digits, trainings, damage):
    judge = cached_judge(digits, **QUICK)
    (file,) = files()
    whole = file.read_bytes()
    weights = safetensors.torch.load(whole)
    bad = {
        "cut": whole[:-7],
        "empty": b"",
        "a flipped bit": whole[:-1] + bytes([whole[-1] ^ 1]),
        "foreign": safetensors.torch.save(weights, {"judge": f"another {checksum(judge)}"}),
        "no tensors": safetensors.torch.save({"x": torch.zeros(2)}),
        "text": b"my diary",
    }[damage]
    file.write_bytes(bad)
    assert checksum(cached_judge(digits, **QUICK)) == checksum(judge)
    assert len(trainings) == 2
    assert file.read_bytes() == whole
    assert files() == [file]


def test_where_nothing_can_be_written_a_judge_is_trained_all_the_same(
    digits, trainings, monkeypatch, tmp_path
):
    (tmp_path / "file").write_text("mine")
    monkeypatch.setenv("GENLEARN_CACHE", str(tmp_path / "file"))
    assert checksum(cached_judge(digits, **QUICK)) == checksum(cached_judge(digits, **QUICK))
    assert len(trainings) == 2
    assert (tmp_path / "file").read_text() == "mine"


def test_threads_and_random_numbers_of_the_caller_stay_as_they_were(digits):
    torch.set_num_threads(2)
    try:
        state = torch.get_rng_state()
        two = cached_judge(digits, **QUICK)
        files()[0].unlink()
        assert torch.get_num_threads() == 2
        assert torch.equal(torch.get_rng_state(), state)
    finally:
        torch.set_num_threads(1)
    assert checksum(cached_judge(digits, **QUICK)) == checksum(two)


def test_features_are_those_before_the_last_layer_and_log_probs_those_after(digits):
    features = judge_features(digits, **QUICK)
    judge, images = cached_judge(digits, **QUICK), digits.test.images[:20]
    assert features.name == "digits classifier, 2-3 channels, 64 features"
    assert torch.equal(features.function(images), judge.features(images))
    expected = F.log_softmax(judge.logits(images), 1)
    torch.testing.assert_close(features.log_probs(images).float(), expected)
    assert not features.function(images).requires_grad


def test_a_set_without_labels_or_with_one_kind_has_no_judge(digits):
    for labels, words in [(None, "digits has no labels"), (0 * digits.train.labels, "one class")]:
        dataset = replace(digits, train=replace(digits.train, labels=labels))
        with pytest.raises(RunError, match=words):
            cached_judge(dataset, **QUICK)
        with pytest.raises(RunError, match=words):
            judge_features(dataset, **QUICK)
    assert files() == []
