"""Split features into groups that share no dimensions, by a tolerance that the weights give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.special import ndtri

from .shapes import MOST_CORNERS

__all__ = [
    "SMALLEST_COUPLING",
    "Separation",
    "cosines",
    "largest_noise",
    "length_cut",
    "numerical_rank",
    "separations",
]

Floats = NDArray[np.float64]

SMALLEST_COUPLING: Final = 0.25
"""|cos| at which every shape but large simplices hangs together.

A shape falls apart when all couplings up to the weakest link of its maximum spanning tree are cut:
1/4 for five corners of a simplex, 1/3 for the tetrahedron and the cube, 1/2 for the triangle, 0.78
and more for pentagon and square antiprism. Not all of its couplings are that strong: 0.138 in the
antiprism.
"""

_MISTAKES: Final = 0.01
_ROUNDING: Final = 1e-9
_NEGLIGIBLE: Final = 1e-6
_GAP: Final = 0.5
_SHORTEST, _LONGEST_CUT = 0.1, 0.5


@dataclass(frozen=True)
class Separation:
    """Groups of features, and the scale that separates them.

    Attributes
    ----------
    groups : tuple of tuple of int
        Ordered by their first features.
    tolerance : float
        Features are joined where ``|cos|`` exceeds it.
    cross_talk : float
        Root mean square cosine between features of different groups; 0 if there is one group.
    strongest : float
        Largest ``|cos|`` between features of different groups; 0 if there is one group.
    """

    groups: tuple[tuple[int, ...], ...]
    tolerance: float
    cross_talk: float
    strongest: float

    @property
    def weakest_simplex(self) -> float:
        """|cos| that the couplings of a large simplex need, to be told from those left out."""
        return self.strongest / _GAP


def cosines(units: Floats) -> Floats:
    """Return the cosines between unit columns (m, k), with ones on the diagonal."""
    gram = np.asarray(units.T @ units)
    np.fill_diagonal(gram, 1.0)
    return gram


def largest_noise(cross_talk: float, shape: tuple[int, ...]) -> float:
    """Return the largest singular value of a matrix (m, k) of noise as strong as the cross-talk."""
    # A cosine takes noise from both of its unit vectors.
    per_entry = cross_talk / np.sqrt(2)
    return float(max(per_entry * (np.sqrt(shape[0]) + np.sqrt(shape[1])), _NEGLIGIBLE))


def numerical_rank(units: Floats, noise: float) -> int:
    """Return how many singular values of unit columns exceed the noise, at least one of any."""
    if not units.size:
        return 0
    # The largest is not below 1, the length of a column, however strong the noise is.
    return max(int((np.linalg.svd(units, compute_uv=False) > noise).sum()), 1)


def length_cut(lengths: Floats) -> float:
    """Return the length that separates represented features from dropped ones.

    It lies in the middle, on a logarithmic scale, of the widest gap between lengths from a tenth
    to a half of the longest; what is shorter or longer than these is clear without it.

    Examples
    --------
    >>> round(length_cut(np.array([1.0, 0.4, 0.01])), 3)
    0.2
    """
    longest = lengths.max(initial=0.0)
    if longest == 0.0:
        return 0.0
    relative = lengths / longest
    between = relative[(relative > _SHORTEST) & (relative < _LONGEST_CUT)]
    marks = np.log(np.sort([_SHORTEST, *between, _LONGEST_CUT]))
    widest = np.diff(marks).argmax()
    return float(np.exp(0.5 * (marks[widest] + marks[widest + 1])) * longest)


def separations(units: Floats, tolerance: float | None = None) -> Iterator[Separation]:
    """Split features into groups that are joined by couplings above a tolerance.

    The tolerance comes from the weights. Cosines between features of different groups are noise,
    of scale σ. At z σ, with z the normal quantile for one mistake in a hundred among all pairs,
    noise joins no groups; at `SMALLEST_COUPLING` every shape but simplices of five and more corners
    hangs together. The tolerance is the geometric mean of the two, and `SMALLEST_COUPLING` where noise
    reaches it. As σ and the groups depend on each other, the rule is repeated from the largest
    tolerance downwards until the groups stay.

    If the caller finds no names for these groups, there is a second way to see them: they are
    joined, the strongest coupling first, until they have no more dimensions one by one than
    together, and what is left is at most half as strong as what was joined. So are simplices of
    five and more corners found. There is none if that takes more than `MOST_CORNERS` features.

    Parameters
    ----------
    units : ndarray of float64, shape (m, k)
        Unit columns.
    tolerance : float, optional
        None derives it; there is one way to separate at a given one.

    Yields
    ------
    Separation

    Notes
    -----
    The projection W⁺W onto the rows of W, block-diagonal for any direct sum, could stand in place
    of the cosines. It separates the same groups in trained models, and in noisy direct sums up to
    the noise at which names are refused; beyond, it does better. But it is the identity for any
    k ≤ m independent features, however far they are from orthogonal.

    Examples
    --------
    >>> W = np.array([[1.0, -1, 0.02], [0, 0, 1]])
    >>> found = next(separations(W / np.linalg.norm(W, axis=0)))
    >>> found.groups, round(found.tolerance, 2)
    (((0, 1), (2,)), 0.12)
    """
    gram = cosines(units)
    if tolerance is not None:
        yield _cut(gram, tolerance)
        return
    settled = _settle(gram)
    yield settled
    joined = _join(units, gram, settled)
    if joined is not None:
        yield joined


def _settle(gram: Floats) -> Separation:
    """Lower the tolerance until groups and noise agree."""
    found = _cut(gram, SMALLEST_COUPLING)
    while True:  # groups can only merge, so this ends
        lower = _between(found.cross_talk, len(gram))
        if lower >= found.tolerance:
            return found
        merged = _cut(gram, lower)
        if merged.groups == found.groups:
            return merged
        found = merged


def _join(units: Floats, gram: Floats, found: Separation) -> Separation | None:
    """Join groups until they are a direct sum, with a gap between couplings and the rest."""
    links = _links(gram)
    for strongest, left in pairwise([*links[links <= found.tolerance], 0.0]):
        least = max(left, _ROUNDING)
        # Without a gap, a corner of a simplex that noise has moved would be left by itself.
        if strongest <= _ROUNDING or least > _GAP * strongest:
            continue
        joined = _cut(gram, np.sqrt(least * strongest))
        if max(map(len, joined.groups)) > MOST_CORNERS:
            break
        if not _overlap(units, joined):
            return joined
    return None


def _links(gram: Floats) -> Floats:
    """Return the couplings at which groups are joined as the tolerance falls, strongest first."""
    if len(gram) < 2:
        return np.zeros(0)
    # Of 2 − |cos| the minimum spanning tree is the maximum spanning tree of |cos|.
    return np.sort(2.0 - minimum_spanning_tree(2.0 - np.abs(gram)).data)[::-1]


def _overlap(units: Floats, found: Separation) -> bool:
    noise = largest_noise(found.cross_talk, units.shape)
    ranks = (numerical_rank(units[:, list(group)], noise) for group in found.groups)
    return sum(ranks) > numerical_rank(units, noise)


def _between(cross_talk: float, count: int) -> float:
    pairs = max(count * (count - 1) // 2, 1)
    noise = max(-ndtri(_MISTAKES / (2 * pairs)) * cross_talk, _ROUNDING)
    return float(min(np.sqrt(noise * SMALLEST_COUPLING), SMALLEST_COUPLING))


def _cut(gram: Floats, tolerance: float) -> Separation:
    labels = connected_components(np.abs(gram) > tolerance, directed=False)[1]
    groups = [tuple(np.flatnonzero(labels == label).tolist()) for label in np.unique(labels)]
    found = Separation(tuple(sorted(groups)), float(tolerance), 0.0, 0.0)
    across = _across(gram, found)
    mean = float(np.sqrt(np.square(across).mean())) if across.size else 0.0
    return replace(found, cross_talk=mean, strongest=float(across.max(initial=0.0)))


def _across(gram: Floats, found: Separation) -> Floats:
    """Return |cos| of all pairs of features of different groups."""
    labels = np.empty(len(gram), dtype=np.int64)
    for label, group in enumerate(found.groups):
        labels[list(group)] = label
    return np.asarray(np.abs(gram[labels[:, np.newaxis] != labels]))
