"""Settings of GANs for densities of the plane: each stabiliser by its name, and winners.

Why the winners let the weight γ of their penalty fall. Let the model be q = p (1 + h), near the
data p, and let the players move along their gradients, the discriminator a times as fast. To second
order its value is ½ (E_p f - E_q f) - ¼ E_p f² - ½ γ E_p ‖∇f‖², and h changes by -½ L f, where
L f = ∇·(p ∇f) / p. Along an eigenfunction of L, with eigenvalue -λ, the game is one of two numbers:

    f' = -a (½ h + (½ + γ λ) f)        h' = ½ λ f

Small λ is a coarse detail, large λ a fine one: inside a Gaussian of width σ, 1 / σ² belongs to its
place and 2 / σ² to its width.

- The best f is -h / (1 + 2 γ λ): fine details are muted, and none is learned faster than at the
  rate 1 / 4 γ. The equilibrium is still q = p; a large γ only makes the way to sharp edges long.
- The damping ratio, √(a / λ) (½ + γ λ), has its minimum √(2 a γ) at λ = 1 / 2 γ. Without penalty it
  goes to 0 for fine details, which then turn about their place instead of settling there. A faster
  discriminator lets γ be smaller.
- Under steps of size η, taken by both at once, a detail that turns comes closer if and only if
  η < 4 γ + 2 / λ. For all of them η ≤ 4 γ is enough.

So γ must be large while steps are large, and may fall as they do: first the places, then the edges.
"""

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from genlearn.data import Gaussians, Grid
from genlearn.errors import RunError
from genlearn.losses import ADVERSARIAL_LOSSES

DATA: dict[str, Gaussians | Grid] = {
    "ring": Gaussians(modes=8, radius=2.0, std=0.05),
    "grid": Grid(side=5, spacing=1.0, std=0.05),
    "wide-grid": Grid(side=5, spacing=2.0, std=0.05),
}
"""Narrow Gaussians far apart: a generator must find all of them, and leave the gaps empty."""

PENALTIES = ("none", "R1", "R2", "R1 and R2", "between", "unit", "unit, one-sided")


@dataclass(frozen=True)
class Config:
    """Settings of a GAN for points of the plane. The defaults are the plain GAN."""

    data: Literal["ring", "grid", "wide-grid"] = "ring"
    """Density to learn."""
    steps: int = 8000
    """Training steps; each has at least one update of either player."""
    batch_size: int = 128
    """Points a batch."""
    latent_dim: int = 8
    """Length of a noise vector."""
    hidden: tuple[int, ...] = (96, 96, 96)
    """Widths of the generator's hidden layers. Depth makes steep edges between modes cheap."""
    discriminator_hidden: tuple[int, ...] = (96, 96)
    """Widths of the discriminator's hidden layers."""
    noise_scale: float = 6.0
    """Noise is multiplied by it; the first weights are divided by it. So the first map is the same,
    and steps of one size change its slopes by so many times more."""
    seed: int = 0
    """Fixes weights, data and noise."""

    loss: Literal["saturating", "non-saturating", "least-squares", "hinge", "wasserstein"] = (
        "non-saturating"
    )
    """What each player makes smaller."""
    smoothing: float = 0.0
    """The discriminator's target for real data is 1 less this."""
    learning_rate: float = 3e-3
    """Of the generator's Adam."""
    discriminator_rate: float | None = None
    """Of the discriminator's Adam; None: the generator's."""
    momentum: float = 0.5
    """First beta of both Adams; the second is 0.99."""
    cosine: bool = False
    """Whether both rates fall to zero along a cosine."""
    order: Literal["alternating", "simultaneous"] = "alternating"
    """Whether the players take turns or move at once."""
    critic_repeats: int = 1
    """Updates of the discriminator a step, each on fresh points."""
    average: float = 0.0
    """Weight of the past in the average of the generator's weights; 0: the last weights count."""

    penalty: Literal["none", "R1", "R2", "R1 and R2", "between", "unit", "unit, one-sided"] = "none"
    """On the discriminator's gradient. between: towards 0, unit: towards norm 1, both at points
    between real and generated ones."""
    weight: float = 0.0
    """Of the penalty: γ for those towards 0, λ for those towards norm 1."""
    final_weight: float | None = None
    """To which the weight falls, by the same factor in each step; None: it stays."""
    lazy: int = 1
    """The penalty is taken each so many steps, with so many times the weight."""
    clip_weights: float = 0.0
    """Largest weight of the discriminator; 0: any."""
    clip_gradient: float = 0.0
    """Largest norm of either player's gradient; 0: any."""
    spectral_norm: bool = False
    """Whether each layer of the discriminator is divided by its largest singular value."""
    gradient_normalised: bool = False
    """Whether the discriminator is divided by the norm of its gradient and its size."""

    def __post_init__(self) -> None:
        choices = {
            "data": tuple(DATA), "loss": tuple(ADVERSARIAL_LOSSES), "penalty": PENALTIES,
            "order": ("alternating", "simultaneous"),
        }  # fmt: skip
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise RunError(f"{name} must be one of {', '.join(known)}")
        for name in ("steps", "batch_size", "latent_dim", "critic_repeats", "lazy", "seed"):
            value, least = getattr(self, name), 0 if name == "seed" else 1
            if value < least:
                raise RunError(f"{name} must be at least {least}, got {value}")
        for name in ("smoothing", "momentum", "average"):
            if not 0 <= getattr(self, name) < 1:
                raise RunError(f"{name} must be at least 0 and below 1, got {getattr(self, name)}")
        for name in ("noise_scale", "learning_rate", "discriminator_rate", "final_weight"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise RunError(f"{name} must be above 0 and finite, got {value}")
        for name in ("weight", "clip_weights", "clip_gradient"):
            if not 0 <= getattr(self, name) < math.inf:
                raise RunError(f"{name} must be at least 0 and finite, got {getattr(self, name)}")
        if (self.penalty == "none") != (self.weight == 0):
            raise RunError("a penalty has a weight above 0, and only a penalty has one")
        if self.final_weight is not None and self.penalty == "none":
            raise RunError("without a penalty there is no final_weight")
        if self.lazy > 1 and self.penalty not in ("R1",):
            raise RunError("only R1 can be lazy: the other penalties need generated points")
        if self.smoothing and self.loss not in ("saturating", "non-saturating"):
            raise RunError("smoothing is for the losses of probabilities")

    def weight_at(self, step: int) -> float:
        """Return the weight of the penalty in a step, counted from 0."""
        if self.final_weight is None:
            return self.weight
        return self.weight * (self.final_weight / self.weight) ** (step / self.steps)


_CRITIC = {"loss": "wasserstein", "critic_repeats": 3}
_ON_TOYS = 0.1  # with the 10 of images, a critic of the plane is all penalty, and modes are lost
_R1 = {"penalty": "R1", "weight": 0.1}
_DECAYED = {
    **_R1, "final_weight": 5e-4, "discriminator_rate": 9e-3, "cosine": True, "average": 0.999,
    "steps": 16_000,
}  # fmt: skip

STABILISERS: dict[str, dict[str, Any]] = {
    "plain": {},
    "saturating": {"loss": "saturating"},
    "least-squares": {"loss": "least-squares"},
    "hinge": {"loss": "hinge"},
    "label smoothing": {"smoothing": 0.1},
    "weight clipping": {**_CRITIC, "clip_weights": 0.1},
    "WGAN-GP": {**_CRITIC, "penalty": "unit", "weight": _ON_TOYS},
    "WGAN-GP one-sided": {**_CRITIC, "penalty": "unit, one-sided", "weight": _ON_TOYS},
    "R1": _R1,
    "R1 and R2": {"penalty": "R1 and R2", "weight": 0.1},
    "R1 lazy": {**_R1, "lazy": 16},
    "zero-centred between": {"penalty": "between", "weight": 0.1},
    "spectral norm": {"spectral_norm": True},
    "gradient clipping": {"clip_gradient": 0.1},
    "gradient normalisation": {"gradient_normalised": True},
    "two time scales": {"discriminator_rate": 9e-3},
    "critic repeats": {"critic_repeats": 3},
    "average": {"average": 0.999},
    "R1 decayed": {**_DECAYED, "steps": 20_000},
    "R1 lazy decayed": {**_DECAYED, "lazy": 4},
    "hinge, R1 lazy decayed": {**_DECAYED, "lazy": 4, "loss": "hinge"},
}
"""What differs from the plain GAN, by the stabiliser's name. The last three join several."""
WINNERS = ("R1 decayed", "R1 lazy decayed", "hinge, R1 lazy decayed")
"""The last three, made to find all modes and to leave the gaps empty on all three data."""


PROFILES: dict[str, dict[str, Any]] = {"full": {}, "quick": {"steps": 4000}}
"""quick: some ten seconds; enough for a winner on the ring, not on the grids."""


def config(
    data: str = "ring", stabiliser: str = "plain", profile: str = "full", **changes: Any
) -> Config:
    """Return the settings of a GAN with one stabiliser.

    Args:
        data: "ring", "grid" or "wide-grid".
        stabiliser: one of STABILISERS.
        profile: "full", or "quick" for fewer steps.
        changes: further settings.

    Raises:
        RunError: if there is no such stabiliser or profile, or a setting makes no sense.
    """
    for kind, name, known in (
        ("stabiliser", stabiliser, STABILISERS),
        ("profile", profile, PROFILES),
    ):
        if name not in known:
            raise RunError(f"there is no {kind} {name!r}; there are: {', '.join(known)}")
    return replace(Config(data=data), **{**STABILISERS[stabiliser], **PROFILES[profile], **changes})
