"""Several batches for one update: their gradients are averaged first, and then clipped."""

import pytest
import torch
from torch import nn

from genlearn.training import Objective, fit


@pytest.mark.parametrize(("clip", "moved"), [(None, 2.0), (3.0, 2.0), (1.0, 1.0)])
def test_the_mean_gradient_is_clipped_and_not_each_one(numbered, clip, moved):
    """Two batches pull 10 to one side and 6 to the other: that makes 2, whatever each is."""
    module = nn.ParameterList([torch.zeros(1, dtype=torch.float64)])
    pulls = iter([10.0, -6.0])
    objective = Objective(
        "m", lambda step: next(pulls) * module[0].sum(), torch.optim.SGD(module.parameters(), 1.0)
    )
    fit({"m": module}, [objective], numbered(12, 4), 1, accumulate=2, clip=clip, device="cpu")
    assert module[0].item() == pytest.approx(-moved, rel=1e-5)
