"""Whether a long training takes more and more memory: whole runs of every recipe, 5,000 steps each.

Each run has all that a run has: evaluations, pictures, checkpoints, history and speed. The models
are tiny, so that a leak is large beside them, and each has a fresh process. After 1,000 steps of
warm-up memory is looked at every ten steps. What counts are the medians and the largest values of
the first and of the last 500 steps: neither may grow by more than 2 %.

On the CPU it is the resident set, which Linux tells; on CUDA what tensors take on the device.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from common.record import record

from genlearn.recipes import RECIPES
from genlearn.recipes.pixel_settings import MODELS
from genlearn.training import Callback, Training

STEPS, WARM_UP, WINDOW, EVERY = 5000, 1000, 500, 10
BAR = 0.02
STATE = Path("/proc/self/statm")

SHARED = {"steps": STEPS, "batch_size": 8, "evaluate_every": 250, "checkpoint_every": 250}
GAN = {"channels": (4, 8), "latent_dim": 8, "samples": 200, "judge_steps": 20}
PIXEL = {"features": 12, "layers": 2, "head": 12, "valid_images": 50}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "vae-mlp": ("vae", {"hidden": (16,), "latent_dim": 4}),
    "vae-conv": ("vae", {"network": "conv", "channels": (4, 8), "latent_dim": 4}),
    "vqvae": (
        "vqvae",
        {"channels": (4, 8), "codes": 16, "code_dim": 4, "prior_features": 8, "prior_steps": 100},
    ),
    "gan": ("gan", {**GAN, "penalty": "none"}),
    "gan-r1": ("gan", {**GAN, "penalty": "r1", "every": 2}),
    "gan-gp-repeat-2": ("gan", {**GAN, "penalty": "gp", "every": 1, "repeat": 2}),
    **dict.fromkeys(MODELS, ("pixel", PIXEL)),
}


class Watch(Callback):
    """Look at the memory now and then; put it last."""

    def __init__(self) -> None:
        self.seen: dict[int, int] = {}

    def after_step(self, training: Training) -> None:
        if training.step >= WARM_UP and training.step % EVERY == 0:
            device = training.objectives[0].parameters[0].device
            self.seen[training.step] = memory(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu", help="cpu, or cuda")
    parser.add_argument("--only", nargs="*", choices=CASES, help="cases; by default all")
    parser.add_argument("--case", choices=CASES, help="run this one here, and print its figures")
    options = parser.parse_args()
    if options.device == "cpu" and not STATE.exists():
        raise SystemExit("memory_flat: needs Linux, which tells the resident set")
    if options.case:
        print(json.dumps(measure(options.case, options.device)))
        return
    rows = []
    for name in options.only or CASES:
        command = [sys.executable, __file__, "--case", name, "--device", options.device]
        done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        rows.append(json.loads(done.stdout))
        print(json.dumps(rows[-1]), file=sys.stderr)
    worst = max(rows, key=lambda row: row["growth"])
    line = (
        f"from step {WARM_UP:,} to {STEPS:,} of {len(rows)} runs memory grows by "
        f"{worst['growth']:+.1%} at most, in {worst['name']} (bar {BAR:+.0%})"
    )
    numbers = {"bar": BAR, "steps": STEPS, "rows": rows}
    suffix = "" if options.device == "cpu" else f"_{options.device}"
    record(f"memory_flat{suffix}", line, numbers, device=options.device)


def measure(name: str, device: str) -> dict[str, Any]:
    """Run a case in this process; return its figures."""
    torch.set_num_threads(1)
    family, settings = CASES[name]
    recipe, watch = RECIPES[family], Watch()
    model = {"model": name} if family == "pixel" else {}
    config = recipe.config("digits", "quick", **model)
    config = replace(config, **SHARED, **settings, device=device, threads=1)
    train = recipe.train
    # The run asks its module for `train`: so all its own callbacks are there, and one more.
    recipe.train = lambda config, dataset, model, callbacks: train(
        config, dataset, model, (*callbacks, watch)
    )
    with tempfile.TemporaryDirectory() as folder:
        recipe.run(config, Path(folder) / "run")
    first = [watch.seen[step] for step in watch.seen if step < WARM_UP + WINDOW]
    last = [watch.seen[step] for step in watch.seen if step > STEPS - WINDOW]
    medians, largest = (
        [function(values) for values in (first, last)] for function in (statistics.median, max)
    )
    growth = max(after / before - 1 for before, after in (medians, largest))
    return {
        "name": name,
        "growth": round(growth, 5),
        "bytes_a_step": round((medians[1] - medians[0]) / (STEPS - WARM_UP - WINDOW), 1),
        "median_mb": [round(value / 1e6, 1) for value in medians],
        "largest_mb": [round(value / 1e6, 1) for value in largest],
    }


def memory(device: torch.device) -> int:
    """Bytes that are in use now."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    return int(STATE.read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
