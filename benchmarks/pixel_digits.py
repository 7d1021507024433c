"""How well each model that reads pixels in order learns the digits: test nats, three seeds each.

Each row is one run of the recipe ``pixel`` with its profile ``full``: trained on rows 0 to 999 of
the data, chosen on the 350 behind them, judged on the other 447. The likelihood is exact, over 17
levels. The settings were chosen on the validation split with seed 0.

A row is kept as soon as it is there, with its own commit. Called again, the script makes the rows
that are missing and those of other settings. ``--only`` names models, ``--seeds`` says how many
there are to be of each. The last rows, which ``--mixtures`` makes, are mixtures: the mean of the
probabilities that several of these models give to an image.

Time is that of the one thread on the processor, for the whole run, judging and samples included:
other programs, which were running, disturb it little. Time on the clock stands beside it.
"""

import argparse
import itertools
import json
import math
import shutil
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from time import process_time
from typing import Any

import torch
from common.record import ROOT, commit_of_code, record
from torch import Tensor

from genlearn import data
from genlearn.metrics import bits_per_dim, mean_over
from genlearn.models import PixelModel
from genlearn.recipes import pixel

NAME = "pixel_digits"
FILE = ROOT / "benchmarks" / "results" / f"{NAME}.json"
SPLITS = ("valid", "test")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=pixel.MODELS, choices=pixel.MODELS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs" / NAME, help="their folders")
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no run after them")
    parser.add_argument("--mixtures", action="store_true", help="only make the rows of mixtures")
    options = parser.parse_args()

    torch.set_num_threads(1)
    rows = recorded()
    if options.mixtures:
        write(rows, mixtures(rows, options.runs))
        return
    for seed, model in itertools.product(range(options.seeds), options.only):
        config = replace(pixel.config("digits", "full", model), seed=seed)
        settings = json.loads(json.dumps(asdict(config)))
        if rows.get((model, seed), {}).get("settings") == settings:
            continue
        if process_time() > 60 * options.minutes:
            print("to be continued")
            break
        folder = options.runs / f"{model}-seed{seed}"
        shutil.rmtree(folder, ignore_errors=True)  # of an interrupted run, or of other settings
        commit = commit_of_code()
        began = process_time()
        result = pixel.run(config, folder)
        seconds = round(process_time() - began, 1)
        rows[model, seed] = {
            **row_of(folder, result),
            "thread_seconds": seconds,
            "commit": commit,
            "settings": settings,
        }
        write(rows, [])


def row_of(folder: Path, result: dict[str, Any]) -> dict[str, Any]:
    """Return what is kept of one run."""
    lines = (folder / "history.jsonl").read_text(encoding="utf-8").splitlines()
    validated = [row for row in map(json.loads, lines) if "valid/loss" in row]
    environment = json.loads((folder / "environment.json").read_text(encoding="utf-8"))
    settings = pixel.config("digits", "full", result["model"])
    return {
        "model": result["model"],
        "seed": int(folder.name.rpartition("seed")[2]),
        "parameters": result["parameters"],
        "steps": settings.steps,
        "best_step": min(validated, key=lambda row: row["valid/loss"])["step"],
        **{split: result[split] for split in SPLITS},
        "clock_seconds": environment["seconds"],
    }


def mixtures(rows: dict[tuple[str, int], dict[str, Any]], runs: Path) -> list[dict[str, Any]]:
    """Judge mixtures of the seeds of each model, and of all models; each has its own row."""
    digits, found = data.load("digits"), []
    parts: dict[str, list[PixelModel]] = {}
    for model, seed in rows:
        parts.setdefault(model, []).append(pixel.load(runs / f"{model}-seed{seed}"))
    parts["all"] = [model for models in parts.values() for model in models]
    for name, models in parts.items():
        if len(models) == 1:
            continue
        figures = {}
        for split in SPLITS:
            images = getattr(digits, split)
            log_prob = mean_over(models[0], images, log_mean_probability(models))
            figures[split] = {
                "negative_log_likelihood_nats": round(-log_prob.mean, 3),
                "standard_error": round(log_prob.standard_error, 3),
                "bits_per_dim": round(bits_per_dim(log_prob.mean, models[0]), 4),
                "images": log_prob.images,
            }
        found.append({"mixture_of": name, "models": len(models), **figures})
    return found


def log_mean_probability(models: Sequence[PixelModel]) -> Callable[[Tensor], Tensor]:
    """Return the function x → log of the mean of p(x), (N,), over models."""

    def log_prob(x: Tensor) -> Tensor:
        each = torch.stack([model.log_prob(x).double() for model in models])
        return each.logsumexp(0) - math.log(len(models))

    return log_prob


def recorded() -> dict[tuple[str, int], dict[str, Any]]:
    """Return the rows on disk."""
    if not FILE.exists():
        return {}
    rows = json.loads(FILE.read_text(encoding="utf-8"))["rows"]
    return {(row["model"], row["seed"]): row for row in rows}


def write(rows: dict[tuple[str, int], dict[str, Any]], mixed: list[dict[str, Any]]) -> None:
    """Write all rows in the order of the models; say the mean over seeds and their range."""
    ordered = [rows[key] for key in sorted(rows, key=lambda key: (pixel.MODELS.index(key[0]), key))]
    summary, said = {}, []
    for model, group in itertools.groupby(ordered, key=lambda row: row["model"]):
        mine = list(group)
        nats = [row["test"]["negative_log_likelihood_nats"] for row in mine]
        summary[model] = {
            "seeds": len(nats),
            "mean": round(statistics.mean(nats), 3),
            "least": min(nats),
            "most": max(nats),
            "most_thread_seconds": max(row["thread_seconds"] for row in mine),
        }
        said.append(f"{model} {statistics.mean(nats):.2f} ({min(nats):.2f} … {max(nats):.2f})")
    line = "digits, test nats per image, mean and range over seeds: " + "; ".join(said)
    numbers = {
        "command": f"python benchmarks/{NAME}.py",
        "test_nats": summary,
        "rows": ordered,
        "mixtures": mixed,
    }
    record(
        NAME,
        line,
        numbers,
        seeds=sorted({row["seed"] for row in ordered}),
        seconds=sum(row["clock_seconds"] for row in ordered),
        seconds_note="the sum of all rows",
    )


if __name__ == "__main__":
    main()
