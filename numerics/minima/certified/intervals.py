"""Intervals of floats that enclose the exact result of every operation.

Machine arithmetic rounds to nearest and cannot be told otherwise from here, so every result is
moved outward afterwards. For the rounded result x of an operation on doubles, without overflow,

    x − ε|x| − η ≤ exact result ≤ x + ε|x| + η,    ε = 2⁻⁵², η = 10⁻³⁰⁰,

also when the left and right sides are themselves computed in floats: the exact result is within
half a unit in the last place of x; ε|x| is exact and at least one such unit, so that the
subtraction ends at the float below x or further out; and η covers results that underflow, even if
the processor flushes them to zero (Rump, Zimmermann, Boldo & Melquiond, BIT 49 (2009) 419,
give the tightest version of this). Operations on intervals take the extremes over the ends, which
is exact by monotonicity.

An interval is a pair (lower, upper) of floats.
"""

from __future__ import annotations

from ...compiled import compiled

Interval = tuple[float, float]

EPSILON = 2.0**-52
TINY = 1e-300

ZERO = (0.0, 0.0)
ONE = (1.0, 1.0)
HALF = (0.5, 0.5)
THIRD = (0.3333333333333333, 0.33333333333333337)


@compiled
def below(x: float) -> float:
    """Return a lower bound of every number that rounds to x."""
    return x - (abs(x) * EPSILON + TINY)


@compiled
def above(x: float) -> float:
    """Return an upper bound of every number that rounds to x."""
    return x + (abs(x) * EPSILON + TINY)


@compiled
def exactly(x: float) -> Interval:
    """Return the interval that holds x only."""
    return x, x


@compiled
def add(a: Interval, b: Interval) -> Interval:
    """Enclose a + b."""
    return below(a[0] + b[0]), above(a[1] + b[1])


@compiled
def subtract(a: Interval, b: Interval) -> Interval:
    """Enclose a − b."""
    return below(a[0] - b[1]), above(a[1] - b[0])


@compiled
def multiply(a: Interval, b: Interval) -> Interval:
    """Enclose a·b."""
    p, q, r, s = a[0] * b[0], a[0] * b[1], a[1] * b[0], a[1] * b[1]
    return below(min(p, q, r, s)), above(max(p, q, r, s))


@compiled
def divide(a: Interval, b: Interval) -> Interval:
    """Enclose a/b for b > 0."""
    lower = a[0] / (b[1] if a[0] > 0.0 else b[0])
    upper = a[1] / (b[0] if a[1] > 0.0 else b[1])
    return below(lower), above(upper)


@compiled
def square(a: Interval) -> Interval:
    """Enclose a², which is never negative."""
    p, q = a[0] * a[0], a[1] * a[1]
    lower = 0.0 if a[0] <= 0.0 <= a[1] else max(0.0, below(min(p, q)))
    return lower, above(max(p, q))


@compiled
def clip(a: Interval, lower: float, upper: float) -> Interval:
    """Enclose what `a` encloses, moved into [lower, upper] where it is outside."""
    return min(max(a[0], lower), upper), min(max(a[1], lower), upper)
