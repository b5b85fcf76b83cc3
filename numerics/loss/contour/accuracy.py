"""The outputs of one model to a common accuracy, relative to the loss of the model.

What the loss is at least is known before any sum over nodes. Where that is much less than the
loss, as for dense inputs, a coarse sum comes first: one with few nodes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arguments import Floats
from ...compiled import borrowing
from .loss import ContourWork, loss_of_output, lower_bound

__all__ = [
    "MAX_ROUNDS",
    "ModelOutputs",
    "Sums",
    "Target",
    "first_target",
    "next_target",
    "sum_outputs",
    "tolerances",
]

MAX_ROUNDS = 3
GRADIENT_FACTOR = 10.0
"""Tolerance of derivatives over that of the loss, both relative to their sizes."""

_ENOUGH = 0.3  # a lower bound of this share of the empty model's loss sets the final tolerance
_COARSE = 1e-4  # accuracy of the first sum otherwise, relative to the empty model's loss
_SMALLEST = 1e-24  # a loss below this share of the empty model's is zero
_TOLERANCES = 1e-280, 1e280  # what is aimed at stays clear of numbers that lose digits

Integers = NDArray[np.int64]


class ModelOutputs(NamedTuple):
    """The outputs of one model, weighted with their importance where that is said.

    Attributes
    ----------
    gram : ndarray of shape (n, n)
        WᵀW.
    gap : ndarray of shape (n,)
        1 − G_ii.
    bias, density, importance : ndarray of shape (n,)
    value, slope, error, gradient_error : ndarray of shape (n,)
        Overwritten, unweighted; see `OutputLoss`.
    dgram : ndarray of shape (n, n)
        Row i is overwritten with the derivatives of output i in its couplings, unweighted.
    """

    gram: Floats
    gap: Floats
    bias: Floats
    density: Floats
    importance: Floats
    value: Floats
    slope: Floats
    error: Floats
    gradient_error: Floats
    dgram: Floats


class Sums(NamedTuple):
    """How the loss of a model is summed over nodes, and scratch memory for it.

    Attributes
    ----------
    contour : ContourWork
    closed : int
        An output that at most so many features reach takes the recurrence of independent features
        with uniform values; 0 for others.
    gradient : bool
        Whether gradients are wanted; without, they are not set.
    rtol : float
        Error of the loss that is aimed at, relative to the loss.
    errors : ndarray of shape (2,)
        Overwritten by every loss: bounds on its error, and on that of any entry of its gradient.
    """

    contour: ContourWork
    closed: int
    gradient: bool
    rtol: float
    errors: Floats


class Target(NamedTuple):
    """What is aimed at in one round.

    Attributes
    ----------
    loss : float
        Bound on the error of each output's weighted loss.
    gradient : float
        The same for derivatives; infinite in a round without.
    number : int
        Of the round, among those that aim at the accuracy that is wanted; 0 before.
    last : bool
        Whether nothing better is to be tried.
    """

    loss: float
    gradient: float
    number: int
    last: bool


@borrowing
def _within_range(tolerance: float) -> float:
    return min(max(tolerance, _TOLERANCES[0]), _TOLERANCES[1])


@borrowing
def tolerances(target: Target, weight: float) -> tuple[float, float]:
    """Return what is aimed at for an output with this importance, of its loss and derivatives."""
    gradient = np.inf
    if target.gradient < np.inf:
        gradient = _within_range(target.gradient / weight)
    return _within_range(target.loss / weight), gradient


@borrowing
def sum_outputs(
    outputs: Integers, target: Target, most: int, model: ModelOutputs, contour: ContourWork
) -> None:
    """Compute these outputs to the target; for an infinite one, write lower bounds of the losses.

    Outputs that take more than `most` nodes are left with an infinite error.
    """
    for i in outputs:
        if target.loss == np.inf:
            model.value[i] = lower_bound(
                i, model.gram[i], model.gap[i], model.bias[i], model.density, contour
            )
            continue
        tolerance, gradient_tolerance = tolerances(target, model.importance[i])
        found = loss_of_output(
            i, model.gram[i], model.gap[i], model.bias[i], model.density, tolerance,
            gradient_tolerance, most, contour, model.dgram[i],
        )  # fmt: skip
        model.value[i], model.slope[i] = found.value, found.slope
        model.error[i], model.gradient_error[i] = found.error, found.gradient_error


def _final(least: float, empty: float, count: int, sums: Sums, number: int) -> Target:
    gradient = GRADIENT_FACTOR * sums.rtol * max(least, empty) / count
    return Target(sums.rtol * least / count, gradient if sums.gradient else np.inf, number, False)


def _known_and_empty(
    outputs: Integers, known: float, sums: Sums, model: ModelOutputs
) -> tuple[float, float]:
    """Return the loss as it is known, and that of the empty model."""
    weight = model.importance[outputs]
    return (
        float(known + weight @ model.value[outputs]),
        float(sums.contour.law.moments[2] * (weight @ model.density[outputs])),
    )


def first_target(outputs: Integers, known: float, sums: Sums, model: ModelOutputs) -> Target:
    """Return the target of the first round.

    `known` is the part of the loss that is not from these outputs, and `model.value` has lower
    bounds.
    """
    count = len(outputs)
    least, empty = _known_and_empty(outputs, known, sums, model)
    if least >= _ENOUGH * empty:
        return _final(least, empty, count, sums, 1)
    return Target(_COARSE * empty / count, np.inf, 0, False)


def next_target(
    target: Target, outputs: Integers, known: float, sums: Sums, model: ModelOutputs
) -> Target:
    """Return the target of the next round; one that is the last is not to be aimed at.

    The first rounds find out what the loss is, and the later ones reach the accuracy, as far as
    rounding lets them.
    """
    count = len(outputs)
    loss, empty = _known_and_empty(outputs, known, sums, model)
    error = float(model.importance[outputs] @ model.error[outputs])
    least = loss - error
    complete = target.gradient < np.inf or not sums.gradient
    if complete and error <= sums.rtol * loss:
        return Target(target.loss, target.gradient, target.number, True)
    if target.number == 0 and least < 0.5 * loss and target.loss * count > _SMALLEST * empty:
        return Target(1e-4 * target.loss, np.inf, 0, False)
    final = _final(max(least, 0.5 * error), empty, count, sums, target.number + 1)
    return Target(final.loss, final.gradient, final.number, target.number == MAX_ROUNDS)
