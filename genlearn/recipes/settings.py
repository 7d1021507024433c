"""Settings that every recipe has: chosen by data set and profile, and checked."""

import math
import os
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

from genlearn.errors import RunError

Kind = TypeVar("Kind", bound="Settings")
Profiles = dict[tuple[str, str], dict[str, Any]]
"""What differs from the defaults, by data set and profile."""


@dataclass(frozen=True)
class Settings:
    """What every recipe must know. A recipe's own settings come behind these."""

    data: str = "digits"
    """Data set; see `genlearn data list`."""
    profile: Literal["quick", "full"] = "quick"
    """quick: minutes on a laptop's CPU. full: sized for a GPU."""
    steps: int = 2000
    """Training steps."""
    batch_size: int = 128
    """Images a batch; each process takes its own."""
    accumulate: int = 1
    """Batches whose gradients are averaged for one update."""
    learning_rate: float = 2e-3
    """Of AdamW, at the start; falls to zero along a cosine."""
    weight_decay: float = 0.01
    """Of AdamW."""
    clip_gradient: float = 0.0
    """Largest Euclidean norm of a gradient; 0: as it is."""
    evaluate_every: int = 500
    """Steps between figures of the validation split, and between pictures of samples."""
    patience: int = 0
    """End when so many of these figures in a row are no better than the best; 0: never."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""
    checkpoint_minutes: float = 0.0
    """Minutes between more checkpoints, by the clock; 0: none."""
    keep: int = 1
    """The newest checkpoints that are kept."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16: networks in bfloat16, losses in float32. auto: bf16 where a CUDA device has it."""
    channels_last: Literal["auto", "on", "off"] = "auto"
    """Order of memory in which convolutions keep the channels of a pixel together."""
    compile: bool = False
    """Compile the networks before the first step; needs a C++ compiler."""
    device: str = "auto"
    """auto takes CUDA, then MPS, then the CPU."""
    devices: int = 1
    """Processes that train together, each on a device of its own."""
    threads: int = 0
    """Threads of the CPU in each process; 0: as many as the work of a step is worth."""
    seed: int = 0
    """Fixes weights, order of the data, and all noise."""

    def __post_init__(self) -> None:
        every = ("evaluate_every", "checkpoint_every")
        self._check(1, math.inf, "steps", "batch_size", "accumulate", "keep", "devices", *every)
        self._check(0, math.inf, "threads", "patience")
        if not 0 < self.learning_rate < math.inf:
            raise RunError(f"learning_rate must be above 0 and finite, got {self.learning_rate}")
        self._check_finite("weight_decay", "clip_gradient", "checkpoint_minutes")
        self._check_choice("precision", "auto", "fp32", "bf16")
        self._check_choice("channels_last", "auto", "on", "off")
        if not 0 <= self.seed < 2**63:
            raise RunError(f"seed must be 0 … 2^63 - 1, got {self.seed}")

    def _check(self, least: float, most: float, *names: str) -> None:
        """Raise RunError unless the settings of these names are least … most."""
        for name in names:
            value = getattr(self, name)
            if not least <= value <= most:
                limits = f"{least} … {most}" if most < math.inf else f"at least {least}"
                raise RunError(f"{name} must be {limits}, got {value}")

    def _check_finite(self, *names: str) -> None:
        """Raise RunError unless these are at least 0 and finite."""
        for name in names:
            if not 0 <= getattr(self, name) < math.inf:
                value = getattr(self, name)
                raise RunError(f"{name} must be at least 0 and finite, got {value}")

    def _check_choice(self, name: str, *choices: str) -> None:
        """Raise RunError unless the setting of this name is one of these."""
        if (value := getattr(self, name)) not in choices:
            raise RunError(f"{name} must be one of {', '.join(choices)}, got {value!r}")

    def _check_share(self, *names: str) -> None:
        """Raise RunError unless these are at least 0 and below 1."""
        for name in names:
            if not 0 <= getattr(self, name) < 1:
                raise RunError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")

    def _check_widths(self, *names: str) -> None:
        """Raise RunError unless these are whole numbers of at least 1."""
        for name in names:
            widths = getattr(self, name)
            if not all(isinstance(width, int) and width >= 1 for width in widths):
                raise RunError(f"{name} must be widths of at least 1, got {widths}")


def choose(kind: type[Kind], profiles: Profiles, data: str, profile: str | None) -> Kind:
    """Return the settings for a data set.

    Args:
        kind: of the settings.
        profiles: what differs from their defaults.
        data: name of the data set.
        profile: "quick" or "full"; by default what the variable GENLEARN_PROFILE says, or quick.

    Raises:
        RunError: if there is no such profile, or none for the data set.
    """
    known = list(dict.fromkeys(name for name, _ in profiles))
    if data not in known:
        raise RunError(f"the recipe has no settings for {data!r}; it has: {', '.join(known)}")
    profile = profile or os.environ.get("GENLEARN_PROFILE") or "quick"
    if (data, profile) not in profiles:
        raise RunError(
            f"there is no profile {profile!r} (--profile or GENLEARN_PROFILE); there are: "
            "quick, full"
        )
    return replace(kind(data, profile), **profiles[data, profile])
