"""Enclosures of the moments of one output that its error, gradient and curvature consist of.

Output i of two features has the preactivation z = g x + c t + b: its own feature x, the other
feature t, the couplings g = W_i² ≥ 0 and c = W₁W₂, and the bias b. Its mean squared error is

    F(g, c, b) = E (x − z₊)² = E x² + A − 2 B,    A = E z₊²,   B = E x z₊.

With v = (x, t, 1), the derivative of z by (g, c, b),

    ∇A = 2 E z₊ v,    ∇B = E x v 1[z > 0].

As x and t are not negative, all ten of these expectations, and E v vᵀ 1[z > 0], grow with each of
g, c and b. The bounds over boxes rest on that alone, so that moments are needed at points only.
Where b = 0, or g = c = b = 0, whole sets of inputs have z = 0, and 1[z > 0] is taken as 1: above
no value it has for larger parameters, and above those for smaller ones. So values at the corners
of a box enclose those at almost all of its points, which is what integrals over segments need.

Each feature is off or on, which makes four cases. Where both are on, the expectation over x at
fixed t is, with y = b + c t, one of three polynomials: that of y ≥ 0, where the output is never
cut off; that of −g < y < 0, where it is cut off below x = v = −y/g and w = 1 − v is left of it; and
0. Their degree in t is at most three, so that two Gauss nodes integrate each exactly over its part
of [0, 1]. Everything is a sum of products of non-negative numbers: nothing but y cancels, and
the enclosures stay as narrow as rounding.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

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

Enclosures = NDArray[Any]  # (..., 2): lower and upper ends
Corner = tuple[float, float, float]  # g, c, b

SQUARE = 0  # E z₊²
CROSS = 1  # E x z₊, which is also E z₊ x
OUTPUT_OTHER = 2  # E z₊ t
OUTPUT = 3  # E z₊
OWN_OWN = 4  # E x² 1[z > 0]; the entries of E v vᵀ 1[z > 0] from here on
OWN_OTHER = 5
OWN = 6
OTHER_OTHER = 7
OTHER = 8
OPEN = 9  # P(z > 0)
N_MOMENTS = 10

NODE = (0.5773502691896257, 0.5773502691896258)  # encloses 1/√3


@compiled
def positive_part(offset: Interval, slope: float) -> tuple[Interval, Interval]:
    """Enclose the two ends of {t in [0, 1]: offset + slope t ≥ 0}; equal ends if it is empty."""
    if slope > 0.0:
        return clip(divide((-offset[1], -offset[0]), exactly(slope)), 0.0, 1.0), ONE
    if slope < 0.0:
        return ZERO, clip(divide(offset, exactly(-slope)), 0.0, 1.0)
    return ZERO, (1.0 if offset[0] >= 0.0 else 0.0, 1.0 if offset[1] >= 0.0 else 0.0)


@compiled
def gauss_pair(start: Interval, end: Interval) -> tuple[Interval, Interval, Interval]:
    """Enclose the two nodes on [start, end], a part of [0, 1], and their common weight.

    Where `end` is before `start`, the weight is 0.
    """
    half = clip(multiply(subtract(end, start), HALF), 0.0, 1.0)
    middle = multiply(add(start, end), HALF)
    step = multiply(half, NODE)
    return clip(subtract(middle, step), 0.0, 1.0), clip(add(middle, step), 0.0, 1.0), half


@compiled
def _collect(moments: Enclosures, k: int, weight: Interval, value: Interval) -> None:
    total = add((moments[k, 0], moments[k, 1]), multiply(weight, value))
    moments[k, 0] = total[0]
    moments[k, 1] = total[1]


@compiled
def _collect_input(
    moments: Enclosures, weight: Interval, t: Interval, output: Interval, share: Interval
) -> None:
    """Add to the moments without x, where z₊ is `output` and 1[z > 0] is `share` on average."""
    _collect(moments, OUTPUT_OTHER, weight, multiply(t, output))
    _collect(moments, OUTPUT, weight, output)
    _collect(moments, OTHER_OTHER, weight, multiply(square(t), share))
    _collect(moments, OTHER, weight, multiply(t, share))
    _collect(moments, OPEN, weight, share)


@compiled
def _collect_own_off(moments: Enclosures, weight: Interval, t: Interval, y: Interval) -> None:
    """Add the case x = 0 at a t where z = y ≥ 0."""
    _collect(moments, SQUARE, weight, square(y))
    _collect_input(moments, weight, t, y, ONE)


@compiled
def _collect_own_on(
    moments: Enclosures, weight: Interval, t: Interval, coupling: float, y: Interval, cut: bool
) -> None:
    """Add the average over x in [0, 1] at a t where y ≥ 0, or −g < y < 0 if `cut`."""
    g = exactly(coupling)
    if cut:
        share = clip(divide(add(y, g), g), 0.0, 1.0)
        v = clip(subtract(ONE, share), 0.0, 1.0)
        third = multiply(share, THIRD)
        area = multiply(g, square(share))
        output = multiply(area, HALF)
        squared = multiply(multiply(g, area), third)
        cross = multiply(area, add(third, multiply(v, HALF)))
        own = multiply(multiply(share, HALF), add(ONE, v))
        own_own = multiply(third, add(add(ONE, v), square(v)))
    else:
        share, own, own_own = ONE, HALF, THIRD
        third = multiply(g, THIRD)
        output = add(multiply(g, HALF), y)
        squared = add(multiply(g, add(third, y)), square(y))
        cross = add(third, multiply(y, HALF))
    _collect(moments, SQUARE, weight, squared)
    _collect(moments, CROSS, weight, cross)
    _collect(moments, OWN_OWN, weight, own_own)
    _collect(moments, OWN_OTHER, weight, multiply(t, own))
    _collect(moments, OWN, weight, own)
    _collect_input(moments, weight, t, output, share)


@compiled
def enclose_moments(corner: Corner, own: Interval, other: Interval, moments: Enclosures) -> None:
    """Enclose the moments of an output at a point.

    Parameters
    ----------
    corner : tuple of float
        g ≥ 0, c and b, taken as exact.
    own, other : tuple of float
        Enclosures of the two densities.
    moments : ndarray of shape (N_MOMENTS, 2)
        Replaced by the result.
    """
    g, c, b = corner
    moments[:] = 0.0
    own_off, other_off = subtract(ONE, own), subtract(ONE, other)
    above = positive_part(exactly(b), c)  # y > 0
    is_open = positive_part(add(exactly(b), exactly(g)), c)  # y > −g
    between = (is_open[0], above[0]) if c > 0.0 else (above[1], is_open[1])
    for cut in (False, True):
        start, end = between if cut else above
        first, second, half = gauss_pair(start, end)
        if half[1] <= 0.0 or (cut and g == 0.0):
            continue
        for t in (first, second):
            y = add(exactly(b), multiply(exactly(c), t))
            if not cut:
                y = max(y[0], 0.0), max(y[1], 0.0)
                _collect_own_off(moments, multiply(multiply(own_off, other), half), t, y)
            _collect_own_on(moments, multiply(multiply(own, other), half), t, g, y, cut)
    if b >= 0.0:
        _collect_own_off(moments, multiply(own_off, other_off), ZERO, exactly(b))
    if b > -g or b == 0.0:
        _collect_own_on(moments, multiply(own, other_off), ZERO, g, exactly(b), b < 0.0)
