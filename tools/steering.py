"""Make or check the generator of the steering desk, which runs in the reader's browser.

python tools/steering.py           train it (half a minute), write book/_extra/explorer/generator.js
python tools/steering.py --check   build it from there; exit 1 if what stands there is not so

In one environment two runs give the same file.
"""

import base64
import copy
import hashlib
import platform
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from explorer import WEIGHTS, content, make_or_check, pack, unpack, write
from genlearn import data, losses, models
from genlearn.callbacks import Average
from genlearn.models import ConditionalGAN
from genlearn.training import Objective, evaluating, fit

GENERATOR = WEIGHTS.parent / "generator.js"
COMMAND = "python tools/steering.py"
BEGIN = "globalThis.GENERATOR = "

CLASSES = 10
MODEL = {"latent_dim": 32, "hidden": (128, 128)}
TRAINING = {"steps": 4000, "batch_size": 128, "learning_rate": 2e-3, "seed": 0}
COMPONENTS = 3
DRAWS = 20_000  # noise vectors from which directions are found
FIRST_LABEL = 3


# --- Training.


def train(dataset: data.Dataset, steps: int = TRAINING["steps"]) -> ConditionalGAN:
    """Train as chapter 10 does, for longer."""
    seed = TRAINING["seed"]
    torch.manual_seed(seed)
    gan = ConditionalGAN.mlp(dataset.shape, dataset.levels, CLASSES, **MODEL)
    average = copy.deepcopy(gan.generator)

    def discriminator_loss(step):
        gamma = 5 * 0.1 ** (step.index / steps)
        return gan.discriminator_loss(
            step, lambda critic, real, _: gamma * losses.zero_centred_penalty(critic, real)
        )

    objectives = []
    for name, loss in [("discriminator", discriminator_loss), ("generator", gan.generator_loss)]:
        parameters = gan.players[name].parameters()
        adam = torch.optim.Adam(parameters, TRAINING["learning_rate"], betas=(0.5, 0.99))
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        objectives.append(Objective(name, loss, adam, schedule=schedule))
    fit(
        gan.players | {"average": average},
        objectives,
        data.Batches(dataset.train, TRAINING["batch_size"], seed),
        steps,
        device="cpu",
        seed=seed,
        callbacks=[Average(gan.generator, average, 0.995)],
    )
    gan.generator.load_state_dict(average.state_dict())
    return gan


# --- What is measured in pictures, as chapter 10 does it.


def ink(x: Tensor) -> Tensor:
    """Mean level of scaled images (N, 1, H, W), black 0, white 1."""
    return (x.flatten(1) + 1).mean(1) / 2


def slant(x: Tensor) -> Tensor:
    """Columns to the right for each row upwards, by least squares."""
    weight = (x[:, 0] + 1) / 2
    weight = weight / weight.sum((1, 2), keepdim=True)
    row, column = torch.meshgrid(*map(torch.arange, weight.shape[1:]), indexing="ij")
    down = row - (weight * row).sum((1, 2))[:, None, None]
    across = column - (weight * column).sum((1, 2))[:, None, None]
    return -(weight * down * across).sum((1, 2)) / (weight * down**2).sum((1, 2))


def within_class(values: Tensor, labels: Tensor) -> Tensor:
    """Take the mean of its class away from each."""
    means = torch.stack([values[labels == k].mean(0) for k in range(CLASSES)])
    return values - means[labels]


def draw(gan: ConditionalGAN) -> tuple[Tensor, Tensor, Tensor]:
    """Return noise, labels and scaled images, always the same for a generator."""
    generator = torch.Generator().manual_seed(1)
    noise = torch.randn(DRAWS, gan.latent_dim, generator=generator)
    labels = torch.arange(DRAWS) % CLASSES
    with evaluating(gan):
        return noise, labels, gan.generate(noise, labels)


def directions(gan: ConditionalGAN) -> dict[str, Tensor]:
    """The sliders: ink, slant, both without the other, and components without either's help."""
    noise, labels, images = draw(gan)
    of_ink, of_slant = (
        models.slope_direction(noise, within_class(f(images), labels)) for f in (ink, slant)
    )
    layers = gan.generator.net[:4]  # up to the second hidden layer
    one_hot = torch.nn.functional.one_hot(labels, CLASSES).float()
    with evaluating(gan):
        hidden = layers(torch.cat([noise, one_hot], 1))
    components = models.principal_directions(noise, within_class(hidden, labels), COMPONENTS)
    found = {
        "ink": models.without(of_ink, of_slant),
        "slant": models.without(of_slant, of_ink),
    }
    return found | {f"component {k + 1}": way for k, way in enumerate(components.noise)}


def obeyed(gan: ConditionalGAN, dataset: data.Dataset) -> float:
    """Share of images on which the five nearest training images agree with the label."""
    _, labels, images = draw(gan)
    images, labels = images[:2000], labels[:2000]
    distance = torch.cdist(images.flatten(1), gan.gan.scaled(dataset.train.images).flatten(1))
    nearest = distance.topk(5, largest=False).indices
    return (dataset.train.labels[nearest].mode(1).values == labels).float().mean().item()


# --- The file.


def read(path: Path = GENERATOR) -> tuple[ConditionalGAN, dict[str, Any]]:
    """Return the model of a file, its discriminator untrained, and all that stands there.

    Raises:
        ValueError: if the file is damaged.
    """
    file = content(path, BEGIN)
    gan = ConditionalGAN.mlp(
        tuple(file["shape"]), file["levels"], file["classes"], **file["made_by"]["model"]
    )
    unpack(list(gan.generator.parameters()), base64.b64decode(file["weights"], validate=True))
    return gan.eval(), file


def make(path: Path = GENERATOR, steps: int = TRAINING["steps"]) -> dict[str, Any]:
    """Train, measure and write the file; return its content."""
    dataset = data.load("digits")
    gan = train(dataset, steps)
    weights = list(gan.generator.parameters())
    packed = pack(weights)
    unpack(weights, packed)  # what is measured are the weights that readers get
    sizes = [list(weight.shape[::-1]) for weight in weights if weight.ndim == 2]
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    begin = draw(gan)[0][0]
    file = {
        "made_by": {
            "command": COMMAND,
            "data": dataset.name,
            "model": MODEL,
            "training": {**TRAINING, "steps": steps},
            "versions": versions,
        },
        "shape": list(dataset.shape),
        "levels": dataset.levels,
        "classes": CLASSES,
        "latent_dim": gan.latent_dim,
        "begin": {"label": FIRST_LABEL, "noise": [round(z, 4) for z in begin.tolist()]},
        "obeyed": round(obeyed(gan, dataset), 3),
        "directions": [
            {"name": name, "noise": [round(z, 4) for z in way.tolist()]}
            for name, way in directions(gan).items()
        ],
        "generator": sizes,
        "weights_sha256": hashlib.sha256(packed).hexdigest(),
        "weights": base64.b64encode(packed).decode(),
    }
    write(path, file, BEGIN)
    return file


def complaints(path: Path = GENERATOR) -> list[str]:
    """What a file says that is not so."""
    try:
        gan, file = read(path)
    except ValueError as error:  # of JSON and base64, too
        return [str(error)]
    found = []
    if hashlib.sha256(base64.b64decode(file["weights"])).hexdigest() != file["weights_sha256"]:
        found.append("weights: not those whose SHA-256 is recorded")
    share = obeyed(gan, data.load(file["made_by"]["data"]))
    if not abs(share - file["obeyed"]) <= 0.002:
        found.append(f"obeyed: the share is {share:.3f}, not {file['obeyed']}")
    now = directions(gan)
    if [way["name"] for way in file["directions"]] != list(now):
        found.append(f"directions: they are {', '.join(now)}")
    for said, true in zip(file["directions"], now.values(), strict=False):
        if not (torch.tensor(said["noise"]) - true).abs().max() <= 0.01:
            found.append(f"directions: {said['name']} is another")
    return found


def main() -> int:
    def remake() -> str:
        return f"the label is obeyed in {100 * make()['obeyed']:.1f} % of 2,000 images"

    return make_or_check(__doc__, remake, complaints, GENERATOR)


if __name__ == "__main__":
    sys.exit(main())
