"""Moving images about: rotation, scaling, shift and reflection of levels.

A generator learns whatever it is fed, so these are no free lunch: a transformation that the data do
not show teaches the model images that do not exist (chapter 02).
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def affine(
    images: Tensor,
    *,
    angle: Tensor | float = 0.0,
    scale: Tensor | float = 1.0,
    shift: Tensor | tuple[float, float] = (0.0, 0.0),
    flip: Tensor | bool = False,
) -> Tensor:
    """Reflect, scale, rotate about the centre, then shift; eq-image-affine.

    Each output pixel is looked up, by bilinear interpolation, where it came from; beyond the border
    everything is 0. Values are rounded back to levels.

    Args:
        images: uint8 levels, (N, C, H, W).
        angle: degrees, anticlockwise; a number or shape (N,).
        scale: above 1 enlarges; a number or shape (N,).
        shift: pixels to the right and down; a pair or shape (N, 2).
        flip: exchange left and right; a bool or shape (N,).

    Returns:
        uint8, same shape and device.

    Raises:
        TypeError: if the images are not uint8.
        ValueError: if a scale is not above 0; of scales on another device than the CPU this is not
            asked, since the host would have to wait for the answer.
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"images must be uint8 levels, got {images.dtype}")
    n, _, height, width = images.shape
    _check_scale(scale)
    radians = _on_device(angle, images).expand(n) * (math.pi / 180)
    scale = _on_device(scale, images).expand(n)
    shift = _on_device(shift, images).expand(n, 2)
    mirror = 1 - 2 * _on_device(flip, images).expand(n)

    # The inverse map, from output to input, in pixels from the centre (x right, y down).
    cos, sin = radians.cos() / scale, radians.sin() / scale
    inverse = torch.stack([cos * mirror, -sin * mirror, sin, cos], dim=1).view(n, 2, 2)
    offset = -(inverse @ shift.unsqueeze(2))
    # PyTorch's grid runs from -1 to 1 along each axis, whatever its length in pixels.
    half = _on_device((width / 2, height / 2), images)
    theta = torch.cat([inverse * half / half.unsqueeze(1), offset / half.unsqueeze(1)], dim=2)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    moved = F.grid_sample(images.float(), grid, mode="bilinear", align_corners=False)
    return moved.round().to(torch.uint8)


def _check_scale(scale: Tensor | float) -> None:
    if isinstance(scale, Tensor):
        sound = scale.device.type != "cpu" or bool((scale > 0).all())
    else:
        sound = scale > 0
    if not sound:
        raise ValueError("scale must be above 0")


def _on_device(value: Tensor | float | tuple[float, ...], images: Tensor) -> Tensor:
    """A number, or several, as float32 where the images are.

    Plain ones are filled in there: the host of a GPU would wait for a tensor that is copied to it.
    """
    if isinstance(value, Tensor):
        return value.to(images.device, torch.float32)
    if isinstance(value, tuple):
        return torch.stack([_on_device(one, images) for one in value])
    return torch.full((), float(value), device=images.device)


def random_affine(
    images: Tensor,
    generator: torch.Generator,
    *,
    angle: float = 0.0,
    zoom: float = 1.0,
    shift: float = 0.0,
    flip: bool = False,
    share: float = 1.0,
) -> Tensor:
    """Move each image by its own random :func:`affine` map.

    Args:
        images: uint8 levels, (N, C, H, W).
        generator: where the random numbers come from, on the device of the images.
        angle: largest angle, degrees; drawn from -angle … angle.
        zoom: largest scale, at least 1; its logarithm is drawn evenly from both sides of 0.
        shift: largest shift, pixels, along each axis.
        flip: whether to reflect every other image, on average.
        share: of the images that are moved at all; the others stay as they are, bit for bit.

    Returns:
        uint8, same shape and device.
    """
    n, device = len(images), images.device

    def draw(*shape: int) -> Tensor:
        return torch.rand(n, *shape, generator=generator, device=device) * 2 - 1

    moved = affine(
        images,
        angle=angle * draw(),
        scale=(math.log(zoom) * draw()).exp(),
        shift=shift * draw(2),
        flip=(draw() > 0) if flip else False,
    )
    chosen = torch.rand(n, generator=generator, device=device) < share
    return torch.where(chosen.view(n, 1, 1, 1), moved, images)


def dequantise(images: Tensor, generator: torch.Generator) -> Tensor:
    """Add noise from [0, 1) to each level, so that a density makes sense; eq-image-dequantised.

    Args:
        images: uint8 levels, (N, C, H, W).
        generator: where the noise comes from, on the device of the images.

    Returns:
        float32, same shape; values in [0, levels).
    """
    noise = torch.rand(images.shape, generator=generator, device=images.device)
    return images + noise
