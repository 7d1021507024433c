"""Residual players: sizes, shortcuts, and what stands in for a norm."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from genlearn.nets import (
    has_batch_norm,
    resnet_discriminator,
    resnet_generator,
    spectrally_normalised,
)
from genlearn.nets.gan_resnet import GrowingBlock, ShrinkingBlock


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 5, 7)], ids=str)
@pytest.mark.parametrize("channels", [(4,), (4, 6, 8)], ids=len)
def test_noise_becomes_images_of_any_size_and_images_become_logits(shape, channels):
    images = resnet_generator(5, shape, channels)(torch.randn(3, 5))
    assert images.shape == (3, *shape)
    assert images.abs().max() <= 1
    assert resnet_discriminator(shape, channels)(images).shape == (3,)


def silenced(block):
    """The block without its residual: the second convolution gives 0."""
    nn.init.zeros_(block.second.weight)
    nn.init.zeros_(block.second.bias)
    return block


def test_the_shortcut_grows_by_repeating_pixels_after_the_map_of_channels_or_before():
    block, x = silenced(GrowingBlock(3, 2, (8, 8))), torch.randn(2, 3, 4, 4)
    repeated = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    torch.testing.assert_close(block(x), block.shortcut(repeated))


def test_the_shortcut_shrinks_by_the_mean_of_the_pixels_that_there_are():
    block, x = silenced(ShrinkingBlock(3, 2)), torch.randn(1, 3, 5, 5)
    with torch.no_grad():
        out = block(x)
    assert out.shape == (1, 2, 3, 3)
    means = x[..., :2, :2].mean((2, 3)), x[..., 4:, 4:].mean((2, 3))
    weight = block.shortcut.weight[..., 0, 0]
    for place, mean in zip([(0, 0), (2, 2)], means, strict=True):
        torch.testing.assert_close(out[:, :, *place], F.linear(mean, weight, block.shortcut.bias))


def test_the_discriminator_judges_each_image_alone():
    torch.manual_seed(0)
    network, x = resnet_discriminator((1, 8, 8), (4, 6)).double(), torch.randn(4, 1, 8, 8).double()
    assert not has_batch_norm(network)
    torch.testing.assert_close(network(x)[:2], network(x[:2]))


def test_every_weight_gets_a_gradient():
    torch.manual_seed(0)
    generator = resnet_generator(5, (1, 8, 8), (4, 6))
    discriminator = resnet_discriminator((1, 8, 8), (4, 6))
    discriminator(generator(torch.randn(6, 5))).square().sum().backward()
    for network in (generator, discriminator):
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_spectral_normalisation_divides_by_the_largest_singular_value():
    """As the singular value decomposition finds it, of each weight as a matrix."""
    torch.manual_seed(0)
    network = resnet_discriminator((1, 8, 8), (4, 6))
    layers = [part for part in network.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
    before = [layer.weight.detach().clone().flatten(1) for layer in layers]
    assert spectrally_normalised(network) is network
    for _ in range(200):  # power iteration takes a step a pass
        network(torch.zeros(1, 1, 8, 8))
    for layer, weight in zip(layers, before, strict=True):
        expected = weight / torch.linalg.matrix_norm(weight, 2)
        torch.testing.assert_close(layer.weight.flatten(1), expected, atol=1e-4, rtol=1e-3)


def test_its_state_can_be_put_back():
    """The power iteration's vectors with it, or a run would not go on exactly."""
    torch.manual_seed(0)
    first, second = (
        spectrally_normalised(resnet_discriminator((1, 8, 8), (4, 6))) for _ in range(2)
    )
    second.load_state_dict(first.state_dict())
    x = torch.randn(2, 1, 8, 8)
    assert torch.equal(first(x), second(x))
