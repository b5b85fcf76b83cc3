"""The loss of one model and its gradient, output by output, each by the route that suits it.

Linear outputs need the first two moments of the inputs. ReLU outputs of few features have closed
forms (`quadrature`, `recurrence`, `general_recurrence`); an output that more features reach is a
sum over nodes of a line in the complex plane (`contour`).
"""

from __future__ import annotations

import numba

from ..arguments import Floats
from ..compiled import calling_back, compiled
from . import general_recurrence, quadrature, recurrence
from .contour.accuracy import Sums
from .contour.model import summed_model
from .laws import QUADRATURE_FEATURES, Laws, Workspace
from .single_output import compensated_sum_of_products

__all__ = ["model_loss_and_gradient"]


@compiled
def _linear_output(
    output: int, couplings: Floats, e: float, bias: float, density: Floats, gradient: Floats
) -> tuple[float, float]:
    """Return the loss of one output without activation: squared mean error plus variance."""
    n = couplings.shape[0]
    mean_error = bias
    variance = 0.0
    for j in range(n):
        gap = -e if j == output else couplings[j]
        mean = 0.5 * density[j]
        mean_error += gap * mean
        variance += gap * gap * (density[j] / 3.0 - mean * mean)
    for j in range(n):
        gap = -e if j == output else couplings[j]
        mean = 0.5 * density[j]
        gradient[j] = 2.0 * (mean_error * mean + gap * (density[j] / 3.0 - mean * mean))
    return mean_error * mean_error + variance, 2.0 * mean_error


@compiled
def _linear_output_of_moments(
    output: int,
    couplings: Floats,
    e: float,
    bias: float,
    mean: Floats,
    covariance: Floats,
    gradient: Floats,
) -> tuple[float, float]:
    """Return the loss of one output without activation, for any mean and covariance."""
    n = couplings.shape[0]
    mean_error = bias
    for j in range(n):
        mean_error += (-e if j == output else couplings[j]) * mean[j]
    variance = 0.0
    for j in range(n):
        spread = 0.0
        for k in range(n):
            spread += covariance[j, k] * (-e if k == output else couplings[k])
        variance += (-e if j == output else couplings[j]) * spread
        gradient[j] = 2.0 * (mean_error * mean[j] + spread)
    return mean_error * mean_error + variance, 2.0 * mean_error


@calling_back
def _call_back(
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
    # A sum over nodes takes so long that this call does not count, and compiling the sums into
    # every loop over models would.
    with numba.objmode(loss="float64"):
        loss = summed_model(W, b, density, importance, penalty, dW, db, moments, sums)
    return loss


@compiled
def _loss_and_gradient(
    W: Floats,
    b: Floats,
    density: Floats,
    importance: Floats,
    penalty: float,
    linear: bool,
    laws: Laws | None,
    model: int,
    dW: Floats,
    db: Floats,
    gram: Floats,
    dgram: Floats,
    moments: Floats,
    sums: Sums | None,
) -> float:
    """Do what `model_loss_and_gradient` does; an argument that is None leaves no trace."""
    if sums is not None:
        return _call_back(W, b, density, importance, penalty, dW, db, moments, sums)
    m, n = W.shape
    loss = 0.0
    for i in range(n):
        for j in range(i):
            gram[i, j] = gram[j, i] = compensated_sum_of_products(0.0, 1.0, W[:, i], W[:, j])
    for i in range(n):
        e = compensated_sum_of_products(1.0, -1.0, W[:, i], W[:, i])
        gram[i, i] = compensated_sum_of_products(0.0, 1.0, W[:, i], W[:, i])
        if importance[i] == 0.0:
            dgram[i, :] = 0.0
            db[i] = 0.0
            continue
        if laws is not None:
            if linear:
                value, slope = _linear_output_of_moments(
                    i, gram[i], e, b[i], laws.mean[model], laws.covariance[model], dgram[i]
                )
            else:
                value, slope = general_recurrence.loss_of_output(
                    i, gram[i], e, b[i], laws.states, laws.probability[model], dgram[i], moments
                )
        elif linear:
            value, slope = _linear_output(i, gram[i], e, b[i], density, dgram[i])
        elif n <= QUADRATURE_FEATURES:
            value, slope = quadrature.loss_of_output(i, gram[i], e, b[i], density, dgram[i])
        else:
            value, slope = recurrence.loss_of_output(
                i, gram[i], e, b[i], density, dgram[i], moments
            )
        loss += importance[i] * value
        db[i] = importance[i] * slope
        for j in range(n):
            dgram[i, j] *= importance[i]
    if penalty != 0.0:
        for i in range(n):
            for j in range(n):
                if i != j:
                    loss += penalty * gram[i, j] * gram[i, j]
                    dgram[i, j] += 2.0 * penalty * gram[i, j]
    for h in range(m):
        for j in range(n):
            total = 0.0
            for i in range(n):
                total += W[h, i] * (dgram[i, j] + dgram[j, i])
            dW[h, j] = total
    return loss


@compiled
def model_loss_and_gradient(
    W: Floats,
    b: Floats,
    density: Floats,
    importance: Floats,
    penalty: float,
    linear: bool,
    laws: Laws | None,
    model: int,
    dW: Floats,
    db: Floats,
    gram: Floats,
    dgram: Floats,
    work: Workspace,
) -> float:
    """Return the loss of one model and overwrite `dW` (m, n) and `db` (n,) with its gradient.

    Its features have the law number `model` of `laws`, or are independent and uniform. `gram` and
    `dgram` are scratch of shape (n, n), `work` is a `workspace`.
    """
    return _loss_and_gradient(
        W, b, density, importance, penalty, linear, laws, model, dW, db, gram, dgram, work.moments,
        work.sums,
    )  # fmt: skip
