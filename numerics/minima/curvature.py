"""Certify stationary points: the least curvature of the loss around them, to all sides.

The loss is unchanged by rotations of W, and these m (m − 1)/2 directions are left out. On a kink of
the gradient, such as the bias 0 of a feature that is reconstructed perfectly, the Hessian is not
defined: it depends on the side from which the point is approached. The loss still rises like
t² q(v)/2 along a direction v, and q(v) = vᵀ H(x + t v) v for small t. The point is a minimum if q
is positive to all sides; a direction with negative q disproves it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...features import FeatureDistribution
from ..arguments import Floats
from ..loss.hessian import Models, models_of

KINDS = ("minimum", "saddle", "degenerate", "not stationary")

_PROBE, _PROBE_OF_DIFFERENCES = 1e-6, 1e-5  # how far from the point its sides are looked at
_DIFFERENCE_STEP = 1e-7
_FLAT = 10.0  # times the distance of the probes, relative to the Hessian: no curvature
_KINK = 100.0  # likewise: a change of the Hessian that no third derivative explains
_ROUNDS = 4
_MODELS_PER_ROUND = 4096


@dataclass(frozen=True)
class Curvature:
    """The least curvature at points, one entry per model of the batch.

    Attributes
    ----------
    value : ndarray of shape (...)
        The least second derivative found along a unit direction, rotations of W left out. NaN
        where weights are so large that the gradient overflows.
    kind : ndarray of str, shape (...)
        "minimum" where `value` is positive, "saddle" where it is negative, "degenerate" where it
        is zero up to the error of the method, "not stationary" where the gradient is not small.
    W : ndarray of shape (..., n_hidden, n_features)
    b : ndarray of shape (..., n_features)
        Together the direction, of unit length, of the least curvature.
    """

    value: Floats
    kind: NDArray[np.str_]
    W: Floats
    b: Floats


def _rotations(models: Models, x: Floats) -> Floats:
    """Return unit directions (models, d, pairs) along which W rotates; zeros where it cannot."""
    W, _ = models.split(x)
    pairs = list(combinations(range(models.n_hidden), 2))
    directions = np.zeros((*x.shape, len(pairs)))
    for k, (p, q) in enumerate(pairs):
        turned = np.zeros_like(W)
        turned[:, p], turned[:, q] = W[:, q], -W[:, p]
        directions[:, : turned[0].size, k] = turned.reshape(len(x), -1)
    if not pairs:
        return directions
    left, size, _ = np.linalg.svd(directions, full_matrices=False)
    return left * (size > 1e-6 * (size[:, :1] + 1e-300))[:, np.newaxis]


class _Sides:
    """The Hessians around a batch of points, without rotations of W."""

    def __init__(self, models: Models, x: Floats) -> None:
        self.models, self.x = models, x
        self.probe = _PROBE if models.exact else _PROBE_OF_DIFFERENCES
        rotations = _rotations(models, x)
        self.rotated = np.einsum("pik,pjk->pij", rotations, rotations)

    def hessian(self, direction: Floats | None = None) -> Floats:
        """Return H (models, d, d) at the points, or on their sides (models, k, d) of unit length.

        Rotations have the largest curvature there is, so that none of them has the least.
        """
        shape = self.x.shape[:1] if direction is None else direction.shape[:2]
        x = self.x if direction is None else self.x[:, np.newaxis] + self.probe * direction
        which = np.repeat(np.arange(len(self.x)), 1 if direction is None else shape[1])
        d = x.shape[-1]
        hessian = self.models.take(which).hessian(x.reshape(-1, d), _DIFFERENCE_STEP)
        kept = np.eye(d) - self.rotated[which]
        hessian = kept @ hessian @ kept
        size = np.linalg.norm(hessian, axis=(-2, -1))
        hessian += size[:, np.newaxis, np.newaxis] * self.rotated[which]
        return np.asarray(hessian.reshape(*shape, d, d))

    def take(self, which: NDArray[np.intp]) -> _Sides:
        """Return the sides of some of the points."""
        return _Sides(self.models.take(which), self.x[which])


def _least(sides: _Sides, vectors: Floats) -> tuple[Floats, Floats]:
    """Search the least q(v) over unit vectors v, from `vectors` (models, k, d) and their opposites.

    Where H(x + t v) is constant on a cone around v, its lowest eigenvector minimizes q there if it
    lies in the cone; so each side is left for the lowest eigenvector seen from it.
    """
    count = vectors.shape[1]
    best = np.full(len(vectors), np.inf)
    direction = vectors[:, 0].copy()
    for _ in range(_ROUNDS):
        vectors = np.concatenate([vectors, -vectors], axis=1)
        hessian = sides.hessian(vectors)
        q = np.einsum("pki,pkij,pkj->pk", vectors, hessian, vectors)
        order = np.argsort(q, axis=1)
        lowest = np.take_along_axis(q, order[:, :1], axis=1)[:, 0]
        better = lowest < best
        best = np.where(better, lowest, best)
        found = np.take_along_axis(vectors, order[:, :1, np.newaxis], axis=1)[:, 0]
        direction[better] = found[better]
        eigenvectors = np.linalg.eigh(hessian)[1][..., 0]
        # Not the lowest sides only: a wide cone of the least curvature may hide behind them.
        vectors = np.take_along_axis(eigenvectors, order[:, : 2 * count : 2, np.newaxis], axis=1)
    return best, direction


def _is_kink(sides: _Sides, hessian: Floats) -> NDArray[np.bool_]:
    """Tell whether H differs between the sides of a point."""
    d = hessian.shape[-1]
    vectors = np.random.default_rng(0).standard_normal((2, d))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    around = np.broadcast_to(np.concatenate([vectors, -vectors]), (len(hessian), 4, d))
    change = abs(sides.hessian(around) - hessian[:, np.newaxis]).max(axis=(1, 2, 3))
    return np.asarray(change > _KINK * sides.probe * abs(hessian).max(axis=(1, 2)))


def _curvature_rows(models: Models, x: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the least curvature, its direction, and what counts as none, for rows of models."""
    sides = _Sides(models, x)
    hessian = sides.hessian()
    eigenvalues, eigenvectors = np.linalg.eigh(hessian)
    value, direction = eigenvalues[:, 0].copy(), eigenvectors[..., 0].copy()
    kinks = np.flatnonzero(_is_kink(sides, hessian))
    if len(kinks):
        vectors = np.swapaxes(eigenvectors[kinks], -1, -2)
        value[kinks], direction[kinks] = _least(sides.take(kinks), vectors)
    flat = np.asarray(_FLAT * sides.probe * abs(eigenvalues[:, -1]))
    return value, direction, flat


def curvature(
    W: ArrayLike,
    b: ArrayLike,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: ArrayLike = 0.0,
    tolerance: float = 1e-7,
) -> Curvature:
    """Find the least curvature of the exact loss at given weights, and what kind of point it is.

    Parameters
    ----------
    W : array_like, shape (..., n_hidden, n_features)
    b : array_like, shape (..., n_features)
    density, importance, activation, features, penalty
        As in `population_loss`.
    tolerance : float
        Largest norm of the gradient, in units of Σ_i I_i s_i, of a stationary point.

    Raises
    ------
    ValueError
        As `population_loss` does.

    Notes
    -----
    Exact up to rounding, where `population_hessian` is and the loss has no kink at the point. On
    a kink the sides are looked at from a distance of 1e-6 (1e-5 where the Hessian is one of
    differences) and searched for the least curvature: a negative one is a proof that the point is
    no minimum; a positive one rests on the search. A bias of an output that is dead has no effect,
    and the point is then degenerate; so are all points of sets of equal minima.

    Examples
    --------
    >>> from superposition.numerics import descend
    >>> found = descend([[0.9, -0.8]], [0, 0], density=0.1, importance=[1, 1])
    >>> at = curvature(found.W, found.b, density=0.1, importance=[1, 1])
    >>> print(at.kind, bool(at.value > 0))
    minimum True
    """
    models, x, shape = models_of(W, b, density, importance, activation, features, penalty)
    value, flat, norm = np.full(len(x), np.nan), np.full(len(x), np.nan), np.empty(len(x))
    direction = np.zeros_like(x)
    for start in range(0, len(x), _MODELS_PER_ROUND):
        part = np.arange(start, min(start + _MODELS_PER_ROUND, len(x)))
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # weights that descent never brought back
            gradient = models.take(part).loss_and_gradient(x[part, np.newaxis])[1][:, 0]
            norm[part] = np.linalg.norm(gradient, axis=-1)
        part = part[np.isfinite(norm[part])]
        value[part], direction[part], flat[part] = _curvature_rows(models.take(part), x[part])
    kind = np.where(value > flat, KINDS[0], np.where(value < -flat, KINDS[1], KINDS[2]))
    moving = ~(norm <= tolerance * (models.density * models.importance).sum(axis=-1))
    kind = np.where(moving, KINDS[3], kind)
    along_W, along_b = models.split(direction)
    return Curvature(
        value.reshape(shape), kind.reshape(shape),
        along_W.reshape(*shape, *along_W.shape[1:]), along_b.reshape(*shape, along_b.shape[1]),
    )  # fmt: skip
