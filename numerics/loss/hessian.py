"""The second derivatives of the exact loss, for many models."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...features import FeatureDistribution, check_features
from ...model import check_activation, check_penalty
from ..arguments import Floats, broadcast_parameters, check_weights
from ..compiled import compiled
from .exact import population_loss_and_grad
from .laws import QUADRATURE_FEATURES
from .second_derivatives import RECORD, model_hessian

_STEP = 1e-4  # of differences: their error is about _STEP⁴ and ε/_STEP, both near 1e-12
_DIFFERENCES_PER_CALL = 4096


def has_exact_hessian(features: FeatureDistribution, n_features: int, activation: str) -> bool:
    """Tell whether second derivatives are written in closed form for such models."""
    standard = features.values.is_uniform and features.is_independent(n_features)
    return standard and activation == "relu" and n_features <= QUADRATURE_FEATURES


@compiled
def _batch_hessian(
    W: Floats, b: Floats, density: Floats, importance: Floats, penalty: Floats, hessian: Floats
) -> None:
    _, m, n = W.shape
    gradient, record = np.empty(m * n + n), np.empty(RECORD)
    gram, dgram = np.empty((n, n)), np.empty((n, n))
    second, along = np.empty((n, n + 1)), np.empty((m, n + 1))
    for k in range(W.shape[0]):
        model_hessian(
            W[k], b[k], density[k], importance[k], penalty[k], gradient, hessian[k], gram, dgram,
            second, along, record,
        )  # fmt: skip


def _writable(values: Floats) -> Floats:
    # Compiled code comes in one version for each kind of array.
    return np.require(values, requirements=["C", "W"])


@dataclass(frozen=True)
class Models:
    """A batch of models without their parameters: whose derivatives are taken at any of them.

    Parameters x = (W.ravel(), b) have d = n_hidden · n_features + n_features entries.

    Attributes
    ----------
    n_features, n_hidden : int
    density, importance : ndarray of shape (models, n_features)
    penalty : ndarray of shape (models,)
    activation : str
    features : FeatureDistribution
    """

    n_features: int
    n_hidden: int
    density: Floats
    importance: Floats
    penalty: Floats
    activation: str
    features: FeatureDistribution

    @property
    def exact(self) -> bool:
        """Whether second derivatives come in closed form."""
        return has_exact_hessian(self.features, self.n_features, self.activation)

    def split(self, x: Floats) -> tuple[Floats, Floats]:
        """Return the parts W (..., m, n) and b (..., n) of parameters (..., d)."""
        m, n = self.n_hidden, self.n_features
        return x[..., : m * n].reshape(*x.shape[:-1], m, n), x[..., m * n :]

    def take(self, which: NDArray[np.intp]) -> Models:
        """Return some of the models."""
        return Models(
            self.n_features, self.n_hidden, self.density[which], self.importance[which],
            self.penalty[which], self.activation, self.features,
        )  # fmt: skip

    def loss_and_gradient(self, x: Floats) -> tuple[Floats, Floats]:
        """Return losses (models, k) and gradients (models, k, d) at k points each, (models, k, d)."""
        W, b = self.split(x)
        at = population_loss_and_grad(
            W, b, density=self.density[:, np.newaxis], importance=self.importance[:, np.newaxis],
            activation=self.activation, features=self.features, penalty=self.penalty[:, np.newaxis],
        )  # fmt: skip
        flat = at.dW.reshape(*at.loss.shape, self.n_hidden * self.n_features)
        return at.loss, np.concatenate([flat, at.db], axis=-1)

    def hessian(self, x: Floats, step: float = _STEP) -> Floats:
        """Return second derivatives (models, d, d) at x (models, d).

        `step` is that of central differences of fourth order, where there is no closed form.
        """
        if self.exact:
            W, b = self.split(x)
            hessian = np.empty((*x.shape, x.shape[-1]))
            _batch_hessian(
                _writable(W), _writable(b), _writable(self.density), _writable(self.importance),
                _writable(self.penalty), hessian,
            )  # fmt: skip
            return hessian
        d = x.shape[-1]
        size = max(1, _DIFFERENCES_PER_CALL // (4 * d))
        parts = [
            self.take(np.arange(start, min(start + size, len(x))))._differences(
                x[start : start + size], step
            )
            for start in range(0, len(x), size)
        ]
        return np.concatenate(parts) if parts else np.empty((0, d, d))

    def _differences(self, x: Floats, step: float) -> Floats:
        models, d = x.shape
        shifts = step * np.array([-2.0, -1.0, 1.0, 2.0])[:, np.newaxis, np.newaxis] * np.eye(d)
        points = x[:, np.newaxis] + shifts.reshape(4 * d, d)
        _, gradient = self.loss_and_gradient(points)
        weights = np.array([1.0, -8.0, 8.0, -1.0]) / (12.0 * step)
        hessian = np.einsum("k,pkij->pij", weights, gradient.reshape(models, 4, d, d))
        return np.asarray(0.5 * (hessian + np.swapaxes(hessian, -1, -2)))


def models_of(
    W: ArrayLike,
    b: ArrayLike,
    density: ArrayLike,
    importance: ArrayLike,
    activation: str,
    features: FeatureDistribution | None,
    penalty: ArrayLike,
) -> tuple[Models, Floats, tuple[int, ...]]:
    """Check and broadcast arguments; return the models, their parameters (models, d), the shape.

    Raises
    ------
    ValueError
        As `population_loss` does.
    """
    features = check_features(features)
    check_activation(activation)
    penalty = check_penalty(penalty)
    W = np.asarray(W, dtype=np.float64)
    b = np.asarray(b, dtype=np.float64)
    n, m, shape = check_weights(W, b)
    shape, density, importance = broadcast_parameters(
        n, density, importance, np.broadcast_shapes(shape, penalty.shape), features
    )
    x = np.concatenate(
        [
            np.broadcast_to(W, (*shape, m, n)).reshape(-1, m * n),
            np.broadcast_to(b, (*shape, n)).reshape(-1, n),
        ],
        axis=-1,
    )
    models = Models(
        n, m, density.reshape(-1, n), importance.reshape(-1, n),
        np.broadcast_to(penalty, shape).ravel(), activation, features,
    )  # fmt: skip
    return models, x, shape


def population_hessian(
    W: ArrayLike,
    b: ArrayLike,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: ArrayLike = 0.0,
) -> Floats:
    """Second derivatives of the exact population loss.

    Parameters
    ----------
    W : array_like, shape (..., n_hidden, n_features)
    b : array_like, shape (..., n_features)
    density, importance, activation, features, penalty
        As in `population_loss`.

    Returns
    -------
    ndarray of shape (..., d, d)
        With d = n_hidden · n_features + n_features parameters in the order of W, row by row, and b.

    Raises
    ------
    ValueError
        As `population_loss` does.

    Notes
    -----
    For ReLU models of up to three independent features with uniform values the derivatives are
    exact (`second_derivatives`), up to rounding. For all others they are differences of fourth
    order of the exact gradient at a distance of 1e-4: within about 1e-11 of the largest entry,
    unless a kink of the gradient is as near as that. On a kink the loss has one-sided second
    derivatives only, and this is one of them; `curvature` looks to all sides.

    Examples
    --------
    >>> H = population_hessian([[1, -1]], [0.1, 0.1], density=0.5, importance=[1, 1])
    >>> H.shape, bool((H == H.T).all())
    ((4, 4), True)
    """
    models, x, shape = models_of(W, b, density, importance, activation, features, penalty)
    d = x.shape[-1]
    return models.hessian(x).reshape(*shape, d, d)
