"""Differentiable augmentation: exact changes, of real and generated images alike."""

import pytest
import torch
from torch import nn

from genlearn.augment import augmentation, brighten, contrast, cut_out, shift_images
from genlearn.models import GAN
from genlearn.training import Step


@pytest.mark.parametrize(("down", "right"), [(0, 0), (2, -1), (-3, 0), (9, 9)])
def test_a_shift_is_exact_and_brings_in_zero(down, right):
    x = torch.randn(2, 3, 6, 5)
    expected = torch.zeros(2, 3, 6, 5)
    for i in range(6):
        for j in range(5):
            if 0 <= i - down < 6 and 0 <= j - right < 5:
                expected[..., i, j] = x[..., i - down, j - right]
    moved = shift_images(x, torch.tensor([down] * 2), torch.tensor([right] * 2))
    assert torch.equal(moved, expected)


def test_each_image_has_its_own_shift():
    x = torch.randn(2, 1, 4, 4)
    moved = shift_images(x, torch.tensor([1, 0]), torch.tensor([0, 0]))
    assert torch.equal(moved[0, 0, 1:], x[0, 0, :-1])
    assert torch.equal(moved[1], x[1])


def test_what_is_cut_out_is_a_rectangle_of_zeros_that_may_reach_over_the_border():
    x = torch.ones(2, 2, 5, 6)
    cut = cut_out(x, torch.tensor([1, 4]), torch.tensor([2, -1]), (2, 3))
    expected = torch.ones(2, 2, 5, 6)
    expected[0, :, 1:3, 2:5] = 0
    expected[1, :, 4:, :2] = 0
    assert torch.equal(cut, expected)


def test_brightness_moves_the_mean_and_contrast_the_deviation():
    x, numbers = torch.randn(3, 2, 4, 4), torch.tensor([0.5, 1.0, -2.0])
    bright, steep = brighten(x, numbers), contrast(x, numbers)
    torch.testing.assert_close(bright.mean((1, 2, 3)), x.mean((1, 2, 3)) + numbers)
    torch.testing.assert_close(bright.std((1, 2, 3)), x.std((1, 2, 3)))
    torch.testing.assert_close(steep.mean((1, 2, 3)), x.mean((1, 2, 3)))
    torch.testing.assert_close(steep.std((1, 2, 3)), x.std((1, 2, 3)) * numbers.abs())


def test_gradients_pass_through_and_agree_with_finite_differences():
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    change = augmentation()

    def seeded(images):
        torch.manual_seed(3)
        return change(images)

    assert torch.autograd.gradcheck(seeded, x)
    (slope,) = torch.autograd.grad(seeded(x).square().sum(), x)
    assert slope.any()


def test_the_generator_learns_through_the_change():
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(3, 16), nn.Unflatten(1, (1, 4, 4)))
    discriminator = nn.Sequential(nn.Flatten(), nn.Linear(16, 1), nn.Flatten(0))
    gan = GAN(generator, discriminator, 3, levels=256, augment=augmentation())
    batch = (torch.zeros(8, 1, 4, 4, dtype=torch.uint8),)
    gan.generator_loss(Step(0, batch, torch.default_generator))["loss"].backward()
    gradient = generator[0].weight.grad
    assert gradient is not None
    assert gradient.any()


def test_one_image_is_changed_in_one_way_whether_it_is_real_or_generated():
    """The change knows nothing of where an image came from: the same draws, the same result."""
    x, change = torch.randn(16, 1, 8, 8), augmentation()
    torch.manual_seed(0)
    first = change(x)
    torch.manual_seed(0)
    assert torch.equal(change(x), first)
    assert not torch.equal(change(x), first)  # fresh draws at each call
    assert len({tuple(image.flatten().tolist()) for image in change(x[:1].expand(16, 1, 8, 8))}) > 1


def test_draws_cover_their_range_and_stay_in_it():
    torch.manual_seed(0)
    ones = torch.ones(4000, 1, 8, 8)
    bright = augmentation(0, 0, 0.5, 0)(ones)[:, 0, 0, 0] - 1
    assert bright.min() >= -0.5
    assert bright.max() <= 0.5
    assert bright.std().item() == pytest.approx(1 / 12**0.5, rel=0.05)
    shifted = augmentation(0.25, 0, 0, 0)(ones)
    rows = shifted[:, 0].amax(2).sum(1)  # rows that are left: 8 less the size of the shift
    assert sorted(set(rows.tolist())) == [6, 7, 8]
    cut = augmentation(0, 0.5, 0, 0)(ones)
    assert (cut == 0).float().mean((0, 1)).min() > 0.05  # every pixel is hit now and then
    assert (cut == 0).sum((1, 2, 3)).max() == 16


def test_without_any_change_images_stay_as_they_are():
    x = torch.randn(2, 1, 4, 4)
    assert torch.equal(augmentation(0, 0, 0, 0)(x), x)


@pytest.mark.parametrize(
    "limits", [{"shift": -0.1}, {"shift": 1.1}, {"cutout": 2}, {"brightness": -1}], ids=str
)
def test_limits_that_make_no_sense_are_refused(limits):
    with pytest.raises(ValueError, match=next(iter(limits))):
        augmentation(**limits)
