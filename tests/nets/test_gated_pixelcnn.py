"""Two stacks: what they compute, and what they see."""

import pytest
import torch
import torch.nn.functional as F

from genlearn.nets import GatedPixelCNN, PixelSizes
from genlearn.nets.gated_pixelcnn import GatedLayer


def whole_kernel(part: torch.Tensor, size: int) -> torch.Tensor:
    """The usual kernel, size x size: the part's last row is its middle row, the rest is 0."""
    whole = part.new_zeros(*part.shape[:2], size, size)
    middle = size // 2
    whole[:, :, middle + 1 - part.shape[2] : middle + 1, : part.shape[3]] = part
    return whole


def open_to(group_out: int, group_in: int, kind: str) -> bool:
    return group_in < group_out or (kind == "B" and group_in == group_out)


@pytest.mark.parametrize("kind", ["A", "B"])
@pytest.mark.parametrize("kernel", [1, 3, 5])
def test_a_layer_is_made_of_usual_convolutions_with_zeros_in_their_kernels(kernel, kind):
    """Of 2 channels, with 6 features in and out, and every sum over groups written out."""
    torch.manual_seed(0)
    layer = GatedLayer(6, 6, 4, kernel, kind, 2, 3, dropout=0.0, last=False).double()
    above, here = torch.randn(2, 2, 6, 5, 4, dtype=torch.float64)
    condition = torch.randn(2, 3, dtype=torch.float64)
    for_above, for_here = layer.condition(condition)[..., None, None].split(12, 1)

    kernel_above = whole_kernel(layer.vertical.weight.detach(), kernel)
    along = whole_kernel(layer.horizontal.weight.detach(), kernel)
    out, skip = layer.out.weight.detach().clone(), layer.skip.weight.detach().clone()
    for group_out in range(2):
        for group_in in range(2):
            columns = slice(3 * group_in, 3 * group_in + 3)
            if not open_to(group_out, group_in, kind):
                for half in range(2):  # the value and the switch
                    first = 6 * half + 3 * group_out
                    along[first : first + 3, columns, kernel // 2, kernel // 2] = 0
            if not open_to(group_out, group_in, "B"):
                out[3 * group_out : 3 * group_out + 3, columns] = 0
                skip[2 * group_out : 2 * group_out + 2, columns] = 0
    padding = kernel // 2
    up = F.conv2d(above, kernel_above, layer.vertical.bias, padding=padding) + for_above
    row = F.conv2d(here, along, layer.horizontal.bias, padding=padding) + for_here
    row = row + F.conv2d(up, layer.junction.weight)
    gated = row[:, :6].tanh() * row[:, 6:].sigmoid()
    expected_here = F.conv2d(gated, out, layer.out.bias)
    if kind == "B":
        expected_here = expected_here + here
    expected = (
        up[:, :6].tanh() * up[:, 6:].sigmoid(),
        expected_here,
        F.conv2d(gated, skip, layer.skip.bias),
    )
    for found, wanted in zip(layer(above, here, condition), expected, strict=True):
        torch.testing.assert_close(found, wanted)


def field(value: torch.Tensor, image: torch.Tensor) -> set[tuple[int, int]]:
    """Rows and columns of the pixels on which a number depends."""
    (slope,) = torch.autograd.grad(value, image, retain_graph=True)
    return {(row, column) for row, column in slope[0, 0].nonzero().tolist()}


@pytest.fixture
def network() -> GatedPixelCNN:
    torch.manual_seed(0)
    sizes = PixelSizes(channels=1, inputs=1, outputs=1, condition=1)
    return GatedPixelCNN(sizes, 5, 3, first_kernel=5, kernel=3, head=6, dropout=0.0).double()


IMAGE = (9, 13)


def test_no_blind_spot(network):
    """It sees a whole rectangle above, and a whole strip on the left; 2 + 1 + 1 pixels far."""
    image = torch.randn(1, 1, *IMAGE, dtype=torch.float64, requires_grad=True)
    out = network(image, torch.zeros(1, 1, dtype=torch.float64))[0, 0, :, :, 0]
    for row, column in [(6, 6), (0, 5), (1, 12), (8, 0), (3, 2)]:
        expected = {
            (r, c)
            for r in range(IMAGE[0])
            for c in range(IMAGE[1])
            if (1 <= row - r <= 5 and abs(c - column) <= 4) or (r == row and 1 <= column - c <= 4)
        }
        assert field(out[row, column], image) == expected


def test_the_vertical_stack_sees_the_rows_above_and_not_its_own(network):
    image = torch.randn(1, 1, *IMAGE, dtype=torch.float64, requires_grad=True)
    maps = []
    for layer in network.layers[:-1]:
        layer.register_forward_hook(lambda _, __, out: maps.append(out[0]))
    network(image, torch.zeros(1, 1, dtype=torch.float64))
    assert len(maps) == 2
    for above in maps:
        for row in range(IMAGE[0]):
            rows = {r for r, _ in field(above[0, :, row].sum(), image)}
            assert (max(rows) == row - 1) if row else not rows


def test_dropout_leaves_the_image_whole_and_ends_with_training():
    sizes = PixelSizes(channels=1, inputs=1, outputs=1, condition=1)
    one = GatedPixelCNN(sizes, 4, 1, first_kernel=3, kernel=3, head=4, dropout=0.9)
    assert one.layers[0].dropout.p == 0
    two = GatedPixelCNN(sizes, 4, 2, first_kernel=3, kernel=3, head=4, dropout=0.9)
    image, condition = torch.randn(1, 1, 5, 5), torch.zeros(1, 1)
    assert not torch.equal(two(image, condition), two(image, condition))
    two.eval()
    assert torch.equal(two(image, condition), two(image, condition))


def test_every_weight_can_learn(network):
    image = torch.randn(2, 1, 5, 5, dtype=torch.float64)
    network(image, torch.ones(2, 1, dtype=torch.float64)).square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_an_even_kernel_is_refused():
    sizes = PixelSizes(channels=1, inputs=1, outputs=1, condition=1)
    with pytest.raises(ValueError, match="a kernel must be odd, got 2"):
        GatedPixelCNN(sizes, 4, 2, first_kernel=3, kernel=2, head=4, dropout=0.0)
