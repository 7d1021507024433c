"""What the general training loop costs over a loop written by hand for one model.

Six models (``common/families.py``), and for each four programs that train the same networks, each
with its own copy of the weights:

fit         the library's model and loss in ``fit``
own loop    the library's model and loss in a loop written by hand
own again   the same once more: how far it is from "own loop" tells how sure the figures are
by hand     the networks, and nothing else of genlearn: batches, noise, bound or losses, penalty and
            updates written out (the folder ``by_hand``)

fit / own loop is what the loop costs; the bar is 3 %. fit / by hand is what the whole library
costs. The programs take turns of a few steps in one process, on one thread, so that all meet the
same machine. Images lie in memory as uint8 in all of them, and memory that was freed stays with the
process.
"""

import argparse
from collections.abc import Callable

import torch
from common.families import FAMILIES, Family
from common.record import record
from common.turns import Turns, compare, keep_memory

TURNS = 5  # of a program, whose times are added up to a block
BAR = 0.03


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=40, help=f"blocks of {TURNS} turns")
    parser.add_argument("--only", choices=FAMILIES, nargs="+", help="and record nothing")
    settings = parser.parse_args()

    torch.set_num_threads(1)
    keep_memory()
    numbers = {}
    for name in settings.only or FAMILIES:
        numbers[name] = measure(FAMILIES[name], settings.blocks)
        print(in_words(name, numbers[name]), flush=True)
    if settings.only:
        return
    loop = {name: costs["fit_over_own_loop"]["overhead"] for name, costs in numbers.items()}
    worst = max(loop, key=loop.get)
    each = ", ".join(f"{name} {cost:+.1%}" for name, cost in loop.items())
    line = (
        f"fit costs over a loop written by hand: {each}; bar {BAR:+.0%}, "
        f"{'kept' if loop[worst] <= BAR else f'not kept by {worst}'}"
    )
    rest = {"bar": BAR, "kept": loop[worst] <= BAR, "blocks": settings.blocks}
    record("fit_overhead", line, {"models": numbers, **rest})


def measure(make: Callable[[], Family], blocks: int) -> dict:
    """Train with all four programs in turn."""

    def new() -> Family:
        torch.manual_seed(0)
        return make()

    ours, images = new(), new().images()
    others = {
        "own loop": new().own_loop(images),
        "own again": new().own_loop(images),
        "by hand": new().by_hand(images),
    }
    turns = Turns(others, ours.turn, TURNS * ours.turn)
    steps = (blocks + 1) * turns.block
    ours.fit(ours.batches(images), steps, callbacks=[turns])
    seconds = turns.seconds()
    return {
        "fit_over_own_loop": compare(seconds["fit"], seconds["own loop"]),
        "own_loop_again_over_own_loop": compare(seconds["own again"], seconds["own loop"]),
        "fit_over_by_hand": compare(seconds["fit"], seconds["by hand"]),
        "milliseconds_a_step": turns.milliseconds_a_step(),
    }


def in_words(name: str, costs: dict) -> str:
    loop, again, library = (
        costs[key]["overhead"]
        for key in ("fit_over_own_loop", "own_loop_again_over_own_loop", "fit_over_by_hand")
    )
    return (
        f"{name}: fit {loop:+.1%} over the loop by hand (the same loop again {again:+.1%}); the "
        f"library {library:+.1%} over the program by hand; "
        f"{costs['milliseconds_a_step']['fit']:.1f} ms a step"
    )


if __name__ == "__main__":
    main()
