"""A lower bound of the error of an output over a box: the distance of x from what z₊ can be.

Over a box of (g, c, b) the preactivation of every input lies between its values z′ and z″ at the
lower and the upper corner, and the output between z′₊ and z″₊. So

    F ≥ E dist(x, [z′₊, z″₊])² = E (x − z″₊)₊² + E (z′₊ − x)₊².

Either expectation is computed as the moments are: at fixed t the average over x in [0, 1] is, with
y = b + c t and e = 1 − g, a polynomial of degree three between the levels −g, 0 and e of y. With
x₀ = −y/g where z = 0, x₁ = y/e where z = x, and a = e − y, which is x − z at x = 1:

    y                     average of (x − z₊)₊²                    average of (z₊ − x)₊²
    ≤ −g                  1/3                                      0
    −g … min(0, e)        x₀³/3 + (1 − x₀)(x₀² + a x₀ + a²)/3      0
    0 … e    (if e > 0)   a³/(3 e)                                 y³/(3 e)
    e … 0    (if e < 0)   x₀³/3 + (x₁ − x₀) x₀²/3                  a³/(3 e)
    ≥ max(0, e)           0                                        (a² − a y + y²)/3
"""

from __future__ import annotations

import math

from ...compiled import compiled
from .intervals import (
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
from .moments import Corner, gauss_pair, positive_part

DEAD, CUT, CROSSING, ABOVE = range(4)  # the rows of the table; either third one is CROSSING


@compiled
def _cube(a: Interval) -> Interval:
    return multiply(a, square(a))


@compiled
def _not_negative(a: Interval) -> Interval:
    return max(a[0], 0.0), max(a[1], 0.0)


@compiled
def _shortfall(piece: int, g: float, e: Interval, y: Interval) -> Interval:
    """Enclose the average of (x − z₊)₊²."""
    if piece == DEAD:
        return THIRD
    if piece == ABOVE:
        return ZERO
    a = subtract(e, y)
    if piece == CROSSING and e[0] > 0.0:
        return multiply(divide(_cube(_not_negative(a)), e), THIRD)
    x0 = clip(divide((-y[1], -y[0]), exactly(g)), 0.0, 1.0)
    if piece == CROSSING:
        x1 = clip(divide((-y[1], -y[0]), (-e[1], -e[0])), 0.0, 1.0)
        rest = multiply(_not_negative(subtract(x1, x0)), square(x0))
    else:
        a = _not_negative(a)
        rest = add(add(square(x0), multiply(a, x0)), square(a))
        rest = multiply(_not_negative(subtract(ONE, x0)), rest)
    return multiply(add(_cube(x0), rest), THIRD)


@compiled
def _excess(piece: int, g: float, e: Interval, y: Interval) -> Interval:
    """Enclose the average of (z₊ − x)₊²."""
    if piece <= CUT:
        return ZERO
    over = subtract(y, e)
    if piece == ABOVE:
        over, y = _not_negative(over), _not_negative(y)
        return multiply(add(add(square(over), multiply(over, y)), square(y)), THIRD)
    if e[0] > 0.0:
        return multiply(divide(_cube(_not_negative(y)), e), THIRD)
    return multiply(divide(_cube(_not_negative(over)), (-e[1], -e[0])), THIRD)


@compiled
def _level(k: int, g: float, e: Interval) -> Interval:
    """Return −g, min(0, e) or max(0, e): the levels of y between the pieces."""
    if k == 0:
        return exactly(-g)
    if k == 1:
        return min(0.0, e[0]), min(0.0, e[1])
    return max(0.0, e[0]), max(0.0, e[1])


@compiled
def _is_empty(piece: int, g: float, e: Interval) -> bool:
    """Tell whether no y belongs to a piece, or next to none: leaving it out lowers the bound."""
    return (piece == CUT and g == 0.0) or (piece == CROSSING and e[0] <= 0.0 <= e[1])


@compiled
def _average(piece: int, excess: bool, g: float, e: Interval, y: Interval) -> Interval:
    return _excess(piece, g, e, y) if excess else _shortfall(piece, g, e, y)


@compiled
def _at_point(excess: bool, g: float, e: Interval, y: float) -> Interval:
    """Enclose the average at exact y; where rounding of e leaves two pieces, over both."""
    lower, upper = math.inf, 0.0
    for piece in range(4):
        if piece < ABOVE and y > _level(piece, g, e)[1]:
            continue
        if not _is_empty(piece, g, e):
            value = _average(piece, excess, g, e, exactly(y))
            lower, upper = min(lower, value[0]), max(upper, value[1])
        if piece < ABOVE and y <= _level(piece, g, e)[0]:
            break
    return lower, upper


@compiled
def _own_on(corner: Corner, other: Interval, excess: bool) -> Interval:
    """Enclose the expectation given that the own feature is on."""
    g, c, b = corner
    e = subtract(ONE, exactly(g))
    off = subtract(ONE, other)
    total = multiply(off, _at_point(excess, g, e, b))
    above = (ZERO, ONE)  # the t at which y is above the last level
    for piece in range(4):
        start, end = above
        if piece < ABOVE:
            above = positive_part(subtract(exactly(b), _level(piece, g, e)), c)
            start, end = (start, above[0]) if c > 0.0 else (above[1], end)
        first, second, half = gauss_pair(start, end)
        if half[1] <= 0.0 or _is_empty(piece, g, e):
            continue
        for t in (first, second):
            y = add(exactly(b), multiply(exactly(c), t))
            total = add(total, multiply(multiply(other, half), _average(piece, excess, g, e, y)))
    return total


@compiled
def _own_off(corner: Corner, other: Interval) -> Interval:
    """Enclose the mean of z₊² given that the own feature is off."""
    _, c, b = corner
    positive = max(b, 0.0)
    total = multiply(subtract(ONE, other), square(exactly(positive)))
    start, end = positive_part(exactly(b), c)
    first, second, half = gauss_pair(start, end)
    if half[1] <= 0.0:
        return total
    for t in (first, second):
        y = _not_negative(add(exactly(b), multiply(exactly(c), t)))
        total = add(total, multiply(multiply(other, half), square(y)))
    return total


@compiled
def distance_bound(low: Corner, high: Corner, own: Interval, other: Interval) -> float:
    """Return a lower bound of F over the box of (g, c, b) with these corners."""
    short = _own_on(high, other, False)
    over = _own_on(low, other, True)
    off = multiply(subtract(ONE, own), _own_off(low, other))
    return max(0.0, add(multiply(own, add(short, over)), off)[0])
