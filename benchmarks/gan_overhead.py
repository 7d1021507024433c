"""What the general training loop costs a GAN over a loop written by hand.

Two kinds of GAN learn images of 28 × 28, batches of 64. "dcgan": both networks with batch
normalisation, the non-saturating loss, one update of either player a step. "wgan-gp": no
normalisation in the critic, five updates of it a step, each with the gradient penalty. For each of
the two, three programs train the same networks, each with its own copy of the weights:

fit         the library's model, losses and penalty in ``fit``
by hand     the networks of the library, and nothing else of it: batches, noise, losses, penalty
            and updates written out, the generator still where the critic moves and the other way
            round, the losses read once a block
by hand 2   the same once more: how far it is from "by hand" tells how sure the figures are

fit / by hand is what a user pays for the library; the bar is 3 %.
"""

import argparse
from collections.abc import Callable, Iterator

import torch
from common.record import record
from common.turns import Turns, blots, compare
from torch import Tensor, nn
from torch.nn import functional as F

from genlearn.data import Batches, Split
from genlearn.losses import ADVERSARIAL_LOSSES, interpolates, unit_gradient_penalty
from genlearn.models import GAN
from genlearn.training import Objective, fit

SHAPE, LEVELS, LATENT, BATCH = (1, 28, 28), 2, 64, 64
RATE, BETAS = 2e-4, (0.5, 0.999)
REPEATS, WEIGHT = 5, 10.0
TURN = {"dcgan": 5, "wgan-gp": 1}  # steps of one program before the next has its turn
BLOCK = {"dcgan": 25, "wgan-gp": 5}  # steps that are timed together
BAR = 0.03


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=24, help="blocks of 25 and of 5 steps")
    blocks = parser.parse_args().blocks

    torch.set_num_threads(1)
    images = blots(60_000)
    numbers, parts = {}, []
    for kind in ("dcgan", "wgan-gp"):
        others = {name: by_hand(kind, images) for name in ("by hand", "by hand 2")}
        turns = Turns(others, TURN[kind], BLOCK[kind])
        with_fit(kind, images, (blocks + 1) * BLOCK[kind], turns)
        seconds, steps = turns.seconds(), turns.milliseconds_a_step()
        loop = compare(seconds["fit"], seconds["by hand"])
        again = compare(seconds["by hand 2"], seconds["by hand"])
        numbers[kind] = {
            "fit_over_by_hand": loop,
            "by_hand_again_over_by_hand": again,
            "milliseconds_a_step": steps,
        }
        parts.append(
            f"{kind} {loop['overhead']:+.1%} (the same loop again {again['overhead']:+.1%}; "
            f"{steps['fit']:.1f} ms a step)"
        )
    line = f"fit costs over a loop written by hand, bar {BAR:+.0%}: " + ", ".join(parts)
    record("gan_overhead", line, {"bar": BAR, "blocks": blocks, **numbers, "threads": 1})


def new_gan(kind: str) -> GAN:
    torch.manual_seed(0)
    if kind == "dcgan":
        return GAN.dcgan(SHAPE, LEVELS, latent_dim=LATENT)
    pair = ADVERSARIAL_LOSSES["wasserstein"]
    return GAN.dcgan(SHAPE, LEVELS, latent_dim=LATENT, normalise=("batch", "none"), loss=pair)


def adam(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(module.parameters(), RATE, BETAS)


def with_fit(kind: str, images: Tensor, steps: int, turns: Turns) -> None:
    gan = new_gan(kind)

    def penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
        return WEIGHT * unit_gradient_penalty(critic, interpolates(real, fake))

    def judge(step):
        return gan.discriminator_loss(step, penalty if kind == "wgan-gp" else None)

    repeat = REPEATS if kind == "wgan-gp" else 1
    objectives = [
        Objective("discriminator", judge, adam(gan.discriminator), repeat=repeat),
        Objective("generator", gan.generator_loss, adam(gan.generator)),
    ]
    batches = Batches(Split(images, None, LEVELS), BATCH)
    options = {"log_every": turns.block, "device": "cpu", "callbacks": [turns]}
    fit(gan.players, objectives, batches, steps, **options)


def by_hand(kind: str, images: Tensor) -> Iterator[None]:
    gan = new_gan(kind)
    generator, discriminator = gan.generator.train(), gan.discriminator.train()
    turn = a_step_of_wgan_gp if kind == "wgan-gp" else a_step_of_dcgan
    return turn(generator, discriminator, shuffled(images), BLOCK[kind])


def a_step_of_dcgan(
    generator: nn.Module, discriminator: nn.Module, batch: Callable[[], Tensor], block: int
) -> Iterator[None]:
    theirs, mine = adam(generator), adam(discriminator)
    weights, weights_of_d = list(generator.parameters()), list(discriminator.parameters())
    step, total = 0, torch.zeros(2)
    while True:
        mine.zero_grad(set_to_none=True)
        with torch.no_grad():
            fake = generator(torch.randn(BATCH, LATENT))
        loss = F.softplus(-discriminator(batch())).mean() + F.softplus(discriminator(fake)).mean()
        loss.backward(inputs=weights_of_d)
        mine.step()

        theirs.zero_grad(set_to_none=True)
        gain = F.softplus(-discriminator(generator(torch.randn(BATCH, LATENT)))).mean()
        gain.backward(inputs=weights)
        theirs.step()

        total += torch.stack([loss.detach(), gain.detach()])
        step += 1
        if step % block == 0:
            total.tolist()
            total.zero_()
        yield


def a_step_of_wgan_gp(
    generator: nn.Module, critic: nn.Module, batch: Callable[[], Tensor], block: int
) -> Iterator[None]:
    theirs, mine = adam(generator), adam(critic)
    weights, weights_of_critic = list(generator.parameters()), list(critic.parameters())
    step, total = 0, torch.zeros(2)
    while True:
        for _ in range(REPEATS):
            mine.zero_grad(set_to_none=True)
            real = batch()
            with torch.no_grad():
                fake = generator(torch.randn(BATCH, LATENT))
            real_scores, fake_scores = critic(torch.cat([real, fake])).chunk(2)
            share = torch.rand(BATCH, 1, 1, 1)
            between = (share * real + (1 - share) * fake).requires_grad_()
            (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
            penalty = (torch.linalg.vector_norm(slope.flatten(1), dim=1) - 1).square().mean()
            loss = fake_scores.mean() - real_scores.mean() + WEIGHT * penalty
            loss.backward(inputs=weights_of_critic)
            mine.step()
            total[0] += loss.detach()

        theirs.zero_grad(set_to_none=True)
        gain = -critic(generator(torch.randn(BATCH, LATENT))).mean()
        gain.backward(inputs=weights)
        theirs.step()
        total[1] += gain.detach()
        step += 1
        if step % block == 0:
            total.tolist()
            total.zero_()
        yield


def shuffled(images: Tensor) -> Callable[[], Tensor]:
    """Batches of shuffled epochs, as numbers from -1 to 1."""

    def endless() -> Iterator[Tensor]:
        while True:
            order = torch.randperm(len(images))
            for place in range(0, len(images) - BATCH + 1, BATCH):
                yield 2 * images[order[place : place + BATCH]].float() / (LEVELS - 1) - 1

    return endless().__next__


if __name__ == "__main__":
    main()
