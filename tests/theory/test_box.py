"""Box integrals against SymPy's own integration, and the cells between roots."""

from fractions import Fraction
from itertools import pairwise
from typing import Any

import pytest
import sympy

from superposition.theory.box import box_moments, linear_moments, vertex_measure
from superposition.theory.cells import cells, real_roots_between
from superposition.theory.fields import (
    UndecidedSignError,
    decide_sign,
    field_of,
    sign_of_number,
    tidy_algebraic,
)

F = Fraction


@pytest.mark.parametrize(
    ("own", "other", "bias"), [(1, -1, 0), (F(1, 2), F(-3, 4), F(1, 8)), (2, 1, F(-1, 3))]
)
def test_moments_against_integration_by_sympy(own: Any, other: Any, bias: Any) -> None:
    x, y = sympy.symbols("x y", nonnegative=True)
    own, other, bias = map(sympy.Rational, (own, other, bias))
    z = own * x + other * y + bias
    # For own > 0 the kink in x lies at (−other·y − bias)/own, clipped to the unit interval.
    kink = sympy.Max(0, sympy.Min(1, (-other * y - bias) / own))

    def integral(integrand: Any) -> Any:
        inner = sympy.integrate(sympy.expand(integrand), x)
        total = sympy.S.Zero
        ends = sorted({0, 1, *(e for e in (-bias / other, (-own - bias) / other) if 0 < e < 1)})
        for low, high in pairwise(ends):
            at = kink.subs(y, (low + high) / 2)
            start = at if at in (0, 1) else (-other * y - bias) / own
            total += sympy.integrate(
                sympy.expand(inner.subs(x, 1) - inner.subs(x, start)), (y, low, high)
            )
        return total

    q = sympy.QQ
    moments = box_moments(
        q,
        q.from_sympy(own),
        [q.from_sympy(other)],
        q.from_sympy(bias),
        lambda value: value + q.from_sympy(bias) > 0,
    )
    assert q.to_sympy(moments.first) == integral(z)
    assert q.to_sympy(moments.second) == integral(z**2)
    assert q.to_sympy(moments.cross) == integral(x * z)


def test_rectified_moments_are_linear_ones_where_nothing_is_cut_off() -> None:
    q = sympy.QQ
    couplings = [q(1, 3), q(2), q(1, 7)]
    assert box_moments(q, q(1, 2), couplings, q(1, 5), lambda value: True) == linear_moments(
        q, q(1, 2), couplings, q(1, 5)
    )
    assert box_moments(q, None, couplings, q(1, 5), lambda value: True) == linear_moments(
        q, None, couplings, q(1, 5)
    )


def test_equal_couplings_are_merged() -> None:
    assert vertex_measure([1, 1, 1], 0) == {0: -1, 1: 3, 2: -3, 3: 1}
    assert vertex_measure([1, -1], 0) == {-1: -1, 0: 2, 1: -1}


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
