"""The loss of one model whose outputs are sums over nodes, except those few features reach.

What is done once for a model is done here, in plain Python, and what is done for an output is
compiled. Compiled code that needs such a loss calls back (`summed_model`): it would otherwise be
compiled with all that is below, in every place anew, and a loss takes too long to notice a call.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from ....features import FeatureDistribution
from ...arguments import Floats
from ...compiled import compiled
from .. import recurrence
from ..single_output import compensated_sum_of_products
from .accuracy import ModelOutputs, Sums, Target, first_target, next_target, sum_outputs
from .loss import contour_work
from .plan import EPSILON, MAX_NODES
from .small_couplings import Run, sum_with_few_nodes
from .tensors import sum_outputs_on

__all__ = [
    "CLOSED_ROUNDING",
    "summed_model",
    "summed_model_in_threads",
    "summed_model_on",
    "sums_of",
]

Integers = NDArray[np.int64]

CLOSED_ROUNDING = 32.0 * EPSILON
"""What tests of the recurrence allow, relative to the loss of the empty model."""

SUM_ROUNDING = 8.0 * EPSILON
"""Of WᵀW and of the sums over outputs, relative to the sizes of their terms."""


def sums_of(
    features: FeatureDistribution, n_features: int, closed: int, gradient: bool, rtol: float
) -> Sums:
    """Return the scratch memory for models with these features; threads must not share it."""
    contour = contour_work(features, n_features)
    return Sums(contour, closed, gradient, rtol, np.zeros(2))


@compiled
def _compensated_gram(W: Floats, gram: Floats, gap: Floats) -> None:
    """Write WᵀW, and 1 minus its diagonal."""
    for i in range(W.shape[1]):
        for j in range(i):
            gram[i, j] = gram[j, i] = compensated_sum_of_products(0.0, 1.0, W[:, i], W[:, j])
        gap[i] = compensated_sum_of_products(1.0, -1.0, W[:, i], W[:, i])
        gram[i, i] = compensated_sum_of_products(0.0, 1.0, W[:, i], W[:, i])


@compiled
def _closed_output(i: int, model: ModelOutputs, moments: Floats) -> tuple[float, float]:
    return recurrence.loss_of_output(
        i, model.gram[i], model.gap[i], model.bias[i], model.density, model.dgram[i], moments
    )


def _start(
    W: Floats, b: Floats, density: Floats, importance: Floats, moments: Floats, sums: Sums
) -> tuple[ModelOutputs, Integers, Integers]:
    """Compute WᵀW and the outputs that have a closed form; return these and the others."""
    n = len(b)
    model = ModelOutputs(
        np.empty((n, n)), np.empty(n), b, density, importance, np.zeros(n), np.zeros(n),
        np.zeros(n), np.zeros(n), np.zeros((n, n)),
    )  # fmt: skip
    _compensated_gram(W, model.gram, model.gap)
    # The own feature counts, whether its coupling is 0 or not.
    reached = 1 + np.count_nonzero(model.gram, axis=1) - (np.diag(model.gram) != 0.0)
    closed = np.flatnonzero((importance > 0.0) & (reached <= sums.closed))
    for i in map(int, closed):
        model.value[i], model.slope[i] = _closed_output(i, model, moments)
        model.error[i] = CLOSED_ROUNDING * (model.value[i] + density[i])
        size = 1.0 + abs(b[i]) + abs(model.gram[i]).sum()
        model.gradient_error[i] = CLOSED_ROUNDING * size
    return model, closed, np.flatnonzero((importance > 0.0) & (reached > sums.closed))


def _gradient_error(W: Floats, db: Floats, dgram: Floats, slopes: Floats) -> float:
    """Bound the error of any entry of the gradient, given those of derivatives of each output."""
    if not np.isfinite(slopes).all():
        return np.inf
    sizes = abs(W)
    reach = sizes @ slopes + sizes.sum(axis=1) * slopes.max()
    terms = max(abs(db).max(), (sizes @ abs(dgram + dgram.T)).max())
    return float(max(slopes.max(), reach.max()) + SUM_ROUNDING * terms)


def _finish(
    W: Floats, penalty: float, model: ModelOutputs, dW: Floats, db: Floats, errors: Floats
) -> float:
    """Put the outputs together: return the loss and write its gradient and the error bounds."""
    off_diagonal = model.gram - np.diag(np.diag(model.gram))
    db[:] = model.importance * model.slope
    dgram = model.importance[:, None] * model.dgram + 2.0 * penalty * off_diagonal
    dW[:] = W @ (dgram + dgram.T)
    loss = float(model.importance @ model.value + penalty * (off_diagonal**2).sum())
    errors[0] = model.importance @ model.error + SUM_ROUNDING * loss
    errors[1] = _gradient_error(W, db, dgram, model.importance * model.gradient_error)
    return loss


def _to_accuracy(
    run: Run, outputs: Integers, known: float, model: ModelOutputs, sums: Sums
) -> None:
    """Compute outputs round by round until the loss of the model is as accurate as is wanted."""
    if not len(outputs):
        return
    run(outputs, Target(np.inf, np.inf, 0, False), MAX_NODES + 1, model)  # lower bounds only
    target = first_target(outputs, known, sums, model)
    while not target.last:
        sum_with_few_nodes(run, outputs, target, model, sums.contour)
        target = next_target(target, outputs, known, sums, model)


def _known(closed: Integers, penalty: float, model: ModelOutputs) -> float:
    off_diagonal = model.gram - np.diag(np.diag(model.gram))
    loss = model.importance[closed] @ model.value[closed]
    return float(loss + penalty * (off_diagonal**2).sum())


def summed_model(
    W: Floats,
    b: Floats,
    density: Floats,
    importance: Floats,
    penalty: float,
    dW: Floats,
    db: Floats,
    moments: Floats,
    sums: Sums,
) -> float:
    """Return the loss of one model and overwrite `dW` (m, n) and `db` (n,) with its gradient.

    `moments` is a workspace of the recurrence.
    """
    model, closed, others = _start(W, b, density, importance, moments, sums)

    def run(outputs: Integers, target: Target, most: int, model: ModelOutputs) -> None:
        sum_outputs(outputs, target, most, model, sums.contour)

    _to_accuracy(run, others, _known(closed, penalty, model), model, sums)
    return _finish(W, penalty, model, dW, db, sums.errors)


def summed_model_on(
    device: torch.device,
    W: Floats,
    b: Floats,
    density: Floats,
    importance: Floats,
    penalty: float,
    dW: Floats,
    db: Floats,
    moments: Floats,
    sums: Sums,
) -> float:
    """Do what `summed_model` does, with the sums over nodes on a device."""
    model, closed, others = _start(W, b, density, importance, moments, sums)

    def run(outputs: Integers, target: Target, most: int, model: ModelOutputs) -> None:
        sum_outputs_on(device, outputs, target, most, model, sums.contour)

    _to_accuracy(run, others, _known(closed, penalty, model), model, sums)
    return _finish(W, penalty, model, dW, db, sums.errors)


def summed_model_in_threads(
    W: Floats,
    b: Floats,
    density: Floats,
    importance: Floats,
    penalty: float,
    dW: Floats,
    db: Floats,
    moments: Floats,
    sums: Sequence[Sums],
    pool: Executor,
) -> float:
    """Do what `summed_model` does, with as many threads as there are `sums`."""
    if len(sums) == 1:
        return summed_model(W, b, density, importance, penalty, dW, db, moments, sums[0])
    model, closed, others = _start(W, b, density, importance, moments, sums[0])

    def run(outputs: Integers, target: Target, most: int, model: ModelOutputs) -> None:
        # Neighbors may differ in cost together, so that every thread takes outputs from all over.
        shares = [outputs[t :: len(sums)].copy() for t in range(len(sums))]
        tasks = [
            pool.submit(partial(sum_outputs, share, target, most, model, own.contour))
            for share, own in zip(shares, sums, strict=True)
        ]
        for task in tasks:
            task.result()

    _to_accuracy(run, others, _known(closed, penalty, model), model, sums[0])
    return _finish(W, penalty, model, dW, db, sums[0].errors)
