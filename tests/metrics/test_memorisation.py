"""The memorisation test: distances and pairs written out, ranks against SciPy."""

import math
from statistics import NormalDist

import pytest
import torch
from scipy.stats import mannwhitneyu
from torch import Tensor

from genlearn.metrics import mann_whitney, memorisation


def cloud(count: int, seed: int) -> Tensor:
    return torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("values", [2, 10, 10**9])
def test_ranks_are_those_of_scipy(values):
    generator = torch.Generator().manual_seed(0)
    first = torch.randint(values, (40,), generator=generator).double()
    second = torch.randint(values, (25,), generator=generator).double() * 1.5
    share, z = mann_whitney(first, second)
    expected = mannwhitneyu(
        first, second, alternative="less", use_continuity=False, method="asymptotic"
    )
    assert share == pytest.approx(1 - expected.statistic / (40 * 25))
    assert NormalDist().cdf(z) == pytest.approx(expected.pvalue)


def test_share_of_pairs_written_out():
    train, held_out, samples = cloud(30, 0), cloud(20, 1), cloud(25, 2)
    found = memorisation(train, held_out, samples)

    def nearest(points: Tensor) -> list[float]:
        return [min(math.dist(p, t) for t in train.tolist()) for p in points.tolist()]

    ours, theirs = nearest(samples), nearest(held_out)
    assert found.distances.tolist() == pytest.approx(ours)
    assert found.held_out_distances.tolist() == pytest.approx(theirs)
    pairs = [(a < b) + (a == b) / 2 for a in ours for b in theirs]
    assert found.nearer.value == pytest.approx(sum(pairs) / len(pairs))
    assert found.nearer.low < found.nearer.value < found.nearer.high


def test_copies_are_found_and_named():
    train = cloud(200, 0)
    samples = torch.cat([cloud(40, 2), train[[7, 99]] + 1e-4])
    found = memorisation(train, cloud(100, 1), samples, pairs=2)
    assert sorted(found.closest.tolist()) == [40, 41]
    assert sorted(found.nearest[found.closest].tolist()) == [7, 99]


def test_a_model_that_copies_lies_far_below_and_one_that_misses_far_above():
    train, held_out = cloud(200, 0), cloud(100, 1)
    copies = memorisation(train, held_out, train[:100] + 1e-3)
    assert copies.nearer.value > 0.99
    assert copies.z < -10
    far = memorisation(train, held_out, cloud(100, 2) + 9)
    assert far.nearer.value < 0.01
    assert far.z > 10


def test_honest_samples_have_a_standard_normal_z():
    """With the training set as it is, all distances are drawn alike and on their own."""
    train = cloud(100, 0)
    z = torch.tensor(
        [memorisation(train, cloud(50, 2 * i + 1), cloud(40, 2 * i + 2), resamples=2).z
         for i in range(200)]
    )  # fmt: skip
    assert abs(z.mean()) < 4 / math.sqrt(200)
    assert z.std() == pytest.approx(1, abs=4 / math.sqrt(400))


def test_if_all_lie_at_one_distance_nothing_is_said():
    same = torch.zeros(5, 2)
    found = memorisation(same, same + 1, same - 1)
    assert (found.nearer.value, found.z) == (0.5, 0)


def test_bad_points_are_refused():
    with pytest.raises(ValueError, match="points must be"):
        memorisation(torch.rand(5, 2), torch.rand(5, 2), torch.rand(5, 3))
    with pytest.raises(ValueError, match="finite"):
        memorisation(torch.rand(5, 2), torch.full((5, 2), math.nan), torch.rand(5, 2))


@pytest.mark.parametrize("bad", [[], [[1.0]], [math.nan]], ids=str)
def test_bad_lists_are_refused(bad):
    with pytest.raises(ValueError, match="two lists of finite numbers"):
        mann_whitney(torch.tensor(bad), torch.ones(3))
