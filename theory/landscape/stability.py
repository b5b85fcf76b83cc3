"""How the loss changes when weights and biases begin to move, on either side of a ReLU's kink.

Along W + εV, b + εc with ε > 0 the loss is L_0 + L_1 ε + L_2 ε² + L_3 ε³ + …. Where a vertex value
of a pre-activation vanishes at ε = 0 the coefficients depend on which way it moves, so that they
hold on a **cone** of directions: the variation is one-sided. L_2 is then no quadratic form, and
its minimum has to be sought among all parameters that move at the same order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import sympy

from ...features import FeatureDistribution, check_features
from ..cells import real_roots_between
from ..fields import UndecidedSignError, decide_sign
from ..inputs import as_exact, read_bias, read_weights
from ..loss import derive_loss
from ..symbols import OPTIMAL, s

__all__ = [
    "BestVariation",
    "StabilityLine",
    "Variation",
    "best_variation",
    "stability_line",
    "vary",
]

_STEPS = tuple(sympy.Rational(1, 10**k) for k in (6, 12, 24, 48))
"""Values of ε at which cones are told apart, tried until the lowest order decides every sign."""


@dataclass(frozen=True)
class Variation:
    """The loss along one direction, or a cone of directions with symbols in them.

    Attributes
    ----------
    V, c
        The direction: what ε multiplies in W and in b.
    coefficients
        L_0, L_1, …, exact.
    conditions
        What the symbols of V and c have to satisfy for the coefficients to hold. Conditions that
        follow from the assumptions on the symbols are left out.
    sample
        A point of the cone.
    """

    V: sympy.ImmutableMatrix
    c: tuple[sympy.Expr, ...]
    coefficients: tuple[sympy.Expr, ...]
    conditions: tuple[sympy.Expr, ...]
    sample: Mapping[sympy.Symbol, sympy.Expr]

    def text(self) -> str:
        """Return the coefficients and conditions as lines."""
        lines = [f"L_{k} = {value}" for k, value in enumerate(self.coefficients)]
        if self.conditions:
            lines.append("where " + ", ".join(map(str, self.conditions)))
        return "\n".join(lines)


def vary(
    W: Any,
    b: Any,
    V: Any,
    c: Any,
    *,
    density: Any = s,
    importance: Any = None,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: Any = 0,
    sample: Mapping[sympy.Symbol, Any] | None = None,
    order: int = 3,
) -> Variation:
    """Expand the expected loss of W + εV, b + εc in powers of ε > 0, exactly.

    Parameters
    ----------
    W, b
        Weights (m, n) and biases, as in `expected_loss`; no `OPTIMAL`.
    V, c
        The direction, of the same shapes; entries may be symbols.
    density, importance, activation, features, penalty
        As in `expected_loss`.
    sample
        Values of the free symbols that pick the cone.
    order
        The highest power of ε, at least 1.

    Returns
    -------
    Variation

    Raises
    ------
    ValueError
        If shapes do not fit or `order` is below 1.
    UndecidedSignError
        If the sample does not decide on which side of a kink the direction points.

    Examples
    --------
    A dropped feature that begins to share the dimension of a dedicated one costs nothing at first
    order, and at second order what its own variance and the interference make of it:

    >>> from superposition.theory import s
    >>> moved = vary([[1, 0]], [0, s / 2], [[0, -1]], [0, s / 2], importance=(1, 1))
    >>> moved.coefficients[1:3]
    (0, 7*s**2/12 - s/3)
    """
    if isinstance(order, bool) or not isinstance(order, int) or order < 1:
        raise ValueError(f"order must be an integer of at least 1, got {order!r}")
    weights, biases = read_weights(W), read_bias(b, read_weights(W).shape[1])
    direction, drift = read_weights(V), read_bias(c, weights.shape[1])
    if direction.shape != weights.shape:
        raise ValueError(f"V must have the shape of W, {weights.shape}, got {direction.shape}")
    if OPTIMAL in (*biases, *drift):
        raise ValueError("biases that vary must be numbers or expressions, got OPTIMAL")
    eps = sympy.Dummy("epsilon", positive=True)
    moved_W = weights + eps * direction
    moved_b = [start + eps * step for start, step in zip(biases, drift, strict=True)]
    gram = (moved_W.T * moved_W).applyfunc(sympy.expand)
    values = _vertex_values(gram, moved_b, check_features(features).values.symmetric)
    exact = {} if sample is None else {symbol: as_exact(value) for symbol, value in sample.items()}
    # Where only assumptions decide the lowest order, any values of the other symbols serve to
    # find the side; what neither decides is refused by `_conditions`.
    free = set().union(*(value.free_symbols for value in values)) - {eps}
    complete = {**dict.fromkeys(free, sympy.S.Half), **exact}
    conditions = tuple(_conditions(values, eps, exact)) if activation == "relu" else ()
    model = derive_loss(
        moved_W,
        moved_b,
        density=density,
        importance=importance,
        activation=activation,
        features=features,
        penalty=penalty,
        sample={**complete, eps: _small_enough(values, eps, complete)},
    )
    return Variation(
        direction,
        drift,
        _power_series(model.total, eps, order),
        conditions,
        exact,
    )


def _vertex_values(
    gram: sympy.Matrix, biases: Sequence[sympy.Expr], symmetric: bool
) -> list[sympy.Expr]:
    """Return the distinct vertex values of all pre-activations, as polynomials in ε.

    With values of either sign the box has corners at −1 too.
    """
    found: dict[sympy.Expr, None] = {}
    for i, bias in enumerate(biases):
        values = {sympy.expand(bias)}
        for coupling in gram.row(i):
            steps = (coupling, -coupling) if symmetric else (coupling,)
            values |= {sympy.expand(value + step) for value in values for step in steps}
        found.update(dict.fromkeys(sorted(values, key=sympy.default_sort_key)))
    return list(found)


def _leading(value: sympy.Expr, eps: sympy.Symbol) -> sympy.Expr:
    """Return the coefficient of the lowest power of ε, which has the sign for small ε."""
    if value == 0:
        return sympy.S.Zero
    return sympy.Poly(value, eps).all_coeffs()[::-1][_order(value, eps)]


def _order(value: sympy.Expr, eps: sympy.Symbol) -> int:
    coefficients = sympy.Poly(value, eps).all_coeffs()[::-1]
    return next(k for k, coefficient in enumerate(coefficients) if coefficient != 0)


def _small_enough(
    values: Iterable[sympy.Expr], eps: sympy.Symbol, sample: Mapping[sympy.Symbol, sympy.Expr]
) -> sympy.Expr:
    """Return an ε at which every vertex value has the sign of its lowest order."""
    pairs = []
    for value in values:
        at_sample = sympy.expand(value.subs(sample))
        if at_sample.free_symbols <= {eps} and at_sample != 0:
            pairs.append((at_sample, sympy.sign(_leading(at_sample, eps))))
    for step in _STEPS:
        if all(sympy.sign(value.subs(eps, step)) == sign for value, sign in pairs):
            return step
    raise UndecidedSignError(eps, ", because the sample lies too near to the wall of its cone")


def _conditions(
    values: Iterable[sympy.Expr], eps: sympy.Symbol, sample: Mapping[sympy.Symbol, sympy.Expr]
) -> list[sympy.Expr]:
    """Return the signs of the leading coefficients that only the sample decides."""
    found: dict[sympy.Expr, None] = {}
    for value in values:
        leading = sympy.factor(_leading(value, eps))
        try:
            decide_sign(leading, densities=[s])
        except UndecidedSignError:
            sign = decide_sign(leading, sample, densities=[s])
            # Positive factors say nothing: −2εβ < 0 is β > 0.
            _, factors = sympy.factor_list(leading)
            kept = sympy.prod(base for base, power in factors if power % 2 and not base.is_positive)
            kept_sign = decide_sign(sympy.expand(kept), sample, densities=[s])
            found[kept > 0 if kept_sign > 0 else kept < 0] = None
            assert sign != 0
    return list(found)


def _power_series(loss: sympy.Expr, eps: sympy.Symbol, order: int) -> tuple[sympy.Expr, ...]:
    """Return the Taylor coefficients of a rational function without a pole at ε = 0."""
    numerator, denominator = sympy.fraction(sympy.cancel(sympy.together(loss)))
    above = sympy.Poly(numerator, eps).all_coeffs()[::-1]
    below = sympy.Poly(denominator, eps).all_coeffs()[::-1]
    shift = next(k for k, coefficient in enumerate(below) if coefficient != 0)
    above, below = above[shift:], below[shift:]
    series: list[sympy.Expr] = []
    for k in range(order + 1):
        rest = above[k] if k < len(above) else sympy.S.Zero
        known = (below[j] * series[k - j] for j in range(1, min(k, len(below) - 1) + 1))
        series.append(sympy.expand(sympy.cancel((rest - sympy.Add(*known)) / below[0])))
    return tuple(series)


@dataclass(frozen=True)
class BestVariation:
    """The lowest second variation over the free symbols of a direction.

    All but one of the symbols are eliminated. The last one solves `equation`, modulo which all
    expressions are reduced, so that they are short; `closed_form` puts its value in.

    Attributes
    ----------
    variation
        The variation on the cone that holds the minimum.
    last
        The symbol that is solved for last.
    equation
        A polynomial of degree 1 or 2 in `last`, whose root inside the cone is the minimizer.
    root
        That root.
    direction
        The minimizing values of the other symbols, in terms of `last`.
    second, third
        L_2 and L_3 there. The configuration is stable along the direction while L_2 > 0.
    """

    variation: Variation
    last: sympy.Symbol
    equation: sympy.Poly
    root: sympy.Expr
    direction: Mapping[sympy.Symbol, sympy.Expr]
    second: sympy.Expr
    third: sympy.Expr

    def reduce(self, expression: sympy.Expr) -> sympy.Expr:
        """Return an expression that is polynomial in `last` with a degree below the equation's."""
        polynomial = sympy.Poly(expression, self.last, field=True)
        rest = polynomial.rem(sympy.Poly(self.equation, field=True))
        return sympy.Add(*(sympy.cancel(c) * self.last ** powers[0] for powers, c in rest.terms()))

    def closed_form(self, expression: sympy.Expr) -> sympy.Expr:
        """Return an expression at the minimizer as A + B√D with rational functions A and B."""
        reduced = sympy.Poly(self.reduce(expression), self.last)
        slope, constant = reduced.coeff_monomial(self.last), reduced.coeff_monomial(1)
        if self.equation.degree() == 1:
            return sympy.factor(constant + slope * self.root)
        lead, middle, rest = self.equation.all_coeffs()
        outer, inner = _square_free(sympy.expand(middle**2 - 4 * lead * rest))
        # √(outer² inner) is ±outer·√inner; which of the two signs, and of the two roots, is
        # settled at the sample.
        at_sample = self.variation.sample
        half = (outer * sympy.sqrt(inner) / (2 * lead)).subs(at_sample)
        offset = (self.root + middle / (2 * lead)).subs(at_sample)
        sign = 1 if bool(abs((offset - half).evalf(30)) < abs((offset + half).evalf(30))) else -1
        plain = constant - slope * middle / (2 * lead)
        irrational = sign * slope * outer / (2 * lead)
        if inner.is_Rational:
            return sympy.factor(plain + irrational * sympy.sqrt(inner))
        return sympy.factor(plain) + sympy.factor(irrational) * sympy.sqrt(inner)

    def vanishing(self, expression: sympy.Expr) -> sympy.Expr:
        """Return a polynomial without `last` that vanishes where the expression does."""
        numerator = sympy.numer(sympy.together(self.reduce(expression)))
        return sympy.factor(sympy.resultant(numerator, self.equation.as_expr(), self.last))


def _square_free(polynomial: sympy.Expr) -> tuple[sympy.Expr, sympy.Expr]:
    """Return outer and inner with polynomial = outer² · inner, inner without square factors."""
    constant, factors = sympy.sqf_list(polynomial)
    square = sympy.sqrt(constant)
    if not square.is_Rational:
        square, constant = sympy.Rational(1, constant.q), constant.p * constant.q
    else:
        constant = sympy.S.One
    outer = square * sympy.prod(base ** (power // 2) for base, power in factors)
    inner = constant * sympy.prod(base for base, power in factors if power % 2)
    return outer, sympy.expand(inner)


def best_variation(variation: Variation, symbols: Sequence[sympy.Symbol]) -> BestVariation:
    """Minimize L_2 over symbols of the direction, in closed form, on the variation's cone.

    Parameters
    ----------
    variation
        With L_1 = 0, up to order 3.
    symbols
        L_2 is to be a parabola in each but the last. For the last, the stationary point is taken
        that is a minimum in the cone at the sample.

    Raises
    ------
    ValueError
        If a first-order term is left, or no closed form is found on this cone.
    """
    _, first, second, third = variation.coefficients[:4]
    if first != 0:
        raise ValueError(f"the configuration is not stationary along the direction: L_1 = {first}")
    *others, last = symbols
    direction: dict[sympy.Symbol, sympy.Expr] = {}
    for symbol in others:
        slope = sympy.Poly(sympy.diff(second, symbol), symbol)
        if slope.degree() != 1:
            raise ValueError(f"L_2 must be a parabola in {symbol}, got the slope {slope.as_expr()}")
        value = sympy.cancel(-slope.coeff_monomial(1) / slope.coeff_monomial(symbol))
        direction = {x: sympy.expand(y.subs(symbol, value)) for x, y in direction.items()}
        direction[symbol] = sympy.expand(value)
        second, third = (sympy.expand(part.subs(symbol, value)) for part in (second, third))
    equation = sympy.Poly(sympy.expand(sympy.diff(second, last)), last)
    root = _minimizer(equation, last, variation)
    best = BestVariation(variation, last, equation, root, direction, second, third)
    return replace(best, second=best.reduce(second), third=best.reduce(third))


def _minimizer(equation: sympy.Poly, symbol: sympy.Symbol, variation: Variation) -> sympy.Expr:
    conditions = [c for c in variation.conditions if c.free_symbols == {symbol}]
    at_sample = {x: y for x, y in variation.sample.items() if x != symbol}
    slope = equation.diff().as_expr()
    roots = sympy.roots(equation) if equation.degree() in (1, 2) else {}
    for root in roots:
        value = root.subs(at_sample)
        inside = value.is_real and all(bool(c.subs(symbol, value)) for c in conditions)
        if inside and bool(slope.subs(symbol, value).subs(at_sample) > 0):
            return root
    raise ValueError(
        f"no minimum in {symbol} was found in closed form on the cone of the sample "
        f"{dict(variation.sample)}; its stationarity is {equation.as_expr()} = 0"
    )


@dataclass(frozen=True)
class StabilityLine:
    """Where a dropped feature begins to share the dimension of a dedicated one.

    The configuration W = [1, 0], b = (0, s/2), importances (1, r), along

        W = [1 + aε, −ε]  or, aligned, [1 + aε, ε],   b = (βε, s/2 + γε).

    Attributes
    ----------
    density
        The symbol s.
    aligned
        Whether the new weight has the sign of the kept one.
    best
        The minimizing direction with L_2 and L_3, which are linear in r.
    relative_importance
        r_c(s) in closed form: stable for r below, unstable above.
    third
        L_3 on the line. Positive: partial superposition begins continuously, with a weight of
        length −2 L_2/(3 L_3). Negative: the transition is a jump that comes before the line.
    """

    density: sympy.Symbol
    aligned: bool
    best: BestVariation
    relative_importance: sympy.Expr
    third: sympy.Expr

    @property
    def beta(self) -> sympy.Expr:
        """β*, a function of the density."""
        return self.best.closed_form(self.best.last)

    @cached_property
    def tricritical(self) -> tuple[sympy.Expr, ...]:
        """The densities at which L_3 changes its sign on the line, as exact algebraic numbers."""
        on_line = sympy.cancel(self.best.third.subs(_R, self._line_in_beta))
        polynomial = sympy.Poly(self.best.vanishing(on_line), self.density)
        # The polynomial also vanishes where the equation's other root makes L_3 vanish.
        return tuple(
            root
            for root in real_roots_between([polynomial], sympy.S.Zero, sympy.S.One)
            if abs(self.third.subs(self.density, root.evalf(50)).evalf(40)) < _NOTHING
        )

    @property
    def _line_in_beta(self) -> sympy.Expr:
        return _line(self.best)


_A, _BETA, _GAMMA = sympy.symbols("a beta gamma", real=True)
_R = sympy.Symbol("r", positive=True)
_NOTHING = sympy.Float(10) ** -25


def _line(best: BestVariation) -> sympy.Expr:
    """Return the r at which L_2 vanishes, a polynomial in β with rational functions of s."""
    slope = sympy.expand(best.second).coeff(_R, 1)
    return best.reduce(sympy.expand(-(best.second - slope * _R)) / slope)


def stability_line(*, density: sympy.Symbol = s, aligned: bool = False) -> StabilityLine:
    """Derive in closed form where [1, 0] loses its stability, as a function of the density.

    Parameters
    ----------
    density
        The symbol for P(x_i ≠ 0).
    aligned
        Perturb with a weight of the kept one's sign in place of the opposite one.

    Returns
    -------
    StabilityLine

    Notes
    -----
    For m dedicated features of importance 1 and one dropped feature of importance r the line is
    the same: L_2 of a new column v in R^m is |v|² times that of one entry, because its parts
    along different dimensions meet only in the output of the new feature, whose best bias
    removes what they have in common.

    Examples
    --------
    >>> line = stability_line(aligned=True)
    >>> line.relative_importance
    (9*s**2 - 8*s - 5)/(4*(3*s - 4))
    """
    sign = 1 if aligned else -1
    half, tenth = sympy.S.Half, sympy.Rational(1, 10)
    variation = vary(
        [[1, 0]],
        [0, density / 2],
        [[_A, sign]],
        [_BETA, _GAMMA],
        density=density,
        importance=(1, _R),
        sample={_A: tenth, _BETA: -sign * tenth, _GAMMA: tenth, density: half},
    )
    best = best_variation(variation, [_A, _GAMMA, _BETA])
    line = _line(best)
    third = best.reduce(sympy.expand(best.third.subs(_R, line)))
    return StabilityLine(density, aligned, best, best.closed_form(line), best.closed_form(third))
