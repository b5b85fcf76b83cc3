"""What an experiment measures: a number with an interval, and how many models it rests on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, binomtest, sem, t as student_t

__all__ = ["Measured", "Measurement"]

_LEVEL = 0.95

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Measurement:
    """A number, the interval in which it lies with 95 % confidence, and its number of seeds.

    Attributes
    ----------
    value, low, high : float
        low ≤ value ≤ high; all three are equal where nothing was sampled.
    seeds : int
        Independently trained models behind the number; 0 for what no seed enters, such as a closed
        form or an exact optimum.

    Raises
    ------
    ValueError
        If the value is not in the interval, or `seeds` is negative.

    Examples
    --------
    >>> Measurement.share(9, 10)
    Measurement(value=0.9, low=0.5549..., high=0.9974..., seeds=10)
    """

    value: float
    low: float
    high: float
    seeds: int = 0

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"a measurement must lie in its interval, got {self!r}")
        if self.seeds < 0:
            raise ValueError(f"seeds must be at least 0, got {self.seeds}")

    @classmethod
    def exact(cls, value: SupportsFloat, seeds: int = 0) -> Measurement:
        """Return a number without sampling error."""
        return cls(float(value), float(value), float(value), seeds)

    @classmethod
    def unknown(cls) -> Measurement:
        """Return what is known where there was nothing to measure: nothing."""
        return cls(0.0, -math.inf, math.inf)

    @classmethod
    def share(cls, successes: int, trials: int) -> Measurement:
        """Return the share of trials that succeeded, with the exact interval of Clopper, Pearson.

        Raises
        ------
        ValueError
            If there is no trial, or there are more successes than trials.
        """
        interval = binomtest(int(successes), int(trials)).proportion_ci(_LEVEL, "exact")
        return cls(successes / trials, float(interval.low), float(interval.high), int(trials))

    @classmethod
    def share_of(cls, holds: ArrayLike, *, seeds: int | None = None) -> Measurement:
        """Return the share of trials in which something holds: `share` of booleans of any shape.

        Trials are independent, and may have probabilities of their own, as points of a grid do: the
        interval then holds the mean of these more often than with 95 %, not less often (Hoeffding
        1956, "On the distribution of the number of successes in independent trials").

        Parameters
        ----------
        holds : array_like of bool
        seeds : int, optional
            Models behind every trial, where they are more than one.

        Examples
        --------
        >>> Measurement.share_of([True, True, False, True]).value
        0.75
        """
        found = np.asarray(holds, dtype=np.bool_)
        share = cls.share(int(found.sum()), found.size)
        return share if seeds is None else replace(share, seeds=seeds)

    @classmethod
    def mean(cls, values: ArrayLike) -> Measurement:
        """Return the mean over independently trained models, with Student's interval.

        Parameters
        ----------
        values : array_like
            One for each model, in any shape. NaN are models in which there is nothing to measure;
            they are left out. One alone says nothing of their spread: the interval is the whole
            line. Values that are all equal have no spread.

        Examples
        --------
        >>> print(Measurement.mean([1.0, 2.0, 3.0]))  # 2 ± 4.303 / √3
        2 [-0.4841, 4.484]
        """
        sample = _finite(values)
        if len(sample) < 2:
            return cls._of(sample, np.mean, -np.inf, np.inf)
        reach = float(student_t.ppf((1 + _LEVEL) / 2, len(sample) - 1) * sem(sample))
        return cls._of(sample, np.mean, -reach, reach)

    @classmethod
    def median(cls, values: ArrayLike) -> Measurement:
        """Return the median over independently trained models, with the exact interval of signs.

        Its ends are two of the values, such that the median of any law lies between them with 95 %
        confidence; fewer than six values have no such interval but the whole line.

        Parameters
        ----------
        values : array_like
            As for `mean`.

        Examples
        --------
        >>> print(Measurement.median([1.0, 2.0, 3.0, 4.0, 5.0, 60.0]))
        3.5 [1, 60]
        """
        sample = np.sort(_finite(values))
        below = int(binom.ppf((1 - _LEVEL) / 2, len(sample), 0.5))  # of values beyond an end
        if below < 1:
            return cls._of(sample, np.median, -np.inf, np.inf)
        middle = np.median(sample) if len(sample) else 0.0
        return cls._of(sample, np.median, sample[below - 1] - middle, sample[-below] - middle)

    @classmethod
    def redrawn(cls, value: SupportsFloat, again: ArrayLike, seeds: int) -> Measurement:
        """Return a number with the percentiles of what it is for models drawn anew from its own.

        For what is no mean, median or share. A number that grows or falls with the number of
        different models, such as the least of them, is not to be drawn anew: its percentiles are
        biased.

        Parameters
        ----------
        value : float
        again : array_like
            Of models drawn with replacement, in any shape. NaN, where they had nothing to measure,
            is left out; infinite values count.
        seeds : int

        Examples
        --------
        >>> print(Measurement.redrawn(100, range(201), seeds=10))
        100 [5, 195]
        """
        drawn = np.asarray(again, dtype=np.float64)
        ends = np.nanquantile(drawn, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], method="nearest")
        number = float(value)
        return cls(number, min(float(ends[0]), number), max(float(ends[1]), number), seeds)

    @classmethod
    def _of(
        cls, sample: Floats, statistic: Callable[[Floats], Any], down: float, up: float
    ) -> Measurement:
        """Return a statistic with its distances to the ends of the interval."""
        if not len(sample):
            return cls.unknown()
        value = float(statistic(sample))
        if len(sample) > 1 and np.ptp(sample) == 0:
            return cls(value, value, value, len(sample))
        return cls(value, value + float(down), value + float(up), len(sample))

    def __str__(self) -> str:
        if self == Measurement.unknown():
            return "nothing to measure"
        if self.low == self.high:
            return f"{self.value:.4g}"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


def _finite(values: ArrayLike) -> Floats:
    sample = np.asarray(values, dtype=np.float64).ravel()
    return sample[np.isfinite(sample)]


Measured = Measurement | Mapping[str, Measurement]
"""What is measured of one quantity: once, or under several conditions with their names."""
