"""Name the phase of given weights: which features are represented, and how they share dimensions.

The rule, for weights W and biases b. Lengths ρ_i = ‖W_i‖ are relative to the longest column.

1. A feature is *represented* if ρ_i ≥ 0.1 and its output is not dead (zero for every input).
   Fewer represented features than hidden dimensions: "unrepresented".
2. Two represented features are *linked* if ``|cos(W_i, W_j)| ≥ 1/4``. A
   feature whose strongest link is positive: "aligned".
3. Features form groups through their links. A single feature is dedicated. A pair is antipodal if
   the shorter is at least 0.6 of the longer; a more uneven pair: "partial superposition".
   All features in one group of n_hidden + 1: "simplex" (a triangle for n_hidden = 2).
4. Dedicated features and antipodal pairs only: the candidate of the theory with as many pairs in
   which the last feature has the same part. Anything else: "other".

Some laws of the inputs make "aligned" and antipodal weights one model. Where every feature is on,
with a value u that has the law of 1 − u, flipping the sign of columns of W, with a shift of the
biases, changes nothing; where values are symmetric, flipping alone changes nothing at any density.
Among the flipped copies the phase that is named first counts.

The numbers are not tuned to make maps agree. Wherever the antipodal pair of (2, 1) ends, for r
from 0.1 to 10, the ratio of lengths jumps over 0.6: from 0.62 or more to 0.56 or less (measured
by `tests/validation/test_phases.py`). Where the short column vanishes
(continuously for r from about 0.574 to 0.896, and with a small jump nearer to 1) any threshold is a
convention, and 0.1 is below what the sources call absent.
"""

from __future__ import annotations

from collections import Counter
from itertools import product
from math import comb

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..features import FeatureDistribution, check_features
from ..model import check_activation
from ..numerics import is_dead
from ..theory import Configuration, candidates
from ..values import ValueDistribution

REPRESENTED = 0.1
LINKED = 0.25
BALANCED = 0.6

PARTIAL = "partial superposition"
SIMPLEX = "simplex"
ALIGNED = "aligned"
UNREPRESENTED = "unrepresented"
OTHER = "other"

Floats = NDArray[np.float64]
Codes = NDArray[np.int8]
Pattern = tuple[int, str]


def phase_names(n_features: int, n_hidden: int) -> tuple[str, ...]:
    """Names of all phases; the code of a phase is its place in this tuple.

    The candidates of the theory come first, in their order.

    Examples
    --------
    >>> phase_names(2, 1)[3:]
    ('partial superposition', 'aligned', 'unrepresented', 'other')
    """
    theory = tuple(candidate.name for candidate in candidates(n_features, n_hidden))
    simplex = (SIMPLEX,) if n_features > n_hidden >= 2 else ()
    return (*theory, PARTIAL, *simplex, ALIGNED, UNREPRESENTED, OTHER)


def _groups(linked: NDArray[np.bool_], members: list[int]) -> list[list[int]]:
    """Split `members` into groups connected by links."""
    groups = []
    left = set(members)
    while left:
        group, frontier = set(), {min(left)}
        while frontier:
            group |= frontier
            frontier = {j for i in frontier for j in left if linked[i, j]} - group
        groups.append(sorted(group))
        left -= group
    return groups


def _describe(W: Floats, dead: NDArray[np.bool_]) -> str | Pattern:
    """Return the name of a phase, or the pattern by which to find the candidate."""
    m, n = W.shape
    length = np.linalg.norm(W, axis=0)
    longest = length.max()
    if not longest > 0.0:
        return UNREPRESENTED
    represented = [i for i in range(n) if length[i] >= REPRESENTED * longest and not dead[i]]
    if len(represented) < m:
        return UNREPRESENTED
    gram = W.T @ W
    cosine = gram / np.maximum(np.outer(length, length), np.finfo(float).tiny)
    linked = np.abs(cosine) >= LINKED
    for i in represented:
        links = [cosine[i, j] for j in represented if j != i and linked[i, j]]
        if links and max(links, key=abs) > 0:
            return ALIGNED
    groups = _groups(linked, represented)
    sizes = Counter(len(group) for group in groups)
    if len(groups) == 1 and len(groups[0]) == m + 1 and m >= 2:
        return SIMPLEX
    if set(sizes) - {1, 2}:
        return OTHER
    if any(length[pair].min() < BALANCED * length[pair].max() for pair in groups):
        return PARTIAL
    last = n - 1
    part = "dropped"
    for group in groups:
        if last in group:
            part = "dedicated" if len(group) == 1 else "paired"
    return sizes[2], part


def _pattern(configuration: Configuration) -> Pattern:
    W = configuration.W_array()
    described = _describe(W, np.zeros(W.shape[1], dtype=bool))
    if isinstance(described, str):
        raise ValueError(f"candidate {configuration.name!r} has no pattern, but {described!r}")
    return described


def flip_columns(W: Floats, b: Floats, signs: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Flip the signs of columns of W so that the loss at density 1 stays what it is.

    Replacing x_j by 1 − x_j in the outputs i ≠ j undoes the flip of column j up to a constant,
    which the bias takes: b_i + G_ij for i ≠ j, and for output j, in which all others are
    replaced, b_j + Σ_{k≠j} G_jk. Parameters are W (..., m, n), b (..., n) and n signs ±1.

    Examples
    --------
    >>> flip_columns(np.array([[1.0, -0.5]]), np.array([0.25, 0.5]), (1, -1))
    (array([[1. , 0.5]]), array([-0.25,  0.  ]))
    """
    for j, sign in enumerate(signs):
        if sign < 0:
            coupling = np.swapaxes(W, -1, -2) @ W
            shift = coupling[..., :, j].copy()
            shift[..., j] = coupling[..., j, :].sum(axis=-1) - coupling[..., j, j]
            flip = np.ones(W.shape[-1])
            flip[j] = -1.0
            W, b = W * flip, b + shift
    return W, b


def _same_reversed(values: ValueDistribution) -> bool:
    """Tell whether u and 1 − u have one law: p(u) = p(1 − u), compared coefficient by coefficient."""
    p = values.coefficients
    reversed_p = [
        (-1) ** k * sum(comb(j, k) * p[j] for j in range(k, len(p))) for k in range(len(p))
    ]
    return not values.symmetric and list(p) == reversed_p


def classify(
    W: ArrayLike,
    b: ArrayLike,
    density: ArrayLike = 0.0,
    *,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
) -> Codes:
    """Return the phase code of each model; the rule stands at the top of this module.

    Parameters
    ----------
    W : array_like, shape (..., n_hidden, n_features)
    b : array_like, shape (..., n_features)
    density : array_like, shape (...)
        Only whether it is 1 matters.
    activation : {"relu", "linear"}
        Without activation no output is dead.
    features : feature distribution, optional
        None is `Independent`, with values uniform on [0, 1].

    Returns
    -------
    ndarray of int8, shape (...)
        Places in `phase_names(n_features, n_hidden)`. Weights that are not finite are "other".

    Examples
    --------
    >>> names = phase_names(2, 1)
    >>> [names[code] for code in classify([[[1, 0]], [[0.9, -1]], [[1, -0.4]]], np.zeros((3, 2)))]
    ['ignore last', 'superpose both', 'partial superposition']
    """
    W = np.asarray(W, dtype=np.float64)
    b = np.asarray(b, dtype=np.float64)
    features = check_features(features)
    outputs = features if check_activation(activation) == "relu" else None
    n = W.shape[-1]
    codes = _classify(W, b, outputs)
    if features.values.symmetric:
        free = np.ones(codes.shape, dtype=bool)
    else:
        free = np.broadcast_to(np.asarray(density) == 1.0, codes.shape)
        free = free & _same_reversed(features.values)
    if free.any():
        free_W = np.broadcast_to(W, (*codes.shape, *W.shape[-2:]))[free]
        free_b = np.broadcast_to(b, (*codes.shape, n))[free]
        copies = []
        for signs in product((1, -1), repeat=n - 1):
            flipped = flip_columns(free_W, free_b, (1, *signs))
            # Symmetric values need no shift of the biases.
            bias = free_b if features.values.symmetric else flipped[1]
            copies.append(_classify(flipped[0], bias, outputs))
        codes[free] = np.min(copies, axis=0)
    return codes


def _classify(W: Floats, b: Floats, outputs: FeatureDistribution | None) -> Codes:
    """Name weights as they stand; `outputs` is the law of the inputs where a ReLU cuts outputs."""
    m, n = W.shape[-2:]
    names = phase_names(n, m)
    patterns = {_pattern(candidate): candidate.name for candidate in candidates(n, m)}
    shape = np.broadcast_shapes(W.shape[:-2], b.shape[:-1])
    rows_W = np.broadcast_to(W, (*shape, m, n)).reshape(-1, m, n)
    dead = np.zeros(n, dtype=bool) if outputs is None else is_dead(W, b, outputs)
    rows_dead = np.broadcast_to(dead, (*shape, n)).reshape(-1, n)
    codes = np.empty(len(rows_W), dtype=np.int8)
    for k, (weights, dead) in enumerate(zip(rows_W, rows_dead, strict=True)):
        if not np.isfinite(weights).all():
            name = OTHER
        else:
            described = _describe(weights, dead)
            name = described if isinstance(described, str) else patterns.get(described, OTHER)
        codes[k] = names.index(name)
    return codes.reshape(shape)
