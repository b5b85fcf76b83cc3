"""The value of a feature that is on: a polynomial density on [0, 1], or its mirror on [−1, 1]."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from numbers import Rational
from typing import Any, Final

import numpy as np

__all__ = ["UNIFORM", "ValueDistribution"]


@dataclass(frozen=True, init=False)
class ValueDistribution:
    """The law of x_i given that feature i is on.

    Its probability density on [0, 1] is p(u) = Σ_k c_k u^k. A symmetric one is that of ±u with
    either sign equally likely: p(|u|)/2 on [−1, 1].

    Parameters
    ----------
    coefficients
        c_0, c_1, …: integers, fractions, or floats, each taken for the rational that it stores.
    symmetric
        Whether the sign of a value is random.

    Attributes
    ----------
    coefficients : tuple of Fraction
        Without trailing zeros.
    symmetric : bool

    Raises
    ------
    ValueError
        If a coefficient is no finite number, p is negative somewhere on [0, 1], or its integral
        over [0, 1] is not exactly 1.

    Examples
    --------
    >>> ValueDistribution([0, 2])  # u itself is more likely the larger it is
    ValueDistribution([0, 2])
    >>> ValueDistribution([1], symmetric=True)  # uniform on [−1, 1]
    ValueDistribution([1], symmetric=True)
    """

    coefficients: tuple[Fraction, ...]
    symmetric: bool

    def __init__(self, coefficients: Iterable[Any], *, symmetric: bool = False) -> None:
        """Bring the coefficients to exact fractions and check that they are a density."""
        exact = [_as_fraction(coefficient) for coefficient in coefficients]
        while exact and exact[-1] == 0:
            exact.pop()
        integral = sum((c / (k + 1) for k, c in enumerate(exact)), Fraction(0))
        if integral != 1:
            raise ValueError(
                f"the density of a value must integrate to 1 over [0, 1], but "
                f"{_polynomial(exact)} integrates to {integral}; divide its coefficients by that"
                + (" and pass them as fractions" if integral > 0 else "")
            )
        if not _is_nonnegative(exact):
            raise ValueError(
                f"the density of a value must be at least 0 on [0, 1], "
                f"but {_polynomial(exact)} is negative there"
            )
        object.__setattr__(self, "coefficients", tuple(exact))
        object.__setattr__(self, "symmetric", bool(symmetric))

    @property
    def is_uniform(self) -> bool:
        """Whether values are uniform on [0, 1]."""
        return self.coefficients == (Fraction(1),) and not self.symmetric

    def __repr__(self) -> str:
        """Return the call that makes an equal object."""
        listed = ", ".join(
            str(c) if c.denominator == 1 else f"Fraction({c.numerator}, {c.denominator})"
            for c in self.coefficients
        )
        return f"ValueDistribution([{listed}]{', symmetric=True' if self.symmetric else ''})"


def _as_fraction(coefficient: Any) -> Fraction:
    if isinstance(coefficient, np.generic):
        coefficient = coefficient.item()
    if isinstance(coefficient, Rational | float) and not isinstance(coefficient, bool):
        try:
            return Fraction(coefficient)
        except (ValueError, OverflowError):
            pass
    elif getattr(coefficient, "is_Rational", False):  # a SymPy number, without importing SymPy
        return Fraction(int(coefficient.p), int(coefficient.q))
    raise ValueError(
        f"coefficients of a value's density must be finite rational numbers, got {coefficient!r}"
    )


def _polynomial(coefficients: list[Fraction]) -> str:
    terms = [f"{c}·u^{k}" if k else str(c) for k, c in enumerate(coefficients) if c]
    return " + ".join(terms) or "0"


def _is_nonnegative(coefficients: list[Fraction]) -> bool:
    """Decide p ≥ 0 on [0, 1] exactly, for p with integral 1."""
    if len(coefficients) <= 2:
        return coefficients[0] >= 0 and sum(coefficients) >= 0
    import sympy  # late, because only densities of higher degree need it

    u = sympy.Symbol("u")
    p = sympy.Poly([sympy.Rational(c.numerator, c.denominator) for c in coefficients[::-1]], u)
    # Its integral is positive, so that p is negative somewhere only if it changes its sign.
    return not any(
        multiplicity % 2 and factor.count_roots(0, 1) > sum(factor.eval(x) == 0 for x in (0, 1))
        for factor, multiplicity in p.sqf_list()[1]
    )


UNIFORM: Final = ValueDistribution([1])
"""Uniform on [0, 1]."""
