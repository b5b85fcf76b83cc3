"""The concave part of the curvature, which comes from the kink of the ReLU, over a box.

The second derivative of F by (g, c, b) is, with v = (x, t, 1),

    2 E v vᵀ 1[z > 0] − 2 E x δ(z) v vᵀ.

The second term lives where z = 0, that is at x = x₀ = −(b + c t)/g inside (0, 1). With the
densities s of the own feature and s' of the other,

    E x δ(z) v vᵀ = s (1 − s')/g · x₀ (x₀, 0, 1)(x₀, 0, 1)ᵀ             the other off: t = 0
                  + s s'/g ∫₀¹ x₀ (x₀, t, 1)(x₀, t, 1)ᵀ 1[0 < x₀ < 1] dt.

No entry is negative. Over a box of (g, c, b), and at each t, x₀ is at most what it is at the lower
corner and at least what it is at the upper corner, wherever it is positive. So an entry is at most

- its integral with x₀ of the lower corner, where that is in (0, 1), plus
- its integral with x₀ = 1 where the lower corner says z ≤ 0 at x = 1 and the upper does not,

and at least its integral with x₀ of the upper corner where all of the box has 0 < x₀ < 1.
"""

from __future__ import annotations

from ...compiled import compiled
from .intervals import (
    HALF,
    ONE,
    THIRD,
    ZERO,
    Interval,
    add,
    clip,
    divide,
    exactly,
    multiply,
    square,
    subtract,
)
from .moments import (
    OPEN,
    OTHER,
    OTHER_OTHER,
    OWN,
    OWN_OTHER,
    OWN_OWN,
    Corner,
    Enclosures,
    gauss_pair,
    positive_part,
)

LOWER, UPPER = 0, 1  # ends of an enclosure


@compiled
def _collect(kink: Enclosures, k: int, end: int, weight: Interval, value: Interval) -> None:
    kink[k, end] = add(exactly(kink[k, end]), multiply(weight, value))[end]


@compiled
def _collect_point(kink: Enclosures, end: int, weight: Interval, x: Interval, t: Interval) -> None:
    """Add weight · x (x, t, 1)(x, t, 1)ᵀ to the lower or to the upper ends."""
    weight = multiply(weight, x)
    _collect(kink, OWN_OWN, end, weight, square(x))
    _collect(kink, OWN_OTHER, end, weight, multiply(x, t))
    _collect(kink, OWN, end, weight, x)
    _collect(kink, OTHER_OTHER, end, weight, square(t))
    _collect(kink, OTHER, end, weight, t)
    _collect(kink, OPEN, end, weight, ONE)


@compiled
def _open_at_one(corner: Corner) -> tuple[Interval, Interval]:
    """Enclose the ends of {t: z > 0 at x = 1}."""
    return positive_part(add(exactly(corner[2]), exactly(corner[0])), corner[1])


@compiled
def _collect_segment(
    kink: Enclosures, end: int, weight: Interval, corner: Corner, low: Corner
) -> None:
    """Add the integral with x₀ of `corner` over {x₀ > 0} and {z > 0 at x = 1 at `low`}."""
    g, c, b = corner
    cut, is_open = positive_part(exactly(-b), -c), _open_at_one(low)
    start = max(cut[0][0], is_open[0][0]), max(cut[0][1], is_open[0][1])
    stop = min(cut[1][0], is_open[1][0]), min(cut[1][1], is_open[1][1])
    first, second, half = gauss_pair(start, stop)
    if half[1] <= 0.0:
        return
    for t in (first, second):
        y = add(exactly(b), multiply(exactly(c), t))
        x = clip(divide((-y[1], -y[0]), exactly(g)), 0.0, 1.0)
        _collect_point(kink, end, multiply(weight, half), x, t)


@compiled
def _collect_beyond(kink: Enclosures, weight: Interval, low: Corner, high: Corner) -> None:
    """Add the integral with x₀ = 1 over {z > 0 at x = 1 at `high`, but not at `low`}."""
    inner, outer = _open_at_one(low), _open_at_one(high)
    powers = inner[0], inner[1], outer[0], outer[1]
    for k in range(3):  # ∫ tᵏ dt
        before, after = subtract(powers[0], powers[2]), subtract(powers[3], powers[1])
        integral = multiply(add(before, after), (ONE, HALF, THIRD)[k])
        integral = max(integral[0], 0.0), max(integral[1], 0.0)
        if k == 0:
            _collect(kink, OWN_OWN, UPPER, weight, integral)
            _collect(kink, OWN, UPPER, weight, integral)
            _collect(kink, OPEN, UPPER, weight, integral)
        elif k == 1:
            _collect(kink, OWN_OTHER, UPPER, weight, integral)
            _collect(kink, OTHER, UPPER, weight, integral)
        else:
            _collect(kink, OTHER_OTHER, UPPER, weight, integral)
        powers = (
            multiply(powers[0], inner[0]),
            multiply(powers[1], inner[1]),
            multiply(powers[2], outer[0]),
            multiply(powers[3], outer[1]),
        )


@compiled
def enclose_kink(
    low: Corner, high: Corner, own: Interval, other: Interval, kink: Enclosures
) -> bool:
    """Enclose the entries of E x δ(z) v vᵀ over the box between two corners.

    The result replaces `kink`, shape (N_MOMENTS, 2), at the places of E v vᵀ 1[z > 0]. Returns
    whether there is a bound: there is none if the output can be cut off and g can vanish.
    """
    kink[:] = 0.0
    g, c, b = low
    if b >= 0.0 and b + c >= 0.0:  # never cut off; rounding leaves the sign of a sum alone
        return True
    if g <= 0.0:
        return False
    other_off = subtract(ONE, other)
    most, least = divide(own, exactly(g)), divide(own, exactly(high[0]))
    _collect_segment(kink, UPPER, multiply(other, most), low, low)
    _collect_beyond(kink, multiply(other, most), low, high)
    _collect_segment(kink, LOWER, multiply(other, least), high, low)
    if b < 0.0 < high[2] + high[0]:
        x = clip(divide(exactly(-b), exactly(g)), 0.0, 1.0)
        _collect_point(kink, UPPER, multiply(other_off, most), x, ZERO)
    if high[2] < 0.0 < b + g:
        x = clip(divide(exactly(-high[2]), exactly(high[0])), 0.0, 1.0)
        _collect_point(kink, LOWER, multiply(other_off, least), x, ZERO)
    return True
