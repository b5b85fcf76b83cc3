"""Read exact numbers, vectors and matrices that a user typed, without evaluating code."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any, Final

import sympy

__all__ = [
    "parse_assignments",
    "parse_expression",
    "parse_matrix",
    "parse_number",
    "parse_sets",
    "parse_vector",
]

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
_NO_LETTERS: Final = ("nan", "inf", "infinity", "oo", "zoo")


Names = Callable[[str], sympy.Expr]


def _no_name(name: str) -> sympy.Expr:
    raise ValueError


def _evaluate(node: ast.expr, text: str, names: Names) -> sympy.Expr:
    match node:
        case ast.Name(id=name):
            return names(name)
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            # The digits as typed: 0.1 is one tenth, not the nearest float.
            return sympy.Rational(ast.get_source_segment(text, node))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _UNARY[type(op)](_evaluate(operand, text, names))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            first, second = (_evaluate(part, text, names) for part in (left, right))
            if isinstance(op, ast.Pow) and not (
                second.is_Rational and abs(second) <= _LARGEST_EXPONENT
            ):
                raise ValueError
            return _BINARY[type(op)](first, second)
        case ast.Call(func=ast.Name(id="sqrt"), args=[argument], keywords=[]):
            return sympy.sqrt(_evaluate(argument, text, names))
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
    value = _value(text, _no_name)
    if not (value.is_real and value.is_finite):
        raise ValueError(
            f"{text.strip()!r} is not a number; accepted are forms such as 1, -3/4, 0.25, sqrt(5)/2"
        )
    return value


def _value(text: str, names: Names) -> sympy.Expr:
    stripped = text.strip()
    try:
        return _evaluate(ast.parse(stripped, mode="eval").body, stripped, names)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError):
        return sympy.nan


def _symbol(name: str) -> sympy.Expr:
    """Return the symbol of the theory that a name stands for, or a real one of that name."""
    from .theory import lam, r, s

    if name.lower() in _NO_LETTERS:
        raise ValueError
    known = {"s": s, "r": r, "lam": lam}
    return known[name] if name in known else sympy.Symbol(name, real=True)


def parse_expression(text: str) -> sympy.Expr:
    """Read a number, or an expression in letters: s is the density, r the relative importance.

    Raises
    ------
    ValueError
        If the text is anything else, or not finite and real.

    Examples
    --------
    >>> parse_expression("2*s/(4 - 5*s)")
    2*s/(4 - 5*s)
    """
    value = _value(text, _symbol)
    if value.has(sympy.nan, sympy.zoo, sympy.oo) or value.is_real is False:
        raise ValueError(
            f"{text.strip()!r} is not an expression; accepted are numbers such as -3/4, 0.25, "
            f"sqrt(5)/2, letters, and + - * / ** between them"
        )
    return value


def parse_vector(text: str, parse: Callable[[str], sympy.Expr] = parse_number) -> list[sympy.Expr]:
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
    return [parse(entry) for entry in text.split(",")]


def parse_assignments(text: str) -> dict[sympy.Symbol, sympy.Expr]:
    """Read values of symbols: ``a=9/10, beta=0.1``.

    Raises
    ------
    ValueError
        If a part is no assignment of a number to a letter, or a letter is given twice.

    Examples
    --------
    >>> parse_assignments("a=9/10, b=0.1")
    {a: 9/10, b: 1/10}
    """
    values = {}
    for part in text.split(","):
        name, equals, number = part.partition("=")
        symbol = _value(name, _symbol)
        if not equals or not symbol.is_Symbol:
            raise ValueError(f"{part.strip()!r} is not of the form LETTER=NUMBER, such as a=9/10")
        if symbol in values:
            raise ValueError(f"{symbol} is given twice in {text!r}")
        values[symbol] = parse_number(number)
    return values


def parse_sets(text: str) -> list[tuple[int, ...]]:
    """Read sets of features: ``0,1; 2,3``, counted from 0.

    Raises
    ------
    ValueError
        If an entry is no whole number.

    Examples
    --------
    >>> parse_sets("0,1; 2,3")
    [(0, 1), (2, 3)]
    """
    try:
        return [tuple(int(entry) for entry in part.split(",")) for part in text.split(";")]
    except ValueError:
        raise ValueError(
            f"{text!r} is not a list of sets of features, such as 0,1; 2,3 (counted from 0)"
        ) from None


def parse_matrix(
    text: str, parse: Callable[[str], sympy.Expr] = parse_number
) -> list[list[sympy.Expr]]:
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
    rows = [parse_vector(row, parse) for row in text.split(";")]
    lengths = [len(row) for row in rows]
    if len(set(lengths)) > 1:
        raise ValueError(
            f"the rows of {text!r} have {', '.join(map(str, lengths))} entries; "
            "all rows need the same number (rows are separated by ;, entries by ,)"
        )
    return rows
