"""Errata of chapter 02: what a source says fails, and what is right holds, on the same case."""

import pytest
import torch

from genlearn.data import Batches, Split
from genlearn.errors import DataError
from genlearn.models import VAE
from genlearn.training import Objective, fit


@pytest.mark.erratum("E25")
def test_a_matrix_does_not_hold_a_colour_image():
    """A red and a green square of equal lightness: one matrix, two images."""
    lightness = torch.tensor([0.299, 0.587, 0.114])
    red = torch.zeros(3, 4, 4)
    red[0] = 0.587
    green = torch.zeros(3, 4, 4)
    green[1] = 0.299
    as_matrix = [torch.einsum("c,chw->hw", lightness, image) for image in (red, green)]
    torch.testing.assert_close(*as_matrix)
    assert (red - green).abs().max() > 0.2
    with pytest.raises(DataError, match=r"\(N, C, H, W\)"):
        Split(torch.zeros(5, 4, 4, dtype=torch.uint8), None, 2)


@pytest.mark.erratum("E28")
def test_features_and_generator_are_learned_together():
    """Each of two steps of training moves the encoder and the decoder."""
    torch.manual_seed(0)
    images = torch.randint(0, 3, (8, 1, 2, 2), dtype=torch.uint8)
    vae = VAE.mlp((1, 2, 2), 3, latent_dim=2, hidden=(6,))
    objective = Objective(
        "vae",
        lambda step: -vae.elbo(step.batch[0]).mean(),
        torch.optim.SGD(vae.parameters(), lr=0.1),
    )
    for _ in range(2):
        before = [parameter.clone() for parameter in vae.parameters()]
        fit({"vae": vae}, [objective], Batches(Split(images, None, 3), 8), 1, device="cpu")
        moved = [not torch.equal(p, q) for p, q in zip(before, vae.parameters(), strict=True)]
        encoder = len(list(vae.encoder.parameters()))
        assert any(moved[:encoder])
        assert any(moved[encoder:])
