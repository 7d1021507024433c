"""The two players: what each judges, in which range, and whose gradient it is."""

import pytest
import torch
from torch import nn

from genlearn.data import Gaussians
from genlearn.losses import ADVERSARIAL_LOSSES
from genlearn.models import GAN
from genlearn.training import Step


def step_of(x):
    return Step(0, (x,), torch.default_generator)


def points_gan(**options):
    torch.manual_seed(0)
    return GAN.mlp(hidden=(16,), **options)


def test_levels_are_seen_from_minus_one_to_one_and_come_back():
    gan = GAN(nn.Identity(), nn.Identity(), 2, levels=17)
    levels = torch.arange(17, dtype=torch.uint8)
    seen = gan.scaled(levels)
    assert (seen[0], seen[8], seen[16]) == (-1, 0, 1)
    assert torch.equal(gan.unscaled(seen), levels)
    assert gan.unscaled(seen).dtype == torch.uint8


def test_outputs_beyond_the_range_become_the_extreme_levels():
    gan = GAN(nn.Identity(), nn.Identity(), 2, levels=256)
    assert gan.unscaled(torch.tensor([-1.5, 1.5])).tolist() == [0, 255]


def test_points_are_divided_by_the_unit_and_come_back():
    gan = points_gan(unit=4.0)
    x = torch.tensor([[2.0, -8.0]])
    assert gan.scaled(x).tolist() == [[0.5, -2.0]]
    assert torch.equal(gan.unscaled(gan.scaled(x)), x)


def test_samples_are_the_generators_output_unscaled():
    gan, z = points_gan(unit=3.0), torch.randn(5, 8)
    torch.testing.assert_close(gan.sample(5, z), 3 * gan.generator(z))
    assert not gan.sample(5).requires_grad


@pytest.mark.parametrize("name", ADVERSARIAL_LOSSES)
def test_losses_are_of_scaled_real_points_and_of_points_from_noise(name):
    pair = ADVERSARIAL_LOSSES[name]
    gan, x = points_gan(unit=2.0, loss=pair), Gaussians().sample(7)
    torch.manual_seed(5)
    terms = gan.discriminator_loss(step_of(x))
    torch.manual_seed(5)
    fake = gan.generator(torch.randn(7, 8))
    real_logits, fake_logits = gan.discriminator(x / 2), gan.discriminator(fake)
    torch.testing.assert_close(terms["loss"], pair.discriminator(real_logits, fake_logits))
    torch.testing.assert_close(terms["real_logit"], real_logits.mean())
    torch.testing.assert_close(terms["fake_logit"], fake_logits.mean())
    torch.manual_seed(5)
    torch.testing.assert_close(gan.generator_loss(step_of(x))["loss"], pair.generator(fake_logits))


def test_the_discriminators_loss_has_no_gradient_in_the_generator():
    gan = points_gan()
    gan.discriminator_loss(step_of(torch.randn(4, 2)))["loss"].backward()
    assert all(p.grad is None for p in gan.generator.parameters())
    assert all(p.grad is not None for p in gan.discriminator.parameters())


def test_a_penalty_sees_both_scaled_batches_and_is_added():
    gan, x = points_gan(unit=2.0), torch.randn(6, 2)
    seen = {}

    def penalty(critic, real, fake):
        seen.update(critic=critic, real=real, fake=fake)
        return torch.tensor(10.0)

    torch.manual_seed(1)
    terms = gan.discriminator_loss(step_of(x), penalty)
    torch.manual_seed(1)
    without = gan.discriminator_loss(step_of(x))
    assert seen["critic"] is gan.discriminator
    assert torch.equal(seen["real"], x / 2)
    assert seen["fake"].shape == (6, 2)
    assert not seen["fake"].requires_grad
    assert terms["penalty"] == 10
    torch.testing.assert_close(terms["loss"], without["loss"] + 10)


class BatchSizes(nn.Module):
    """A discriminator that notes how many points it was given at once."""

    def __init__(self, *layers):
        super().__init__()
        self.layers, self.sizes = nn.Sequential(nn.Linear(2, 3), *layers, nn.Linear(3, 1)), []

    def forward(self, x):
        self.sizes.append(len(x))
        return self.layers(x).flatten()


def test_one_pass_judges_real_and_generated_points():
    gan = GAN(nn.Linear(8, 2), BatchSizes(), 8)
    gan.discriminator_loss(step_of(torch.randn(4, 2)))
    assert gan.discriminator.sizes == [8]


def test_batch_norm_sees_real_and_generated_points_apart():
    gan = GAN(nn.Linear(8, 2), BatchSizes(nn.BatchNorm1d(3)), 8)
    gan.discriminator_loss(step_of(torch.randn(4, 2)))
    assert gan.discriminator.sizes == [4, 4]


def test_one_pass_gives_what_two_would():
    gan, real, fake = points_gan(), torch.randn(3, 2), torch.randn(5, 2)
    for logits, points in zip(gan.judge(real, fake), (real, fake), strict=True):
        torch.testing.assert_close(logits, gan.discriminator(points))


def test_augmentation_changes_all_that_the_discriminator_sees():
    gan, x = points_gan(augment=torch.zeros_like), torch.randn(4, 2)
    nothing = gan.discriminator(torch.zeros(1, 2)).squeeze()
    terms = gan.discriminator_loss(step_of(x))
    torch.testing.assert_close(terms["real_logit"], nothing)
    torch.testing.assert_close(terms["fake_logit"], nothing)
    loss = gan.generator_loss(step_of(x))["loss"]
    torch.testing.assert_close(loss, gan.loss.generator(nothing[None]))
