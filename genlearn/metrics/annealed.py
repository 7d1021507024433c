"""Annealed importance sampling: log p(x) of a model with codes, by many small steps.

Importance sampling draws codes once and weighs them. Where the posterior is far from where they
are drawn, almost all weigh nothing. Here each code walks: from a distribution that can be drawn
from, over distributions in between, to the posterior. The weight is the product of what each small
step is worth.

Sources: Neal (2001), Annealed Importance Sampling, Statistics and Computing 11(2), 125-139; for
decoders of images: Wu et al. (2017), arXiv 1611.04273.
"""

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from genlearn.data import Split
from genlearn.devices import default_generators, state_put_back
from genlearn.metrics.likelihood import mean_over
from genlearn.training import evaluating

TARGET = 0.7
"""Share of moves that the pilot run wants accepted."""
FIRST = 0.5
"""Step size at which the pilot run begins, in standard deviations of the first codes."""
RATE = 0.3
"""How fast the pilot run changes the logarithm of the step size."""


class Annealed(NamedTuple):
    """What :func:`annealed_log_prob` finds out of N images, with S chains each."""

    log_prob: Tensor
    """Log of the mean weight, nats, (N,), float64: on average a lower bound of log p(x);
    eq-likely-annealed-bound."""
    log_weights: Tensor
    """Of each chain, (S, N), float64; each weight alone is right on average."""
    effective: Tensor
    """Effective number of chains, (Σw)² / Σw², (N,): 1 … S."""
    acceptance: Tensor
    """Share of moves that were accepted, (N,)."""


class AnnealedEstimate(NamedTuple):
    """A mean over images like :class:`genlearn.metrics.Estimate`, and how well the chains did."""

    mean: float
    standard_error: float
    images: int
    effective: float
    """Effective number of chains, mean over images."""
    acceptance: float
    """Share of accepted moves, mean over images."""


def annealed_log_prob(
    model: nn.Module,
    x: Tensor,
    *,
    chains: int = 16,
    temperatures: int = 100,
    leapfrog: int = 5,
    start: Literal["prior", "posterior"] = "prior",
    step: float | None = None,
    seed: int = 0,
) -> Annealed:
    """Estimate log p(x) of each image by annealed importance sampling; alg-likely-annealed.

    Between two temperatures each chain makes one move of Hamiltonian Monte Carlo, which is accepted
    or refused so that the distribution in between stays exactly as it is. So the mean weight is
    p(x) whatever the settings (eq-likely-annealed-mean); they only decide how much the weights
    scatter. Step sizes, one an image and temperature, come from a pilot run with chains of its own:
    were they fitted to the chains that are weighed, the weights would not be right on average.

    Args:
        model: has ``prior(count)``, ``likelihood(z)`` and, for that start, ``posterior(x)``, like
            :class:`genlearn.models.VAE` and :class:`genlearn.models.PPCA`; codes are continuous.
        x: images as the model wants them, (N, ...), on its device.
        chains: S, codes an image.
        temperatures: T, factors of each weight; T - 1 moves lie between them.
        leapfrog: gradient steps a move. The whole costs T · leapfrog decodings a chain, and as many
            again for the pilot.
        start: draw the first codes from p(z), or from q(z | x).
        step: size of a leapfrog step; without it, the pilot run decides.
        seed: of all draws.

    Raises:
        ValueError: if a number is not positive, there is no such start, or log p(x, z) of a first
            code is not finite.
    """
    _check(chains, temperatures, leapfrog, start, step)
    generators = default_generators(x.device)
    with state_put_back(generators), evaluating(model):
        for generator in generators:
            generator.manual_seed(seed)
        return _annealed(model, x, chains, temperatures, leapfrog, start, step)


def annealed_log_likelihood(
    model: nn.Module,
    split: Split,
    *,
    chains: int = 16,
    temperatures: int = 100,
    leapfrog: int = 5,
    start: Literal["prior", "posterior"] = "prior",
    batch_size: int = 64,
    seed: int = 0,
) -> AnnealedEstimate:
    """Estimate the mean log p(x) over a split by :func:`annealed_log_prob`, in nats per image.

    Args:
        model, chains, temperatures, leapfrog, start, seed: as there.
        split: the images.
        batch_size: images at a time; ``chains`` times as many codes are decoded together.

    Raises:
        ValueError: as there, and if there are fewer than 2 images, which have no standard error.
    """
    _check(chains, temperatures, leapfrog, start, None)
    parts: list[Annealed] = []

    def log_prob(images: Tensor) -> Tensor:
        parts.append(_annealed(model, images, chains, temperatures, leapfrog, start, None))
        return parts[-1].log_prob

    generators = default_generators(next(model.parameters()).device)
    with state_put_back(generators):
        for generator in generators:
            generator.manual_seed(seed)
        estimate = mean_over(model, split, log_prob, batch_size=batch_size)
    effective = torch.cat([part.effective for part in parts]).mean().item()
    acceptance = torch.cat([part.acceptance for part in parts]).mean().item()
    return AnnealedEstimate(*estimate, effective, acceptance)


def sigmoid_schedule(temperatures: int, steepness: float = 4.0) -> Tensor:
    """Inverse temperatures 0 = β₀ < … < β_T = 1, float64, (T + 1,): dense at both ends.

    A sigmoid from -steepness to steepness, shifted and scaled to begin at 0 and end at 1.
    """
    line = torch.linspace(-steepness, steepness, temperatures + 1, dtype=torch.float64).sigmoid()
    return (line - line[0]) / (line[-1] - line[0])


class _State(NamedTuple):
    """Codes (S, N, L), and of both ends of the path the log density (S, N) and its gradient."""

    z: Tensor
    base: Tensor
    joint: Tensor
    base_slope: Tensor
    joint_slope: Tensor

    def log_prob(self, beta: float) -> Tensor:
        """Log density in between, up to a constant."""
        return (1 - beta) * self.base.double() + beta * self.joint.double()

    def slope(self, beta: float) -> Tensor:
        return (1 - beta) * self.base_slope + beta * self.joint_slope


class _Path:
    """The distributions between a start and the posterior of some images."""

    def __init__(self, model: nn.Module, x: Tensor, start: Distribution) -> None:
        self.model, self.start, self.prior = model, start, model.prior(len(x))
        self.x = x if x.is_floating_point() else x.float()

    def at(self, z: Tensor) -> _State:
        """Look at codes, (S, N, L)."""
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            images = self.x.expand(len(z), *self.x.shape).flatten(0, 1)
            log_x = self.model.likelihood(z.flatten(0, 1)).log_prob(images).view(z.shape[:2])
            joint, base = log_x + self.prior.log_prob(z), self.start.log_prob(z)
            (joint_slope,) = torch.autograd.grad(joint.sum(), z)
            (base_slope,) = torch.autograd.grad(base.sum(), z)
        return _State(z.detach(), base.detach(), joint.detach(), base_slope, joint_slope)


def _annealed(
    model: nn.Module,
    x: Tensor,
    chains: int,
    temperatures: int,
    leapfrog: int,
    start: str,
    step: float | None,
) -> Annealed:
    first = model.prior(len(x)) if start == "prior" else model.posterior(x)
    path = _Path(model, x, first)
    betas = sigmoid_schedule(temperatures).tolist()
    narrowest = first.stddev.amin(-1)  # of the dimensions of the code, (N,)
    size = FIRST * narrowest if step is None else torch.full_like(narrowest, step)
    sizes = size.repeat(temperatures, 1)
    if step is None:
        _walk(path, betas, sizes, chains, leapfrog, adapt=True)  # the pilot's codes are forgotten
    log_w, acceptance = _walk(path, betas, sizes, chains, leapfrog, adapt=False)
    shares = log_w.softmax(0)
    return Annealed(
        log_w.logsumexp(0) - math.log(chains), log_w, 1 / shares.square().sum(0), acceptance
    )


def _walk(
    path: _Path, betas: list[float], sizes: Tensor, chains: int, leapfrog: int, *, adapt: bool
) -> tuple[Tensor, Tensor]:
    """Log weights (S, N) and share of accepted moves (N,); a pilot fits ``sizes`` in place."""
    state = path.at(path.start.sample((chains,)))
    if not (state.joint.isfinite().all() and state.base.isfinite().all()):
        raise ValueError("log p(x, z) of a first code is not finite: look at the model's weights")
    log_w = torch.zeros_like(state.joint, dtype=torch.float64)
    accepted = torch.zeros_like(log_w[0])
    for k in range(1, len(betas)):
        # The weight looks at the code as it was before the move to this temperature.
        log_w += (betas[k] - betas[k - 1]) * (state.joint.double() - state.base.double())
        if k == len(betas) - 1:
            break
        state, share = _move(path, state, betas[k], sizes[k - 1], leapfrog)
        accepted += share
        if adapt:
            sizes[k] = sizes[k - 1] * (RATE * (share - TARGET)).exp().to(sizes)
    return log_w, accepted / max(1, len(betas) - 2)


def _move(
    path: _Path, old: _State, beta: float, size: Tensor, leapfrog: int
) -> tuple[_State, Tensor]:
    """One move of Hamiltonian Monte Carlo, and the share of the chains that took it, (N,).

    Source: Neal (2011), MCMC using Hamiltonian dynamics, arXiv 1206.1901.
    """
    # Some play in the step size, so that no orbit comes back to where it began.
    size = (size * (0.8 + 0.4 * torch.rand_like(old.joint))).unsqueeze(-1).to(old.z)
    before = torch.randn_like(old.z)
    new, momentum = old, before
    for _ in range(leapfrog):
        momentum = momentum + size / 2 * new.slope(beta)
        new = path.at(new.z + size * momentum)
        momentum = momentum + size / 2 * new.slope(beta)
    energy_lost = new.log_prob(beta) - old.log_prob(beta)
    energy_lost += (before.double().square() - momentum.double().square()).sum(-1) / 2
    take = torch.rand_like(energy_lost).log() < energy_lost  # never where it is not a number
    state = [
        torch.where(take.view(*take.shape, *[1] * (n.ndim - 2)), n, o)
        for n, o in zip(new, old, strict=True)
    ]
    return _State(*state), take.double().mean(0)


def _check(chains: int, temperatures: int, leapfrog: int, start: str, step: float | None) -> None:
    counts = {"chains": chains, "temperatures": temperatures, "leapfrog": leapfrog}
    for name, count in counts.items():
        if count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    if start not in ("prior", "posterior"):
        raise ValueError(f"start must be prior or posterior, got {start!r}")
    if step is not None and not 0 < step < math.inf:
        raise ValueError(f"step must be above 0, got {step}")
