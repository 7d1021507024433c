"""Train a prior that reads the codes of a VQ-VAE place by place."""

import copy
from dataclasses import replace

import torch

from genlearn import data
from genlearn.callbacks import Average, Evaluate, KeepBest
from genlearn.devices import state_put_back
from genlearn.models import VQVAE, PixelPrior
from genlearn.recipes.settings import Settings
from genlearn.recipes.whole_run import descend
from genlearn.training import evaluating


def untrained_prior(config: Settings, grid: tuple[int, int], codes: int) -> PixelPrior:
    """Make the prior of the settings prior_features, prior_layers and prior_dropout."""
    with state_put_back([torch.default_generator]):
        torch.default_generator.manual_seed(config.seed)
        return PixelPrior.gated(
            grid,
            codes,
            features=config.prior_features,
            layers=config.prior_layers,
            first_kernel=3,
            dropout=config.prior_dropout,
        )


def train_prior(config: Settings, dataset: data.Dataset, model: VQVAE) -> PixelPrior:
    """Train a prior on the codes that a finished VQ-VAE gives to the training images.

    Of the moving averages of its weights, the one that the validation split likes best is returned.
    Some images are moved a little before they are encoded, so that there are more codes to learn;
    the prior is told which.

    Args:
        config: of the recipe ``vqvae``.
        dataset: the images.
        model: in evaluation mode; it stays as it is.
    """
    prior = untrained_prior(config, model.grid, len(model.codebook))
    average, best = copy.deepcopy(prior), copy.deepcopy(prior)
    device = next(model.parameters()).device
    with evaluating(model):
        batches = dataset.valid.images.split(200)
        valid = torch.cat([model.encode(images.to(device)) for images in batches])

    def loss(step):
        images = step.batch[0]
        moved = data.transforms.random_affine(
            images, step.generator, shift=1.0, angle=10.0, zoom=1.1, share=config.prior_moved
        )
        altered = (moved != images).flatten(1).any(1)
        with evaluating(model):
            codes = model.encode(moved)
        return {"loss": -prior.log_prob(codes, altered=altered).mean()}

    def validate() -> dict[str, float]:
        each = torch.cat([average.log_prob(codes).double() for codes in valid.split(200)])
        return {"valid/rate": -each.mean().item()}

    settings = replace(config, steps=config.prior_steps, precision="fp32")
    callbacks = (
        Average(prior, average, 0.995),
        Evaluate(validate, 50),
        KeepBest(average, best, "valid/rate"),
    )
    averages = {"average": average, "best": best}
    descend("prior", settings, dataset, prior, loss, callbacks, averages=averages)
    return best
