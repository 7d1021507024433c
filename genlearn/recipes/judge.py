"""A classifier trained on the real images of a set, and what it says of samples.

Judges are kept in the cache folder, so that each is trained once: see :func:`cached_judge`.
"""

import hashlib
import inspect
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F

from genlearn import data
from genlearn.data.places import cache_folder
from genlearn.devices import one_thread, pick_device, state_put_back
from genlearn.errors import RunError
from genlearn.files import written_whole
from genlearn.metrics import class_shares, frechet_distance
from genlearn.metrics.features import Extractor
from genlearn.models import Classifier
from genlearn.recipes.checksums import network_checksum, split_checksum
from genlearn.training import Objective, Step, evaluating, fit

VERSION = 1
"""Of the training below. Raise it with every change of what comes out, or old judges live on."""


def train_judge(
    dataset: data.Dataset,
    *,
    steps: int = 600,
    channels: Sequence[int] = (8, 16, 32),
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    shift: float = 1.0,
    classes: int | None = None,
    device: str = "auto",
    seed: int = 0,
) -> Classifier:
    """Train a classifier on the training split, with AdamW and one cycle of the learning rate.

    Args:
        dataset: with labels 0 … K - 1.
        steps, batch_size: of the training.
        channels: of the feature maps, from full size down.
        learning_rate: the highest of the cycle.
        shift: largest shift, in pixels, of the images that it learns from.
        classes: K; by default what the labels of the training split say.
        device, seed: as for :func:`genlearn.training.fit`.

    Raises:
        RunError: if the set has no labels, or fewer than two kinds.
    """
    if dataset.train.labels is None:
        raise RunError(f"{dataset.name} has no labels, so no classifier can be trained on it")
    classes = classes or int(dataset.train.labels.max()) + 1
    if classes < 2:
        raise RunError(f"{dataset.name} has one class, so there is nothing to tell apart")
    judge = _untrained(dataset, classes, channels, seed)
    optimizer = torch.optim.AdamW(judge.parameters(), lr=learning_rate)
    cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps + 1)

    def loss(step: Step) -> dict[str, Tensor]:
        images, labels = step.batch
        moved = data.transforms.random_affine(images, step.generator, shift=shift)
        return judge.loss(moved, labels)

    batches = data.Batches(dataset.train, batch_size, seed)
    objective = Objective("judge", loss, optimizer, schedule=cycle)
    fit({"judge": judge}, [objective], batches, steps, device=device, seed=seed)
    return judge


def cached_judge(dataset: data.Dataset, *, device: str = "auto", **settings: Any) -> Classifier:
    """Return a trained classifier from the cache, or train it and keep it there.

    It lies in ``judges/`` of the folder that GENLEARN_CACHE names, or of the system's cache folder,
    under a name made from the training images, their labels and all settings. A file that is
    damaged, or is something else, is replaced. Where nothing can be written, nothing is kept.

    Args:
        dataset: with labels 0 … K - 1.
        device: on which it is trained, and left. The weights are the same on each that computes
            alike; on the CPU, however many threads there are.
        settings: of :func:`train_judge`. The seed is 0 unless you say otherwise, whatever the seeds
            of your runs: figures compare only where the judge is the same.

    Raises:
        RunError: if the set has no labels.
    """
    bound = inspect.signature(train_judge).bind(dataset, **settings)
    bound.apply_defaults()
    chosen = {k: v for k, v in bound.arguments.items() if k not in ("dataset", "device")}
    key = _key(dataset, chosen)
    file = cache_folder("judges") / f"{dataset.name}-{key[:16]}.safetensors"
    if judge := _read(file, key, dataset, chosen):
        return judge.to(pick_device(device)).eval()
    with one_thread():
        judge = train_judge(dataset, device=device, **settings)
    _write(file, key, judge)
    return judge


def judge_features(dataset: data.Dataset, **settings: Any) -> Extractor:
    """Return the features of a set's own classifier, which :func:`cached_judge` gives.

    Args:
        dataset: with labels.
        settings: device, and those of :func:`train_judge`.

    Raises:
        RunError: if the set has no labels.
    """
    return extractor(cached_judge(dataset, **settings), dataset.name)


def extractor(judge: Classifier, name: str) -> Extractor:
    """Make a feature extractor of a classifier; its features come before the last layer.

    Args:
        judge: the classifier.
        name: of the data set on which it was trained.
    """
    width = judge.head[-1].in_features
    maps = [layer.out_channels for layer in judge.encoder if isinstance(layer, nn.Conv2d)]
    channels = "-".join(map(str, maps))
    device = next(judge.parameters()).device

    def features(images: Tensor) -> Tensor:
        with evaluating(judge):
            return judge.features(images.to(device))

    def log_probs(images: Tensor) -> Tensor:
        with evaluating(judge):
            return F.log_softmax(judge.logits(images.to(device)).cpu().double(), 1)

    return Extractor(
        f"{name} classifier, {channels} channels, {width} features", features, log_probs
    )


def accuracy(judge: Classifier, split: data.Split) -> float:
    """Return the share of a split's images that the classifier names right."""
    return right(judge, split).double().mean().item()


def right(judge: Classifier, split: data.Split) -> Tensor:
    """Say which of a split's images the classifier names right: bool, (N,)."""
    return _classes(judge, split.images) == split.labels.cpu()


def judge_figures(judge: Classifier, images: Tensor, dataset: data.Dataset) -> dict[str, Any]:
    """What result.json says of samples.

    Args:
        judge: trained on the data set.
        images: samples, uint8 levels, (N, C, H, W).
        dataset: fair shares are those of its training split; distances are to its test split.
    """
    counts = torch.bincount(dataset.train.labels, minlength=judge.classes)
    found = class_shares(_classes(judge, images), counts)
    real, test = (_features(judge, split.images) for split in (dataset.train, dataset.test))
    return {
        "images": len(images),
        "classes": judge.classes,
        "smallest_relative_share": round(found.smallest, 3),
        "rarest_class": found.rarest,
        "relative_shares": [round(share, 3) for share in found.relative.tolist()],
        "frechet_distance": round(frechet_distance(_features(judge, images), test), 3),
        "frechet_distance_of_training_images": round(frechet_distance(real, test), 3),
    }


def _classes(judge: Classifier, images: Tensor) -> Tensor:
    return _every(judge, judge.classify, images)


def _features(judge: Classifier, images: Tensor) -> Tensor:
    return _every(judge, judge.features, images)


def _every(judge: Classifier, function, images: Tensor) -> Tensor:
    """Apply a function of the classifier to many images; the result lies on the CPU."""
    device = next(judge.parameters()).device
    with evaluating(judge):
        return torch.cat([function(x.to(device)).cpu() for x in images.split(500)])


def _untrained(
    dataset: data.Dataset, classes: int, channels: Sequence[int], seed: int
) -> Classifier:
    with state_put_back([torch.default_generator]):
        torch.default_generator.manual_seed(seed)
        return Classifier.conv(dataset.shape, dataset.levels, classes, channels=channels)


# --- the cache -----------------------------------------------------------------


def _key(dataset: data.Dataset, settings: dict[str, Any]) -> str:
    """Digits that differ where another training would: set, images, labels, settings, PyTorch."""
    if dataset.train.labels is None:
        raise RunError(f"{dataset.name} has no labels, so no classifier can be trained on it")
    settings = {**settings, "channels": tuple(settings["channels"])}
    torch_version = ".".join(torch.__version__.split(".")[:2])
    words = VERSION, torch_version, dataset.name, split_checksum(dataset.train), settings
    return hashlib.sha256(repr(words).encode()).hexdigest()


def _read(
    file: Path, key: str, dataset: data.Dataset, settings: dict[str, Any]
) -> Classifier | None:
    """Return the judge in a file, or None if it is missing, damaged, or of another training."""
    classes = settings["classes"] or int(dataset.train.labels.max()) + 1
    try:
        with safetensors.safe_open(file, framework="pt") as content:
            kept = content.metadata() or {}
            # Its names must be asked for: one cannot loop over the file itself.
            weights = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        judge = _untrained(dataset, classes, settings["channels"], settings["seed"])
        judge.load_state_dict(weights)
    except (SafetensorError, OSError, RuntimeError):
        return None
    return judge if kept == _signature(key, judge) else None


def _write(file: Path, key: str, judge: Classifier) -> None:
    weights = {name: tensor.cpu().contiguous() for name, tensor in judge.state_dict().items()}
    content = safetensors.torch.save(weights, _signature(key, judge))
    with suppress(OSError), written_whole(file) as temporary:  # a cache only saves time
        temporary.write_bytes(content)


def _signature(key: str, judge: Classifier) -> dict[str, str]:
    # One entry: safetensors writes several in random order, and equal judges are equal files.
    return {"judge": f"{key} {network_checksum(judge)}"}
