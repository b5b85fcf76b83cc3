"""Real roots and the cells between them: how signs are decided on an interval of densities.

A sign condition on polynomials of one variable is constant between their real roots, so that one
rational sample per cell decides it for the whole cell.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import sympy

__all__ = ["Cell", "cells", "real_roots_between"]


@dataclass(frozen=True)
class Cell:
    """An open interval with exact ends, and a rational number inside."""

    lower: sympy.Expr
    upper: sympy.Expr
    sample: sympy.Rational


def real_roots_between(
    polynomials: Iterable[sympy.Poly], lower: sympy.Expr, upper: sympy.Expr
) -> list[sympy.Expr]:
    """Return the distinct real roots of the polynomials in the open interval, ascending.

    Over an algebraic number field the roots of the norm are returned: the roots of the
    polynomial and of its conjugates. As cell ends the additional ones do no harm.

    Examples
    --------
    >>> x = sympy.Symbol("x")
    >>> real_roots_between([sympy.Poly(x**2 - 2), sympy.Poly(x - 1)], 0, 2)
    [1, sqrt(2)]
    """
    factors: set[sympy.Poly] = set()
    for polynomial in polynomials:
        if polynomial.is_zero or polynomial.is_ground:
            continue
        if polynomial.domain.is_AlgebraicField:
            polynomial = polynomial.lift()
        factors.update(factor for factor, _ in polynomial.factor_list()[1])
    roots: set[sympy.Expr] = set()
    for factor in factors:
        # Irreducible factors over the rationals share no roots, so that roots are distinct.
        roots.update(root for root in factor.real_roots() if lower < root < upper)
    return sorted(roots, key=lambda root: root.evalf(60))


def cells(polynomials: Iterable[sympy.Poly], lower: sympy.Expr, upper: sympy.Expr) -> list[Cell]:
    """Return the open cells into which the polynomials' roots cut the interval (lower, upper).

    `upper` may be infinite.

    Examples
    --------
    >>> x = sympy.Symbol("x")
    >>> [cell.sample for cell in cells([sympy.Poly(2 * x - 1)], 0, 1)]
    [1/4, 3/4]
    """
    ends = [sympy.sympify(lower), *real_roots_between(polynomials, lower, upper)]
    ends.append(sympy.sympify(upper))
    return [Cell(low, high, _rational_between(low, high)) for low, high in pairwise(ends)]


def _rational_between(lower: sympy.Expr, upper: sympy.Expr) -> sympy.Rational:
    if upper == sympy.oo:
        return sympy.Integer(sympy.floor(lower) + 2)
    middle = (lower + upper) / 2
    if middle.is_Rational:
        return middle
    digits = 15
    while True:
        rational = sympy.Rational(str(middle.evalf(digits)))
        if lower < rational < upper:
            return rational
        digits *= 2
