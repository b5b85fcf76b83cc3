"""The exact population loss and its gradient, without sampling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast, overload

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from ...features import FeatureDistribution, check_features
from ...model import check_activation, check_penalty
from ..arguments import Floats, broadcast_parameters, check_weights
from .batch import Rows, losses_of_rows
from .laws import DEFAULT_RTOL

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
    error : array of shape (...)
        Bound on the error of `loss`: of the sum over nodes, where there is one, with an estimate
        of rounding.
    gradient_error : array of shape (...)
        The same for every entry of `dW` and `db`.
    """

    loss: Any
    dW: Any
    db: Any
    error: Any
    gradient_error: Any

    def __iter__(self) -> Iterator[Any]:
        return iter((self.loss, self.dW, self.db))


def check_rtol(rtol: float) -> float:
    """Return a tolerance that can be aimed at.

    Raises
    ------
    ValueError
        If it is not between 1e-14 and 1.
    """
    if not 1e-14 <= rtol <= 1.0:  # also refuses NaN
        raise ValueError(f"rtol must be between 1e-14 and 1, got {rtol}; the default is 1e-9")
    return float(rtol)


def _evaluate(
    W: Floats,
    b: Floats,
    density: ArrayLike,
    importance: ArrayLike,
    activation: str,
    features: FeatureDistribution | None,
    penalty: ArrayLike,
    rtol: float,
    gradient: bool,
    device: torch.device | None = None,
) -> LossAndGradient:
    features = check_features(features)
    linear = check_activation(activation) == "linear"
    penalty = check_penalty(penalty)
    rtol = check_rtol(rtol)
    n, m, shape = check_weights(W, b)
    if penalty.ndim:
        shape = np.broadcast_shapes(shape, penalty.shape)
    parameters = broadcast_parameters(n, density, importance, shape, features)
    shape = parameters.shape

    def rows(values: Floats, *tail: int) -> Floats:
        # Writable, because compiled code comes in one version for each kind of array.
        full = values if values.shape == shape + tail else np.broadcast_to(values, shape + tail)
        return np.require(full, requirements=["C", "W"]).reshape(-1, *tail)

    found = losses_of_rows(
        Rows(
            rows(W, m, n),
            rows(b, n),
            rows(parameters.density, n),
            rows(parameters.importance, n),
            rows(penalty),
            linear,
        ),
        features,
        rtol,
        gradient,
        device,
    )
    return LossAndGradient(
        found.loss.reshape(shape),
        found.dW.reshape(*shape, m, n),
        found.db.reshape(*shape, n),
        found.errors[:, 0].reshape(shape),
        found.errors[:, 1].reshape(shape),
    )


def _sum_to_shape(gradient: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    return gradient.sum_to_size(shape) if gradient.shape != shape else gradient


class _PopulationLoss(torch.autograd.Function):
    """Hand the exact gradient to autograd (first derivatives only)."""

    @staticmethod
    def forward(
        ctx: Any, W: torch.Tensor, b: torch.Tensor, arguments: dict[str, Any]
    ) -> torch.Tensor:
        with_gradient = any(ctx.needs_input_grad)
        result = _evaluate(
            _to_numpy(W), _to_numpy(b), **arguments, gradient=with_gradient, device=W.device
        )
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
    rtol: float = ...,
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
    rtol: float = ...,
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
    rtol: float = DEFAULT_RTOL,
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
    rtol : float
        Error that is aimed at, relative to the loss, where no closed form is used: between 1e-14
        and 1. `population_loss_and_grad` returns a bound on the error that is reached.

    Returns
    -------
    ndarray or torch.Tensor of shape (...)
        A float64 array; for torch tensors a tensor of the dtype and device of `W`, through which
        autograd differentiates once. The computation itself is in double precision; sums over
        nodes run on the device of `W`, all else on the CPU.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is out of range, or densities do not belong to `features`.

    Notes
    -----
    Any number of features. Where few of them reach an output, closed forms are used, and `rtol`
    does not matter. For independent features with uniform values and n ≤ 3 the result is accurate
    relative to itself (a few units in the last place beyond what the rounding of W and b means);
    an output that up to seven of more features reach is accurate up to machine precision times
    Σ_i I_i s_i/3. `quadrature` and `recurrence` say how. Other features take `general_recurrence`
    while they have few joint states; its result is accurate relative to itself where the density
    of a value is a mixture without negative weights (`beta_mixture`). All else is a sum over nodes
    of a line in the complex plane (`contour.plan`), whose error is bounded; small couplings, which
    would take many nodes, are merged where that can be done within the tolerance (`contour.merged`).

    A tolerance that rounding or a limit of 2^18 nodes for an output keeps from being reached is no
    error: the bound that is returned is then larger.

    Examples
    --------
    >>> loss = population_loss([[1, -1]], [0, 0], density=0.5, importance=[1, 1])
    >>> print(f"{loss:.6f}")  # s²/3
    0.083333
    """
    arguments: dict[str, Any] = {
        "density": _detached(density),
        "importance": _detached(importance),
        "activation": activation,
        "features": features,
        "penalty": _detached(penalty),
        "rtol": rtol,
    }
    if isinstance(W, torch.Tensor):
        b = torch.as_tensor(b, device=W.device)
        return cast(Any, _PopulationLoss.apply)(W, b, arguments)
    return _evaluate(_to_numpy(W), _to_numpy(b), **arguments, gradient=False).loss


def population_loss_and_grad(
    W: Any,
    b: Any,
    *,
    density: Any,
    importance: Any,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: Any = 0.0,
    rtol: float = DEFAULT_RTOL,
) -> LossAndGradient:
    """Exact population loss with its gradient in W and b.

    Parameters, errors and accuracy are those of `population_loss`; of the gradient of a sum over
    nodes, derivatives of output i in its bias and in W_i·W_j are aimed at with errors of 10 `rtol`
    times the loss of the empty model over n. The loss has a derivative
    everywhere but where an output is exactly 0 with positive probability (W_i = 0 with b_i = 0).
    There the derivative of the active side is given, along which the loss falls; autograd on
    samples would give 0, and a descent would not leave the kink.

    Returns
    -------
    LossAndGradient
        With fields `loss` (...), `dW` (..., n_hidden, n_features) and `db` (..., n_features), one
        gradient per model of the broadcast batch, and bounds on their errors, `error` (...) and
        `gradient_error` (...); torch tensors if `W` is one.

    Examples
    --------
    >>> at = population_loss_and_grad([[1, 0]], [0, 0.25], density=0.5, importance=[1, 1])
    >>> float(abs(at.db[1]))  # the optimal bias of a dropped feature is s/2
    0.0
    >>> loss, dW, db = at
    >>> W = np.cos(np.outer(range(4), range(20)))  # 20 features in 4 dimensions
    >>> at = population_loss_and_grad(W, np.zeros(20), density=0.1, importance=np.ones(20))
    >>> bool(at.error < 1e-9 * at.loss)
    True
    """
    result = _evaluate(
        _to_numpy(W),
        _to_numpy(b),
        _detached(density),
        _detached(importance),
        activation,
        features,
        _detached(penalty),
        rtol,
        True,
        W.device if isinstance(W, torch.Tensor) else None,
    )
    if not isinstance(W, torch.Tensor):
        return result
    tensors = (
        torch.as_tensor(part, dtype=W.dtype, device=W.device)
        for part in (result.loss, result.dW, result.db, result.error, result.gradient_error)
    )
    return LossAndGradient(*tensors)


def _detached(values: Any) -> Any:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else values
