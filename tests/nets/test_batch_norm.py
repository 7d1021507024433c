"""Statistics of batch normalisation, measured anew."""

import torch
from torch import nn

from genlearn.nets import has_batch_norm, restate_batch_norm


def test_found_wherever_it_stands():
    assert has_batch_norm(nn.Sequential(nn.Sequential(nn.BatchNorm2d(1))))
    assert not has_batch_norm(nn.Sequential(nn.Linear(1, 1), nn.GroupNorm(1, 1)))


def test_new_statistics_are_plain_means_over_the_batches():
    batches = list(torch.randn(3, 40, 2, generator=torch.Generator().manual_seed(0)) * 2 + 5)
    norm = nn.BatchNorm1d(2).eval()
    norm.running_mean.fill_(100)  # of other weights
    restate_batch_norm(norm, batches)
    torch.testing.assert_close(norm.running_mean, torch.stack([b.mean(0) for b in batches]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([b.var(0) for b in batches]).mean(0))


def test_mode_parameters_and_momentum_stay():
    norm = nn.BatchNorm1d(2, momentum=0.3).eval()
    before = [p.clone() for p in norm.parameters()]
    restate_batch_norm(norm, [torch.randn(8, 2)])
    assert not norm.training
    assert norm.momentum == 0.3
    assert all(torch.equal(a, b) for a, b in zip(before, norm.parameters(), strict=True))
