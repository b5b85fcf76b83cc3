"""Read exact numbers, vectors and matrices that a user typed, without evaluating code."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any, Final

import sympy

__all__ = ["parse_matrix", "parse_number", "parse_vector"]

_BINARY: Final[dict[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}
_UNARY: Final[dict[type[ast.unaryop], Callable[[Any], Any]]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}
_LARGEST_EXPONENT: Final = 64


def _evaluate(node: ast.expr, text: str) -> sympy.Expr:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            # The digits as typed: 0.1 is one tenth, not the nearest float.
            return sympy.Rational(ast.get_source_segment(text, node))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_evaluate(operand, text))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            first, second = _evaluate(left, text), _evaluate(right, text)
            if isinstance(op, ast.Pow) and not (
                second.is_Rational and abs(second) <= _LARGEST_EXPONENT
            ):
                raise ValueError
            return _BINARY[type(op)](first, second)
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument], keywords=[]):
            return sympy.sqrt(_evaluate(argument, text))
        case _:
            raise ValueError


def parse_number(text: str) -> sympy.Expr:
    """Read one exact real number: digits, fractions, decimals, + - * / ** and ``sqrt``.

    Raises
    ------
    ValueError
        If the text is anything else, or not a finite real number.

    Examples
    --------
    >>> parse_number("-3/4"), parse_number("0.1"), parse_number("sqrt(5)/2")
    (-3/4, 1/10, sqrt(5)/2)
    """
    stripped = text.strip()
    try:
        value = _evaluate(ast.parse(stripped, mode="eval").body, stripped)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        value = sympy.nan
    if not (value.is_real and value.is_finite):
        raise ValueError(
            f"{text.strip()!r} is not a number; accepted are forms such as 1, -3/4, 0.25, sqrt(5)/2"
        )
    return value


def parse_vector(text: str) -> list[sympy.Expr]:
    """Read numbers separated by commas.

    Raises
    ------
    ValueError
        If an entry is not a number.

    Examples
    --------
    >>> parse_vector("1/10, 0")
    [1/10, 0]
    """
    return [parse_number(entry) for entry in text.split(",")]


def parse_matrix(text: str) -> list[list[sympy.Expr]]:
    """Read rows separated by semicolons, entries by commas.

    Raises
    ------
    ValueError
        If an entry is not a number or the rows differ in length.

    Examples
    --------
    >>> parse_matrix("1,-1/2,-1/2; 0,sqrt(3)/2,-sqrt(3)/2")[0]
    [1, -1/2, -1/2]
    """
    rows = [parse_vector(row) for row in text.split(";")]
    lengths = [len(row) for row in rows]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"the rows of {text!r} have {', '.join(map(str, lengths))} entries; "
            "all rows need the same number (rows are separated by ;, entries by ,)"
        )
    return rows
