"""GANs by hand: losses, penalty and both updates written out, and nothing else but the networks.

Images as numbers from -1 to 1. The generator holds still where the critic moves, and the other way
round.
"""

from collections.abc import Iterator

import torch
from by_hand.loop import READ, shuffled
from torch import Tensor, nn
from torch.nn import functional as F

RATE, BETAS = 2e-4, (0.5, 0.999)
CRITIC_UPDATES, PENALTY_WEIGHT = 5, 10.0


def non_saturating(
    generator: nn.Module, discriminator: nn.Module, latent: int, images: Tensor, size: int
) -> Iterator[None]:
    """One update of either player a step; real and generated images in batches of their own."""
    batches = shuffled(images, size)
    theirs, mine = adam(generator), adam(discriminator)
    weights, weights_of_d = list(generator.parameters()), list(discriminator.parameters())
    step, total = 0, torch.zeros(2)
    while True:
        mine.zero_grad()
        real = next(batches).float() * (2 / 255) - 1
        with torch.no_grad():
            fake = generator(torch.randn(size, latent))
        loss = F.softplus(-discriminator(real)).mean() + F.softplus(discriminator(fake)).mean()
        loss.backward(inputs=weights_of_d)
        mine.step()

        theirs.zero_grad()
        gain = F.softplus(-discriminator(generator(torch.randn(size, latent)))).mean()
        gain.backward(inputs=weights)
        theirs.step()

        total += torch.stack([loss.detach(), gain.detach()])
        step += 1
        if step % READ == 0:
            total.tolist()
            total.zero_()
        yield


def wgan_gp(
    generator: nn.Module, critic: nn.Module, latent: int, images: Tensor, size: int
) -> Iterator[None]:
    """Five updates of the critic a step, each with the gradient penalty."""
    batches = shuffled(images, size)
    theirs, mine = adam(generator), adam(critic)
    weights, weights_of_critic = list(generator.parameters()), list(critic.parameters())
    step, total = 0, torch.zeros(2)
    while True:
        for _ in range(CRITIC_UPDATES):
            mine.zero_grad()
            real = next(batches).float() * (2 / 255) - 1
            with torch.no_grad():
                fake = generator(torch.randn(size, latent))
            real_scores, fake_scores = critic(torch.cat([real, fake])).chunk(2)
            share = torch.rand(size, 1, 1, 1)
            between = (share * real + (1 - share) * fake).requires_grad_()
            (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalty = (torch.linalg.vector_norm(slope.flatten(1), dim=1) - 1).square().mean()
            loss = fake_scores.mean() - real_scores.mean() + PENALTY_WEIGHT * penalty
            loss.backward(inputs=weights_of_critic)
            mine.step()
            total[0] += loss.detach()

        theirs.zero_grad()
        gain = -critic(generator(torch.randn(size, latent))).mean()
        gain.backward(inputs=weights)
        theirs.step()
        total[1] += gain.detach()
        step += 1
        if step % READ == 0:
            total.tolist()
            total.zero_()
        yield


def adam(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(module.parameters(), RATE, BETAS)
