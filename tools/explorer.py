"""Make or check the VAE of the latent-space explorer, which runs in the reader's browser.

python tools/explorer.py           train it (under a minute), write book/_extra/explorer/weights.js
python tools/explorer.py --check   build it from weights.js; exit 1 if what stands there is not so

In one environment two runs give the same file.
"""

import argparse
import base64
import hashlib
import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genlearn import data, metrics
from genlearn.files import written_whole
from genlearn.models import VAE
from genlearn.training import Objective, evaluating, fit

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = ROOT / "book" / "_extra" / "explorer" / "weights.js"
COMMAND = "python tools/explorer.py"
BEGIN, END = "globalThis.EXPLORER = ", ";\n"

MODEL = {"latent_dim": 12, "hidden": (192,), "pixel_features": 4, "dropout": 0.2}
TRAINING = {"steps": 2500, "batch_size": 128, "learning_rate": 2e-3, "seed": 0}
IMAGES_A_DIGIT = 2
CODES_AN_IMAGE = 5000  # for the bound of one image
FIRST_PAIR = (0, 6)  # positions in the strip of images: where the path begins and ends


# --- Training.


def train(dataset: data.Dataset, steps: int = TRAINING["steps"]) -> VAE:
    """Train as chapter 04 does, with fewer code dimensions."""
    seed = TRAINING["seed"]
    torch.manual_seed(seed)
    vae = VAE.mlp(dataset.shape, dataset.levels, **MODEL)
    adam = torch.optim.AdamW(vae.parameters(), lr=TRAINING["learning_rate"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    objective = Objective(
        "vae", lambda step: -vae.elbo(step.batch[0]).mean(), adam, schedule=schedule
    )
    batches = data.Batches(dataset.train, TRAINING["batch_size"], seed)
    fit({"vae": vae}, [objective], batches, steps, device="cpu", seed=seed)
    return vae


def mean_rates(vae: VAE, images: Tensor) -> Tensor:
    """Mean rate of each code dimension over images, nats, shape (L,)."""
    with evaluating(vae):
        return vae.terms(images).rates.mean(0)


def sort_dimensions(vae: VAE, images: Tensor) -> None:
    """Rename the code dimensions, in place, so that the one with the highest rate comes first."""
    order = mean_rates(vae, images).argsort(descending=True)
    encoder, decoder, _ = layers(vae).values()
    with torch.no_grad():
        rows = torch.cat([order, order + vae.latent_dim])  # means, then log standard deviations
        encoder[-1].weight.copy_(encoder[-1].weight[rows])
        encoder[-1].bias.copy_(encoder[-1].bias[rows])
        decoder[0].weight.copy_(decoder[0].weight[:, order])


# --- The file.


def layers(vae: VAE) -> dict[str, list[nn.Linear]]:
    """The linear layers in the order of the file; the last two turn features into logits."""

    def linear(module: nn.Module) -> list[nn.Linear]:
        return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]

    decoder = linear(vae.decoder)
    return {"encoder": linear(vae.encoder), "decoder": decoder[:-2], "head": decoder[-2:]}


def tensors(vae: VAE) -> list[Tensor]:
    """Weight and bias of each layer in the order of the file."""
    return [t for group in layers(vae).values() for layer in group for t in layer.parameters()]


def pack(weights: list[Tensor]) -> bytes:
    """Give each weight as the upper half of a float32 (bfloat16), low byte first."""
    flat = torch.cat([tensor.detach().flatten() for tensor in weights])
    return flat.bfloat16().view(torch.int16).numpy().astype("<i2").tobytes()


def unpack(weights: list[Tensor], packed: bytes) -> None:
    """Put packed weights into those of a model, exactly.

    Raises:
        ValueError: if there are more or fewer than the model has.
    """
    if len(packed) != 2 * sum(tensor.numel() for tensor in weights):
        raise ValueError("the file holds another number of weights than its model has")
    halves = torch.frombuffer(bytearray(packed), dtype=torch.int16)
    if sys.byteorder == "big":
        halves = torch.from_numpy(halves.numpy().byteswap())
    flat = halves.view(torch.bfloat16).float()
    with torch.no_grad():
        for tensor, part in zip(weights, flat.split([t.numel() for t in weights]), strict=True):
            tensor.copy_(part.view_as(tensor))


def content(path: Path, begin: str = BEGIN) -> dict[str, Any]:
    """Return all that stands in a file.

    Raises:
        ValueError: if the file is damaged.
    """
    text = path.read_text("utf-8")
    if not (text.startswith(begin) and text.endswith(END)):
        raise ValueError(f"{path} is no such file, or not whole")
    return json.loads(text[len(begin) : -len(END)])


def write(path: Path, file: dict[str, Any], begin: str = BEGIN) -> None:
    """Write a file that a page loads as a script."""
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in file.items())
    with written_whole(path) as temporary:
        temporary.write_text(f"{begin}{{\n{lines}\n}}{END}", "utf-8", newline="\n")


def read(path: Path = WEIGHTS) -> tuple[VAE, dict[str, Any]]:
    """Return the model of a file, ready to be evaluated, and all that stands there.

    Raises:
        ValueError: if the file is damaged.
    """
    file = content(path)
    vae = VAE.mlp(tuple(file["shape"]), file["levels"], **file["made_by"]["model"])
    unpack(tensors(vae), base64.b64decode(file["weights"], validate=True))
    return vae.eval(), file


def measured(vae: VAE, dataset: data.Dataset) -> dict[str, Any]:
    """What the file says of the model besides its weights, computed from them."""
    test = dataset.test
    bound = metrics.mean_elbo(vae, test)
    generator = torch.Generator().manual_seed(0)
    shown = []
    # One row of the strip after the other: a first image of each digit, then a second one.
    for nth in range(IMAGES_A_DIGIT):
        for label in range(10):
            row = (test.labels == label).nonzero()[nth].item()
            image = test.images[row : row + 1]
            noise = torch.randn(CODES_AN_IMAGE, vae.latent_dim, generator=generator)
            with evaluating(vae):
                elbo = vae.elbo(image.expand(CODES_AN_IMAGE, -1, -1, -1), noise).mean().item()
            levels = image.flatten().tolist()
            shown.append({"row": row, "label": label, "bound": round(elbo, 2), "levels": levels})
    return {
        "test_bound": {
            "nats": round(bound.mean, 2),
            "standard_error": round(bound.standard_error, 2),
            "images": bound.images,
        },
        "mean_rates": [round(rate, 3) for rate in mean_rates(vae, test.images).tolist()],
        "images": shown,
    }


def make(path: Path = WEIGHTS, steps: int = TRAINING["steps"]) -> dict[str, Any]:
    """Train, measure and write the file; return its content."""
    dataset = data.load("digits")
    vae = train(dataset, steps)
    sort_dimensions(vae, dataset.test.images)
    packed = pack(tensors(vae))
    unpack(tensors(vae), packed)  # what is measured are the weights that readers get
    sizes = {
        name: [[layer.in_features, layer.out_features] for layer in group]
        for name, group in layers(vae).items()
    }
    made_by = {
        "command": COMMAND,
        "data": dataset.name,
        "model": MODEL,
        "training": {**TRAINING, "steps": steps},
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
    }
    file = {
        "made_by": made_by,
        "shape": list(dataset.shape),
        "levels": dataset.levels,
        "latent_dim": vae.latent_dim,
        "begin": list(FIRST_PAIR),
        **measured(vae, dataset),
        **sizes,
        "weights_sha256": hashlib.sha256(packed).hexdigest(),
        "weights": base64.b64encode(packed).decode(),
    }
    write(path, file)
    return file


def complaints(path: Path = WEIGHTS) -> list[str]:
    """What a file says that is not so."""
    try:
        vae, file = read(path)
    except ValueError as error:  # of JSON and base64, too
        return [str(error)]
    found = []
    packed = base64.b64decode(file["weights"])
    if hashlib.sha256(packed).hexdigest() != file["weights_sha256"]:
        found.append("weights: not those whose SHA-256 is recorded")
    dataset = data.load(file["made_by"]["data"])
    now = measured(vae, dataset)

    def far(recorded: float, true: float) -> bool:
        return not abs(recorded - true) <= 0.02  # nats: rounding, and the CPU

    for name, value in now["test_bound"].items():
        if far(file["test_bound"][name], value):
            found.append(f"test_bound: {name} is {value}, not {file['test_bound'][name]}")
    if any(map(far, file["mean_rates"], now["mean_rates"])):
        found.append(f"mean_rates: they are {now['mean_rates']}")
    for k, (said, true) in enumerate(zip(file["images"], now["images"], strict=True)):
        if far(said["bound"], true["bound"]) or said | {"bound": 0} != true | {"bound": 0}:
            found.append(f"images: number {k} is row {true['row']}, its bound {true['bound']}")
    return found


# --- The command, the same for every page that has a model.


def make_or_check(
    about: str, make: Callable[[], str], complaints: Callable[[], list[str]], path: Path
) -> int:
    """Make a file and say what is in it, or with --check leave it; then check it. 1 if it is wrong.

    Args:
        about: the tool, its first line first.
        make: writes the file; returns a line about it.
        complaints: what the file says that is not so.
        path: of the file.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="only check the file that is there")
    torch.set_num_threads(1)
    if not parser.parse_args().check:
        print(make())
    found = complaints()
    print("\n".join(found) or f"{path.name} holds what it says")
    return 1 if found else 0


def main() -> int:
    def remake() -> str:
        file = make()
        return f"test bound {file['test_bound']['nats']} nats; mean rates {file['mean_rates']}"

    return make_or_check(__doc__, remake, complaints, WEIGHTS)


if __name__ == "__main__":
    sys.exit(main())
