"""What the general training loop costs over a loop written by hand for one model.

Four programs train the same VAE (784-400-20-400-784, batches of 128 binary images), each with its
own copy of the weights:

fit         the library's model and loss in ``fit``
own loop    the library's model and loss in a loop written by hand
own again   the same once more: how far it is from "own loop" tells how sure the figures are
by hand     nothing of genlearn: layers, bound, order of the data and updates written out

fit / own loop is what the loop costs; the bar is 3 %. fit / by hand is what the whole library
costs: most of it are the objects of torch.distributions, which check and compute a little more than
formulas written out. The programs take turns of ten steps in one process, so that all meet the same
machine. Data lie in memory as uint8 in all of them.
"""

import argparse
from collections.abc import Callable, Iterator

import torch
from common.record import record
from common.turns import Turns, blots, compare
from torch import Tensor, nn
from torch.nn import functional as F

from genlearn.data import Batches, Split
from genlearn.models import VAE
from genlearn.training import Objective, fit

PIXELS, HIDDEN, LATENT, BATCH = 784, 400, 20, 128
TURN = 10  # steps of one program before the next has its turn
BLOCK = 50  # steps that are timed together; fit reads its losses once in as many
BAR = 0.03


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=40, help=f"blocks of {BLOCK} steps")
    blocks = parser.parse_args().blocks

    torch.set_num_threads(1)
    images = blots(60_000)
    others = {"own loop": own_loop(images), "own again": own_loop(images)}
    turns = Turns({**others, "by hand": by_hand(images)}, TURN, BLOCK)
    with_fit(images, (blocks + 1) * BLOCK, turns)
    seconds, steps = turns.seconds(), turns.milliseconds_a_step()

    loop = compare(seconds["fit"], seconds["own loop"])
    again = compare(seconds["own again"], seconds["own loop"])
    library = compare(seconds["fit"], seconds["by hand"])
    line = (
        f"fit costs {loop['overhead']:+.1%} over a loop written by hand (bar {BAR:+.0%}; the same "
        f"loop again {again['overhead']:+.1%}); the library {library['overhead']:+.1%} over a "
        f"program without it; {steps['fit']:.2f} ms a step, medians of {blocks} x {BLOCK} steps"
    )
    numbers = {
        "bar": BAR,
        "fit_over_own_loop": loop,
        "own_loop_again_over_own_loop": again,
        "fit_over_by_hand": library,
        "milliseconds_a_step": steps,
        "threads": 1,
    }
    record("fit_overhead", line, numbers)


def with_fit(images: Tensor, steps: int, turns: Turns) -> None:
    vae = new_vae()
    adam = torch.optim.Adam(vae.parameters(), lr=1e-3)
    objective = Objective("vae", lambda step: -vae.elbo(*step.batch).mean(), adam)
    batches = Batches(Split(images, None, 2), BATCH)
    fit({"vae": vae}, [objective], batches, steps, device="cpu", callbacks=[turns])


def own_loop(images: Tensor) -> Iterator[None]:
    vae = new_vae()
    return descend(vae, lambda x: -vae.elbo(x).mean(), images)


def by_hand(images: Tensor) -> Iterator[None]:
    encoder = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 2 * LATENT))
    decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, PIXELS))

    def loss(x: Tensor) -> Tensor:
        x = x.flatten(1).float()
        mean, log_std = encoder(x * 2 - 1).chunk(2, dim=1)
        z = mean + log_std.exp() * torch.randn_like(mean)
        error = F.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
        rate = (mean.square() + (2 * log_std).exp() - 1 - 2 * log_std).sum() / 2
        return (error + rate) / len(x)

    return descend(nn.ModuleList([encoder, decoder]), loss, images)


def new_vae() -> VAE:
    return VAE.mlp((1, 28, 28), 2, latent_dim=LATENT, hidden=(HIDDEN,))


def descend(model: nn.Module, loss: Callable[[Tensor], Tensor], images: Tensor) -> Iterator[None]:
    """The loop written by hand: shuffled epochs, Adam, the mean loss read once a block."""
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    order, place, step, total = torch.randperm(len(images)), 0, 0, torch.zeros(())
    while True:
        if place + BATCH > len(images):
            order, place = torch.randperm(len(images)), 0
        x = images[order[place : place + BATCH]]
        place += BATCH
        adam.zero_grad(set_to_none=True)
        value = loss(x)
        value.backward()
        adam.step()
        total += value.detach()
        step += 1
        if step % BLOCK == 0:
            total.item()
            total.zero_()
        yield


if __name__ == "__main__":
    main()
