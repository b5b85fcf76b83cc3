"""The exact population loss and its gradient: no sampling, no truncation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ..features import FeatureDistribution, check_features
from ..model import check_activation, check_penalty
from . import general_recurrence, quadrature, recurrence
from .arguments import Floats, broadcast_parameters, check_weights
from .compiled import compiled
from .laws import QUADRATURE_FEATURES, Laws, laws_of, workspace
from .single_output import compensated_sum_of_products

Array = TypeVar("Array", NDArray[np.float64], torch.Tensor)


@dataclass(frozen=True)
class LossAndGradient:
    """Exact losses with their gradients, one per model of the batch.

    Unpacks as ``loss, dW, db``.

    Attributes
    ----------
    loss : array of shape (...)
    dW : array of shape (..., n_hidden, n_features)
        Derivative of the loss in W.
    db : array of shape (..., n_features)
        Derivative of the loss in b.
    """

    loss: Any
    dW: Any
    db: Any

    def __iter__(self) -> Iterator[Any]:
        return iter((self.loss, self.dW, self.db))


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
    moments: Floats,
) -> float:
    """Return the loss of one model and overwrite `dW` (m, n) and `db` (n,) with its gradient.

    Its features have the law number `model` of `laws`, or are independent and uniform. `gram` and `dgram` are scratch of shape
    (n, n), `moments` is a `workspace`.
    """
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
def _batch_loss_and_gradient(
    W: Floats,
    b: Floats,
    density: Floats,
    importance: Floats,
    penalty: Floats,
    linear: bool,
    laws: Laws | None,
    loss: Floats,
    dW: Floats,
    db: Floats,
    moments: Floats,
) -> None:
    n = W.shape[2]
    gram = np.empty((n, n))
    dgram = np.empty((n, n))
    for k in range(W.shape[0]):
        loss[k] = model_loss_and_gradient(
            W[k],
            b[k],
            density[k],
            importance[k],
            penalty[k],
            linear,
            laws,
            k,
            dW[k],
            db[k],
            gram,
            dgram,
            moments,
        )


def _evaluate(
    W: Floats,
    b: Floats,
    density: ArrayLike,
    importance: ArrayLike,
    activation: str,
    features: FeatureDistribution | None,
    penalty: ArrayLike,
) -> LossAndGradient:
    features = check_features(features)
    linear = check_activation(activation) == "linear"
    penalty = check_penalty(penalty)
    n, m, shape = check_weights(W, b)
    moments = workspace(features, n, linear)
    if penalty.ndim:
        shape = np.broadcast_shapes(shape, penalty.shape)
    parameters = broadcast_parameters(n, density, importance, shape, features)
    shape = parameters.shape

    def rows(values: Floats, *tail: int) -> Floats:
        # Writable, because compiled code comes in one version for each kind of array.
        full = values if values.shape == shape + tail else np.broadcast_to(values, shape + tail)
        return np.require(full, requirements=["C", "W"]).reshape(-1, *tail)

    rows_W, rows_density = rows(W, m, n), rows(parameters.density, n)
    loss = np.empty(rows_W.shape[0])
    dW = np.empty_like(rows_W)
    db = np.empty((rows_W.shape[0], n))
    _batch_loss_and_gradient(
        rows_W,
        rows(b, n),
        rows_density,
        rows(parameters.importance, n),
        rows(penalty),
        linear,
        laws_of(features, rows_density, linear),
        loss,
        dW,
        db,
        moments,
    )
    return LossAndGradient(loss.reshape(shape), dW.reshape(*shape, m, n), db.reshape(*shape, n))


def _sum_to_shape(gradient: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    return gradient.sum_to_size(shape) if gradient.shape != shape else gradient


class _PopulationLoss(torch.autograd.Function):
    """Hand the exact gradient to autograd (first derivatives only)."""

    @staticmethod
    def forward(
        ctx: Any, W: torch.Tensor, b: torch.Tensor, arguments: tuple[Any, ...]
    ) -> torch.Tensor:
        result = _evaluate(_to_numpy(W), _to_numpy(b), *arguments)
        dW, db = (
            torch.as_tensor(d, dtype=W.dtype, device=W.device) for d in (result.dW, result.db)
        )
        ctx.save_for_backward(dW, db)
        ctx.shapes = (W.shape, b.shape)
        return torch.as_tensor(result.loss, dtype=W.dtype, device=W.device)

    @staticmethod
    def backward(ctx: Any, upstream: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        if torch.is_grad_enabled():  # create_graph: the saved gradient would pass for a constant
            raise RuntimeError("population_loss can be differentiated once, not with create_graph")
        dW, db = ctx.saved_tensors
        shape_W, shape_b = ctx.shapes
        return (
            _sum_to_shape(upstream[..., None, None] * dW, shape_W),
            _sum_to_shape(upstream[..., None] * db, shape_b),
            None,
        )


def _to_numpy(values: Any) -> Floats:
    if isinstance(values, torch.Tensor):
        return values.detach().to("cpu", torch.float64).numpy()
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"W and b must be rectangular arrays of numbers: {error}") from None


@overload
def population_loss(
    W: torch.Tensor,
    b: Any,
    *,
    density: Any,
    importance: Any,
    activation: str = ...,
    features: FeatureDistribution | None = ...,
    penalty: Any = ...,
) -> torch.Tensor: ...


@overload
def population_loss(
    W: ArrayLike,
    b: ArrayLike,
    *,
    density: Any,
    importance: Any,
    activation: str = ...,
    features: FeatureDistribution | None = ...,
    penalty: Any = ...,
) -> NDArray[np.float64]: ...


def population_loss(
    W: Any,
    b: Any,
    *,
    density: Any,
    importance: Any,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: Any = 0.0,
) -> Any:
    r"""Exact expected loss Σ_i I_i E(x_i − x̂_i)² + λ Σ_{i≠j} (W_i·W_j)², without sampling.

    Parameters
    ----------
    W : array_like or torch.Tensor, shape (..., n_hidden, n_features)
    b : array_like or torch.Tensor, shape (..., n_features)
    density : array_like, shape (...) or (..., n_features)
        P(x_i ≠ 0), in [0, 1]. A density with more axes than the batch, the last of length
        n_features or 1, is per feature; see `broadcast_parameters`.
    importance : array_like, shape (..., n_features)
        Finite and non-negative.
    activation : {"relu", "linear"}
    features : feature distribution, optional
        Which features are on together, and the law of a value; None is `Independent`, with
        values uniform on [0, 1].
    penalty : array_like, shape (...)
        Interference penalty λ ≥ 0.

    Returns
    -------
    ndarray or torch.Tensor of shape (...)
        A float64 array; for torch tensors a tensor of the dtype and device of `W`, through which
        autograd differentiates once. The computation itself is in float64 on the CPU.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is out of range, densities do not belong to `features`, or
        a ReLU model has more than 10 features, or more joint states of the features than ten
        independent ones (`joint_states`).

    Notes
    -----
    For independent features with uniform values and n ≤ 3 the result is accurate relative to
    itself (a few units in the last place beyond what the rounding of W and b means), for more of
    them up to machine precision times Σ_i I_i s_i/3. `quadrature` and `recurrence` say how. All
    other features take `general_recurrence`, whose result is accurate relative to itself where the
    density of a value is a mixture without negative weights (`beta_mixture`).

    Examples
    --------
    >>> loss = population_loss([[1, -1]], [0, 0], density=0.5, importance=[1, 1])
    >>> print(f"{loss:.6f}")  # s²/3
    0.083333
    """
    arguments = (
        _detached(density),
        _detached(importance),
        activation,
        features,
        _detached(penalty),
    )
    if isinstance(W, torch.Tensor):
        b = torch.as_tensor(b, device=W.device)
        return cast(Any, _PopulationLoss.apply)(W, b, arguments)
    return _evaluate(_to_numpy(W), _to_numpy(b), *arguments).loss


def population_loss_and_grad(
    W: Any,
    b: Any,
    *,
    density: Any,
    importance: Any,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: Any = 0.0,
) -> LossAndGradient:
    """Exact population loss with its gradient in W and b.

    Parameters, errors and accuracy are those of `population_loss`. The loss has a derivative
    everywhere but where an output is exactly 0 with positive probability (W_i = 0 with b_i = 0).
    There the derivative of the active side is given, along which the loss falls; autograd on
    samples would give 0, and a descent would not leave the kink.

    Returns
    -------
    LossAndGradient
        With fields `loss` (...), `dW` (..., n_hidden, n_features) and `db` (..., n_features), one
        gradient per model of the broadcast batch; torch tensors if `W` is one.

    Examples
    --------
    >>> at = population_loss_and_grad([[1, 0]], [0, 0.25], density=0.5, importance=[1, 1])
    >>> float(abs(at.db[1]))  # the optimal bias of a dropped feature is s/2
    0.0
    >>> loss, dW, db = at
    """
    result = _evaluate(
        _to_numpy(W),
        _to_numpy(b),
        _detached(density),
        _detached(importance),
        activation,
        features,
        _detached(penalty),
    )
    if not isinstance(W, torch.Tensor):
        return result
    tensors = (
        torch.as_tensor(part, dtype=W.dtype, device=W.device)
        for part in (result.loss, result.dW, result.db)
    )
    return LossAndGradient(*tensors)


def _detached(values: Any) -> Any:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
