"""The DCGAN's networks: sizes, rules, and what its kernels do."""

import math

import pytest
import torch
from torch import nn

from genlearn.nets import dcgan_discriminator, dcgan_generator, has_batch_norm

SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (2, 5, 7), (1, 1, 3)]
KINDS = ["batch", "group", "none"]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("channels", [(4,), (4, 6), (4, 6, 8)], ids=len)
@pytest.mark.parametrize("strided", [True, False], ids=["strided", "resized"])
def test_noise_becomes_images_of_any_size_and_images_become_logits(shape, channels, strided):
    generator = dcgan_generator(5, shape, channels, strided=strided)
    discriminator = dcgan_discriminator(shape, channels, strided=strided)
    images = generator(torch.randn(3, 5))
    assert images.shape == (3, *shape)
    assert discriminator(images).shape == (3,)


def convolutions(network):
    return [part for part in network if isinstance(part, nn.Conv2d | nn.ConvTranspose2d)]


def test_the_rules_of_the_paper_are_what_is_built_by_default():
    """For 32 x 32: three strided convolutions, and normalisation where it belongs."""
    generator = dcgan_generator(9, (3, 32, 32), (4, 8, 16))
    discriminator = dcgan_discriminator((3, 32, 32), (4, 8, 16))
    for network in (generator, discriminator):
        assert [layer.stride for layer in convolutions(network)] == [(2, 2)] * 3
        assert sum(isinstance(layer, nn.Linear) for layer in network) == 1
        assert not [layer for layer in network if isinstance(layer, nn.MaxPool2d | nn.Upsample)]
    up = [type(layer).__name__ for layer in generator]
    block = ["BatchNorm2d", "ReLU", "ConvTranspose2d"]
    assert up == ["Linear", "Unflatten", *block * 3, "Tanh"]
    down = [type(layer).__name__ for layer in discriminator]
    block = ["Conv2d", "BatchNorm2d", "LeakyReLU"]
    assert down == ["Conv2d", "LeakyReLU", *block * 2, "Flatten", "Linear", "Flatten"]
    assert [part.negative_slope for part in discriminator if isinstance(part, nn.LeakyReLU)] == [
        0.2
    ] * 3


def test_weights_begin_normal_with_the_deviation_that_was_asked_for_and_biases_at_zero():
    torch.manual_seed(0)
    for network in (
        dcgan_generator(64, (3, 32, 32), (64, 64), normalise="none"),
        dcgan_discriminator((3, 32, 32), (64, 64), normalise="none"),
    ):
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                assert not parameter.any()
            else:
                count = parameter.numel()
                assert abs(parameter.mean()) < 5 * 0.02 / math.sqrt(count)
                assert parameter.std().item() == pytest.approx(0.02, rel=5 / math.sqrt(2 * count))
    torch.manual_seed(0)
    default = nn.Conv2d(3, 64, 4, 2, 1)
    torch.manual_seed(0)
    network = dcgan_discriminator((3, 32, 32), (64, 64), init_std=None)
    assert torch.equal(network[0].weight, default.weight)


def test_images_lie_between_minus_one_and_one_unless_tanh_is_off():
    torch.manual_seed(0)
    options = {"init_std": 1.0}
    z = torch.randn(8, 5)
    assert dcgan_generator(5, (1, 8, 8), (4, 6), **options)(z).abs().max() <= 1
    assert dcgan_generator(5, (1, 8, 8), (4, 6), tanh=False, **options)(z).abs().max() > 1


@pytest.mark.parametrize("normalise", ["group", "none"])
def test_without_batch_norm_images_of_a_batch_do_not_see_each_other(normalise):
    torch.manual_seed(0)
    x = torch.randn(4, 1, 8, 8, dtype=torch.float64)
    network = dcgan_discriminator((1, 8, 8), (4, 6), normalise=normalise).double()
    torch.testing.assert_close(network(x)[:2], network(x[:2]))


def test_with_batch_norm_they_do():
    torch.manual_seed(0)
    x = torch.randn(4, 1, 8, 8)
    network = dcgan_discriminator((1, 8, 8), (4, 6), init_std=0.5)
    assert has_batch_norm(network)
    assert (network(x)[:2] - network(x[:2])).abs().max() > 0.01


def test_group_norm_gives_each_image_mean_0_and_variance_1():
    network = dcgan_generator(5, (1, 8, 8), (4, 6), normalise="group", init_std=1.0)
    normalised = network[:3](torch.randn(3, 5)).flatten(1)
    torch.testing.assert_close(normalised.mean(1), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(normalised.var(1, correction=0), torch.ones(3), atol=1e-3, rtol=0)


@pytest.mark.parametrize(("kernel", "padding", "even"), [(4, 1, True), (3, 1, False)])
def test_a_stride_that_divides_the_kernel_leaves_no_checkerboard(kernel, padding, even):
    """Of a constant, where no border is near. The kernel of the network is the one of 4."""
    layer = nn.ConvTranspose2d(1, 1, kernel, 2, padding, bias=False)
    if even:
        built = convolutions(dcgan_generator(5, (1, 16, 16), (1,), normalise="none"))[0]
        assert (built.kernel_size, built.stride, built.padding) == ((4, 4), (2, 2), (1, 1))
    nn.init.ones_(layer.weight)
    inside = layer(torch.ones(1, 1, 8, 8))[0, 0, 3:-3, 3:-3]
    assert bool((inside == inside[0, 0]).all()) is even


def test_hidden_layers_and_the_slope_stand_where_they_are_asked_for():
    generator = dcgan_generator(5, (1, 8, 8), (4,), hidden=(11,), leaky=0.1)
    discriminator = dcgan_discriminator((1, 8, 8), (4,), hidden=(11,), leaky=0.0)
    assert [g.in_features for g in generator if isinstance(g, nn.Linear)] == [5, 11]
    assert [d.in_features for d in discriminator if isinstance(d, nn.Linear)] == [4 * 4 * 4, 11]
    assert {g.negative_slope for g in generator if isinstance(g, nn.LeakyReLU)} == {0.1}
    assert not [d for d in discriminator if isinstance(d, nn.LeakyReLU)]


def test_what_does_not_exist_is_refused():
    for build in (
        lambda **options: dcgan_generator(5, (1, 8, 8), **options),
        lambda **options: dcgan_discriminator((1, 8, 8), **options),
    ):
        with pytest.raises(ValueError, match="batch, group or none, got 'layer'"):
            build(normalise="layer")
        with pytest.raises(ValueError, match="one or more numbers of at least 1"):
            build(channels=())
