r"""Where a share of models changes from 0 to 1 along an axis, with an interval.

Model: at position x a model is on the far side with probability

.. math::  p(x) = ε + (1 − λ − ε) / (1 + \exp(−(x − μ)/τ)),

independently of all others. μ is the location that is sought, τ > 0 the width of the transition,
λ the share of models that stay behind for good, in another local minimum, and ε = 0.01 stands for
accidents. Without λ, models that stay behind far from the boundary would stretch the transition
and move it.

The likelihood is computed for all (μ, τ, λ) of a grid: one product of matrices, for as many data
sets as one likes. Nothing is iterated, so that nothing diverges where the sides separate
completely. There every μ between two positions is equally likely, and the estimate of a data set
is a *set*: all μ whose likelihood, maximized over τ and λ, is the greatest. Ends of sets are
rounded outward. The bootstrap takes the lower ends for its lower limit and the upper ends for
its upper one. A bootstrap of single points would have no width where the sides separate.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Transition", "fit_transition", "simulated_counts"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

ACCIDENTS: Final = 0.01
_PER_GAP = 10  # values of μ between two positions
_WIDTHS = 13
_STEPS: Final = np.array([0.005, 0.05])  # widths over the least gap that are all but a step
_RESOLVED = 0.15  # the same; from here on positions tell widths apart
_LAPSES: Final = np.array([ACCIDENTS, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5])
_AS_LIKELY = 0.1  # in log likelihood; the grid is not finer
_CELLS = 4_000_000  # data sets times hypotheses that are held at once


@dataclass(frozen=True)
class Transition:
    """Location of a transition, of one data set or of many.

    Attributes
    ----------
    location : ndarray, shape (...)
        Middle of the most likely μ. NaN where all models are on one side.
    low, high : ndarray, shape (...)
        Bootstrap interval.
    width : ndarray, shape (...)
        Most likely τ; of no meaning below a third of the distance of two positions.
    stay_behind : ndarray, shape (...)
        Most likely λ, of a few values.
    """

    location: Floats
    low: Floats
    high: Floats
    width: Floats
    stay_behind: Floats


@dataclass(frozen=True)
class _Hypotheses:
    """All (μ, τ, λ), and the logarithms of p and 1 − p for them, at every position."""

    location: Floats
    width: Floats
    far: Floats
    near: Floats

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.location), len(self.width), len(_LAPSES)


@dataclass(frozen=True)
class _Sets:
    """The most likely μ of data sets, from `first` to `last`, with τ and λ at the likeliest."""

    first: Floats
    last: Floats
    width: Floats
    stay_behind: Floats


def far_share(x: Floats, location: Floats, width: Floats, stay_behind: Floats) -> Floats:
    """Return p(x), the probability of the far side; arguments broadcast."""
    # tanh does not overflow where exp does.
    logistic = 0.5 + 0.5 * np.tanh((x - location) / (2 * width))
    return ACCIDENTS + (1 - stay_behind - ACCIDENTS) * logistic


def _hypotheses(x: Floats) -> _Hypotheses:
    gaps = np.diff(x)
    inner = [np.linspace(a, z, _PER_GAP, endpoint=False) for a, z in pairwise(x)]
    location = np.concatenate([*inner, x[-1:]])
    resolved = np.geomspace(_RESOLVED * gaps.min(), 0.5 * np.ptp(x), _WIDTHS)
    width = np.concatenate([_STEPS * gaps.min(), resolved])
    p = far_share(x, location[:, None, None, None], width[:, None, None], _LAPSES[:, None])
    rows = p.reshape(-1, len(x)).T
    return _Hypotheses(location, width, np.log(rows), np.log1p(-rows))


def _most_likely(known: _Hypotheses, far: Integers, trials: Integers) -> _Sets:
    """Return the sets of data sets; counts have shape (data sets, positions)."""
    rows = max(1, _CELLS // known.far.shape[1])
    blocks = range(0, len(far), rows)
    parts = [_block(known, far[k : k + rows], trials[k : k + rows]) for k in blocks]
    return _Sets(*np.concatenate(parts, axis=1))


def _block(known: _Hypotheses, far: Integers, trials: Integers) -> Floats:
    likelihood = far @ known.far + (trials - far) @ known.near
    best = likelihood.argmax(axis=1)
    profile = likelihood.reshape(len(far), len(known.location), -1).max(axis=2)
    likely = profile >= profile.max(axis=1, keepdims=True) - _AS_LIKELY
    end = len(known.location) - 1
    first = np.maximum(likely.argmax(axis=1) - 1, 0)
    last = np.minimum(end - likely[:, ::-1].argmax(axis=1) + 1, end)
    _, width, behind = np.unravel_index(best, known.shape)
    return np.stack(
        [known.location[first], known.location[last], known.width[width], _LAPSES[behind]]
    )


def _check(
    x: ArrayLike, far: ArrayLike, trials: ArrayLike, level: float
) -> tuple[Floats, Integers, Integers]:
    position, counts, total = np.asarray(x, dtype=np.float64), np.asarray(far), np.asarray(trials)
    if position.ndim != 1 or len(position) < 3 or not (np.diff(position) > 0).all():
        raise ValueError(f"x must be at least 3 increasing positions, got {x!r}")
    counts, total = np.broadcast_arrays(counts, total)
    if counts.ndim == 0 or counts.shape[-1] != len(position):
        raise ValueError(
            f"far and trials must have one entry per position along the last axis, "
            f"got shape {counts.shape} for {len(position)} positions"
        )
    whole = counts.dtype.kind in "iu" and total.dtype.kind in "iu"
    if not whole or (counts < 0).any() or (counts > total).any():
        raise ValueError("far must be integers from 0 to trials; count models, do not average them")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}; the default is 0.95")
    return position, counts.astype(np.int64), total.astype(np.int64)


def fit_transition(
    x: ArrayLike,
    far: ArrayLike,
    trials: ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 200,
    seed: int = 0,
) -> Transition:
    """Locate where models change sides along an axis.

    Parameters
    ----------
    x : array_like, shape (k,)
        Increasing positions, such as log r.
    far, trials : array_like of int, shape (..., k)
        How many models there are at each position, and how many of them are on the far side. A
        position may have none.
    level : float
        Of the intervals.
    resamples : int
        Data sets of the bootstrap, at least 1.
    seed : int
        Of the bootstrap.

    Returns
    -------
    Transition
        With entries of shape (...).

    Raises
    ------
    ValueError
        If positions do not increase, counts are no counts, or a value is out of range.

    Notes
    -----
    The location is taken to lie between the first and the last position, and the far side to be
    that of large x; where models move the other way, give −x.

    Examples
    --------
    >>> found = fit_transition([0, 1, 2, 3, 4], [0, 0, 3, 10, 9], 10)
    >>> bool(found.low < 2 < found.high), bool(2 < found.location < 3)
    (True, True)

    Where the sides separate, the interval is what lies between them:

    >>> found = fit_transition([0, 1, 2, 3], [0, 0, 10, 10], 10)
    >>> float(found.low), float(found.location), float(found.high)
    (1.0, 1.5, 2.0)
    """
    position, counts, total = _check(x, far, trials, level)
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    shape = counts.shape[:-1]
    counts, total = (values.reshape(-1, len(position)) for values in (counts, total))
    known = _hypotheses(position)
    found = _most_likely(known, counts, total)
    drawn = _resampled(known, counts, total, resamples, np.random.default_rng(seed))
    low = np.quantile(drawn.first.reshape(resamples, -1), (1 - level) / 2, axis=0)
    high = np.quantile(drawn.last.reshape(resamples, -1), (1 + level) / 2, axis=0)
    location = 0.5 * (found.first + found.last)
    mixed = (counts.sum(axis=-1) > 0) & (counts.sum(axis=-1) < total.sum(axis=-1))
    values = (location, low, high, found.width, found.stay_behind)
    return Transition(*(np.where(mixed, value, np.nan).reshape(shape) for value in values))


def _resampled(
    known: _Hypotheses, far: Integers, trials: Integers, resamples: int, rng: np.random.Generator
) -> _Sets:
    """Return the sets of resampled data sets, all of the first draw before those of the second.

    Drawing n of n models with replacement, of which k are far, makes a binomial number of far ones.
    """
    share = far / np.maximum(trials, 1)
    draws = rng.binomial(trials, share, size=(resamples, *far.shape))
    everyone = np.broadcast_to(trials, draws.shape)
    positions = far.shape[-1]
    return _most_likely(known, draws.reshape(-1, positions), everyone.reshape(-1, positions))


def simulated_counts(
    x: ArrayLike,
    *,
    location: ArrayLike,
    width: ArrayLike,
    stay_behind: ArrayLike = 0.0,
    trials: int,
    seed: int,
) -> Integers:
    """Draw counts of the far side from the model, to measure how often intervals cover.

    Parameters
    ----------
    x : array_like, shape (k,)
    location, width, stay_behind : array_like, shape (...)
        μ, τ and λ of each data set.
    trials : int
        Models at each position.
    seed : int

    Returns
    -------
    ndarray of int, shape (..., k)

    Examples
    --------
    >>> simulated_counts([0, 1, 2], location=[0.5], width=[0.01], trials=4, seed=1).tolist()
    [[0, 4, 4]]
    """
    position = np.asarray(x, dtype=np.float64)
    mu, tau, behind = (
        np.asarray(value, dtype=np.float64)[..., np.newaxis]
        for value in (location, width, stay_behind)
    )
    p = far_share(position, mu, tau, behind)
    return np.random.default_rng(seed).binomial(trials, p).astype(np.int64)
