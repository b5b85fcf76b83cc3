"""Roots of systems of equations that are proved to exist, enclosed in intervals.

The Krawczyk operator of a box X with midpoint m, for F with Jacobian J and any matrix Y,

    K(X) = m − Y F(m) + (I − Y J(X)) (X − m),

is evaluated in interval arithmetic with outward rounding. If K(X) lies in the interior of X, then
X holds exactly one root of F, and it lies in K(X) (Krawczyk 1969; Moore 1977). Floating point
numbers only propose m and Y: they may be wrong without harm to the proof.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import mpmath
import sympy
from mpmath.ctx_iv import MPIntervalContext
from mpmath.ctx_mp import MPContext

from ..fields import sign_of_number
from .evaluation import compile_expressions, compile_with_jacobian

__all__ = [
    "CertifiedRoot",
    "Enclosure",
    "UncertifiedRootError",
    "certify_root",
    "enclose",
    "interval_context",
    "to_enclosure",
    "to_interval",
]

_GUARD_DIGITS = 20
_NEWTON_STEPS = 60


class UncertifiedRootError(ValueError):
    """No root could be proved near a starting point.

    Attributes
    ----------
    reason : str
        What failed.
    start : tuple of float
        The starting point.

    Examples
    --------
    A double root has a singular Jacobian. It cannot be proved, because a perturbation as small
    as you like removes it; divide the multiplicity out instead:

    >>> import sympy
    >>> x = sympy.Symbol("x")
    >>> certify_root([(x - 1) ** 2], [x], [1.1])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    superposition.theory.landscape.certified_roots.UncertifiedRootError: no root is proved near ...
    >>> certify_root([x - 1], [x], [1.1]).digits >= 30
    True
    """

    def __init__(self, reason: str, start: Sequence[Any]) -> None:
        self.reason = reason
        self.start = tuple(float(value) for value in start)
        near = ", ".join(f"{value:.6g}" for value in self.start)
        super().__init__(
            f"no root is proved near ({near}): {reason}. Start closer to a simple root, or ask "
            f"for fewer digits"
        )


@dataclass(frozen=True)
class Enclosure:
    """A closed interval with rational ends that is proved to hold a number.

    Attributes
    ----------
    lower, upper
        The ends.

    Examples
    --------
    >>> third = Enclosure(sympy.Rational(33332, 100000), sympy.Rational(33334, 100000))
    >>> print(third, third.digits, sympy.Rational(1, 3) in third)
    0.3333 4 True
    """

    lower: sympy.Rational
    upper: sympy.Rational

    @property
    def midpoint(self) -> sympy.Rational:
        """Half of lower + upper."""
        return (self.lower + self.upper) / 2

    @property
    def width(self) -> sympy.Rational:
        """Upper − lower: a bound of the error of any number inside."""
        return self.upper - self.lower

    @property
    def digits(self) -> int:
        """Number of places after the point to which all numbers inside agree, within one unit."""
        if self.width == 0:
            return 1000  # an exact number
        return max(0, math.floor(-_log10(self.width)))

    @property
    def sign(self) -> int | None:
        """Return −1, 0 or 1 if the enclosed number has that sign for certain, else ``None``."""
        if self.lower > 0 or self.upper < 0:
            return 1 if self.lower > 0 else -1
        return 0 if self.lower == self.upper else None

    def __contains__(self, value: Any) -> bool:
        """Say, exactly, whether a real number lies between the ends."""
        number = sympy.sympify(value)
        return sign_of_number(number - self.lower) >= 0 and sign_of_number(self.upper - number) >= 0

    def __float__(self) -> float:
        """Return the midpoint, rounded."""
        return float(self.midpoint)

    def decimal(self, places: int | None = None) -> str:
        """Return the digits that are certain: both ends, rounded, begin with them.

        Parameters
        ----------
        places
            At most so many after the point; ``None`` is all that are certain.
        """
        most = min(self.digits, 60) if places is None else min(places, self.digits)
        for count in range(most, -1, -1):
            texts = {_round(end, count) for end in (self.lower, self.upper)}
            if len(texts) == 1:
                return texts.pop()
        return f"[{_round(self.lower, 6)}, {_round(self.upper, 6)}]"

    def __str__(self) -> str:
        """Return the certain digits."""
        return self.decimal()


def _log10(value: sympy.Rational) -> float:
    return math.log10(value.p) - math.log10(value.q)


def _round(value: sympy.Rational, places: int) -> str:
    scaled = round(Fraction(int(value.p), int(value.q)) * 10**places)
    digits = str(abs(scaled)).rjust(places + 1, "0")
    sign = "-" if scaled < 0 else ""
    return sign + (f"{digits[:-places]}.{digits[-places:]}" if places else digits)


def interval_context(digits: int) -> MPIntervalContext:
    """Return an interval context of its own; the global one is left alone."""
    context = MPIntervalContext()
    context.dps = digits
    return context


def to_interval(context: MPIntervalContext, value: Any) -> Any:
    """Return the smallest interval of the context around a rational, an enclosure or an interval."""
    if isinstance(value, Enclosure):
        ends = [to_interval(context, end)._mpi_ for end in (value.lower, value.upper)]
        return context.make_mpf((ends[0][0], ends[1][1]))
    rational = Fraction(int(value.p), int(value.q)) if isinstance(value, sympy.Rational) else None
    exact = Fraction(value) if rational is None else rational
    return context.mpf(exact.numerator) / context.mpf(exact.denominator)


def to_enclosure(interval: Any) -> Enclosure:
    """Return an interval of mpmath with its ends as the rationals that they are."""
    lower, upper = (_exact(end) for end in interval._mpi_)
    return Enclosure(lower, upper)


def _exact(raw: tuple[int, int, int, int]) -> sympy.Rational:
    sign, mantissa, exponent, _ = raw
    if not mantissa and exponent:
        raise ValueError("an interval is not bounded: an expression was divided by zero")
    value = Fraction(int(mantissa)) * Fraction(2) ** exponent
    value = -value if sign else value
    return sympy.Rational(value.numerator, value.denominator)


def enclose(
    expressions: Sequence[sympy.Expr],
    values: Mapping[sympy.Symbol, Any],
    *,
    digits: int = 60,
) -> tuple[Enclosure, ...]:
    """Enclose the values that expressions take when every symbol runs over its enclosure.

    Parameters
    ----------
    expressions
        Built from rationals, square roots, cosines, sums, products and integer powers.
    values
        An `Enclosure` or an exact rational for every symbol.
    digits
        Working precision.

    Raises
    ------
    ValueError
        If a denominator may vanish.

    Examples
    --------
    >>> x = sympy.Symbol("x")
    >>> (square,) = enclose([x**2 - 2], {x: Enclosure(sympy.Rational(1), sympy.Rational(2))})
    >>> square.lower, square.upper
    (-1, 2)
    """
    context = interval_context(digits)
    function = compile_expressions(expressions, list(values))
    intervals = [to_interval(context, value) for value in values.values()]
    return tuple(to_enclosure(context.mpf(value)) for value in function(context, *intervals))


@dataclass(frozen=True)
class CertifiedRoot:
    """A root that is proved to exist, and to be the only one in its box.

    Attributes
    ----------
    symbols
        The unknowns.
    enclosures
        One interval each; the box of them holds exactly one root.
    equations
        The expressions that vanish.
    fixed
        Exact values of the other symbols in the equations.
    """

    symbols: tuple[sympy.Symbol, ...]
    enclosures: tuple[Enclosure, ...]
    equations: tuple[sympy.Expr, ...]
    fixed: tuple[tuple[sympy.Symbol, sympy.Rational], ...] = ()

    @property
    def digits(self) -> int:
        """Places after the point that are certain for every unknown."""
        return min(enclosure.digits for enclosure in self.enclosures)

    @property
    def values(self) -> dict[sympy.Symbol, Enclosure]:
        """The enclosures by symbol, those of zero width for the fixed ones included."""
        known = {symbol: Enclosure(value, value) for symbol, value in self.fixed}
        return dict(zip(self.symbols, self.enclosures, strict=True)) | known

    def __getitem__(self, symbol: sympy.Symbol) -> Enclosure:
        """Return the enclosure of one symbol."""
        return self.values[symbol]

    def enclose(self, *expressions: sympy.Expr) -> tuple[Enclosure, ...]:
        """Enclose expressions in the symbols at the root."""
        return enclose(expressions, self.values, digits=self.digits + _GUARD_DIGITS)

    def is_positive(self, *expressions: sympy.Expr) -> bool:
        """Say whether all expressions are proved to be positive at the root."""
        return all(enclosure.lower > 0 for enclosure in self.enclose(*expressions))

    def is_positive_definite(self, matrix: sympy.Matrix) -> bool:
        """Say whether a symmetric matrix is proved to be positive definite at the root.

        The pivots of its Cholesky decomposition are computed in interval arithmetic.
        """
        context = interval_context(self.digits + _GUARD_DIGITS)
        function = compile_expressions(list(matrix), list(self.values))
        entries = function(context, *(to_interval(context, e) for e in self.values.values()))
        size = matrix.shape[0]
        rows = [[context.mpf(x) for x in entries[size * i : size * (i + 1)]] for i in range(size)]
        return _has_positive_pivots(rows)


def _has_positive_pivots(rows: list[list[Any]]) -> bool:
    for k, pivot_row in enumerate(rows):
        if not pivot_row[k]._mpi_ or not pivot_row[k] > 0:
            return False
        for row in rows[k + 1 :]:
            factor = row[k] / pivot_row[k]
            for j in range(k, len(rows)):
                row[j] = row[j] - factor * pivot_row[j]
    return True


def certify_root(
    equations: Sequence[sympy.Expr],
    symbols: Sequence[sympy.Symbol],
    start: Sequence[Any],
    *,
    fixed: Mapping[sympy.Symbol, Any] | None = None,
    digits: int = 30,
) -> CertifiedRoot:
    """Prove that a square system has a root near a point, and enclose it.

    Parameters
    ----------
    equations
        n expressions that shall vanish, with exact coefficients: rational functions, or anything
        else that `compile_expressions` knows.
    symbols
        The n unknowns.
    start
        A point near a simple root; Newton's method in high precision goes on from there.
    fixed
        Exact rational values of further symbols in the equations. A system that is solved for
        many of them is differentiated and compiled only once.
    digits
        Places after the point that shall be certain: no enclosure is wider than 10^−digits.

    Returns
    -------
    CertifiedRoot

    Raises
    ------
    ValueError
        If the system is not square or contains other symbols.
    UncertifiedRootError
        If Newton's method does not converge, or the Krawczyk operator does not map the box into
        its interior, as at a multiple root.

    Examples
    --------
    >>> x, y = sympy.symbols("x y")
    >>> root = certify_root([x**2 + y**2 - 4, x - y], [x, y], [1.4, 1.4], digits=40)
    >>> sympy.sqrt(2) in root[x], root.digits >= 40
    (True, True)
    >>> print(root[x].decimal(20))
    1.41421356237309504880
    """
    known = {symbol: sympy.sympify(value) for symbol, value in (fixed or {}).items()}
    _check(equations, symbols, start, known, digits)
    system = _System(_compiled(tuple(equations), tuple(symbols), tuple(known)), len(symbols),
                     tuple(known.values()))  # fmt: skip
    working = digits + _GUARD_DIGITS
    middle, inverse = _newton(system, start, working)
    context = interval_context(2 * working)
    center = [to_interval(context, _exact(x._mpf_)) for x in middle]
    Y = [[to_interval(context, _exact(y._mpf_)) for y in row] for row in inverse]
    values = system.values(context, center)
    step = [_dot(context, row, values) for row in Y]
    radius = to_interval(context, Fraction(1, 2 * 10 ** (digits + 2)))
    box = [x + context.mpf([-1, 1]) * radius for x in center]
    image = _krawczyk(context, system, center, step, Y, box)
    # Short decimals around the image, which is much narrower than the box.
    enclosures = tuple(_outward(to_enclosure(interval), digits + 10) for interval in image)
    rounded = [to_interval(context, enclosure) for enclosure in enclosures]
    if not all(_inside(k, x) for k, x in zip(rounded, box, strict=True)):
        raise UncertifiedRootError("the Krawczyk operator leaves the box", start)
    return CertifiedRoot(tuple(symbols), enclosures, tuple(equations), tuple(known.items()))


def _outward(enclosure: Enclosure, places: int) -> Enclosure:
    scale = 10**places
    lower, upper = sympy.floor(enclosure.lower * scale), sympy.ceiling(enclosure.upper * scale)
    return Enclosure(sympy.Rational(lower, scale), sympy.Rational(upper, scale))


def _check(
    equations: Sequence[sympy.Expr],
    symbols: Sequence[sympy.Symbol],
    start: Sequence[Any],
    fixed: Mapping[sympy.Symbol, Any],
    digits: int,
) -> None:
    if not len(equations) == len(symbols) == len(start):
        raise ValueError(
            f"expected as many equations as unknowns and starting values, got {len(equations)} "
            f"equations, {len(symbols)} unknowns and {len(start)} starting values"
        )
    for symbol, value in fixed.items():
        if not value.is_Rational:
            raise ValueError(f"fixed values must be exact rationals, got {symbol} = {value}")
    unknown = set().union(*(e.free_symbols for e in equations)) - set(symbols) - set(fixed)
    if unknown:
        raise ValueError(
            f"the equations contain {', '.join(sorted(map(str, unknown)))}, which is not among "
            f"the unknowns; substitute exact numbers first, or pass them as fixed"
        )
    if digits < 1:
        raise ValueError(f"digits must be at least 1, got {digits}")


@lru_cache(maxsize=64)
def _compiled(
    equations: tuple[sympy.Expr, ...],
    symbols: tuple[sympy.Symbol, ...],
    fixed: tuple[sympy.Symbol, ...],
) -> Callable[..., list[Any]]:
    return compile_with_jacobian(equations, [*symbols, *fixed], len(symbols))


@dataclass(frozen=True)
class _System:
    """Equations and Jacobian, to be evaluated in any context."""

    function: Callable[..., list[Any]]
    size: int
    fixed: tuple[sympy.Rational, ...]

    def _evaluate(self, context: Any, point: Sequence[Any]) -> list[Any]:
        known = [context.mpf(int(value.p)) / int(value.q) for value in self.fixed]
        return self.function(context, *point, *known)

    def values(self, context: Any, point: Sequence[Any]) -> list[Any]:
        return self._evaluate(context, point)[: self.size]

    def both(self, context: Any, point: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        results = self._evaluate(context, point)
        return results[: self.size], results[self.size :]


def _newton(
    system: _System, start: Sequence[Any], working: int
) -> tuple[list[Any], list[list[Any]]]:
    """Return an approximate root and an approximate inverse of the Jacobian there."""
    context = MPContext()
    context.dps = 2 * working
    size = system.size
    point = [_to_float(context, x) for x in start]
    goal = context.mpf(10) ** (-working)
    for _ in range(_NEWTON_STEPS):
        try:
            values, entries = system.both(context, point)
            J = context.matrix([entries[size * i : size * (i + 1)] for i in range(size)])
            step = context.lu_solve(J, context.matrix(values))
        except ZeroDivisionError:
            raise UncertifiedRootError("the Jacobian is singular", start) from None
        point = [x - dx for x, dx in zip(point, step, strict=True)]
        length = context.norm(step, mpmath.inf)
        if not context.isfinite(length) or length > 1e6:
            raise UncertifiedRootError("Newton's method diverges", start)
        if length < goal:
            inverse = context.inverse(J)
            return point, [[inverse[i, j] for j in range(size)] for i in range(size)]
    raise UncertifiedRootError("Newton's method does not converge", start)


def _to_float(context: MPContext, value: Any) -> Any:
    if isinstance(value, sympy.Rational):
        return context.mpf(int(value.p)) / int(value.q)
    return context.mpf(float(value))


def _krawczyk(
    context: MPIntervalContext,
    system: _System,
    center: list[Any],
    step: list[Any],
    Y: list[list[Any]],
    box: list[Any],
) -> list[Any]:
    """Return K(X) for the box X; `step` is Y F(m)."""
    size = system.size
    _, entries = system.both(context, box)
    offsets = [x - m for x, m in zip(box, center, strict=True)]
    image = []
    for i in range(size):
        total = center[i] - step[i]
        for j in range(size):
            product = _dot(context, Y[i], entries[j::size])
            total += ((1 if i == j else 0) - product) * offsets[j]
        image.append(total)
    return image


def _dot(context: MPIntervalContext, row: Sequence[Any], column: Sequence[Any]) -> Any:
    total = context.mpf(0)
    for x, y in zip(row, column, strict=True):
        total += x * y
    return total


def _inside(inner: Any, outer: Any) -> bool:
    """Say whether an interval lies in the interior of another."""
    return bool(inner.a > outer.a) and bool(inner.b < outer.b)
