"""The neurons of two-layer models: for how many features each works, and who disturbs whom."""

from __future__ import annotations

from itertools import combinations
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "LIVE", "MONOSEMANTIC", "Motifs", "computed_features", "find_motifs", "monosemantic_share",
    "neuron_sizes", "top_shares",
]  # fmt: skip

LIVE: Final = 0.25
"""Size of a neuron, ‖W_a‖ ‖V_a‖, above which it is live; a tied one is then longer than 1/2."""

MONOSEMANTIC: Final = 0.9
"""Share of the squared weight of a row from which on one feature has the neuron for itself."""

_COMPUTED: Final = 0.5
_SERVED: Final = 0.25
_ASYMMETRIC: Final = 4.0
_INHIBITED: Final = 0.5

Floats = NDArray[np.float64]


class Motifs(NamedTuple):
    """How often two features share a neuron, and how.

    Attributes
    ----------
    shared : int
        Pairs of features that share a neuron, over all neurons.
    asymmetric : int
        Those in which one disturbs the other much more than the other way round.
    inhibited : int
        Those of the asymmetric ones whose greater disturbance other neurons take away.
    """

    shared: int
    asymmetric: int
    inhibited: int


def neuron_sizes(W: ArrayLike, V: ArrayLike) -> Floats:
    """Return ‖W_a‖ ‖V_a‖ of every neuron, which no rescaling of ReLU neurons changes.

    Parameters
    ----------
    W : array_like, shape (..., m, n)
    V : array_like, shape (..., n, m)

    Returns
    -------
    ndarray, shape (..., m)
    """
    rows, columns = np.linalg.norm(W, axis=-1), np.linalg.norm(V, axis=-2)
    return np.asarray(rows * columns)


def top_shares(W: ArrayLike) -> Floats:
    """Return the share that the greatest weight of every row has of its squares, shape (..., m).

    Examples
    --------
    >>> top_shares([[3, 0], [1, -1]])
    array([1. , 0.5])
    """
    squares = np.asarray(W, dtype=np.float64) ** 2
    total = squares.sum(axis=-1)
    return np.asarray(squares.max(axis=-1) / np.where(total > 0, total, 1.0))


def monosemantic_share(W: ArrayLike, V: ArrayLike) -> Floats:
    """Return which share of the live neurons is monosemantic, shape (...); NaN if none is live.

    Examples
    --------
    >>> W = [[1, 0, 0], [0, 1, 1], [0.1, 0, 0]]
    >>> float(monosemantic_share(W, np.transpose(W)))  # the third is not live
    0.5
    """
    live = neuron_sizes(W, V) > LIVE
    count = live.sum(axis=-1)
    single = (live & (top_shares(W) >= MONOSEMANTIC)).sum(axis=-1)
    return np.asarray(np.where(count > 0, single / np.maximum(count, 1), np.nan))


def computed_features(W: ArrayLike, V: ArrayLike) -> NDArray[np.bool_]:
    """Return which features are answered with a slope of at least 1/2 for both signs.

    Each feature alone is on, and biases are left out: the slope is Σ_a V_ia ReLU(±W_ai).

    Parameters
    ----------
    W : array_like, shape (..., m, n)
    V : array_like, shape (..., n, m)

    Returns
    -------
    ndarray of bool, shape (..., n)

    Examples
    --------
    >>> computed_features([[1, 1], [-1, 0]], [[1, 1], [1, 0]])
    array([ True, False])
    """
    encoder, decoder = np.asarray(W, dtype=np.float64), np.asarray(V, dtype=np.float64)
    slopes = [
        np.einsum("...ia,...ai->...i", decoder, np.maximum(sign * encoder, 0)) for sign in (1, -1)
    ]
    return np.asarray(np.minimum(*slopes) >= _COMPUTED)


def find_motifs(W: ArrayLike, V: ArrayLike) -> Motifs:
    """Count pairs of features that share a neuron, and the asymmetric and inhibited among them.

    A neuron a serves feature i where |W_ai| V_ia ≥ 1/4. Feature i disturbs feature j through it by
    |W_ai| V_ja; a pair is asymmetric where the two disturbances differ by a factor of at least 4.
    It is inhibited where neurons c ≠ a that are on with the disturbing feature change the output
    that is disturbed by at most −1/2 of the disturbance: Σ_c ReLU(± W_ci) min(V_jc, 0), with the
    sign of W_ai.

    Parameters
    ----------
    W : array_like, shape (m, n)
    V : array_like, shape (n, m)

    Examples
    --------
    Feature 0 enters the first neuron strongly and leaves it weakly; the second inhibits feature 1.

    >>> find_motifs([[2, 0.5], [2, 0]], [[0.5, 0], [2, -2]])
    Motifs(shared=1, asymmetric=1, inhibited=1)
    """
    encoder, decoder = np.asarray(W, dtype=np.float64), np.asarray(V, dtype=np.float64)
    pairs = [
        (neuron, pair)
        for neuron, served in enumerate(abs(encoder) * decoder.T >= _SERVED)
        for pair in combinations(np.flatnonzero(served).tolist(), 2)
    ]
    found = [_kind(encoder, decoder, neuron, *pair) for neuron, pair in pairs]
    return Motifs(len(found), sum(a for a, _ in found), sum(a and i for a, i in found))


def _kind(W: Floats, V: Floats, neuron: int, i: int, j: int) -> tuple[bool, bool]:
    """Return whether a pair is asymmetric, and whether its greater disturbance is inhibited."""
    weaker, greater = sorted(
        (abs(W[neuron, by]) * V[of, neuron], by, of) for by, of in ((i, j), (j, i))
    )
    disturbance, by, of = greater
    on = np.maximum(np.sign(W[neuron, by]) * W[:, by], 0)
    # The neuron itself serves the disturbed feature: its weight there is positive.
    taken = -float(on @ np.minimum(V[of], 0))
    asymmetric = disturbance >= _ASYMMETRIC * weaker[0]
    return bool(asymmetric), bool(taken >= _INHIBITED * disturbance)
