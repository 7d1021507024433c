"""What each rule of the DCGAN is good for: it is switched off, and all else stays.

Every variant is trained from the same settings, once a seed, and judged twice: by the Fréchet
distance between features of real and of generated images, and by how many classes its samples fall
into. Features and classes are those of a small classifier that is trained here first, the same one
for all.

The variants are those of ``VARIANTS``; chapter 08 reads the file that this program writes. Samples
are kept too, sixteen of the first seed, as levels in hexadecimal, one digit a pixel.
"""

import argparse
from collections.abc import Callable
from time import process_time
from typing import Any

import torch
from common.record import record
from torch import Tensor, nn
from torch.nn import functional as F

from genlearn import data, metrics, models, nets
from genlearn.training import Objective, evaluating, fit

LATENT, CHANNELS, BATCH, RATE, SAMPLES = 16, (32, 64), 64, 1e-3, 5000

# name → switches; what they do is written at ``new_gan``
VARIANTS: dict[str, dict[str, Any]] = {
    "all rules": {},
    "pooling and copying for strides": {"both": {"strided": False}},
    "no batch norm": {"both": {"normalise": "none"}},
    "no batch norm in D": {"discriminator": {"normalise": "none"}},
    "batch norm also at the ends": {"ends": True},
    "real and generated in one batch": {"mixed": True},
    "a hidden layer of 128": {"both": {"hidden": (128,)}},
    "leaky ReLU in G": {"generator": {"leaky": 0.2}},
    "ReLU in D": {"discriminator": {"leaky": 0.0}},
    "no tanh": {"generator": {"tanh": False}},
    "data in [0, 1]": {"half": True},
    "PyTorch's first weights": {"both": {"init_std": None}},
    "Adam with 0.9": {"beta1": 0.9},
}


class Halved(models.GAN):
    """The networks see data from 0 to 1, while the generator's tanh still reaches down to -1."""

    def scaled(self, x: Tensor) -> Tensor:
        return (super().scaled(x) + 1) / 2

    def unscaled(self, x: Tensor) -> Tensor:
        return super().unscaled(2 * x - 1)


class Mixed(models.GAN):
    """Real and generated images pass a discriminator with batch normalisation together."""

    def judge(self, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
        real_logits, fake_logits = self.discriminator(torch.cat([real, fake])).chunk(2)
        return real_logits, fake_logits


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=800)
    options = parser.parse_args()
    torch.set_num_threads(1)

    digits = data.load("digits")
    classifier = train_classifier(digits)
    judge = judging(classifier, digits.train.images, digits.levels)
    with evaluating(classifier):
        guesses = classifier(scale(digits.test.images, digits.levels)).argmax(1)
    accuracy = (guesses == digits.test.labels).float().mean().item()

    rows, samples = [], {}
    for name, switches in VARIANTS.items():
        for seed in range(options.seeds):
            gan, seconds = train(digits, seed, options.steps, **switches)
            torch.manual_seed(0)
            drawn = gan.sample(SAMPLES)
            row = {"rule": name, "seed": seed, **judge(drawn), "seconds": round(seconds, 1)}
            rows.append(row)
            print(row, flush=True)
            if seed == 0:
                samples[name] = [
                    "".join(f"{min(level, 15):x}" for level in image.flatten().tolist())
                    for image in drawn[:16]
                ]
    distances = {
        name: sum(r["distance"] for r in rows if r["rule"] == name) / options.seeds
        for name in VARIANTS
    }
    worse = [name for name in VARIANTS if distances[name] > 2 * distances["all rules"]]
    line = (
        f"DCGAN on digits, {options.steps} steps, {options.seeds} seeds: mean Fréchet distance "
        f"{distances['all rules']:.1f} with all rules; more than twice that: {', '.join(worse)}"
    )
    numbers = {
        "settings": {
            "data": "digits",
            "steps": options.steps,
            "batch_size": BATCH,
            "learning_rate": RATE,
            "latent_dim": LATENT,
            "channels": CHANNELS,
            "samples": SAMPLES,
            "classifier_test_accuracy": round(accuracy, 3),
            "real_test_images": judge(digits.test.images),
            "threads": 1,
        },
        "rows": rows,
        "samples": samples,
    }
    record("dcgan_rules", line, numbers, seeds=range(options.seeds))


def new_gan(
    digits: data.Dataset,
    *,
    both: dict[str, Any] | None = None,
    generator: dict[str, Any] | None = None,
    discriminator: dict[str, Any] | None = None,
    ends: bool = False,
    mixed: bool = False,
    half: bool = False,
) -> models.GAN:
    """Make a GAN with some rules broken.

    Args:
        digits: the data.
        both, generator, discriminator: options of the networks.
        ends: batch normalisation also on G's output and on D's first layer.
        mixed: see :class:`Mixed`.
        half: see :class:`Halved`.
    """
    both = both or {}
    make = nets.dcgan_generator(LATENT, digits.shape, CHANNELS, **both, **(generator or {}))
    judge = nets.dcgan_discriminator(digits.shape, CHANNELS, **both, **(discriminator or {}))
    if ends:
        make.insert(len(make) - 1, nn.BatchNorm2d(digits.shape[0]))
        judge.insert(1, nn.BatchNorm2d(CHANNELS[0]))
    kind = Mixed if mixed else Halved if half else models.GAN
    return kind(make, judge, LATENT, levels=digits.levels)


def train(
    digits: data.Dataset, seed: int, steps: int, *, beta1: float = 0.5, **switches: Any
) -> tuple[models.GAN, float]:
    """Train from scratch; return the GAN and the seconds of processor time."""
    torch.manual_seed(seed)
    gan = new_gan(digits, **switches)
    turns = [
        ("discriminator", gan.discriminator_loss, gan.discriminator),
        ("generator", gan.generator_loss, gan.generator),
    ]
    objectives = [
        Objective(name, loss, torch.optim.Adam(player.parameters(), RATE, (beta1, 0.999)))
        for name, loss, player in turns
    ]
    batches = data.Batches(digits.train, BATCH, seed)
    began = process_time()
    fit(gan.players, objectives, batches, steps, device="cpu", seed=seed)
    return gan, process_time() - began


def train_classifier(digits: data.Dataset) -> nn.Sequential:
    """Train a small classifier; distances are measured in its hidden layer of 32 numbers."""
    torch.manual_seed(0)
    layers = [nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 32), nn.ReLU(), nn.Linear(32, 10)]
    network = nn.Sequential(nn.Flatten(), *layers)

    def loss(step):
        images, labels = step.batch
        x = scale(images, digits.levels)
        return F.cross_entropy(network(x + 0.2 * torch.randn_like(x)), labels)

    adam = torch.optim.Adam(network.parameters(), 1e-3, weight_decay=1e-4)
    batches = data.Batches(digits.train, 128)
    fit({"classifier": network}, [Objective("c", loss, adam)], batches, 1500, device="cpu")
    return network


def judging(
    classifier: nn.Sequential, real: Tensor, levels: int
) -> Callable[[Tensor], dict[str, Any]]:
    """Return a function that measures images of levels against real ones."""

    def features(images: Tensor) -> Tensor:
        with evaluating(classifier):
            return classifier[:-1](scale(images, levels))

    target = features(real)

    def judge(images: Tensor) -> dict[str, Any]:
        found = features(images)
        with evaluating(classifier):
            guesses = classifier[-1](found).argmax(1)
        shares = torch.bincount(guesses, minlength=10) / len(images)
        return {
            "distance": round(metrics.frechet_distance(found, target), 2),
            "classes": int((shares >= 0.05).sum()),  # at least half of the fair share
            "smallest_share": round(shares.min().item(), 4),
        }

    return judge


def scale(images: Tensor, levels: int) -> Tensor:
    return images.float() * (2 / (levels - 1)) - 1


if __name__ == "__main__":
    main()
