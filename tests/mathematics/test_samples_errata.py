"""Errata of chapter 16: what a source says fails, and what is right holds, on the same case."""

import inspect

import pytest
import torch

from genlearn.metrics import frechet_distance, inception_score, kernel_distance


@pytest.mark.erratum("E19")
def test_inception_score_never_looks_at_the_data():
    """It has no argument for them, so one set of samples has one score, whatever the data are."""
    assert next(iter(inspect.signature(inception_score).parameters)) == "log_probs"
    for comparison in (frechet_distance, kernel_distance):
        assert list(inspect.signature(comparison).parameters)[:2] == ["first", "second"]


@pytest.mark.erratum("E19")
def test_ten_images_reach_the_highest_score_and_no_distance_is_deceived():
    torch.manual_seed(0)
    means = 5 * torch.eye(10).double()
    data = means[torch.randint(10, (1000,))] + torch.randn(1000, 10).double()
    fresh = means[torch.randint(10, (1000,))] + torch.randn(1000, 10).double()
    ten = means.repeat(100, 1)  # one point of each class, again and again

    def scored(points):  # the exact p(y | x) of these classes, as a classifier
        return inception_score((-(torch.cdist(points, means) ** 2) / 2).log_softmax(1)).value

    assert scored(ten) > scored(fresh)
    assert scored(ten) == pytest.approx(10, abs=1e-3)
    assert frechet_distance(ten, data) > 5 * frechet_distance(fresh, data)
    found = kernel_distance(ten, data)
    assert found.value > 5 * found.standard_error
