"""What each fast setting brings over a lean loop written by hand, in float32.

Six models (``common/families.py``). For each, programs take turns of a few steps in one process, on
one thread, each with its own copy of the weights:

by hand         the networks, and nothing else of genlearn: batches, noise, losses and updates
                written out, in float32 (the folder ``by_hand``)
plain           the library's losses in a loop by hand, with no fast setting
one setting     the same, with that alone: "fused" (Adam in one pass over the weights),
                "channels-last" (the features of a place side by side in memory, for convolutions),
                "bf16" (networks in bfloat16 by autocast), "compile" (networks compiled in place,
                but for a critic whose gradient is penalised: it cannot be)
several         all that alone saved at least 2 %, and these with each of the others added, and
                with each of themselves left out
fit             the library's own loop, with the fastest of all these choices

Speed is the time by hand over the time of a program: above 1 it is the faster one. On a processor
with AMX, whose tiles multiply matrices of bfloat16, there is a bar for "fit". On another one the
figures are reported alone. Time is that of the one thread; compiling is left out of it, and told
apart. Whether what is learned is as good is the question of ``fast_quality.py``.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable, Sequence
from time import perf_counter

import torch
from common.families import FAMILIES, SWITCHES, Family
from common.processor import bf16_support
from common.record import record
from common.turns import Turns, keep_memory, take_turns

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
    keep_memory()
    support = bf16_support()
    numbers = {}
    with tempfile.TemporaryDirectory() as cache:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = cache  # nothing is compiled beforehand
        for name in settings.only or FAMILIES:
            numbers[name] = measure(FAMILIES[name], settings.blocks)
            print(in_words(name, numbers[name]), flush=True)
    if settings.only:
        return
    speed = {name: figures["fit"]["speed"] for name, figures in numbers.items()}
    each = ", ".join(f"{name} {factor:.2f}" for name, factor in speed.items())
    line = f"fit with fast settings, times as fast as a lean float32 loop by hand: {each}"
    kept = None
    if support == "AMX":
        kept = all(speed[name] >= bar for name, bar in BARS.items())
        line += f"; bars on AMX {'kept' if kept else 'not kept'}"
    else:
        line += f"; the bars are for a processor with AMX, this one has {support}: reported alone"
    rest = {"bars_on_amx": BARS, "kept": kept, "bf16_support": support}
    record("fast_settings", line, {"models": numbers, **rest})


def measure(make: Callable[[], Family], blocks: int) -> dict:
    """Time the settings alone, then several of them, then the fastest choice in ``fit``."""

    def new() -> Family:
        torch.manual_seed(0)
        return make()

    def timed(*choices: Sequence[str]) -> dict[str, float]:
        """Speeds over the loop by hand, which takes turns with them."""
        torch.compiler.reset()  # it compiles one function for a few networks only
        programs = {"by hand": new().by_hand(images)}
        programs |= {" + ".join(c) or "plain": new().own_loop(images, c) for c in choices}
        times = take_turns(programs, turn, TURNS * turn, blocks)
        return {name: speed(times["by hand"], own) for name, own in times.items()}

    images, turn = new().images(), new().turn
    switches = [name for name in SWITCHES if name != "channels-last" or new().is_convolutional]
    seconds_to_compile = first_steps(new().own_loop(images, ("compile",)))
    alone = timed((), *[(name,) for name in switches])
    helping = {name for name in switches if alone[name] >= WORTH_IT * alone["plain"]}
    choices = [helping, *[helping ^ {name} for name in switches]]
    several = timed(*[tuple(name for name in switches if name in choice) for choice in choices])
    every = {name: factor for name, factor in (alone | several).items() if name != "by hand"}
    chosen = max(every, key=every.get)

    torch.compiler.reset()
    turns = Turns({"by hand": new().by_hand(images)}, turn, TURNS * turn)
    ours, steps = new(), (blocks + 1) * turns.block
    options = () if chosen == "plain" else chosen.split(" + ")
    ours.fit(ours.batches(images), steps, options, [turns])
    times = turns.seconds()
    return {
        "speed": every,
        "fit": {"settings": chosen, "speed": speed(times["by hand"], times["fit"])},
        "milliseconds_a_step": turns.milliseconds_a_step(),
        "seconds_to_compile": round(seconds_to_compile, 1),
    }


def speed(by_hand: list[float], own: list[float]) -> float:
    """Median over the blocks of how many times as fast a program is."""
    return round(statistics.median(b / a for a, b in zip(own, by_hand, strict=True)), 3)


def first_steps(program) -> float:
    """Seconds on the clock of two steps, in which networks are compiled, less those of two more."""
    marks = [perf_counter()]
    for _ in range(2):
        next(program), next(program)
        marks.append(perf_counter())
    return (marks[1] - marks[0]) - (marks[2] - marks[1])


def in_words(name: str, figures: dict) -> str:
    each = ", ".join(f"{key} {value:.2f}" for key, value in figures["speed"].items())
    return (
        f"{name}: {each}; fit with {figures['fit']['settings']} {figures['fit']['speed']:.2f}; "
        f"{figures['milliseconds_a_step']['by hand']:.1f} ms a step by hand; "
        f"{figures['seconds_to_compile']:.0f} s to compile"
    )


if __name__ == "__main__":
    main()
