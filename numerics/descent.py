"""Descend the exact population loss: BFGS for many models at once, one compiled loop per model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..features import FeatureDistribution, check_features
from ..model import check_activation, check_penalty
from .arguments import Floats, broadcast_parameters, check_weights
from .compiled import compiled
from .exact import model_loss_and_gradient
from .laws import Laws, laws_of, workspace

_SUFFICIENT_DECREASE = 1e-4
_CURVATURE = 0.9
_FIRST_STEP = 0.2  # length of the first step: short of any neighboring basin
_ROUNDING = 4e-16  # a rise of the loss by this fraction is rounding, not ascent
_MODELS_PER_TASK = 512


@dataclass(frozen=True)
class Descent:
    """Where descent ended, one entry per model of the batch.

    Attributes
    ----------
    W : ndarray of shape (..., n_hidden, n_features)
    b : ndarray of shape (..., n_features)
    loss : ndarray of shape (...)
        Exact population loss.
    gradient_norm : ndarray of shape (...)
        Euclidean norm of the exact gradient.
    converged : ndarray of bool, shape (...)
        Whether `gradient_norm` reached the tolerance.
    evaluations : ndarray of int, shape (...)
        Losses with gradient that were computed.
    """

    W: Floats
    b: Floats
    loss: Floats
    gradient_norm: Floats
    converged: NDArray[np.bool_]
    evaluations: NDArray[np.int64]


@compiled
def _dot(a: Floats, b: Floats) -> float:
    total = 0.0
    for k in range(a.shape[0]):
        total += a[k] * b[k]
    return total


@compiled
def _update_inverse_hessian(
    H: Floats, step: Floats, change: Floats, first: bool, scratch: Floats
) -> None:
    """Update the inverse Hessian `H` in place, unless the curvature is not positive."""
    d = step.shape[0]
    curvature = _dot(step, change)
    if curvature <= 1e-12 * np.sqrt(_dot(step, step) * _dot(change, change)):
        return
    if first:
        scale = curvature / _dot(change, change)
        for k in range(d):
            H[k, k] = scale
    for k in range(d):
        scratch[k] = _dot(H[k], change)
    factor = (1.0 + _dot(change, scratch) / curvature) / curvature
    for k in range(d):
        for j in range(d):
            H[k, j] += (
                factor * step[k] * step[j]
                - (scratch[k] * step[j] + step[k] * scratch[j]) / curvature
            )


@compiled
def _descend_one(
    W: Floats,
    b: Floats,
    density: Floats,
    importance: Floats,
    penalty: float,
    linear: bool,
    laws: Laws | None,
    model: int,
    tolerance: float,
    max_iterations: int,
    moments: Floats,
) -> tuple[float, float, int]:
    """Run BFGS with a weak Wolfe line search; overwrite `W` and `b`.

    Bisection for the weak Wolfe conditions (Lewis & Overton 2013) needs no second derivative and
    copes with the kinks of the gradient.
    """
    m, n = W.shape
    d = m * n + n
    gram = np.empty((n, n))
    dgram = np.empty((n, n))
    x = np.empty(d)
    x[: m * n] = W.reshape(m * n)
    x[m * n :] = b
    trial = x.copy()
    gradient = np.empty(d)
    trial_gradient = np.empty(d)
    direction = np.empty(d)
    scratch = np.empty(d)
    H = np.eye(d)
    loss = model_loss_and_gradient(
        x[: m * n].reshape(m, n), x[m * n :], density, importance, penalty, linear,
        laws, model, gradient[: m * n].reshape(m, n), gradient[m * n :], gram, dgram, moments,
    )  # fmt: skip
    evaluations = 1
    norm = np.sqrt(_dot(gradient, gradient))
    fresh = True  # H knows nothing yet
    for _ in range(max_iterations):
        if norm <= tolerance:
            break
        for k in range(d):
            direction[k] = -_dot(H[k], gradient)
        slope = _dot(direction, gradient)
        if slope >= 0.0:
            H[:] = np.eye(d)
            fresh = True
            direction[:] = -gradient
            slope = -norm * norm
        step = min(1.0, _FIRST_STEP / norm) if fresh else 1.0
        low, high = 0.0, np.inf
        moved = False
        for _ in range(60):
            for k in range(d):
                trial[k] = x[k] + step * direction[k]
            trial_loss = model_loss_and_gradient(
                trial[: m * n].reshape(m, n), trial[m * n :], density, importance, penalty, linear,
                laws, model, trial_gradient[: m * n].reshape(m, n), trial_gradient[m * n :], gram,
                dgram, moments,
            )  # fmt: skip
            evaluations += 1
            bound = loss + _SUFFICIENT_DECREASE * step * slope + _ROUNDING * abs(loss)
            if not trial_loss <= bound:
                high = step
            elif _dot(trial_gradient, direction) < _CURVATURE * slope:
                low = step
                moved = True
            else:
                moved = True
                break
            step = 0.5 * (low + high) if high < np.inf else 2.0 * low
        if not moved:
            if fresh:
                break
            H[:] = np.eye(d)
            fresh = True
            continue
        for k in range(d):
            scratch[k] = trial[k] - x[k]
            x[k] = trial[k]
            direction[k] = trial_gradient[k] - gradient[k]
            gradient[k] = trial_gradient[k]
        loss = trial_loss
        norm = np.sqrt(_dot(gradient, gradient))
        _update_inverse_hessian(H, scratch, direction, fresh, trial)
        fresh = False
    W[:] = x[: m * n].reshape(m, n)
    b[:] = x[m * n :]
    return loss, norm, evaluations


@compiled
def _descend_rows(
    W: Floats,
    b: Floats,
    density: Floats,
    importance: Floats,
    penalty: Floats,
    linear: bool,
    laws: Laws | None,
    tolerance: Floats,
    max_iterations: int,
    moments: Floats,
    loss: Floats,
    norm: Floats,
    evaluations: NDArray[np.int64],
) -> None:
    for k in range(W.shape[0]):
        loss[k], norm[k], evaluations[k] = _descend_one(
            W[k], b[k], density[k], importance[k], penalty[k], linear, laws, k, tolerance[k],
            max_iterations, moments,
        )  # fmt: skip


@contextmanager
def _prompt_pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Open a thread pool that an interrupt leaves without waiting for queued tasks."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def descend(
    W: ArrayLike,
    b: ArrayLike,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: ArrayLike = 0.0,
    tolerance: float = 1e-10,
    max_iterations: int = 2000,
    workers: int | None = None,
) -> Descent:
    """Follow the exact loss down from given weights to a local minimum, for a batch of models.

    Parameters
    ----------
    W : array_like, shape (..., n_hidden, n_features)
    b : array_like, shape (..., n_features)
    density, importance, activation, features, penalty
        As in `population_loss`.
    tolerance : float
        Converged when the gradient norm is below `tolerance` · Σ_i I_i s_i; with uniform values
        that sum is three times the loss of a model that outputs nothing.
    max_iterations : int
        BFGS iterations per model.
    workers : int, optional
        Threads; the number of processors by default. The result does not depend on it.

    Raises
    ------
    ValueError
        As `population_loss` does.

    Examples
    --------
    >>> found = descend([[0.9, -0.8]], [0, 0], density=0.1, importance=[1, 1])
    >>> bool(found.converged)
    True
    """
    features = check_features(features)
    linear = check_activation(activation) == "linear"
    penalty = check_penalty(penalty)
    W = np.asarray(W, dtype=np.float64)
    b = np.asarray(b, dtype=np.float64)
    n, m, shape = check_weights(W, b)
    workspace(features, n, linear)  # raises where the loss is not available
    shape, density, importance = broadcast_parameters(
        n, density, importance, np.broadcast_shapes(shape, penalty.shape), features
    )

    def rows(values: Floats, *tail: int) -> Floats:
        return np.array(np.broadcast_to(values, shape + tail), order="C").reshape(-1, *tail)

    rows_W, rows_b = rows(W, m, n), rows(b, n)
    rows_density, rows_importance, rows_penalty = (
        rows(density, n),
        rows(importance, n),
        rows(penalty),
    )
    count = rows_W.shape[0]
    scale = (rows_density * rows_importance).sum(axis=-1)
    loss, norm = np.empty(count), np.empty(count)
    evaluations = np.empty(count, np.int64)

    def task(start: int) -> None:
        part = slice(start, min(start + per_task, count))
        _descend_rows(
            rows_W[part], rows_b[part], rows_density[part], rows_importance[part],
            rows_penalty[part], linear, laws_of(features, rows_density[part], linear),
            tolerance * scale[part], max_iterations, workspace(features, n, linear), loss[part], norm[part], evaluations[part],
        )  # fmt: skip

    workers = workers or os.cpu_count() or 1
    per_task = max(1, min(_MODELS_PER_TASK, count // (4 * workers)))
    with _prompt_pool(workers) as pool:
        for future in [pool.submit(task, start) for start in range(0, count, per_task)]:
            future.result()
    converged = norm <= tolerance * scale
    parts: list[Any] = [
        rows_W.reshape(*shape, m, n),
        rows_b.reshape(*shape, n),
        *(part.reshape(shape) for part in (loss, norm, converged, evaluations)),
    ]
    return Descent(*parts)
