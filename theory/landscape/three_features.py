"""Boundaries of the exact diagram of three features in two dimensions.

The importances are (1, 1, r). Two kinds of minima are **blocks**, an opposed pair in one dimension
and a dedicated feature in the other, and have the boundaries of two features. The others couple
all three features. As far as searches show, the optimum is one of `phases`, or a scalene triangle.

Every boundary between phases solves a square system (`meet`); `boundary` starts it from points
that are known in floats, and the result is proved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import sympy

from ..symbols import r, s
from .atlas import Atlas
from .certified_roots import CertifiedRoot, certify_root
from .families import Family, isosceles_family
from .stability import Variation, vary
from .transitions import Meeting, Phase, meet

__all__ = [
    "TRIPLE_POINTS",
    "boundary",
    "critical_point",
    "known_range",
    "last_dropped_variation",
    "phases",
    "triple_point",
]

Point = tuple[float, ...]
_DIGITS = 20


@lru_cache(maxsize=1)
def phases() -> dict[str, Phase]:
    """Return the phases whose boundaries can be certified, by name.

    Returns
    -------
    dict of str to Phase
        ``pair with the last`` and ``short pair`` (with the last as the short one), ``even pair``
        and ``uneven pair`` (of the first two), ``triangle`` and ``short triangle`` (isosceles),
        and ``last dropped``. The two of a couple are minima of one family.

    Examples
    --------
    >>> phases()["last dropped"].family.W
    Matrix([
    [1, 0, 0],
    [0, 1, 0]])
    """
    a, c = sympy.symbols("a c", positive=True)
    p, q = sympy.symbols("p q", real=True)
    dropped = sympy.Symbol("q", positive=True)
    with_last = Family("pair with the last", [[a, 0, -c], [0, 1, 0]], [p, 0, q], (a, c, p, q))
    of_first = Family("pair of the first two", [[a, -c, 0], [0, 0, 1]], [p, q, 0], (a, c, p, q))
    without = Family("last dropped", [[1, 0, 0], [0, 1, 0]], [0, 0, dropped])
    return {
        "pair with the last": Phase("pair with the last", with_last, (0.97, 0.9, 0.11, 0.15)),
        "short pair": Phase("short pair", with_last, (1.0, 0.2, 0.05, 0.45)),
        "even pair": Phase("even pair", of_first, (0.85, 0.85, 0.24, 0.24)),
        "uneven pair": Phase("uneven pair", of_first, (0.92, 0.5, 0.2, 0.44)),
        "triangle": Phase("triangle", isosceles_family(), (0.82, 0.5, 0.93, 0.17, 0.21)),
        "short triangle": Phase(
            "short triangle", isosceles_family(), (0.72, 0.711, 0.187, 0.017, 0.323)
        ),
        "last dropped": Phase("last dropped", without, (0.25,)),
    }


@dataclass(frozen=True)
class _Anchor:
    """A point of a boundary in floats: density, importance, and both minima."""

    s: float
    r: float
    first: Point
    second: Point

    def vector(self) -> Any:
        """Return everything as one array."""
        return np.array([self.s, self.r, *self.first, *self.second])


# fmt: off
_ANCHORS: dict[tuple[str, str], tuple[_Anchor, ...]] = {
    ("pair with the last", "short triangle"): (
        _Anchor(0.516107, 0.575, (1.02194, 0.755, 0.07124, 0.20962), (0.71414, 0.71141, 0.10237, 0.00783, 0.29294)),
        _Anchor(0.5258, 0.6, (1.01631, 0.75366, 0.07861, 0.21795), (0.72019, 0.71141, 0.18074, 0.01664, 0.32192)),
    ),
    ("pair with the last", "triangle"): (
        _Anchor(0.53141, 0.62, (1.01204, 0.75982, 0.08394, 0.21984), (0.75789, 0.67837, 0.56415, 0.0751, 0.3596)),
        _Anchor(0.544928, 0.7, (0.99504, 0.80324, 0.10272, 0.21089), (0.7744, 0.64426, 0.69666, 0.11057, 0.34243)),
        _Anchor(0.547959, 0.8, (0.97542, 0.86346, 0.11847, 0.18319), (0.79237, 0.59508, 0.81737, 0.1468, 0.29593)),
        _Anchor(0.539147, 0.9, (0.96155, 0.91519, 0.12281, 0.14943), (0.81071, 0.54272, 0.90253, 0.16941, 0.2386)),
        _Anchor(0.521838, 1.0, (0.95484, 0.95484, 0.11705, 0.11705), (0.83516, 0.48218, 0.96436, 0.17836, 0.17836)),
    ),
    ("even pair", "triangle"): (
        _Anchor(0.521838, 1.0, (0.95484, 0.95484, 0.11705, 0.11705), (0.83516, 0.48218, 0.96436, 0.17836, 0.17836)),
        _Anchor(0.556822, 1.1, (0.92343, 0.92343, 0.15591, 0.15591), (0.84415, 0.35018, 0.99718, 0.23342, 0.13922)),
        _Anchor(0.577674, 1.2, (0.89886, 0.89886, 0.18357, 0.18357), (0.863, 0.21005, 1.01721, 0.2437, 0.08005)),
        _Anchor(0.598087, 1.3, (0.87135, 0.87135, 0.21259, 0.21259), (0.85813, 0.13003, 1.01593, 0.2505, 0.05022)),
        _Anchor(0.622, 1.392295, (0.83815, 0.83815, 0.24597, 0.24597), (0.83563, 0.06155, 1.00905, 0.26442, 0.02491)),
        _Anchor(0.646, 1.439008, (0.80724, 0.80724, 0.27651, 0.27651), (0.80688, 0.03936, 1.0058, 0.28832, 0.01717)),
        _Anchor(0.67, 1.444008, (0.78228, 0.78228, 0.30355, 0.30355), (0.78236, 0.03089, 1.00435, 0.31169, 0.01457)),
        _Anchor(0.694, 1.421872, (0.76307, 0.76307, 0.32538, 0.32538), (0.76315, 0.02652, 1.0035, 0.33239, 0.0135)),
        _Anchor(0.706404, 1.404061, (0.75504, 0.75504, 0.33374, 0.33374), (0.75507, 0.02503, 1.00318, 0.34214, 0.01323)),
    ),
    ("triangle", "uneven pair"): (
        _Anchor(0.706404, 1.404061, (0.755066, 0.0250339, 1.00318, 0.342137, 0.013225), (0.915777, 0.516108, 0.197805, 0.42523)),
        _Anchor(0.720251, 1.3, (0.7501, 0.17946, 1.00325, 0.38394, 0.111), (0.92458, 0.49077, 0.19174, 0.43671)),
        _Anchor(0.734291, 1.25, (0.74545, 0.20994, 0.99611, 0.39571, 0.13889), (0.92643, 0.48039, 0.19344, 0.44581)),
        _Anchor(0.753969, 1.2, (0.73992, 0.23401, 0.98665, 0.40932, 0.16693), (0.92748, 0.46940, 0.19738, 0.45805)),
    ),
    ("triangle", "short triangle"): (
        _Anchor(0.536441, 0.62, (0.754441, 0.681856, 0.536488, 0.0722696, 0.366156), (0.722514, 0.71042, 0.209207, 0.0213178, 0.33621)),
        _Anchor(0.583185, 0.7, (0.753463, 0.669061, 0.543835, 0.0964515, 0.400773), (0.728475, 0.703967, 0.282689, 0.0404575, 0.384344)),
        _Anchor(0.646162, 0.8, (0.749277, 0.650849, 0.543336, 0.131639, 0.446544), (0.734808, 0.686319, 0.375784, 0.0794963, 0.443708)),
        _Anchor(0.675122, 0.84, (0.746583, 0.643451, 0.540316, 0.147342, 0.46692), (0.737375, 0.672593, 0.425609, 0.106014, 0.468683)),
        _Anchor(0.792478, 0.95, (0.737866, 0.565864, 0.653867, 0.273603, 0.515225), (0.733395, 0.619398, 0.536349, 0.209369, 0.544583)),
        _Anchor(0.833589, 0.97, (0.732394, 0.529586, 0.701569, 0.326626, 0.51693), (0.728876, 0.609875, 0.545151, 0.234431, 0.569659)),
        _Anchor(0.901936, 0.99, (0.722581, 0.497027, 0.732426, 0.386464, 0.534947), (0.721948, 0.583002, 0.586347, 0.292413, 0.604066)),
        _Anchor(0.9619, 0.998, (0.715344, 0.453178, 0.779319, 0.450586, 0.526952), (0.716189, 0.553845, 0.631789, 0.351018, 0.625457)),
        _Anchor(1.0, 0.999848, (0.711682, 0.41683, 0.815407, 0.49486, 0.506210), (0.712996, 0.540499, 0.650661, 0.381857, 0.639958)),
    ),
    ("short triangle", "last dropped"): (
        _Anchor(0.904413, 0.943717, (0.708686, 0.706665, 0.0754832, 0.0237634, 0.497873), (0.452207,)),
        _Anchor(0.914799, 0.95, (0.708905, 0.705897, 0.0919418, 0.0302318, 0.512905), (0.4574,)),
        _Anchor(0.952357, 0.97, (0.709577, 0.699574, 0.16669, 0.064396, 0.574004), (0.476179,)),
        _Anchor(0.975602, 0.98, (0.709874, 0.690796, 0.229122, 0.0982116, 0.616608), (0.487801,)),
        _Anchor(0.984102, 0.983153, (0.709957, 0.685985, 0.256282, 0.114237, 0.632744), (0.492051,)),
        _Anchor(0.992102, 0.985859, (0.710022, 0.680339, 0.284522, 0.131667, 0.647937), (0.496051,)),
        _Anchor(1.0, 0.988273, (0.710072, 0.673408, 0.315369, 0.151542, 0.662643), (0.5,)),
    ),
    ("even pair", "uneven pair"): (
        _Anchor(0.706404, 2.0, (0.755038, 0.755038, 0.333736, 0.333736), (0.915777, 0.516108, 0.197805, 0.42523)),
    ),
}

_TRIPLES: dict[tuple[str, str, str], tuple[float, float, tuple[Point, Point, Point]]] = {
    ("pair with the last", "short pair", "last dropped"): (0.511738, 0.564131, (
        (1.02421, 0.755545, 0.0681594, 0.205949), (1.00042, 0.00337, 0.00029, 0.2568), (0.255869,))),
    ("short pair", "short triangle", "last dropped"): (0.904413, 0.943717, (
        (1.000808, 0.05309, 0.0223775, 0.474959), (0.7086864, 0.7066645, 0.07548319, 0.02376344, 0.4978726), (0.4522066,))),
    ("pair with the last", "triangle", "short triangle"): (0.52772, 0.605097, (
        (1.01509, 0.753363, 0.0801556, 0.219627), (0.754486, 0.683893, 0.534984, 0.0682588, 0.359644), (0.721147, 0.711112, 0.192553, 0.01826, 0.326336))),
    ("even pair", "triangle", "uneven pair"): (0.706404, 1.404061, (
        (0.755038, 0.755038, 0.333736, 0.333736), (0.755066, 0.0250339, 1.00318, 0.342137, 0.013225), (0.915777, 0.516108, 0.197805, 0.42523))),
}

_CRITICAL = {
    "lower": (0.717096, 0.889332, (0.741071, 0.638912, 0.52149, 0.163072, 0.496943)),
    "upper": (0.746405, 0.917147, (0.739655, 0.622216, 0.551136, 0.192623, 0.512905)),
}
# fmt: on


TRIPLE_POINTS = tuple(_TRIPLES)
"""The phases that meet three at a time, in the order of `triple_point`."""


def known_range(first: str, second: str) -> tuple[tuple[float, float], ...]:
    """Return points (s, r) of a boundary, in floats: plotted, they show where it runs.

    Raises
    ------
    ValueError
        If the two phases have no boundary here.

    Examples
    --------
    >>> known_range("even pair", "uneven pair")
    ((0.706404, 2.0),)
    """
    return tuple((anchor.s, anchor.r) for anchor in _anchors(first, second))


def _anchors(first: str, second: str) -> tuple[_Anchor, ...]:
    if (first, second) not in _ANCHORS:
        known = "; ".join(f"{a!r} and {b!r}" for a, b in _ANCHORS)
        raise ValueError(f"no boundary between {first!r} and {second!r}; there are {known}")
    return _ANCHORS[first, second]


def boundary(
    first: str, second: str, at: Mapping[sympy.Symbol, Any], *, digits: int = _DIGITS
) -> Meeting:
    """Certify the point of a boundary at a given density or importance.

    Parameters
    ----------
    first, second
        Names out of `phases`, in the order of `known_range`.
    at
        {s: value} or {r: value}, an exact rational.
    digits
        Places after the point that shall be certain.

    Raises
    ------
    ValueError
        If there is no such boundary, or `at` does not fix exactly one of s and r.
    UncertifiedRootError
        If the boundary is not proved there; it may have ended.

    Examples
    --------
    >>> point = boundary("triangle", "uneven pair", {r: sympy.Rational(5, 4)}, digits=12)
    >>> print(point.s.decimal(10), point.kind, point.are_minima)
    0.7342914339 first order True
    """
    if len(at) != 1 or not set(at) <= {s, r}:
        raise ValueError(f"fix exactly one of s and r, got {dict(at)}")
    ((symbol, value),) = at.items()
    near = _interpolated(_anchors(first, second), symbol, float(value))
    guess = {r: near.r} if symbol == s else {s: near.s}
    pair = [phases()[first].at(near.first), phases()[second].at(near.second)]
    return meet(pair, at=at, guess=guess, digits=digits, descend=False)


def _interpolated(anchors: tuple[_Anchor, ...], symbol: sympy.Symbol, value: float) -> _Anchor:
    """Return the boundary near a value, between the two anchors around it or at the next one."""
    rows = np.array([anchor.vector() for anchor in anchors])
    column = rows[:, 0 if symbol == s else 1]
    for k in range(len(rows) - 1):
        low, high = column[k], column[k + 1]
        if (low - value) * (high - value) <= 0 and low != high:
            mixed = rows[k] + (value - low) / (high - low) * (rows[k + 1] - rows[k])
            break
    else:
        mixed = rows[int(np.abs(column - value).argmin())]
    cut = 2 + len(anchors[0].first)
    density, importance, *rest = (float(x) for x in mixed)
    return _Anchor(density, importance, tuple(rest[: cut - 2]), tuple(rest[cut - 2 :]))


def triple_point(first: str, second: str, third: str, *, digits: int = _DIGITS) -> Meeting:
    """Certify the point at which three phases have one loss.

    Raises
    ------
    ValueError
        If the phases, in this order, have no triple point here.

    Examples
    --------
    >>> point = triple_point("even pair", "triangle", "uneven pair", digits=12)
    >>> print(point.s.decimal(10), point.r.decimal(10))
    0.7064036927 1.4040607483
    """
    if (first, second, third) not in _TRIPLES:
        known = "; ".join(", ".join(names) for names in _TRIPLES)
        raise ValueError(f"no triple point of {first}, {second}, {third}; there are {known}")
    density, importance, starts = _TRIPLES[first, second, third]
    three = [
        phases()[name].at(start) for name, start in zip((first, second, third), starts, strict=True)
    ]
    return meet(three, at={}, guess={s: density, r: importance}, digits=digits, descend=False)


def critical_point(which: str, *, digits: int = 12) -> CertifiedRoot:
    """Certify an end of the line between triangle and short triangle, where the two become one.

    There the Hessian over the isosceles triangles has a null vector v, and the third derivative
    along v vanishes: the three stationary points of a bistable region, two minima and the saddle
    between them, coincide. The components of v are unknowns, with that of the parameter d one.

    Parameters
    ----------
    which
        ``"lower"``, the end of the line that begins at the triple point, or ``"upper"``, the end
        of the line that leaves the diagram at full density.
    digits
        Places after the point that shall be certain.

    Raises
    ------
    ValueError
        If `which` is neither.
    """
    if which not in _CRITICAL:
        raise ValueError(f"which must be 'lower' or 'upper', got {which!r}")
    density, importance, start = _CRITICAL[which]
    family = isosceles_family()
    chamber = Atlas(family, family.terms(s, (1, 1, r))).chamber(start)
    components = {x: sympy.Symbol(f"v_{x}", real=True) for x in family.parameters}
    fixed = family.parameters[2]
    components[fixed] = sympy.S.One
    along = [_along(entry, components) for entry in chamber.stationarity]
    # Where gradient and Hessian·v vanish, derivatives of the multipliers do not contribute.
    third = sympy.Add(
        *(
            v * multiplier * _along(entry, components)
            for v, multiplier, entry in zip(
                components.values(), chamber.multipliers, along, strict=True
            )
        )
    )
    unknown = [v for v in components.values() if v != 1]
    values = dict(zip(family.parameters, start, strict=True)) | {s: density, r: importance}
    hessian = np.array(chamber.hessian_at_rest.subs(values).evalf().tolist(), dtype=float)
    soft = np.linalg.eigh((hessian + hessian.T) / 2)[1][:, 0]
    soft = np.delete(soft / soft[2], 2)
    return certify_root(
        [*chamber.stationarity, *along, third],
        [*family.parameters, *unknown, s, r],
        [*start, *soft.tolist(), density, importance],
        digits=digits,
    )


def _along(expression: sympy.Expr, direction: Mapping[sympy.Symbol, sympy.Expr]) -> sympy.Expr:
    """Differentiate a polynomial along a direction."""
    polynomial = sympy.Poly(expression, *direction)
    return sympy.Add(*(v * polynomial.diff(x).as_expr() for x, v in direction.items()))


@lru_cache(maxsize=1)
def last_dropped_variation() -> Variation:
    """Expand the loss around the dropped last feature, toward a column of any direction.

    Along V = [[α c₁, 0, −c₁], [0, α c₂, −c₂]] with biases (β c₁, β c₂, (c₁ + c₂) s/2), c > 0, the
    second variation is that of two features times c₁² + c₂², and the third that of two features
    times c₁³ + c₂³. On the line of stability the direction is free at second order; where the
    third variation is positive it is lowest for c₁ = c₂: an isosceles triangle begins there, its
    column √2 times as long as that of a pair.

    Returns
    -------
    Variation
        With the free symbols α, β, c1, c2, s and r.
    """
    alpha, beta = sympy.symbols("alpha beta", real=True)
    c1, c2 = sympy.symbols("c1 c2", positive=True)
    tenth = sympy.Rational(1, 10)
    return vary(
        [[1, 0, 0], [0, 1, 0]],
        [0, 0, s / 2],
        [[alpha * c1, 0, -c1], [0, alpha * c2, -c2]],
        [beta * c1, beta * c2, (c1 + c2) * s / 2],
        importance=(1, 1, r),
        sample={alpha: tenth, beta: tenth, c1: 1, c2: sympy.Rational(2, 3), s: sympy.S.Half},
    )
