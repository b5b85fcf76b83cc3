"""Lay the corners of a shape on features: the best permutation, and what is left."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr
from scipy.optimize import linear_sum_assignment

from .shapes import Shape

__all__ = ["Match", "gram_distance", "match_shape"]

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]

# Alternating steps stop by themselves; from an exact frame they need one.
_STEPS = 10
_FRAMES = 24


@dataclass(frozen=True)
class Match:
    """A shape laid on a group of k features.

    Attributes
    ----------
    name : str
    dimensions : int
        Of the shape.
    corners : tuple of int
        The corner that each feature takes.
    residual : float
        `gram_distance` of the features from these corners.
    """

    name: str
    dimensions: int
    corners: tuple[int, ...]
    residual: float


def gram_distance(first: Floats, second: Floats) -> float:
    """Return the root mean square difference of the cosines of two groups, over all pairs i < j.

    Unit vectors are the same up to an orthogonal map exactly if their Gram matrices are equal, so
    that no map has to be found. The diagonals are 1 and do not count.

    Parameters
    ----------
    first, second : ndarray of float64, shape (k, k)

    Returns
    -------
    float
        0 for a single feature.

    Examples
    --------
    >>> gram_distance(np.array([[1, -0.9], [-0.9, 1]]), np.array([[1, -1.0], [-1.0, 1]]))
    0.09999999999999998
    """
    pairs = np.triu_indices(len(first), 1)
    if not pairs[0].size:
        return 0.0
    return float(np.sqrt(np.square(first[pairs] - second[pairs]).mean()))


def match_shape(units: Floats, shape: Shape) -> Match:
    """Return the best permutation of the corners of a shape on unit vectors.

    The features that span most volume (pivoted QR) are compared with every ordered choice of as
    many corners. The two dozen choices with the likest angles are starts, each improved by turns
    of an orthogonal Procrustes fit and an assignment. So k! permutations become at most
    k (k−1) (k−2) choices; corners of a simplex are all alike and need none. For an exact shape
    the starts are exact. Far from every shape the result need not be the best permutation.

    Parameters
    ----------
    units : ndarray of float64, shape (m, k)
        Unit columns.
    shape : Shape
        With k corners.

    Returns
    -------
    Match

    Examples
    --------
    >>> from superposition.validation.geometry.shapes import shapes_with
    >>> tetrahedron, square = shapes_with(4)
    >>> match_shape(np.array([[1.0, -1, 0, 0], [0, 0, -1, 1]]), square).residual < 1e-12
    True
    """
    k = units.shape[1]
    if shape.is_simplex or shape.dimensions == k:
        orders = np.arange(k)[np.newaxis]
    elif units.shape[0] < shape.dimensions:
        # The shape does not fit in; the residual says so for any permutation.
        orders = _starts(np.vstack([units, np.zeros((shape.dimensions - len(units), k))]), shape)
    else:
        orders = _starts(units, shape)
    gram, corners = units.T @ units, shape.gram
    difference = gram - corners[orders[:, :, np.newaxis], orders[:, np.newaxis, :]]
    best = orders[np.square(difference).sum(axis=(1, 2)).argmin()]
    residual = gram_distance(gram, corners[np.ix_(best, best)])
    return Match(shape.name, shape.dimensions, tuple(best.tolist()), residual)


def _starts(units: Floats, shape: Shape) -> Integers:
    """Permutations that alternating fits reach from every frame of corners, (starts, k)."""
    # Coordinates in the space that holds most of the features.
    left = np.linalg.svd(units, full_matrices=False)[0][:, : shape.dimensions]
    points = left.T @ units
    frame = qr(points, mode="r", pivoting=True)[1][: shape.dimensions]
    found = set()
    for chosen in _likely_frames(points[:, frame], shape):
        rotation = _procrustes(points[:, frame], shape.corners[:, chosen])
        found.add(tuple(_alternate(points, shape.corners, rotation).tolist()))
    return np.array(sorted(found), dtype=np.intp)


def _likely_frames(frame: Floats, shape: Shape) -> Integers:
    """Return the ordered choices of corners whose angles are most like those of the frame."""
    k, d = shape.corners.shape[1], shape.dimensions
    chosen = np.array(list(permutations(range(k), d)), dtype=np.intp)
    grams = shape.gram[chosen[:, :, np.newaxis], chosen[:, np.newaxis, :]]
    mismatch = np.square(grams - frame.T @ frame).sum(axis=(1, 2))
    return np.asarray(chosen[mismatch.argsort(kind="stable")[:_FRAMES]])


def _alternate(points: Floats, corners: Floats, rotation: Floats) -> Integers:
    order = np.empty(0, dtype=np.intp)
    for _ in range(_STEPS):
        # Of unit vectors, the nearest are those with the largest product.
        improved = linear_sum_assignment((rotation @ points).T @ corners, maximize=True)[1]
        if np.array_equal(improved, order):
            break
        order = improved
        rotation = _procrustes(points, corners[:, order])
    return order


def _procrustes(points: Floats, targets: Floats) -> Floats:
    """Return the orthogonal map that takes points nearest to targets."""
    left, _, right = np.linalg.svd(targets @ points.T)
    return np.asarray(left @ right)
