"""Basins: with which probability gradient flow and training reach each minimum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from ...features import FeatureDistribution, check_features
from ..arguments import Floats, broadcast_parameters
from ..minima.descent import Descent
from ..minima.multistart import Minimum, distinct_minima, is_dead
from ..training.protocols import Protocol
from .basin_routes import BasinEnds, basin_ends

__all__ = [
    "BASINS",
    "Basin",
    "BasinEnds",
    "BasinProbabilities",
    "basin_ends",
    "basin_of",
    "basin_probabilities",
    "wilson_interval",
]

BASINS: Final = (
    "opposite signs",
    "same sign",
    "first only",
    "second only",
    "dead output",
    "no feature",
)
"""What a minimum of two features in one dimension is; `basin_of` returns places in this tuple."""

_ZERO_WEIGHT = 1e-3  # share of the longer weight; descents to flat minima end within about 1e-4


def wilson_interval(
    count: ArrayLike, total: ArrayLike, confidence: float = 0.95
) -> tuple[Floats, Floats]:
    """Return the Wilson score interval of a probability.

    Parameters
    ----------
    count, total : array_like of int
        Successes and trials; they broadcast.
    confidence : float
        In (0, 1).

    Returns
    -------
    low, high : ndarray
        Wilson 1927: the probabilities that `count` does not reject at this confidence, in the
        normal approximation. Never empty, also for counts of 0 and of `total`.

    Raises
    ------
    ValueError
        If a count is negative or above its total, a total is below 1, or the confidence is not
        in (0, 1).

    Examples
    --------
    >>> low, high = wilson_interval(5, 10)
    >>> print(f"{low:.3f} {high:.3f}")
    0.237 0.763
    """
    count, total = np.asarray(count, dtype=np.float64), np.asarray(total, dtype=np.float64)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence!r}")
    if (total < 1).any() or (count < 0).any() or (count > total).any():
        raise ValueError(f"counts must be between 0 and a total of at least 1, got {count}/{total}")
    z2 = float(special.ndtri(0.5 + 0.5 * confidence)) ** 2
    share = count / total
    middle = (share + 0.5 * z2 / total) / (1 + z2 / total)
    half = np.sqrt(z2 * (share * (1 - share) + 0.25 * z2 / total) / total) / (1 + z2 / total)
    return np.maximum(middle - half, 0.0), np.minimum(middle + half, 1.0)


def basin_of(
    W: ArrayLike, b: ArrayLike, features: FeatureDistribution | None = None
) -> NDArray[np.int64]:
    """Name the minimum that a model of two features in one dimension is in.

    Parameters
    ----------
    W : array_like, shape (..., 1, 2)
    b : array_like, shape (..., 2)
    features : feature distribution, optional
        None is `Independent`.

    Returns
    -------
    ndarray of int, shape (...)
        Places in `BASINS`. A weight counts as zero below a thousandth of the other. "dead output"
        goes first: an output is zero for all inputs, and no gradient revives it.

    Raises
    ------
    ValueError
        If the shapes are not those of two features in one dimension.

    Examples
    --------
    >>> [BASINS[k] for k in basin_of([[[1, -1]], [[1, 0]]], [[0, 0], [0, 0.2]])]
    ['opposite signs', 'first only']
    """
    W, b = np.asarray(W, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if W.shape[-2:] != (1, 2) or b.shape[-1:] != (2,):
        raise ValueError(
            f"basins have names for W of shape (..., 1, 2) and b (..., 2), got {W.shape} and "
            f"{b.shape}; for other sizes compare losses"
        )
    first, second = abs(W[..., 0, 0]), abs(W[..., 0, 1])
    conditions = (
        is_dead(W, b, features).any(axis=-1),
        np.maximum(first, second) < _ZERO_WEIGHT,
        second < _ZERO_WEIGHT * first,
        first < _ZERO_WEIGHT * second,
        W.prod(axis=(-2, -1)) < 0,
    )
    names = ("dead output", "no feature", "first only", "second only", "opposite signs")
    codes = [BASINS.index(name) for name in names]
    return np.select(conditions, codes, BASINS.index("same sign")).astype(np.int64)


@dataclass(frozen=True)
class Basin:
    """A stationary point, and the probability that a start ends there.

    Attributes
    ----------
    minimum : Minimum
        Its count is that of the starts.
    kind : str
        "minimum", "degenerate" or "saddle"; see `BasinEnds`.
    name : str
        One of `BASINS` for two features in one dimension, else empty.
    probability : float
        The share of the starts.
    interval : (float, float)
        Wilson score interval.
    """

    minimum: Minimum
    kind: str
    name: str
    probability: float
    interval: tuple[float, float]


@dataclass(frozen=True)
class BasinProbabilities:
    """The distinct minima that starts reach, lowest loss first.

    Attributes
    ----------
    basins : tuple of Basin
        Symmetric copies of a minimum are one, by the rules of `GlobalMinimum`.
    starts : int
    unsettled : int
        Starts whose minimum is not known; they are in no basin.
    optimum : float
        The lowest loss known, be it reached or not.
    """

    basins: tuple[Basin, ...]
    starts: int
    unsettled: int
    optimum: float


def basin_probabilities(
    n_features: int,
    n_hidden: int,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    scale: float = 1.0,
    route: Literal["flow"] | Protocol = "flow",
    sampled: bool = False,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: float = 0.0,
    starts: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> BasinProbabilities:
    """Estimate the probability of each minimum for one model, from W ~ N(0, scale²) and b = 0.

    Parameters are those of `basin_ends`; `confidence` is that of the intervals.

    Raises
    ------
    ValueError
        As `basin_ends` does, or if the arguments describe more than one model.

    Examples
    --------
    >>> found = basin_probabilities(2, 1, density=0.3, importance=[1, 1], starts=200)
    >>> [basin.name for basin in found.basins]
    ['opposite signs', 'same sign']
    """
    features = check_features(features)
    shape, densities, importances = broadcast_parameters(
        n_features, density, importance, np.shape(scale) + np.shape(penalty), features
    )
    if shape:
        raise ValueError(f"basin_probabilities takes one model, got a batch of shape {shape}")
    wilson_interval(0, 1, confidence)  # raises before the work
    ends = basin_ends(
        n_features, n_hidden, density=densities, importance=importances, scale=scale, route=route,
        sampled=sampled, activation=activation, features=features, penalty=penalty, starts=starts,
        seed=seed,
    )  # fmt: skip
    descent = _as_descent(ends)
    basins = []
    for minimum in distinct_minima(descent, densities, importances, activation, features):
        low, high = wilson_interval(minimum.count, starts, confidence)
        named = (n_features, n_hidden) == (2, 1)
        name = BASINS[int(basin_of(minimum.W, minimum.b, features))] if named else ""
        kind = str(ends.kind[(ends.W == minimum.W).all(axis=(-2, -1)).argmax()])
        share = minimum.count / starts
        basins.append(Basin(minimum, kind, name, share, (float(low), float(high))))
    unsettled = int((~ends.settled).sum())
    return BasinProbabilities(tuple(basins), starts, unsettled, float(ends.optimum))


def _as_descent(ends: BasinEnds) -> Descent:
    return Descent(
        W=ends.W,
        b=ends.b,
        loss=ends.loss,
        gradient_norm=ends.gradient_norm,
        converged=ends.settled,
        evaluations=np.zeros(ends.loss.shape, dtype=np.int64),
    )
