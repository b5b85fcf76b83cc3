"""Training a model from start to end on one core, without a large array in sight."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..compiled import compiled, compiled_on_borrowed
from .fused_gradient import Network, evaluate
from .fused_scratch import Scratch
from .lane_inputs import InputTables, absorb_word
from .protocols import Protocol
from .state import TrainingState

__all__ = ["Job", "advance_models", "optimizer_code", "step_constants", "step_table"]

_SGD, _ADAM, _RMSPROP = 0, 1, 2
_NOTHING = np.float32(1e-36)
_CODES = {"sgd": _SGD, "adam": _ADAM, "adamw": _ADAM, "rmsprop": _RMSPROP}


class Job(NamedTuple):
    """What is asked of some models, as compiled functions take it.

    Attributes
    ----------
    keys : ndarray of uint64, shape (models,)
        Of each model's stream of data.
    importance : ndarray of the dtype of training, shape (models, n)
    penalty : ndarray of the dtype of training, shape (models,)
    batch_size, optimizer : int
    constants : ndarray of the dtype of training, shape (3,)
        The optimizer's momentum or β₁, its α or β₂, and the factor of the objective.
    network : Network
    steps : int
        Of the protocol.
    first_step : int
        Which step the first row of the following arrays is about.
    table : ndarray of float64, shape (rows, 3)
        As `step_table` makes it.
    loss_places : ndarray of int64, shape (rows,)
        Where the loss of a step is recorded, or −1.
    snapshot_places : ndarray of int64, shape (rows,)
        Where the weights before a step are recorded, or −1.
    window, patience : int
        Of the plateau that ends training; a window of 0 steps is none.
    improvement : float
    """

    keys: NDArray[np.uint64]
    importance: NDArray[Any]
    penalty: NDArray[Any]
    batch_size: int
    optimizer: int
    constants: NDArray[Any]
    network: Network
    steps: int
    first_step: int
    table: NDArray[np.float64]
    loss_places: NDArray[np.int64]
    snapshot_places: NDArray[np.int64]
    window: int
    patience: int
    improvement: float


def optimizer_code(protocol: Protocol) -> int:
    """Return the number that compiled functions know an optimizer by."""
    return _CODES[protocol.optimizer]


def step_table(protocol: Protocol, steps: range) -> NDArray[np.float64]:
    """Return for each step the factor of the weights, the learning rate and eps.

    Adam's averages are kept without their factors 1 − β and corrections, which join the rate and
    eps: see `optimizers`.
    """
    rows = []
    for step in steps:
        rate, eps = protocol.learning_rate_at(step), protocol.eps
        decay = 1 - rate * protocol.weight_decay
        if _CODES[protocol.optimizer] == _ADAM:
            beta1, beta2 = protocol.betas
            scale1 = (1 - beta1) / (1 - beta1 ** (step + 1))
            scale2 = math.sqrt((1 - beta2) / (1 - beta2 ** (step + 1)))
            rate, eps = rate * scale1 / scale2, eps / scale2
        rows.append((decay, rate, eps))
    return np.array(rows, dtype=np.float64).reshape(-1, 3)


def step_constants(protocol: Protocol, scale: float) -> tuple[float, float, float]:
    """Return the two factors of the optimizer, and that of the objective."""
    if _CODES[protocol.optimizer] == _ADAM:
        return (*protocol.betas, scale)
    return protocol.momentum, protocol.alpha, scale


@compiled
def advance_models(
    state: TrainingState, tables: InputTables, job: Job, scratch: Scratch, limit: int
) -> None:
    """Make up to `limit` updates of every model that is not finished."""
    for model in range(len(job.keys)):
        _advance(state, tables, job, scratch, model, limit)


@compiled_on_borrowed
def _advance(
    state: TrainingState, tables: InputTables, job: Job, scratch: Scratch, model: int, limit: int
) -> None:
    parameters, first, second = state.parameters[model], state.first[model], state.second[model]
    importance, penalty = job.importance[model], job.penalty[model]
    for step in range(state.steps_done[model], min(state.steps_done[model] + limit, job.steps)):
        row = step - job.first_step
        place = job.loss_places[row]
        _keep_snapshot(state, model, job.snapshot_places[row])
        loss = evaluate(
            scratch,
            tables,
            model,
            absorb_word(job.keys[model], step),
            job.batch_size,
            parameters,
            importance,
            penalty,
            job.constants[2],
            job.network,
            job.window > 0 or place >= 0,
        )
        if place >= 0:
            state.losses[model, place] = loss
        _update(job, row, parameters, scratch.gradient, first, second)
        state.steps_done[model] = step + 1
        if step + 1 == job.steps or (job.window > 0 and _is_plateau(state, job, model, step, loss)):
            state.steps_done[model], state.stopped_at[model] = job.steps, step + 1
            return


@compiled_on_borrowed
def _keep_snapshot(state: TrainingState, model: int, place: int) -> None:
    if place >= 0:
        for k in range(state.parameters.shape[1]):
            state.snapshots[model, place, k] = state.parameters[model, k]


@compiled_on_borrowed
def _is_plateau(state: TrainingState, job: Job, model: int, step: int, loss: float) -> bool:
    """Account for a loss; say whether the means of windows have ceased to fall."""
    state.window_loss[model] += loss
    if (step + 1) % job.window:
        return False
    mean = state.window_loss[model] / job.window
    state.window_loss[model] = 0.0
    if mean < state.best_loss[model] * (1 - job.improvement):
        state.best_loss[model], state.stale[model] = mean, 0
    else:
        state.stale[model] += 1
    return bool(state.stale[model] >= job.patience)


@compiled_on_borrowed
def _update(job: Job, row: int, parameters: Any, gradient: Any, first: Any, second: Any) -> None:
    kind = parameters.dtype.type
    decay, rate, eps = kind(job.table[row, 0]), kind(job.table[row, 1]), kind(job.table[row, 2])
    if decay != 1:
        for k in range(len(parameters)):
            parameters[k] *= decay
    if job.optimizer == _SGD:
        _update_sgd(job.constants, rate, parameters, gradient, first)
    elif job.optimizer == _ADAM:
        _update_adam(job.constants, rate, eps, parameters, gradient, first, second)
    else:
        _update_rmsprop(job.constants, rate, eps, parameters, gradient, first, second)


@compiled_on_borrowed
def _update_sgd(constants: Any, rate: Any, parameters: Any, gradient: Any, velocity: Any) -> None:
    momentum = constants[0]
    for k in range(len(parameters)):
        velocity[k] = _settled(velocity[k] * momentum) + gradient[k]
        parameters[k] -= velocity[k] * rate


@compiled_on_borrowed
def _update_adam(
    constants: Any,
    rate: Any,
    eps: Any,
    parameters: Any,
    gradient: Any,
    first: Any,
    second: Any,
) -> None:
    beta1, beta2 = constants[0], constants[1]
    for k in range(len(parameters)):
        slope = gradient[k]
        first[k] = _settled(first[k] * beta1) + slope
        second[k] = _settled(second[k] * beta2) + slope * slope
        parameters[k] -= first[k] / (np.sqrt(second[k]) + eps) * rate


@compiled_on_borrowed
def _update_rmsprop(
    constants: Any,
    rate: Any,
    eps: Any,
    parameters: Any,
    gradient: Any,
    velocity: Any,
    square: Any,
) -> None:
    momentum, alpha = constants[0], constants[1]
    rest = constants.dtype.type(1) - alpha
    for k in range(len(parameters)):
        slope = gradient[k]
        square[k] = _settled(square[k] * alpha) + slope * slope * rest
        velocity[k] = _settled(velocity[k] * momentum) + slope / (np.sqrt(square[k]) + eps)
        parameters[k] -= velocity[k] * rate


@compiled_on_borrowed
def _settled(value: Any) -> Any:
    """Return 0 for what has decayed to next to nothing.

    The averages of a gradient that stays zero would end as subnormal numbers, which some machines
    take a hundred times as long to multiply.
    """
    return value if abs(value) > _NOTHING else value * 0
