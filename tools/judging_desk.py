"""Make or check the images of the judging desk, a test of people in the reader's browser.

python tools/judging_desk.py           draw them (seconds), write book/_extra/explorer/judging.js
python tools/judging_desk.py --check   draw them again; exit 1 if what stands there is not so

The models are those of the other desks. In one environment two runs give the same file.
"""

import hashlib
import platform
import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import explorer
import pixel_desk
import steering
from genlearn import data
from genlearn.training import evaluating

JUDGING = explorer.WEIGHTS.parent / "judging.js"
COMMAND = "python tools/judging_desk.py"
BEGIN = "globalThis.JUDGING = "

IMAGES = 100  # of each source
SEED = 17
SOURCES = {
    "vae": ("VAE", explorer.WEIGHTS),
    "gan": ("GAN", steering.GENERATOR),
    "pixelcnn": ("PixelCNN", pixel_desk.PIXELS),
}
DIGITS = "0123456789abcdefg"  # one for each of the 17 levels
SAME = 0.97  # share of the images that another processor, which rounds otherwise, draws alike


def drawn() -> dict[str, tuple[Tensor, str]]:
    """Draw from each model, at random labels where it is told one: images, and whose they are.

    Raises:
        ValueError: if a file of weights is damaged.
    """
    torch.manual_seed(SEED)
    labels = torch.randint(10, (IMAGES,))
    vae, of_vae = explorer.read()
    gan, of_gan = steering.read()
    pixels, of_pixels = pixel_desk.read()
    with evaluating(vae, gan, pixels):
        found = {
            "vae": (vae.sample(IMAGES), of_vae),
            "gan": (gan.sample(labels), of_gan),
            "pixelcnn": (pixels.sample(IMAGES, labels), of_pixels),
        }
    return {name: (images, file["weights_sha256"]) for name, (images, file) in found.items()}


def real(dataset: data.Dataset) -> Tensor:
    """Images of the test split, which no model was trained on."""
    generator = torch.Generator().manual_seed(SEED)
    places = torch.randperm(len(dataset.test), generator=generator)[:IMAGES]
    return dataset.test.images[places]


def written(images: Tensor) -> list[str]:
    """Each image as a string, one sign a pixel."""
    return ["".join(DIGITS[level] for level in image) for image in images.flatten(1).tolist()]


def make(path: Path = JUDGING) -> dict[str, Any]:
    """Draw the images and write the file; return its content."""
    dataset = data.load("digits")
    images = {"real": written(real(dataset))}
    models = []
    for name, (samples, digest) in drawn().items():
        title, weights = SOURCES[name]
        images[name] = written(samples)
        models.append(
            {"name": name, "title": title, "weights": weights.name, "weights_sha256": digest}
        )
    file = {
        "made_by": {
            "command": COMMAND,
            "data": dataset.name,
            "seed": SEED,
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
        },
        "shape": list(dataset.shape),
        "levels": dataset.levels,
        "models": models,
        "images_sha256": digest_of(images),
        "images": images,
    }
    explorer.write(path, file, BEGIN)
    return file


def digest_of(images: dict[str, list[str]]) -> str:
    """SHA-256 of all images, by which answers are known to belong to them."""
    text = "\n".join(f"{name} {image}" for name, all_ in images.items() for image in all_)
    return hashlib.sha256(text.encode()).hexdigest()


def complaints(path: Path = JUDGING) -> list[str]:
    """What a file says that is not so."""
    try:
        file = explorer.content(path, BEGIN)
        now = drawn()
    except ValueError as error:  # of JSON, too
        return [str(error)]
    found = []
    if digest_of(file["images"]) != file["images_sha256"]:
        found.append("images: not those whose SHA-256 is recorded")
    if file["images"]["real"] != written(real(data.load(file["made_by"]["data"]))):
        found.append("real: not these images of the test split")
    if [model["name"] for model in file["models"]] != list(now):
        found.append(f"models: they are {', '.join(now)}")
    for model in file["models"]:
        samples, digest = now.get(model["name"], (torch.zeros(0, 1, 8, 8), ""))
        if digest != model["weights_sha256"]:
            found.append(f"{model['name']}: its weights are others now")
        there = file["images"].get(model["name"], [])
        alike = sum(a == b for a, b in zip(there, written(samples), strict=False))
        if len(there) != IMAGES or alike < SAME * IMAGES:
            found.append(f"{model['name']}: the model draws other images")
    return found


def main() -> int:
    def remake() -> str:
        return f"{IMAGES} real images, and as many of {len(make()['models'])} models"

    return explorer.make_or_check(__doc__, remake, complaints, JUDGING)


if __name__ == "__main__":
    sys.exit(main())
