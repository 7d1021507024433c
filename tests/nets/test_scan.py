"""The scan of an LSTM over an image, against loops over single pixels, and its gradients."""

import itertools

import pytest
import torch

from genlearn.nets.diagonal_bilstm import diagonals
from genlearn.nets.scan import Step, at_tap, lstm, scan, shifted
from genlearn.nets.scan_backward import fast_scan

SIZES = [(4, 4), (3, 5), (5, 3), (1, 4), (4, 1), (1, 1)]


def steps_of(kind: str, height: int, width: int):
    """Steps, taps of the kernel, and the tap whose cell is taken over."""
    if kind == "rows":
        return [Step(width, 1, 1)] * height, 3, 1
    return diagonals(height, width, torch.device("cpu")).steps, 2, 1


def drawn(kind: str, size, *, features: int = 2, width: int = 3, batch: int = 2):
    """Inputs and weights of two directions, in float64."""
    steps, kernel, own = steps_of(kind, *size)
    options = {"dtype": torch.float64, "requires_grad": True}
    inputs = torch.randn(2, features, size[0] * size[1], batch, **options)
    weight = torch.randn(2, 4 * width, features + kernel * width, **options)
    return inputs, weight, steps, own


def test_lstm_is_that_of_pytorch():
    reference = torch.nn.LSTMCell(3, 5, dtype=torch.float64)
    x, h, c = (torch.randn(4, size, dtype=torch.float64) for size in (3, 5, 5))
    gates = (
        x @ reference.weight_ih.T + h @ reference.weight_hh.T
        + reference.bias_ih + reference.bias_hh
    )  # fmt: skip
    input_gate, forget_gate, candidate, output_gate = gates.chunk(4, 1)
    ours = torch.cat([input_gate, forget_gate, output_gate, candidate], 1)
    found = lstm(ours.T.unsqueeze(0), c.T.unsqueeze(0))
    for ours, expected in zip(found, reference(x, (h, c)), strict=True):
        torch.testing.assert_close(ours[0].T, expected)


@pytest.mark.parametrize("kind", ["rows", "diagonals"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_scan_is_a_loop_over_single_pixels(kind, size):
    inputs, weight, steps, own = drawn(kind, size)
    found = scan(inputs, weight, steps, own)
    width, zero = weight.shape[1] // 4, torch.zeros(2, 3, 2, dtype=torch.float64)
    kernel = (weight.shape[2] - inputs.shape[1]) // width
    place, before, states = 0, {}, []  # of the last step: pixel -> (hidden, cell)
    for step in steps:
        now = {}
        for pixel in range(step.pixels):
            seen = [before.get(pixel - step.before + tap, (zero, zero)) for tap in range(kernel)]
            x = torch.cat([inputs[:, :, place], *[hidden for hidden, _ in seen]], 1)
            now[pixel] = lstm(weight @ x, seen[own][1])
            states.append(now[pixel][0])
            place += 1
        before = now
    torch.testing.assert_close(found, torch.stack(states, 2), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["rows", "diagonals"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_gradient_by_hand_is_that_of_automatic_differentiation(kind, size):
    inputs, weight, steps, own = drawn(kind, size)
    plain, fast = (run(inputs, weight, steps, own) for run in (scan, fast_scan))
    torch.testing.assert_close(fast, plain, rtol=1e-12, atol=1e-12)
    direction = torch.randn_like(plain)
    expected = torch.autograd.grad(plain, (inputs, weight), direction)
    found = torch.autograd.grad(fast, (inputs, weight), direction)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", ["rows", "diagonals"])
def test_gradient_by_hand_is_that_of_small_differences(kind):
    inputs, weight, steps, own = drawn(kind, (3, 2), features=1, width=1, batch=1)
    assert torch.autograd.gradcheck(lambda x, w: fast_scan(x, w, steps, own), (inputs, weight))


@pytest.mark.parametrize("places", [1, 3, 4])
def test_the_gradient_of_a_shift_is_the_opposite_shift(places):
    for before, after in itertools.product(range(-5, 6), repeat=2):
        if places + before + after < 1:
            continue
        x = torch.randn(1, 2, places, requires_grad=True)
        y = shifted(x, before, after)
        direction = torch.randn_like(y)
        assert y.shape[2] == places + before + after
        # Of zeros alone there is no gradient, which is as good as zeros.
        expected = torch.zeros_like(x)
        if y.requires_grad:
            (expected,) = torch.autograd.grad(y, x, direction)
        torch.testing.assert_close(shifted(direction, -before, -after), expected)


def test_taps_stand_side_by_side():
    x = torch.tensor([[[1.0, 2.0, 3.0]]])
    seen = [at_tap(x, tap, 3, Step(3, 1, 1), batch=1).flatten().tolist() for tap in range(3)]
    assert seen == [[0, 1, 2], [1, 2, 3], [2, 3, 0]]


def test_a_kernel_may_be_wider_than_the_image():
    x = torch.tensor([[[1.0, 2.0]]])
    seen = [at_tap(x, tap, 5, Step(2, 2, 2), batch=1).flatten().tolist() for tap in range(5)]
    assert seen == [[0, 0], [0, 1], [1, 2], [2, 0], [0, 0]]
