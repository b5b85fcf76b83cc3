"""What an experiment measures: a number with an interval, and how many models it rests on."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binomtest, bootstrap

__all__ = ["Measured", "Measurement"]

_LEVEL = 0.95


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
    def exact(cls, value: float, seeds: int = 0) -> Measurement:
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
    def mean(cls, values: ArrayLike, seed: int = 0) -> Measurement:
        """Return the mean over independently trained models, with a bootstrap interval (BCa).

        Parameters
        ----------
        values : array_like
            One for each model, in any shape. NaN are models in which there is nothing to measure;
            they are left out. Fewer than two say nothing about their spread: the interval is then
            the whole line.
        seed : int
            Of the resampling.
        """
        return cls._resampled(values, np.mean, seed)

    @classmethod
    def median(cls, values: ArrayLike, seed: int = 0) -> Measurement:
        """Return the median over independently trained models, with a bootstrap interval.

        Parameters are those of `mean`.
        """
        return cls._resampled(values, np.median, seed)

    @classmethod
    def _resampled(cls, values: ArrayLike, statistic: Callable[..., Any], seed: int) -> Measurement:
        sample = np.asarray(values, dtype=np.float64).ravel()
        sample = sample[np.isfinite(sample)]
        if not len(sample):
            return cls.unknown()
        value = float(statistic(sample))
        if len(sample) < 2:
            return cls(value, -np.inf, np.inf, len(sample))
        if np.ptp(sample) == 0:
            return cls(value, value, value, len(sample))
        found = bootstrap(
            (sample,), statistic, confidence_level=_LEVEL, method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval  # fmt: skip
        return cls(value, min(float(found.low), value), max(float(found.high), value), len(sample))

    def __str__(self) -> str:
        if self == Measurement.unknown():
            return "nothing to measure"
        if self.low == self.high:
            return f"{self.value:.4g}"
        return f"{self.value:.4g} [{self.low:.4g}, {self.high:.4g}]"


Measured = Measurement | Mapping[str, Measurement]
"""What is measured of one quantity: once, or under several conditions with their names."""
