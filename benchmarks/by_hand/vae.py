"""VAEs by hand: the bound written out for the networks, and nothing else of genlearn."""

import math
from collections.abc import Iterator

import torch
from by_hand.loop import descend, shuffled
from torch import Tensor, nn
from torch.nn import functional as F


def black_and_white(
    encoder: nn.Module, decoder: nn.Module, images: Tensor, size: int
) -> Iterator[None]:
    """Bernoulli pixels."""

    def loss(x: Tensor) -> Tensor:
        x = x.float()
        z, rate = code(encoder, x * 2 - 1)
        logits = decoder(z).squeeze(-1)
        error = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
        return (error + rate) / len(x)

    return descend(nn.ModuleList([encoder, decoder]), loss, shuffled(images, size))


def grey_levels(
    encoder: nn.Module, decoder: nn.Module, images: Tensor, size: int, std: float = 0.5
) -> Iterator[None]:
    """Gaussian pixels with one learned width, on 256 levels made continuous by uniform noise."""
    model = nn.ModuleList([encoder, decoder])
    model.log_std = nn.Parameter(torch.tensor(math.log(std)))
    width = 2 / 256
    constant = 0.5 * math.log(2 * math.pi) - math.log(width)

    def loss(x: Tensor) -> Tensor:
        x = x.float()
        z, rate = code(encoder, x * (2 / 255) - 1)
        mean = decoder(z).squeeze(-1)
        square = F.mse_loss(mean, (x + 0.5) * width - 1, reduction="sum")
        values = x.numel()
        error = 0.5 * (square + values * width**2 / 12) * (-2 * model.log_std).exp()
        error = error + values * (model.log_std + constant)
        return (error + rate) / len(x)

    return descend(model, loss, shuffled(images, size))


def code(encoder: nn.Module, scaled: Tensor) -> tuple[Tensor, Tensor]:
    """Codes of a batch, (N, L), and the sum of their rates."""
    mean, log_std = encoder(scaled).chunk(2, 1)
    std = log_std.exp()
    z = mean + std * torch.randn_like(mean)
    return z, (mean.square() + std.square() - 1 - 2 * log_std).sum() / 2
