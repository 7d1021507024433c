"""What the general training loop costs over a loop written by hand for one model.

Three programs train the same VAE (784-400-20-400-784, batches of 128 binary images) for the same
number of steps, one after the other, again and again in one process, so that all meet the same
machine:

by hand     nothing of genlearn: layers, bound, order of the data and updates written out
own loop    the library's model and loss in the loop written by hand
fit         the library's model and loss in ``fit``

fit / own loop is what the loop costs; fit / by hand is what the library costs. Data lie in memory
as uint8 in all three. The bar is 3 % for both.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from common.record import record
from torch import Tensor, nn
from torch.nn import functional as F

from genlearn.data import Batches, Split
from genlearn.models import VAE
from genlearn.training import Objective, fit

PIXELS, HIDDEN, LATENT, BATCH = 784, 400, 20, 128
BAR = 0.03


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="training steps a measurement")
    parser.add_argument("--repeats", type=int, default=15, help="measurements of each program")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    images = (torch.rand(60_000, 1, 28, 28, generator=generator) < 0.3).to(torch.uint8)
    programs: dict[str, Callable[[Tensor, int], None]] = {
        "by hand": by_hand,
        "own loop": own_loop,
        "fit": with_fit,
    }
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for repeat in range(-1, arguments.repeats):  # the first round warms up
        names = list(programs)
        for name in names if repeat % 2 else reversed(names):
            began = time.perf_counter()
            programs[name](images, arguments.steps)
            if repeat >= 0:
                seconds[name].append(time.perf_counter() - began)

    loop, library = (compare(seconds["fit"], seconds[name]) for name in ("own loop", "by hand"))
    step = statistics.median(seconds["fit"]) / arguments.steps * 1000
    line = (
        f"fit costs {loop['overhead']:+.1%} over the loop written by hand, the library "
        f"{library['overhead']:+.1%} over a program without it (bar: {BAR:+.0%}; "
        f"{step:.2f} ms a step, medians of {arguments.repeats})"
    )
    numbers = {
        "bar": BAR,
        "fit_over_own_loop": loop,
        "fit_over_by_hand": library,
        "milliseconds_a_step": {
            name: round(statistics.median(values) / arguments.steps * 1000, 4)
            for name, values in seconds.items()
        },
        "threads": 1,
    }
    record("fit_overhead", line, numbers)


def compare(ours: list[float], theirs: list[float]) -> dict[str, float]:
    """Ratio of medians less one, and the quartiles of the ratio over the rounds."""
    low, _, high = statistics.quantiles([a / b for a, b in zip(ours, theirs, strict=True)], n=4)
    return {
        "overhead": round(statistics.median(ours) / statistics.median(theirs) - 1, 4),
        "first_quartile": round(low - 1, 4),
        "third_quartile": round(high - 1, 4),
    }


def by_hand(images: Tensor, steps: int) -> None:
    encoder = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, 2 * LATENT))
    decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.SiLU(), nn.Linear(HIDDEN, PIXELS))

    def loss(x: Tensor) -> Tensor:
        x = x.flatten(1).float()
        mean, log_std = encoder(x * 2 - 1).chunk(2, dim=1)
        z = mean + log_std.exp() * torch.randn_like(mean)
        error = F.binary_cross_entropy_with_logits(decoder(z), x, reduction="sum")
        rate = (mean.square() + (2 * log_std).exp() - 1 - 2 * log_std).sum() / 2
        return (error + rate) / len(x)

    descend(nn.ModuleList([encoder, decoder]), loss, images, steps)


def own_loop(images: Tensor, steps: int) -> None:
    vae = new_vae()
    descend(vae, lambda x: -vae.elbo(x).mean(), images, steps)


def with_fit(images: Tensor, steps: int) -> None:
    vae = new_vae()
    adam = torch.optim.Adam(vae.parameters(), lr=1e-3)
    objective = Objective("vae", lambda step: -vae.elbo(*step.batch).mean(), adam)
    batches = Batches(Split(images, None, 2), BATCH)
    fit({"vae": vae}, [objective], batches, steps, device="cpu")


def new_vae() -> VAE:
    return VAE.mlp((1, 28, 28), 2, latent_dim=LATENT, hidden=(HIDDEN,))


def descend(model: nn.Module, loss: Callable[[Tensor], Tensor], images: Tensor, steps: int) -> None:
    """The loop written by hand: shuffled epochs, Adam, the mean loss read every 50 steps."""
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)
    order, place, total = torch.randperm(len(images)), 0, torch.zeros(())
    for step in range(steps):
        if place + BATCH > len(images):
            order, place = torch.randperm(len(images)), 0
        x = images[order[place : place + BATCH]]
        place += BATCH
        adam.zero_grad(set_to_none=True)
        value = loss(x)
        value.backward()
        adam.step()
        total += value.detach()
        if (step + 1) % 50 == 0:
            total.item()
            total.zero_()


if __name__ == "__main__":
    main()
