"""The host and the device: what a training step may not do, so that neither waits for the other."""

import traceback
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from genlearn import data
from genlearn.recipes import RECIPES, bench
from genlearn.recipes.pixel_settings import MODELS
from genlearn.training import Callback

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
ENDLESS = 10**9
PIXEL = {"features": 12, "layers": 2, "head": 12}
CASES = {
    "vae": ("vae", {"hidden": (16,), "shift": 1.0, "moved": 0.5}),
    "vae-conv": ("vae", {"network": "conv", "channels": (4, 8)}),
    "vae-importance": ("vae", {"hidden": (16,), "codes": 3}),
    "vqvae": ("vqvae", {"channels": (4, 8), "codes": 16, "code_dim": 4}),
    "gan": ("gan", {"channels": (4, 8), "penalty": "none", "augment": "all"}),
    "gan-r1": ("gan", {"channels": (4, 8), "penalty": "r1", "every": 2}),
    "gan-resnet": (
        "gan",
        {"network": "resnet", "channels": (8, 8), "spectral": True, "penalty": "gp", "every": 1},
    ),
    **dict.fromkeys(MODELS, ("pixel", PIXEL)),
}


def train(name: str, device: str, steps: int, *callbacks: Callback) -> None:
    """Train the tiny model of a case."""
    recipe, settings = RECIPES[CASES[name][0]], CASES[name][1]
    config = recipe.config("digits", "quick", **({"model": name} if name in MODELS else {}))
    never = {"evaluate_every": ENDLESS, "checkpoint_every": ENDLESS}
    config = replace(config, **never, **settings, batch_size=8, steps=steps, device=device)
    digits = data.load("digits")
    recipe.train(config, digits, recipe.build(config, digits.shape, digits.levels), callbacks)


class Between(Callback):
    """Begin after the second step; end before the last, when the figures are read."""

    def __init__(self, steps: int, begin, end) -> None:
        self.steps, self.begin, self.end = steps, begin, end
        self.on = False

    def after_step(self, training) -> None:
        if training.step == 2:
            self.begin()
            self.on = True
        elif training.step == self.steps - 1:
            self.finish(training)

    def finish(self, training) -> None:
        if self.on:
            self.end()
        self.on = False


# --- on any machine ------------------------------------------------------------


class Handing(TorchDispatchMode):
    """Note where numbers go from the device to the host, or the other way."""

    def __init__(self) -> None:
        super().__init__()
        self.places: set[str] = set()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.overloadpacket.__name__
        masks = name == "index" and any(t is not None and t.dtype == torch.bool for t in args[1])
        if name in ("_local_scalar_dense", "lift_fresh", "nonzero", "equal", "is_nonzero") or masks:
            frames = traceback.extract_stack()
            ours = [f for f in frames if "/genlearn/" in f.filename.replace("\\", "/")]
            if not any("optim" in frame.filename for frame in frames) and ours:
                self.places.add(f"{ours[-1].name}: {ours[-1].line} ({name})")
        return operation(*args, **(kwargs or {}))


ON_THE_CPU_ALONE = ("check_images", "_check_scale", "_gather: chosen = nn.functional.one_hot")
"""Places that look at values only where the CPU has them."""


@pytest.mark.parametrize("name", CASES)
def test_a_step_hands_no_number_between_host_and_device(name):
    """On a GPU the host would wait, or be waited for."""
    mode = Handing()
    train(name, "cpu", 6, Between(6, mode.__enter__, lambda: mode.__exit__(None, None, None)))
    assert sorted(p for p in mode.places if not p.startswith(ON_THE_CPU_ALONE)) == []


# --- on CUDA -------------------------------------------------------------------


@needs_cuda
@pytest.mark.parametrize("name", CASES)
def test_the_host_waits_for_no_step_of_a_recipe(name):
    """PyTorch raises an error at any wait that this mode finds."""
    train(
        name,
        "cuda",
        12,
        Between(
            12,
            lambda: torch.cuda.set_sync_debug_mode("error"),
            lambda: torch.cuda.set_sync_debug_mode("default"),
        ),
    )


@needs_cuda
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_bench_measures_on_the_device(precision):
    (job,) = bench.jobs(["vae"], device="cuda", batch_size=8, precision=precision, threads=1)
    row = bench.measure(job, seconds=0.5)
    assert row["device"] == torch.cuda.get_device_name()
    assert row["memory_before_mb"] == 0 < row["peak_memory_mb"]
    assert 0 < row["seconds_a_step"] < 1
    assert row["not_counted"] == []
    # No step is faster than the ceilings of the same device, but for what its caches keep.
    assert row["flops_a_step"] / row["seconds_a_step"] < row["ceilings"]["flops"]


@needs_cuda
def test_memory_on_the_device_stays_as_it_is():
    seen = {}

    class Watch(Callback):
        def after_step(self, training):
            seen[training.step] = torch.cuda.memory_allocated()

    train("vae", "cuda", 300, Watch())
    assert seen[299] == seen[199]  # as far from a log point, where pending values are let go
