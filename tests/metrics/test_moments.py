"""Moments of batches against those of all features at once."""

import pytest
import torch

from genlearn.metrics import Moments, moments_of

FEATURES = torch.randn(103, 5, generator=torch.Generator().manual_seed(0)) + 100


@pytest.mark.parametrize("sizes", [[103], [1, 2, 100], [60, 1, 42]])
def test_batches_of_any_size_give_mean_and_covariance_of_all(sizes):
    moments = moments_of(FEATURES.split(sizes))
    assert moments.count == 103
    assert moments.mean.dtype == moments.covariance.dtype == torch.float64
    torch.testing.assert_close(moments.mean, FEATURES.double().mean(0), rtol=1e-13, atol=0)
    torch.testing.assert_close(
        moments.covariance, FEATURES.double().T.cov(), rtol=1e-11, atol=1e-11
    )


def test_a_large_offset_costs_no_digits():
    far = FEATURES.double() + 1e7
    expected = (far - far.mean(0)).T.cov()
    torch.testing.assert_close(moments_of(far.split(10)).covariance, expected, rtol=0, atol=1e-7)


def test_merged_moments_are_those_of_all():
    moments, empty = moments_of(FEATURES[:40]), Moments(5)
    moments.merge(moments_of(FEATURES[40:]))
    moments.merge(empty)
    empty.merge(moments)
    for merged in (moments, empty):
        assert merged.count == 103
        torch.testing.assert_close(merged.covariance, FEATURES.double().T.cov())


def test_merging_leaves_the_other_as_it_was():
    first, second = Moments(5), moments_of(FEATURES[:40])
    first.merge(second)
    first.update(FEATURES[40:])
    torch.testing.assert_close(second.covariance, FEATURES[:40].double().T.cov())


def test_a_batch_that_is_refused_changes_nothing():
    moments = moments_of(FEATURES)
    before = moments.covariance.clone()
    broken = FEATURES.clone()
    broken[70, 3] = torch.nan
    with pytest.raises(ValueError, match="features must be finite"):
        moments.update(broken)
    assert moments.count == 103
    assert torch.equal(moments.covariance, before)


@pytest.mark.parametrize("shape", [(3, 4), (5,), (2, 5, 1)])
def test_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match=r"features must be \(N, 5\)"):
        Moments(5).update(torch.zeros(shape))


def test_moments_of_other_features_are_refused():
    with pytest.raises(ValueError, match="cannot merge 5 features into 4"):
        Moments(4).merge(Moments(5))


def test_too_few_vectors_have_no_moments():
    with pytest.raises(ValueError, match="at least 1 feature vectors are needed, got 0"):
        Moments(5).mean  # noqa: B018 (asking raises)
    with pytest.raises(ValueError, match="at least 2 feature vectors are needed, got 1"):
        moments_of(FEATURES[:1]).covariance  # noqa: B018 (asking raises)


def test_no_batches_and_no_features_are_refused():
    with pytest.raises(ValueError, match="there are no features"):
        moments_of([])
    with pytest.raises(ValueError, match="at least 1 feature"):
        Moments(0)
    with pytest.raises(ValueError, match=r"features must be \(N, F\)"):
        moments_of(torch.zeros(3))
