"""GANs of images: both players fit each other, and the data."""

import pytest
import torch

from genlearn import data
from genlearn.losses import zero_centred_penalty
from genlearn.models import GAN
from genlearn.nets import has_batch_norm
from genlearn.training import Objective, Step, fit

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 5, 7)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("make", [GAN.dcgan, GAN.resnet], ids=["dcgan", "resnet"])
def test_samples_are_levels_of_the_shape_of_the_data(make, shape):
    torch.manual_seed(0)
    images = make(shape, 17, channels=(3, 4), latent_dim=5).sample(2)
    assert (images.dtype, images.shape) == (torch.uint8, (2, *shape))
    assert images.max() <= 16


@pytest.mark.parametrize("make", [GAN.dcgan, GAN.resnet], ids=["dcgan", "resnet"])
def test_losses_reach_every_weight_of_their_player_alone(make):
    torch.manual_seed(0)
    gan = make((1, 8, 8), 17, channels=(3, 4), latent_dim=5)
    step = Step(0, (data.load("digits").train.images[:6],), torch.default_generator)
    losses = {"discriminator": gan.discriminator_loss, "generator": gan.generator_loss}
    for name, loss in losses.items():
        gan.zero_grad()
        loss(step)["loss"].backward(inputs=list(gan.players[name].parameters()))
        for player, module in gan.players.items():
            reached = [p.grad is not None and bool(p.grad.any()) for p in module.parameters()]
            assert all(reached) if player == name else not any(reached)


def test_normalisation_is_chosen_for_each_player():
    for of_generator, of_discriminator in [("batch", "none"), ("group", "batch")]:
        gan = GAN.dcgan((1, 8, 8), 17, normalise=(of_generator, of_discriminator))
        assert has_batch_norm(gan.generator) is (of_generator == "batch")
        assert has_batch_norm(gan.discriminator) is (of_discriminator == "batch")


@pytest.mark.parametrize("make", [GAN.dcgan, GAN.resnet], ids=["dcgan", "resnet"])
def test_a_spectrally_normalised_critic_is_nearly_flat(make):
    """Its layers stretch nothing, by their matrices: its slope is far below the plain one's."""
    slopes = []
    for spectral in (False, True):
        torch.manual_seed(0)
        options = {"normalise": ("batch", "none"), "init_std": None} if make == GAN.dcgan else {}
        gan = make((1, 8, 8), 17, channels=(8, 16), spectral=spectral, **options)
        with torch.no_grad():
            for parameter in gan.discriminator.parameters():
                parameter.mul_(5)  # which a division by the singular value undoes
        x = torch.randn(6, 1, 8, 8)
        slopes.append(zero_centred_penalty(gan.discriminator, x).item())
    assert slopes[1] < slopes[0] / 100


def test_a_discriminator_learns_to_tell_images_from_noise():
    """In a few steps, with the generator left as it is."""
    torch.manual_seed(0)
    digits = data.load("digits")
    gan = GAN.dcgan(digits.shape, 17, channels=(8, 16), normalise=("batch", "none"))
    optimizer = torch.optim.Adam(gan.discriminator.parameters(), 1e-2)
    objective = Objective("discriminator", gan.discriminator_loss, optimizer)
    history = fit(gan.players, [objective], data.Batches(digits.train, 32), 60, log_every=20)
    last = history.rows[-1]
    assert last["discriminator/real_logit"] > 1
    assert last["discriminator/fake_logit"] < -1
