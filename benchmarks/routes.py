"""Routes of the exact loss, chosen by hand to compare them, and what a sum over nodes consists of."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from superposition.numerics import LossAndGradient, population_loss_and_grad
from superposition.numerics.loss import laws
from superposition.numerics.loss.contour import model as summed
from superposition.numerics.loss.contour.accuracy import (
    Integers,
    ModelOutputs,
    Target,
    sum_outputs,
    tolerances,
)
from superposition.numerics.loss.contour.loss import ContourWork, begin_output

Floats = NDArray[np.float64]

RECURRENCE = 10
"""Most features for which the recurrence is run here: its cost grows like 3^n."""


def closed_up_to(n_features: int) -> AbstractContextManager[object]:
    """Use the recurrence for outputs that at most so many features reach, and sums for others.

    From four features on, independent ones with uniform values; fewer take the quadrature.
    """
    return patch.object(laws, "RECURRENCE_FEATURES", n_features)


def with_nodes(W: Floats, b: Floats, **arguments: Any) -> tuple[LossAndGradient, int]:
    """Return a loss with its gradient, and its nodes: those of all outputs, in all rounds."""
    rounds: list[tuple[Integers, Target, ModelOutputs, ContourWork]] = []

    def recorded(
        outputs: Integers, target: Target, most: int, model: ModelOutputs, contour: ContourWork
    ) -> None:
        sum_outputs(outputs, target, most, model, contour)
        rounds.append((outputs[np.isfinite(model.error[outputs])], target, model, contour))

    with patch.object(summed, "sum_outputs", recorded):
        found = population_loss_and_grad(W, b, **arguments)
    return found, sum(_nodes(*each) for each in rounds if each[1].loss < np.inf)


def _nodes(outputs: Integers, target: Target, model: ModelOutputs, contour: ContourWork) -> int:
    gradient = np.empty(len(model.bias))
    return sum(
        begin_output(
            i, model.gram[i], model.gap[i], model.bias[i], model.density,
            *tolerances(target, model.importance[i]), contour, gradient,
        ).line.nodes
        for i in map(int, outputs)
    )  # fmt: skip
