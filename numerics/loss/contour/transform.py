r"""Laplace transforms of the value of a feature: V(t) = E e^{tx} and its first two derivatives.

For a polynomial density, V is a combination of e^t, 1 and, for symmetric values, e^{−t}, with
polynomials in 1/t for coefficients. Near t = 0 these cancel, and the power series in the moments
takes over; `ValueTransform.radius` is where. On a vertical line V falls off like 1/|t|::

    |∫ q(x) e^{tx} dx| ≤ (|q(1)| e^{Re t} + |q(0)| + ∫ |q'| e^{x Re t} dx) / |t|,

which bounds what a sum over the line leaves out.
"""

from __future__ import annotations

from functools import cache
from math import factorial
from typing import NamedTuple

import numpy as np

from ....values import ValueDistribution
from ...arguments import Floats
from ...compiled import borrowing

__all__ = ["ValueTransform", "decay", "real_transform", "transform", "value_transform"]

ORDERS = 3  # V, V', V''
_MARGIN = 1e-18  # relative size of the first term of the series that is left out


class ValueTransform(NamedTuple):
    """What compiled code has to know of the law of a value.

    Attributes
    ----------
    direct : ndarray of shape (3, 3, powers)
        For V, V' and V'' the coefficients of w^k e^t, w^k and w^k e^{−t}, with w = 1/t.
    series : ndarray of shape (3, terms)
        Coefficients of the power series.
    radius : float
        The series is used for |t| below it.
    variation : ndarray of shape (3, 3)
        |t| times |V|, |V'| and |V''| is at most the row's product with
        (1, e^τ, max(1, e^τ)), τ = Re t, or |Re t| if values are symmetric.
    moments : ndarray of shape (3,)
        E x^k for k = 0, 1, 2.
    peak : float
        The largest density of a value.
    uniform, symmetric : bool
    """

    direct: Floats
    series: Floats
    radius: float
    variation: Floats
    moments: Floats
    peak: float
    uniform: bool
    symmetric: bool


def _direct_coefficients(values: ValueDistribution, order: int, powers: int) -> Floats:
    """Integrate x^order p(x) e^{tx} by parts, exactly."""
    table = [[0 * values.coefficients[-1]] * powers for _ in range(3)]
    for j, c in enumerate(values.coefficients):
        k = j + order
        for i in range(k + 1):
            table[0][i + 1] += c * (-1) ** i * (factorial(k) // factorial(k - i))
        table[1][k + 1] -= c * (-1) ** k * factorial(k)
    if values.symmetric:  # half the transform at t, half that at −t
        sign = (-1) ** order
        mirrored = [[sign * (-1) ** i * c / 2 for i, c in enumerate(row)] for row in table]
        table[2] = mirrored[0]
        table[1] = [c / 2 + other for c, other in zip(table[1], mirrored[1], strict=True)]
        table[0] = [c / 2 for c in table[0]]
    return np.array([[float(c) for c in row] for row in table])


def _moment(values: ValueDistribution, power: int) -> float:
    if values.symmetric and power % 2:
        return 0.0
    return float(sum(c / (k + 1 + power) for k, c in enumerate(values.coefficients)))


def _variation(values: ValueDistribution, order: int) -> list[float]:
    """Return |q(0)|, |q(1)| and the total variation of q = x^order p on [0, 1]."""
    q = np.polynomial.Polynomial([0.0] * order + [float(c) for c in values.coefficients])
    turns = q.deriv().roots()
    inside = np.real(turns[(abs(turns.imag) < 1e-6) & (turns.real > 0) & (turns.real < 1)])
    steps = abs(np.diff(q(np.sort(np.concatenate([[0.0], inside, [1.0]])))))
    start, end, total = abs(float(q(0.0))), abs(float(q(1.0))), float(steps.sum())
    if values.symmetric:  # both sides, each with half the weight; e^{|Re t|} bounds them all
        return [0.0, 0.0, start + end + total]
    return [start, end, total]


def _best_radius(direct: Floats) -> float:
    """Return where the terms of the direct form have become as small as those of the series."""
    powers = np.arange(direct.shape[2])
    for radius in np.arange(1.0, 12.0, 0.25):
        if (abs(direct).sum(axis=1) * radius**-powers).sum(axis=1).max() <= np.exp(radius):
            return float(radius)
    return 12.0


@cache
def value_transform(values: ValueDistribution) -> ValueTransform:
    """Return the transforms of a value with this law."""
    degree = len(values.coefficients) - 1
    powers = degree + ORDERS + 1
    direct = np.array([_direct_coefficients(values, order, powers) for order in range(ORDERS)])
    radius = 1.0 if values.is_uniform else _best_radius(direct)
    terms = 8
    while radius**terms / factorial(terms) > _MARGIN:
        terms += 1
    density = np.polynomial.Polynomial([float(c) for c in values.coefficients])
    turns = density.deriv().roots().real
    places = np.concatenate([[0.0, 1.0], turns[(turns > 0) & (turns < 1)]])
    return ValueTransform(
        direct,
        np.array(
            [[_moment(values, k + q) / factorial(k) for k in range(terms)] for q in range(ORDERS)]
        ),
        radius,
        np.array([_variation(values, order) for order in range(ORDERS)]),
        np.array([_moment(values, power) for power in range(3)]),
        float(density(places).max()),
        values.is_uniform,
        values.symmetric,
    )


@borrowing
def transform(law: ValueTransform, order: int, t: complex) -> complex:
    """Return the derivative of V of this order at t."""
    total: complex = 0.0 * t
    if abs(t) < law.radius:
        for k in range(law.series.shape[1] - 1, -1, -1):
            total = total * t + law.series[order, k]
        return total
    w = 1.0 / t
    at_one = at_zero = mirrored = 0.0 * t
    for k in range(law.direct.shape[2] - 1, -1, -1):
        at_one = at_one * w + law.direct[order, 0, k]
        at_zero = at_zero * w + law.direct[order, 1, k]
        mirrored = mirrored * w + law.direct[order, 2, k]
    total = at_one * np.exp(t) + at_zero
    if law.symmetric:
        total += mirrored * np.exp(-t)
    return total


@borrowing
def real_transform(law: ValueTransform, t: float) -> float:
    """Return V at a real t, up to about 300 in size where e^t grows."""
    if law.uniform:
        return float(np.expm1(t) / t) if abs(t) > 1e-300 else 1.0
    return transform(law, 0, t).real


@borrowing
def decay(law: ValueTransform, order: int, t: float) -> float:
    """Return a bound on |t + iy| |V^(order)(t + iy)| for all real y."""
    bounds = law.variation[order]
    size = np.exp(abs(t)) if law.symmetric else np.exp(t)
    return float(bounds[0] + bounds[1] * size + bounds[2] * max(1.0, size))
