"""Where one configuration takes over from another in the (density, relative importance) plane.

For importances (1, …, 1, r) every loss is A(s) + r B(s) with polynomials A and B, so that two
losses meet on a curve r(s) that is a quotient of polynomials, or on lines of constant s. On which
part of it the two are also the lowest of all is decided by isolating real roots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import sympy

from ..features import FeatureDistribution
from .cells import cells, real_roots_between
from .configurations import Configuration
from .fields import sign_of_number
from .symbols import r, s

__all__ = ["PhaseBoundary", "TriplePoint", "boundaries", "phase_boundary", "triple_points"]

_RANGES = {s: sympy.Interval.Lopen(0, 1), r: sympy.Interval.open(0, sympy.oo)}


@dataclass(frozen=True)
class PhaseBoundary:
    """A stretch on which two configurations are jointly the lowest of all that were given.

    Attributes
    ----------
    first, second
        The two configurations.
    solve_for
        The symbol on the left of the boundary's equation: `r`, or `s` for a line of constant
        density.
    solution
        Its value, a function of the other symbol.
    valid
        The range of the other symbol on which this is a boundary of the diagram.
    """

    first: Configuration
    second: Configuration
    solve_for: sympy.Symbol
    solution: sympy.Expr
    valid: sympy.Set

    @property
    def equation(self) -> sympy.Eq:
        """The boundary as an equation, such as Eq(r, 2*s/(4 − 5*s))."""
        return sympy.Eq(self.solve_for, self.solution)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {sympy.latex(self.equation)}$"

    @property
    def density_range(self) -> sympy.Set:
        """The densities of the boundary's points."""
        return self.valid if self.solve_for == r else sympy.FiniteSet(self.solution)


@dataclass(frozen=True)
class TriplePoint:
    """A point at which three or more configurations are jointly the lowest.

    Unpacks as ``r, s``.

    Attributes
    ----------
    r, s
        Relative importance and density, exact.
    configurations
        All that are lowest there.
    loss
        Their common loss.
    """

    r: sympy.Expr
    s: sympy.Expr
    configurations: tuple[Configuration, ...]
    loss: sympy.Expr

    def __iter__(self) -> Iterator[sympy.Expr]:
        """Yield r and s."""
        return iter((self.r, self.s))


def phase_boundary(
    first: Configuration,
    second: Configuration,
    *,
    solve_for: sympy.Symbol = r,
    activation: str = "relu",
    penalty: Any = 0,
    features: FeatureDistribution | None = None,
) -> list[sympy.Expr]:
    """Return where two configurations have the same loss, solved for one symbol.

    Parameters
    ----------
    first, second
        Configurations of the same numbers of features.
    solve_for
        `r`, `s`, or a symbol in `penalty`.
    activation, penalty, features
        As in `expected_loss`.

    Returns
    -------
    list of sympy.Expr
        Solutions that lie in the symbol's range (0 < s ≤ 1, r > 0) for some value of the other
        symbol in its range. Empty if there is none. Whether the two configurations are the lowest
        there is another question: `boundaries` answers it.

    Raises
    ------
    ValueError
        If the losses are equal everywhere or not polynomial.

    Examples
    --------
    The boundary of the theory notebook of Elhage et al. 2022, and its mirror image:

    >>> from superposition.theory import candidates, phase_boundary, s
    >>> first, last, both = candidates(2, 1)
    >>> phase_boundary(last, both), phase_boundary(first, both)
    ([2*s/(4 - 5*s)], [(4 - 5*s)/(2*s)])
    >>> phase_boundary(last, both, solve_for=s)
    [4*r/(5*r + 2)]
    """
    difference = sympy.expand(
        first.loss(activation=activation, penalty=penalty, features=features)
        - second.loss(activation=activation, penalty=penalty, features=features)
    )
    if difference == 0:
        raise ValueError(f"{first.name} and {second.name} have the same loss everywhere")
    symbols = difference.free_symbols | {solve_for}
    if not difference.is_polynomial(*symbols):
        raise ValueError(
            f"the losses of {first.name} and {second.name} must be polynomials for their "
            f"boundary to be solved for, got the difference {difference}"
        )
    if solve_for not in difference.free_symbols:
        return []
    solutions = sympy.roots(sympy.Poly(difference, solve_for))
    return [
        _quotient(solution)
        for solution in solutions
        if _is_attained(solution, solve_for, difference)
    ]


def _quotient(expression: sympy.Expr) -> sympy.Expr:
    """Return a quotient whose denominator begins with a positive constant: 2s/(4 − 5s)."""
    numerator, denominator = sympy.fraction(sympy.cancel(expression))
    lowest = sympy.Poly(denominator, *denominator.free_symbols or {s}).terms()[-1][1]
    sign = -1 if lowest.is_negative else 1
    return sympy.expand(sign * numerator) / sympy.expand(sign * denominator)


def _is_attained(solution: sympy.Expr, symbol: sympy.Symbol, difference: sympy.Expr) -> bool:
    """Say whether a solution lies in its symbol's range for some value of the other symbol."""
    others = list(solution.free_symbols)
    if len(others) > 1:
        return True  # a surface; its range is for the caller to judge
    samples: list[dict[sympy.Symbol, sympy.Expr]] = [{}]
    if others:
        (other,) = others
        walls = [
            sympy.Poly(wall, other)
            for wall in (
                sympy.LC(difference, symbol),
                sympy.discriminant(difference, symbol),
                difference.subs(symbol, 0),
                difference.subs(symbol, 1),
            )
            if wall.has(other)
        ]
        range_ = _range(other)
        samples = [{other: cell.sample} for cell in cells(walls, range_.start, range_.end)]
    values = [solution.subs(sample) for sample in samples]
    return any(value.is_real and value in _range(symbol) for value in values)


def _range(symbol: sympy.Symbol) -> sympy.Interval:
    return _RANGES.get(symbol, sympy.Interval(0, sympy.oo))


@dataclass(frozen=True)
class _Line:
    """A loss A + r B, linear in the relative importance, with polynomials A and B in s."""

    configuration: Configuration
    constant: sympy.Poly
    slope: sympy.Poly

    def minus(self, other: _Line) -> tuple[sympy.Poly, sympy.Poly]:
        return self.constant - other.constant, self.slope - other.slope


def _lines(
    configurations: Sequence[Configuration],
    activation: str,
    penalty: Any,
    features: FeatureDistribution | None,
) -> list[_Line]:
    lines = []
    for configuration in configurations:
        loss = sympy.expand(
            configuration.loss(activation=activation, penalty=penalty, features=features)
        )
        if not loss.is_polynomial(r, s) or loss.free_symbols - {r, s}:
            raise ValueError(
                f"a diagram in (s, r) needs losses that are polynomials in s and r alone, "
                f"got {loss} for {configuration.name}"
            )
        constant, slope = loss.coeff(r, 0), loss.coeff(r, 1)
        lines.append(_Line(configuration, sympy.Poly(constant, s), sympy.Poly(slope, s)))
    return lines


def boundaries(
    configurations: Sequence[Configuration],
    *,
    activation: str = "relu",
    penalty: Any = 0,
    features: FeatureDistribution | None = None,
) -> tuple[PhaseBoundary, ...]:
    """Return all boundaries of the diagram in which each point goes to the lowest configuration.

    Parameters
    ----------
    configurations
        At least two, of the same numbers of features.
    activation, penalty, features
        As in `expected_loss`; the penalty a number.

    Returns
    -------
    tuple of PhaseBoundary
        With the exact range on which each one holds, within 0 < s ≤ 1 and r > 0. Points at which
        two configurations merely touch are not boundaries. Configurations with equal losses
        everywhere have no boundary with each other.

    Raises
    ------
    ValueError
        If a loss is not a polynomial in s and r.

    Examples
    --------
    >>> from superposition.theory import boundaries, candidates
    >>> for boundary in boundaries(candidates(2, 1)):
    ...     print(boundary.solution, boundary.valid)
    1 Interval(4/7, 1)
    (4 - 5*s)/(2*s) Interval.Lopen(0, 4/7)
    2*s/(4 - 5*s) Interval.Lopen(0, 4/7)
    """
    lines = _lines(configurations, activation, penalty, features)
    found = []
    for first, second in combinations(lines, 2):
        rivals = [line for line in lines if line is not first and line is not second]
        constant, slope = first.minus(second)
        if not slope.is_zero:
            found += _curve(first, second, rivals)
        elif not constant.is_zero:
            found += _verticals(first, second, rivals)
    return tuple(found)


def _curve(first: _Line, second: _Line, rivals: Sequence[_Line]) -> list[PhaseBoundary]:
    """Return the boundary r(s) = −(A₁ − A₂)/(B₁ − B₂) where r > 0 and no rival is lower."""
    constant, slope = first.minus(second)
    excesses = []
    for rival in rivals:
        rival_constant, rival_slope = rival.minus(first)
        # (A_k − A₁) + r (B_k − B₁) times the denominator of r
        excesses.append(rival_constant * slope - rival_slope * constant)
    solution = _quotient(-constant.as_expr() / slope.as_expr())

    def holds(density: sympy.Expr) -> bool:
        denominator = _sign(slope, density)
        return _sign(constant, density) * denominator < 0 and all(
            _sign(excess, density) * denominator >= 0 for excess in excesses
        )

    valid = _closed_where(holds, [constant, slope, *excesses], _RANGES[s])
    return (
        []
        if valid is sympy.S.EmptySet
        else [PhaseBoundary(first.configuration, second.configuration, r, solution, valid)]
    )


def _verticals(first: _Line, second: _Line, rivals: Sequence[_Line]) -> list[PhaseBoundary]:
    """Return the lines s = const on which A₁ = A₂, where no rival is lower."""
    constant, _ = first.minus(second)
    found = []
    for density in _densities([constant]):
        excesses = []
        for rival in rivals:
            parts = [sympy.expand(part.as_expr().subs(s, density)) for part in rival.minus(first)]
            excesses.append(sympy.Poly(parts[0] + r * parts[1], r, extension=True))

        def holds(importance: sympy.Expr, excesses: list[sympy.Poly] = excesses) -> bool:
            return all(_sign(excess, importance) >= 0 for excess in excesses)

        valid = _closed_where(holds, excesses, _RANGES[r])
        if valid is not sympy.S.EmptySet:
            found.append(
                PhaseBoundary(first.configuration, second.configuration, s, density, valid)
            )
    return found


def _sign(polynomial: sympy.Poly, value: sympy.Expr) -> int:
    return sign_of_number(polynomial.as_expr().subs(polynomial.gen, value))


def _densities(polynomials: Sequence[sympy.Poly]) -> list[sympy.Expr]:
    """Return the polynomials' roots in (0, 1]."""
    return [root for root in real_roots_between(polynomials, 0, 2) if root <= 1]


def _closed_where(
    holds: Callable[[sympy.Expr], bool], walls: Sequence[sympy.Poly], range_: sympy.Interval
) -> sympy.Set:
    """Return the union of the cells where a condition holds, with the ends where it holds."""
    parts = []
    for cell in cells(walls, range_.start, range_.end):
        if holds(cell.sample):
            opens = [end not in range_ or not holds(end) for end in (cell.lower, cell.upper)]
            parts.append(sympy.Interval(cell.lower, cell.upper, *opens))
    return sympy.Union(*parts)


def triple_points(
    configurations: Sequence[Configuration],
    *,
    activation: str = "relu",
    penalty: Any = 0,
    features: FeatureDistribution | None = None,
) -> tuple[TriplePoint, ...]:
    """Return the points (r, s) at which three or more configurations are jointly the lowest.

    Parameters and errors are those of `boundaries`. Points lie in 0 < s ≤ 1, r > 0.

    Returns
    -------
    tuple of TriplePoint
        In ascending order of the density, then of the importance.

    Examples
    --------
    >>> from superposition.theory import candidates, triple_points
    >>> [tuple(point) for point in triple_points(candidates(2, 1))]
    [(1, 4/7)]
    """
    lines = _lines(configurations, activation, penalty, features)
    found: dict[tuple[sympy.Expr, sympy.Expr], TriplePoint] = {}
    for triple in combinations(lines, 3):
        for importance, density in _meetings(*triple):
            found.setdefault((importance, density), _triple_point(importance, density, lines))
    points = [point for point in found.values() if len(point.configurations) > 2]
    return tuple(sorted(points, key=lambda point: (float(point.s), float(point.r))))


def _meetings(first: _Line, second: _Line, third: _Line) -> Iterator[tuple[sympy.Expr, sympy.Expr]]:
    constants, slopes = zip(first.minus(second), first.minus(third), strict=True)
    for density in _densities([constants[0] * slopes[1] - constants[1] * slopes[0]]):
        for constant, slope in zip(constants, slopes, strict=True):
            if _sign(slope, density):
                ratio = -constant.as_expr() / slope.as_expr()
                importance = sympy.radsimp(sympy.cancel(ratio).subs(s, density))
                if sign_of_number(importance) > 0:
                    yield importance, density
                break


def _triple_point(
    importance: sympy.Expr, density: sympy.Expr, lines: Sequence[_Line]
) -> TriplePoint:
    losses = [
        sympy.expand((line.constant.as_expr() + importance * line.slope.as_expr()).subs(s, density))
        for line in lines
    ]
    least = min(losses, key=lambda loss: loss.evalf(60))
    lowest = tuple(
        line.configuration
        for line, loss in zip(lines, losses, strict=True)
        if sign_of_number(loss - least) == 0
    )
    return TriplePoint(importance, density, lowest, least)
