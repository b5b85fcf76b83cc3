"""Numbers that a user types."""

from __future__ import annotations

import pytest
import sympy

from superposition.literals import parse_matrix, parse_number, parse_vector


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", sympy.Integer(1)),
        (" -3/4 ", sympy.Rational(-3, 4)),
        ("0.1", sympy.Rational(1, 10)),
        ("1e-3", sympy.Rational(1, 1000)),
        ("sqrt(5)/2", sympy.sqrt(5) / 2),
        ("(1+sqrt(5))/2", sympy.GoldenRatio.rewrite(sympy.sqrt)),
        ("2**-1", sympy.Rational(1, 2)),
        ("2**(1/2)", sympy.sqrt(2)),
    ],
)
def test_exact_values(text: str, value: sympy.Expr) -> None:
    assert sympy.simplify(parse_number(text) - value) == 0


@pytest.mark.parametrize(
    "text",
    ["x", "", "nan", "inf", "1/0", "sqrt(-1)", "True", "__import__('os')", "1,2", "2**99999",
     "exit()", "[1]", "'1'", "1j", "lambda: 1", "9**9**9**9"],
)  # fmt: skip
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a number; accepted are forms such as"):
        parse_number(text)


def test_vectors_and_matrices() -> None:
    assert parse_vector("1/10,0") == [sympy.Rational(1, 10), 0]
    assert parse_matrix("1,0; 0,-1") == [[1, 0], [0, -1]]
    with pytest.raises(ValueError, match="have 2, 1 entries; all rows need the same number"):
        parse_matrix("1,0;0")
    with pytest.raises(ValueError, match="'x' is not a number"):
        parse_matrix("1,x")
