"""How alike two images are, place by place: SSIM, its version over several scales, and PSNR.

Conventions, since programs differ in them: a Gaussian window of 11 pixels with σ = 1.5, which adds
up to 1; variances and covariances with the window's weights as they are (no n / (n - 1)); K₁ = 0.01
and K₂ = 0.03; each channel by itself, and the mean over channels and places; all in float64. What
happens at the borders is named by ``border``.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

K1, K2 = 0.01, 0.03
WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the scales, fine to coarse
AT_ONCE = 2**21  # values of images that are worked on at a time


def ssim(
    x: Tensor,
    y: Tensor,
    data_range: float,
    *,
    window: int = 11,
    sigma: float = 1.5,
    border: str = "inside",
) -> Tensor:
    """Structural similarity of pairs of images, 1 if equal, never below -1; eq-samples-ssim.

    Args:
        x, y: images of the same shape (N, C, H, W), any type; values count from black, which is 0.
        data_range: the value of white: 255 for levels 0 … 255, 1 for shares.
        window: width of the window in pixels, odd.
        sigma: its standard deviation in pixels.
        border: "inside" takes the mean over the places where the whole window lies in the image, as
            the authors and scikit-image do; "mirrored" over all places, with the image continued by
            its mirror image, as torchmetrics does.

    Returns:
        float64, shape (N,).

    Raises:
        ValueError: if shapes do not fit, an image is smaller than the window, a value is not
            finite, or values do not lie in 0 … data_range.

    Source: Wang, Bovik, Sheikh and Simoncelli (2004), Image Quality Assessment: From Error
    Visibility to Structural Similarity. As scikit-image with gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False.
    """
    _check(x, y, data_range, from_black=True)
    _check_window(x, window, sigma, border, scales=1)

    def similarity(a: Tensor, b: Tensor) -> Tensor:
        return _similarity_and_contrast(a, b, data_range, window, sigma, border)[0]

    return _in_parts(similarity, x, y)


def ms_ssim(
    x: Tensor,
    y: Tensor,
    data_range: float,
    *,
    weights: Sequence[float] = WEIGHTS,
    window: int = 11,
    sigma: float = 1.5,
    border: str = "inside",
) -> Tensor:
    """Multi-scale similarity of pairs of images, 0 … 1; 1 if they are equal; eq-samples-msssim.

    From each scale but the last comes the mean of the contrast and structure term, from the last
    the whole SSIM; each is raised to its weight, and all are multiplied. Between scales, images are
    halved by means of 2×2 pixels; an odd last row or column is left out, as in torchmetrics. A mean
    below 0, as of images that are each other's negatives, counts as 0, since a power of it would be
    no number; then the product is 0.

    Args:
        x, y, data_range, window, sigma: as for :func:`ssim`.
        weights: of the scales, fine to coarse; as many scales as weights. The five of the paper
            need 176 pixels; figures with other weights cannot be compared with those.
        border: as for :func:`ssim`; "mirrored" does so at the last scale only, like torchmetrics.

    Returns:
        float64, shape (N,).

    Raises:
        ValueError: as for :func:`ssim`; if images are too small for that many scales, the message
            says how large they must be.

    Source: Wang, Simoncelli and Bovik (2003), Multiscale Structural Similarity for Image Quality
    Assessment.
    """
    if not weights or not all(0 < weight < math.inf for weight in weights):
        raise ValueError(f"there must be weights, all above 0, got {tuple(weights)}")
    _check(x, y, data_range, from_black=True)
    _check_window(x, window, sigma, border, scales=len(weights))

    def similarity(a: Tensor, b: Tensor) -> Tensor:
        product = 1.0
        for weight in weights[:-1]:
            term = _similarity_and_contrast(a, b, data_range, window, sigma, "inside")[1]
            product = product * term.clamp(min=0) ** weight
            a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
        term = _similarity_and_contrast(a, b, data_range, window, sigma, border)[0]
        return product * term.clamp(min=0) ** weights[-1]

    return _in_parts(similarity, x, y)


def psnr(x: Tensor, y: Tensor, data_range: float) -> Tensor:
    """Peak signal-to-noise ratio of pairs of images, 10 log₁₀(range² / MSE); eq-samples-psnr.

    Args:
        x, y: images of the same shape (N, C, H, W), of any size.
        data_range: largest possible value less the smallest.

    Returns:
        Decibels (go up), float64, shape (N,); infinity for images that are equal.

    Raises:
        ValueError: if shapes do not fit, a value is not finite, or values lie further apart than
            the data range.
    """
    _check(x, y, data_range)

    def ratio(a: Tensor, b: Tensor) -> Tensor:
        return 10 * torch.log10(data_range**2 / (a - b).square().mean((1, 2, 3)))

    return _in_parts(ratio, x, y)


def _check(x: Tensor, y: Tensor, data_range: float, from_black: bool = False) -> None:
    if x.ndim != 4 or x.shape != y.shape or 0 in x.shape:
        raise ValueError(
            "images must be two times the same (N, C, H, W), none of them 0, got "
            f"{tuple(x.shape)} and {tuple(y.shape)}"
        )
    if not 0 < data_range < math.inf:
        raise ValueError(f"the data range must be above 0, got {data_range}")
    if not (x.isfinite().all() and y.isfinite().all()):
        raise ValueError("images must be finite")
    low = min(x.min().item(), y.min().item())
    high = max(x.max().item(), y.max().item())
    rounding = 1e-6 * data_range
    base = 0.0 if from_black else low
    if low < base - rounding or high > base + data_range + rounding:
        span = f"0 … {data_range:g}" if from_black else f"a range of {data_range:g}"
        raise ValueError(
            f"values from {low:g} to {high:g} exceed {span}: scale, shift or clip them"
        )


def _check_window(x: Tensor, window: int, sigma: float, border: str, scales: int) -> None:
    if window < 1 or window % 2 == 0 or not 0 < sigma < math.inf:
        raise ValueError(f"the window must be odd and sigma above 0, got {window} and {sigma}")
    if border not in ("inside", "mirrored"):
        raise ValueError(f"border must be inside or mirrored, got {border!r}")
    least, side = window * 2 ** (scales - 1), min(x.shape[2:])
    if side < least:
        over = f" over {scales} scales" if scales > 1 else ""
        raise ValueError(
            f"a window of {window} pixels{over} needs images of at least {least} x {least} pixels, "
            f"got {x.shape[2]} x {x.shape[3]}; take a smaller window"
            + (" or fewer weights" if scales > 1 else "")
        )


def _in_parts(function: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Apply a function of images to some at a time, in float64."""
    some = max(1, AT_ONCE // x[0].numel())
    parts = zip(x.split(some), y.split(some), strict=True)
    return torch.cat([function(a.double(), b.double()) for a, b in parts])


def _similarity_and_contrast(
    x: Tensor, y: Tensor, data_range: float, window: int, sigma: float, border: str
) -> tuple[Tensor, Tensor]:
    """Means over places and channels of SSIM and of its contrast and structure term, (N,) each."""
    if border == "mirrored":
        x, y = (F.pad(image, [window // 2] * 4, mode="reflect") for image in (x, y))

    def local_mean(image: Tensor) -> Tensor:
        return _blurred(image, window, sigma)

    mean_x, mean_y = local_mean(x), local_mean(y)
    # A variance of 0 may come out a little below 0; that is no variance.
    var_x = (local_mean(x * x) - mean_x**2).clamp(min=0)
    var_y = (local_mean(y * y) - mean_y**2).clamp(min=0)
    covariance = local_mean(x * y) - mean_x * mean_y
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    contrast = (2 * covariance + c2) / (var_x + var_y + c2)
    return (luminance * contrast).mean((1, 2, 3)), contrast.mean((1, 2, 3))


def _blurred(image: Tensor, window: int, sigma: float) -> Tensor:
    """Weighted mean in the window at each place where it lies in the image, rows then columns."""
    offsets = torch.arange(window, dtype=image.dtype, device=image.device) - window // 2
    weights = (-(offsets**2) / (2 * sigma**2)).exp()
    weights = weights / weights.sum()
    planes = image.reshape(-1, 1, *image.shape[2:])
    planes = F.conv2d(F.conv2d(planes, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))
    return planes.view(*image.shape[:2], *planes.shape[2:])
