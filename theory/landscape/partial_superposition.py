"""Where partial superposition of two features ends, continuously or with a jump.

Close to the dedicated feature, W = [1, 0] with b = (0, s/2), opposed columns are written as

    W = [1 + αε, −ε],  b = (βε, s/2 + κε),

because the kink of the ReLU makes all of these moves be of one order. In these coordinates the
excess loss over the dedicated feature is ε² M, where M is regular at ε = 0: it begins with the
second variation. Partial superposition is a minimum with ε > 0, and the two phases have one loss
where M = 0 and all four derivatives of M vanish. At ε = 0 the same equations are those of the
points at which the line of jumps meets the line of continuous transitions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import sympy

from ..loss import expected_loss
from ..symbols import r, s
from .atlas import Atlas
from .certified_roots import CertifiedRoot, Enclosure, UncertifiedRootError, certify_root
from .evaluation import FloatContext, compile_with_jacobian
from .families import antipodal_family

__all__ = [
    "PartialEnd",
    "Stability",
    "TripleMeeting",
    "continuous_end",
    "dedicated_stability",
    "first_order_end",
    "tricritical_points",
    "triple_meeting",
]

epsilon = sympy.Symbol("varepsilon", positive=True)
alpha, beta, kappa = sympy.symbols("alpha beta kappa", real=True)
_MOVES = (alpha, beta, kappa)
_STEPS = (0.001, 0.01)  # in ε, from point to point of the lower and the upper line of jumps
_MOST_STEPS = 40
_NEWTON_STEPS = 8  # a step along the line is a hundredth of what the line bends by
_COARSE = 8


def dedicated_loss() -> sympy.Expr:
    """Return r (s/3 − s²/4), the loss of the dedicated feature."""
    return r * (s / 3 - s**2 / 4)


@lru_cache(maxsize=1)
def excess() -> sympy.Expr:
    """Derive M = (L − L₀)/ε² as a rational function of ε, α, β, κ, s and r."""
    tenth = sympy.Rational(1, 10)
    loss = expected_loss(
        [[1 + alpha * epsilon, -epsilon]],
        [beta * epsilon, s / 2 + kappa * epsilon],
        importance=(1, r),
        sample={alpha: tenth, beta: tenth, kappa: tenth, epsilon: tenth**2, s: sympy.S.Half},
    )
    return sympy.cancel(sympy.together(loss - dedicated_loss()) / epsilon**2)


@dataclass(frozen=True)
class Stability:
    """Second and third variation of the loss at the dedicated feature.

    Attributes
    ----------
    second, third
        Coefficients of ε² and ε³ with the best α and κ put in; they depend on β, s and r.
    """

    second: sympy.Expr
    third: sympy.Expr

    @property
    def line(self) -> tuple[sympy.Expr, sympy.Expr]:
        """The second variation and its derivative in β, which vanish where stability ends."""
        return self.second, sympy.diff(self.second, beta)


@lru_cache(maxsize=1)
def dedicated_stability() -> Stability:
    """Expand the excess loss at ε = 0 and minimize over α and κ.

    Examples
    --------
    >>> sympy.Poly(dedicated_stability().second, beta).degree()
    3
    """
    second = sympy.cancel(excess().subs(epsilon, 0))
    third = sympy.cancel(sympy.diff(excess(), epsilon).subs(epsilon, 0))
    (best,) = sympy.solve(
        [sympy.diff(second, x) for x in (alpha, kappa)], [alpha, kappa], dict=True
    )
    # A shift of the minimizer with ε changes the loss at the fourth order only.
    parts = [sympy.expand(sympy.cancel(part.subs(best))) for part in (second, third)]
    return Stability(parts[0], parts[1])


def continuous_end(density: Any, *, digits: int = 25) -> CertifiedRoot:
    """Return β and r at which the dedicated feature loses its stability at a density.

    Where the third variation is positive there, partial superposition ends at this point
    continuously: the column vanishes in proportion to the distance from it.

    Parameters
    ----------
    density
        An exact rational in (0, 1].
    digits
        Places after the point that shall be certain.

    Examples
    --------
    >>> end = continuous_end(sympy.Rational(7, 10))
    >>> print(end[r].decimal(12), end.is_positive(dedicated_stability().third))
    0.772579530482 True
    """
    value = sympy.Rational(density)
    line = dedicated_stability().line
    return certify_root(line, (beta, r), _on_line(float(value)), fixed={s: value}, digits=digits)


def _on_line(density: float) -> tuple[float, float]:
    """Return β and r approximately: the second variation is linear in r, its derivative free of it."""
    second, slope = dedicated_stability().line
    roots = sympy.Poly(slope.subs(s, density), beta).nroots()
    (best,) = [float(x) for x in roots if x.is_real and 0 < x < 0.499999]
    at = sympy.expand(second.subs({s: density, beta: best}))
    return best, float(-at.coeff(r, 0) / at.coeff(r, 1))


def tricritical_points(*, digits: int = 25) -> tuple[CertifiedRoot, CertifiedRoot]:
    """Return β, s and r of the two points at which the transition changes its kind.

    There the third variation vanishes. Between the two points partial superposition ends
    continuously, on either side with a jump.

    Examples
    --------
    >>> for point in tricritical_points(digits=12):
    ...     print(point[r].decimal(10), point[s].decimal(10))
    0.5740419074 0.5202477368
    0.8964406084 0.8373195801
    """
    stability = dedicated_stability()
    found = []
    for density in (0.52, 0.84):
        best, importance = _on_line(density)
        found.append(
            certify_root(
                (*stability.line, stability.third),
                (beta, s, r),
                (best, density, importance),
                digits=digits,
            )
        )
    return found[0], found[1]


@dataclass(frozen=True)
class PartialEnd:
    """A point at which partial superposition and the dedicated feature have one loss.

    Attributes
    ----------
    root
        Certified ε, α, β, κ and s or r.
    is_minimum
        Whether the Hessian of the partial solution is proved to be positive definite.
    """

    root: CertifiedRoot
    is_minimum: bool

    @property
    def s(self) -> Enclosure:
        """The density."""
        return self.root[s]

    @property
    def r(self) -> Enclosure:
        """The relative importance."""
        return self.root[r]

    @cached_property
    def W(self) -> tuple[Enclosure, ...]:
        """The weights before the jump to [1, 0]."""
        return self.root.enclose(1 + alpha * epsilon, -epsilon)

    @cached_property
    def b(self) -> tuple[Enclosure, ...]:
        """The biases before the jump to (0, s/2)."""
        return self.root.enclose(beta * epsilon, s / 2 + kappa * epsilon)

    def kink(self, symbol: sympy.Symbol) -> Enclosure:
        """Enclose by how much the slope of the optimal loss along s or r changes at the jump."""
        return self.root.enclose(-(epsilon**2) * sympy.diff(excess(), symbol))[0]


@lru_cache(maxsize=1)
def _line_equations() -> tuple[sympy.Expr, ...]:
    return tuple(
        sympy.numer(sympy.cancel(sympy.together(part)))
        for part in (excess(), *(sympy.diff(excess(), x) for x in (epsilon, *_MOVES)))
    )


def first_order_end(
    at: Mapping[sympy.Symbol, Any], *, upper: bool = True, digits: int = 25
) -> PartialEnd:
    """Return the point of the line of jumps at which ε, s or r has a given value.

    Parameters
    ----------
    at
        One exact rational: {ε: value} by the symbol `epsilon`, {s: value} or {r: value}.
    upper
        Which of the two lines of jumps: the one near equal importance, or the short one next to
        the antipodal pair.
    digits
        Places after the point that shall be certain.

    Raises
    ------
    ValueError
        If `at` does not fix exactly one of the three.
    UncertifiedRootError
        If the line does not reach the value.

    Examples
    --------
    >>> end = first_order_end({r: sympy.Rational(95, 100)})
    >>> print(end.s.decimal(12), end.W[1].decimal(6), end.is_minimum)
    0.914786706882 -0.064230 True
    """
    if len(at) != 1 or not set(at) <= {epsilon, s, r}:
        raise ValueError(f"fix exactly one of varepsilon, s and r, got {dict(at)}")
    ((symbol, value),) = at.items()
    exact = sympy.Rational(value)
    unknowns = tuple(x for x in (epsilon, *_MOVES, s, r) if x != symbol)
    start = _walk(symbol, float(exact), upper)
    root = certify_root(
        _line_equations(), unknowns, [start[x] for x in unknowns], fixed={symbol: exact},
        digits=digits,
    )  # fmt: skip
    # As M and its gradient vanish, the Hessian of L is ε² times that of M.
    proved = root.is_positive_definite(sympy.hessian(excess(), (epsilon, *_MOVES)))
    inside = root.is_positive(epsilon, *_inside())
    return PartialEnd(root, proved and inside)


@lru_cache(maxsize=1)
def _inside() -> tuple[sympy.Expr, ...]:
    """Vertex values that are positive in the chamber where `excess` holds."""
    a, c = 1 + alpha * epsilon, epsilon
    p, q = beta * epsilon, s / 2 + kappa * epsilon
    return (a, p, a * c - p, a**2 - a * c + p, q - a * c)


def _walk(symbol: sympy.Symbol, value: float, upper: bool) -> dict[sympy.Symbol, float]:
    """Go along the line of jumps from its tricritical point until it passes a value."""
    step = _STEPS[upper]
    if symbol == epsilon:
        return _next(_line_point(upper, int(value / step)), value)
    for k in range(1, _MOST_STEPS):
        before, here = _line_point(upper, k - 1), _line_point(upper, k)
        if (before[symbol] - value) * (here[symbol] - value) <= 0:
            share = (value - before[symbol]) / (here[symbol] - before[symbol])
            return {x: before[x] + share * (here[x] - before[x]) for x in here}
    raise UncertifiedRootError(f"the line of jumps does not reach {symbol} = {value:g}", [value])


@lru_cache(maxsize=2 * _MOST_STEPS)
def _line_point(upper: bool, k: int) -> dict[sympy.Symbol, float]:
    """Return the k-th point of the line of jumps, in floats."""
    if k == 0:
        return _tricritical_start(upper)
    return _next(_line_point(upper, k - 1), k * _STEPS[upper])


def _tricritical_start(upper: bool) -> dict[sympy.Symbol, float]:
    point = tricritical_points(digits=_COARSE)[upper]
    here = {x: float(point[x]) for x in (beta, s, r)}
    second = excess().subs(epsilon, 0).subs(here)
    best = sympy.solve([sympy.diff(second, x) for x in (alpha, kappa)], [alpha, kappa])
    return {**here, alpha: float(best[alpha]), kappa: float(best[kappa]), epsilon: 0.0}


def _next(here: Mapping[sympy.Symbol, float], value: float) -> dict[sympy.Symbol, float]:
    """Return the point of the line with a given ε, from a point near it, in floats."""
    unknowns = (*_MOVES, s, r)
    function = _line_function()
    point = np.array([here[x] for x in unknowns])
    for _ in range(_NEWTON_STEPS):
        results = np.array(function(FloatContext, *point.tolist(), value))
        point = point - np.linalg.solve(results[5:].reshape(5, 5), results[:5])
    return {**dict(zip(unknowns, point.tolist(), strict=True)), epsilon: value}


@lru_cache(maxsize=1)
def _line_function() -> Callable[..., list[Any]]:
    return compile_with_jacobian(_line_equations(), [*_MOVES, s, r, epsilon], 5)


@dataclass(frozen=True)
class TripleMeeting:
    """The point at which the antipodal pair, partial superposition and the dedicated feature meet.

    Attributes
    ----------
    root
        Certified s, r, the pair's a, c, p, q and the partial solution's ε, α, β, κ.
    are_minima
        Whether pair and partial solution are proved to be minima inside their chambers.
    """

    root: CertifiedRoot
    are_minima: bool

    @property
    def s(self) -> Enclosure:
        """The density."""
        return self.root[s]

    @property
    def r(self) -> Enclosure:
        """The relative importance."""
        return self.root[r]

    @property
    def partial(self) -> tuple[Enclosure, ...]:
        """Weights of the partial solution."""
        return self.root.enclose(1 + alpha * epsilon, -epsilon)

    @property
    def pair(self) -> tuple[Enclosure, ...]:
        """Weights of the antipodal pair."""
        a, c, *_ = antipodal_family().parameters
        return self.root.enclose(a, -c)


@lru_cache(maxsize=4)
def triple_meeting(*, digits: int = 25) -> TripleMeeting:
    """Solve for the triple point of antipodal pair, partial superposition and dedicated feature.

    Examples
    --------
    >>> point = triple_meeting()
    >>> point.are_minima
    True
    """
    family = antipodal_family()
    atlas = Atlas(family, family.terms(s, (1, r)))
    here = _next(_tricritical_start(upper=False), 0.004)
    values = {s: here[s], r: here[r]}
    pair = atlas.descend((1.02, 0.75, 0.07, 0.2), [values[x] for x in atlas.symbols])
    if pair is None:
        raise UncertifiedRootError("descent finds no antipodal pair", (here[s], here[r]))
    chamber = atlas.chamber(pair[1])
    unknowns = (*family.parameters, epsilon, *_MOVES, s, r)
    equations = (*chamber.stationarity, *_line_equations(), chamber.loss - dedicated_loss())
    root = certify_root(
        equations, unknowns, [*pair[1], *(here[x] for x in unknowns[4:])], digits=digits
    )
    proved = (
        root.is_positive(epsilon, *_inside(), *chamber.conditions)
        and root.is_positive_definite(chamber.hessian_at_rest)
        and root.is_positive_definite(sympy.hessian(excess(), (epsilon, *_MOVES)))
    )
    return TripleMeeting(root, proved)
