"""Descend the exact population loss, for many models at once, one compiled loop per model.

Newton's method in a trust region (`newton`) where exact second derivatives are at hand: ReLU
models of up to three independent features with uniform values. BFGS everywhere else.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...features import FeatureDistribution, check_features
from ...model import check_activation, check_penalty
from ..arguments import Floats, broadcast_parameters, check_integer, check_weights
from ..compiled import compiled
from ..loss.hessian import has_exact_hessian
from ..loss.laws import QUADRATURE_FEATURES, Laws, Workspace, laws_of, workspace
from ..loss.one_model import model_loss_and_gradient
from .curvature import KINDS, Curvature, curvature
from .newton import newton_rows

_SUFFICIENT_DECREASE = 1e-4
_CURVATURE = 0.9
_FIRST_STEP = 0.2  # length of the first step: short of any neighboring basin
_ROUNDING = 4e-16  # a rise of the loss by this fraction is rounding, not ascent
_MODELS_PER_TASK = 512
_STATIONARY = 1e-7  # gradient norm of a stationary point, in units of Σ_i I_i s_i
_PUSH = 1e-2  # how far from a saddle the next descent starts
_PUSHES = 8
_RTOL = 1e-12  # of losses that are a sum over nodes, so that their gradient is smooth enough
METHODS = ("newton", "bfgs")


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
    curvature : ndarray of shape (...), optional
        The least curvature there, if it was asked for; see `curvature`.
    kind : ndarray of str, shape (...), optional
        "minimum", "saddle", "degenerate" or "not stationary", if it was asked for.
    """

    W: Floats
    b: Floats
    loss: Floats
    gradient_norm: Floats
    converged: NDArray[np.bool_]
    evaluations: NDArray[np.int64]
    curvature: Floats | None = None
    kind: NDArray[np.str_] | None = None


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
    work: Workspace,
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
        laws, model, gradient[: m * n].reshape(m, n), gradient[m * n :], gram, dgram, work,
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
                dgram, work,
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
    work: Workspace,
    loss: Floats,
    norm: Floats,
    evaluations: NDArray[np.int64],
) -> None:
    for k in range(W.shape[0]):
        loss[k], norm[k], evaluations[k] = _descend_one(
            W[k], b[k], density[k], importance[k], penalty[k], linear, laws, k, tolerance[k],
            max_iterations, work,
        )  # fmt: skip


def _resolve_method(
    method: str | None, features: FeatureDistribution, n_features: int, linear: bool
) -> str:
    available = has_exact_hessian(features, n_features, "linear" if linear else "relu")
    if method is None:
        return "newton" if available else "bfgs"
    if method not in METHODS:
        raise ValueError(f"method must be None or one of {', '.join(METHODS)}, got {method!r}")
    if method == "newton" and not available:
        raise ValueError(
            "method='newton' needs a ReLU model of at most "
            f"{QUADRATURE_FEATURES} independent features with uniform values; pass method='bfgs'"
        )
    return method


@contextmanager
def _prompt_pool(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Open a thread pool that an interrupt leaves without waiting for queued tasks."""
    pool = ThreadPoolExecutor(workers)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class _Rows:
    """A batch in one axis; descents overwrite `W`, `b` and the last three.

    Attributes
    ----------
    W, b, density, importance, penalty, tolerance
        Arrays whose first axis is the models; the tolerance is that of the gradient norm.
    linear : bool
    features : FeatureDistribution
    loss, norm, evaluations : ndarray of shape (models,)
    """

    W: Floats
    b: Floats
    density: Floats
    importance: Floats
    penalty: Floats
    tolerance: Floats
    linear: bool
    features: FeatureDistribution
    loss: Floats
    norm: Floats
    evaluations: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        W: Floats,
        b: Floats,
        density: Floats,
        importance: Floats,
        penalty: Floats,
        tolerance: float,
        linear: bool,
        features: FeatureDistribution,
        shape: tuple[int, ...],
    ) -> _Rows:
        """Broadcast to `shape` and flatten; the tolerance is relative to Σ_i I_i s_i."""
        m, n = W.shape[-2:]

        def rows(values: Floats, *tail: int) -> Floats:
            return np.array(np.broadcast_to(values, shape + tail), order="C").reshape(-1, *tail)

        density, importance = rows(density, n), rows(importance, n)
        count = len(density)
        return cls(
            rows(W, m, n), rows(b, n), density, importance, rows(penalty),
            tolerance * (density * importance).sum(axis=-1), linear, features,
            np.empty(count), np.empty(count), np.zeros(count, np.int64),
        )  # fmt: skip

    def take(self, which: Any) -> _Rows:
        """Return some of the models: views for a slice, copies for indices."""
        return _Rows(
            self.W[which], self.b[which], self.density[which], self.importance[which],
            self.penalty[which], self.tolerance[which], self.linear, self.features,
            self.loss[which], self.norm[which], self.evaluations[which],
        )  # fmt: skip

    def put(self, which: NDArray[np.int64], part: _Rows) -> None:
        """Take over where the descents of some models ended."""
        self.W[which], self.b[which] = part.W, part.b
        self.loss[which], self.norm[which] = part.loss, part.norm
        self.evaluations[which] += part.evaluations

    def curvature(self) -> Curvature:
        """Return the least curvature of all models."""
        return curvature(
            self.W, self.b, density=self.density, importance=self.importance,
            activation="linear" if self.linear else "relu", features=self.features,
            penalty=self.penalty, tolerance=_STATIONARY,
        )  # fmt: skip


def _descend_part(rows: _Rows, method: str, max_iterations: int) -> None:
    if method == "newton":
        newton_rows(
            rows.W, rows.b, rows.density, rows.importance, rows.penalty, rows.tolerance,
            max_iterations, rows.loss, rows.norm, rows.evaluations,
        )  # fmt: skip
        return
    n = rows.W.shape[-1]
    with np.errstate(over="ignore", invalid="ignore"):  # trial steps may be too long by far
        _descend_rows(
            rows.W, rows.b, rows.density, rows.importance, rows.penalty, rows.linear,
            laws_of(rows.features, rows.density, rows.linear), rows.tolerance, max_iterations,
            workspace(rows.features, n, rows.linear, _RTOL), rows.loss, rows.norm, rows.evaluations,
        )  # fmt: skip


def _descend_all(rows: _Rows, method: str, max_iterations: int, workers: int | None) -> None:
    """Descend every model in place, in parallel."""
    count = len(rows.W)
    workers = workers or os.cpu_count() or 1
    per_task = max(1, min(_MODELS_PER_TASK, count // (4 * workers)))
    parts = [rows.take(slice(k, min(k + per_task, count))) for k in range(0, count, per_task)]
    with _prompt_pool(workers) as pool:
        tasks = [pool.submit(_descend_part, part, method, max_iterations) for part in parts]
        for future in tasks:
            future.result()


def _descend_with_fallback(
    rows: _Rows, method: str | None, chosen: str, max_iterations: int, workers: int | None
) -> None:
    """Descend every model in place; what Newton's method leaves over, by BFGS if none was named.

    Close to some kinks no step of Newton's lowers the gradient; a line search does.
    """
    _descend_all(rows, chosen, max_iterations, workers)
    if method is None and chosen == "newton":
        rest = np.flatnonzero(~(rows.norm <= rows.tolerance))
        part = rows.take(rest)
        _descend_all(part, "bfgs", max_iterations, workers)
        rows.put(rest, part)


def _leave_saddles(
    rows: _Rows, found: Curvature, descend_part: Callable[[_Rows], None]
) -> Curvature:
    """Push saddles off along their least curvature and descend again, until none is left."""
    value, kind = found.value.copy(), found.kind.copy()
    for _ in range(_PUSHES):
        saddles = np.flatnonzero(kind == KINDS[1])
        if not len(saddles):
            break
        part = rows.take(saddles)
        at = part.curvature()
        part.W[:] += _PUSH * at.W
        part.b[:] += _PUSH * at.b
        descend_part(part)
        rows.put(saddles, part)
        at = part.curvature()
        value[saddles], kind[saddles] = at.value, at.kind
    return Curvature(value, kind, found.W, found.b)


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
    method: str | None = None,
    certify: bool = False,
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
        Converged when the gradient norm is at most `tolerance` · Σ_i I_i s_i; with uniform values
        that sum is three times the loss of a model that outputs nothing.
    max_iterations : int
        Iterations per model.
    method : {"newton", "bfgs"}, optional
        By default Newton's method where exact second derivatives are at hand: for ReLU models of
        up to three independent features with uniform values. From one start the two may end in
        different minima.
    certify : bool
        Whether to compute the least curvature and the kind of every point that is reached
        (`curvature`), and to push saddles off along it and descend on.
    workers : int, optional
        Threads; the number of processors by default. The result does not depend on it.

    Raises
    ------
    ValueError
        As `population_loss` does, and if `method` is unknown or not available for the model, or
        `tolerance`, `max_iterations` or `workers` is out of range.

    Examples
    --------
    >>> found = descend([[0.9, -0.8]], [0, 0], density=0.1, importance=[1, 1])
    >>> bool(found.converged)
    True
    """
    if not (np.isfinite(tolerance) and tolerance >= 0):
        raise ValueError(f"tolerance must be finite and at least 0, got {tolerance!r}")
    max_iterations = check_integer("max_iterations", max_iterations, at_least=0)
    if workers is not None:
        check_integer("workers", workers, at_least=1)
    features = check_features(features)
    linear = check_activation(activation) == "linear"
    penalty = check_penalty(penalty)
    W = np.asarray(W, dtype=np.float64)
    b = np.asarray(b, dtype=np.float64)
    n, m, shape = check_weights(W, b)
    shape, density, importance = broadcast_parameters(
        n, density, importance, np.broadcast_shapes(shape, penalty.shape), features
    )

    rows = _Rows.of(W, b, density, importance, penalty, tolerance, linear, features, shape)
    chosen = _resolve_method(method, features, n, linear)

    def descend_part(part: _Rows) -> None:
        _descend_with_fallback(part, method, chosen, max_iterations, workers)

    descend_part(rows)
    found = _leave_saddles(rows, rows.curvature(), descend_part) if certify else None
    return Descent(
        rows.W.reshape(*shape, m, n),
        rows.b.reshape(*shape, n),
        rows.loss.reshape(shape),
        rows.norm.reshape(shape),
        (rows.norm <= rows.tolerance).reshape(shape),
        rows.evaluations.reshape(shape),
        None if found is None else found.value.reshape(shape),
        None if found is None else found.kind.reshape(shape),
    )
