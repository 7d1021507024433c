"""What each fast setting brings over a lean loop written by hand, in float32.

Six models (``common/families.py``). For each, programs take turns of a few steps in one process, on
one thread, each with its own copy of the weights:

by hand         the networks, and nothing else of genlearn: batches, noise, losses and updates
                written out, in float32 (the folder ``by_hand``)
plain           the library's losses in a loop by hand, with no fast setting
one setting     the same, with that alone: "fused" (Adam in one pass over the weights),
                "channels-last" (the features of a place side by side in memory), "bf16" (networks
                in bfloat16 by autocast), "compile" (networks compiled in place, but for those that
                a gradient penalty differentiates twice, which cannot be)
fit             the library's own loop, with all settings that alone saved at least 2 % of "plain"

The speed of each is by hand / program: above 1 it is the faster one. On a processor with AMX, whose
tiles multiply matrices of bfloat16, there is a bar for "fit". On another one figures are reported
alone. Time is that of the thread on the processor; compiling is left out of it and told apart.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Collection
from time import perf_counter

import torch
from common.families import FAMILIES, SWITCHES, Family
from common.processor import bf16_support
from common.record import record
from common.turns import Turns, take_turns

from genlearn.training import fit

BARS = {
    "MLP VAE": 1.5,
    "conv VAE": 2.7,
    "DCGAN": 4.5,
    "WGAN-GP, MLP": 1.6,
    "WGAN-GP, conv": 4.0,
    "Gated PixelCNN": 1.35,
}
TURNS = 3  # of a program, whose times are added up to a block
WORTH_IT = 1.02  # of a single setting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=15, help=f"blocks of {TURNS} turns")
    parser.add_argument("--only", choices=FAMILIES, nargs="+", help="and record nothing")
    settings = parser.parse_args()

    torch.set_num_threads(1)
    support = bf16_support()
    numbers = {}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache  # nothing is compiled beforehand
        for name in settings.only or FAMILIES:
            numbers[name] = measure(FAMILIES[name], settings.blocks)
            print(in_words(name, numbers[name]), flush=True)
    if settings.only:
        return
    speed = {name: figures["speed"]["fit"] for name, figures in numbers.items()}
    each = ", ".join(f"{name} {factor:.2f}" for name, factor in speed.items())
    line = f"fit with fast settings, times as fast as a lean float32 loop by hand: {each}"
    kept = None
    if support == "AMX":
        kept = all(speed[name] >= bar for name, bar in BARS.items())
        line += f"; bars on AMX {'kept' if kept else 'not kept'}"
    else:
        line += f"; the bars are for a processor with AMX, this one has {support}: reported alone"
    rest = {"bars_on_amx": BARS, "kept": kept, "bf16_support": support}
    record("fast_settings", line, {"models": numbers, **rest, "threads": 1})


def measure(make: Callable[[], Family], blocks: int) -> dict:
    """Train a model plainly, with each setting, and with those that help."""

    def new() -> Family:
        torch.manual_seed(0)
        return make()

    torch.compiler.reset()  # it compiles one and the same function for a few networks only
    images, turn = new().images(), new().turn
    block = TURNS * turn
    programs = {"by hand": new().by_hand(images), "plain": new().own_loop(images)}
    programs |= {switch: new().own_loop(images, {switch}) for switch in SWITCHES}
    began = perf_counter()
    next(programs["compile"]), next(programs["compile"])
    compiling = perf_counter() - began
    times = take_turns(programs, turn, block, blocks)
    steps = {name: statistics.median(values) / block for name, values in times.items()}
    compiling -= 2 * steps["compile"]
    speed = {name: steps["by hand"] / seconds for name, seconds in steps.items()}
    chosen = [name for name in SWITCHES if steps["plain"] / steps[name] >= WORTH_IT]

    turns = Turns({"by hand": new().by_hand(images)}, turn, block)
    train(new(), images, chosen, (blocks + 1) * block, turns)
    together = turns.milliseconds_a_step()
    speed["fit"] = together["by hand"] / together["fit"]
    return {
        "speed": {name: round(factor, 3) for name, factor in speed.items()},
        "fit_settings": chosen,
        "milliseconds_a_step": {name: round(1000 * seconds, 3) for name, seconds in steps.items()}
        | {"fit": together["fit"], "by hand beside fit": together["by hand"]},
        "seconds_to_compile": round(compiling, 1),
    }


def train(
    family: Family, images: torch.Tensor, switches: Collection[str], steps: int, *callbacks
) -> None:
    """Call ``fit`` with fast settings."""
    family.prepare(switches)
    precision = "bf16" if "bf16" in switches else "fp32"
    options = {"precision": precision, "device": "cpu", "callbacks": callbacks}
    fit(family.networks, family.objectives(switches), family.batches(images), steps, **options)


def in_words(name: str, figures: dict) -> str:
    speed = {key: value for key, value in figures["speed"].items() if key not in ("by hand", "fit")}
    each = ", ".join(f"{key} {value:.2f}" for key, value in speed.items())
    return (
        f"{name}: {each}; fit with {' + '.join(figures['fit_settings']) or 'none'} "
        f"{figures['speed']['fit']:.2f}; {figures['milliseconds_a_step']['by hand']:.1f} ms a step "
        f"by hand; {figures['seconds_to_compile']:.0f} s to compile"
    )


if __name__ == "__main__":
    main()
