"""Linear directions of a latent space: found from labels, and without them.

A direction is a vector of length 1, of the space of the points it was found from: noise, or
activations. Moving a point along it should change one thing in the image.

Sources: Shen et al. (2020), Interpreting the Latent Space of GANs for Semantic Face Editing,
arXiv 1907.10786, for directions from labels and one without another; Härkönen et al. (2020),
GANSpace: Discovering Interpretable GAN Controls, arXiv 2004.02546, for principal components.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize


def slope_direction(points: Tensor, values: Tensor) -> Tensor:
    """Direction in which a measured quantity grows: its least-squares slope; eq-steer-stein.

    Args:
        points: shape (N, L).
        values: the quantity for each point, shape (N,).

    Returns:
        Shape (L,).

    Raises:
        ValueError: if there are no more points than dimensions, or the quantity does not vary.
    """
    if len(points) <= points.shape[1] + 1:
        raise ValueError(f"{len(points)} points fix no slope in {points.shape[1]} dimensions")
    if bool((values == values[0]).all()):
        raise ValueError("the values are all the same: there is no direction in which they grow")
    centred = (points - points.mean(0)).double()
    slope = torch.linalg.lstsq(centred, (values - values.mean()).double()[:, None]).solution
    return normalize(slope[:, 0], dim=0).to(points)


def mean_difference(points: Tensor, positive: Tensor) -> Tensor:
    """Direction from the mean of some points to the mean of others.

    Args:
        points: shape (N, L).
        positive: which points have what one wants, bool, shape (N,).

    Returns:
        Shape (L,).

    Raises:
        ValueError: if none have it, or all.
    """
    _check_both(positive)
    return normalize(points[positive].mean(0) - points[~positive].mean(0), dim=0)


def separating_direction(points: Tensor, positive: Tensor, ridge: float = 1.0) -> Tensor:
    """Normal of the plane that separates some points from others best: logistic regression.

    Args:
        points: shape (N, L).
        positive: which points have what one wants, bool, shape (N,).
        ridge: weight of ½ ‖normal‖² beside the sum of the losses, above 0, so that the normal stays
            finite where a plane separates all points.

    Returns:
        Shape (L,).

    Raises:
        ValueError: if none have it, or all; or the ridge is not above 0.
    """
    _check_both(positive)
    if ridge <= 0:
        raise ValueError(f"the ridge must be above 0, got {ridge}")
    inputs = torch.cat([points, torch.ones(len(points), 1).to(points)], 1).double()
    target, weights = positive.double(), torch.zeros(inputs.shape[1]).to(inputs)
    penalty = ridge * torch.ones_like(weights)
    penalty[-1] = 1e-8  # the offset is free
    # Newton's method: the loss is convex, and so near to a parabola that few steps are enough.
    for _ in range(50):
        probability = torch.sigmoid(inputs @ weights)
        gradient = inputs.T @ (probability - target) + penalty * weights
        curvature = inputs.T * (probability * (1 - probability)) @ inputs + penalty.diag()
        step = torch.linalg.solve(curvature, gradient)
        weights -= step / (1 + step.norm() / 10)  # not too far at once
        if step.abs().max() < 1e-10:
            break
    return normalize(weights[:-1], dim=0).to(points)


def without(direction: Tensor, *others: Tensor) -> Tensor:
    """Return what is left of a direction when others are taken out: eq-steer-without.

    Args:
        direction: shape (L,).
        others: shape (L,) each; they need not be at right angles to each other.

    Raises:
        ValueError: if nothing is left.
    """
    if not others:
        return direction
    basis, _ = torch.linalg.qr(torch.stack(others, 1))
    rest = direction - basis @ (basis.T @ direction)
    if rest.norm() < 1e-4 * direction.norm():
        raise ValueError("nothing is left: the direction lies among the others")
    return normalize(rest, dim=0)


class Components(NamedTuple):
    """Principal components of activations, the widest first."""

    axes: Tensor
    """Directions of activation space, at right angles, shape (count, H)."""
    std: Tensor
    """Standard deviation of the activations along each, shape (count,)."""
    share: Tensor
    """Share of the activations' variance along each, shape (count,)."""
    noise: Tensor
    """The direction of noise that goes with each, shape (count, L)."""


def principal_directions(noise: Tensor, activations: Tensor, count: int) -> Components:
    """Find directions without any label: principal components of activations; eq-steer-components.

    The direction of noise for a component is the least-squares slope of the noise on the
    activations' coordinate along it, as in GANSpace.

    Args:
        noise: what the activations were computed from, shape (N, L).
        activations: of some layer, shape (N, H). If they depend on a label too, take the mean of
            each class away before.
        count: components wanted.

    Returns:
        Components, of which each axis has its largest entry above 0.

    Raises:
        ValueError: if there are not so many components, or the numbers of rows differ.
    """
    if len(noise) != len(activations):
        raise ValueError(f"{len(noise)} noise vectors made {len(activations)} activations?")
    if not 1 <= count <= min(len(activations) - 1, activations.shape[1]):
        raise ValueError(f"{tuple(activations.shape)} activations have no {count} components")
    centred = activations - activations.mean(0)
    covariance = (centred.T @ centred).double() / len(centred)
    variances, axes = torch.linalg.eigh(covariance)  # in ascending order
    variances, axes = variances.flip(0), axes.T.flip(0)[:count].to(activations)
    largest = axes.gather(1, axes.abs().argmax(1, keepdim=True))
    axes = axes * largest.sign()
    slopes = (centred @ axes.T).T @ (noise - noise.mean(0))
    return Components(
        axes,
        variances[:count].clamp(min=0).sqrt().to(activations),
        (variances[:count] / variances.sum()).to(activations),
        normalize(slopes, dim=1),
    )


def _check_both(positive: Tensor) -> None:
    if positive.dtype != torch.bool or positive.all() or not positive.any():
        raise ValueError("positive must be bool, and hold both True and False")
