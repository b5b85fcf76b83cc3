"""The optimal bias of one output, by exact minimization piece by piece.

As a function of its bias β, the error L_i(β) = E (x_i − σ(g·x + β))² is a polynomial between the
points β = −g·v, v a vertex of the box, where the pre-activation at a vertex changes sign. A
minimizer is one of these points or a root of the derivative inside its piece. With a numeric
density there are finitely many such candidates, and the lowest is taken. With a symbolic density
(0, 1) is cut into cells in which the number and order of the roots do not change (the roots of
discriminants and end values) and in which no candidate overtakes the lowest (the roots of
resultants). One rational sample then decides for its whole cell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import sympy

from .bias import BiasPiece, BiasRegime, OptimalBias, UnsolvedBiasError, beta
from .cells import Cell, cells, real_roots_between
from .fields import field_of
from .output_error import Output, Parabola, TruncatedPowers, error

__all__ = ["minimize_bias"]

_SAMPLES = (sympy.Rational(1, 2), sympy.Rational(1, 10), sympy.Rational(9, 10))

_DIGITS = 60
"""Precision at which exact candidates are compared; half of the digits decide equality."""


@dataclass(frozen=True)
class _Candidate:
    """A root in β of `equation`, which lies on `piece` for some densities."""

    piece: BiasPiece
    equation: sympy.Poly
    loss: sympy.Poly

    @property
    def degree(self) -> int:
        """Degree in β of the equation."""
        return int(self.equation.degree(beta))


@dataclass(frozen=True)
class _Point:
    """A candidate at one density, with the values by which points are compared."""

    candidate: _Candidate
    bias: sympy.Expr
    bias_value: sympy.Float
    loss_value: sympy.Float


def minimize_bias(output: Output) -> OptimalBias:
    """Return the bias that minimizes the error of an output.

    Raises
    ------
    UnsolvedBiasError
        If the minimizer has no closed form, or the couplings of a ReLU output contain symbols.
    """
    ring = output.ring
    unknown = list(ring.expressions)
    density = ring.to_sympy(ring.densities[output.index])
    if output.activation == "linear":
        return _minimize_parabola(output, density)
    if any(not ring.field.to_sympy(coupling).is_number for coupling in output.couplings):
        raise UnsolvedBiasError(output.index, "the couplings of a ReLU output contain symbols")
    if len(unknown) > 1:
        listed = ", ".join(map(str, ring.expressions.values()))
        raise UnsolvedBiasError(output.index, f"its error depends on several densities, {listed}")
    pieces = tuple(_pieces(output))
    if unknown:
        return _minimize_by_cells(output.index, pieces, unknown[0], ring.expressions[unknown[0]])
    return _minimize_at(output.index, pieces, density)


def _with_beta(output: Output) -> tuple[Any, Callable[[Any], Any]]:
    """Return the ring of polynomials in β and the densities, and the map into it."""
    generators = list(output.ring.expressions)
    ring = output.field.poly_ring(beta, *generators)

    def embed(element: Any) -> Any:
        if not generators:
            return ring.one * element
        return ring.ring.from_dict({(0, *powers): c for powers, c in element.terms()})

    return ring, embed


def _minimize_parabola(output: Output, density: sympy.Expr) -> OptimalBias:
    ring, embed = _with_beta(output)
    parabola = error(output)
    assert isinstance(parabola, Parabola)
    shifted = Parabola(embed(parabola.mean), embed(parabola.second))
    minimizer = sympy.expand(-output.ring.to_sympy(parabola.mean))
    least = sympy.expand(output.ring.to_sympy(parabola.second)) - minimizer**2
    loss = ring.to_sympy(shifted.at(ring.gens[0])).xreplace(dict(output.ring.expressions))
    piece = BiasPiece(-sympy.oo, sympy.oo, sympy.expand(loss))
    regime = BiasRegime(
        sympy.Interval(0, 1), minimizer, sympy.expand(least), beta - minimizer, piece
    )
    return OptimalBias(output.index, density, (piece,), (regime,))


def _pieces(output: Output) -> Iterator[BiasPiece]:
    field = output.field
    ring, embed = _with_beta(output)
    powers = error(output)
    assert isinstance(powers, TruncatedPowers)
    total = embed(powers.constant)
    exact = {value: field.to_sympy(value) for value in powers.powers}
    # Ascending in the bias β = −t is descending in the vertex value t.
    descending = sorted(exact, key=lambda value: exact[value].evalf(_DIGITS), reverse=True)
    ends = [-sympy.oo, *(-exact[value] for value in descending), sympy.oo]
    yield BiasPiece(ends[0], ends[1], ring.to_sympy(total))
    for value, (lower, upper) in zip(descending, pairwise(ends[1:]), strict=True):
        own = {q: embed(output.ring.lift(c)) for q, c in powers.powers[value].items()}
        total += TruncatedPowers(ring.zero, {value: own}).term(value, ring.gens[0])
        yield BiasPiece(lower, upper, ring.to_sympy(total))


def _candidates(pieces: Sequence[BiasPiece], density: sympy.Symbol | None) -> list[_Candidate]:
    """Return the breakpoints and the irreducible factors of the derivative on every piece."""
    generators = (beta,) if density is None else (beta, density)
    field = field_of(
        coefficient
        for piece in pieces
        for coefficient in (*sympy.Poly(piece.loss, *generators).coeffs(), *_finite_ends(piece))
    )
    candidates: dict[tuple[sympy.Poly, BiasPiece], _Candidate] = {}
    for piece in pieces:
        loss = sympy.Poly(piece.loss, *generators, domain=field)
        factors = [sympy.Poly(beta - end, *generators, domain=field) for end in _finite_ends(piece)]
        factors += [factor for factor, _ in loss.diff(beta).factor_list()[1]]
        for factor in factors:
            if factor.degree(beta) > 0:
                candidates[factor, piece] = _Candidate(piece, factor, loss)
    return list(candidates.values())


def _finite_ends(piece: BiasPiece) -> list[sympy.Expr]:
    return [end for end in (piece.lower, piece.upper) if end.is_finite]


def _points(candidate: _Candidate, density: sympy.Symbol | None, value: Any) -> Iterator[_Point]:
    """Yield the candidate's roots on its piece at one density, closed at the ends."""
    at = {} if density is None else {density: value}
    equation = sympy.Poly(candidate.equation.as_expr().subs(at), beta, extension=True)
    loss = candidate.loss.as_expr().subs(at)
    for root in _real_roots(equation, candidate.piece):
        approximation = root.evalf(_DIGITS)
        yield _Point(
            candidate, root, approximation, loss.evalf(_DIGITS, subs={beta: approximation})
        )


def _real_roots(equation: sympy.Poly, piece: BiasPiece) -> list[sympy.Expr]:
    """Return biases on the piece, the equation's real roots among them."""
    if equation.is_ground:
        return []
    if equation.degree() == 1:
        slope, constant = equation.all_coeffs()
        root = sympy.radsimp(-constant / slope)
        return [root] if piece.lower <= root <= piece.upper else []
    # Roots at the ends are left out because the ends are candidates themselves. Over a number
    # field conjugates' roots are among them: biases like others, and never lower than the lowest.
    return real_roots_between([equation], piece.lower, piece.upper)


def _vanishes(value: sympy.Float) -> bool:
    """Say whether an exact number, evaluated to `_DIGITS` digits, is zero to half of them."""
    return bool(abs(value) < sympy.Float(10, _DIGITS) ** (-_DIGITS // 2))


def _lowest(points: Sequence[_Point]) -> _Point:
    """Return the lowest point; of equal ones the one with the simplest equation."""
    least = min(point.loss_value for point in points)
    # Values that agree to 30 digits are taken for equal, and then either point will do.
    tied = [point for point in points if _vanishes(point.loss_value - least)]
    return min(tied, key=lambda point: point.candidate.degree)


def _promising(pieces: Sequence[BiasPiece]) -> list[BiasPiece]:
    """Return the pieces on which the error comes as low as on any, to half of the digits.

    Factoring the derivative over a number field takes seconds, and of dozens of pieces one or
    two matter. Values of polynomials at 60 digits tell which.
    """
    with mpmath.workdps(_DIGITS):
        least = [_numerical_minimum(piece) for piece in pieces]
        tolerance = mpmath.mpf(10) ** (-_DIGITS // 2)
        return [p for p, value in zip(pieces, least, strict=True) if value < min(least) + tolerance]


def _numerical_minimum(piece: BiasPiece) -> Any:
    """Return the least value on the piece among its ends and stationary points."""
    coefficients = sympy.Poly(piece.loss, beta).all_coeffs()
    values = [mpmath.mpf(str(c.evalf(_DIGITS))) for c in coefficients]
    degree = len(values) - 1
    slope = [(degree - k) * value for k, value in enumerate(values[:-1])]
    roots = mpmath.polyroots(slope, maxsteps=500, extraprec=4 * _DIGITS) if degree > 1 else []
    ends = [mpmath.mpf(str(end.evalf(_DIGITS))) for end in _finite_ends(piece)]
    points = [x.real for x in roots if abs(x.imag) < mpmath.mpf(10) ** (-_DIGITS // 3)]
    if piece.lower.is_finite:
        points = [x for x in points if x > ends[0]]
    if piece.upper.is_finite:
        points = [x for x in points if x < ends[-1]]
    return min(mpmath.polyval(values, x) for x in (*points, *ends))


def _minimize_at(index: int, pieces: tuple[BiasPiece, ...], density: sympy.Expr) -> OptimalBias:
    promising = _promising(pieces)
    points = [
        point
        for candidate in _candidates(promising, None)
        for point in _points(candidate, None, None)
    ]
    best = _lowest(points)
    equation = best.candidate.equation
    # Reduced by the equation that the bias solves, the loss is of lower degree in it.
    loss = best.candidate.loss.rem(equation).as_expr().subs(beta, best.bias)
    regime = BiasRegime(
        sympy.FiniteSet(density),
        best.bias,
        sympy.expand(loss) if equation.degree() <= 2 else loss,
        equation.as_expr(),
        best.candidate.piece,
    )
    return OptimalBias(index, density, pieces, (regime,))


def _minimize_by_cells(
    index: int, pieces: tuple[BiasPiece, ...], d: sympy.Symbol, density: sympy.Expr
) -> OptimalBias:
    """Minimize for every value of the generator `d`, which stands for `density`."""
    for sample in _SAMPLES:
        _refuse_early(index, pieces, d, sample)
    candidates = _candidates(pieces, d)
    regimes: list[BiasRegime] = []
    for cell in cells(_structure(candidates, d), sympy.S.Zero, sympy.S.One):
        for part, best in _decide(cell, candidates, d):
            regime = _solve(index, part, best, d)
            if regimes and regimes[-1].bias == regime.bias:
                start = regimes.pop().density_range.start
                regime = replace(
                    regime, density_range=sympy.Interval(start, regime.density_range.end)
                )
            regimes.append(regime)
    return OptimalBias(
        index,
        density,
        tuple(_substitute(piece, d, density) for piece in pieces),
        tuple(
            replace(
                regime,
                bias=regime.bias.subs(d, density),
                loss=regime.loss.subs(d, density),
                equation=regime.equation.subs(d, density),
                piece=_substitute(regime.piece, d, density),
            )
            for regime in regimes
        ),
    )


def _substitute(piece: BiasPiece, d: sympy.Symbol, density: sympy.Expr) -> BiasPiece:
    return replace(piece, loss=piece.loss.subs(d, density))


def _refuse_early(
    index: int, pieces: Sequence[BiasPiece], d: sympy.Symbol, sample: sympy.Rational
) -> None:
    """Raise if at one density the minimizer plainly solves an equation of higher degree.

    Only a shortcut: the cells would come to the same end, after minutes if there are many pieces.
    """
    lowest = (math.inf, math.nan, pieces[0])
    for piece in pieces:
        loss = sympy.Poly(piece.loss.subs(d, sample), beta)
        coefficients = [float(c) for c in loss.all_coeffs()]
        lower, upper = float(piece.lower), float(piece.upper)
        roots = np.roots(np.polyder(np.array(coefficients)))
        inside = [x.real for x in roots if abs(x.imag) < 1e-9 and lower < x.real < upper]
        for x in [*inside, *map(float, _finite_ends(piece))]:
            lowest = min(lowest, (float(np.polyval(coefficients, x)), x, piece), key=lambda t: t[0])
    _, minimizer, piece = lowest
    if any(abs(minimizer - float(end)) < 1e-6 for end in _finite_ends(piece)):
        return
    slope = sympy.diff(piece.loss, beta)
    at_sample = sympy.Poly(slope.subs(d, sample), beta, extension=True)
    for factor, _ in at_sample.factor_list()[1]:
        # A factor of degree 2 at every density would have one of degree 2 at this one too.
        if abs(float(factor.as_expr().subs(beta, minimizer))) < 1e-6 and factor.degree() > 2:
            equation = sympy.Poly(slope, beta, d)
            candidate = _Candidate(piece, equation, sympy.Poly(piece.loss, beta, d))
            raise _unsolved(index, Cell(sample, sample, sample), candidate, d)


def _structure(candidates: Sequence[_Candidate], d: sympy.Symbol) -> Iterator[sympy.Poly]:
    """Yield the polynomials in d between whose roots every candidate's roots keep their order."""
    for candidate in candidates:
        equation = candidate.equation
        yield _in_density(equation.as_expr().coeff(beta, equation.degree(beta)), equation, d)
        if equation.degree(beta) > 1:
            yield _in_density(sympy.discriminant(equation.as_expr(), beta), equation, d)
        for end in _finite_ends(candidate.piece):
            yield _in_density(equation.as_expr().subs(beta, end), equation, d)


def _in_density(expression: sympy.Expr, like: sympy.Poly, d: sympy.Symbol) -> sympy.Poly:
    return sympy.Poly(sympy.expand(expression), d, domain=like.domain)


def _decide(
    cell: Cell, candidates: Sequence[_Candidate], d: sympy.Symbol
) -> list[tuple[Cell, _Point]]:
    """Return the lowest candidate on the cell, or on the parts into which crossings cut it."""
    points = [p for c in candidates for p in _points(c, d, cell.sample)]
    best = _lowest(points)
    rivals = {p.candidate for p in points if not _vanishes(p.bias_value - best.bias_value)}
    crossings = [_crossing(best.candidate, rival, d) for rival in rivals]
    parts = cells(crossings, cell.lower, cell.upper)
    if len(parts) == 1:
        return [(cell, best)]
    # Another candidate may be the lowest on a part, and its crossings are not known yet.
    return [decided for part in parts for decided in _decide(part, candidates, d)]


def _crossing(first: _Candidate, second: _Candidate, d: sympy.Symbol) -> sympy.Poly:
    """Return a polynomial in d that vanishes where the two candidates have the same loss."""
    y = sympy.Dummy("y")
    values = [
        sympy.resultant(candidate.equation.as_expr(), y - candidate.loss.as_expr(), beta)
        for candidate in (first, second)
    ]
    resultant = sympy.resultant(values[0], values[1], y)
    if sympy.expand(resultant) == 0:
        # They share a value for all d, for instance when both are roots of one equation. Where
        # other roots cross, two of the distinct values fall together.
        distinct = sympy.Poly(values[0] * values[1], y, d, domain=first.equation.domain).sqf_part()
        resultant = sympy.discriminant(distinct.as_expr(), y)
    return _in_density(resultant, first.equation, d)


def _solve(index: int, cell: Cell, best: _Point, d: sympy.Symbol) -> BiasRegime:
    equation = best.candidate.equation
    piece = best.candidate.piece
    degree = best.candidate.degree
    if degree > 2:
        raise _unsolved(index, cell, best.candidate, d)
    solutions = sympy.roots(sympy.Poly(equation.as_expr(), beta), multiple=True)
    bias = min(
        solutions, key=lambda root: abs((root.subs(d, cell.sample) - best.bias_value).evalf(30))
    )
    loss = sympy.expand(best.candidate.loss.as_expr().subs(beta, bias))
    return BiasRegime(
        sympy.Interval(cell.lower, cell.upper),
        sympy.expand(bias) if degree == 1 else bias,
        sympy.simplify(loss) if degree == 2 else sympy.expand(sympy.cancel(loss)),
        equation.as_expr(),
        piece,
    )


def _unsolved(index: int, cell: Cell, candidate: _Candidate, d: sympy.Symbol) -> UnsolvedBiasError:
    where = (
        f"at density {cell.sample}"
        if cell.lower == cell.upper
        else f"for densities between {cell.lower.evalf(6)} and {cell.upper.evalf(6)}"
    )
    equation = candidate.equation.as_expr().subs(d, sympy.Symbol("density", positive=True))
    piece = candidate.piece
    return UnsolvedBiasError(
        index,
        f"{where} it is the root of a polynomial of degree {candidate.degree} on "
        f"[{piece.lower}, {piece.upper}], {equation} = 0",
        equation,
    )
