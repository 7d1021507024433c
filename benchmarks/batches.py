"""What a batch of 128 costs until the step has it: from memory, and from a DataLoader.

Three programs give the 60,000 training images of MNIST in shuffled epochs:

at          ``Batches.at``: uint8, the order of each epoch drawn at its beginning
scaled      the same, and then as float from -1 to 1, as a network wants it
loader      torch's DataLoader in this process, over a data set that makes each image an array of
            PIL, a tensor, a float, and scales it: what torchvision's MNIST does with ToTensor and
            Normalize, written out

Each is timed over whole epochs, batch after batch: the mean over all of them. The bar, 0.05 ms, is
for "at". Then once more with a step of an MLP VAE before every batch: training leaves nothing of
the images, and little of the code, in the processor's caches. Time is that of the one thread.
"""

import argparse
from collections.abc import Callable, Iterator
from time import process_time

import numpy as np
import torch
from by_hand import vae as vaes
from common.families import mlp_vae
from common.record import record
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from genlearn.data import Batches, Split, is_at_hand, load

IMAGES, BATCH = 60_000, 128
BAR = 0.05  # ms


class Items(Dataset):
    """One image at a time, transformed when it is asked for."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Tensor:
        image = Image.fromarray(self.images[index, 0].numpy())
        image = torch.from_numpy(np.array(image, copy=True)).unsqueeze(0)
        return image.float().div(255).sub(0.5).div(0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3)
    epochs = parser.parse_args().epochs

    torch.set_num_threads(1)
    images, source = training_images()
    batches = Batches(Split(images, None, 256), BATCH)
    loader = endless(DataLoader(Items(images), BATCH, shuffle=True, drop_last=True))
    programs: dict[str, Callable[[int], object]] = {
        "at": batches.at,
        "scaled": lambda k: batches.at(k)[0].float() * (2 / 255) - 1,
        "loader": lambda k: next(loader),
    }
    draws = epochs * IMAGES // BATCH
    vae = mlp_vae().networks["model"]
    step = vaes.black_and_white(vae.encoder, vae.decoder, (images > 127).to(torch.uint8), BATCH)
    row = {name: cost(program, draws, lambda: None) for name, program in programs.items()}
    amid = {name: cost(program, draws, lambda: next(step)) for name, program in programs.items()}
    line = (
        f"a batch of {BATCH} of {source} in {row['at']:.3f} ms (bar {BAR} ms), as float in "
        f"{row['scaled']:.3f} ms, from a DataLoader in {row['loader']:.1f} ms; amid training, with "
        f"cold caches, {amid['at']:.3f}, {amid['scaled']:.3f} and {amid['loader']:.1f} ms; means "
        f"over {epochs} epochs, their orders drawn anew"
    )
    numbers = {
        "bar_milliseconds": BAR,
        "kept": row["at"] <= BAR,
        "milliseconds_a_batch": row,
        "milliseconds_a_batch_amid_training": amid,
        "images": source,
        "draws": draws,
    }
    record("batches", line, numbers)


def cost(program: Callable[[int], object], draws: int, before: Callable[[], None]) -> float:
    """Mean milliseconds of a draw; what is done before each does not count."""
    seconds = 0.0
    for k in range(draws):
        before()
        began = process_time()
        program(k)
        seconds += process_time() - began
    return round(1000 * seconds / draws, 4)


def training_images() -> tuple[Tensor, str]:
    """MNIST's, where they are at hand; else as many of random levels, which cost the same."""
    if not is_at_hand("mnist"):
        random = torch.randint(256, (IMAGES, 1, 28, 28), dtype=torch.uint8)
        return random, "60,000 random images of MNIST's size"
    data = load("mnist")
    return torch.cat([data.train.images, data.valid.images]), "the 60,000 of MNIST"


def endless(loader: DataLoader) -> Iterator[Tensor]:
    while True:
        yield from loader


if __name__ == "__main__":
    main()
