"""Settings of GANs on images that work, by data set and profile."""

import math
from dataclasses import dataclass
from typing import Literal

from genlearn.errors import RunError
from genlearn.recipes.settings import Profiles, Settings, choose


@dataclass(frozen=True)
class Config(Settings):
    """Settings of a GAN on images."""

    learning_rate: float = 1e-3
    """Of the generator's AdamW, at the start; falls to zero along a cosine."""
    weight_decay: float = 0.0
    """Of AdamW."""
    discriminator_learning_rate: float = 2e-3
    """Of the discriminator's; it keeps up better when it is the faster one. 0: the same."""
    beta1: float = 0.5
    """Of AdamW: share of the moving mean of gradients that is kept at a step."""
    network: Literal["dcgan", "resnet"] = "dcgan"
    """dcgan: strided convolutions. resnet: residual blocks, at a higher price."""
    latent_dim: int = 64
    """Length of a noise vector."""
    channels: tuple[int, ...] = (32, 64)
    """Of both players' feature maps, from half the image's height and width down, halved again."""
    normalise: Literal["batch", "group", "none"] = "none"
    """In the discriminator of the network dcgan; generators have batch norm."""
    spectral: bool = False
    """Divide each weight of the discriminator by its largest singular value."""
    loss: Literal["saturating", "non-saturating", "least-squares", "hinge", "wasserstein"] = (
        "non-saturating"
    )
    """What each player makes smaller."""
    smoothing: float = 0.0
    """One-sided label smoothing: real images count as real to 1 minus this."""
    penalty: Literal["none", "r1", "r2", "gp", "gp-one-sided"] = "r1"
    """Of the discriminator's gradient: r1 at real images, r2 at generated, gp between them."""
    penalty_weight: float = 0.3
    """At the start."""
    penalty_last: float = 0.03
    """At the end; in between the weight falls by equal factors. 0: it stays as it is."""
    every: int = 8
    """Take the penalty at each step of this number, with as many times its weight."""
    repeat: int = 1
    """Updates of the discriminator a step, each on a fresh batch."""
    average: float = 0.999
    """Share of the generator's moving average that is kept at a step; samples come from it."""
    augment: Literal["none", "shift", "all"] = "none"
    """Of what the discriminator sees. all: shift, brightness, contrast, and a part cut out."""
    samples: int = 10_000
    """Images drawn for the figures at the end."""
    judge_steps: int = 600
    """Training steps of the classifier that judges samples, where the data have labels."""
    judge_channels: tuple[int, ...] = (8, 16, 32)
    """Of the classifier's feature maps, from full size down."""

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = ("latent_dim", "every", "repeat", "judge_steps")
        self._check(1, math.inf, *counts)
        self._check(2, math.inf, "samples", "batch_size")
        self._check_finite("discriminator_learning_rate", "penalty_weight", "penalty_last")
        self._check_share("beta1", "smoothing", "average")
        for name in ("channels", "judge_channels"):
            self._check_widths(name)
            if not getattr(self, name):
                raise RunError(f"{name} must be one width or more")
        if self.smoothing and self.loss not in ("saturating", "non-saturating"):
            raise RunError(f"the loss {self.loss!r} has no labels to smooth: leave smoothing")
        if self.penalty != "none" and self.network == "dcgan" and self.normalise == "batch":
            raise RunError(
                "a penalty needs each image's own gradient, which batch norm mixes with others': "
                "set normalise to group or none, or penalty to none"
            )
        if self.patience:
            raise RunError("a GAN has no figure of the validation split: leave patience")
        if not self.penalty_weight and self.penalty_last:
            raise RunError("a penalty_weight of 0 cannot fall to another penalty_last")


# For a CPU, in minutes: five on one thread for 28 x 28, one for digits. R1 keeps the discriminator
# smooth, and at each eighth step it costs little. Its weight falls, so that the discriminator may
# grow sharper while the learning rates go to zero. Digits are few, so they are shown shifted.
_DIGITS = {"channels": (32, 64), "steps": 3000, "batch_size": 64, "augment": "shift"}
_GREY_28 = {"steps": 5000, "batch_size": 64, "evaluate_every": 1000, "checkpoint_every": 1000}
_COLOUR = {**_GREY_28, "channels": (32, 64, 128), "steps": 3000}
# For a GPU; not yet run. Residual networks, spectral norm, the hinge loss, five updates of the
# discriminator a step, no momentum and a rate of 2e-4 for both: as Miyato et al. (2018),
# arXiv 1802.05957, have it for 32 x 32. The average, which they do not take, is long because the
# training is; bfloat16 is for speed.
_LONG = {
    "network": "resnet", "channels": (128, 256), "latent_dim": 128, "loss": "hinge",
    "spectral": True, "penalty": "none", "repeat": 5, "beta1": 0.0, "learning_rate": 2e-4,
    "discriminator_learning_rate": 2e-4, "batch_size": 64, "steps": 100_000, "average": 0.9999,
    "precision": "bf16", "evaluate_every": 5000, "checkpoint_every": 5000, "judge_steps": 5000,
    "judge_channels": (32, 64, 128),
}  # fmt: skip
_COLOUR_LONG = {**_LONG, "channels": (256, 256, 256)}

PROFILES: Profiles = {
    ("digits", "quick"): _DIGITS,
    ("digits", "full"): {**_DIGITS, "steps": 20_000},
}
for name in ("glyphs", "mnist", "fashion-mnist", "kmnist"):
    PROFILES |= {(name, "quick"): _GREY_28, (name, "full"): _LONG}
for name in ("patches", "emoji", "cifar10"):
    PROFILES |= {(name, "quick"): _COLOUR, (name, "full"): _COLOUR_LONG}


def config(data: str = "digits", profile: str | None = None) -> Config:
    """Return the settings for a data set; see :func:`genlearn.recipes.vae.config`."""
    return choose(Config, PROFILES, data, profile)
