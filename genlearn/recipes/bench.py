"""Measure a training step of each recipe: time, arithmetic, memory, and the ceilings of a device.

Each model is measured in a fresh process, so that its memory is its own. The ceilings are measured
in each of these, right behind the steps; those of the table are the highest that were seen.
"""

import json
import math
import os
import pickle
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import torch
from tqdm import tqdm

import genlearn
from genlearn import data
from genlearn.bench import Ceilings, Cost, CountSteps, Stopwatch, measure_ceilings
from genlearn.devices import cpu_name, device_name, pick_device
from genlearn.errors import GenlearnError, RunError
from genlearn.recipes import RECIPES
from genlearn.recipes.pixel_settings import MODELS
from genlearn.recipes.run_folder import source_commit
from genlearn.recipes.run_speed import speed_of_run
from genlearn.recipes.settings import Settings
from genlearn.speed import peak_memory
from genlearn.training import Callback

FORMAT = 1
FILE = "bench.json"
ENDLESS = 10**9  # steps: a stopwatch ends the training


@dataclass(frozen=True)
class Job:
    """A model to be measured."""

    name: str
    """As the table has it: of the recipe, or of one of its models."""
    recipe: str
    config: Settings


def jobs(
    names: Sequence[str] = (),
    *,
    data: str = "digits",
    profile: str | None = None,
    **changes: Any,
) -> list[Job]:
    """Return what is to be measured.

    Args:
        names: of recipes, or of models of the recipe ``pixel``; none: of all recipes that have
            settings for the data set.
        data: name of the data set.
        profile: "quick" or "full"; by default what the variable GENLEARN_PROFILE says, or quick.
        changes: settings that all of them get; None: as it is.

    Raises:
        RunError: if there is no such name, or no settings for the data set.
    """
    known = {name: (name,) for name in RECIPES if name != "pixel"} | {"pixel": MODELS}
    known |= {model: (model,) for model in MODELS}
    for name in names:
        if name not in known:
            raise RunError(f"there is no recipe or model {name!r}; there are: {', '.join(known)}")
    changes = {name: value for name, value in changes.items() if value is not None}
    found, reason = [], None
    for name in dict.fromkeys(sum((known[name] for name in names or RECIPES), ())):
        recipe = RECIPES["pixel" if name in MODELS else name]
        try:
            config = recipe.config(data, profile, **({"model": name} if name in MODELS else {}))
        except RunError as error:
            if names:
                raise
            reason = error
        else:
            found.append(Job(name, recipe.NAME, replace(config, **changes)))
    if not found:
        raise reason
    return found


def measure(job: Job, seconds: float = 3.0, steps: int = 0) -> dict[str, Any]:
    """Measure a model in this process.

    Args:
        job: what to measure.
        seconds: to be spent on the steps that are timed, about.
        steps: to be timed instead; 0: as many as fit.

    Returns:
        What a row of bench.json holds, but for what needs the ceilings of all rows.
    """
    recipe, device = RECIPES[job.recipe], pick_device(job.config.device)
    config = replace(job.config, steps=ENDLESS, evaluate_every=ENDLESS, patience=0)
    dataset, period = data.load(config.data), _period(config)
    before = peak_memory(device)

    def train(config: Settings, watcher: Callback) -> None:
        model = recipe.build(config, dataset.shape, dataset.levels)
        recipe.train(config, dataset, model, (watcher,))

    speed = speed_of_run(config, device, dataset, recipe.build, recipe.forward)
    torch.set_num_threads(speed.threads)
    train(config, watch := Stopwatch(seconds, period, steps, config.batch_size, device))
    timing, memory = watch.timing, peak_memory(device)
    # What is compiled cannot be counted.
    train(replace(config, compile=False), count := CountSteps(period, skip=period))
    cost = count.cost()
    ceilings = measure_ceilings(str(device), speed.precision, min(0.5, seconds / 6))
    low, high = timing.quartiles
    return {
        "name": job.name,
        "recipe": job.recipe,
        "speed": str(speed),
        "precision": speed.precision,
        "channels_last": speed.channels_last,
        "compile": speed.compile,
        "threads": speed.threads,
        "batch_size": config.batch_size,
        "parameters": count.parameters,
        "warm_up": timing.warm_up,
        "steps": timing.steps * len(timing.seconds),
        "blocks": len(timing.seconds),
        "seconds_a_step": timing.seconds_a_step,
        "first_quartile": low,
        "third_quartile": high,
        "processor_share": timing.processor_seconds / sum(timing.seconds),
        "images_a_step": timing.images / timing.steps,
        "images_a_second": timing.images_a_second,
        "flops_a_step": cost.flops,
        "bytes_a_step": cost.bytes,
        "not_counted": list(cost.unknown),
        "peak_memory_mb": _number(memory),
        "memory_before_mb": _number(before),
        "ceilings": ceilings._asdict(),
        "device": device_name(device),
    }


def measured(
    work: Sequence[Job],
    *,
    seconds: float = 3.0,
    steps: int = 0,
    fresh: bool = True,
    progress: bool = False,
) -> Iterator[dict[str, Any]]:
    """Measure one model after the other; after each, give what bench.json holds so far.

    A model that cannot be measured, for want of memory perhaps, is named and passed over.

    Args:
        work: what to measure.
        seconds, steps: as for :func:`measure`.
        fresh: measure each in a process of its own; else in this one.
        progress: show a bar on standard error, if that is a terminal.

    Raises:
        TrainingError: if there is no such device.
    """
    for job in work[:1]:
        pick_device(job.config.device)
    began, commit, rows, failed = time.perf_counter(), source_commit(), [], {}
    one = _in_fresh_process if fresh else measure
    bar = tqdm(work, "measuring", disable=None if progress else True, leave=False)
    for job in bar:
        bar.set_postfix_str(job.name)
        try:
            rows.append(one(job, seconds, steps))
        except (GenlearnError, torch.OutOfMemoryError) as error:
            failed[job.name] = " ".join(str(error).split())
        ceilings = _ceilings(rows)
        yield {
            "format": FORMAT,
            "command": " ".join(["genlearn", *sys.argv[1:]]),
            "commit": commit,
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "seconds": round(time.perf_counter() - began, 1),
            "device": rows[0]["device"] if rows else "",
            "machine": {
                "cpu": cpu_name(),
                "cores": os.cpu_count(),
                "system": platform.system(),
            },
            "versions": {
                "genlearn": genlearn.__version__,
                "python": platform.python_version(),
                "torch": torch.__version__,
            },
            "data": job.config.data,
            "profile": job.config.profile,
            "ceilings": {name: found._asdict() for name, found in ceilings.items()},
            "rows": [_finished(row, ceilings[row["precision"]]) for row in rows],
            "not_measured": failed,
        }


def _ceilings(rows: Sequence[dict[str, Any]]) -> dict[str, Ceilings]:
    """The highest ceilings that were seen, by precision; a copy has none."""
    found: dict[str, Ceilings] = {}
    for row in rows:
        mine = Ceilings(**row["ceilings"])
        found[row["precision"]] = found.get(row["precision"], mine).highest(mine)
    copy = max((ceilings.bytes for ceilings in found.values()), default=0.0)
    return {name: ceilings._replace(bytes=copy) for name, ceilings in found.items()}


def _finished(row: dict[str, Any], ceilings: Ceilings) -> dict[str, Any]:
    """A row with what the ceilings tell of it, and without its own measurement of them."""
    cost, seconds = Cost(row["flops_a_step"], row["bytes_a_step"], {}), row["seconds_a_step"]
    return {
        **{name: value for name, value in row.items() if name not in ("ceilings", "device")},
        "intensity": cost.intensity,
        "flops_a_second": cost.flops / seconds,
        "share_of_product": cost.flops / seconds / ceilings.flops,
        "share_of_copy": cost.bytes / seconds / ceilings.bytes,
        "bound": ceilings.bound(cost),
        "share_of_bound": ceilings.least_seconds(cost) / seconds,
    }


def _number(value: float) -> float | None:
    """None for nan, which JSON does not know."""
    return None if math.isnan(value) else round(value, 1)


def _period(config: Settings) -> int:
    """Steps until the same work comes again: a GAN may take its penalty seldom."""
    return config.every if getattr(config, "penalty", "none") != "none" else 1


# --- in a fresh process ----------------------------------------------------------


def _in_fresh_process(job: Job, seconds: float, steps: int) -> dict[str, Any]:
    # A group of its own: an interruption from the keyboard reaches this process alone.
    child = subprocess.Popen(
        [sys.executable, "-m", "genlearn.recipes.bench"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0 if os.name == "posix" else None,
    )
    try:
        said, _ = child.communicate(pickle.dumps((job, seconds, steps)))
    finally:
        child.kill()
        child.wait()
    answer = json.loads(said) if said else {}
    if child.returncode or "row" not in answer:
        why = answer.get("refused") or f"its process ended with exit code {child.returncode}"
        raise RunError(why)
    return answer["row"]


def _main() -> None:
    """Measure the job on standard input; write a row, or why there is none."""
    job, seconds, steps = pickle.load(sys.stdin.buffer)
    try:
        answer = {"row": measure(job, seconds, steps)}
    except (GenlearnError, torch.OutOfMemoryError) as error:
        answer = {"refused": " ".join(str(error).split())}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    _main()
