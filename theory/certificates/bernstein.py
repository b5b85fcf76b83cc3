"""Proofs that a polynomial is positive on a box, which can be rechecked by hand.

On the box Π [l_a, u_a] a polynomial p of degrees d_a has exactly one *Bernstein form*

    p = Σ_i c_i Π_a C(d_a, i_a) t_a^{i_a} (1 − t_a)^{d_a − i_a},   t_a = (x_a − l_a)/(u_a − l_a).

Inside the box every basis polynomial is positive, so that p > 0 there if all c_i ≥ 0 and one of
them is positive. On a face of the box the same holds with the coefficients that belong to the
face. Where a coefficient is negative the box is halved. Everything is exact.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import comb
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from ..cells import Cell, cells, real_roots_between
from .number_signs import UndecidedCertificateError, prove_sign

__all__ = [
    "BernsteinPiece",
    "Counterexample",
    "PositivityProof",
    "prove_positive",
]


Box = tuple[tuple[sympy.Rational, sympy.Rational], ...]


@dataclass(frozen=True)
class BernsteinPiece:
    """A box on which no Bernstein coefficient is negative.

    Attributes
    ----------
    box
        Lower and upper end for each symbol.
    shape
        Degree + 1 for each symbol.
    coefficients
        In C order of `shape`.
    """

    box: Box
    shape: tuple[int, ...]
    coefficients: tuple[sympy.Expr, ...]


@dataclass(frozen=True)
class PositivityProof:
    """Boxes that cover the domain, with the polynomial's Bernstein coefficients on each.

    Attributes
    ----------
    polynomial
        What is positive.
    domain
        An interval for each symbol, open or closed at either end.
    pieces
        The boxes.
    """

    polynomial: sympy.Poly
    domain: tuple[sympy.Interval, ...]
    pieces: tuple[BernsteinPiece, ...]


@dataclass(frozen=True)
class Counterexample:
    """A point of the domain at which the polynomial is not positive.

    Attributes
    ----------
    polynomial
        What was claimed to be positive.
    point
        A value for each symbol, exact.
    value
        The polynomial's value there.
    """

    polynomial: sympy.Poly
    point: tuple[sympy.Expr, ...]
    value: sympy.Expr


def prove_positive(
    polynomial: sympy.Poly,
    domain: Sequence[sympy.Interval],
    *,
    strict: bool = True,
    max_pieces: int = 256,
) -> PositivityProof | Counterexample:
    """Prove that a polynomial is positive on a box, or find a point where it is not.

    Parameters
    ----------
    polynomial
        With rational or algebraic coefficients.
    domain
        A bounded interval with rational ends for each generator; either end may be open.
    strict
        Whether > 0 is to be proved; else ≥ 0.
    max_pieces
        How many boxes are looked at before the search is given up.

    Raises
    ------
    ValueError
        If the domain is not as described.
    UndecidedCertificateError
        If `max_pieces` did not suffice. In one symbol with rational coefficients this means
        that `max_pieces` is small; in two symbols the polynomial may also touch zero inside.

    Examples
    --------
    The unit interval has to be halved once for x² − x + 2/5:

    >>> x = sympy.Symbol("x")
    >>> proof = prove_positive(sympy.Poly(x**2 - x + sympy.Rational(2, 5)), [sympy.Interval(0, 1)])
    >>> [piece.coefficients for piece in proof.pieces]
    [(2/5, 3/20, 3/20), (3/20, 3/20, 2/5)]
    >>> prove_positive(sympy.Poly(2 * x**2 - 1), [sympy.Interval(0, 1)]).point
    (1/2,)
    """
    _check_domain(polynomial, domain)
    polynomial = polynomial.to_field()
    found = _root_or_negative(polynomial, domain, strict)
    if found is not None:
        return found
    return _halve(polynomial, tuple(domain), strict, max_pieces)


def _check_domain(polynomial: sympy.Poly, domain: Sequence[sympy.Interval]) -> None:
    if len(domain) != len(polynomial.gens):
        raise ValueError(f"domain must have one interval for each of {polynomial.gens}")
    for interval in domain:
        ends = (interval.start, interval.end) if isinstance(interval, sympy.Interval) else ()
        if not ends or not all(end.is_Rational for end in ends):
            raise ValueError(
                f"domain must be bounded intervals with rational ends and an inside, got {interval}"
            )


def _root_or_negative(
    polynomial: sympy.Poly, domain: Sequence[sympy.Interval], strict: bool
) -> Counterexample | None:
    """Decide a statement in one symbol by the polynomial's real roots, where it is false."""
    if len(domain) > 1:
        return None
    (interval,) = domain
    for cell in cells([polynomial], interval.start, interval.end):
        if prove_sign(polynomial.eval(cell.sample)).sign < 0:
            point = _simple_point(cell)
            return Counterexample(polynomial, (point,), polynomial.eval(point))
    if not strict:
        return None
    if polynomial.is_zero:
        return Counterexample(polynomial, ((interval.start + interval.end) / 2,), sympy.S.Zero)
    ends = [end for end in (interval.start, interval.end) if end in interval]
    inside = real_roots_between([polynomial], interval.start, interval.end)
    for point in [*ends, *(inside if polynomial.domain.is_QQ else [])]:
        if point not in ends or polynomial.eval(point) == 0:
            return Counterexample(polynomial, (point,), sympy.S.Zero)
    return None


def _simple_point(cell: Cell) -> sympy.Rational:
    """Return a rational number of small denominator in an open cell."""
    sample = Fraction(int(cell.sample.p), int(cell.sample.q))
    size = 1
    while True:
        near = sympy.Rational(sample.limit_denominator(size))
        if cell.lower < near < cell.upper:
            return near
        size += 1


def _halve(
    polynomial: sympy.Poly, domain: tuple[sympy.Interval, ...], strict: bool, max_pieces: int
) -> PositivityProof | Counterexample:
    boxes: deque[Box] = deque([tuple((interval.start, interval.end) for interval in domain)])
    pieces: list[BernsteinPiece] = []
    for _ in range(max_pieces):
        if not boxes:
            break
        box = boxes.popleft()
        coefficients = _bernstein(polynomial, box)
        signs = _signs(polynomial.domain, coefficients)
        point = _bad_corner(box, domain, signs, strict)
        if point is not None:
            return Counterexample(polynomial, point, polynomial.eval(_arguments(point)))
        if (signs >= 0).all() and (not strict or _faces_are_positive(box, domain, signs)):
            pieces.append(_piece(polynomial, box, coefficients))
        else:
            boxes.extend(_halves(box, domain))
    if boxes:
        raise UndecidedCertificateError(
            polynomial.as_expr(),
            f"{max_pieces} boxes did not suffice; pass a larger max_pieces or a smaller range, "
            f"and if equality is possible inside, a weaker statement",
        )
    ordered = tuple(sorted(pieces, key=lambda piece: piece.box))
    return PositivityProof(polynomial, domain, ordered)


def _arguments(point: tuple[sympy.Expr, ...]) -> Any:
    return point[0] if len(point) == 1 else point


def _piece(polynomial: sympy.Poly, box: Box, coefficients: NDArray[Any]) -> BernsteinPiece:
    values = tuple(map(polynomial.domain.to_sympy, coefficients.ravel()))
    return BernsteinPiece(box, coefficients.shape, values)


def _bernstein(polynomial: sympy.Poly, box: Box) -> NDArray[Any]:
    """Return the Bernstein coefficients on a box as elements of the polynomial's field."""
    field = polynomial.domain
    shape = tuple(polynomial.degree(gen) + 1 if polynomial else 1 for gen in polynomial.gens)
    array = np.full(shape, field.zero, dtype=object)
    for powers, coefficient in polynomial.rep.terms():
        array[powers] = coefficient
    for axis, (lower, upper) in enumerate(box):
        matrix = _change_of_basis(shape[axis] - 1, field.convert(lower), field.convert(upper))
        array = np.moveaxis(np.tensordot(matrix, array, axes=(1, axis)), 0, axis)
    return array


def _change_of_basis(degree: int, lower: Any, upper: Any) -> NDArray[Any]:
    """Return M with c = M a, from coefficients a of powers to Bernstein coefficients c.

    c_i is the polar form at i times the upper and degree − i times the lower end; that of x^j is
    the mean of the products of j of them.
    """
    matrix = np.empty((degree + 1, degree + 1), dtype=object)
    for i, j in product(range(degree + 1), repeat=2):
        total = lower * 0
        for k in range(max(0, j - degree + i), min(i, j) + 1):
            total += upper**k * lower ** (j - k) * (comb(i, k) * comb(degree - i, j - k))
        matrix[i, j] = total / comb(degree, j)
    return matrix


def _signs(field: Any, coefficients: NDArray[Any]) -> NDArray[Any]:
    def sign(element: Any) -> int:
        if field.is_QQ:
            return int((element > 0) - (element < 0))
        return prove_sign(field.to_sympy(element)).sign if element else 0

    return np.array([sign(element) for element in coefficients.ravel()]).reshape(coefficients.shape)


def _is_open(end: sympy.Rational, interval: sympy.Interval) -> bool:
    """Say whether an end of a box is an end of the domain that does not belong to it."""
    return bool(
        (end == interval.start and interval.left_open)
        or (end == interval.end and interval.right_open)
    )


def _faces(box: Box, domain: Sequence[sympy.Interval]) -> Iterator[tuple[Any, ...]]:
    """Yield an index for each face of the box (itself included) that belongs to the domain."""
    choices = []
    for (lower, upper), interval in zip(box, domain, strict=True):
        ends = [(lower, 0), (upper, -1)]
        choices.append([slice(None), *(i for end, i in ends if not _is_open(end, interval))])
    yield from product(*choices)


def _faces_are_positive(box: Box, domain: Sequence[sympy.Interval], signs: NDArray[Any]) -> bool:
    return all(bool((signs[face] > 0).any()) for face in _faces(box, domain))


def _bad_corner(
    box: Box, domain: Sequence[sympy.Interval], signs: NDArray[Any], strict: bool
) -> tuple[sympy.Rational, ...] | None:
    """Return a corner of the domain where the polynomial is not positive; or is negative."""
    for face in _faces(box, domain):
        is_corner = all(not isinstance(index, slice) for index in face)
        if is_corner and (signs[face] < 0 or (strict and signs[face] == 0)):
            return tuple(ends[index] for ends, index in zip(box, face, strict=True))
    return None


def _halves(box: Box, domain: Sequence[sympy.Interval]) -> list[Box]:
    """Halve the box along its longest side, measured in parts of the domain."""
    lengths = [(u - l) / (i.end - i.start) for (l, u), i in zip(box, domain, strict=True)]
    axis = lengths.index(max(lengths))
    lower, upper = box[axis]
    middle = (lower + upper) / 2
    return [(*box[:axis], ends, *box[axis + 1 :]) for ends in ((lower, middle), (middle, upper))]
