"""Precision, recall, density and coverage against the definitions written out."""

import math

import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor

from genlearn.metrics import density_coverage, precision_recall


def cloud(count: int, seed: int, features: int = 3) -> Tensor:
    return torch.randn(count, features, generator=torch.Generator().manual_seed(seed)).double()


def balls(points: Tensor, k: int) -> list[tuple[list[float], float]]:
    """Each point with the distance to its k-th nearest other point."""
    listed = points.tolist()
    return [
        (p, sorted(math.dist(p, q) for j, q in enumerate(listed) if j != i)[k - 1])
        for i, p in enumerate(listed)
    ]


def proportion_interval(hits: int, trials: int) -> tuple[float, float]:
    """SciPy's of a share."""
    found = binomtest(hits, trials).proportion_ci(method="wilson")
    return found.low, found.high


def around(point: list[float], some: list[tuple[list[float], float]]) -> int:
    return sum(math.dist(point, centre) <= radius for centre, radius in some)


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_precision_and_recall_written_out(k, shift):
    real, fake = cloud(60, 0), 0.7 * cloud(45, 1) + shift
    found = precision_recall(real, fake, k)
    realistic = [around(f, balls(real, k)) > 0 for f in fake.tolist()]
    reached = [around(r, balls(fake, k)) > 0 for r in real.tolist()]
    assert found.realistic.tolist() == realistic
    assert found.reached.tolist() == reached
    assert found.precision.value == pytest.approx(sum(realistic) / 45)
    assert found.recall.value == pytest.approx(sum(reached) / 60)


@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_density_and_coverage_written_out(k, shift):
    real, fake = cloud(60, 0), 0.7 * cloud(45, 1) + shift
    found = density_coverage(real, fake, k)
    counts = [around(f, balls(real, k)) for f in fake.tolist()]
    covered = [
        any(math.dist(centre, f) <= radius for f in fake.tolist())
        for centre, radius in balls(real, k)
    ]
    assert found.balls.tolist() == counts
    assert found.covered.tolist() == covered
    assert found.density.value == pytest.approx(sum(counts) / (k * 45))
    assert found.coverage.value == pytest.approx(sum(covered) / 60)


def test_a_model_of_one_mode_has_precision_and_no_recall():
    fake = cloud(300, 0)
    found = precision_recall(torch.cat([cloud(150, 1), cloud(150, 2) + 20]), fake)
    assert found.precision.value > 0.9
    assert found.reached[:150].double().mean() > 0.9
    assert found.reached[150:].sum() == 0


def test_density_and_coverage_of_a_perfect_model_are_as_expected():
    """All points are alike: which of them are the k nearest to one is drawn from an urn."""
    n, m, k, repeats = 40, 30, 3, 200
    found = [
        density_coverage(cloud(n, 2 * i), cloud(m, 2 * i + 1), k, resamples=2)
        for i in range(repeats)
    ]
    density = torch.tensor([f.density.value for f in found])
    coverage = torch.tensor([f.coverage.value for f in found])
    all_real = math.comb(n - 1, k) / math.comb(n + m - 1, k)
    assert abs(density.mean() - 1) < 4 * density.std() / math.sqrt(repeats)
    assert abs(coverage.mean() - (1 - all_real)) < 4 * coverage.std() / math.sqrt(repeats)


def test_samples_that_repeat_the_data_are_precise_and_reach_all():
    real = cloud(50, 0)
    assert [part.value for part in precision_recall(real, real)[:2]] == [1, 1]
    assert density_coverage(real, real).coverage.value == 1


def test_sets_that_are_constant_and_alike():
    same = torch.ones(20, 4)
    assert [part.value for part in precision_recall(same, same)[:2]] == [1, 1]
    assert [part.value for part in density_coverage(same, same)[:2]] == [20 / 5, 1]


def test_sets_that_are_constant_and_differ():
    real, fake = torch.ones(20, 4), torch.zeros(20, 4)
    assert [part.value for part in precision_recall(real, fake)[:2]] == [0, 0]
    assert [part.value for part in density_coverage(real, fake)[:2]] == [0, 0]


def test_copies_of_doubled_images_lie_in_their_balls():
    """With k copies of each, radii are 0; open balls would hold nothing."""
    real = cloud(10, 0).repeat(4, 1)
    assert precision_recall(real, real[:10].repeat(2, 1), k=1).precision.value == 1


@pytest.mark.parametrize(("n", "m", "which"), [(3, 9, "real"), (9, 3, "fake")])
def test_a_set_must_have_more_than_k_points(n, m, which):
    with pytest.raises(ValueError, match=f"k = 3 needs more than k {which} points, got 3"):
        precision_recall(torch.rand(n, 2), torch.rand(m, 2))


def test_density_and_coverage_need_more_than_k_real_points():
    assert density_coverage(torch.rand(6, 2), torch.rand(2, 2)).covered.shape == (6,)
    with pytest.raises(ValueError, match="k = 5 needs more than k real points, got 5"):
        density_coverage(torch.rand(5, 2), torch.rand(9, 2))


@pytest.mark.parametrize("function", [precision_recall, density_coverage])
def test_bad_features_are_refused(function):
    with pytest.raises(ValueError, match="points must be"):
        function(torch.rand(9, 2), torch.rand(9, 3))
    with pytest.raises(ValueError, match="finite"):
        function(torch.rand(9, 2), torch.full((9, 2), math.nan))


def test_intervals_are_those_of_the_outcomes_of_single_images():
    real, fake = cloud(90, 0), cloud(80, 1) + 0.8
    found, balls_of = precision_recall(real, fake), density_coverage(real, fake)
    for share, outcomes in (
        (found.precision, found.realistic),
        (found.recall, found.reached),
        (balls_of.coverage, balls_of.covered),
    ):
        expected = proportion_interval(int(outcomes.sum()), len(outcomes))
        assert share[1:3] == pytest.approx(expected)
    error = balls_of.balls.double().std().item() / 5 / math.sqrt(80)
    width = balls_of.density.high - balls_of.density.low
    assert width == pytest.approx(2 * 1.96 * error, rel=0.25)


def test_all_outcomes_alike_do_not_make_a_figure_sure():
    real = cloud(50, 0)
    assert precision_recall(real, real).precision.low < 0.95
