"""What a second thread of the CPU brings to a training step, for models of different size.

Each model is trained by its recipe, on one thread and on two in turn, so that both meet the same
machine. Time is that on the clock, so nothing else may run, and two cores must be at hand. From
what came of it, ``genlearn.speed`` has its WORK_OF_TWO_THREADS.
"""

import argparse
import contextlib
import statistics
import time
from dataclasses import replace
from types import ModuleType
from typing import Any

import torch
from common.record import record

from genlearn import data, speed
from genlearn.recipes import gan, pixel, vae, vqvae
from genlearn.recipes.run_speed import work_of_a_step
from genlearn.training import Callback, Training

BLOCK = 0.3  # seconds on the same number of threads
CONV = {"network": "conv", "channels": (16, 32, 64), "batch_size": 64, "likelihood": "logistic"}
MLP = {"latent_dim": 20, "batch_size": 128, "pixel_features": 0, "likelihood": "gaussian"}
MODELS: dict[str, tuple[ModuleType, str, dict[str, Any]]] = {
    "vae, 8 x 8": (vae, "digits", {}),
    "vae 784-400-20, 28 x 28": (vae, "glyphs", MLP),
    "vae, 28 x 28": (vae, "glyphs", {}),
    "conv vae, 28 x 28": (vae, "glyphs", CONV),
    "vq-vae, 8 x 8": (vqvae, "digits", {}),
    "vq-vae, 28 x 28": (vqvae, "glyphs", {}),
    "gan, 8 x 8": (gan, "digits", {}),
    "gan, 28 x 28": (gan, "glyphs", {}),
    "gated-pixel-cnn, 8 x 8": (pixel, "digits", {"model": "gated-pixel-cnn"}),
    "pixel-lstm, 8 x 8": (pixel, "digits", {"model": "pixel-lstm"}),
    "row-lstm, 8 x 8": (pixel, "digits", {"model": "row-lstm"}),
    "transformer, 8 x 8": (pixel, "digits", {"model": "transformer"}),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--blocks", type=int, default=16, help=f"of {BLOCK} s, on each of the two")
    blocks = parser.parse_args().blocks

    models = {}
    for name, (recipe, of, options) in MODELS.items():
        models[name] = measure(recipe, of, options, blocks)
        print(f"{name:24}", models[name], flush=True)
    border = speed.WORK_OF_TWO_THREADS / 1e9
    gains = {
        side: [found["gain"] for found in models.values() if (found["gflop"] >= border) == side]
        for side in (True, False)
    }
    line = f"two threads for one, from {border:.2g} GFLOP a step on: {_range(gains[True])}"
    line += f"; below: {_range(gains[False])} (steps a second, medians of {blocks} blocks)"
    torch.set_num_threads(2)
    record("threads", line, {"border_gflop": border, "blocks": blocks, "models": models})


def _range(gains: list[float]) -> str:
    return f"{min(gains):.2f} to {max(gains):.2f} times as fast, {len(gains)} models"


class Enough(Exception):
    """All blocks are timed."""


class Turns(Callback):
    """Train on one thread and on two in turn, and take the time of either."""

    def __init__(self, blocks: int) -> None:
        self.blocks, self.steps, self.threads = blocks, 0, 1
        self.milliseconds: dict[int, list[float]] = {1: [], 2: []}

    def start(self, training: Training) -> None:
        torch.set_num_threads(1)
        self.begin(training)

    def begin(self, training: Training) -> None:
        self.first, self.began = training.step, time.perf_counter()

    def after_step(self, training: Training) -> None:
        steps, past = training.step - self.first, time.perf_counter() - self.began
        if not self.steps:  # how many a block has is found out first, on one thread
            if past > BLOCK and training.step > 2:
                self.steps = max(1, round(steps * BLOCK / past))
                self.begin(training)
            return
        if steps < self.steps:
            return
        self.milliseconds[self.threads].append(1000 * past / steps)
        if len(self.milliseconds[2]) == self.blocks:
            raise Enough
        self.threads = 3 - self.threads
        torch.set_num_threads(self.threads)
        self.begin(training)


def measure(
    recipe: ModuleType, name: str, options: dict[str, Any], blocks: int
) -> dict[str, float]:
    """Return the work of a step, its median time on one thread and on two, and their ratio."""
    model = {key: options[key] for key in options if key == "model"}
    config = replace(recipe.config(name, "quick", **model), **options)
    config = replace(config, steps=1_000_000, evaluate_every=1_000_000, device="cpu")
    dataset, turns = data.load(name), Turns(blocks)
    work = work_of_a_step(config, dataset, recipe.build, recipe.forward)
    with contextlib.suppress(Enough):
        built = recipe.build(config, dataset.shape, dataset.levels)
        recipe.train(config, dataset, built, (turns,))
    one, two = (statistics.median(turns.milliseconds[threads]) for threads in (1, 2))
    return {
        "gflop": float(f"{work / 1e9:.3g}"),
        "milliseconds_on_one": round(one, 3),
        "milliseconds_on_two": round(two, 3),
        "gain": round(one / two, 3),
    }


if __name__ == "__main__":
    main()
