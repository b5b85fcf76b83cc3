"""The optimal bias of one output, by exact minimisation piece by piece.

As a function of its bias β, the error L_i(β) = E (x_i − σ(g·x + β))² is a polynomial between the
points β = −g·v, v a vertex of the box, where the pre-activation at a vertex changes sign. A
minimiser is one of these points or a root of the derivative inside its piece. With a numeric
density there are finitely many such candidates, and the lowest is taken. With a symbolic density
(0, 1) is cut into cells in which the number and order of the roots do not change (the roots of
discriminants and end values) and in which no candidate overtakes the lowest (the roots of
resultants). One rational sample then decides for its whole cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any

import sympy

from ..model import Activation
from .active_sets import ActiveSetTerm, Output, active_set_losses, probability
from .cells import Cell, cells, real_roots_between
from .fields import field_of

__all__ = [
    "BiasPiece",
    "BiasRegime",
    "OptimalBias",
    "UnsolvedBiasError",
    "beta",
    "minimise_bias",
]

beta = sympy.Symbol("beta", real=True)
"""The bias while it is a variable."""

_DIGITS = 60
"""Precision at which candidates of one cell are compared; they are exact numbers."""


class UnsolvedBiasError(ValueError):
    """An `OPTIMAL` bias has no closed form that this package can find.

    Attributes
    ----------
    output : int
        Index of the output.
    equation : sympy.Expr or None
        Expression in `beta` whose root is the minimiser.

    Examples
    --------
    The best bias of an antipodal pair solves a cubic whose coefficients contain the density. A
    number for the density makes it an algebraic number, which is found exactly:

    >>> from superposition.theory import OPTIMAL, expected_loss
    >>> expected_loss([[1, -1]], [OPTIMAL, 0])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    superposition.theory.bias.UnsolvedBiasError: the optimal bias of output 0 ...
    >>> loss = expected_loss([[1, -1]], [OPTIMAL, OPTIMAL], density=0.5)
    >>> round(float(loss), 6)
    0.076651
    """

    def __init__(self, output: int, reason: str, equation: sympy.Expr | None = None) -> None:
        self.output = output
        self.equation = equation
        super().__init__(
            f"the optimal bias of output {output} has no closed form: {reason}; "
            f"pass a number for the density or a value for the bias"
        )


@dataclass(frozen=True)
class BiasPiece:
    """An interval of biases on which the error is one polynomial.

    Attributes
    ----------
    lower, upper
        Ends of the interval, possibly infinite.
    loss
        The error as a polynomial in `beta` and the density.
    terms
        Active sets with their probabilities and integrals, polynomials in `beta`.
    """

    lower: sympy.Expr
    upper: sympy.Expr
    loss: sympy.Expr
    terms: tuple[ActiveSetTerm, ...]


@dataclass(frozen=True)
class BiasRegime:
    """The minimiser for a range of densities.

    Attributes
    ----------
    density_range
        Closed interval of densities; the one point for a numeric density.
    bias, loss
        The minimiser and the error there.
    equation
        Irreducible expression in `beta` that vanishes at the minimiser.
    piece
        The piece on which the minimiser lies.
    """

    density_range: sympy.Set
    bias: sympy.Expr
    loss: sympy.Expr
    equation: sympy.Expr
    piece: BiasPiece


@dataclass(frozen=True)
class OptimalBias:
    """The global minimiser of one output's error over its bias.

    Where a stretch of biases is equally good (an output that is best left dead) its end is
    returned.

    Attributes
    ----------
    output
        Index of the output.
    density
        The density that the regimes distinguish.
    pieces
        The error on each piece, in ascending order of the bias.
    regimes
        The minimiser, in ascending order of the density.
    """

    output: int
    density: sympy.Expr
    pieces: tuple[BiasPiece, ...]
    regimes: tuple[BiasRegime, ...]

    @cached_property
    def bias(self) -> sympy.Expr:
        """The minimiser; a Piecewise in the density if there are several regimes."""
        return self._by_density([regime.bias for regime in self.regimes])

    @cached_property
    def loss(self) -> sympy.Expr:
        """The minimal error; a Piecewise in the density if there are several regimes."""
        return self._by_density([regime.loss for regime in self.regimes])

    def _by_density(self, values: Sequence[sympy.Expr]) -> sympy.Expr:
        ends = [self.density <= regime.density_range.end for regime in self.regimes[:-1]]
        return sympy.Piecewise(*zip(values, [*ends, True], strict=True))


@dataclass(frozen=True)
class _Candidate:
    """A root in β of `equation`, which lies on `piece` for some densities."""

    piece: BiasPiece
    equation: sympy.Poly
    loss: sympy.Poly


@dataclass(frozen=True)
class _Point:
    """A candidate at one density: its `rank`-th root."""

    candidate: _Candidate
    rank: int
    bias: sympy.Expr
    loss: sympy.Expr


def minimise_bias(
    index: int,
    couplings: tuple[sympy.Expr, ...],
    densities: tuple[sympy.Expr, ...],
    activation: Activation,
) -> OptimalBias:
    """Return the bias that minimises E (x_i − σ(g·x + β))².

    Parameters
    ----------
    index
        The output i.
    couplings
        Row i of WᵀW, n exact expressions.
    densities
        n densities. Those that matter may be numbers and one expression.

    Raises
    ------
    UnsolvedBiasError
        If the minimiser has no closed form, or the couplings contain symbols.
    """
    if activation == "relu" and any(not coupling.is_number for coupling in couplings):
        raise UnsolvedBiasError(index, "the couplings of a ReLU output contain symbols")
    field = field_of(couplings)
    output = Output(index, field, tuple(map(field.from_sympy, couplings)), densities, activation)
    relevant = [densities[j] for j in output.relevant]
    unknown = sorted({d for d in relevant if not d.is_number}, key=sympy.default_sort_key)
    if activation == "linear":
        return _minimise_parabola(output, unknown)
    if len(unknown) > 1:
        raise UnsolvedBiasError(
            index, f"its error depends on several densities, {', '.join(map(str, unknown))}"
        )
    if unknown:
        return _minimise_by_cells(output, unknown[0])
    return _minimise_at(index, tuple(_pieces(output)), densities[index])


def _minimise_parabola(output: Output, unknown: Sequence[sympy.Expr]) -> OptimalBias:
    piece = _piece(output, -sympy.oo, sympy.oo, lambda value: True)
    slope = sympy.expand(sympy.diff(piece.loss, beta))
    minimiser = sympy.expand(-slope.subs(beta, 0) / sympy.diff(slope, beta))
    density = unknown[0] if unknown else output.densities[output.index]
    regime = BiasRegime(
        sympy.Interval(0, 1),
        minimiser,
        sympy.expand(piece.loss.subs(beta, minimiser)),
        beta - minimiser,
        piece,
    )
    return OptimalBias(output.index, density, (piece,), (regime,))


def _pieces(output: Output) -> Iterator[BiasPiece]:
    field = output.field
    values = {field.zero}
    for coupling in output.couplings:
        values |= {value + coupling for value in values}
    exact = {value: field.to_sympy(value) for value in values}
    # Ascending in the bias β = −t is descending in the vertex value t.
    descending = sorted(values, key=lambda value: exact[value].evalf(_DIGITS), reverse=True)
    ends = [-sympy.oo, *(-exact[value] for value in descending), sympy.oo]
    for count, (lower, upper) in enumerate(pairwise(ends)):
        positive = set(descending[:count])
        yield _piece(output, lower, upper, positive.__contains__)


def _piece(
    output: Output, lower: sympy.Expr, upper: sympy.Expr, is_active: Callable[[Any], bool]
) -> BiasPiece:
    ring = output.field.poly_ring(beta)
    losses = active_set_losses(output, ring.gens[0], is_active)
    terms = tuple(
        ActiveSetTerm(active, probability(output, active), ring.to_sympy(ring.convert(loss)))
        for active, loss in losses.items()
    )
    loss = sympy.expand(sympy.Add(*(term.probability * term.loss for term in terms)))
    return BiasPiece(lower, upper, loss, terms)


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
    equation = sympy.Poly(candidate.equation.as_expr().subs(at), beta)
    if equation.is_ground:
        return
    for rank, root in enumerate(_real_roots(equation)):
        if candidate.piece.lower <= root <= candidate.piece.upper:
            loss = candidate.loss.as_expr().subs(at).subs(beta, root)
            yield _Point(candidate, rank, root, loss)


def _real_roots(equation: sympy.Poly) -> list[sympy.Expr]:
    """Return the distinct real roots, ascending, also over an algebraic number field."""
    if equation.degree() == 1:
        slope, constant = equation.all_coeffs()
        return [sympy.radsimp(-constant / slope)]
    if equation.domain.is_QQ or equation.domain.is_ZZ:
        return sorted(set(equation.real_roots()), key=lambda root: root.evalf(_DIGITS))
    equation = sympy.Poly(equation.as_expr(), beta, extension=True)
    # The norm has the conjugates' roots as well; the equation's own ones make it vanish.
    roots = real_roots_between([equation], -sympy.oo, sympy.oo)
    return [root for root in roots if _vanishes(equation.as_expr().subs(beta, root))]


def _vanishes(number: sympy.Expr) -> bool:
    return bool(abs(number.evalf(_DIGITS)) < sympy.Float(10, _DIGITS) ** (-_DIGITS // 2))


def _lowest(points: Sequence[_Point]) -> _Point:
    """Return the lowest point; of equal ones the one with the simplest equation."""
    values = [(point.loss.evalf(_DIGITS), point) for point in points]
    least = min(value for value, _ in values)
    # Exact numbers that agree to 30 digits are taken for equal, and then either will do.
    tied = [point for value, point in values if value - least < sympy.Float(10, _DIGITS) ** -30]
    return min(tied, key=lambda point: point.candidate.equation.degree(beta))


def _minimise_at(index: int, pieces: tuple[BiasPiece, ...], density: sympy.Expr) -> OptimalBias:
    points = [
        point for candidate in _candidates(pieces, None) for point in _points(candidate, None, None)
    ]
    best = _lowest(points)
    equation = best.candidate.equation
    regime = BiasRegime(
        sympy.FiniteSet(density),
        best.bias,
        sympy.expand(best.loss) if equation.degree() <= 2 else best.loss,
        equation.as_expr(),
        best.candidate.piece,
    )
    return OptimalBias(index, density, pieces, (regime,))


def _minimise_by_cells(output: Output, density: sympy.Expr) -> OptimalBias:
    # A generator of its own, so that a density such as 1 − S serves as well as a symbol.
    d = sympy.Dummy("d", positive=True)
    densities = tuple(d if entry == density else entry for entry in output.densities)
    pieces = tuple(_pieces(replace(output, densities=densities)))
    candidates = _candidates(pieces, d)
    regimes: list[BiasRegime] = []
    for cell in cells(_structure(candidates, d), sympy.S.Zero, sympy.S.One):
        for part, best in _decide(cell, candidates, d):
            regime = _solve(output.index, part, best, d)
            if regimes and regimes[-1].bias == regime.bias:
                start = regimes.pop().density_range.start
                regime = replace(
                    regime, density_range=sympy.Interval(start, regime.density_range.end)
                )
            regimes.append(regime)
    return OptimalBias(
        output.index,
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
    terms = tuple(
        replace(term, probability=term.probability.subs(d, density)) for term in piece.terms
    )
    return replace(piece, loss=piece.loss.subs(d, density), terms=terms)


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
    rivals = {p.candidate for p in points if not _vanishes(p.bias - best.bias)}
    crossings = [_crossing(best.candidate, rival, d) for rival in rivals]
    parts = cells(crossings, cell.lower, cell.upper)
    if len(parts) == 1:
        return [(cell, best)]
    return [
        (part, _lowest([p for c in candidates for p in _points(c, d, part.sample)]))
        for part in parts
    ]


def _crossing(first: _Candidate, second: _Candidate, d: sympy.Symbol) -> sympy.Poly:
    """Return a polynomial in d that vanishes where the two candidates have the same loss."""
    y = sympy.Dummy("y")
    values = [
        sympy.resultant(candidate.equation.as_expr(), y - candidate.loss.as_expr(), beta)
        for candidate in (first, second)
    ]
    return _in_density(sympy.resultant(values[0], values[1], y), first.equation, d)


def _solve(index: int, cell: Cell, best: _Point, d: sympy.Symbol) -> BiasRegime:
    equation = best.candidate.equation
    piece = best.candidate.piece
    degree = equation.degree(beta)
    if degree > 2:
        raise UnsolvedBiasError(
            index,
            f"for densities between {cell.lower} and {cell.upper} it is the root of a polynomial "
            f"of degree {degree} on [{piece.lower}, {piece.upper}], "
            f"{equation.as_expr().subs(d, sympy.Symbol('density'))} = 0",
            equation.as_expr(),
        )
    solutions = sympy.roots(sympy.Poly(equation.as_expr(), beta), multiple=True)
    bias = min(solutions, key=lambda root: abs((root.subs(d, cell.sample) - best.bias).evalf(30)))
    loss = sympy.expand(best.candidate.loss.as_expr().subs(beta, bias))
    return BiasRegime(
        sympy.Interval(cell.lower, cell.upper),
        sympy.expand(bias) if degree == 1 else bias,
        sympy.simplify(loss) if degree == 2 else sympy.expand(sympy.cancel(loss)),
        equation.as_expr(),
        piece,
    )
