"""Make or check the PixelCNN of the pixel desk, which runs in the reader's browser.

python tools/pixel_desk.py           train it (two minutes), write book/_extra/explorer/pixels.js
python tools/pixel_desk.py --check   build it from there; exit 1 if what stands there is not so

In one environment two runs give the same file.
"""

import base64
import copy
import hashlib
import math
import platform
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from explorer import WEIGHTS, content, make_or_check, pack, unpack, write
from genlearn import data, models
from genlearn.callbacks import Average
from genlearn.models import PixelModel
from genlearn.nets import MaskedConv2d
from genlearn.training import Objective, evaluating, fit

PIXELS = WEIGHTS.parent / "pixels.js"
COMMAND = "python tools/pixel_desk.py"
BEGIN = "globalThis.PIXELS = "

CLASSES = 10
MODEL = {"features": 40, "layers": 4, "first_kernel": 7, "kernel": 3, "head": 40}
TRAINING = {"steps": 3000, "batch_size": 64, "learning_rate": 2e-3, "dropout": 0.3, "seed": 0}


# --- Training.


def train(dataset: data.Dataset, steps: int = TRAINING["steps"]) -> PixelModel:
    """Train a PixelCNN that is told the label; return the average of its weights."""
    seed = TRAINING["seed"]
    torch.manual_seed(seed)
    model = models.pixel_cnn(
        dataset.shape, dataset.levels, classes=CLASSES, dropout=TRAINING["dropout"], **MODEL
    )
    average = copy.deepcopy(model)
    adam = torch.optim.AdamW(model.parameters(), lr=TRAINING["learning_rate"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    fit(
        {"model": model, "average": average},
        [
            Objective(
                "model", lambda step: -model.log_prob(*step.batch).mean(), adam, schedule=schedule
            )
        ],
        data.Batches(dataset.train, TRAINING["batch_size"], seed),
        steps,
        device="cpu",
        seed=seed,
        callbacks=[Average(model, average, 0.995)],
    )
    return average.eval()


# --- What is measured.


def log_joint(model: PixelModel, images: Tensor) -> Tensor:
    """Return log p(x, label) for all labels, equally likely beforehand: nats, (N, CLASSES)."""
    with evaluating(model):
        columns = [
            model.log_prob(images, torch.full((len(images),), label)) for label in range(CLASSES)
        ]
    return torch.stack(columns, 1) - math.log(CLASSES)


def figures(model: PixelModel, split: data.Split) -> dict[str, float]:
    """What the page says of the model on a split."""
    joint = log_joint(model, split.images).double()
    told = joint.argmax(1) == split.labels
    return {
        "nats": round(-joint.logsumexp(1).mean().item(), 2),
        "recognised": round(told.double().mean().item(), 4),
        "images": len(split),
    }


# --- The file.


def matrices(model: PixelModel) -> list[Tensor]:
    """Weight and bias of each layer as the browser multiplies them, in the order of the file.

    A masked convolution is a matrix (out, taps * in) of the weights that are not masked; the label
    is one more input of the first.
    """
    network = model.network

    def taps(layer: MaskedConv2d) -> Tensor:
        rows, columns = layer.mask[-1, 0].nonzero(as_tuple=True)
        return layer.weight.detach()[:, :, rows, columns].transpose(1, 2).flatten(1)

    label = network.condition.weight.detach()[:, :CLASSES]
    found = [torch.cat([taps(network.first), label], 1), network.first.bias.detach()]
    for block in network.blocks:
        for layer in (block.down, block.middle, block.up):
            found += [taps(layer), layer.bias.detach()]
    for layer in (network.head.first, network.head.last):
        found += [taps(layer), layer.bias.detach()]
    return found


def put(model: PixelModel, numbers: list[Tensor]) -> None:
    """Put such matrices into a model."""
    network = model.network
    layers = [network.first]
    for block in network.blocks:
        layers += [block.down, block.middle, block.up]
    layers += [network.head.first, network.head.last]
    with torch.no_grad():
        network.condition.weight[:, :CLASSES] = numbers[0][:, -CLASSES:]
        for layer, weight, bias in zip(layers, numbers[::2], numbers[1::2], strict=True):
            rows, columns = layer.mask[-1, 0].nonzero(as_tuple=True)
            width = len(rows) * layer.in_channels
            by_tap = weight[:, :width].unflatten(1, (len(rows), layer.in_channels))
            layer.weight[:, :, rows, columns] = by_tap.transpose(1, 2)
            layer.bias.copy_(bias)


def read(path: Path = PIXELS) -> tuple[PixelModel, dict[str, Any]]:
    """Return the model of a file, and all that stands there.

    Raises:
        ValueError: if the file is damaged.
    """
    file = content(path, BEGIN)
    model = models.pixel_cnn(
        tuple(file["shape"]), file["levels"], classes=file["classes"], **file["made_by"]["model"]
    )
    numbers = matrices(model)
    unpack(numbers, base64.b64decode(file["weights"], validate=True))
    put(model, numbers)
    return model.eval(), file


def shown(dataset: data.Dataset) -> Tensor:
    """Places in the test split of the digits on the desk: the first of each class."""
    labels = dataset.test.labels
    return torch.stack([(labels == label).nonzero()[0, 0] for label in range(CLASSES)])


def make(path: Path = PIXELS, steps: int = TRAINING["steps"]) -> dict[str, Any]:
    """Train, measure and write the file; return its content."""
    dataset = data.load("digits")
    model = train(dataset, steps)
    numbers = matrices(model)
    packed = pack(numbers)
    unpack(numbers, packed)  # what is measured are the weights that readers get
    put(model, numbers)
    images = dataset.test.images[shown(dataset)]
    file = {
        "made_by": {
            "command": COMMAND,
            "data": dataset.name,
            "model": MODEL,
            "training": {**TRAINING, "steps": steps},
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
        },
        "shape": list(dataset.shape),
        "levels": dataset.levels,
        "classes": CLASSES,
        "blocks": MODEL["layers"],
        "reach": [MODEL["first_kernel"] // 2, MODEL["kernel"] // 2],
        "test": figures(model, dataset.test),
        "images": [image.flatten().tolist() for image in images],
        "layers": [list(weight.shape[::-1]) for weight in numbers[::2]],
        "weights_sha256": hashlib.sha256(packed).hexdigest(),
        "weights": base64.b64encode(packed).decode(),
    }
    write(path, file, BEGIN)
    return file


def complaints(path: Path = PIXELS) -> list[str]:
    """What a file says that is not so."""
    try:
        model, file = read(path)
    except ValueError as error:  # of JSON and base64, too
        return [str(error)]
    found = []
    if hashlib.sha256(base64.b64decode(file["weights"])).hexdigest() != file["weights_sha256"]:
        found.append("weights: not those whose SHA-256 is recorded")
    dataset = data.load(file["made_by"]["data"])
    now = figures(model, dataset.test)
    for key, tolerance in {"nats": 0.02, "recognised": 0.003, "images": 0}.items():
        if not abs(now[key] - file["test"][key]) <= tolerance:
            found.append(f"test: {key} is {now[key]}, not {file['test'][key]}")
    images = dataset.test.images[shown(dataset)].flatten(1).tolist()
    if images != file["images"]:
        found.append("images: not the first test digits of each class")
    return found


def main() -> int:
    def remake() -> str:
        test = make()["test"]
        return f"test: {test['nats']} nats an image, {100 * test['recognised']:.1f} % recognised"

    return make_or_check(__doc__, remake, complaints, PIXELS)


if __name__ == "__main__":
    sys.exit(main())
