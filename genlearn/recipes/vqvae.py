"""Train a VQ-VAE: settings that work, and the run from data to samples."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import safetensors.torch
import torch
from torch import Tensor

from genlearn import data
from genlearn.checkpoints import load_weights
from genlearn.devices import state_put_back
from genlearn.errors import RunError
from genlearn.files import written_whole
from genlearn.history import History
from genlearn.metrics import mean_over
from genlearn.models import VQVAE, CodePrior, IndependentPrior, PixelPrior
from genlearn.nets import Codebook, perplexity
from genlearn.processes import Group, current_group
from genlearn.recipes.pixel_prior import train_prior, untrained_prior
from genlearn.recipes.run_folder import load_newest, read_config, read_head
from genlearn.recipes.settings import Profiles, Settings, choose
from genlearn.recipes.whole_run import (
    bound_figures,
    bound_summary,
    descend,
    drawn,
    in_parts,
    pixel_likelihood,
    validation,
    whole_run,
)
from genlearn.training import Callback, evaluating

NAME = "vqvae"
PRIOR = "prior.safetensors"


@dataclass(frozen=True)
class Config(Settings):
    """Settings of a VQ-VAE."""

    codes: int = 128
    """Words of the codebook."""
    code_dim: int = 16
    """Length of a word."""
    channels: tuple[int, ...] = (16, 32)
    """Of the feature maps, each half as high and wide as the one before; the last has the codes."""
    blocks: int = 1
    """Residual blocks at each size."""
    dropout: float = 0.0
    """Share of hidden values set to zero while training."""
    commitment: float = 0.25
    """Weight of the squared distance between the encoder's vectors and their codewords."""
    decay: float = 0.99
    """Share of the codebook's moving averages that is kept at a step."""
    restart: float = 0.1
    """A codeword used less than this share of the average begins anew; 0: none does."""
    likelihood: Literal["auto", "categorical", "gaussian", "logistic"] = "auto"
    """Of the pixels. auto: Bernoulli for 2 levels, else categorical."""
    components: int = 2
    """Of the mixture, for the likelihood "logistic"."""
    prior: Literal["independent", "pixel"] = "independent"
    """Of the codes. independent: each place's own frequencies. pixel: a Gated PixelCNN."""
    prior_features: int = 32
    """Features of each stack, for the prior "pixel"."""
    prior_layers: int = 3
    """Its layers."""
    prior_dropout: float = 0.4
    """Share of its gated values set to zero while training."""
    prior_moved: float = 0.3
    """Share of the images that are moved a little before it learns from their codes."""
    prior_steps: int = 1000
    """Its training steps."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check(1, math.inf, "codes", "code_dim", "blocks", "components")
        self._check(1, math.inf, "prior_features", "prior_layers", "prior_steps")
        self._check(0, 1, "prior_moved")
        self._check_share("dropout", "decay", "prior_dropout")
        self._check_finite("commitment", "restart")
        self._check_widths("channels")
        if not self.channels:
            raise RunError("channels must be one width or more")


_28 = {"channels": (8, 16, 32), "batch_size": 32, "steps": 1500}
_LONG = {
    "channels": (64, 128, 256), "blocks": 2, "code_dim": 64, "codes": 512, "steps": 100_000,
    "learning_rate": 3e-4, "evaluate_every": 5000, "checkpoint_every": 5000, "prior": "pixel",
    "prior_features": 96, "prior_layers": 10, "prior_moved": 0.0, "prior_steps": 50_000,
}  # fmt: skip
# The codes of digits are few: the prior that reads them is trained in half a minute.
_DIGITS = {"prior": "pixel"}

PROFILES: Profiles = {
    ("digits", "quick"): _DIGITS,
    ("digits", "full"): _DIGITS,  # a larger model learns 1,000 images by heart
    ("binarized-mnist", "quick"): _28,
    ("binarized-mnist", "full"): _LONG,
}
for name in ("mnist", "fashion-mnist", "kmnist", "glyphs"):
    PROFILES |= {
        (name, "quick"): {**_28, "likelihood": "logistic"},
        (name, "full"): {**_LONG, "likelihood": "logistic"},
    }


class Trained(NamedTuple):
    """A model, and a prior for its codes."""

    model: VQVAE
    prior: IndependentPrior | PixelPrior


def config(data: str = "digits", profile: str | None = None) -> Config:
    """Return the settings for a data set; see :func:`genlearn.recipes.vae.config`."""
    return choose(Config, PROFILES, data, profile)


def build(config: Config, shape: tuple[int, int, int], levels: int) -> VQVAE:
    """Make the untrained model of these settings, for images of a shape and number of levels."""
    with state_put_back([torch.default_generator]):
        torch.default_generator.manual_seed(config.seed)
        return VQVAE.conv(
            shape,
            levels,
            codes=config.codes,
            code_dim=config.code_dim,
            channels=config.channels,
            blocks=config.blocks,
            dropout=config.dropout,
            decay=config.decay,
            restart=config.restart,
            likelihood=pixel_likelihood(config.likelihood, levels, config.components),
        )


def train(
    config: Config, dataset: data.Dataset, model: VQVAE, callbacks: tuple[Callback, ...] = ()
) -> History:
    """Train a model in place, and return what was logged."""

    def loss(step):
        terms = model.terms(step.batch[0])
        distortion, commitment = -terms.reconstruction.mean(), terms.commitment.mean()
        return {
            "loss": distortion + config.commitment * commitment,
            "distortion": distortion,
            "commitment": commitment,
            "perplexity": perplexity(terms.codes, config.codes),
        }

    def validate() -> dict[str, float]:
        distortion = mean_over(model, dataset.valid, lambda x: -model.terms(x).reconstruction)
        used = perplexity(encode(model, dataset.valid), config.codes)
        return {"valid/distortion": distortion.mean, "valid/perplexity": used.item()}

    def after_step() -> None:
        _see_all_batches(model.codebook, current_group())
        model.after_step()

    options = {"networks": (model.encoder, model.decoder), "after_step": after_step}
    callbacks = (*validation(config, validate, "valid/distortion"), *callbacks)
    return descend(NAME, config, dataset, model, loss, callbacks, **options)


def _see_all_batches(codebook: Codebook, group: Group) -> None:
    """Let the codebooks of several processes move as one that saw the batches of all.

    The dead begin anew at vectors of the last process, as they would at those of the last batch.
    """
    if group.rank < group.size - 1:
        codebook.spare.zero_()
    group.add([codebook.new_counts, codebook.new_sums, codebook.spare])


def encode(model: VQVAE, split: data.Split, batch_size: int = 200) -> Tensor:
    """Return the codes of a split, on the model's device: int64, (N, h, w)."""
    device = next(model.parameters()).device
    with evaluating(model):
        return torch.cat([model.encode(x.to(device)) for x in split.images.split(batch_size)])


def fit_prior(model: VQVAE, split: data.Split) -> IndependentPrior:
    """Fit the simplest prior to the codes of a split."""
    return IndependentPrior.fit(encode(model, split), len(model.codebook))


def forward(model: VQVAE, images: Tensor) -> Tensor:
    """Pass images of levels through the networks once, so that the work of it can be counted."""
    return model.decoder(model.encoder(images.float()))


def run(
    config: Config, folder: Path, *, resume: bool = False, progress: bool = False
) -> dict[str, Any]:
    """Train, fit a prior to the codes, evaluate and sample: see :func:`genlearn.recipes.vae.run`.

    The prior is left in prior.safetensors. result.json has, by split, the bound with this prior,
    its two parts, what the rate would be with independent places, and the perplexity of the codes.
    Pictures on the way are drawn with independent places.
    """
    final: list[Trained] = []

    def draw(model: VQVAE, dataset: data.Dataset) -> Tensor:
        trained = final[0] if final else Trained(model, fit_prior(model, dataset.train))
        return sample(trained, 64, config.seed)

    def evaluate(model: VQVAE, dataset: data.Dataset) -> dict[str, Any]:
        independent = fit_prior(model, dataset.train)
        pixel = config.prior == "pixel"
        prior = train_prior(config, dataset, model) if pixel else independent
        final.append(Trained(model, prior))
        with written_whole(folder / PRIOR) as temporary:
            temporary.write_bytes(safetensors.torch.save(prior.state_dict()))
        result = {"codes": config.codes, "restarts": model.codebook.restarts.item()}
        for name, split in {"valid": dataset.valid, "test": dataset.test}.items():
            codes = encode(model, split)
            bound = mean_over(model, split, lambda x: model.elbo(x, prior))
            rates = [_rate(each, codes) for each in (prior, independent)]
            result[name] = {
                **bound_figures(bound, model),
                "rate_nats": round(rates[0], 3),
                "independent_rate_nats": round(rates[1], 3),
                "distortion_nats": round(-bound.mean - rates[0], 3),
                "perplexity": round(perplexity(codes, config.codes).item(), 2),
                "codes_in_use": len(codes.unique()),
            }
        return result

    return whole_run(
        NAME,
        config,
        folder,
        build=build,
        train=train,
        forward=forward,
        draw=draw,
        evaluate=evaluate,
        curves=("vqvae/distortion", "valid/distortion"),
        resume=resume,
        progress=progress,
    )


@torch.no_grad()
def _rate(prior: CodePrior, codes: Tensor) -> float:
    """Mean of -log p(codes), nats."""
    each = torch.cat([prior.log_prob(some).double() for some in codes.split(200)])
    return -each.mean().item()


def summary(result: dict[str, Any]) -> list[str]:
    """Say in lines what a run came to, from the content of its result.json."""
    used = [
        f"{split}: perplexity {result[split]['perplexity']:.1f} of {result['codes']} codes, "
        f"{result[split]['codes_in_use']} in use; they cost {result[split]['rate_nats']:.2f} nats, "
        f"{result[split]['independent_rate_nats']:.2f} with independent places"
        for split in ("valid", "test")
    ]
    return [line for pair in zip(bound_summary(result), used, strict=True) for line in pair]


def load(folder: Path) -> Trained:
    """Return the model of a finished run, with its prior.

    Raises:
        GenlearnError: if there is no such run, it is not finished, or its files are damaged.
    """
    head, settings = read_head(folder), read_config(folder, Config)
    model = build(settings, head.shape, head.levels)
    load_newest(model, folder, NAME)
    if settings.prior == "pixel":
        prior = untrained_prior(settings, model.grid, settings.codes)
    else:
        prior = IndependentPrior(model.grid, settings.codes)
    if not (folder / PRIOR).exists():
        raise RunError(f"{folder}: the run is not finished, so it has no prior yet; resume it")
    load_weights(prior, folder / PRIOR)
    return Trained(model, prior.eval())


def sample(trained: Trained, n: int, seed: int, *, progress: bool = False) -> Tensor:
    """Draw n images, the same ones for the same seed; uint8, (n, C, H, W)."""
    model, prior = trained

    def draw() -> Tensor:
        return in_parts(lambda size: model.sample(size, prior), n, progress=progress)

    return drawn(draw, seed, next(model.parameters()).device)
