"""Losses and boundaries near the ends of the density range, as series with exact coefficients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy
from sympy.polys.ring_series import rs_series_inversion, rs_trunc

from ..configurations import Configuration
from ..inputs import as_exact
from ..symbols import s

__all__ = ["Asymptotics", "StationarySeries", "asymptotics", "stationary_series"]


@dataclass(frozen=True)
class Asymptotics:
    """The first terms of a series in the distance t of the density from one end.

    Attributes
    ----------
    terms
        Pairs (power, coefficient) in ascending order, coefficients not zero.
    order
        Powers below this are all present: the remainder is O(t^order).
    symbol
        The density s.
    point
        0 for t = s, 1 for t = 1 − s.
    """

    terms: tuple[tuple[sympy.Rational, sympy.Expr], ...]
    order: int
    symbol: sympy.Symbol
    point: int

    @property
    def variable(self) -> sympy.Expr:
        """The distance t from the end."""
        return self.symbol if self.point == 0 else 1 - self.symbol

    @property
    def series(self) -> sympy.Expr:
        """The sum of the terms."""
        return sympy.Add(*(c * self.variable**power for power, c in self.terms))

    def text(self) -> str:
        """Return the series with its order, ascending."""
        t = f"({self.variable})" if self.point else str(self.variable)
        written = self._written(str, t, "**{}", "*")
        return " + ".join([*written, f"O({t}**{self.order})"]).replace("+ -", "- ")

    def latex(self) -> str:
        """Return the series with its order, ascending, as a formula."""
        t = f"({self.variable})" if self.point else str(self.variable)
        written = self._written(sympy.latex, t, "^{{{}}}", "\\,")
        return " + ".join([*written, f"O({t}^{{{self.order}}})"]).replace("+ -", "- ")

    def _written(self, show: Any, t: str, exponent: str, times: str) -> list[str]:
        written = []
        for power, coefficient in self.terms:
            factor = f"({show(coefficient)})" if coefficient.is_Add else show(coefficient)
            variable = t if power == 1 else t + exponent.format(power)
            written.append(factor if power == 0 else f"{factor}{times}{variable}")
        return written

    def __str__(self) -> str:
        """Return the text."""
        return self.text()

    def _repr_markdown_(self) -> str:
        return f"$${self.latex()}$$"


def asymptotics(
    target: Any,
    *,
    point: int = 0,
    order: int = 4,
    symbol: sympy.Symbol = s,
    importance: Any = None,
) -> Asymptotics:
    """Return a series of a loss, or of any expression in the density, at s = 0 or s = 1.

    Parameters
    ----------
    target
        An expression in `symbol`, such as a loss or the right side of a phase boundary, or a
        `Configuration`, whose loss is taken. Of a Piecewise the piece next to the point is meant.
    point
        0 or 1.
    order
        All powers below `order` of the distance from the point are returned.
    symbol
        The density.
    importance
        Importances for a `Configuration`, as in `expected_loss`; ``None`` is its default.

    Raises
    ------
    ValueError
        If `point` is neither 0 nor 1, or the expression has no series in powers at the point.

    Examples
    --------
    >>> from superposition.theory import candidates, phase_boundary
    >>> from superposition.theory.limits.asymptotics import asymptotics
    >>> first, last, both = candidates(2, 1)
    >>> print(asymptotics(phase_boundary(last, both)[0]))
    1/2*s + 5/8*s**2 + 25/32*s**3 + O(s**4)
    """
    if point not in (0, 1):
        raise ValueError(f"point must be 0 or 1, an end of the density range, got {point!r}")
    if isinstance(target, Configuration):
        given = {} if importance is None else {"importance": importance}
        target = target.loss(density=symbol, **given)
    expression = _nearest_piece(as_exact(target, "target"), symbol, point)
    t = sympy.Dummy("t", positive=True)
    moved = sympy.cancel(sympy.together(expression.subs(symbol, 1 - t if point else t)))
    try:
        expanded = sympy.series(moved, t, 0, order).removeO()
    except (ValueError, NotImplementedError, sympy.PoleError) as error:
        raise ValueError(f"{target} has no series in powers of the density at {point}") from error
    return Asymptotics(_powers(expanded, t, order), order, symbol, point)


def _powers(
    expanded: sympy.Expr, t: sympy.Symbol, order: int
) -> tuple[tuple[sympy.Rational, sympy.Expr], ...]:
    collected = sympy.collect(sympy.expand(expanded), t, evaluate=False)
    terms = []
    for monomial, coefficient in collected.items():
        power = monomial.as_base_exp()[1] if monomial.has(t) else sympy.S.Zero
        if coefficient.has(t) or not power.is_Rational:
            raise ValueError(f"{expanded} is no sum of powers of the distance from the point")
        if power < order and coefficient != 0:
            terms.append((power, coefficient))
    return tuple(sorted(terms, key=lambda term: term[0]))


def _nearest_piece(expression: sympy.Expr, symbol: sympy.Symbol, point: int) -> sympy.Expr:
    """Return the branch of a Piecewise that holds next to the point."""
    if not expression.has(sympy.Piecewise):
        return expression
    folded = sympy.piecewise_fold(expression)
    relations = folded.atoms(sympy.core.relational.Relational)
    ends = {side for relation in relations for side in relation.args if side.is_number} | {0, 1}
    distances = [abs(sympy.Rational(sympy.N(end - point, 30))) for end in ends if end != point]
    near = abs(point - min(distances) / 2)
    for branch, condition in folded.args:
        if condition.subs(symbol, near) == sympy.true:
            return branch
    raise ValueError(f"{expression} has no branch next to {symbol} = {point}")


@dataclass(frozen=True)
class StationarySeries:
    """A stationary point of a loss as a series in the density, and the loss there.

    Attributes
    ----------
    unknowns
        A series for each parameter.
    loss
        The loss at the stationary point.
    """

    unknowns: Mapping[sympy.Symbol, Asymptotics]
    loss: Asymptotics


def stationary_series(
    loss: sympy.Expr,
    start: Mapping[sympy.Symbol, Any],
    *,
    order: int = 5,
    symbol: sympy.Symbol = s,
) -> StationarySeries:
    """Solve ∂L/∂θ = 0 by power series in the density, from the solution at density 0.

    Newton's method on power series: each step is exact up to a power that grows.
    The result is checked by substitution.

    Parameters
    ----------
    loss
        A quotient of polynomials in the parameters and the density, in one chamber.
    start
        The value of each parameter at density 0, rational. The Jacobian of ∂L/∂θ may be singular at
        density 0, but not as a series.
    order
        Powers of each parameter below `order`, and of the loss below order + 2, are returned.
    symbol
        The density.

    Raises
    ------
    ValueError
        If there is no such series from this start, or the loss is not as described.

    Examples
    --------
    A dropped feature is best reconstructed by its mean:

    >>> from superposition.theory import expected_loss
    >>> from superposition.theory.limits.asymptotics import stationary_series
    >>> beta = sympy.Symbol("beta", positive=True)
    >>> best = stationary_series(expected_loss([[1, 0]], [0, beta]), {beta: 0})
    >>> best.unknowns[beta].series, best.loss.series
    (s/2, -s**2/4 + s/3)
    """
    parameters = tuple(start)
    values = [as_exact(value, str(name)) for name, value in start.items()]
    if loss.free_symbols - {*parameters, symbol} or not all(v.is_Rational for v in values):
        raise ValueError(
            f"the loss must depend on {', '.join(map(str, parameters))} and {symbol} alone, with "
            f"rational starting values; got {loss} and {dict(start)}"
        )
    system = _System(loss, parameters, symbol, precision=2 * order + 4)
    solution = system.solve(values)
    if system.valuation(solution) < order + 1:
        raise ValueError(f"no stationary point of {loss} is a power series from {dict(start)}")
    series = {
        name: _asymptotics(value, order, symbol)
        for name, value in zip(parameters, solution, strict=True)
    }
    return StationarySeries(series, _asymptotics(system.value(solution), order + 2, symbol))


def _asymptotics(element: Any, order: int, symbol: sympy.Symbol) -> Asymptotics:
    terms = ((sympy.Integer(power), sympy.QQ.to_sympy(c)) for (power,), c in element.terms())
    ascending = sorted((power, c) for power, c in terms if power < order)
    return Asymptotics(tuple(ascending), order, symbol, 0)


class _System:
    """The equations ∂L/∂θ = 0 with denominators cleared, evaluated on truncated power series."""

    def __init__(
        self,
        loss: sympy.Expr,
        parameters: Sequence[sympy.Symbol],
        symbol: sympy.Symbol,
        precision: int,
    ) -> None:
        self.precision = precision
        self.ring, self.t = sympy.ring(symbol, sympy.QQ)[:2]
        self.generators = (*parameters, symbol)
        self.loss = self._quotient(loss)
        self.equations = [self._quotient(sympy.diff(loss, name))[0] for name in parameters]
        self.jacobian = [[e.diff(name) for name in parameters] for e in self.equations]

    def _quotient(self, expression: sympy.Expr) -> tuple[sympy.Poly, sympy.Poly]:
        top, bottom = sympy.fraction(sympy.cancel(sympy.together(expression)))
        if not (top.is_polynomial(*self.generators) and bottom.is_polynomial(*self.generators)):
            raise ValueError(f"the loss must be a quotient of polynomials, got {expression}")
        return tuple(sympy.Poly(part, *self.generators, domain="QQ") for part in (top, bottom))

    def _at(self, polynomial: sympy.Poly, point: Sequence[Any]) -> Any:
        """Evaluate a polynomial on series."""
        total = self.ring.zero
        for powers, coefficient in polynomial.rep.terms():
            term = self.ring(coefficient)
            for base, power in zip((*point, self.t), powers, strict=True):
                for _ in range(power):
                    term = rs_trunc(term * base, self.t, self.precision)
            total += term
        return total

    def solve(self, start: Sequence[sympy.Rational]) -> list[Any]:
        point = [self.ring(sympy.QQ.from_sympy(value)) for value in start]
        for _ in range(self.precision):
            step = self._newton_step(point)
            if not any(step):
                break
            if any(change and _valuation(change) == 0 for change in step):
                raise ValueError(
                    f"start is not where a stationary point goes at density 0: the parameters "
                    f"{', '.join(map(str, self.generators[:-1]))} move away from it"
                )
            point = [value - change for value, change in zip(point, step, strict=True)]
        return point

    def _newton_step(self, point: Sequence[Any]) -> list[Any]:
        residual = [self._at(equation, point) for equation in self.equations]
        jacobian = [[self._at(entry, point) for entry in row] for row in self.jacobian]
        determinant = rs_trunc(_determinant(jacobian), self.t, self.precision)
        if not determinant:
            raise ValueError("the Hessian of the loss is singular as a power series")
        changes = []
        for column in range(len(point)):
            replaced = [
                [value if j == column else entry for j, entry in enumerate(row)]
                for row, value in zip(jacobian, residual, strict=True)
            ]
            changes.append(self._divide(_determinant(replaced), determinant))
        return changes

    def _divide(self, top: Any, bottom: Any) -> Any:
        """Divide two series; terms that the precision of neither supports are dropped."""
        shift = _valuation(bottom)
        top = rs_trunc(top, self.t, self.precision)
        if not top:
            return self.ring.zero
        if _valuation(top) < shift:
            raise ValueError("no stationary point is a power series from this start")
        known = self.precision - shift
        inverse = rs_series_inversion(_shifted(bottom, shift), self.t, known)
        return rs_trunc(_shifted(top, shift) * inverse, self.t, known)

    def valuation(self, point: Sequence[Any]) -> int:
        """Return the lowest power that is left in any equation."""
        return min(
            _valuation(left) if (left := self._at(equation, point)) else self.precision
            for equation in self.equations
        )

    def value(self, point: Sequence[Any]) -> Any:
        """Return the loss."""
        top, bottom = (self._at(part, point) for part in self.loss)
        return self._divide(top, bottom)


def _determinant(rows: Sequence[Sequence[Any]]) -> Any:
    if len(rows) == 1:
        return rows[0][0]
    return sum(
        (-1) ** j * rows[0][j] * _determinant([[*row[:j], *row[j + 1 :]] for row in rows[1:]])
        for j in range(len(rows))
    )


def _valuation(element: Any) -> int:
    return int(min(power for (power,) in element))


def _shifted(element: Any, by: int) -> Any:
    return element.ring.from_dict({(power - by,): c for (power,), c in element.items()})
