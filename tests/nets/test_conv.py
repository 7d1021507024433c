"""Convolutional networks: any size of image, and mirror images of each other."""

import pytest
import torch

from genlearn.nets import ConvDecoder, ResidualBlock, conv_encoder


@pytest.mark.parametrize(
    "shape", [(1, 8, 8), (3, 32, 32), (1, 25, 25), (2, 5, 7), (1, 1, 3)], ids=str
)
@pytest.mark.parametrize("channels", [(4,), (4, 6), (4, 6, 8)], ids=len)
def test_images_of_any_size_become_vectors_and_back(shape, channels):
    x, z = torch.randn(2, *shape), torch.randn(2, 5)
    assert conv_encoder(shape, channels, 7)(x).shape == (2, 7)
    assert ConvDecoder(5, shape, channels, 3)(z).shape == (2, *shape, 3)


def test_parameters_of_a_pixel_stand_in_the_last_axis():
    """The decoder's last layer gives C · P planes: plane c · P + p is parameter p of channel c."""
    decoder = ConvDecoder(5, (2, 4, 4), (6,), 3)
    with torch.no_grad():
        decoder[-1].weight.zero_()
        decoder[-1].bias.copy_(torch.arange(6))
        out = decoder(torch.randn(1, 5))
    assert out[0, :, 2, 1].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_each_place_depends_on_the_code_and_each_code_on_the_image():
    torch.manual_seed(0)
    decoder, encoder = ConvDecoder(5, (1, 9, 9), (4, 6), 2), conv_encoder((1, 9, 9), (4, 6), 5)
    z = torch.randn(1, 5, requires_grad=True)
    x = torch.randn(1, 1, 9, 9, requires_grad=True)
    for value in decoder(z).flatten()[::20]:
        assert torch.autograd.grad(value, z, retain_graph=True)[0].abs().min() > 0
    assert torch.autograd.grad(encoder(x).sum(), x)[0].abs().min() > 0


def test_images_of_a_batch_do_not_see_each_other():
    torch.manual_seed(0)
    encoder = conv_encoder((1, 8, 8), (4, 6), 5).double()
    x = torch.randn(3, 1, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(encoder(x)[1:2], encoder(x[1:2]))


def test_an_untrained_residual_block_hands_its_input_through_and_can_learn():
    block, x = ResidualBlock(4), torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x)
    block(x).square().sum().backward()
    assert block.second.weight.grad.abs().sum() > 0


def test_a_network_without_channels_is_refused():
    for channels in [(), (4, 0)]:
        with pytest.raises(ValueError, match="one or more numbers of at least 1"):
            conv_encoder((1, 8, 8), channels, 3)
        with pytest.raises(ValueError, match="one or more numbers of at least 1"):
            ConvDecoder(3, (1, 8, 8), channels, 3)
