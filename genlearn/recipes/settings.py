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
    """Images a step."""
    learning_rate: float = 2e-3
    """Of AdamW, at the start; falls to zero along a cosine."""
    weight_decay: float = 0.01
    """Of AdamW."""
    evaluate_every: int = 500
    """Steps between figures of the validation split, and between pictures of samples."""
    checkpoint_every: int = 500
    """Steps between checkpoints."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16: networks in bfloat16, likelihoods in float32."""
    device: str = "auto"
    """auto takes CUDA, then MPS, then the CPU."""
    threads: int = 1
    """CPU threads; models of this size are fastest with one."""
    seed: int = 0
    """Fixes weights, order of the data, and all noise."""

    def __post_init__(self) -> None:
        every = ("evaluate_every", "checkpoint_every")
        self._check(1, math.inf, "steps", "batch_size", "threads", *every)
        if not 0 < self.learning_rate < math.inf:
            raise RunError(f"learning_rate must be above 0 and finite, got {self.learning_rate}")
        self._check_finite("weight_decay")
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
