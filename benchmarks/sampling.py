"""How much faster a sampler with a cache is than one that runs the network again for each pixel.

Black and white images, one thread, weights at random: what is drawn does not change the time.

speed    28 x 28 pixels, 16 and 64 images, every model. "cached" is the library's sampler, a whole
         image of it. "library": the naive sampler with the library's own forward pass. For the
         PixelRNNs, of four layers of 16 features, also "loop": the naive sampler with the forward
         pass that one would write first, a loop over rows or diagonals that indexes its gates. The
         Diagonal BiLSTM is the one of the paper (mended=False), as that loop is.
batches  the Gated PixelCNN at 28 x 28, 1 image, 4 and 256: with the two of "speed", a series
sizes    16 images of 8 x 8 to 64 x 64 pixels, the transformer to 32 x 32

A naive sampler needs minutes. So a few of its forward passes are timed, in the middle of an image,
and their median is taken times the number of pixels. Both samplers take turns, and ratios are of
medians. Time is that of the one thread on the processor.
"""

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from time import process_time

import torch
from common.record import record
from pixelrnn_step import DiagonalLoop, RowLoop

from genlearn import models, sampling
from genlearn.models import PixelModel

CONVOLUTIONS = {"features": 32, "layers": 5}
RECURRENCE = {"features": 16, "layers": 4, "first_kernel": 7, "head": 32}
MAKERS: dict[str, tuple[Callable[..., PixelModel], dict]] = {
    "pixel LSTM": (models.pixel_lstm, {}),
    "Row LSTM": (models.row_lstm, RECURRENCE),
    "Diagonal BiLSTM": (models.diagonal_bilstm, {**RECURRENCE, "mended": False}),
    "PixelCNN": (models.pixel_cnn, CONVOLUTIONS),
    "Gated PixelCNN": (models.gated_pixel_cnn, CONVOLUTIONS),
    "PixelCNN++": (models.pixel_cnn_pp, {}),
    "transformer": (models.image_transformer, {}),
}
LOOPS = {"Row LSTM": RowLoop, "Diagonal BiLSTM": DiagonalLoop}
BARS = {  # model, naive, images: how many times faster it must be
    ("Gated PixelCNN", "library", 16): 250,
    ("Gated PixelCNN", "library", 64): 500,
    ("Row LSTM", "loop", 16): 150,
    ("Diagonal BiLSTM", "loop", 16): 700,
}
SIDES = (8, 12, 16, 24, 32, 48, 64)
LARGEST = {"transformer": 32}  # pixels a side; its cost for each pixel grows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5, help="images drawn, passes three times")
    parser.add_argument("--models", nargs="*", default=list(MAKERS), help="by default all")
    parser.add_argument("--only", choices=["speed", "batches", "sizes"], help="no record")
    options = parser.parse_args()
    torch.set_num_threads(1)
    parts = [options.only] if options.only else ["speed", "batches", "sizes"]
    numbers, parts_of_line = {}, []
    if "speed" in parts:
        numbers["speed"] = [
            row
            for name in options.models
            for images in (16, 64)
            for row in speed(name, 28, images, options.repeats)
        ]
        for row in numbers["speed"]:
            print(row, flush=True)
            bar = BARS.get((row["model"], row["naive"], row["images"]))
            if bar:
                parts_of_line.append(
                    f"{row['model']} {row['ratio']:.0f}x at {row['images']} images (bar {bar}x)"
                )
    if "batches" in parts:
        numbers["batches"] = [
            row
            for images in (1, 4, 256)
            for row in speed("Gated PixelCNN", 28, images, max(3, options.repeats // 2))
        ]
    if "sizes" in parts:
        numbers["sizes"] = [
            row
            for name in options.models
            for side in SIDES
            if side <= LARGEST.get(name, SIDES[-1])
            for row in speed(name, side, 16, 3, loop=False)
        ]
    if options.only or options.models != list(MAKERS):
        for rows in numbers.values():
            print(*rows, sep="\n")
        return
    line = "cached sampling of 28 x 28 pixels against a full pass a pixel: " + ", ".join(
        parts_of_line
    )
    record("sampling", line, {"repeats": options.repeats, **numbers})


def speed(name: str, side: int, images: int, repeats: int, loop: bool = True) -> list[dict]:
    """Time one model: a row for each naive sampler that it is compared with."""
    torch.manual_seed(0)
    make, sizes = MAKERS[name]
    model = make((1, side, side), 2, **sizes).eval()
    uniforms = torch.rand(images, 1, side, side)
    inputs = model.encode(model.sample(images, uniforms=uniforms)).movedim(-1, 2).flatten(1, 2)
    inputs[:, :, side // 2 :] = 0  # half an image is drawn
    networks = {"library": model.network}
    if loop and name in LOOPS:
        networks["loop"] = LOOPS[name](model.network)
    condition = model.condition(images)
    naive = {key: sampling.NaiveCache(network, condition) for key, network in networks.items()}
    cached_seconds, pass_seconds = [], {key: [] for key in naive}
    with torch.inference_mode():
        for _ in range(repeats):
            cached_seconds.append(seconds(lambda: model.sample(images, uniforms=uniforms)))
            for key, cache in naive.items():
                for _ in range(3):
                    one_pass = partial(cache.parameters, inputs, side // 2, 0, 0)
                    pass_seconds[key].append(seconds(one_pass))
    cached = statistics.median(cached_seconds)
    return [
        {
            "model": name,
            "naive": key,
            "side": side,
            "images": images,
            "pass_milliseconds": round(1e3 * statistics.median(passes), 3),
            "naive_seconds": round(side**2 * statistics.median(passes), 3),
            "cached_seconds": round(cached, 4),
            "ratio": round(side**2 * statistics.median(passes) / cached, 1),
        }
        for key, passes in pass_seconds.items()
    ]


def seconds(run: Callable[[], object]) -> float:
    began = process_time()
    run()
    return process_time() - began


if __name__ == "__main__":
    main()
