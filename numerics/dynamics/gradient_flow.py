"""Gradient flow dθ/dt = −∇L of the exact population loss, with an adaptive step.

Two routes: an embedded Runge–Kutta pair in compiled code, one loop per model, and the solvers of
`scipy.integrate.solve_ivp`. They share the gradient and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.integrate import solve_ivp

from ...features import FeatureDistribution
from ..arguments import Floats, check_integer
from ..compiled import compiled
from ..loss.exact import population_loss_and_grad
from ..loss.laws import Laws, Workspace
from ..loss.model_rows import ModelRows, in_threads, model_rows
from ..loss.one_model import model_loss_and_gradient

__all__ = ["SOLVERS", "Flow", "gradient_flow"]

SOLVERS: Final = ("compiled", "LSODA", "Radau", "BDF", "DOP853", "RK45")
"""The compiled pair, and the methods of `scipy.integrate.solve_ivp`."""

# Dormand & Prince 1980, RK5(4)7M: stages, and the difference of the two solutions' weights.
_STAGES = np.array(
    [
        [0, 0, 0, 0, 0, 0],
        [1 / 5, 0, 0, 0, 0, 0],
        [3 / 40, 9 / 40, 0, 0, 0, 0],
        [44 / 45, -56 / 15, 32 / 9, 0, 0, 0],
        [19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729, 0, 0],
        [9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656, 0],
        [35 / 384, 0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84],
    ]
)
_ERROR = np.array([71 / 57600, 0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40])

_SAFETY = 0.9
_SHRINK, _GROW = 0.2, 5.0  # least and largest factor from one step to the next
_ERROR_OF_MOVE = 0.01  # largest error of a step, as a share of its length
_FIRST_MOVE = 0.01  # length of the first trial step


@dataclass(frozen=True)
class Flow:
    """Where gradient flow has led, one entry per model of the batch.

    Attributes
    ----------
    W : ndarray of shape (..., n_hidden, n_features)
    b : ndarray of shape (..., n_features)
    loss : ndarray of shape (...)
        Exact population loss at the end.
    gradient_norm : ndarray of shape (...)
        Euclidean norm of the exact gradient at the end.
    time : ndarray of shape (...)
        When it ended.
    converged : ndarray of bool, shape (...)
        Whether `gradient_norm` reached the tolerance.
    evaluations : ndarray of int, shape (...)
        Gradients that were computed.
    times : ndarray of shape (times,)
        When the trajectory was asked for.
    W_at : ndarray of shape (..., times, n_hidden, n_features)
    b_at : ndarray of shape (..., times, n_features)
    loss_at : ndarray of shape (..., times)
        The trajectory. From the end on it stays where it ended.
    """

    W: Floats
    b: Floats
    loss: Floats
    gradient_norm: Floats
    time: Floats
    converged: NDArray[np.bool_]
    evaluations: NDArray[np.int64]
    times: Floats
    W_at: Floats
    b_at: Floats
    loss_at: Floats


@compiled
def _norm(values: Floats) -> float:
    total = 0.0
    for k in range(values.shape[0]):
        total += values[k] * values[k]
    return float(np.sqrt(total))


@compiled
def _flow_one(
    x: Floats,
    m: int,
    density: Floats,
    importance: Floats,
    penalty: float,
    linear: bool,
    laws: Laws | None,
    model: int,
    until: float,
    target: float,
    rtol: float,
    atol: float,
    max_steps: int,
    times: Floats,
    x_at: Floats,
    loss_at: Floats,
    work: Workspace,
) -> tuple[float, float, float, int]:
    """Follow the flow of one model; overwrite `x`, which holds W and then b.

    Returns loss, gradient norm, time and number of gradients. `k` holds the derivatives of the
    stages, which are negative gradients; the last one of a step is the first of the next.
    """
    d = x.shape[0]
    n = density.shape[0]
    mn = m * n
    gram = np.empty((n, n))
    dgram = np.empty((n, n))
    k = np.empty((7, d))
    trial = np.empty(d)
    loss = model_loss_and_gradient(
        x[:mn].reshape(m, n), x[mn:], density, importance, penalty, linear, laws, model,
        k[0, :mn].reshape(m, n), k[0, mn:], gram, dgram, work,
    )  # fmt: skip
    k[0] *= -1.0
    norm = _norm(k[0])
    evaluations = 1
    time = 0.0
    recorded = 0
    step = min(_FIRST_MOVE / max(norm, 1e-300), until)
    rejected = False
    for _ in range(max_steps):
        while recorded < times.shape[0] and times[recorded] <= time:
            x_at[recorded] = x
            loss_at[recorded] = loss
            recorded += 1
        if norm <= target or time >= until:
            break
        end = times[recorded] if recorded < times.shape[0] else until
        lands = time + step >= end * (1.0 - 1e-14)
        h = end - time if lands else step
        for stage in range(1, 7):
            for j in range(d):
                total = 0.0
                for before in range(stage):
                    total += _STAGES[stage, before] * k[before, j]
                trial[j] = x[j] + h * total
            trial_loss = model_loss_and_gradient(
                trial[:mn].reshape(m, n), trial[mn:], density, importance, penalty, linear, laws,
                model, k[stage, :mn].reshape(m, n), k[stage, mn:], gram, dgram, work,
            )  # fmt: skip
            for j in range(d):
                k[stage, j] *= -1.0
        evaluations += 6
        error = 0.0
        absolute = 0.0
        for j in range(d):
            total = 0.0
            for stage in range(7):
                total += _ERROR[stage] * k[stage, j]
            absolute += total * total
            allowed = atol + rtol * max(abs(x[j]), abs(trial[j]))
            error += (h * total / allowed) ** 2
        # Errors below `rtol` may still exceed the gradient near the end of the flow, where the
        # step is at the edge of stability: they have to be small against the move as well.
        error = max(np.sqrt(error / d), np.sqrt(absolute) / (_ERROR_OF_MOVE * norm))
        if error <= 1.0:
            factor = _GROW if error < 1e-8 else min(_GROW, _SAFETY * error**-0.2)
            if rejected:
                factor = min(1.0, factor)
            rejected = False
            time = end if lands else time + h
            for j in range(d):
                x[j] = trial[j]
                k[0, j] = k[6, j]
            loss = trial_loss
            norm = _norm(k[0])
            # A step cut short to land on a time says little about the next.
            step = max(step, h * factor) if lands else h * factor
        else:
            rejected = True
            step = h * (max(_SHRINK, _SAFETY * error**-0.2) if error < np.inf else _SHRINK)
            if time + step == time:
                break
    for left in range(recorded, times.shape[0]):
        x_at[left] = x
        loss_at[left] = loss
    return loss, norm, time, evaluations


@compiled
def _flow_rows(
    x: Floats,
    m: int,
    density: Floats,
    importance: Floats,
    penalty: Floats,
    linear: bool,
    laws: Laws | None,
    until: float,
    target: Floats,
    rtol: float,
    atol: float,
    max_steps: int,
    times: Floats,
    x_at: Floats,
    loss_at: Floats,
    work: Workspace,
    ends: Floats,
) -> None:
    for row in range(x.shape[0]):
        ends[row, 0], ends[row, 1], ends[row, 2], ends[row, 3] = _flow_one(
            x[row], m, density[row], importance[row], penalty[row], linear, laws, row, until,
            target[row], rtol, atol, max_steps, times, x_at[row], loss_at[row], work,
        )  # fmt: skip


def gradient_flow(
    W: ArrayLike,
    b: ArrayLike,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: ArrayLike = 0.0,
    until: float = np.inf,
    times: ArrayLike = (),
    tolerance: ArrayLike = 1e-6,
    rtol: float = 1e-6,
    atol: float = 1e-9,
    solver: str = "compiled",
    max_steps: int = 100_000,
    workers: int | None = None,
) -> Flow:
    r"""Follow gradient flow, dW/dt = −∂L/∂W and db/dt = −∂L/∂b, of the exact population loss.

    Parameters
    ----------
    W : array_like, shape (..., n_hidden, n_features)
    b : array_like, shape (..., n_features)
        Where each model starts, at time 0.
    density, importance, activation, features, penalty
        As in `population_loss`.
    until : float
        Last time; infinite by default, and then only the gradient ends the flow.
    times : array_like, shape (times,)
        When to record the trajectory: not negative, not decreasing, at most `until`.
    tolerance : array_like, broadcast to the batch
        The flow of a model ends when its gradient norm is below `tolerance` · Σ_i I_i s_i.
    rtol, atol : float
        Error allowed in a step, relative to each parameter and absolute.
    solver : str
        One of `SOLVERS`: "compiled" for many models, a method of `scipy.integrate.solve_ivp` for a
        second opinion, one model after the other.
    max_steps : int
        Most steps of a model, where the flow then ends without having converged; six times as many
        gradients for SciPy's solvers, which then give up.
    workers : int, optional
        Threads of the compiled solver. The result does not depend on it.

    Raises
    ------
    ValueError
        As `population_loss` does, or if a time, a tolerance or the solver is not accepted.
    RuntimeError
        If a solver of SciPy gives up.

    Notes
    -----
    The compiled solver is the pair of Dormand and Prince (1980), RK5(4)7M. A step ends on every
    time that is asked for. Its error is at most what `rtol` and `atol` allow, and at most 1 % of
    the move: near the end a step is limited by stability, and errors that `rtol` allows could
    exceed what is left of the gradient. The loss then falls from step to step up to such errors.

    Three properties of the exact flow serve as checks. It commutes with rotations of the hidden
    space. dW/dt = W S with a symmetric S, so that (dW/dt) Wᵀ is symmetric: the hidden space does
    not turn as a whole; this is what its rotational symmetry amounts to for a gradient flow, which
    has no conserved momentum. And W(t) = W(0) T(t) with an invertible T, so that the columns span
    the same space at all times: a direction of the hidden space that is not used at the start is
    never used.

    Examples
    --------
    >>> flow = gradient_flow([[0.3, -0.2]], [0, 0], density=0.1, importance=[1, 1], times=[0, 10])
    >>> bool(flow.converged), flow.W_at.shape
    (True, (2, 1, 2))
    >>> bool(flow.loss < flow.loss_at[1] < flow.loss_at[0])
    True
    """
    rows = model_rows(
        W, b, density=density, importance=importance, activation=activation, features=features,
        penalty=penalty,
    )  # fmt: skip
    limits = _limits(until, times, tolerance, rtol, atol, max_steps, rows)
    if solver not in SOLVERS:
        raise ValueError(f"solver must be one of {', '.join(SOLVERS)}, got {solver!r}")
    if solver == "compiled":
        return _flow_compiled(rows, limits, workers)
    return _flow_scipy(rows, limits, solver)


@dataclass(frozen=True)
class _Limits:
    until: float
    times: Floats
    target: Floats  # of the gradient norm, one per row
    rtol: float
    atol: float
    max_steps: int


def _limits(
    until: float,
    times: ArrayLike,
    tolerance: ArrayLike,
    rtol: float,
    atol: float,
    max_steps: int,
    rows: ModelRows,
) -> _Limits:
    times = np.array(times, dtype=np.float64).reshape(-1)
    for name, value in (("tolerance", tolerance), ("rtol", rtol), ("atol", atol)):
        if not (np.isfinite(value).all() and (np.asarray(value) > 0).all()):
            raise ValueError(f"{name} must be finite and above 0, got {value!r}")
        if name != "tolerance" and np.ndim(value):
            raise ValueError(f"{name} must be one number, got {value!r}")
    if not until > 0:
        raise ValueError(f"until must be above 0, got {until!r}")
    max_steps = check_integer("max_steps", max_steps, at_least=1)
    if not (np.isfinite(times).all() and (times >= 0).all() and (times <= until).all()):
        raise ValueError(f"times must be finite and between 0 and until = {until}, got {times}")
    if (np.diff(times) < 0).any():
        raise ValueError(f"times must not decrease, got {times}")
    try:
        target = np.broadcast_to(tolerance, rows.shape).reshape(-1) * rows.scale
    except ValueError:
        raise ValueError(
            f"tolerance must broadcast to shape {rows.shape}, got shape {np.shape(tolerance)}"
        ) from None
    return _Limits(float(until), times, target, float(rtol), float(atol), max_steps)


@dataclass(frozen=True)
class _Trajectories:
    """Rows of parameters, W and then b, and of ends: loss, gradient norm, time, evaluations."""

    x: Floats
    ends: Floats
    converged: NDArray[np.bool_]
    x_at: Floats
    loss_at: Floats


def _empty_trajectories(rows: ModelRows, limits: _Limits) -> _Trajectories:
    count, m, n = rows.W.shape
    x = np.concatenate([rows.W.reshape(count, m * n), rows.b], axis=1)
    recorded = len(limits.times)
    return _Trajectories(
        x=x,
        ends=np.empty((count, 4)),
        converged=np.zeros(count, dtype=bool),
        x_at=np.empty((count, recorded, x.shape[1])),
        loss_at=np.empty((count, recorded)),
    )


def _flow_compiled(rows: ModelRows, limits: _Limits, workers: int | None) -> Flow:
    out = _empty_trajectories(rows, limits)

    def task(part: slice) -> None:
        with np.errstate(over="ignore", invalid="ignore"):  # trial steps may be too long by far
            _flow_rows(
                out.x[part], rows.W.shape[1], rows.density[part], rows.importance[part],
                rows.penalty[part], rows.linear, rows.laws(part), limits.until, limits.target[part],
                limits.rtol, limits.atol, limits.max_steps, limits.times, out.x_at[part],
                out.loss_at[part], rows.workspace(), out.ends[part],
            )  # fmt: skip

    in_threads(task, len(out.x), workers)
    out.converged[:] = out.ends[:, 1] <= limits.target
    return _flow(rows, limits, out)


def _flow(rows: ModelRows, limits: _Limits, out: _Trajectories) -> Flow:
    shape, (m, n), recorded = rows.shape, rows.W.shape[1:], len(limits.times)
    loss, norm, time, evaluations = (part.reshape(shape) for part in out.ends.T)
    return Flow(
        W=out.x[:, : m * n].reshape(*shape, m, n),
        b=out.x[:, m * n :].reshape(*shape, n),
        loss=loss,
        gradient_norm=norm,
        time=time,
        converged=out.converged.reshape(shape),
        evaluations=evaluations.astype(np.int64),
        times=limits.times,
        W_at=out.x_at[..., : m * n].reshape(*shape, recorded, m, n),
        b_at=out.x_at[..., m * n :].reshape(*shape, recorded, n),
        loss_at=out.loss_at.reshape(*shape, recorded),
    )


def _flow_scipy(rows: ModelRows, limits: _Limits, method: str) -> Flow:
    out = _empty_trajectories(rows, limits)
    for row in range(len(out.x)):
        _solve(rows, row, limits, method, out)
    return _flow(rows, limits, out)


def _solve(rows: ModelRows, row: int, limits: _Limits, method: str, out: _Trajectories) -> None:
    """Let SciPy follow the flow of one model, and write where it led to `out`."""
    loss_and_gradient = _loss_and_gradient(rows, row)
    target = float(limits.target[row])
    left = iter(range(_STAGES.shape[1] * limits.max_steps))

    def velocity(_: float, x: Floats) -> Floats:
        if next(left, None) is None:
            raise RuntimeError(
                f"{method} did not end within {limits.max_steps} steps' worth of gradients; "
                "its errors may hide the end: lower rtol and atol, or set until"
            )
        return -loss_and_gradient(x)[1]

    def above_target(_: float, x: Floats) -> float:
        return float(np.linalg.norm(loss_and_gradient(x)[1])) - target

    above_target.terminal = True  # type: ignore[attr-defined]
    end, evaluations = 0.0, 1
    out.converged[row] = above_target(0.0, out.x[row]) <= 0  # SciPy sees crossings only
    out.x_at[row] = out.x[row]
    if not out.converged[row]:
        options: dict[str, Any] = {"method": method, "events": above_target, "dense_output": True}
        solution = solve_ivp(
            velocity, (0.0, limits.until), out.x[row], rtol=limits.rtol, atol=limits.atol, **options
        )
        if not solution.success:
            raise RuntimeError(f"{method} gave up at time {solution.t[-1]:.6g}: {solution.message}")
        end, evaluations = solution.t[-1], solution.nfev
        out.converged[row] = solution.status == 1
        trajectory: Any = solution.sol
        if len(limits.times):
            out.x_at[row] = trajectory(np.minimum(limits.times, end)).T
        out.x[row] = solution.y[:, -1]
    out.loss_at[row] = [loss_and_gradient(x)[0] for x in out.x_at[row]]
    loss, gradient = loss_and_gradient(out.x[row])
    out.ends[row] = loss, np.linalg.norm(gradient), end, evaluations


def _loss_and_gradient(rows: ModelRows, row: int) -> Callable[[Floats], tuple[float, Floats]]:
    m, n = rows.W.shape[1:]

    def evaluate(x: Floats) -> tuple[float, Floats]:
        at = population_loss_and_grad(
            x[: m * n].reshape(m, n),
            x[m * n :],
            density=rows.density[row],
            importance=rows.importance[row],
            activation="linear" if rows.linear else "relu",
            features=rows.features,
            penalty=rows.penalty[row],
        )
        return float(at.loss), np.concatenate([at.dW.ravel(), at.db])

    return evaluate
