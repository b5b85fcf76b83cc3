"""Trust-region Newton descent of one small model, in compiled code, with exact second derivatives.

Where the gradient has kinks the loss still has one-sided second derivatives. Close to a minimum on
kinks its excess is nearly homogeneous of degree two in the distance x, and then H(x) x is the
gradient: a Newton step leads to the minimum from any side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arguments import Floats
from ..compiled import compiled
from ..loss.laws import Workspace
from ..loss.one_model import model_loss_and_gradient
from ..loss.second_derivatives import RECORD, model_hessian

_FIRST_RADIUS = 0.2  # short of any neighboring basin
_LARGEST_RADIUS = 1.0
_ACCEPT = 1e-4  # least share of the predicted decrease
_ROUNDING = 4e-16  # a change of the loss by this fraction is rounding
_FLOOR = 1e-11  # shift of the Hessian, relative to it: rotations of W have no curvature
_SMALLEST_RADIUS = 1e-15
_SECULAR_STEPS = 12


@compiled
def _dot(a: Floats, b: Floats) -> float:
    total = 0.0
    for k in range(a.shape[0]):
        total += a[k] * b[k]
    return total


@compiled
def _factorize(hessian: Floats, shift: float, factor: Floats) -> bool:
    """Write the Cholesky factor of hessian + shift·1, or tell that there is none."""
    d = hessian.shape[0]
    for row in range(d):
        for column in range(row + 1):
            total = hessian[row, column]
            if row == column:
                total += shift
            for k in range(column):
                total -= factor[row, k] * factor[column, k]
            if row > column:
                factor[row, column] = total / factor[column, column]
            elif total > 0.0:
                factor[row, row] = np.sqrt(total)
            else:
                return False
    return True


@compiled
def _solve(factor: Floats, right: Floats, solution: Floats) -> float:
    """Solve L Lᵀ p = −right and return ‖p‖²."""
    d = right.shape[0]
    for row in range(d):
        total = -right[row]
        for k in range(row):
            total -= factor[row, k] * solution[k]
        solution[row] = total / factor[row, row]
    for row in range(d - 1, -1, -1):
        total = solution[row]
        for k in range(row + 1, d):
            total -= factor[k, row] * solution[k]
        solution[row] = total / factor[row, row]
    squared = 0.0
    for k in range(d):
        squared += solution[k] * solution[k]
    return squared


@compiled
def _inverse_norm(factor: Floats, vector: Floats, scratch: Floats) -> float:
    """Return ‖L⁻¹ vector‖²."""
    total = 0.0
    for row in range(vector.shape[0]):
        entry = vector[row]
        for k in range(row):
            entry -= factor[row, k] * scratch[k]
        scratch[row] = entry / factor[row, row]
        total += scratch[row] * scratch[row]
    return total


@compiled
def _trust_region_step(
    hessian: Floats, gradient: Floats, norm: float, radius: float, factor: Floats, step: Floats,
    scratch: Floats,
) -> float:  # fmt: skip
    """Overwrite `step` with the minimizer of the quadratic model within the radius, nearly.

    Newton's method for the secular equation (Moré & Sorensen 1983), which also finds a shift that
    makes an indefinite Hessian positive. Returns the length.
    """
    size = 0.0
    for row in range(hessian.shape[0]):
        for column in range(hessian.shape[0]):
            size += hessian[row, column] * hessian[row, column]
    size = np.sqrt(size)
    floor = _FLOOR * size + 1e-300
    low, high = 0.0, size + norm / radius
    shift = floor
    length = 0.0
    for _ in range(_SECULAR_STEPS):
        if _factorize(hessian, shift, factor):
            squared = _solve(factor, gradient, step)
            length = np.sqrt(squared)
            if length <= 1.1 * radius and (shift <= floor or length >= 0.75 * radius):
                return float(length)
            if length > radius:
                low = shift
            else:
                high = shift
            change = squared / _inverse_norm(factor, step, scratch) * (length / radius - 1.0)
            new = shift + change
        else:
            low = shift
            new = 0.0
        shift = new if low < new < high else max(np.sqrt(low * high), 1e-3 * high)
    if not _factorize(hessian, high, factor):
        return 0.0
    return float(np.sqrt(_solve(factor, gradient, step)))


@compiled
def _newton_one(
    W: Floats, b: Floats, density: Floats, importance: Floats, penalty: float, tolerance: float,
    max_iterations: int, x: Floats, trial: Floats, step: Floats, spare: Floats, gradient: Floats,
    new_gradient: Floats, hessian: Floats, new_hessian: Floats, factor: Floats, gram: Floats,
    dgram: Floats, second: Floats, along: Floats, record: Floats,
) -> int:  # fmt: skip
    """Descend one model in place; return how often the loss was evaluated. The rest is scratch."""
    m, n = W.shape
    d = m * n + n
    weights, biases = trial[: m * n].reshape(m, n), trial[m * n :]
    weights[:] = W
    biases[:] = b
    x[:] = trial
    loss = model_hessian(
        weights, biases, density, importance, penalty, gradient, hessian, gram, dgram, second,
        along, record,
    )  # fmt: skip
    evaluations = 1
    norm = np.sqrt(_dot(gradient, gradient))
    radius = _FIRST_RADIUS
    for _ in range(max_iterations):
        if norm <= tolerance or radius < _SMALLEST_RADIUS:
            break
        length = _trust_region_step(hessian, gradient, norm, radius, factor, step, spare)
        predicted = 0.0
        for k in range(d):
            trial[k] = x[k] + step[k]
            predicted -= step[k] * (gradient[k] + 0.5 * _dot(hessian[k], step))
        new_loss = model_hessian(
            weights, biases, density, importance, penalty, new_gradient, new_hessian, gram, dgram,
            second, along, record,
        )  # fmt: skip
        evaluations += 1
        new_norm = np.sqrt(_dot(new_gradient, new_gradient))
        decrease = loss - new_loss
        # Where the model predicts less than the loss can show, the gradient decides.
        blind = predicted <= 100.0 * _ROUNDING * abs(loss)
        if blind:
            accepted = new_norm < norm and decrease >= -100.0 * _ROUNDING * abs(loss)
        else:
            accepted = decrease > _ACCEPT * predicted
        if not accepted or (not blind and decrease < 0.25 * predicted):
            radius = 0.25 * length
        elif decrease > 0.75 * predicted and length > 0.7 * radius:
            radius = min(2.0 * radius, _LARGEST_RADIUS)
        if accepted:
            x[:] = trial
            loss, norm = new_loss, new_norm
            gradient, new_gradient = new_gradient, gradient
            hessian, new_hessian = new_hessian, hessian
    W[:] = x[: m * n].reshape(m, n)
    b[:] = x[m * n :]
    return evaluations


@compiled
def newton_rows(
    W: Floats, b: Floats, density: Floats, importance: Floats, penalty: Floats, tolerance: Floats,
    max_iterations: int, loss: Floats, norm: Floats, evaluations: NDArray[np.int64],
) -> None:  # fmt: skip
    """Descend every model of a batch, in place, until its gradient norm is below its tolerance.

    Shapes: W (models, m, n), b, density and importance (models, n), the others (models,). The
    last three are overwritten, and loss and gradient norm are those of the other implementation,
    `one_model.model_loss_and_gradient`: that a model has converged is not the descent's own word.
    """
    models, m, n = W.shape
    d = m * n + n
    # All scratch is made once: small models would spend more time on memory than on arithmetic.
    x, trial, step, spare = np.empty(d), np.empty(d), np.empty(d), np.empty(d)
    gradient, new_gradient = np.empty(d), np.empty(d)
    hessian, new_hessian, factor = np.empty((d, d)), np.empty((d, d)), np.empty((d, d))
    gram, dgram, record = np.empty((n, n)), np.empty((n, n)), np.empty(RECORD)
    second, along = np.empty((n, n + 1)), np.empty((m, n + 1))
    dW, db, work = np.empty((m, n)), np.empty(n), Workspace(np.empty((0, 0)), None)
    for k in range(models):
        evaluations[k] = 1 + _newton_one(
            W[k], b[k], density[k], importance[k], penalty[k], 0.5 * tolerance[k], max_iterations,
            x, trial, step, spare, gradient, new_gradient, hessian, new_hessian, factor, gram,
            dgram, second, along, record,
        )  # fmt: skip
        loss[k] = model_loss_and_gradient(
            W[k], b[k], density[k], importance[k], penalty[k], False, None, k, dW, db, gram, dgram,
            work,
        )  # fmt: skip
        squared = 0.0
        for i in range(n):
            squared += db[i] * db[i]
            for h in range(m):
                squared += dW[h, i] * dW[h, i]
        norm[k] = np.sqrt(squared)
