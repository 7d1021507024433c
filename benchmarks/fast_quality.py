"""Whether training with every fast setting learns as well as without: the same quality.

Seven small models on data that need no download, each trained by ``fit`` from three seeds, once
in plain float32 and once fast: Adam fused, features of a place side by side in memory, networks in
bfloat16; and the Gated PixelCNN also compiled, which ``fast_settings.py`` found to be worth it.
Weights are then loaded into a network with no setting, and looked at in float32:

MLP VAE, conv VAE   the bound of the test digits, nats per image
Gated PixelCNN      their log-probability, nats per image
WGAN-GP, plane      of 8 Gaussians on a circle the modes that are found, and the points near one
DCGAN, WGAN-GP      the classes of digits that come with at least a fifth of their fair share, and
                    the Fréchet distance in the features of a classifier

The VAE of convolutions is not compiled. In bfloat16 on a processor, PyTorch 2.13 compiles it to
something else: what lies below an upsampling gets no gradient if a residual block follows.

"The same" means: the means over the seeds differ by at most two standard errors, which the
differences from seed to seed give, or by at most 0.5 % of the plain mean.
"""

import argparse
import functools
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from common.families import SWITCHES, Family, of_images, of_players
from common.processor import bf16_support
from common.record import record
from torch import nn

from genlearn.data import Batches, Draws, Gaussians, load
from genlearn.losses import ADVERSARIAL_LOSSES
from genlearn.metrics import class_shares, frechet_distance, mean_elbo, mean_log_prob, mode_coverage
from genlearn.models import GAN, VAE, gated_pixel_cnn
from genlearn.nets import mlp
from genlearn.recipes.judge import train_judge

SEEDS = 3
SAMPLES = 4000
NEGLIGIBLE = 0.005
DIGITS = load("digits")
SHAPE, LEVELS = DIGITS.shape, DIGITS.levels
TRAIN = replace(DIGITS.train, labels=None)
PAIR = ADVERSARIAL_LOSSES["wasserstein"]
GAUSSIANS = Gaussians()
FASTER = (1e-3, (0.0, 0.9))  # Adam's, for runs as short as these


@dataclass(frozen=True)
class Trial:
    """A model, how long it trains, what is looked at, and what makes it fast."""

    make: Callable[[], tuple[nn.Module, Family]]
    steps: int
    figures: Callable[[nn.Module], dict[str, float]]
    batches: Callable[[int], Batches | Draws] = lambda seed: Batches(TRAIN, 64, seed)
    switches: tuple[str, ...] = ("fused", "channels-last", "bf16")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=TRIALS, nargs="+", help="and record nothing")
    parser.add_argument("--share", type=float, default=1.0, help="of the steps")
    settings = parser.parse_args()

    torch.set_num_threads(1)
    numbers = {}
    for name in settings.only or TRIALS:
        numbers[name] = compare(TRIALS[name], settings.share)
        print(in_words(name, numbers[name]), flush=True)
    if settings.only:
        return
    same = {
        name: all(figure["same"] for figure in figures.values())
        for name, figures in numbers.items()
    }
    differ = [name for name, equal in same.items() if not equal]
    line = (
        f"plain and with fast settings, over {SEEDS} seeds: "
        + "; ".join(in_words(name, figures) for name, figures in numbers.items())
        + ("; all the same" if not differ else f"; not the same: {', '.join(differ)}")
        + " within the spread over seeds"
    )
    rest = {"kept": not differ, "bf16_support": bf16_support()}
    record("fast_quality", line, {"models": numbers, **rest}, seeds=range(SEEDS))


def compare(trial: Trial, share: float) -> dict:
    """Train with and without the settings, from each seed."""
    plain = [train(trial, seed, share, ()) for seed in range(SEEDS)]
    fast = [train(trial, seed, share, trial.switches) for seed in range(SEEDS)]
    return {key: judged([p[key] for p in plain], [f[key] for f in fast]) for key in plain[0]}


def train(trial: Trial, seed: int, share: float, switches: tuple[str, ...]) -> dict[str, float]:
    torch.compiler.reset()
    torch.manual_seed(seed)
    model, family = trial.make()
    steps = round(trial.steps * share)
    family.fit(trial.batches(seed), steps, switches, seed=seed)
    fresh, _ = trial.make()
    fresh.load_state_dict(model.state_dict())
    torch.manual_seed(1000 + seed)
    return trial.figures(fresh.eval())


def judged(plain: list[float], fast: list[float]) -> dict:
    """Means and spread over seeds of one figure."""
    difference = statistics.mean(fast) - statistics.mean(plain)
    variance = (statistics.variance(plain) + statistics.variance(fast)) / SEEDS
    limit = max(2 * math.sqrt(variance), NEGLIGIBLE * abs(statistics.mean(plain)))
    return {
        "plain": [round(value, 4) for value in plain],
        "fast": [round(value, 4) for value in fast],
        "difference": round(difference, 4),
        "limit": round(limit, 4),
        "same": abs(difference) <= limit,
    }


def in_words(name: str, figures: dict) -> str:
    each = ", ".join(
        f"{key} {statistics.mean(figure['plain']):.4g} and {statistics.mean(figure['fast']):.4g}"
        for key, figure in figures.items()
    )
    return f"{name}: {each}"


def mlp_vae() -> tuple[nn.Module, Family]:
    vae = VAE.mlp(SHAPE, LEVELS, latent_dim=8, hidden=(128,))
    return vae, of_images(vae, 64, lambda x: -vae.elbo(x).mean())


def conv_vae() -> tuple[nn.Module, Family]:
    vae = VAE.conv(SHAPE, LEVELS, latent_dim=8, channels=(16, 32))
    return vae, of_images(vae, 64, lambda x: -vae.elbo(x).mean())


def pixel_cnn() -> tuple[nn.Module, Family]:
    sizes = {"features": 16, "layers": 3, "first_kernel": 5, "head": 32}
    model = gated_pixel_cnn(SHAPE, LEVELS, **sizes)
    return model, of_images(model, 64, lambda x: -model.log_prob(x).mean())


def dcgan() -> tuple[nn.Module, Family]:
    gan = GAN.dcgan(SHAPE, LEVELS, latent_dim=16, channels=(16, 32))
    return gan, of_players(gan, SHAPE, 64)


def wgan_gp_conv() -> tuple[nn.Module, Family]:
    options = {"normalise": ("batch", "none"), "loss": PAIR}
    gan = GAN.dcgan(SHAPE, LEVELS, latent_dim=16, channels=(16, 32), **options)
    return gan, replace(of_players(gan, SHAPE, 64, penalty=True), adam=FASTER)


def wgan_gp_mlp() -> tuple[nn.Module, Family]:
    pixels = math.prod(SHAPE)
    generator = nn.Sequential(
        *mlp((16, 128, 128, pixels), activation=nn.ReLU), nn.Unflatten(1, SHAPE), nn.Tanh()
    )
    critic = nn.Sequential(
        nn.Flatten(), *mlp((pixels, 128, 128, 1), activation=nn.ReLU), nn.Flatten(0)
    )
    gan = GAN(generator, critic, 16, loss=PAIR, levels=LEVELS)
    return gan, replace(of_players(gan, SHAPE, 64, penalty=True), adam=FASTER)


def wgan_gp_plane() -> tuple[nn.Module, Family]:
    gan = GAN.mlp(2, latent_dim=8, hidden=(128, 128), loss=PAIR, unit=GAUSSIANS.radius)
    # With the weight for images, 10, a critic of the plane is all penalty, and modes are lost.
    return gan, replace(of_players(gan, (2,), 128, penalty=True, weight=0.1), adam=FASTER)


def bound(vae: nn.Module) -> dict[str, float]:
    return {"bound": mean_elbo(vae, DIGITS.test).mean}


def log_prob(model: nn.Module) -> dict[str, float]:
    return {"log-probability": mean_log_prob(model, DIGITS.test).mean}


def modes(gan: nn.Module) -> dict[str, float]:
    found = mode_coverage(gan.sample(SAMPLES), GAUSSIANS)
    return {"modes": found.modes, "near a mode": found.high_quality}


def classes(gan: nn.Module) -> dict[str, float]:
    judge, test = the_judge(), DIGITS.test
    with torch.no_grad():
        samples = gan.sample(SAMPLES)
        shares = class_shares(judge.logits(samples).argmax(1), test.labels.bincount())
        distance = frechet_distance(judge.features(test.images), judge.features(samples))
    return {"classes": int((shares.relative >= 0.2).sum()), "Fréchet distance": distance}


@functools.cache
def the_judge() -> nn.Module:
    return train_judge(DIGITS, device="cpu").eval()


TRIALS = {
    "MLP VAE": Trial(mlp_vae, 2000, bound),
    "conv VAE": Trial(conv_vae, 600, bound),
    "DCGAN": Trial(dcgan, 1500, classes),
    "WGAN-GP, MLP": Trial(wgan_gp_mlp, 800, classes),
    "WGAN-GP, plane": Trial(wgan_gp_plane, 2500, modes, lambda seed: Draws(GAUSSIANS, 128, seed)),
    "WGAN-GP, conv": Trial(wgan_gp_conv, 400, classes),
    "Gated PixelCNN": Trial(pixel_cnn, 600, log_prob, switches=SWITCHES),
}


if __name__ == "__main__":
    main()
