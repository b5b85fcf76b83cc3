"""Proved roots, against algebraic numbers that are known exactly."""

from fractions import Fraction
from random import Random
from typing import Any

import mpmath
import pytest
import sympy

from superposition.theory.landscape.certified_roots import (
    Enclosure,
    UncertifiedRootError,
    certify_root,
    enclose,
    interval_context,
    to_enclosure,
    to_interval,
)
from superposition.theory.landscape.evaluation import compile_expressions

x, y, z = sympy.symbols("x y z")
Q = sympy.Rational


@pytest.mark.parametrize(
    ("equations", "symbols", "start", "expected"),
    [
        pytest.param([x**2 - 2], [x], [1.4], [sympy.sqrt(2)], id="square root"),
        pytest.param([x**3 - x - 1], [x], [1.3], [sympy.CRootOf(x**3 - x - 1, 0)], id="cubic"),
        pytest.param(
            [x**2 + y**2 - 4, x - y], [x, y], [1.4, 1.4], [sympy.sqrt(2)] * 2, id="circle and line"
        ),
        pytest.param(
            [x + y + z - 6, x * y + y * z + z * x - 11, x * y * z - 6],
            [x, y, z],
            [0.9, 2.1, 3.2],
            [1, 2, 3],
            id="elementary symmetric",
        ),
        pytest.param([1 / x - x / 3], [x], [1.7], [sympy.sqrt(3)], id="rational function"),
        pytest.param([x - sympy.sqrt(5) / 2], [x], [1], [sympy.sqrt(5) / 2], id="root as number"),
    ],
)
@pytest.mark.parametrize("digits", [5, 30, 120])
def test_known_roots_are_enclosed_as_narrowly_as_asked(
    equations: Any, symbols: Any, start: Any, expected: Any, digits: Any
) -> None:
    root = certify_root(equations, symbols, start, digits=digits)
    assert root.digits >= digits
    for enclosure, value in zip(root.enclosures, expected, strict=True):
        assert value in enclosure  # SymPy compares algebraic numbers with rationals exactly
        assert enclosure.width < Q(1, 10**digits)


@pytest.mark.parametrize(
    ("equations", "start"),
    [
        pytest.param([(x - 1) ** 2], [1.1], id="double root from afar"),
        pytest.param([(x - 1) ** 2], [1], id="double root hit exactly"),
        pytest.param([(x - Q(1, 3)) ** 3], [0.33], id="triple root"),
        pytest.param([x**2 + 1], [0.5], id="no real root"),
        pytest.param([x**2 + Q(1, 10**80)], [1e-20], id="a root missed by a hair"),
    ],
)
def test_what_is_no_simple_root_is_not_proved(equations: Any, start: Any) -> None:
    with pytest.raises(UncertifiedRootError, match="no root is proved near"):
        certify_root(equations, [x], start)


def test_two_close_roots_need_the_digits_to_tell_them_apart() -> None:
    gap = Q(1, 10**12)
    equation = (x - 1) * (x - 1 - gap)
    root = certify_root([equation], [x], [Q(1) - gap / 10])
    assert 1 in root[x]
    assert 1 + gap not in root[x]
    with pytest.raises(UncertifiedRootError):  # a box of this width would hold both
        certify_root([equation], [x], [Q(1) - gap / 10], digits=8)


def test_error_tells_start_and_reason() -> None:
    with pytest.raises(UncertifiedRootError) as caught:
        certify_root([x**2 + 1], [x], [0.5])
    assert caught.value.start == (0.5,)
    assert "converge" in caught.value.reason or "diverge" in caught.value.reason


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="as many equations as unknowns"):
        certify_root([x, y], [x], [0])
    with pytest.raises(ValueError, match="contain y, which is not among the unknowns"):
        certify_root([x - y], [x], [0])
    with pytest.raises(ValueError, match=r"exact rationals, got y = 0\.5"):
        certify_root([x - y], [x], [0], fixed={y: 0.5})
    with pytest.raises(ValueError, match="digits must be at least 1"):
        certify_root([x], [x], [0], digits=0)
    with pytest.raises(ValueError, match="exact coefficients, got the float"):
        certify_root([x - 0.1], [x], [0])


def test_fixed_values_are_exact() -> None:
    root = certify_root([x**2 - y], [x], [1.1], fixed={y: Q(4, 3)}, digits=40)
    assert 2 / sympy.sqrt(3) in root[x]
    assert root[y] == Enclosure(Q(4, 3), Q(4, 3))
    assert sympy.sqrt(Q(4, 3)) + Q(4, 3) in root.enclose(x + y)[0]


def test_intervals_hold_what_rational_arithmetic_gives() -> None:
    # A property of the printer and the rounding: exact values at exact points lie inside.
    random = Random(1)
    expression = (x**3 - Q(2, 7) * x * y**2 + Q(1, 3)) / (x**2 + y**-2 + 1) - Q(5, 9)
    function = compile_expressions([expression], [x, y])
    for digits in (10, 40):
        context = interval_context(digits)
        for _ in range(50):
            point = [Q(random.randint(-99, 99), random.randint(1, 97)) for _ in range(2)]
            if point[1] == 0:
                continue
            exact = expression.subs(dict(zip((x, y), point, strict=True)))
            enclosure = to_enclosure(
                function(context, *(to_interval(context, v) for v in point))[0]
            )
            assert exact in enclosure
            assert enclosure.width < Q(1, 10 ** (digits - 8))


def test_enclosures_hold_the_whole_range() -> None:
    interval = Enclosure(Q(-1, 2), Q(1, 3))
    (square,) = enclose([x**2], {x: interval})
    for share in range(11):
        assert (interval.lower + share * interval.width / 10) ** 2 in square
    with pytest.raises(ValueError, match="divided by zero"):
        enclose([1 / x], {x: interval})


def test_positive_definite_only_if_proved() -> None:
    root = certify_root([x**2 - 2, y - 1], [x, y], [1.4, 1])
    assert root.is_positive_definite(sympy.Matrix([[x, 1], [1, y]]))  # determinant √2 − 1
    assert not root.is_positive_definite(sympy.Matrix([[1, x], [x, y]]))  # 1 − 2 < 0
    assert not root.is_positive_definite(sympy.Matrix([[x**2, 2], [2, 2 * y]]))  # zero: singular
    assert not root.is_positive_definite(sympy.Matrix([[-y, 0], [0, 1]]))
    assert root.is_positive(x - 1, 2 - x)
    assert not root.is_positive(x**2 - 2)


def test_no_global_precision_is_touched() -> None:
    before = mpmath.mp.prec, mpmath.iv.prec
    certify_root([x**2 - 2], [x], [1.4], digits=200)
    assert (mpmath.mp.prec, mpmath.iv.prec) == before


def test_decimals_are_those_that_both_ends_share() -> None:
    assert Enclosure(Q(12344, 10**4), Q(12346, 10**4)).decimal() == "1.23"  # 1.234 and 1.235
    assert Enclosure(Q(-1, 3), Q(-1, 3)).decimal(4) == "-0.3333"
    assert Enclosure(Q(5), Q(5)).decimal(0) == "5"
    assert Enclosure(Q(0), Q(9)).decimal() == "[0.000000, 9.000000]"
    assert float(Enclosure(Q(1), Q(2))) == Fraction(3, 2)
    assert Enclosure(Q(-1), Q(1)).sign is None
    assert [Enclosure(Q(k), Q(k)).sign for k in (-1, 0, 1)] == [-1, 0, 1]
