"""Differentiable augmentation: changes of images through which gradients pass.

A discriminator learns a small data set by heart. If it sees real and generated images only after
the same random changes, it has many more images to learn, and the generator's aim stays what it
was: equal distributions before the changes give equal ones after them. Because the changes are
differentiable, the generator learns through them.

Images are float, scaled to -1 … 1, of shape (N, C, H, W). What is moved in or cut out is 0, grey.

Source: Zhao et al. (2020), Differentiable Augmentation for Data-Efficient GAN Training,
arXiv 2006.10738.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F


def shift_images(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Move each image by whole pixels; 0 comes in at the border.

    Args:
        x: images, (N, C, H, W).
        down, right: int64, (N,); negative for up and left.
    """
    n, _, height, width = x.shape
    # Looked up in an image with a border of 0 of one pixel: what comes from beyond it, there.
    rows = torch.arange(height, device=x.device) - down.view(n, 1)
    columns = torch.arange(width, device=x.device) - right.view(n, 1)
    rows = (rows + 1).clamp(0, height + 1)[:, :, None]
    columns = (columns + 1).clamp(0, width + 1)[:, None, :]
    image = torch.arange(n, device=x.device)[:, None, None]
    return F.pad(x, (1, 1, 1, 1)).movedim(1, -1)[image, rows, columns].movedim(-1, 1)


def cut_out(x: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]) -> Tensor:
    """Set a rectangle of each image to 0.

    Args:
        x: images, (N, C, H, W).
        top, left: of the rectangle, int64, (N,); it may reach over the border.
        size: its height and width.
    """
    rows = torch.arange(x.shape[2], device=x.device) - top.view(-1, 1)
    columns = torch.arange(x.shape[3], device=x.device) - left.view(-1, 1)
    inside_rows = (rows >= 0) & (rows < size[0])
    inside_columns = (columns >= 0) & (columns < size[1])
    return x * ~(inside_rows[:, None, :, None] & inside_columns[:, None, None, :])


def brighten(x: Tensor, amount: Tensor) -> Tensor:
    """Add one number, (N,), to all values of an image."""
    return x + amount.view(-1, 1, 1, 1)


def contrast(x: Tensor, factor: Tensor) -> Tensor:
    """Multiply each image's distance from its own mean by a number, (N,)."""
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * factor.view(-1, 1, 1, 1)


def augmentation(
    shift: float = 0.125, cutout: float = 0.5, brightness: float = 0.5, contrasts: float = 0.5
) -> Callable[[Tensor], Tensor]:
    """Return a random change of images, drawn anew for each image at each call.

    For :class:`genlearn.models.GAN`, as ``augment``. The defaults are those of the paper (which
    also changes the saturation of colours, as this does not).

    Args:
        shift: largest shift, as a share of height and width; 0 for none.
        cutout: height and width of the rectangle that is cut out, as a share of the image's; its
            centre lies anywhere. 0 for none.
        brightness: an amount is drawn from -brightness … brightness.
        contrasts: a factor is drawn from 1 - contrasts … 1 + contrasts.

    Raises:
        ValueError: if a number is negative, or one but brightness above 1.
    """
    limits = {"shift": shift, "cutout": cutout, "brightness": brightness, "contrasts": contrasts}
    for name, value in limits.items():
        if not 0 <= value <= (float("inf") if name == "brightness" else 1):
            raise ValueError(f"{name} must be at least 0, and a share at most 1; got {value}")

    def augment(x: Tensor) -> Tensor:
        n, _, height, width = x.shape

        def evenly(reach: float) -> Tensor:
            return (2 * torch.rand(n, device=x.device) - 1) * reach

        def whole(low: int, high: int) -> Tensor:
            return torch.randint(low, high + 1, (n,), device=x.device)

        if brightness:
            x = brighten(x, evenly(brightness))
        if contrasts:
            x = contrast(x, 1 + evenly(contrasts))
        if shift:
            down, right = round(shift * height), round(shift * width)
            x = shift_images(x, whole(-down, down), whole(-right, right))
        if cutout:
            size = round(cutout * height), round(cutout * width)
            top = whole(0, height - 1) - size[0] // 2
            x = cut_out(x, top, whole(0, width - 1) - size[1] // 2, size)
        return x

    return augment
