"""Exact arithmetic and exact signs.

Vertex sums are computed in a SymPy *domain* (rationals, an algebraic number field, or rational
functions of the symbols) and not on expressions: equality with zero is then decided by the
arithmetic itself, and a pentagon takes a second where expressions take minutes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import sympy
from sympy.polys.constructor import construct_domain
from sympy.simplify.fu import TR8

__all__ = [
    "UndecidedSignError",
    "decide_sign",
    "element_of",
    "exact_gram",
    "field_of",
    "tidy_algebraic",
]

Sample = Mapping[sympy.Symbol, Any]


class UndecidedSignError(ValueError):
    """The sign of an expression is needed and follows neither from assumptions nor a sample.

    Attributes
    ----------
    expression : sympy.Expr
        The expression whose sign is undecided.

    Examples
    --------
    Without assumptions nobody knows on which side of the kink ``w`` lies. Declare the sign, or
    pass a sample that picks the chamber in which the result is to hold:

    >>> import sympy
    >>> from superposition.theory import expected_loss
    >>> w = sympy.Symbol("w")
    >>> expected_loss([[1, w]])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
        ...
    superposition.theory.fields.UndecidedSignError: the sign of w is undecided: ...
    >>> loss = expected_loss([[1, w]], sample={w: sympy.Rational(-1, 2)})
    >>> loss.subs(w, sympy.Rational(-1, 3))
    67*s**2/729 + 64*s/243
    """

    def __init__(self, expression: sympy.Expr, reason: str = "") -> None:
        self.expression = expression
        super().__init__(
            f"the sign of {expression} is undecided{reason}: declare assumptions on its symbols, "
            f"such as Symbol('w', positive=True), or pass sample={{symbol: number}} to pick the "
            f"chamber in which the result is to hold"
        )


def tidy_algebraic(number: sympy.Expr) -> sympy.Expr:
    """Return an algebraic number in a short form; what is no algebraic number is only expanded.

    Of degree 1 or 2 it becomes p or p + q√d, and a sum of products of cosines of rational angles
    a polynomial in one cosine. A polygon's couplings are such numbers and come out of WᵀW as
    products of nested roots, sines and cosines. Without this the field of the couplings would
    contain the sines as well.

    Examples
    --------
    >>> tidy_algebraic(sympy.sqrt(5 + 2 * sympy.sqrt(6)) * sympy.sqrt(5 - 2 * sympy.sqrt(6)))
    1
    >>> a, b = 2 * sympy.pi / 7, 3 * sympy.pi / 7
    >>> tidy_algebraic(sympy.cos(a) * sympy.cos(b) + sympy.sin(a) * sympy.sin(b))
    cos(pi/7)
    """
    number = sympy.expand(number)
    if number.is_Rational or not (number.is_number and number.is_algebraic):
        return number
    if number.has(sympy.cos, sympy.sin):
        number = _in_one_cosine(sympy.expand(TR8(number)))
    if number.has(sympy.cos):
        return number
    x = sympy.Dummy("x")
    polynomial = sympy.minimal_polynomial(number, x, polys=True)
    if polynomial.degree() > 2:
        return number
    distances = [(abs((root - number).evalf(50)), root) for root in sympy.roots(polynomial)]
    return sympy.expand(min(distances, key=lambda pair: pair[0])[1])


def _in_one_cosine(number: sympy.Expr) -> sympy.Expr:
    """Return a polynomial in cosines and sines of rational angles as one in c = cos(π/N).

    cos(pπ/N) is the Chebyshev polynomial T_p(c), and powers of c are reduced by its equation.
    """
    angles = [sympy.Rational(f.args[0] / sympy.pi) for f in number.atoms(sympy.cos, sympy.sin)]
    halves = [angle - sympy.S.Half for angle in angles] if number.has(sympy.sin) else []
    n = math.lcm(*(int(angle.q) for angle in (*angles, *halves)))
    c = sympy.Dummy("c")

    def cosine(angle: sympy.Expr) -> sympy.Expr:
        return sympy.chebyshevt(abs(int(angle / sympy.pi * n)), c)

    in_c = number.replace(sympy.sin, lambda angle: cosine(angle - sympy.pi / 2)).replace(
        sympy.cos, cosine
    )
    unit = sympy.cos(sympy.pi / n)
    equation = sympy.minimal_polynomial(unit, c, polys=True)
    if not in_c.is_polynomial(c):
        return number
    return sympy.Poly(in_c, c, extension=True).rem(equation).as_expr().subs(c, unit)


def field_of(expressions: Iterable[sympy.Expr]) -> Any:
    """Return the SymPy domain, a field, in which all `expressions` lie.

    Examples
    --------
    >>> field_of([sympy.Rational(1, 2), sympy.Integer(3)])
    QQ
    """
    expressions = list(expressions)
    if all(e.is_Rational for e in expressions):
        return sympy.QQ
    if all(e.is_number and e.is_algebraic for e in expressions):
        roots, _ = _atoms(expressions)
        if len(roots) == 1:  # no search for a primitive element is needed
            return sympy.QQ.algebraic_field(roots[0])
        return construct_domain(expressions, extension=True, field=True)[0]
    domain = construct_domain(expressions, field=True)[0]
    if not domain.is_EX:
        return domain
    # construct_domain gives up on roots beside symbols and on functions of symbols that may
    # depend on each other. Taken for independent they give correct, if longer, results.
    roots, generators = _atoms(expressions)
    ground = construct_domain([sympy.S.One, *roots], extension=True, field=True)[0]
    return ground.frac_field(*generators)


def _atoms(expressions: Iterable[sympy.Expr]) -> tuple[list[sympy.Expr], list[sympy.Expr]]:
    """Return the irrational algebraic numbers and the other things that are added and multiplied."""
    roots: set[sympy.Expr] = set()
    generators: set[sympy.Expr] = set()
    stack = list(expressions)
    while stack:
        expression = stack.pop()
        is_power = expression.is_Pow and expression.exp.is_Integer
        if expression.is_Add or expression.is_Mul or is_power:
            stack.extend(expression.args)
        elif expression.is_Rational:
            continue
        elif expression.is_number and expression.is_algebraic:
            roots.add(expression)
        else:
            generators.add(expression)
    key = sympy.default_sort_key
    return sorted(roots, key=key), sorted(generators, key=key)


def element_of(field: Any, expression: sympy.Expr) -> Any:
    """Return an expression as an element of a field that contains it.

    SymPy finds out how any algebraic number lies in a number field, which takes long. One that is
    a polynomial in the field's generator is evaluated there.

    Examples
    --------
    >>> K = sympy.QQ.algebraic_field(sympy.sqrt(5))
    >>> K.to_sympy(element_of(K, (1 + sympy.sqrt(5)) / 2))
    1/2 + sqrt(5)/2
    """
    if not field.is_AlgebraicField or len(field.orig_ext) != 1:
        return field.from_sympy(expression)
    x = sympy.Dummy("x")
    in_x = expression.xreplace({field.orig_ext[0]: x})
    if in_x.is_Rational:
        return field.from_sympy(in_x)
    if not in_x.is_polynomial(x) or in_x.free_symbols != {x}:
        return field.from_sympy(expression)
    coefficients = sympy.Poly(in_x, x).all_coeffs()
    if not all(c.is_Rational for c in coefficients):
        return field.from_sympy(expression)
    total = field.zero
    for c in coefficients:
        total = total * field.unit + field.from_sympy(c)
    return total


def exact_gram(weights: sympy.Matrix) -> sympy.ImmutableMatrix:
    """Return WᵀW with algebraic numbers in their short forms.

    Examples
    --------
    >>> exact_gram(sympy.Matrix([[sympy.sqrt(2), 1 - sympy.sqrt(2)]]))
    Matrix([
    [           2,   -2 + sqrt(2)],
    [-2 + sqrt(2), 3 - 2*sqrt(2)]])
    """
    n = weights.shape[1]
    columns = [weights.col(i) for i in range(n)]
    upper = {
        (i, j): tidy_algebraic(columns[i].dot(columns[j])) for i in range(n) for j in range(i, n)
    }
    return sympy.ImmutableMatrix(n, n, lambda i, j: upper[min(i, j), max(i, j)])


def decide_sign(
    expression: sympy.Expr, sample: Sample | None = None, densities: Iterable[sympy.Symbol] = ()
) -> int:
    """Return −1, 0 or 1 if `expression` is ≤ 0, identically 0 or ≥ 0 wherever it is defined.

    Parameters
    ----------
    expression
        A real expression. Zero must already be recognized for numbers outside SymPy's reach.
    sample
        Values of the free symbols at which the sign is read off if assumptions do not decide it.
    densities
        Symbols that lie in (0, 1], which SymPy's assumptions cannot say.

    Raises
    ------
    UndecidedSignError
        If neither decides.

    Examples
    --------
    >>> t = sympy.Symbol("t", positive=True)
    >>> decide_sign(-t), decide_sign(1 - t, densities=[t])
    (-1, 1)
    """
    if expression.is_number:
        return sign_of_number(expression)
    for form in _equivalent_forms(expression, densities):
        if form.is_zero:
            return 0
        if form.is_nonnegative:
            return 1
        if form.is_nonpositive:
            return -1
    if sample is None:
        raise UndecidedSignError(expression)
    value = expression.subs(sample)
    if not value.is_number:
        raise UndecidedSignError(expression, f" by the sample {dict(sample)}")
    sign = sign_of_number(value)
    if sign == 0:
        # On a wall two chambers meet, and the result would hold in neither neighborhood alone.
        raise UndecidedSignError(expression, f" by the sample {dict(sample)}, where it is zero")
    return sign


def _equivalent_forms(
    expression: sympy.Expr, densities: Iterable[sympy.Symbol]
) -> Iterable[sympy.Expr]:
    yield expression
    yield sympy.expand(expression)
    yield sympy.factor(expression)
    present = [d for d in densities if d in expression.free_symbols]
    if present:
        # d = 1/(1 + t) carries t ≥ 0 to (0, 1], which turns 1 − d into a positive form.
        odds = {d: 1 / (1 + sympy.Dummy("t", nonnegative=True)) for d in present}
        numerator, denominator = sympy.fraction(sympy.together(expression.subs(odds)))
        yield sympy.factor(numerator) / sympy.factor(denominator)
        yield sympy.expand(numerator) / sympy.factor(denominator)


def sign_of_number(number: sympy.Expr) -> int:
    """Return the exact sign of a real number.

    Rationals are compared. For others zero is decided symbolically, after which evaluation with
    growing precision must end.

    Raises
    ------
    UndecidedSignError
        If SymPy can neither prove the number zero nor tell it from zero at 400 digits.
    """
    if number.is_Rational:
        return int(sympy.sign(number))
    for digits in (30, 100, 400):
        value = number.evalf(digits, maxn=4 * digits)
        if abs(value) > sympy.Float(10, digits) ** (-digits // 2):
            return 1 if value > 0 else -1
        if digits == 30 and number.equals(0):
            return 0
    raise UndecidedSignError(number)
