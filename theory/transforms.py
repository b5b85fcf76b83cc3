"""The law of a sum of features, exactly: its Laplace transform as a sum of exponentials.

A value u with a polynomial density p on [0, 1] and a coupling g ≠ 0 has, by parts,

    E e^{w g u} = Σ_i (−1)^i [p^{(i)}(1) e^{wg} − p^{(i)}(0)] / (wg)^{i+1},

for uniform values (e^{wg} − 1)/(wg). Products and mixtures of such sums are sums Σ c e^{wt} w^{−k}
again, in which t is the sum's value at a vertex of the box. Equal vertex values are merged, so
that k features with equal couplings cost k + 1 terms in place of 2^k. What the sums are for:
multiplication by w^{−k} is integration, so that

    E (β + Σ_j g_j x_j)₊^p = Σ_{t,k} c_{tk} p!/(p+k)! (β + t)₊^{p+k}.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

__all__ = ["Transform", "add", "identity", "multiply", "power_moment", "scale", "value_transform"]

Transform = dict[tuple[Any, int], Any]
"""Coefficients c by (t, k), in Σ c e^{wt} w^{−k}; none of them is zero."""


def identity(field: Any) -> Transform:
    """Return the transform of the constant 0, which is 1."""
    return {(field.zero, 0): field.one}


def scale(transform: Transform, factor: Any) -> Transform:
    """Return the transform with all coefficients multiplied by `factor`."""
    return {key: factor * c for key, c in transform.items()} if factor else {}


def add(transforms: Iterable[Transform]) -> Transform:
    """Return the sum of transforms, which is the transform of a mixture."""
    total: Transform = {}
    for transform in transforms:
        for key, c in transform.items():
            total[key] = total[key] + c if key in total else c
    return {key: c for key, c in total.items() if c}


def multiply(first: Transform, second: Transform) -> Transform:
    """Return the product of transforms, which is the transform of a sum of independent parts."""
    product: Transform = {}
    for (t, k), c in first.items():
        for (u, l), d in second.items():
            key = t + u, k + l
            product[key] = product[key] + c * d if key in product else c * d
    return {key: c for key, c in product.items() if c}


def power_moment(coefficients: Sequence[Fraction], power: int) -> Fraction:
    """Return ∫₀¹ u^power p(u) du.

    Examples
    --------
    >>> power_moment([Fraction(1)], 2)
    Fraction(1, 3)
    """
    return sum((c / (k + power + 1) for k, c in enumerate(coefficients)), Fraction(0))


def value_transform(
    field: Any, coupling: Any, coefficients: Sequence[Fraction], *, symmetric: bool, power: int = 0
) -> Transform:
    """Return E u^power e^{w·coupling·u} for one value u.

    Parameters
    ----------
    field
        SymPy domain of the coupling.
    coupling
        An element of it; for zero the result is the constant E u^power.
    coefficients, symmetric
        The density of u, as in `ValueDistribution`.
    power
        0 or 1.

    Examples
    --------
    (e^{2w} − 1)/(2w):

    >>> import sympy
    >>> transform = value_transform(sympy.QQ, sympy.QQ(2), [Fraction(1)], symmetric=False)
    >>> {(int(t), k): str(c) for (t, k), c in transform.items()}
    {(2, 1): '1/2', (0, 1): '-1/2'}
    """
    if symmetric:
        sign = -1 if power % 2 else 1
        upper, lower = (
            value_transform(field, g, coefficients, symmetric=False, power=power)
            for g in (coupling, -coupling)
        )
        half = field.one / field(2)
        return add([scale(upper, half), scale(lower, half * sign)])
    if not coupling:
        constant = _in(field, power_moment(coefficients, power))
        return {(field.zero, 0): constant} if constant else {}
    derivative = [_in(field, c) for c in (*([Fraction(0)] * power), *coefficients)]
    parts: list[Transform] = []
    factor = field.one / coupling
    order = 1
    while derivative:
        at_one = sum(derivative, field.zero) * factor
        at_zero = -derivative[0] * factor
        parts += [{(coupling, order): at_one}, {(field.zero, order): at_zero}]
        derivative = [c * field(k) for k, c in enumerate(derivative)][1:]
        factor = -factor / coupling
        order += 1
    return add(parts)


def _in(field: Any, number: Fraction) -> Any:
    return field(number.numerator) / field(number.denominator)
