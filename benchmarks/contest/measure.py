"""The second pass of the head-to-head: figures of the images that runs have left."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common.record import ROOT, commit_of_code, record
from contest.baselines import BASELINES
from contest.families import CLASSES, FAMILIES
from torch import Tensor

from genlearn import data
from genlearn.metrics import frechet_distance
from genlearn.metrics.kernel_distance import kernel_distance
from genlearn.metrics.memorisation import memorisation
from genlearn.metrics.precision_recall import density_coverage, precision_recall
from genlearn.recipes.judge import accuracy, train_judge

SHOWN = 30  # images of each family that are kept with the record


class Measures:
    """What samples are held against: the digits, and features of a classifier of them."""

    def __init__(self) -> None:
        self.digits = data.load("digits")
        self.judge = train_judge(self.digits)
        self.train, self.test = (self.features(s.images) for s in self.splits)

    @property
    def splits(self) -> tuple[data.Split, data.Split]:
        return self.digits.train, self.digits.test

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """The classifier's features before its last layer, (N, 64)."""
        return torch.cat([self.judge.features(part) for part in images.split(500)])

    def figures(
        self, images: Tensor, labels: Tensor, trained_on: Tensor, seed: int
    ) -> dict[str, float]:
        """Return all figures of samples.

        Precision, recall, density and coverage compare equal numbers: the samples are cut into
        parts as large as the test split, and the mean over the parts is taken.

        Args:
            images: samples, uint8, (N, 1, 8, 8).
            labels: what each was asked to be, (N,).
            trained_on: the images that the model has seen.
            seed: of the classifier that is trained on the samples.
        """
        features, test = self.features(images), self.test
        kernel = kernel_distance(features, test)
        parts = [part for part in features.split(len(test)) if len(part) == len(test)][:5]
        near = [precision_recall(test, part, resamples=2) for part in parts]
        dense = [density_coverage(test, part, resamples=2) for part in parts]
        pixels = [
            x.flatten(1).double() for x in (trained_on, self.digits.test.images, images[:1000])
        ]
        with torch.no_grad():
            right = torch.cat([self.judge.classify(part) for part in images.split(500)]) == labels
        taught = replace(
            self.digits, train=data.Split(images, labels, self.digits.levels, "samples")
        )
        found = {
            "frechet_distance": frechet_distance(features, test),
            "frechet_distance_to_train": frechet_distance(features, self.train),
            "kernel_distance": kernel.value,
            "kernel_standard_error": kernel.standard_error,
            "precision": mean([p.precision.value for p in near]),
            "recall": mean([p.recall.value for p in near]),
            "density": mean([d.density.value for d in dense]),
            "coverage": mean([d.coverage.value for d in dense]),
            "nearer_to_training_images": memorisation(*pixels, resamples=2).nearer.value,
            "label_agreement": right.double().mean().item(),
            "classification_accuracy_score": accuracy(
                train_judge(taught, steps=300, seed=seed), self.digits.test
            ),
        }
        return {name: rounded(value) for name, value in found.items()}


def measure(folder: Path) -> None:
    """Make the figures that are missing, and write the record."""
    from head_to_head import few, read, write  # which has called this

    measures = Measures()
    rows, shown = [], {}
    for file in sorted(folder.glob("*-seed*.json")):
        row = read(file)
        arrays = np.load(file.with_suffix(".npz"))
        images = torch.from_numpy(arrays["images"])
        kept = folder / "figures" / file.name
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            trained_on = few(measures.digits, row["train_images"], row["seed"]).train.images
            labels = torch.arange(len(images)) % CLASSES
            figures = measures.figures(images, labels, trained_on, row["seed"])
            write(kept, {**figures, "commit": commit_of_code()})
            print(file.stem, figures["frechet_distance"], flush=True)
        figures = read(kept)
        figures["measured_at"] = figures.pop("commit")
        likelihood = {
            f"{name}_nats": rounded(-arrays[name].mean().item())
            for name in arrays.files
            if name != "images"
        }
        if "test_without_label" in arrays.files:
            values = arrays["test_without_label"]
            likelihood["test_standard_error"] = rounded(values.std(ddof=1) / math.sqrt(len(values)))
        rows.append({**row, **likelihood, **figures})
        if row["seed"] == 0:
            shown[f"{row['family']}-{row['train_images']}"] = arrays["images"][:SHOWN]
    order = list(FAMILIES)
    rows.sort(key=lambda r: (-r["train_images"], order.index(r["family"]), r["seed"]))
    settings = {}
    for row in rows:
        settings.setdefault(row["family"], row.pop("settings"))
        row.pop("settings", None)
    references, pictures = baselines(measures, folder)
    np.savez_compressed(
        ROOT / "benchmarks" / "results" / "head_to_head_samples.npz", **shown, **pictures
    )
    whole = [row for row in rows if row["train_images"] == len(measures.digits.train)]
    by_family = {
        family: [row["frechet_distance"] for row in mine]
        for family, mine in itertools.groupby(whole, key=lambda row: row["family"])
    }
    said = "; ".join(f"{family} {mean(mine):.2f}" for family, mine in by_family.items())
    numbers = {
        "command": "python benchmarks/head_to_head.py",
        "features": "digits classifier, 64 features, seed 0",
        "test_images": len(measures.digits.test),
        "judge_accuracy": rounded(accuracy(measures.judge, measures.digits.test)),
        "calibration": read(folder / "calibration.json"),
        "tuned": read(folder / "tuned.json"),
        "slice": read(folder / "slice.json"),
        "settings": json.loads(json.dumps(settings)),
        "rows": rows,
        "references": references,
    }
    record(
        "head_to_head",
        f"digits, Fréchet distance, mean over seeds: {said}",
        numbers,
        seeds=sorted({row["seed"] for row in rows}),
        seconds=sum(row["clock_seconds"] for row in rows),
        seconds_note="training and sampling, the sum of all rows",
    )


def baselines(measures: Measures, folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Return rows of the models that nobody would use, and of the training images themselves."""
    from head_to_head import read, write

    digits, rows, pictures = measures.digits, [], {}
    train = digits.train

    def figures(name: str, seed: int, images: Tensor, labels: Tensor) -> dict[str, float]:
        kept = folder / "figures" / f"{name.replace(' ', '-')}-{seed}.json"
        if not kept.exists():
            kept.parent.mkdir(exist_ok=True)
            write(kept, measures.figures(images, labels, train.images, seed))
        return read(kept)

    for seed in range(3):
        row = {"family": "training images", "seed": seed}
        rows.append({**row, **figures("training images", seed, train.images, train.labels)})
    for name, maker in BASELINES.items():
        model = maker(digits)
        for seed in range(3):
            torch.manual_seed(seed)
            labels = torch.arange(5000) % CLASSES
            images = torch.cat([model.draw(part) for part in labels.split(500)])
            row = {"family": name, "seed": seed, "exact": True}
            for split_name, split in {"train": digits.train, "test": digits.test}.items():
                by_label = model.log_probs(split.images)
                given = by_label.gather(1, split.labels[:, None])
                mixture = by_label.logsumexp(1) - math.log(CLASSES)
                row[f"{split_name}_given_label_nats"] = rounded(-given.mean().item())
                row[f"{split_name}_without_label_nats"] = rounded(-mixture.mean().item())
            rows.append({**row, **figures(name, seed, images, labels)})
            if seed == 0:
                pictures[name] = images[:SHOWN].numpy()
    return rows, pictures


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def rounded(value: float) -> float:
    """Round to six digits."""
    return float(f"{value:.6g}")
