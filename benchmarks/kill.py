"""Fifty runs that are disturbed at random moments, and then go on.

A VAE, a GAN and a model of pixels in order are trained again and again. Each run is killed, or told
to end, or its disk is full, or its folder or its checkpoints are removed: at a random moment, every
second time while a file is half-written. Then it goes on. No file may be torn at any time, and in
the end all files of the run must be those of a run that was left alone, byte by byte: weights,
optimisers, history, figures and pictures. Only a removed folder may lack pictures from before.
"""

import argparse
import random
import tempfile
from collections import Counter
from pathlib import Path

from common.disturbed import KINDS, RECIPES, disturb, torn, train
from common.record import record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50, help="how many are disturbed")
    parser.add_argument("--seed", type=int, default=0, help="of kinds and moments")
    arguments = parser.parse_args()

    rng = random.Random(arguments.seed)
    cases = [(recipe, kind) for recipe in RECIPES for kind in KINDS]
    outcomes = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for recipe in RECIPES:
            assert train(recipe, folder / recipe).wait() == 0
            assert not torn(folder / recipe)
        for number in range(arguments.runs):
            if number % len(cases) == 0:
                rng.shuffle(cases)
            recipe, kind = cases[number % len(cases)]
            run = folder / f"run-{number}"
            outcome = disturb(recipe, kind, run, folder / recipe, rng, bool(number % 2))
            outcomes.append(outcome)
            print(*outcome)

    bad = sum(bool(outcome.torn) for outcome in outcomes)
    different = sum(bool(outcome.different) for outcome in outcomes)
    line = (
        f"{len(outcomes)} runs disturbed at random moments: all went on, {bad} had a torn file, "
        f"{different} ended with other files than a run left alone"
    )
    numbers = {
        "runs": len(outcomes),
        "with_torn_files": bad,
        "with_other_files_in_the_end": different,
        "kinds": dict(Counter(outcome.kind for outcome in outcomes)),
        "while_writing": sum(outcome.while_writing for outcome in outcomes),
        "from_a_checkpoint": sum(outcome.step > 0 for outcome in outcomes),
        "outcomes": [outcome._asdict() for outcome in outcomes],
        "seed": arguments.seed,
    }
    record("kill", line, numbers)
    if bad or different:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
