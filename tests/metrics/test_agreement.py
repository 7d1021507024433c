"""Figures of the library against those of torchmetrics and SciPy, on the same images.

Conventions of theirs that matter here:

FrechetInceptionDistance: covariances over n - 1; the result in float32 unless told otherwise.
KernelInceptionDistance: mean of the unbiased estimate over subsets, drawn from the global
generator; its deviation divides by the number of subsets, ours by one less. It computes in the type
of the features, here float64: with float32, a distance near zero differs in its fourth digit.
InceptionScore: takes logits, shuffles the images, then splits them; deviation over n - 1, as here.
"""

import pytest
import torch
from scipy.linalg import sqrtm
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.inception import InceptionScore
from torchmetrics.image.kid import KernelInceptionDistance

from genlearn import data, metrics

# They say at once that they keep all features.
pytestmark = pytest.mark.filterwarnings("ignore:Metric .* will save all extracted features")
# Of one split they take the deviation all the same, which is not compared.
ONE_SPLIT = pytest.mark.filterwarnings(r"ignore:std\(\). degrees of freedom")

DIGITS = data.load("digits")
NOISE = torch.randint(17, (300, 1, 8, 8), generator=torch.Generator().manual_seed(0))
SETS = {
    "real": (DIGITS.train.images[:600], DIGITS.test.images[:400]),
    "noise": (DIGITS.test.images[:400], NOISE.to(torch.uint8)),
}


class Pixels(nn.Module):
    num_features = 64

    def forward(self, images):
        return images.flatten(1).double() / 16


class Convolution(nn.Module):
    """Not trained: agreement does not ask what features mean."""

    num_features = 32

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.randn(
            8, 1, 3, 3, generator=generator
        )  # is left alone, unlike a parameter

    def forward(self, images):
        maps = nn.functional.conv2d(images.float() / 16 - 0.5, self.weight, padding=1).relu()
        return nn.functional.adaptive_avg_pool2d(maps, 2).flatten(1).double()


NETWORKS = pytest.mark.parametrize("network", [Pixels(), Convolution()], ids=["pixels", "conv"])
IMAGES = pytest.mark.parametrize("images", SETS.values(), ids=SETS)


def features(network, images):
    return (metrics.features_of(network, x) for x in images)


@NETWORKS
@IMAGES
def test_frechet_distance_is_that_of_torchmetrics(network, images):
    """Among the pixels are ones that never change: their covariance is singular."""
    theirs = FrechetInceptionDistance(network).set_dtype(torch.float64)
    theirs.update(images[0], real=True)
    theirs.update(images[1], real=False)
    ours = metrics.frechet_distance(*features(network, images))
    assert ours == pytest.approx(theirs.compute().item(), rel=1e-6)


@NETWORKS
@IMAGES
def test_frechet_distance_is_that_of_a_matrix_square_root(network, images):
    first, second = (x.double() for x in features(network, images))
    keep = (first.var(0) > 0) & (second.var(0) > 0)  # a singular matrix may have no root
    first, second = first[:, keep], second[:, keep]
    one, two = (x.T.cov().numpy() for x in (first, second))
    apart = (first.mean(0) - second.mean(0)).square().sum().item()
    expected = apart + (one + two - 2 * sqrtm(one @ two).real).trace()
    assert metrics.frechet_distance(first, second) == pytest.approx(expected, rel=1e-7)


@NETWORKS
@IMAGES
def test_kernel_distance_is_that_of_torchmetrics(network, images):
    """With the same draws from the same seed."""
    theirs = KernelInceptionDistance(network, subsets=5, subset_size=100)
    theirs.update(images[0], real=True)
    theirs.update(images[1], real=False)
    torch.manual_seed(3)
    mean, deviation = (x.item() for x in theirs.compute())
    ours = metrics.kernel_distance_of_subsets(
        *features(network, images), subsets=5, size=100, seed=3
    )
    assert ours.value == pytest.approx(mean, rel=1e-9)
    assert ours.spread == pytest.approx(deviation * (5 / 4) ** 0.5, rel=1e-9)


@pytest.mark.parametrize("splits", [pytest.param(1, marks=ONE_SPLIT), 10])
@IMAGES
def test_inception_score_is_that_of_torchmetrics(images, splits):
    """Of ten classes that a random layer tells apart."""
    network, count = Convolution(), 300
    weight = torch.randn(32, 10, generator=torch.Generator().manual_seed(1))
    logits = network(images[1][:count]).float() @ weight
    theirs = InceptionScore(nn.Identity(), splits=splits)
    theirs.update(logits)
    torch.manual_seed(3)
    mean, deviation = (x.item() for x in theirs.compute())
    torch.manual_seed(3)
    ours = metrics.inception_score(logits[torch.randperm(count)].log_softmax(1), splits)
    assert ours.value == pytest.approx(mean, rel=1e-5)
    if splits > 1:
        assert ours.spread == pytest.approx(deviation, rel=1e-4)
