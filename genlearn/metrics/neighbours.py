"""Nearest neighbours by brute force: exact, on the device of the points, in bounded memory.

All distances between two sets come from one matrix product, ‖a - b‖² = ‖a‖² + ‖b‖² - 2 a·b. It is
fast, and where points lie close together it loses every digit. So the product only sorts out, with
a bound on its rounding, which pairs must be looked at; these are measured again as √Σ (a - b)², in
float64. Copies are at distance 0 exactly, and ties of whole numbers are ties.
"""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

AT_ONCE = 2**22  # distances held at a time, 32 MiB in float64
SPARE = 4  # neighbours beyond the k-th that are measured too: mostly they settle who is among the k
TIE = 1e-12  # distances that differ by less than this part of themselves count as equal


class Neighbours(NamedTuple):
    """What :func:`neighbour_distances` finds; nearest first."""

    distances: Tensor
    """Euclidean, not squared; float64, shape (N, k)."""
    indices: Tensor
    """Places in the other set, int64, shape (N, k); among equally near ones the first is first."""


class BallCounts(NamedTuple):
    """What :func:`ball_counts` counts."""

    around_points: Tensor
    """In how many balls each point lies, int64, shape (N,)."""
    inside_balls: Tensor
    """How many points each ball holds, int64, shape (M,)."""


def neighbour_distances(
    points: Tensor, others: Tensor | None = None, k: int = 1, *, at_once: int = AT_ONCE
) -> Neighbours:
    """Find the k nearest neighbours of each point, by Euclidean distance.

    A point is no neighbour of itself, but a copy of it is one, at distance 0. Besides the points
    themselves, memory is needed for one copy of ``others`` in float64 and for ``at_once`` distances
    a few times over.

    Args:
        points: shape (N, F), of any type; computed in float64, on their device.
        others: among which neighbours are sought, shape (M, F); by default the points themselves,
            each without itself.
        k: neighbours of each point.
        at_once: distances held at a time.

    Raises:
        ValueError: if shapes do not fit, a value is not finite, or there are not k others.
    """
    alone = others is None
    others = points if others is None else others
    check_points(points, others)
    there = len(others) - alone
    if not 1 <= k <= there:
        raise ValueError(f"k must be from 1 to {there}, the number of others, got {k}")
    found = []
    for start, least, _, _ in _screened(points, others, at_once):
        if alone:
            rows = torch.arange(len(least), device=least.device)
            least[rows, start + rows] = torch.inf
        found.append(_nearest(points[start : start + len(least)], others, least, k))
    distances, indices = zip(*found, strict=True)
    return Neighbours(torch.cat(distances), torch.cat(indices))


def ball_counts(
    points: Tensor, centres: Tensor, radii: Tensor, *, at_once: int = AT_ONCE
) -> BallCounts:
    """Count which points lie in which balls; a point on the rim lies inside.

    Args:
        points: shape (N, F).
        centres: of the balls, shape (M, F).
        radii: not squared, shape (M,); a ball of radius 0 holds copies of its centre.
        at_once: distances held at a time.

    Raises:
        ValueError: if shapes do not fit, or a value is not finite.
    """
    check_points(points, centres)
    _check_radii(radii, centres)
    around, inside = [], torch.zeros(len(centres), dtype=torch.int64, device=points.device)
    for start, least, row, column in _screened(points, centres, at_once):
        some, most = points[start : start + len(least)], (least + row).add_(column)
        holds = _holds(some, centres, radii.to(least), least, most, at_once)
        around.append(holds.sum(1))
        inside += holds.sum(0)
    return BallCounts(torch.cat(around), inside)


def mutual_membership(
    first: Tensor,
    second: Tensor,
    first_radii: Tensor,
    second_radii: Tensor,
    *,
    at_once: int = AT_ONCE,
) -> tuple[Tensor, Tensor]:
    """Say of the points of two sets whether they lie in any ball around those of the other set.

    As :func:`ball_counts` both ways, with each distance taken once.

    Args:
        first, second: shapes (N, F) and (M, F).
        first_radii, second_radii: of the balls around them, not squared, shapes (N,) and (M,).
        at_once: distances held at a time.

    Returns:
        Of the first points whether a ball of the second set holds them, (N,), and the other way
        round, (M,); bool.

    Raises:
        ValueError: if shapes do not fit, or a value is not finite.
    """
    check_points(first, second)
    _check_radii(first_radii, first)
    _check_radii(second_radii, second)
    held, holding = [], torch.zeros(len(second), dtype=torch.bool, device=first.device)
    for start, least, row, column in _screened(first, second, at_once):
        here = slice(start, start + len(least))
        most = (least + row).add_(column)
        around_second, around_first = (
            _holds(first[here], second, radii.to(least), least, most, at_once)
            for radii in (second_radii, first_radii[here, None])
        )
        held.append(around_second.any(1))
        holding |= around_first.any(0)
    return torch.cat(held), holding


def check_points(points: Tensor, others: Tensor) -> None:
    """Raise ValueError unless both are sets of points (N, F) and (M, F), neither of them empty."""
    shapes = tuple(points.shape), tuple(others.shape)
    if any(len(s) != 2 or 0 in s for s in shapes) or shapes[0][1] != shapes[1][1]:
        raise ValueError(f"points must be (N, F) and (M, F), none of them 0, got {shapes}")


def _check_radii(radii: Tensor, centres: Tensor) -> None:
    if radii.shape != (len(centres),) or not (radii >= 0).all() or not radii.isfinite().all():
        raise ValueError(
            f"there must be {len(centres)} radii, finite and not below 0, got {tuple(radii.shape)}"
        )


def _screened(
    points: Tensor, others: Tensor, at_once: int
) -> Iterator[tuple[int, Tensor, Tensor, Tensor]]:
    """Bound all squared distances, some rows of points at a time.

    Yields the number of the first row, lower bounds (n, M), and two parts (n, 1) and (M,) which,
    added to them, make upper bounds.

    In float64 with unit u = 2⁻⁵³ the product of F terms errs by at most 2 F u ‖a‖ ‖b‖ ≤ F u (‖a‖² +
    ‖b‖²), the squared norms by (F + 1) u of themselves; shifting to the mean, adding up, and the
    measurement by differences with which the bounds are compared err by less than (2 F + 20) u.
    """
    centre = others.double().mean(0)  # nearer to 0, norms are smaller and bounds closer
    there = others.double() - centre
    unsure = (4 * points.shape[1] + 32) * 2.0**-53
    column = there.square().sum(1)
    for start in range(0, len(points), rows := max(1, at_once // len(others))):
        here = points[start : start + rows].double() - centre
        row = here.square().sum(1, keepdim=True)
        if not (row.isfinite().all() and column.isfinite().all()):
            raise ValueError("points must be finite")
        least = torch.addmm(column * (1 - unsure), here, there.T, alpha=-2)
        yield start, least.add_(row * (1 - unsure)), row * 2 * unsure, column * 2 * unsure


def _holds(
    points: Tensor, centres: Tensor, radii: Tensor, least: Tensor, most: Tensor, at_once: int
) -> Tensor:
    """Whether the balls around centres, or of points, hold the others: bool, (n, M).

    Radii are (M,) for balls around the centres, (n, 1) for balls around the points; least and most
    bound the squared distances.
    """
    reach = radii * (1 + TIE)
    holds = most <= reach.square()
    unclear = ((least <= reach.square()) != holds).nonzero()
    for i, j in (pairs.T for pairs in unclear.split(max(1, at_once // points.shape[1]))):
        holds[i, j] = _squared(points[i], centres[j]).sqrt() <= reach.expand_as(holds)[i, j]
    return holds


def _nearest(points: Tensor, others: Tensor, least: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Distances and indices, (n, k), of the nearest others; least: lower bounds, (n, M)."""
    bounds, candidates = least.topk(min(k + SPARE, least.shape[1]), dim=1, largest=False)
    candidates = candidates.sort(dim=1).values
    squared = torch.stack([_squared(points, others[column]) for column in candidates.T], dim=1)
    squared = squared.masked_fill(least.gather(1, candidates).isinf(), torch.inf)  # itself
    squared, order = squared.sort(dim=1, stable=True)  # of equal ones the first stays first
    squared, indices = squared[:, :k].clone(), candidates.gather(1, order)[:, :k].clone()
    if bounds.shape[1] < least.shape[1]:  # one left out may be as near as the k-th
        unsettled = bounds[:, -1] <= squared[:, -1]
        for row in unsettled.nonzero().flatten().tolist():
            near = (least[row] <= squared[row, -1]).nonzero().flatten()
            squared[row], indices[row] = _nearest_of(points[row : row + 1], others, near, k)
    return squared.sqrt(), indices


def _nearest_of(point: Tensor, others: Tensor, near: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Squared distances and indices, (k,), of the nearest among some others, given in order."""
    best, places = near.new_empty(0, dtype=torch.float64), near[:0]
    for some in near.split(max(2 * k, 256)):
        best = torch.cat([best, _squared(point, others[some])])
        best, order = best.sort(stable=True)
        places = torch.cat([places, some])[order][:k]
        best = best[:k]
        if len(best) == k and best[-1] == 0:  # no one is nearer
            break
    return best, places


def _squared(first: Tensor, second: Tensor) -> Tensor:
    """Squared distances of pairs, (n, F) and (n, F) or (1, F), as a sum of squared differences."""
    return (first.double() - second.double()).square_().sum(1)
