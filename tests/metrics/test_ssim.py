"""SSIM, multi-scale SSIM and PSNR against scikit-image, torchmetrics and closed forms."""

import math
import sys

import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import Tensor
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from genlearn import data
from genlearn.metrics import ms_ssim, psnr, ssim
from genlearn.metrics.ssim import WEIGHTS


def noisy(images: Tensor, white: float) -> Tensor:
    """The same images with noise of a tenth of the range."""
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    return (images + 0.1 * white * noise).round().clamp(0, white).to(images.dtype)


def photographs(size: int) -> Tensor:
    """Two pictures, each a square sheet of the data set's crops: uint8, (2, 3, size, size)."""
    crops = data.load("patches").test.images[:128].view(2, 8, 8, 3, 32, 32)
    return crops.permute(0, 3, 1, 4, 2, 5).reshape(2, 3, 256, 256)[..., :size, :size]


def random_images(height: int, width: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (2, channels, height, width), generator=generator).to(torch.uint8)


IMAGES = {
    "random": (random_images(33, 40), 255.0),
    "of two channels": (random_images(20, 11, channels=2), 255.0),
    "photographs": (photographs(64), 255.0),
    "digits": (
        data.load("digits").test.images[:5].repeat_interleave(3, 2).repeat(1, 1, 1, 2),
        16.0,
    ),
}


@pytest.mark.parametrize("name", IMAGES)
def test_ssim_is_that_of_scikit_image(name):
    x, white = IMAGES[name]
    y = noisy(x, white)
    expected = [
        structural_similarity(
            a.double().numpy(), b.double().numpy(), channel_axis=0, data_range=white,
            gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
        )
        for a, b in zip(x, y, strict=True)
    ]  # fmt: skip
    assert ssim(x, y, white).tolist() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", IMAGES)
def test_ssim_with_mirrored_borders_is_that_of_torchmetrics(name):
    x, white = IMAGES[name]
    y = noisy(x, white)
    expected = structural_similarity_index_measure(
        x.double(), y.double(), data_range=white, reduction="none"
    )
    torch.testing.assert_close(ssim(x, y, white, border="mirrored"), expected, rtol=1e-10, atol=0)


@pytest.mark.parametrize("name", IMAGES)
def test_psnr_is_that_of_scikit_image(name):
    x, white = IMAGES[name]
    y = noisy(x, white)
    expected = [
        peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=white)
        for a, b in zip(x, y, strict=True)
    ]
    assert psnr(x, y, white).tolist() == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", ["random", "photographs"])
def test_multi_scale_ssim_is_that_of_torchmetrics(name):
    x = random_images(180, 191, channels=1) if name == "random" else photographs(176)[:1]
    y = noisy(x, 255)
    expected = multiscale_structural_similarity_index_measure(
        x.double(), y.double(), data_range=255.0, reduction="none"
    )
    found = ms_ssim(x, y, 255, border="mirrored")
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)  # their weights are float32


def test_multi_scale_ssim_written_out():
    """Contrast is SSIM of images whose local means are equal: here, from their local mean of 0."""
    x = random_images(44, 50).double()
    y = noisy(x, 255)
    product = torch.ones(2, dtype=torch.float64)
    for weight in (0.2, 0.5):
        _, whole = structural_similarity_index_measure(
            x, y, data_range=255.0, reduction="none", return_contrast_sensitivity=True
        )
        product *= whole**weight
        x, y = (image.unfold(2, 2, 2).unfold(3, 2, 2).mean((4, 5)) for image in (x, y))
    product *= ssim(x, y, 255) ** 0.3
    found = ms_ssim(random_images(44, 50), noisy(random_images(44, 50), 255), 255,
                    weights=(0.2, 0.5, 0.3))  # fmt: skip
    torch.testing.assert_close(found, product, rtol=1e-10, atol=0)


def test_equal_images():
    x = random_images(22, 22)
    assert ssim(x, x, 255).tolist() == pytest.approx([1, 1])
    assert ms_ssim(x, x, 255, weights=(0.5, 0.5)).tolist() == pytest.approx([1, 1])
    assert psnr(x, x, 255).tolist() == [math.inf, math.inf]


def test_constant_images_differ_by_their_luminance_alone():
    dark, light = torch.full((1, 1, 11, 11), 0.2), torch.full((1, 1, 11, 11), 0.8)
    expected = (2 * 0.2 * 0.8 + 0.01**2) / (0.2**2 + 0.8**2 + 0.01**2)
    assert ssim(dark, light, 1).item() == pytest.approx(expected)
    assert psnr(dark, light, 1).item() == pytest.approx(-20 * math.log10(0.6))


def test_of_a_negative_multi_scale_ssim_is_zero():
    x = random_images(22, 22)
    assert (ssim(x, 255 - x, 255) < 0).all()
    assert ms_ssim(x, 255 - x, 255, weights=(0.5, 0.5)).tolist() == [0, 0]


def test_the_unit_of_the_images_does_not_matter():
    x = random_images(22, 22)
    y = noisy(x, 255)
    torch.testing.assert_close(ssim(x / 255, y / 255, 1), ssim(x, y, 255))
    torch.testing.assert_close(psnr(x / 255, y / 255, 1), psnr(x, y, 255))


def test_many_images_are_worked_on_in_parts(monkeypatch):
    x = random_images(22, 22)
    y = noisy(x, 255)
    whole = ssim(x, y, 255)
    monkeypatch.setattr(sys.modules["genlearn.metrics.ssim"], "AT_ONCE", 1)
    assert ssim(x, y, 255).equal(whole)


def test_a_step_up_the_gradient_makes_images_more_alike():
    x = random_images(22, 22).double() / 255
    y = torch.full_like(x, 0.5).requires_grad_()
    before = ssim(x, y, 1).mean()
    before.backward()
    assert ssim(x, (y + 0.1 * y.grad / y.grad.abs().max()).detach(), 1).mean() > before


def test_images_smaller_than_the_window_are_refused():
    x = torch.zeros(1, 1, 30, 10)
    with pytest.raises(ValueError, match="needs images of at least 11 x 11 pixels, got 30 x 10"):
        ssim(x, x, 1)
    assert ssim(x, x, 1, window=9).item() == 1


def test_images_too_small_for_the_scales_are_refused():
    x = torch.zeros(1, 1, 175, 200)
    with pytest.raises(ValueError, match=r"over 5 scales needs images of at least 176 x 176"):
        ms_ssim(x, x, 1)
    assert ms_ssim(x, x, 1, weights=WEIGHTS[:4]).item() == 1


def test_images_out_of_range_are_refused():
    x = torch.rand(1, 1, 11, 11, generator=torch.Generator().manual_seed(0))
    for function in (ssim, psnr):
        with pytest.raises(ValueError, match=r"exceed .*: scale, shift or clip them"):
            function(x, 255 * x, 1)
    with pytest.raises(ValueError, match=r"exceed 0 … 2"):
        ssim(2 * x - 1, x, 2)
    assert psnr(2 * x - 1, 2 * x - 1, 2) == math.inf


@pytest.mark.parametrize("function", [ssim, ms_ssim, psnr])
def test_bad_images_are_refused(function):
    x = torch.zeros(1, 3, 176, 176)
    with pytest.raises(ValueError, match="images must be two times the same"):
        function(x, x[:, :1], 1)
    with pytest.raises(ValueError, match="data range must be above 0"):
        function(x, x, 0)
    with pytest.raises(ValueError, match="images must be finite"):
        function(x, torch.full_like(x, math.nan), 1)


def test_bad_settings_are_refused():
    x = torch.zeros(1, 1, 11, 11)
    with pytest.raises(ValueError, match="window must be odd"):
        ssim(x, x, 1, window=4)
    with pytest.raises(ValueError, match="sigma above 0"):
        ssim(x, x, 1, sigma=0)
    with pytest.raises(ValueError, match="border must be"):
        ssim(x, x, 1, border="same")
    with pytest.raises(ValueError, match="there must be weights"):
        ms_ssim(x, x, 1, weights=())
