"""Masks let through what comes before, and nothing else."""

import pytest
import torch
import torch.nn.functional as F

from genlearn.nets import Head, MaskedConv2d, causal_mask, channel_mask


def test_masks_of_three_channels_written_out():
    mask_a = channel_mask(3, 3, 3, "A")
    mask_b = channel_mask(3, 3, 3, "B")
    assert mask_a.int().tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0]]
    assert mask_b.int().tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]


def test_a_mask_of_one_channel_written_out():
    assert causal_mask(1, 1, 5, 1, "A")[0, 0].int().tolist() == [
        [1, 1, 1, 1, 1],
        [1, 1, 1, 1, 1],
        [1, 1, 0, 0, 0],
    ]
    assert causal_mask(1, 1, 3, 1, "B")[0, 0].int().tolist() == [[1, 1, 1], [1, 1, 0]]


@pytest.mark.parametrize("kernel", [1, 3, 5, 7])
@pytest.mark.parametrize("kind", ["A", "B"])
def test_it_is_the_usual_convolution_with_zeros_in_the_kernel(kernel, kind):
    layer = MaskedConv2d(4, 6, kernel, kind, channels=2).double()
    whole = torch.zeros(6, 4, kernel, kernel, dtype=torch.float64)
    whole[:, :, : kernel // 2 + 1] = layer.weight.detach()
    for group_out, group_in in [(0, 0), (0, 1), (1, 0), (1, 1)]:
        allowed = group_in < group_out if kind == "A" else group_in <= group_out
        if not allowed:
            rows, columns = (
                slice(3 * group_out, 3 * group_out + 3),
                slice(2 * group_in, 2 * group_in + 2),
            )
            whole[rows, columns, kernel // 2, kernel // 2] = 0
    whole[:, :, kernel // 2, kernel // 2 + 1 :] = 0
    x = torch.randn(2, 4, 5, 6, dtype=torch.float64)
    expected = F.conv2d(x, whole, layer.bias, padding=kernel // 2)
    torch.testing.assert_close(layer(x), expected)


def test_a_head_gives_each_value_its_own_parameters():
    head = Head(6, 9, 4, channels=3)
    assert head(torch.randn(2, 6, 5, 7)).shape == (2, 3, 5, 7, 4)


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="a kernel must be odd, got 4"):
        MaskedConv2d(1, 1, 4, "A")
    with pytest.raises(ValueError, match="a mask is of kind A or B, got 'C'"):
        channel_mask(1, 1, 1, "C")
    with pytest.raises(ValueError, match="5 features cannot be shared evenly by 3 channels"):
        channel_mask(5, 3, 3, "A")
