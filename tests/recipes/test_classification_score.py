"""The classification accuracy score, on bars that lie or stand: a tiny network tells them apart."""

from dataclasses import replace

import pytest
import torch

from genlearn import data
from genlearn.errors import RunError
from genlearn.metrics.human import wilson
from genlearn.recipes import classification_score
from genlearn.recipes.classification_score import classification_accuracy_score
from genlearn.recipes.judge import right, train_judge

QUICK = {"steps": 40, "channels": (4,), "shift": 0.0, "device": "cpu"}


def bars(count: int, seed: int, kinds: tuple[int, ...] = (0, 1)) -> data.Split:
    """Images 6 x 6 with noise and one bright row (class 0) or column (class 1)."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 40, (count, 1, 6, 6), generator=generator, dtype=torch.uint8)
    place = torch.randint(0, 6, (count,), generator=generator)
    labels = torch.tensor(kinds).repeat(count)[:count]
    for image, where, label in zip(images, place, labels, strict=True):
        image[0, where if label == 0 else slice(None), where if label else slice(None)] = 255
    return data.Split(images, labels, 256, "bars")


@pytest.fixture(scope="module")
def dataset() -> data.Dataset:
    return data.Dataset("bars", bars(300, 0), bars(60, 1), bars(90, 2))


def test_good_samples_teach_as_much_as_real_images_do(dataset):
    samples = bars(200, seed=3)
    score = classification_accuracy_score(samples.images, samples.labels, dataset, **QUICK)
    assert (score.images, score.real_images, score.test_images) == (200, 200, 90)
    assert score.samples.value > 0.9
    assert score.real.value > 0.9


def test_samples_with_each_others_labels_teach_what_is_wrong(dataset):
    """On its own samples, that classifier would be right."""
    samples = bars(200, seed=3)
    score = classification_accuracy_score(samples.images, 1 - samples.labels, dataset, **QUICK)
    assert score.samples.value < 0.1
    assert score.real.value > 0.9


def test_both_classifiers_are_trained_alike_and_tested_on_the_test_split(dataset, monkeypatch):
    """The real images are of the training split alone, drawn without replacement."""
    taught = []

    def recorded(given, **settings):
        judge = train_judge(given, **settings)
        taught.append((given.train, settings, judge))
        return judge

    monkeypatch.setattr(classification_score, "train_judge", recorded)
    samples = bars(120, seed=3)
    score = classification_accuracy_score(
        samples.images, samples.labels, dataset, seed=5, level=0.9, **QUICK
    )
    (synthetic, first, judge), (real, second, real_judge) = taught
    assert first == second == {**QUICK, "classes": 2, "seed": 5}
    assert torch.equal(synthetic.images, samples.images)
    assert len(real) == 120
    kept = {image.numpy().tobytes() for image in real.images}
    assert len(kept) == 120
    assert kept <= {image.numpy().tobytes() for image in dataset.train.images}
    for part, each in [(score.samples, judge), (score.real, real_judge)]:
        assert part == wilson(int(right(each, dataset.test).sum()), 90, 0.9)


def test_equal_seeds_give_equal_scores_and_the_seed_chooses_the_real_images(dataset, monkeypatch):
    seen = []
    monkeypatch.setattr(
        classification_score,
        "train_judge",
        lambda given, **settings: seen.append(given.train.images) or train_judge(given, **settings),
    )
    samples, quick = bars(20, seed=3), {**QUICK, "steps": 2}
    scores = [
        classification_accuracy_score(samples.images, samples.labels, dataset, seed=seed, **quick)
        for seed in (0, 0, 1)
    ]
    assert scores[0] == scores[1]
    assert torch.equal(seen[1], seen[3])
    assert not torch.equal(seen[1], seen[5])


def test_a_class_that_no_sample_has_is_still_one_of_the_data(dataset):
    samples = bars(50, seed=3, kinds=(0,))
    score = classification_accuracy_score(samples.images, samples.labels, dataset, **QUICK)
    assert score.samples.value == pytest.approx(0.5)  # the share of that class in the test split


def test_there_may_be_more_samples_than_real_images(dataset):
    samples, told = bars(310, seed=3), []
    score = classification_accuracy_score(
        samples.images, samples.labels, dataset, tell=lambda: told.append(1), **QUICK
    )
    assert (score.images, score.real_images) == (310, 300)
    assert len(told) == 2


def test_bad_input_is_refused_in_one_line(dataset):
    samples = bars(10, seed=3)
    unlabelled = replace(dataset, train=replace(dataset.train, labels=None))
    for given, images, labels, words in [
        (unlabelled, samples.images, samples.labels, "bars has no labels"),
        (dataset, samples.images[:, :, 1:], samples.labels, "samples must be of shape"),
        (dataset, samples.images[:0], samples.labels[:0], "samples must be of shape"),
        (dataset, samples.images, samples.labels[1:], "each sample needs a label, 0 … 1"),
        (dataset, samples.images, samples.labels + 1, "each sample needs a label, 0 … 1"),
    ]:
        with pytest.raises(RunError, match=words) as caught:
            classification_accuracy_score(images, labels, given, **QUICK)
        assert "\n" not in str(caught.value)
