"""Which label goes with which image, in both players' losses and in samples."""

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from genlearn.losses import zero_centred_penalty
from genlearn.models import GAN, ConditionalGAN
from genlearn.training import Step

WAYS = ["projection", "concatenation"]
SHAPE, LEVELS, CLASSES = (1, 3, 2), 5, 4


@pytest.fixture(params=WAYS)
def gan(request):
    torch.manual_seed(0)
    gan = ConditionalGAN.mlp(
        SHAPE, LEVELS, CLASSES, latent_dim=3, hidden=(8, 6), label=request.param
    )
    for parameter in gan.parameters():  # also the class vectors, which begin at zero
        nn.init.normal_(parameter, std=0.5)
    return gan


@pytest.fixture
def batch():
    torch.manual_seed(1)
    return torch.randint(LEVELS, (7, *SHAPE), dtype=torch.uint8), torch.randint(CLASSES, (7,))


def step_of(batch):
    return Step(0, batch, torch.default_generator)


def test_the_discriminator_judges_made_images_with_the_labels_of_the_real_ones(gan, batch):
    images, labels = batch
    torch.manual_seed(2)
    terms = gan.discriminator_loss(step_of(batch))
    torch.manual_seed(2)
    fake = gan.generator(torch.randn(7, 3), labels)
    real_logits = gan.discriminator(images.float() / 2 - 1, labels)
    fake_logits = gan.discriminator(fake, labels)
    expected = softplus(-real_logits).mean() + softplus(fake_logits).mean()
    torch.testing.assert_close(terms["loss"], expected)


def test_the_generator_is_judged_with_the_labels_it_was_given(gan, batch):
    _, labels = batch
    torch.manual_seed(2)
    loss = gan.generator_loss(step_of(batch))["loss"]
    torch.manual_seed(2)
    logits = gan.discriminator(gan.generator(torch.randn(7, 3), labels), labels)
    torch.testing.assert_close(loss, softplus(-logits).mean())


@pytest.mark.parametrize("loss", ["discriminator_loss", "generator_loss"])
def test_other_labels_give_another_loss(gan, batch, loss):
    images, labels = batch
    values = []
    for y in (labels, (labels + 1) % CLASSES):
        torch.manual_seed(2)
        values.append(getattr(gan, loss)(step_of((images, y)))["loss"].item())
    assert abs(values[0] - values[1]) > 1e-3


def test_a_penalty_is_of_the_discriminator_with_labels(gan, batch):
    images, labels = batch
    real = images.float() / 2 - 1
    terms = gan.discriminator_loss(
        step_of(batch), lambda critic, x, _: zero_centred_penalty(critic, x)
    )
    expected = zero_centred_penalty(lambda x: gan.discriminator(x, labels), real)
    torch.testing.assert_close(terms["penalty"], expected)
    other = zero_centred_penalty(lambda x: gan.discriminator(x, (labels + 1) % CLASSES), real)
    assert abs(other - expected) > 1e-6


def test_no_gradient_of_the_discriminators_loss_reaches_the_generator(gan, batch):
    loss = gan.discriminator_loss(step_of(batch))["loss"]
    parameters = list(gan.generator.parameters())
    assert all(g is None for g in torch.autograd.grad(loss, parameters, allow_unused=True))


def test_samples_are_levels_of_the_labels_asked_for(gan):
    labels, noise = torch.tensor([3, 0, 1]), torch.randn(3, 3)
    images = gan.sample(labels, noise)
    assert (images.dtype, images.shape) == (torch.uint8, (3, *SHAPE))
    expected = (gan.generator(noise, labels) + 1) * 2
    assert torch.equal(images, expected.round().to(torch.uint8))


def test_for_a_number_of_samples_the_classes_take_turns(gan):
    noise = torch.randn(6, 3)
    assert torch.equal(gan.sample(6, noise), gan.sample(torch.tensor([0, 1, 2, 3, 0, 1]), noise))


def test_labels_are_repeated_for_several_noise_vectors_each(gan):
    labels, noise = torch.tensor([3, 1]), torch.randn(6, 3)
    expected = gan.generator(noise, torch.tensor([3, 1, 3, 1, 3, 1]))
    torch.testing.assert_close(gan.generate(noise, labels), expected)


def test_rows_that_share_no_labels_evenly_are_refused(gan):
    with pytest.raises(ValueError, match="5 rows cannot share 2 labels evenly"):
        gan.generate(torch.randn(5, 3), torch.tensor([0, 1]))


@pytest.mark.parametrize("label", [-1, CLASSES])
def test_a_label_that_is_no_class_is_refused(gan, label):
    with pytest.raises(ValueError, match=r"labels must be 0 … 3"):
        gan.sample(torch.tensor([0, label]))


def test_the_gan_of_given_labels_shares_the_weights(gan):
    given = gan.given(torch.tensor([0]))
    assert isinstance(given, GAN)
    mine, theirs = ({id(p) for p in module.parameters()} for module in (gan, given))
    assert mine == theirs


def test_an_unknown_way_to_give_the_label_is_refused():
    with pytest.raises(ValueError, match="label must be projection or concatenation"):
        ConditionalGAN.mlp(SHAPE, LEVELS, CLASSES, label="telepathy")
