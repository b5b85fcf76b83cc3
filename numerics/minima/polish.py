"""Newton's method from beside a minimum to the minimum, for many models at once.

Descent is made to cover ground, and may leave a shallow minimum that it starts beside. Where the
minimum that a point is next to has to be told, steps must be short.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...features import FeatureDistribution
from ..arguments import Floats
from ..loss.hessian import models_of
from .curvature import curvature

__all__ = ["Polished", "polish"]

_DIFFERENCE = 1e-6  # of Hessians that have no closed form: short, because of kinks nearby
_FLAT = 1e-7  # eigenvalues below this share of the largest count as zero, as those of rotations
_LONGEST_STEP = 0.02
_SHRINK = 0.25  # of the longest step, after one that did not lower the gradient
_ITERATIONS = 12


@dataclass(frozen=True)
class Polished:
    """Where Newton's method ended, one row per model.

    Attributes
    ----------
    W : ndarray of shape (models, n_hidden, n_features)
    b : ndarray of shape (models, n_features)
    loss, gradient_norm : ndarray of shape (models,)
    converged : ndarray of bool, shape (models,)
        Whether the gradient norm is below `tolerance` · Σ_i I_i s_i.
    kind : ndarray of str, shape (models,)
        As in `Curvature`.
    """

    W: Floats
    b: Floats
    loss: Floats
    gradient_norm: Floats
    converged: NDArray[np.bool_]
    kind: NDArray[np.str_]


def polish(
    W: Floats,
    b: Floats,
    *,
    density: Floats,
    importance: Floats,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: Floats | float = 0.0,
    tolerance: float = 1e-9,
) -> Polished:
    """Take Newton steps of length at most 0.02 as long as they make the gradient smaller.

    Parameters
    ----------
    W : ndarray of shape (models, n_hidden, n_features)
    b : ndarray of shape (models, n_features)
    density, importance : ndarray of shape (models, n_features)
    activation, features, penalty
        As in `population_loss`.
    tolerance : float

    Raises
    ------
    ValueError
        As `population_loss` does.

    Notes
    -----
    There is no step along directions without curvature, as rotations of the hidden space are.
    Where features are dropped, the second derivative jumps at the minimum itself; beside it the
    loss is quadratic along the ray from there, to lowest order, and one step arrives.

    Examples
    --------
    >>> near = np.array([[[0.995, -0.99]]]), np.array([[0.01, 0.01]])
    >>> done = polish(*near, density=np.full((1, 2), 0.1), importance=np.ones((1, 2)))
    >>> done.converged, done.kind
    (array([ True]), array(['minimum'], dtype='<U14'))
    """
    models, x, _ = models_of(W, b, density, importance, activation, features, penalty)
    goal = tolerance * (models.density * models.importance).sum(axis=-1)
    loss, gradient = (part[:, 0] for part in models.loss_and_gradient(x[:, None]))
    norm = np.linalg.norm(gradient, axis=1)
    radius = np.full(len(x), _LONGEST_STEP)
    for _ in range(_ITERATIONS):
        left = np.flatnonzero(norm > goal)
        if not len(left):
            break
        some = models.take(left)
        step = _newton_step(some.hessian(x[left], _DIFFERENCE), gradient[left])
        length = np.maximum(np.linalg.norm(step, axis=1), 1e-300)
        there = x[left] + step * np.minimum(1.0, radius[left] / length)[:, None]
        new_loss, new_gradient = (part[:, 0] for part in some.loss_and_gradient(there[:, None]))
        new_norm = np.linalg.norm(new_gradient, axis=1)
        better = new_norm < norm[left]
        radius[left] = np.where(better, radius[left], _SHRINK * np.minimum(length, radius[left]))
        taken = left[better]
        x[taken], loss[taken] = there[better], new_loss[better]
        gradient[taken], norm[taken] = new_gradient[better], new_norm[better]
    ends_W, ends_b = models.split(x)
    kind = curvature(
        ends_W, ends_b, density=density, importance=importance, activation=activation,
        features=features, penalty=penalty, tolerance=tolerance,
    ).kind  # fmt: skip
    return Polished(ends_W, ends_b, loss, norm, np.asarray(norm <= goal), kind)


def _newton_step(hessian: Floats, gradient: Floats) -> Floats:
    curvatures, directions = np.linalg.eigh(hessian)
    slopes = np.einsum("kij,ki->kj", directions, gradient)
    flat = abs(curvatures) <= _FLAT * abs(curvatures).max(axis=1, keepdims=True)
    steps = np.where(flat, 0.0, -slopes / np.where(flat, 1.0, curvatures))
    return np.asarray(np.einsum("kij,kj->ki", directions, steps))
