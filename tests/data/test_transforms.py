"""Rotation, scaling, shift and reflection, against scikit-image and exact cases."""

import numpy as np
import pytest
import torch
from skimage.transform import warp

from genlearn.data import affine, dequantise, random_affine


@pytest.fixture
def images():
    """Three colour images whose sides differ, so that axes cannot be mixed up."""
    return torch.randint(0, 256, (3, 3, 9, 14), dtype=torch.uint8)


def by_skimage(image, angle, scale, shift, flip):
    """The same map for one channel, composed as 3 x 3 matrices (y down, centre of the image)."""
    height, width = image.shape
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    radians = np.deg2rad(angle)
    turn = scale * np.array(
        [[np.cos(radians), np.sin(radians)], [-np.sin(radians), np.cos(radians)]]
    )
    linear = turn @ np.diag([-1.0 if flip else 1.0, 1.0])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre + np.array(shift) - linear @ centre
    return warp(image.astype(float), np.linalg.inv(matrix), order=1, mode="constant", cval=0)


MAPS = [
    (0, 1.0, (0, 0), False),
    (30, 1.0, (0, 0), False),
    (-75, 1.3, (1.5, -2.0), False),
    (10, 0.6, (0.3, 0.7), True),
    (180, 2.0, (-3, 1), True),
]


@pytest.mark.parametrize(("angle", "scale", "shift", "flip"), MAPS)
def test_affine_agrees_with_scikit_image(images, angle, scale, shift, flip):
    moved = affine(images, angle=angle, scale=scale, shift=shift, flip=flip)
    for image, result in zip(images.flatten(0, 1), moved.flatten(0, 1), strict=True):
        expected = by_skimage(image.numpy(), angle, scale, shift, flip)
        assert np.abs(result.numpy() - expected).max() <= 0.51  # rounded to a level


def test_each_image_has_its_own_map(images):
    angles, scales, shifts, flips = (torch.tensor(column) for column in zip(*MAPS[:3], strict=True))
    together = affine(images, angle=angles, scale=scales, shift=shifts, flip=flips)
    for i, (angle, scale, shift, flip) in enumerate(MAPS[:3]):
        alone = affine(images[i : i + 1], angle=angle, scale=scale, shift=shift, flip=flip)
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1)


def test_maps_that_stay_on_the_grid_are_exact(images):
    assert torch.equal(affine(images), images)
    assert torch.equal(affine(images, flip=True), images.flip(3))
    assert torch.equal(affine(images, shift=(2, 0))[..., 2:], images[..., :-2])
    assert torch.equal(affine(images, shift=(0, 3))[:, :, 3:], images[:, :, :-3])
    assert (affine(images, shift=(2, 0))[..., :2] == 0).all()
    square = images[..., :9]
    assert torch.equal(affine(square, angle=90), torch.rot90(square, 1, (2, 3)))


def test_bad_input_is_refused(images):
    with pytest.raises(TypeError, match="uint8"):
        affine(images.float())
    with pytest.raises(ValueError, match="scale"):
        affine(images, scale=0)


def test_random_affine_repeats_itself_and_leaves_its_share_alone(images):
    many = images.repeat(100, 1, 1, 1)
    options = {"angle": 20, "zoom": 1.2, "shift": 1.0, "flip": True}

    def moved(seed, **more):
        return random_affine(many, torch.Generator().manual_seed(seed), **options, **more)

    assert torch.equal(moved(0), moved(0))
    assert not torch.equal(moved(0), moved(1))
    assert torch.equal(moved(0, share=0.0), many)
    same = (moved(0, share=0.3) == many).flatten(1).all(1).float().mean()
    assert same == pytest.approx(0.7, abs=0.08)


def test_random_affine_stays_within_its_bounds():
    """A dot at distance 10 from the centre shows angle and scale of the map that moved it."""
    image = torch.zeros(1, 1, 41, 41, dtype=torch.uint8)
    image[..., 20, 30] = 255
    many = image.repeat(500, 1, 1, 1)
    moved = random_affine(many, torch.Generator().manual_seed(0), angle=30, zoom=1.25).float()
    axis = torch.arange(41.0) - 20
    weight = moved[:, 0] / moved[:, 0].sum((1, 2), keepdim=True)
    x, y = (weight.sum(1) * axis).sum(1), -(weight.sum(2) * axis).sum(1)
    angle, radius = torch.rad2deg(torch.atan2(y, x)), torch.hypot(x, y) / 10
    assert -31 < angle.min() < -25
    assert 25 < angle.max() < 31
    assert 0.78 < radius.min() < 0.84
    assert 1.19 < radius.max() < 1.27
    assert radius.log().mean().abs() < 0.03  # enlarged as often as shrunk


def test_dequantise_adds_less_than_a_level(images):
    generator = torch.Generator().manual_seed(0)
    noisy = dequantise(images, generator)
    assert noisy.dtype == torch.float32
    noise = noisy - images
    assert noise.min() >= 0
    assert noise.max() < 1
    assert noise.mean() == pytest.approx(0.5, abs=0.05)
    assert torch.equal(noisy.floor().to(torch.uint8), images)
