"""Trainings for processes that tests start: these import this file, and no test."""

import copy
import os
import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from genlearn.callbacks import Average, Checkpoint, Evaluate, KeepBest
from genlearn.data import Batches, Dataset, Split
from genlearn.errors import RunError
from genlearn.models import GAN, VAE, gated_pixel_cnn
from genlearn.processes import current_group
from genlearn.recipes import vqvae as recipe
from genlearn.training import Callback, Objective, Training, fit

SHAPE, LEVELS = (1, 8, 8), 5


class Trained(NamedTuple):
    """What a training left behind, in each process."""

    weights: dict[str, Tensor]
    rows: list[dict[str, float]]


Callbacks = Sequence[Callback]


def vae(accumulate: int = 1, callbacks: Callbacks = (), device: str = "cpu") -> Trained:
    torch.manual_seed(current_group().rank)  # the first one's weights count
    model = VAE.mlp(SHAPE, LEVELS, latent_dim=2, hidden=(8,), dropout=0.2)
    adam = torch.optim.AdamW(model.parameters(), lr=1e-2)
    objective = Objective("vae", lambda step: -model.elbo(*step.batch).mean(), adam)
    return _trained({"vae": model}, [objective], accumulate, callbacks, device=device)


def gan(accumulate: int = 1, callbacks: Callbacks = (), spectral: bool = False) -> Trained:
    """Two updates of the discriminator a step, batch norm, a lazy penalty, an average, the best."""
    torch.manual_seed(0)
    model = GAN.dcgan(SHAPE, LEVELS, latent_dim=3, channels=(8, 8), spectral=spectral)
    generator, discriminator = model.generator, model.discriminator
    average, best = copy.deepcopy(generator), copy.deepcopy(generator)

    def penalty(step):
        images = model.scaled(step.batch[0]).requires_grad_()
        (slope,) = torch.autograd.grad(discriminator(images).sum(), images, create_graph=True)
        return slope.square().sum()

    def size():
        return {"size": sum(weight.square().sum().item() for weight in average.parameters())}

    objectives = [
        Objective("discriminator", model.discriminator_loss, _adam(discriminator), repeat=2),
        Objective("penalty", penalty, _adam(discriminator), every=4),
        Objective("generator", model.generator_loss, _adam(generator)),
    ]
    keep = [Average(generator, average, 0.9), Evaluate(size, 3), KeepBest(average, best, "size")]
    modules = {**model.players, "average": average, "best": best}
    return _trained(modules, objectives, accumulate, (*keep, *callbacks))


def pixel_cnn(accumulate: int = 1, callbacks: Callbacks = ()) -> Trained:
    """With dropout."""
    torch.manual_seed(0)
    model = gated_pixel_cnn(SHAPE, LEVELS, features=4, layers=2, head=4, dropout=0.5)
    objective = Objective("pixel", lambda step: -model.log_prob(*step.batch).mean(), _adam(model))
    return _trained({"pixel": model}, [objective], accumulate, callbacks)


def codebook(accumulate: int = 1, callbacks: Callbacks = ()) -> Trained:
    """The recipe of the VQ-VAE: moving averages, and words that begin anew."""
    config = recipe.Config(
        steps=STEPS, batch_size=4, channels=(4, 4), code_dim=3, codes=8, decay=0.5, restart=0.9,
        accumulate=accumulate, device="cpu",
    )  # fmt: skip
    dataset = Dataset("random", *(_images(seed) for seed in range(3)))
    model = recipe.build(config, SHAPE, LEVELS)
    history = recipe.train(config, dataset, model, tuple(callbacks))
    assert model.codebook.restarts > 16
    return Trained(_weights({"vqvae": model}), history.rows)


STEPS = 12
FAMILIES: dict[str, Callable[..., Trained]] = {
    "vae": vae, "gan": gan, "pixel_cnn": pixel_cnn, "codebook": codebook,
}  # fmt: skip


def all_families() -> dict[str, Trained]:
    """Train each in this group; all processes must end with the same.

    So must those with spectral normalisation, though not with what one process ends with: each pass
    takes a step of the power iteration, and one that accumulates makes more passes.
    """
    found = {name: train() for name, train in FAMILIES.items()}
    found["spectral"] = gan(spectral=True)
    theirs = current_group().first(lambda: found)
    for name, trained in found.items():
        assert trained.rows == theirs[name].rows
        assert all(torch.equal(w, theirs[name].weights[k]) for k, w in trained.weights.items())
    return found


class End(Callback):
    """End the training before its time, as an error would."""

    def after_step(self, training: Training) -> None:
        """Raise when a checkpoint has been written, and some more steps are done."""
        if training.step == STEPS // 2 + 2:
            raise RunError("the end")


def interrupted(name: str, folder: Path, accumulate: int = 1) -> None:
    """Train until some steps after the first checkpoint."""
    try:
        FAMILIES[name](accumulate, (Checkpoint(folder, STEPS // 2), End()))
    except RunError:
        return


def resumed(name: str, folder: Path, accumulate: int = 1) -> Trained:
    """Go on from the newest checkpoint."""
    return FAMILIES[name](accumulate, (Checkpoint(folder, STEPS, resume=True),))


def interrupted_and_resumed(name: str, folder: Path) -> Trained:
    interrupted(name, folder)
    return resumed(name, folder)


class Misfortune(Callback):
    """What befalls one of two processes."""

    def __init__(self, what: str, starter: int) -> None:
        self.what, self.starter = what, starter

    def after_step(self, training: Training) -> None:
        """Let it happen."""
        if training.step != 3 or training.group.rank != 1:
            return
        match self.what:
            case "error":
                raise RunError("this cannot be used; choose another")
            case "bug":
                raise ZeroDivisionError("this is a bug")
            case "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            case "signal":
                os.kill(self.starter, signal.SIGTERM)


def unlucky(what: str, starter: int, folder: Path) -> Trained:
    """Train very long, unless something happens."""
    torch.manual_seed(0)
    number = nn.Linear(1, 1)
    objective = Objective("n", lambda step: number.weight.sum() ** 2, _adam(number))
    callbacks = (Misfortune(what, starter), Checkpoint(folder, 10**9))
    return _trained({"n": number}, [objective], 1, callbacks, steps=10**9)


def _adam(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(module.parameters(), lr=1e-3)


def _images(seed: int) -> Split:
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(LEVELS, (30, *SHAPE), generator=generator, dtype=torch.uint8)
    return Split(images, None, LEVELS, "random")


def _trained(
    modules: dict[str, nn.Module],
    objectives: Sequence[Objective],
    accumulate: int,
    callbacks: Callbacks,
    steps: int = STEPS,
    device: str = "cpu",
) -> Trained:
    history = fit(
        modules,
        objectives,
        Batches(_images(0), 4),
        steps,
        accumulate=accumulate,
        clip=1.0,
        device=device,
        group=current_group(),
        log_every=6,
        callbacks=callbacks,
    )
    return Trained(_weights(modules), history.rows)


def _weights(modules: dict[str, nn.Module]) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": tensor.cpu()
        for name, module in modules.items()
        for key, tensor in module.state_dict().items()
    }
