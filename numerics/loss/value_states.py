"""The value of a feature as a mixture of beta distributions, and the states a recurrence visits.

A polynomial density on [0, 1] is a signed sum of the densities of Beta(α, β) with whole α and β:
u^k is proportional to that of Beta(k + 1, 1), u^k (1 − u)^l to that of Beta(k + 1, l + 1). For
such x, continuous f and any c, integration by parts gives::

    E[f'(x) (x − c)] = (α + β − 1) { (1 − c) E[f(x_up)] + c E[f(x_down)] − E[f(x)] }

where x_up ~ Beta(α, β − 1), x_down ~ Beta(α − 1, β), Beta(·, 0) is the point 1 and Beta(0, ·) the
point 0. All laws that steps up and down can reach are the *states* of the feature. A feature that
is off is fixed at 0, the lowest state. Symmetric values have all others twice, with either sign.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...values import ValueDistribution
from ..arguments import Floats

__all__ = ["ValueStates", "beta_mixture", "value_states"]

Integers = NDArray[np.int32]
Mixture = dict[tuple[int, int], Fraction]


class ValueStates(NamedTuple):
    """The states of one feature, in an order in which steps up and down lead back.

    Attributes
    ----------
    weight : ndarray of shape (states,)
        Share of the state in the law of a feature that is on; 0 for a state that is only passed.
    up, down : ndarray of int32, shape (states,)
        The state a step up or down leads to; the state itself where x is fixed.
    strength : ndarray of shape (states,)
        α + β − 1 of a state in which x varies, 0 where it is fixed.
    sign : ndarray of shape (states,)
        x varies between 0 and `sign`.
    mean, variance : ndarray of shape (states,)
        Of x. State 0 is that of a feature that is off, x = 0.
    """

    weight: Floats
    up: Integers
    down: Integers
    strength: Floats
    sign: Floats
    mean: Floats
    variance: Floats


def beta_mixture(coefficients: tuple[Fraction, ...]) -> Mixture:
    """Return the weights of the beta distributions (α, β) of which a density on [0, 1] is the sum.

    Of the expansions in powers of u, in powers of 1 − u and in Bernstein polynomials, the one
    whose weights have the smallest sum of absolute values: 1 where none is negative, and then
    nothing cancels. Between equals, the one that needs the fewest states.

    Examples
    --------
    >>> beta_mixture((Fraction(0), Fraction(6), Fraction(-6)))  # 6 u (1 − u)
    {(2, 2): Fraction(1, 1)}
    """
    d = len(coefficients) - 1
    powers = {(k + 1, 1): c / (k + 1) for k, c in enumerate(coefficients)}
    mirrored = {
        (1, k + 1): sum((comb(j, k) * c for j, c in enumerate(coefficients)), Fraction(0))
        * Fraction((-1) ** k, k + 1)
        for k in range(d + 1)
    }
    bernstein = {
        (k + 1, d - k + 1): sum(
            (c * Fraction(comb(k, j), comb(d, j)) for j, c in enumerate(coefficients[: k + 1])),
            Fraction(0),
        )
        / (d + 1)
        for k in range(d + 1)
    }
    candidates: list[Mixture] = [
        {key: weight for key, weight in mixture.items() if weight}
        for mixture in (powers, mirrored, bernstein)
    ]
    return min(candidates, key=lambda m: (sum(map(abs, m.values())), len(_reachable(m))))


def _reachable(mixture: Mixture) -> list[tuple[int, int]]:
    """Return every (α, β) that steps down from the mixture lead to, lowest first."""
    below = {
        (a, b) for alpha, beta in mixture for a in range(1, alpha + 1) for b in range(1, beta + 1)
    }
    return sorted(below, key=lambda pair: (sum(pair), pair))


@cache
def value_states(values: ValueDistribution) -> ValueStates:
    """Return the states of a feature whose value has this law."""
    mixture = beta_mixture(values.coefficients)
    pairs = _reachable(mixture)
    signs = (1, -1) if values.symmetric else (1,)
    columns = [(0.0, 0, 0, 0.0, 0.0, 0.0, 0.0)]
    for sign in signs:
        at_one = len(columns)
        place = {pair: at_one + 1 + k for k, pair in enumerate(pairs)}
        columns.append((0.0, at_one, at_one, 0.0, float(sign), float(sign), 0.0))
        for alpha, beta in pairs:
            total = alpha + beta
            columns.append(
                (
                    float(mixture.get((alpha, beta), Fraction(0)) / len(signs)),
                    place.get((alpha, beta - 1), at_one),
                    place.get((alpha - 1, beta), 0),
                    float(total - 1),
                    float(sign),
                    sign * alpha / total,
                    alpha * beta / (total * total * (total + 1)),
                )
            )
    weight, up, down, strength, sign_, mean, variance = (
        np.array(column) for column in zip(*columns, strict=True)
    )
    return ValueStates(
        weight, up.astype(np.int32), down.astype(np.int32), strength, sign_, mean, variance
    )
