"""Cells between roots, exact signs, and the fields that numbers lie in."""

import pytest
import sympy

from superposition.theory.cells import cells, real_roots_between
from superposition.theory.fields import (
    UndecidedSignError,
    decide_sign,
    field_of,
    sign_of_number,
    tidy_algebraic,
)


def test_cells_have_exact_ends() -> None:
    x = sympy.Symbol("x")
    first, second, third = cells([sympy.Poly(x**2 - 2), sympy.Poly(3 * x - 4)], 0, 2)
    assert (first.lower, first.upper, second.upper, third.upper) == (
        0,
        sympy.Rational(4, 3),
        sympy.sqrt(2),
        2,
    )
    assert all(c.lower < c.sample < c.upper for c in (first, second, third))
    assert cells([], 1, sympy.oo)[0].sample > 1


def test_roots_over_a_number_field() -> None:
    x = sympy.Symbol("x")
    polynomial = sympy.Poly(x - sympy.sqrt(5) / 4, x, extension=True)
    assert sympy.sqrt(5) / 4 in real_roots_between([polynomial], 0, 1)


def test_signs_of_numbers_are_exact() -> None:
    nearly = sympy.sqrt(2) + sympy.sqrt(3) - sympy.sqrt(5 + 2 * sympy.sqrt(6))
    assert sign_of_number(nearly) == 0
    assert sign_of_number(nearly + sympy.Rational(1, 10**50)) == 1
    assert sign_of_number(sympy.Rational(-1, 10**80)) == -1


def test_signs_of_expressions() -> None:
    p, q = sympy.symbols("p q", positive=True)
    assert decide_sign(p * q + 1) == 1
    assert decide_sign(p**2 - 2 * p * q + q**2) >= 0
    assert decide_sign(p * q - 1, densities=[p, q]) == -1
    with pytest.raises(UndecidedSignError, match="the sign of p - q is undecided"):
        decide_sign(p - q)
    with pytest.raises(UndecidedSignError, match=r"by the sample \{p: 1\}"):
        decide_sign(p - q, {p: 1})


def test_fields_are_as_small_as_the_numbers_allow() -> None:
    w = sympy.Symbol("w")
    assert field_of([sympy.Rational(1, 2)]) == sympy.QQ
    assert field_of([sympy.sqrt(5)]) == sympy.QQ.algebraic_field(sympy.sqrt(5))
    assert field_of([w, sympy.S.One]).symbols == (w,)
    mixed = field_of([w * sympy.sqrt(2)])
    assert mixed.to_sympy(mixed.from_sympy(sympy.sqrt(2) * w) ** 2) == 2 * w**2


def test_algebraic_numbers_are_tidied() -> None:
    product = sympy.sqrt(sympy.sqrt(5) / 8 + sympy.Rational(5, 8)) ** 2
    assert tidy_algebraic(product) == sympy.sqrt(5) / 8 + sympy.Rational(5, 8)
    assert tidy_algebraic(2 * sympy.cos(2 * sympy.pi / 5)) == sympy.sqrt(5) / 2 - sympy.Rational(
        1, 2
    )
