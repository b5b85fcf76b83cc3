"""Tests of "this loss is what training reaches": null hypothesis, statistic, power.

The sample are the replicas of a point. Their losses are exact, so that no evaluation adds noise.

"The mean loss equals the optimum" is no hypothesis to test. It is known to be false, because no
replica is below the optimum and none is at it: with enough replicas it is always rejected, and with
few it is not, which shows nothing but that they are few. What can be shown is that losses are *near*
the prediction. So the null hypotheses here say that they are not, and a rejection is evidence for
the prediction.

The mean of the excess is not tested. Its law has a heavy tail: one replica in a hundred that is
stuck or not converged can carry the whole mean, a sample that happens to hold none of them has a
small spread, and Student's t then rejects nearly always. Instead:

`share_test`
    The share of replicas within a margin, by the binomial law. Exact, whatever the law of the
    losses; stuck and diverged replicas count, as outside.
`typical_excess_test`
    The geometric mean of the excess over the optimum, by Student's t on logarithms, for replicas in
    the optimum's basin. There the logarithm has light tails; how nearly the level is kept is a
    matter of measurement.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

__all__ = [
    "replicas_needed",
    "share_test",
    "share_test_power",
    "typical_excess_power",
    "typical_excess_test",
]

Floats = NDArray[np.float64]

_LEAST_EXCESS = 1e-15  # below the rounding of a quotient of two losses
_MOST_REPLICAS = 100_000


def _check_probability(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < 1:
            raise ValueError(f"{name} must lie between 0 and 1, got {value}")


def share_test(within: ArrayLike, *, share: float = 0.5) -> Floats:
    """Test whether more than a share of all replicas is within a margin.

    Null hypothesis: a replica is within with a probability of at most `share`.

    Parameters
    ----------
    within : array_like of bool, shape (..., replicas)
    share : float
        In (0, 1).

    Returns
    -------
    ndarray, shape (...)
        p-values: the probability, at the edge of the null hypothesis, of at least as many replicas
        within. The false-positive rate of rejecting at p ≤ α is at most α, exactly.

    Raises
    ------
    ValueError
        If `share` is out of range, or there is no replica.

    Examples
    --------
    >>> float(share_test([True] * 10))  # 2⁻¹⁰
    0.0009765625
    """
    _check_probability(share=share)
    inside = np.asarray(within, dtype=bool)
    if inside.ndim == 0 or inside.shape[-1] == 0:
        raise ValueError(f"within must have replicas along its last axis, got {inside.shape=}")
    return np.asarray(stats.binom.sf(inside.sum(axis=-1) - 1, inside.shape[-1], share))


def share_test_power(
    replicas: int, probability: float, *, share: float = 0.5, level: float = 0.05
) -> float:
    """Return the probability that `share_test` rejects at `level`.

    Parameters
    ----------
    replicas : int
    probability : float
        True probability of a replica to be within; at most `share` it gives the false-positive rate.
    share, level : float
        In (0, 1).

    Raises
    ------
    ValueError
        If a value is out of range.

    Examples
    --------
    >>> share_test_power(4, 0.99)  # four of four have p = 1/16
    0.0
    >>> round(share_test_power(10, 0.9), 3)
    0.736
    """
    _check_probability(share=share, level=level)
    if not 0 <= probability <= 1:
        raise ValueError(f"probability must lie in [0, 1], got {probability}")
    counts = np.arange(replicas + 1)
    rejected = stats.binom.sf(counts - 1, replicas, share) <= level
    return float(stats.binom.pmf(counts, replicas, probability)[rejected].sum())


def replicas_needed(
    probability: float,
    *,
    share: float = 0.5,
    level: float = 0.05,
    power: float = 0.8,
    tests: int = 1,
) -> int:
    """Return how many replicas a point needs for `share_test` to have a power.

    Parameters
    ----------
    probability : float
        True probability of a replica to be within, above `share`.
    share, level, power : float
        In (0, 1).
    tests : int
        Size of the family: a point is planned at `level` / `tests`, the strictest step of Holm's
        method.

    Raises
    ------
    ValueError
        If a value is out of range, or more than 100 000 replicas are needed.

    Examples
    --------
    >>> replicas_needed(0.9), replicas_needed(0.9, tests=576)
    (8, 29)
    """
    if not share < probability <= 1:
        raise ValueError(
            f"probability must lie above share={share} and at most 1, got {probability}"
        )
    # The power is a sawtooth in the number of replicas: doubling gives a bound, not the answer.
    upper = 1
    while share_test_power(upper, probability, share=share, level=level / tests) < power:
        upper *= 2
        if upper > _MOST_REPLICAS:
            raise ValueError(f"more than {_MOST_REPLICAS} replicas are needed; ask for less power")
    return next(
        count
        for count in range(1, upper + 1)
        if share_test_power(count, probability, share=share, level=level / tests) >= power
    )


def typical_excess_test(
    excess: ArrayLike, *, margin: float, counted: ArrayLike | None = None
) -> Floats:
    """Test whether the geometric mean of the excess is below a margin.

    Null hypothesis: it is at least `margin`, among the replicas that are counted.

    Parameters
    ----------
    excess : array_like, shape (..., replicas)
        Loss over optimum, minus 1; not negative up to rounding.
    margin : float
        Positive.
    counted : array_like of bool, shape (..., replicas), optional
        Which replicas are meant, such as those in the optimum's basin; all by default.

    Returns
    -------
    ndarray, shape (...)
        p-values of Student's one-sided t on the logarithms; 1 with fewer than two replicas.

    Raises
    ------
    ValueError
        If `margin` is not positive.

    Examples
    --------
    >>> bool(typical_excess_test([1e-4, 2e-4, 3e-4, 2e-4], margin=0.01) < 0.001)
    True
    """
    if not 0 < margin < math.inf:
        raise ValueError(f"margin must be positive, got {margin}; 0.01 is one percent")
    values = np.asarray(excess, dtype=np.float64)
    used = np.broadcast_to(True if counted is None else np.asarray(counted, bool), values.shape)
    used = used & np.isfinite(values)
    logs = np.log(np.maximum(np.where(used, values, 1.0), _LEAST_EXCESS))
    count, mean, variance = _moments(logs, used)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (math.log(margin) - mean) / np.sqrt(variance / count)
        p = stats.t.sf(t, np.maximum(count - 1, 1))
    return np.where((count > 1) & np.isfinite(p), p, 1.0)


def _moments(values: Floats, used: NDArray[np.bool_]) -> tuple[Floats, Floats, Floats]:
    """Return number, mean and unbiased variance of the used values along the last axis."""
    count = used.sum(axis=-1).astype(np.float64)
    mean = np.where(used, values, 0.0).sum(axis=-1) / np.maximum(count, 1)
    squares = np.where(used, (values - mean[..., np.newaxis]) ** 2, 0.0).sum(axis=-1)
    return count, mean, squares / np.maximum(count - 1, 1)


def typical_excess_power(
    replicas: int, *, ratio: float, spread: float, level: float = 0.05
) -> float:
    """Return the probability that `typical_excess_test` rejects at `level`.

    For logarithms that are normal, by the noncentral t distribution.

    Parameters
    ----------
    replicas : int
        At least 2.
    ratio : float
        True geometric mean over the margin, positive; 1 gives the level.
    spread : float
        Standard deviation of the logarithm of the excess, positive.
    level : float

    Raises
    ------
    ValueError
        If a value is out of range.

    Examples
    --------
    >>> round(typical_excess_power(10, ratio=1, spread=1), 6), round(
    ...     typical_excess_power(10, ratio=0.5, spread=1), 2)
    (0.05, 0.65)
    """
    _check_probability(level=level)
    if replicas < 2 or not (ratio > 0 and spread > 0):
        raise ValueError(
            f"replicas must be at least 2, ratio and spread positive, got {replicas}, {ratio}, {spread}"
        )
    freedom = replicas - 1
    shift = -math.log(ratio) * math.sqrt(replicas) / spread
    return float(stats.nct.sf(stats.t.isf(level, freedom), freedom, shift))
