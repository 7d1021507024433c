"""The loops written by hand, which ``fit`` is measured against, train the same models."""

import pytest
import torch
from common.families import FAMILIES, Family, blots


@pytest.fixture(params=FAMILIES)
def family(request):
    """Two models with equal weights, and one batch of images; no epoch is shuffled."""

    def new() -> Family:
        torch.manual_seed(0)
        return FAMILIES[request.param]()

    ours, by_hand = new(), new()
    return ours, by_hand, blots(ours.batch, ours.shape, ours.levels)


def test_a_step_by_hand_has_the_gradients_of_the_library(family, monkeypatch):
    """From the same noise: so what is timed by hand leaves out nothing of the bound or the game."""
    monkeypatch.setattr(torch, "randperm", torch.arange)
    ours, by_hand, images = family
    for step in (ours.own_loop(images), by_hand.by_hand(images)):
        torch.manual_seed(1)
        next(step)
    theirs = gradients(by_hand)
    compared = 0
    for name, gradient in gradients(ours).items():
        if name.endswith("pixels.log_std"):  # by hand, this parameter is not the model's
            continue
        scale = gradient.abs().max().item()
        torch.testing.assert_close(theirs[name], gradient, rtol=1e-3, atol=1e-4 * scale)
        compared += 1
    assert compared >= 8


def gradients(family: Family) -> dict[str, torch.Tensor]:
    return {
        f"{network}.{name}": parameter.grad
        for network, module in family.networks.items()
        for name, parameter in module.named_parameters()
    }
