"""Settings of models of pixels in order that work, by model, data set and profile."""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from genlearn.errors import RunError
from genlearn.recipes.settings import Profiles, Settings, choose

Model = Literal[
    "pixel-lstm",
    "row-lstm",
    "diagonal-bilstm",
    "pixel-cnn",
    "gated-pixel-cnn",
    "pixel-cnn-pp",
    "transformer",
]
MODELS: tuple[str, ...] = get_args(Model)


@dataclass(frozen=True)
class Config(Settings):
    """Settings of a model that predicts an image pixel by pixel."""

    model: Model = "gated-pixel-cnn"
    """Decides the defaults of all other options, as data and profile do."""
    features: int = 48
    """Width: numbers that stand for a pixel between layers."""
    hidden: int = 0
    """Width of the states of row-lstm and diagonal-bilstm; 0: as many as features."""
    layers: int = 5
    """Of the same kind, one upon another."""
    embedding: int = 0
    """Length of the learned vector that stands for a level; 0: levels are grey values."""
    position: int = 32
    """Length of the learned vector that tells a pixel-lstm where it is."""
    places: bool = False
    """Learn features of each place, which helps a pixel-cnn where images are centred."""
    first_kernel: int = 5
    """Height and width of the first layer's window, for the models of rows and of convolutions."""
    kernel: int = 3
    """Of the other layers, for the models of convolutions; of a row-lstm's states."""
    head: int = 64
    """Hidden features of the last layers, which turn a pixel's features into a distribution."""
    dropout: float = 0.0
    """Share of hidden values set to zero while training."""
    likelihood: Literal["auto", "categorical", "logistic"] = "auto"
    """Of a pixel, given those before it. auto: Bernoulli for 2 levels, else categorical."""
    components: int = 5
    """Of the mixture, for the likelihood "logistic"."""
    classes: int = 0
    """Number of labels, for a model of p(image | label); 0: of p(image)."""
    moved: float = 0.0
    """Share of the images that are moved before they are learned from; the model is told which."""
    shift: float = 1.0
    """Largest shift of an image that is moved, in pixels."""
    angle: float = 10.0
    """Largest turn, in degrees."""
    zoom: float = 1.1
    """Largest factor of its size, or the inverse of it."""
    average: float = 0.995
    """Share of the moving average of the weights that is kept at a step."""
    valid_images: int = 2000
    """The first of the validation split, which choose the average that is kept."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _known_model(self.model)
        self._check(1, math.inf, "features", "layers", "head", "components", "zoom")
        self._check(1, math.inf, "position", "first_kernel", "kernel")
        self._check(2, math.inf, "valid_images")
        self._check(0, math.inf, "classes", "embedding", "hidden")
        self._check(0, 1, "moved")
        self._check_share("dropout", "average")
        self._check_finite("shift", "angle", "zoom")
        for name in ("first_kernel", "kernel"):
            if getattr(self, name) % 2 == 0:
                raise RunError(f"{name} must be odd, got {getattr(self, name)}")


Sizes = dict[str, dict[str, Any]]
"""What differs from the defaults, by model."""

# Digits are few: some are moved a little and the model is told which, dropout is high, and the
# validation split chooses. Small batches learn more in the same time. All sizes were chosen on the
# validation split with seed 0; benchmarks/results/pixel_digits.json has what came of them.
_DIGITS: Sizes = {
    "pixel-lstm": {
        "features": 192, "layers": 1, "embedding": 8, "head": 160, "dropout": 0.5, "moved": 0.5,
        "angle": 15.0, "zoom": 1.15, "steps": 2200,
    },
    "row-lstm": {"features": 64, "layers": 2, "dropout": 0.15, "steps": 1800},
    "diagonal-bilstm": {"features": 64, "layers": 1, "dropout": 0.1, "steps": 1500},
    "pixel-cnn": {
        "features": 96, "layers": 8, "head": 96, "dropout": 0.25, "moved": 0.4, "steps": 1600,
        "places": True,
    },
    "gated-pixel-cnn": {"features": 48, "layers": 6, "dropout": 0.2, "steps": 1500},
    "pixel-cnn-pp": {
        "features": 32, "layers": 2, "dropout": 0.3, "likelihood": "logistic", "steps": 1000
    },
    "transformer": {"features": 64, "layers": 4, "first_kernel": 3, "dropout": 0.2, "steps": 800},
}  # fmt: skip

# For a CPU, in minutes on one thread for 28 x 28. Widths are multiples of 6: they suit colours too.
_QUICK: Sizes = {
    "pixel-lstm": {"features": 120, "layers": 1, "steps": 1000},
    "row-lstm": {"features": 36, "layers": 4, "steps": 1200},
    "diagonal-bilstm": {"features": 36, "layers": 4, "steps": 1200},
    "pixel-cnn": {"features": 60, "layers": 5},
    "gated-pixel-cnn": {"features": 36, "layers": 5, "steps": 1500},
    "pixel-cnn-pp": {"features": 36, "layers": 2, "steps": 1500, "likelihood": "logistic"},
    "transformer": {"features": 60, "layers": 3, "first_kernel": 3, "steps": 500},
}
# For a GPU; not yet run. Sizes as van den Oord et al. (2016), arXiv 1601.06759, have them for
# CIFAR-10: 12 recurrent layers or 15 convolutional ones of h = 128, which are 2 h features between
# layers, here the next multiple of 6. The others have as many features as that, or half as many.
_FULL: Sizes = {
    "pixel-lstm": {"features": 1020, "layers": 2, "head": 510},
    "row-lstm": {"features": 258, "hidden": 129, "layers": 12, "first_kernel": 7},
    "diagonal-bilstm": {"features": 258, "hidden": 129, "layers": 12, "first_kernel": 7},
    "pixel-cnn": {"features": 258, "layers": 15, "first_kernel": 7},
    "gated-pixel-cnn": {"features": 126, "layers": 15, "first_kernel": 7},
    "pixel-cnn-pp": {"features": 162, "layers": 5, "likelihood": "logistic", "dropout": 0.5},
    "transformer": {"features": 252, "layers": 12, "first_kernel": 3, "dropout": 0.1},
}
# For a GPU; not yet run. As in the same paper: 7 layers of h = 16, and 32 features in the last
# layers. It descends by RMSProp with rates that were set by hand, and takes batches of 16. Here it
# is AdamW, whose rate falls along a cosine, so that nobody needs to watch, and the average of the
# weights is what is kept; batches of 64 keep a GPU busy. Its table 4 has, in test nats: PixelCNN
# 81.30, Row LSTM 80.54, Diagonal BiLSTM 79.20. The other models are not in it.
_BINARY_FULL: Sizes = {
    "pixel-lstm": {"features": 512, "layers": 2},
    "row-lstm": {"features": 32, "hidden": 16, "layers": 7, "first_kernel": 7, "head": 32},
    "diagonal-bilstm": {"features": 32, "hidden": 16, "layers": 7, "first_kernel": 7, "head": 32},
    "pixel-cnn": {"features": 64, "layers": 7, "first_kernel": 7, "head": 32},
    "gated-pixel-cnn": {"features": 64, "layers": 7, "first_kernel": 7},
    "pixel-cnn-pp": {"features": 64, "layers": 3, "dropout": 0.3},
    "transformer": {"features": 128, "layers": 8, "first_kernel": 3, "dropout": 0.1},
}

_SMALL = {"batch_size": 32, "evaluate_every": 100}
_MEDIUM = {
    "batch_size": 16, "evaluate_every": 500, "valid_images": 1000, "head": 60,
    "average": 0.998,
}  # fmt: skip
_LONG = {
    "batch_size": 64, "steps": 200_000, "evaluate_every": 5000, "checkpoint_every": 5000,
    "learning_rate": 1e-3, "average": 0.9995, "valid_images": 5000,
}  # fmt: skip
_COLOUR_LONG = {**_LONG, "head": 1020, "precision": "bf16", "learning_rate": 5e-4}

PROFILES: Profiles = {
    ("digits", "quick"): {**_SMALL, "steps": 500},
    ("digits", "full"): _SMALL,  # minutes on a CPU, for want of more images
    ("binarized-mnist", "quick"): {**_MEDIUM, "likelihood": "auto"},
    ("binarized-mnist", "full"): _LONG,
}
for name in ("glyphs", "mnist", "fashion-mnist", "kmnist"):
    PROFILES |= {(name, "quick"): _MEDIUM, (name, "full"): {**_LONG, "head": 258}}
for name in ("faces", "patches", "shapes", "emoji", "cifar10"):
    PROFILES |= {(name, "quick"): _MEDIUM, (name, "full"): _COLOUR_LONG}


def config(
    data: str = "digits", profile: str | None = None, model: str = "gated-pixel-cnn"
) -> Config:
    """Return the settings for a data set and a model.

    Args:
        data: name of the data set.
        profile: "quick" or "full"; by default what the variable GENLEARN_PROFILE says, or quick.
        model: one of ``MODELS``.

    Raises:
        RunError: if there is no such profile or model, or none for the data set.
    """
    _known_model(model)
    profile = choose(Config, PROFILES, data, profile).profile
    if data == "digits":
        sizes = {name: {"moved": 0.3, **mine} for name, mine in _DIGITS.items()}
    elif profile == "quick":
        sizes = _QUICK
    else:
        sizes = _BINARY_FULL if data == "binarized-mnist" else _FULL
    differs = {"model": model, **sizes[model], **PROFILES[data, profile]}
    return replace(Config(data, profile), **differs)


def _known_model(name: str) -> None:
    if name not in MODELS:
        raise RunError(f"there is no model {name!r}; there are: {', '.join(MODELS)}")
