"""The inverse distribution function of a value, for tensors of any size on any device.

[0, 1] is cut into cells in which the density varies by at most half. Newton's method for P(x) = u
from the chord of a cell then reaches rounding in three steps, one elementwise operation at a time,
so that a result depends on its own u alone. Uniform numbers of 31 bits are further apart than the
error of P at the result: larger u never give smaller x.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import comb
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from ...values import ValueDistribution

__all__ = ["CellTables", "Quantile", "cell_tables"]

_LARGEST_RATIO = Fraction(3, 2)
_LEAST_MASS = Fraction(1, 2**60)  # no 31-bit number tells the points of such a cell apart
_STEPS = 3

Polynomial = list[Fraction]


def _value_at(polynomial: Polynomial, x: Fraction) -> Fraction:
    total = Fraction(0)
    for c in reversed(polynomial):
        total = total * x + c
    return total


def _bernstein(polynomial: Polynomial, left: Fraction, width: Fraction) -> Polynomial:
    """Return coefficients that enclose the polynomial on a cell."""
    d = len(polynomial) - 1
    local = [
        sum((comb(j, k) * polynomial[j] * left ** (j - k) for j in range(k, d + 1)), Fraction(0))
        * width**k
        for k in range(d + 1)
    ]
    return [
        sum((Fraction(comb(k, j), comb(d, j)) * local[j] for j in range(k + 1)), Fraction(0))
        for k in range(d + 1)
    ]


def _is_fine(density: Polynomial, cumulative: Polynomial, left: Fraction, width: Fraction) -> bool:
    bounds = _bernstein(density, left, width)
    if min(bounds) > 0 and max(bounds) <= _LARGEST_RATIO * min(bounds):
        return True
    mass = _value_at(cumulative, left + width) - _value_at(cumulative, left)
    return mass <= _LEAST_MASS


@cache
def _cells(values: ValueDistribution) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the ends of the cells and the distribution function there."""
    density = list(values.coefficients)
    cumulative = [Fraction(0), *(c / (k + 1) for k, c in enumerate(density))]
    waiting, ends = [(Fraction(0), Fraction(1))], [Fraction(0)]
    while waiting:
        left, width = waiting.pop()
        if _is_fine(density, cumulative, left, width):
            ends.append(left + width)
        else:
            half = width / 2
            waiting += [(left + half, half), (left, half)]
    return (
        np.array([float(x) for x in ends]),
        np.array([float(_value_at(cumulative, x)) for x in ends]),
    )


class CellTables(NamedTuple):
    """What the inverse of a distribution function P is computed from.

    Attributes
    ----------
    x, u : ndarray, shape (cells + 1,)
        The ends of the cells, and P there.
    slope : ndarray, shape (cells,)
        Of the chord of the inverse in each cell.
    density, cumulative : ndarray
        Coefficients of p(x) and of P(x)/x, the constant first.
    """

    x: NDArray[np.float64]
    u: NDArray[np.float64]
    slope: NDArray[np.float64]
    density: NDArray[np.float64]
    cumulative: NDArray[np.float64]


def cell_tables(values: ValueDistribution) -> CellTables:
    """Return the tables of a distribution of values."""
    x, u = _cells(values)
    with np.errstate(divide="ignore"):
        slope = np.minimum(np.diff(x) / np.diff(u), np.finfo(np.float64).max)
    density = np.array([float(c) for c in values.coefficients])
    cumulative = np.array([float(c / (k + 1)) for k, c in enumerate(values.coefficients)])
    return CellTables(x, u, slope, density, cumulative)


class Quantile:
    """The inverse of the distribution function P of |x|, for x that is on.

    Parameters
    ----------
    values : ValueDistribution
    device : torch.device or str

    Attributes
    ----------
    is_identity : bool
        Whether |x| is uniform.

    Examples
    --------
    >>> Quantile(ValueDistribution([0, 2]))(torch.tensor([0.25, 1.0], dtype=torch.float64))
    tensor([0.5000, 1.0000], dtype=torch.float64)
    """

    def __init__(self, values: ValueDistribution, device: torch.device | str = "cpu") -> None:
        self.is_identity = values.coefficients == (Fraction(1),)
        tables = cell_tables(values)
        self._density, self._cumulative = tables.density.tolist(), tables.cumulative.tolist()
        self._x, self._u, self._slope = (
            torch.as_tensor(column, device=device) for column in (tables.x, tables.u, tables.slope)
        )

    def __call__(self, u: torch.Tensor) -> torch.Tensor:
        """Return x with P(x) = u, for a float64 tensor in [0, 1]."""
        if self.is_identity:
            return u
        cell = torch.bucketize(u.contiguous(), self._u[1:-1])
        low, high = self._x[cell], self._x[cell + 1]
        x = (u - self._u[cell]).mul_(self._slope[cell]).add_(low)
        for _ in range(_STEPS):
            x = torch.minimum(torch.maximum(x, low), high)
            missing = _horner(self._cumulative, x).mul_(x).sub_(u)
            # A density of 0 in a cell without mass: the step ends at an end of the cell.
            x = x.sub_(missing.div_(_horner(self._density, x).clamp_(min=1e-300)))
        return torch.minimum(torch.maximum(x, low), high)


def _horner(coefficients: list[float], x: torch.Tensor) -> torch.Tensor:
    total = torch.full_like(x, coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total.mul_(x).add_(c)
    return total
