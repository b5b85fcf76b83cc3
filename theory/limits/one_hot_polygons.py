"""Regular polygons that are critical points of the one-hot potential, as algebraic numbers.

Let the columns of W be the corners of a regular k-gon of radius l, all biases b, and write
β = −b/l² and c_d = cos(2πd/k), so that W_i·W_{i+d} = l² c_d. Every output costs

    H_i = 1 − l² T(β) + l⁴ S(β),

    β ≥ 0:  T = (1 − β)² (2 + β),  S = Σ_{c_d > β} (c_d − β)³/c_d,
    β < 0:  T = 2 − 3β,            S = Σ_{c_d ≥ β} (c_d² − 3 c_d β + 3 β²) + Σ_{c_d < β} β³/c_d,

with d = 0, …, k − 1. The best radius is l² = T/2S, where H_i = 1 − T²/4S, and what remains is
2 T′ S = T S′: a polynomial equation for β over ℚ(cos 2π/k) in every chamber, that is between
neighboring cosines. Regular k-gons are the points fixed by the symmetry group of a k-gon, which
acts on (W, b) by rotations and reflections of the plane together with permutations of the
features. H is invariant and once continuously differentiable, so a critical point among them is
critical among all (W, b) (Palais 1979, the principle of symmetric criticality).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

import mpmath
import numpy as np
import sympy
from sympy.polys.euclidtools import dup_resultant

from ...model import check_sizes
from ..configurations import Configuration
from ..fields import field_of, tidy_algebraic
from .one_hot import interference_term, reconstruction_term

__all__ = ["CriticalPolygon", "hessian_eigenvalues", "one_hot_report", "polygon_critical_points"]

DIGITS = 40
TINY = mpmath.mpf(10) ** (-DIGITS // 2)
beta, radius, bias, x = sympy.symbols("beta l b x", real=True)


@dataclass(frozen=True)
class CriticalPolygon:
    """A regular polygon, with a common bias, at which the one-hot potential is stationary.

    Attributes
    ----------
    corners
        Number k of features.
    threshold
        β = −b/l²: outputs see the corners whose cosine exceeds it.
    radius, bias, potential
        l, b and H = k H_i.
    polynomial
        Minimal polynomial of `threshold` over ℚ.
    chamber
        Inequalities between ``l`` and ``b`` under which the equation for β holds.
    """

    corners: int
    threshold: sympy.Expr
    radius: sympy.Expr
    bias: sympy.Expr
    potential: sympy.Expr
    polynomial: sympy.Poly
    chamber: tuple[sympy.Rel, ...]

    @property
    def is_on_wall(self) -> bool:
        """Whether b = 0, where two chambers meet and the second derivatives of H jump."""
        return bool(self.bias == 0)

    @property
    def configuration(self) -> Configuration:
        """Exact (W, b)."""
        k = self.corners
        turns = [2 * sympy.pi * i / k for i in range(k)]
        W = [[self.radius * f(turn) for turn in turns] for f in (sympy.cos, sympy.sin)]
        return Configuration(f"critical {k}-gon", W, [self.bias] * k)

    @cached_property
    def stability(self) -> Literal["global minimum", "minimum", "saddle"]:
        """What the point is among all (W, b) of k features in the plane, up to rotations.

        A polygon without loss is a global minimum, as H ≥ 0. The others are told by the signs
        of the Hessian's eigenvalues, at 40 digits; one is zero, for rotations.

        Raises
        ------
        ValueError
            If there are further zero eigenvalues, so that second derivatives do not decide.
        """
        if self.potential == 0:
            return "global minimum"
        eigenvalues = hessian_eigenvalues(self)
        if sum(abs(value) < TINY for value in eigenvalues) != 1:
            raise ValueError(f"the Hessian of the {self.corners}-gon is degenerate")
        return "saddle" if min(eigenvalues) < -TINY else "minimum"


def polygon_critical_points(n_features: int) -> tuple[CriticalPolygon, ...]:
    """Return every regular n-gon with one radius and one bias that is critical for H.

    Parameters
    ----------
    n_features
        Number n of corners, at least 2. Two opposite corners span a line only.

    Returns
    -------
    tuple of CriticalPolygon
        In ascending order of the threshold. Radius zero is left out. For 2, 3 and 4 the polygon
        of radius 1 with zero bias has no loss; above, the numbers are roots of irreducible
        polynomials (`sympy.CRootOf`).

    Raises
    ------
    ValueError
        If `n_features` is no integer of at least 2.

    Notes
    -----
    Chen et al. 2023 state them for 4 ≤ n ≤ 8.

    Examples
    --------
    >>> pentagon = polygon_critical_points(5)[0]
    >>> [value.evalf(6) for value in (pentagon.radius, pentagon.bias, pentagon.potential)]
    [1.17046, -0.282297, 0.237384]
    """
    check_sizes(n_features, 2)
    if n_features < 2:
        raise ValueError(f"a polygon has at least 2 corners here, got n_features = {n_features}")
    found = [
        _critical_point(chamber, near)
        for chamber in _chambers(n_features)
        for near in chamber.thresholds()
    ]
    # A threshold on a wall is met from both sides, and listed once.
    return tuple(
        point
        for i, point in enumerate(found)
        if all(point.threshold != other.threshold for other in found[:i])
    )


def _cosines(k: int) -> list[sympy.Expr]:
    """Return c_0, …, c_{k−1}, equal ones in one form."""
    return [sympy.cos(2 * sympy.pi * min(d, k - d) / k) for d in range(k)]


@dataclass(frozen=True)
class _Chamber:
    """T, S and the equation of the critical thresholds between two walls."""

    corners: int
    lower: sympy.Expr
    upper: sympy.Expr
    benefit: sympy.Poly
    cost: sympy.Poly
    equation: sympy.Poly

    def thresholds(self) -> list[mpmath.mpf]:
        """Return the roots of the equation in the chamber, at `DIGITS` digits."""
        with mpmath.workdps(DIGITS):
            coefficients = [_number(c) for c in self.equation.all_coeffs()]
            roots = mpmath.polyroots(coefficients, maxsteps=200, extraprec=4 * DIGITS)
            real = [root.real for root in roots if abs(root.imag) < TINY]
            low, high = (_number(wall) for wall in (self.lower, self.upper))
            return [root for root in real if low - TINY < root < high - TINY]

    def exactly(self, numerator: sympy.Poly, denominator: sympy.Poly, near: Any) -> sympy.Expr:
        """Return numerator/denominator at the threshold, as the root of a polynomial over ℚ.

        It is a root of the resultant of the equation with denominator·x − numerator, and of the
        norm of that from ℚ(cos 2π/k) to ℚ. Among finitely many it is the one next to `near`.
        """
        field = self.equation.domain
        ground = field[x]
        given, top, bottom = (f.set_domain(ground) for f in (self.equation, numerator, denominator))
        system = bottom.mul_ground(ground.gens[0]) - top
        # Elements stay in their domains: a detour over expressions is ten times slower.
        eliminated = dup_resultant(given.rep.to_list(), system.rep.to_list(), ground)
        return _nearest_root(sympy.Poly.from_dict(dict(eliminated.terms()), x, domain=field), near)


def _chambers(k: int) -> Iterator[_Chamber]:
    """Yield the chambers between −∞ and 1; a model with β ≥ 1 is dead."""
    cosines = _cosines(k)
    field = field_of(cosines)
    elements = {cosine: field.from_sympy(cosine) for cosine in {*cosines}}
    walls = [-sympy.oo, *sorted({*cosines, sympy.S.Zero}, key=float)]
    for lower, upper in pairwise(walls):
        seen = walls[walls.index(upper) :]
        above = [elements[c] for c in cosines if c in seen]
        below = [elements[c] for c in cosines if c not in seen]
        benefit, cost = _benefit_and_cost(field, above, below, is_negative=upper <= 0)
        equation = 2 * benefit.diff(beta) * cost - benefit * cost.diff(beta)
        while equation.eval(1) == 0:  # β = 1 is a dead model
            equation = equation.quo(sympy.Poly(beta - 1, beta, domain=field))
        yield _Chamber(k, lower, upper, benefit, cost, equation)


def _benefit_and_cost(
    field: Any, above: list[Any], below: list[Any], *, is_negative: bool
) -> tuple[sympy.Poly, sympy.Poly]:
    """Return T and S, polynomials in β over the field of the cosines."""

    def polynomial(*coefficients: Any) -> sympy.Poly:
        return sympy.Poly.from_list([field.convert(c) for c in coefficients], beta, domain=field)

    if is_negative:
        cost = sum((polynomial(3, -field(3) * c, c**2) for c in above), polynomial(0))
        cost = sum((polynomial(field.one / c, 0, 0, 0) for c in below), cost)
        return polynomial(-3, 2), cost
    cost = sum((polynomial(-1, c) ** 3 * polynomial(field.one / c) for c in above), polynomial(0))
    return polynomial(1, 0, -3, 2), cost


def _critical_point(chamber: _Chamber, near: mpmath.mpf) -> CriticalPolygon:
    k, T, S = chamber.corners, chamber.benefit, chamber.cost
    with mpmath.workdps(DIGITS):
        benefit, cost = (mpmath.polyval([_number(c) for c in f.all_coeffs()], near) for f in (T, S))
        square = benefit / (2 * cost)
        potential = k * (1 - benefit * square / 2)
        threshold = _nearest_root(chamber.equation, near)
        l_squared = chamber.exactly(T, 2 * S, square)
        b = chamber.exactly(-sympy.Poly(beta, beta) * T, 2 * S, -near * square)
        H = chamber.exactly(k * (4 * S - T**2), 4 * S, potential)
    conditions = (
        sympy.Le(bias, -(radius**2) * chamber.lower),
        sympy.Gt(bias, -(radius**2) * chamber.upper),
    )
    polynomial = sympy.Poly(sympy.minimal_polynomial(threshold, x), x)
    return CriticalPolygon(k, threshold, _square_root(l_squared), b, H, polynomial, conditions)


def _square_root(square: sympy.Expr) -> sympy.Expr:
    root = sympy.sqrt(square)
    return root if root.has(sympy.CRootOf) else tidy_algebraic(sympy.sqrtdenest(root))


def _nearest_root(polynomial: sympy.Poly, near: mpmath.mpf) -> sympy.Expr:
    """Return the real root of the norm of `polynomial` over ℚ that is `near`."""
    rational = polynomial if polynomial.domain.is_QQ else polynomial.norm()
    roots = [root for factor, _ in rational.factor_list()[1] for root in factor.real_roots()]
    return min(roots, key=lambda root: abs(_number(root) - near))


def _number(value: sympy.Expr) -> mpmath.mpf:
    if value == -sympy.oo:
        return mpmath.mpf("-inf")
    with mpmath.workdps(DIGITS):
        return mpmath.mpf(str(value.evalf(DIGITS)))


def hessian_eigenvalues(point: CriticalPolygon) -> tuple[mpmath.mpf, ...]:
    """Return the 3k eigenvalues of H's second derivatives in all of W and b, in ascending order.

    At 40 digits. Rotations of the plane leave H as it is, so that one eigenvalue is zero.

    Raises
    ------
    ValueError
        If b = 0, where the second derivatives jump.

    Examples
    --------
    >>> pentagon, = polygon_critical_points(5)
    >>> [float(round(value, 3)) for value in hessian_eigenvalues(pentagon)[1:4]]
    [1.035, 1.097, 1.097]
    """
    if point.is_on_wall:
        raise ValueError(
            f"the critical {point.corners}-gon has b = 0, where the second derivatives of the "
            f"one-hot potential jump; it has no loss and is a global minimum"
        )
    with mpmath.workdps(DIGITS):
        return tuple(sorted(mpmath.eigsy(_hessian(point), eigvals_only=True)))


def _hessian(point: CriticalPolygon) -> mpmath.matrix:
    """Return the second derivatives, features in blocks of W_0i, W_1i, b_i."""
    k = point.corners
    l, b = _number(point.radius), _number(point.bias)
    angles = [2 * mpmath.pi * i / k for i in range(k)]
    W = [np.array([l * mpmath.cos(angle), l * mpmath.sin(angle)]) for angle in angles]
    hessian = np.full((3 * k, 3 * k), mpmath.mpf(0))
    shift = np.array([0, 0, 0, 0, 1])
    for d in range(k):
        term = reconstruction_term if d == 0 else interference_term
        slope, a_a, a_b, b_b = _derivatives(term, l**2 * mpmath.cos(angles[d]), b)
        for i, j in ((i, (i + d) % k) for i in range(k)):
            gradient = np.array([*W[j], *W[i], 0])  # of a_ij = W_i·W_j, in W_i, W_j and b_i
            block = a_a * np.outer(gradient, gradient) + b_b * np.outer(shift, shift)
            block += a_b * (np.outer(gradient, shift) + np.outer(shift, gradient))
            block[[0, 1, 2, 3], [2, 3, 0, 1]] += slope
            places = [3 * i, 3 * i + 1, 3 * j, 3 * j + 1, 3 * i + 2]
            np.add.at(hessian, np.ix_(places, places), block)  # i = j names places twice
    return mpmath.matrix(hessian.tolist())


def _derivatives(term: Any, coupling: mpmath.mpf, b: mpmath.mpf) -> list[mpmath.mpf]:
    """Return ∂/∂a, ∂²/∂a², ∂²/∂a∂b and ∂²/∂b² of a term of H, in the chamber of its arguments."""
    a = sympy.Symbol("a", real=True)
    at = {a: sympy.Float(coupling, DIGITS), bias: sympy.Float(b, DIGITS)}
    expression = term(a, bias, {symbol: sympy.Rational(value) for symbol, value in at.items()})
    orders = ((a,), (a, a), (a, bias), (bias, bias))
    return [_number(sympy.diff(expression, *order).subs(at)) for order in orders]


def one_hot_report(n_features: int) -> str:
    """Return the critical n-gons of the one-hot potential as text.

    Raises
    ------
    ValueError
        If `n_features` is no integer of at least 2.

    Examples
    --------
    >>> print(one_hot_report(4))
    one-hot potential H = 12 L, regular 4-gon with radius l and bias b
      chamber    b <= 0, b > -l**2
      beta       0 = -b/l², root of x
      l          1
      b          0
      H          0
      stability  global minimum
    """
    heading = f"one-hot potential H = {3 * n_features} L, regular {n_features}-gon"
    lines = [f"{heading} with radius l and bias b"]
    for point in polygon_critical_points(n_features):
        lines += [
            f"  chamber    {', '.join(f'{c.lhs} {c.rel_op} {c.rhs}' for c in point.chamber)}",
            f"  beta       {_shown(point.threshold)} = -b/l², root of {point.polynomial.as_expr()}",
            f"  l          {_shown(point.radius)}",
            f"  b          {_shown(point.bias)}",
            f"  H          {_shown(point.potential)}",
            f"  stability  {point.stability}",
        ]
    return "\n".join(lines)


def _shown(value: sympy.Expr) -> str:
    if value.is_Rational:
        return str(value)
    return str(value.evalf(15)) if value.has(sympy.CRootOf) else f"{value} = {value.evalf(15)}"
