"""Fast evaluation of exact expressions in floats, in high precision and in intervals.

A loss in a chamber is a sum of quotients of polynomials. Those are evaluated term by term from
tables of powers, with derivatives by the quotient rule: no derivative is ever simplified, which
would take longer than all evaluations together. What contains roots or cosines of numbers is
printed as code and compiled.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
from sympy.polys.polyerrors import BasePolynomialError
from sympy.polys.rings import PolyElement, ring
from sympy.printing.pycode import PythonCodePrinter

__all__ = ["FloatContext", "compile_expressions", "compile_with_jacobian"]

Function = Callable[..., list[Any]]


class FloatContext:
    """Double precision behind the names that mpmath's contexts have."""

    mpf = float
    pi = math.pi
    sqrt = staticmethod(math.sqrt)
    cos = staticmethod(math.cos)
    sin = staticmethod(math.sin)


@dataclass(frozen=True)
class _Quotient:
    """Numerator over denominator, both sparse polynomials."""

    above: PolyElement
    below: PolyElement


def compile_expressions(
    expressions: Sequence[sympy.Expr], symbols: Sequence[sympy.Symbol]
) -> Function:
    """Return a function (ctx, *values) that evaluates expressions in any mpmath-like context.

    With an interval context the result is a proof, with `MPContext` it has as many digits as
    that, with `FloatContext` it is fast.

    Parameters
    ----------
    expressions
        Built from rationals, square roots and cosines of numbers, sums, products and powers.
    symbols
        The arguments.

    Raises
    ------
    ValueError
        If an expression contains a float or a power that is neither whole nor half.

    Examples
    --------
    >>> x = sympy.Symbol("x")
    >>> compile_expressions([x**2 / 3, 1 / x], [x])(FloatContext, 3.0)
    [3.0, 0.3333333333333333]
    """
    _refuse_floats(expressions)
    try:
        quotients = _as_quotients(expressions, symbols)
    except BasePolynomialError:
        return _compile_code(expressions, symbols)

    def function(ctx: Any, *values: Any) -> list[Any]:
        table = _Powers(ctx, values)
        return [_sum_of_quotients(table, parts) for parts in quotients]

    return function


def compile_with_jacobian(
    expressions: Sequence[sympy.Expr], symbols: Sequence[sympy.Symbol], unknowns: int
) -> Function:
    """Return a function like `compile_expressions`, of the expressions and then their Jacobian.

    The Jacobian is by rows, in the first `unknowns` symbols.
    """
    _refuse_floats(expressions)
    try:
        quotients = _as_quotients(expressions, symbols)
    except BasePolynomialError:
        derivatives = [sympy.diff(e, x) for e in expressions for x in symbols[:unknowns]]
        return _compile_code([*expressions, *derivatives], symbols)
    slopes = [
        [[(p.above.diff(x), p.below.diff(x)) for p in parts] for x in range(unknowns)]
        for parts in quotients
    ]

    def function(ctx: Any, *values: Any) -> list[Any]:
        table = _Powers(ctx, values)
        results = [_sum_of_quotients(table, parts) for parts in quotients]
        for parts, rows in zip(quotients, slopes, strict=True):
            known = [(table.value(p.above), table.value(p.below)) for p in parts]
            results += [_slope(table, known, row) for row in rows]
        return results

    return function


def _refuse_floats(expressions: Sequence[sympy.Expr]) -> None:
    for expression in expressions:
        for number in sympy.sympify(expression).atoms(sympy.Float):
            raise ValueError(f"expected exact coefficients, got the float {number}; use Rational")


def _as_quotients(
    expressions: Sequence[sympy.Expr], symbols: Sequence[sympy.Symbol]
) -> list[list[_Quotient]]:
    polynomials = ring(list(symbols), sympy.QQ)[0]
    return [_quotients(sympy.sympify(expression), polynomials) for expression in expressions]


def _quotients(expression: sympy.Expr, polynomials: Any) -> list[_Quotient]:
    """Return the summands, those with equal denominators added up."""
    by_denominator: dict[PolyElement, PolyElement] = {}
    for term in sympy.Add.make_args(expression):
        above, below = sympy.fraction(term)
        try:
            pair = _polynomial(above, polynomials), _polynomial(below, polynomials)
        except BasePolynomialError:
            above, below = sympy.fraction(sympy.together(term))
            pair = _polynomial(above, polynomials), _polynomial(below, polynomials)
        by_denominator[pair[1]] = by_denominator.get(pair[1], polynomials.zero) + pair[0]
    return [_Quotient(above, below) for below, above in by_denominator.items()]


def _polynomial(expression: sympy.Expr, polynomials: Any) -> PolyElement:
    try:
        return polynomials.from_expr(expression)
    except ValueError as error:
        raise BasePolynomialError(str(error)) from None


class _Powers:
    """Powers of the arguments, each computed once."""

    def __init__(self, ctx: Any, values: Sequence[Any]) -> None:
        self.ctx = ctx
        self.values = values
        self.known: dict[tuple[int, int], Any] = {}

    def power(self, index: int, exponent: int) -> Any:
        key = index, exponent
        if key not in self.known:
            self.known[key] = self.values[index] ** exponent
        return self.known[key]

    def value(self, polynomial: PolyElement) -> Any:
        # A number of the context from the start: integers of Python would divide to floats.
        total = self.ctx.mpf(0)
        for exponents, coefficient in polynomial.terms():
            term = self._number(coefficient)
            for index, exponent in enumerate(exponents):
                if exponent:
                    term = term * self.power(index, exponent)
            total = total + term
        return total

    def _number(self, coefficient: Any) -> Any:
        above, below = int(coefficient.numerator), int(coefficient.denominator)
        # Integers of Python are exact in every context; a quotient has to be rounded by it.
        return above if below == 1 else self.ctx.mpf(above) / below


def _sum_of_quotients(table: _Powers, parts: Sequence[_Quotient]) -> Any:
    total = table.ctx.mpf(0)
    for part in parts:
        total = total + table.value(part.above) / table.value(part.below)
    return total


def _slope(table: _Powers, known: Sequence[tuple[Any, Any]], row: Sequence[Any]) -> Any:
    """Return Σ (N′ − N D′/D)/D."""
    total = table.ctx.mpf(0)
    for (above, below), (above_slope, below_slope) in zip(known, row, strict=True):
        slope = table.value(above_slope)
        if below_slope:
            slope = slope - above * table.value(below_slope) / below
        total = total + slope / below
    return total


class _ContextPrinter(PythonCodePrinter):  # type: ignore[misc]
    """Print code in which every number that is no integer is made by the context ``ctx``.

    The standard printer would write 1/3 as a rounded float, after which nothing is proved.
    """

    def _print_Rational(self, expr: Any) -> str:
        return f"(ctx.mpf({expr.p})/{expr.q})"

    _print_Half = _print_Rational

    def _print_Pow(self, expr: Any, rational: bool = False) -> str:
        base = self._print(expr.base)
        if expr.exp.is_Integer:
            return f"({base})**({expr.exp})"
        if abs(expr.exp) == sympy.S.Half:
            # ctx.mpf, because √5 of a context is to be that context's number
            root = f"ctx.sqrt(ctx.mpf({base}))"
            return root if expr.exp.is_positive else f"(1/{root})"
        raise ValueError(f"expected powers with integer or half exponents, got {expr}")

    def _print_cos(self, expr: Any) -> str:
        return f"ctx.cos({self._print(expr.args[0])})"

    def _print_sin(self, expr: Any) -> str:
        return f"ctx.sin({self._print(expr.args[0])})"

    def _print_Pi(self, expr: Any) -> str:
        return "ctx.pi"


def _compile_code(expressions: Sequence[sympy.Expr], symbols: Sequence[sympy.Symbol]) -> Function:
    settings = {"fully_qualified_modules": False, "inline": True, "allow_unknown_functions": True}
    function: Function = sympy.lambdify(
        (sympy.Symbol("ctx"), *symbols),
        list(expressions),
        modules=[{}],
        printer=_ContextPrinter(settings),
        cse=True,
    )
    return function
