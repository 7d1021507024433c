"""Every family of models at one parameter count and one training time, on the digits.

Each run is a process of its own: it trains one model for so many steps that they take 30 seconds
of one thread, judges its likelihood or bound, draws 5,000 images and keeps them. In the order of
work:

    python benchmarks/head_to_head.py --calibrate   steps a family does in the time
    python benchmarks/head_to_head.py --tune        two learning rates, on the validation split
    python benchmarks/head_to_head.py               the runs; those that are there are not repeated
    python benchmarks/head_to_head.py --slice       a short run, for the book to repeat
    python benchmarks/head_to_head.py --measure     figures of the images that were kept

Runs are kept in runs/head_to_head, one file each with its own commit, and the last command joins
them. Seeds fix weights, batches and noise; steps, not seconds, end a run, so that it can be
repeated. A second series, of models trained on 50 images, goes with the first.

Times are of one thread on the processor. Memory is what a process holds at most beyond what it
held when libraries and data were loaded.
"""

import argparse
import datetime
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
from common.record import ROOT, commit_of_code
from contest import memory
from contest.families import CLASSES, FAMILIES, Entry, make
from torch import Tensor

from genlearn import data
from genlearn.metrics import frechet_distance
from genlearn.recipes.judge import train_judge

NAME = "head_to_head"
SECONDS = 30.0
SAMPLES = 5000
RATES = (1.0, 2.0)
TUNED_SHARE = 0.25  # of the time, for each learning rate that is tried
SMALL = ("vae-conv", "gan-r1", "pixel-cnn")  # the families of the second series
SIZES = (50,)
CODES = 100  # for an estimate of log p(x) by importance sampling
PARTS = ("images", "labels")
NEAR = 12.0  # nats below the best label, beyond which a label's share of p(x) is left out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / NAME)
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--tune", action="store_true")
    parser.add_argument("--slice", action="store_true")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--only", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=math.inf, help="begin no run after them")
    parser.add_argument("--one", nargs=3, metavar=("FAMILY", "SEED", "IMAGES"), help="a run alone")
    options = parser.parse_args()

    torch.set_num_threads(1)
    folder = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    if options.calibrate:
        write(folder / "calibration.json", calibrated(options.only, folder))
    elif options.tune:
        write(folder / "tuned.json", tuned(options.only, folder))
    elif options.slice:
        write(folder / "slice.json", short_run(folder))
    elif options.measure:
        from contest.measure import measure

        measure(folder)
    elif options.one:
        family, seed, images = options.one
        run(folder, family, int(seed), int(images))
    else:
        every(folder, options.only, options.seeds, options.minutes)


def calibrated(families: list[str], folder: Path) -> dict[str, Any]:
    """Say for each family how many steps take the time."""
    digits, found = data.load("digits"), read(folder / "calibration.json")
    for family in families:
        if family in found:
            continue
        make(family, steps=20).train(digits)  # what is done once is not counted
        steps, times = 100, []
        for seed in (100, 101):
            entry = make(family, steps=steps, seed=seed)
            began = process_time()
            entry.train(digits)
            times.append(process_time() - began)
        each = min(times) / steps
        rounded = 20 * round(SECONDS / each / 20)
        found[family] = {"milliseconds_per_step": round(1000 * each, 3), "steps": rounded}
        print(family, found[family], flush=True)
        write(folder / "calibration.json", found)
    return found


def tuned(families: list[str], folder: Path) -> dict[str, Any]:
    """Choose between two learning rates on the validation split, each in a quarter of the time.

    What chooses is the likelihood or bound; for a GAN the Fréchet distance of 2,000 images to the
    validation split, in features of a classifier.
    """
    digits, found = data.load("digits"), read(folder / "tuned.json")
    calibration, judge = read(folder / "calibration.json"), None
    for family in families:
        figures = found.get(family, {}).get("figures", {})
        for rate in RATES:
            if str(rate) in figures:
                continue
            steps = round(TUNED_SHARE * calibration[family]["steps"])
            entry = make(family, steps=steps, rate=rate, seed=100)
            entry.train(digits)
            if entry.log_prob is None:
                judge = judge or train_judge(digits)
                with torch.no_grad():
                    real = judge.features(digits.valid.images)
                    fake = judge.features(draw(entry, 2000, 0))
                figure = frechet_distance(fake, real)
            else:
                figure = -nats(entry, digits.valid, repeats=2)["without_label"].mean().item()
            figures[str(rate)] = round(figure, 3)
            best = min(figures, key=figures.get)
            mine = {family: {"figures": figures, "rate": float(best)}}
            found = read(folder / "tuned.json") | mine
            write(folder / "tuned.json", found)
        print(family, found[family], flush=True)
    return found


def short_run(folder: Path) -> dict[str, Any]:
    """Train one family for a few hundred steps: so short that a chapter can repeat it."""
    family, steps, digits = "pixel-lstm", 300, data.load("digits")
    commit, rate = commit_of_code(), read(folder / "tuned.json")[family]["rate"]
    entry = make(family, steps=steps, rate=rate)
    began = process_time()
    entry.train(digits)
    figure = -nats(entry, digits.test)["without_label"].mean().item()
    return {
        "family": family,
        "steps": steps,
        "seed": 0,
        "test_without_label_nats": round(figure, 3),
        "thread_seconds": round(process_time() - began, 1),
        "commit": commit,
    }


def every(folder: Path, families: list[str], seeds: int, minutes: float) -> None:
    """Make the runs that are missing, each in a process of its own."""
    began = time.monotonic()
    for seed in range(seeds):
        runs = [(family, 1000) for family in families]
        runs += [(family, size) for family in families if family in SMALL for size in SIZES]
        for family, images in runs:
            if time.monotonic() - began > 60 * minutes:
                print("to be continued")
                return
            claim = folder / f"{name_of(family, seed, images)}.claim"
            try:  # so that two series beside each other share the work
                os.close(os.open(claim, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                continue
            words = [sys.executable, __file__, "--folder", str(folder)]
            command = [*words, "--one", family, str(seed), str(images)]
            if subprocess.run(command, check=False).returncode:
                claim.unlink()
                raise SystemExit(f"{family}, seed {seed}, {images} images: the run failed")


def run(folder: Path, family: str, seed: int, images: int) -> None:
    """Train, judge and draw; leave one .json and one .npz."""
    digits = few(data.load("digits"), images, seed)
    steps = read(folder / "calibration.json")[family]["steps"]
    rate = read(folder / "tuned.json")[family]["rate"]
    commit, clock = commit_of_code(), time.monotonic()
    before = memory.begin()
    entry = make(family, steps=steps, rate=rate, seed=seed)
    began = process_time()
    entry.train(digits)
    training = process_time() - began
    row: dict[str, Any] = {
        "family": family,
        "seed": seed,
        "train_images": images,
        "steps": steps,
        "rate": rate,
        "parameters_to_sample": entry.parameters_to_sample,
        "parameters_in_training": entry.parameters_in_training,
        "training_thread_seconds": round(training, 2),
        "training_peak_mib": beyond(before),
    }
    before, began = memory.begin(), process_time()
    drawn = draw(entry, 1000, seed)
    row["sampling_thread_seconds_per_1000"] = round(process_time() - began, 4)
    row["sampling_peak_mib"] = beyond(before)
    arrays = {"images": torch.cat([drawn, draw(entry, SAMPLES - 1000, seed + 1)]).numpy()}
    if entry.log_prob is not None:
        row["exact"] = entry.exact
        seen = replace(digits.train, **{part: getattr(digits.train, part)[:400] for part in PARTS})
        for name, split in {"train": seen, "test": digits.test}.items():
            for kind, values in nats(entry, split).items():
                arrays[f"{name}_{kind}"] = values.float().numpy()
    row |= {
        "clock_seconds": round(time.monotonic() - clock, 1),
        "command": " ".join(["python", f"benchmarks/{NAME}.py", "--one", family, *sys.argv[-2:]]),
        "commit": commit,
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d"),
        "settings": entry.settings,
    }
    name = name_of(family, seed, images)
    np.savez_compressed(folder / f"{name}.npz", **arrays)
    write(folder / f"{name}.json", row)
    print(name, row["training_thread_seconds"], row["clock_seconds"], flush=True)


def few(digits: data.Dataset, images: int, seed: int) -> data.Dataset:
    """Keep so many training images, equally many of each class, and as large a share of others.

    Which ones they are, the seed says. The validation split shrinks too: nobody who has 50 images
    has 350 more to choose by.
    """
    train = digits.train
    if images == len(train):
        return digits
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    rows = [order[train.labels[order] == label][: images // CLASSES] for label in range(CLASSES)]
    rows = torch.cat(rows)
    valid = digits.valid
    kept = slice(round(len(valid) * images / len(train)))
    return replace(
        digits,
        train=replace(train, images=train.images[rows], labels=train.labels[rows]),
        valid=replace(valid, images=valid.images[kept], labels=valid.labels[kept]),
    )


def draw(entry: Entry, n: int, seed: int, at_once: int = 500) -> Tensor:
    """Draw n images whose labels take turns, 0, 1, 2 …; uint8, (n, 1, 8, 8)."""
    torch.manual_seed(1000 + seed)
    labels = torch.arange(n) % CLASSES
    with torch.no_grad():
        return torch.cat([entry.draw(part) for part in labels.split(at_once)])


@torch.no_grad()
def nats(entry: Entry, split: data.Split, repeats: int = 4) -> dict[str, Tensor]:
    """Return log p(x | label) and log p(x), all labels equally likely; bounds for some; (N,)."""
    torch.manual_seed(0)
    repeats = 1 if entry.exact else repeats
    each = []
    for label in range(CLASSES):
        labels = torch.full((len(split),), label)
        draws = [entry.log_prob(split.images, labels).double() for _ in range(repeats)]
        each.append(torch.stack(draws).mean(0))
    by_label = torch.stack(each, 1)  # (N, classes)
    found = {
        "given_label": by_label.gather(1, split.labels[:, None]).squeeze(1),
        "without_label": by_label.logsumexp(1) - math.log(CLASSES),
    }
    if entry.log_weights is not None and split.name.endswith("test"):
        found["importance"] = importance(entry.log_weights, split.images, by_label)
    return found


def importance(
    log_weights: Callable[[Tensor, Tensor, int], Tensor], images: Tensor, by_label: Tensor
) -> Tensor:
    """Estimate log p(x) with 100 codes for each label that counts; on average it lies below."""
    image, label = (by_label > by_label.max(1, keepdim=True).values - NEAR).nonzero().T
    parts = []
    for some, labels in zip(image.split(20), label.split(20), strict=True):
        weights = log_weights(images[some], labels, CODES).double()
        parts.append(weights.logsumexp(0) - math.log(CODES))
    table = torch.full_like(by_label, -math.inf)
    table[image, label] = torch.cat(parts)
    return table.logsumexp(1) - math.log(CLASSES)


def beyond(before: float | None) -> float | None:
    """Return the memory held at most since ``before`` was taken, beyond it, in MiB."""
    return None if before is None else round(memory.most() - before, 1)


def name_of(family: str, seed: int, images: int) -> str:
    return f"{family}-{images}-seed{seed}"


def read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def write(file: Path, content: dict[str, Any]) -> None:
    temporary = file.with_suffix(".part")
    temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    temporary.replace(file)


if __name__ == "__main__":
    main()
