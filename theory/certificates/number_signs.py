"""Signs of real algebraic numbers, with proofs that can be rechecked by hand.

A rational number shows its sign. The sign of a + b√d follows from the squares a² and b²d. Any
other number is enclosed: every root in it lies between two rationals, which raising to a power or
a change of sign confirms, and interval arithmetic carries these to an enclosure of the number.
Whether a number is zero is decided by arithmetic in the field that it generates. Floats and
rounded digits decide nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import ceil, floor

import sympy

from ..fields import field_of

__all__ = ["Enclosure", "SignProof", "UndecidedCertificateError", "X", "prove_sign"]


class UndecidedCertificateError(ValueError):
    """A statement was neither proved nor disproved.

    Attributes
    ----------
    expression : sympy.Expr
        The expression whose sign is undecided.

    Examples
    --------
    Both sides may touch at a point that no halving reaches. Ask for less, or on another range:

    >>> import sympy
    >>> from superposition.theory.certificates.bernstein import prove_positive
    >>> x, y = sympy.symbols("x y")
    >>> touching = sympy.Poly((3 * x - 1) ** 2 + (3 * y - 1) ** 2, x, y)
    >>> unit = sympy.Interval(0, 1)
    >>> prove_positive(touching, (unit, unit), max_pieces=32)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    superposition.theory.certificates.number_signs.UndecidedCertificateError: the sign of ...
    >>> len(prove_positive(touching + 1, (unit, unit)).pieces)
    4
    """

    def __init__(self, expression: sympy.Expr, reason: str) -> None:
        self.expression = expression
        super().__init__(f"the sign of {expression} is undecided: {reason}")


X = sympy.Symbol("x", real=True)
"""The variable of the polynomials that enclosed numbers are roots of."""


@dataclass(frozen=True)
class Enclosure:
    """A rational interval around an irrational number.

    Attributes
    ----------
    number
        A root, such as √5 or a `CRootOf`, a cosine, or what is computed from such.
    lower, upper
        Rational; lower < number < upper.
    polynomial
        Where it is a root of a polynomial with rational coefficients in `X` that has no other root
        between the two: that polynomial, whose signs there differ. ``None`` for nested roots,
        where powers of the ends enclose the radicand, and for the number itself.
    """

    number: sympy.Expr
    lower: sympy.Rational
    upper: sympy.Rational
    polynomial: sympy.Expr | None = None


@dataclass(frozen=True)
class SignProof:
    """The sign of a number and why it is that.

    Attributes
    ----------
    number
        The number.
    sign
        −1, 0 or 1.
    rule
        "rational", "quadratic", "enclosure" or "zero".
    parts
        For "quadratic" the rational a, b and the integer d of a + b√d.
    enclosures
        For "enclosure" the roots, inner ones first, and last the number itself.
    """

    number: sympy.Expr
    sign: int
    rule: str
    parts: tuple[sympy.Rational, ...] = ()
    enclosures: tuple[Enclosure, ...] = ()


def prove_sign(number: sympy.Expr) -> SignProof:
    """Return the sign of a real algebraic number with its proof.

    Raises
    ------
    UndecidedCertificateError
        If the number is no algebraic number that this module can enclose, or neither zero nor
        told from zero at 1000 digits.

    Examples
    --------
    >>> proof = prove_sign(sympy.sqrt(5) - sympy.Rational(9, 4))
    >>> proof.sign, proof.rule, proof.parts
    (-1, 'quadratic', (-9/4, 1, 5))
    """
    if number.is_Rational:
        return SignProof(number, _sign(number), "rational")
    parts = _quadratic_parts(number)
    if parts is not None:
        return SignProof(number, _quadratic_sign(*parts), "quadratic", parts)
    return _enclosed_sign(number)


def _sign(number: sympy.Rational) -> int:
    return int(bool(number > 0)) - int(bool(number < 0))


def _quadratic_parts(number: sympy.Expr) -> tuple[sympy.Rational, ...] | None:
    """Return a, b, d of a + b√d, or ``None`` if the number has not that form."""
    roots = [power for power in number.atoms(sympy.Pow) if not power.exp.is_Integer]
    # SymPy writes every square root of a rational as a multiple of one of an integer.
    if len(roots) != 1 or number.atoms(sympy.CRootOf, sympy.Function, sympy.NumberSymbol):
        return None
    (root,) = roots
    if not (root.base.is_Integer and root.base > 1 and root.exp == sympy.S.Half):
        return None
    element = sympy.QQ.algebraic_field(root).from_sympy(number)
    parts = [sympy.QQ.to_sympy(part) for part in reversed(element.to_list())]
    a, b = (*parts, sympy.S.Zero, sympy.S.Zero)[:2]
    return a, b, root.base


def _quadratic_sign(a: sympy.Rational, b: sympy.Rational, d: sympy.Rational) -> int:
    """Return the sign of a + b√d from a² − b²d."""
    if _sign(a) * _sign(b) >= 0:
        return _sign(a) or _sign(b)
    return _sign(a) * _sign(a**2 - b**2 * d)


Interval = tuple[Fraction, Fraction]

_DIGITS = (3, 6, 12, 25, 50, 100, 200, 400, 1000)


def _enclosed_sign(number: sympy.Expr) -> SignProof:
    for digits in _DIGITS:
        found: dict[sympy.Expr, Enclosure] = {}
        lower, upper = _enclose(number, digits, found)
        if lower > 0 or upper < 0:
            whole = Enclosure(number, *_shortened(lower, upper))
            roots = (root for root in found.values() if root.number != number)
            return SignProof(number, 1 if lower > 0 else -1, "enclosure", (), (*roots, whole))
        if digits == 100 and _is_zero(number):
            return SignProof(number, 0, "zero")
    raise UndecidedCertificateError(number, f"{_DIGITS[-1]} digits do not tell it from zero")


def _is_zero(number: sympy.Expr) -> bool:
    """Say whether a number is zero, by arithmetic in its field."""
    if number.has(sympy.Function):
        x = sympy.Dummy("x")
        return bool(sympy.minimal_polynomial(number, x) == x)
    field = field_of([number])
    return not field.from_sympy(number)


def _shortened(lower: Fraction, upper: Fraction) -> tuple[sympy.Rational, sympy.Rational]:
    """Widen an interval that excludes zero to ends of few digits."""
    scale = 1
    while floor(lower * scale) <= 0 <= ceil(upper * scale):
        scale *= 10
    return sympy.Rational(floor(lower * scale), scale), sympy.Rational(ceil(upper * scale), scale)


def _enclose(number: sympy.Expr, digits: int, found: dict[sympy.Expr, Enclosure]) -> Interval:
    """Return rationals around a number, and note the roots that were enclosed on the way."""
    if number.is_Rational:
        value = Fraction(int(number.p), int(number.q))
        return value, value
    if number in found:
        return _ends(found[number])
    if number.is_Add or number.is_Mul:
        parts = [_enclose(part, digits, found) for part in number.args]
        return reduce(_sum if number.is_Add else _product, parts)
    if number.is_Pow and number.exp.is_Integer:
        return _power(_enclose(number.base, digits, found), int(number.exp), number)
    if number.is_Pow and number.exp.is_Rational:
        if number.exp.p != 1:
            root = sympy.Pow(number.base, sympy.Rational(1, number.exp.q), evaluate=False)
            return _power(_enclose(root, digits, found), int(number.exp.p), number)
        found[number] = _root(number, _enclose(number.base, digits, found), digits)
    elif isinstance(number, sympy.CRootOf):
        found[number] = _polynomial_root(number, digits)
    elif isinstance(number, (sympy.cos, sympy.sin, sympy.tan)):
        found[number] = _function_value(number, digits)
    else:
        raise UndecidedCertificateError(number, "only algebraic numbers can be enclosed")
    return _ends(found[number])


def _ends(enclosure: Enclosure) -> Interval:
    lower, upper = (Fraction(int(end.p), int(end.q)) for end in (enclosure.lower, enclosure.upper))
    return lower, upper


def _sum(first: Interval, second: Interval) -> Interval:
    return first[0] + second[0], first[1] + second[1]


def _product(first: Interval, second: Interval) -> Interval:
    products = [x * y for x in first for y in second]
    return min(products), max(products)


def _power(base: Interval, exponent: int, number: sympy.Expr) -> Interval:
    if exponent < 0 and base[0] <= 0 <= base[1]:
        raise UndecidedCertificateError(number, "its denominator is not told from zero")
    ends = sorted(end**exponent for end in base)
    lower = Fraction(0) if exponent % 2 == 0 and base[0] <= 0 <= base[1] else ends[0]
    return lower, ends[1]


def _root(number: sympy.Expr, radicand: Interval, digits: int) -> Enclosure:
    """Enclose a q-th root between decimals; raising them to the power q confirms it."""
    degree = int(number.exp.q)
    if radicand[0] < 0:
        raise UndecidedCertificateError(number, "its radicand is not told from a negative number")
    scale = 10**digits
    lower = sympy.integer_nthroot(int(radicand[0] * scale**degree), degree)[0]
    upper = sympy.integer_nthroot(int(radicand[1] * scale**degree), degree)[0] + 1
    polynomial = X**degree - number.base if number.base.is_Rational else None
    return Enclosure(number, sympy.Rational(lower, scale), sympy.Rational(upper, scale), polynomial)


def _polynomial_root(number: sympy.Expr, digits: int) -> Enclosure:
    """Enclose a root of a polynomial between decimals at which its signs differ."""
    scale = 10**digits
    while True:
        near = sympy.floor(number.eval_rational(sympy.Rational(1, 4 * scale)) * scale)
        lower, upper = sympy.Rational(near - 1, scale), sympy.Rational(near + 2, scale)
        if number.poly.count_roots(lower, upper) == 1:
            return Enclosure(number, lower, upper, number.poly.as_expr(X))
        scale *= 1000


def _function_value(number: sympy.Expr, digits: int) -> Enclosure:
    """Enclose a cosine of a rational multiple of π as a root of its minimal polynomial."""
    if not number.is_algebraic:
        raise UndecidedCertificateError(number, "only algebraic numbers can be enclosed")
    roots = sympy.minimal_polynomial(number, X, polys=True).real_roots()
    # The roots are cosines of multiples of one angle: 50 digits tell any two apart.
    root = min(roots, key=lambda candidate: abs(candidate.evalf(50) - number.evalf(50)))
    enclosed = _polynomial_root(root, digits)
    return Enclosure(number, enclosed.lower, enclosed.upper, enclosed.polynomial)
