"""Settings of VAEs that work, by data set and profile."""

import math
from dataclasses import dataclass
from typing import Literal

from genlearn.errors import RunError
from genlearn.recipes.settings import Profiles, Settings, choose


@dataclass(frozen=True)
class Config(Settings):
    """Settings of a VAE."""

    latent_dim: int = 16
    """Dimensions of the code z."""
    network: Literal["mlp", "conv"] = "mlp"
    """mlp: hidden and pixel_features say how large. conv: channels and blocks do."""
    hidden: tuple[int, ...] = (256,)
    """Widths of the encoder's hidden layers; the decoder has them in reverse."""
    pixel_features: int = 4
    """Features a pixel before the shared output network; 0: no such network."""
    channels: tuple[int, ...] = (24, 48)
    """Of the feature maps, each half as high and wide as the one before."""
    blocks: int = 1
    """Residual blocks at each size."""
    dropout: float = 0.2
    """Share of hidden values set to zero while training."""
    likelihood: Literal["auto", "categorical", "gaussian", "logistic"] = "auto"
    """Of the pixels. auto: Bernoulli for 2 levels, else categorical."""
    components: int = 5
    """Of the mixture, for the likelihood "logistic"."""
    codes: int = 1
    """Codes an image in training. 1: the ELBO; more: the importance-weighted bound."""
    gradient: Literal["reparameterised", "doubly"] = "reparameterised"
    """Of the encoder, when there is more than one code."""
    beta: float = 1.0
    """Weight of the rate in the loss."""
    warm_up: int = 0
    """Steps over which the weight of the rate grows from 0."""
    shift: float = 0.0
    """Largest shift, in pixels, of an image that is moved before it is learned from."""
    moved: float = 0.0
    """Share of the images that are moved."""
    importance_samples: int = 0
    """Codes an image to estimate log p(x) of the test split at the end; 0: no estimate."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(1, math.inf, "latent_dim", "blocks", "components", "codes")
        self._check(0, math.inf, "pixel_features", "warm_up", "importance_samples")
        self._check(0, 1, "moved")
        self._check_share("dropout")
        self._check_finite("beta", "shift")
        self._check_widths("hidden", "channels")
        if not self.channels:
            raise RunError("channels must be one width or more")
        if self.codes > 1 and (self.beta != 1 or self.warm_up):
            raise RunError("with more than one code the rate has no weight: leave beta and warm_up")


_CONV = {"network": "conv", "dropout": 0.0, "importance_samples": 5000}
_LONG = {
    **_CONV,
    "channels": (32, 64, 128),
    "blocks": 2,
    "latent_dim": 50,
    "learning_rate": 1e-3,
    "batch_size": 128,
    "warm_up": 10_000,
    "evaluate_every": 5000,
    "checkpoint_every": 5000,
}

# 1,000 images are soon learned by heart: they are moved a little, and the network is small.
_DIGITS_LONG = {
    **_CONV, "dropout": 0.2, "shift": 1.0, "moved": 0.5, "steps": 3500, "warm_up": 700,
}  # fmt: skip
_GREY_28 = {"hidden": (400,), "dropout": 0.0, "batch_size": 32, "steps": 2000}
_GREY_28_LONG = {**_LONG, "likelihood": "logistic", "steps": 100_000}
_BINARY_28 = {
    **_CONV, "channels": (16, 32, 64), "latent_dim": 32, "batch_size": 64, "steps": 3000,
    "warm_up": 300, "evaluate_every": 1000, "importance_samples": 20,
}  # fmt: skip
_COLOUR = {
    **_CONV, "likelihood": "logistic", "channels": (24, 48, 96), "latent_dim": 64,
    "batch_size": 32, "warm_up": 500, "importance_samples": 0,
}  # fmt: skip
_COLOUR_LONG = {**_LONG, "likelihood": "logistic", "latent_dim": 128, "steps": 100_000}

PROFILES: Profiles = {
    ("digits", "quick"): {},
    ("digits", "full"): _DIGITS_LONG,  # minutes on a CPU, for want of more images
    ("binarized-mnist", "quick"): _BINARY_28,
    ("binarized-mnist", "full"): {**_LONG, "steps": 200_000},
}
for name in ("mnist", "fashion-mnist", "kmnist", "glyphs"):
    PROFILES |= {(name, "quick"): _GREY_28, (name, "full"): _GREY_28_LONG}
for name in ("faces", "patches", "shapes", "emoji", "cifar10"):
    PROFILES |= {(name, "quick"): _COLOUR, (name, "full"): _COLOUR_LONG}


def config(data: str = "digits", profile: str | None = None) -> Config:
    """Return the settings for a data set.

    Args:
        data: name of the data set.
        profile: "quick" or "full"; by default what the variable GENLEARN_PROFILE says, or quick.

    Raises:
        RunError: if there is no such profile, or none for the data set.
    """
    return choose(Config, PROFILES, data, profile)
