"""Interval arithmetic, and the enclosures of moments at a point and over a box.

The oracle of the moments is rational arithmetic by another route: the unit square is clipped by the
line z = 0, and monomials are integrated over the polygon by Green's theorem.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from numpy.typing import NDArray

from superposition.numerics.minima.certified import intervals
from superposition.numerics.minima.certified.distance import distance_bound
from superposition.numerics.minima.certified.intervals import Interval
from superposition.numerics.minima.certified.kink import enclose_kink
from superposition.numerics.minima.certified.moments import (
    CROSS,
    N_MOMENTS,
    NODE,
    OPEN,
    OTHER,
    OTHER_OTHER,
    OUTPUT,
    OUTPUT_OTHER,
    OWN,
    OWN_OTHER,
    OWN_OWN,
    SQUARE,
    Corner,
    enclose_moments,
)

Point = tuple[Fraction, Fraction]
ROUNDING = 1e-12  # of numbers up to about 10, after some hundred operations

# --- intervals ---------------------------------------------------------------------------------

NUMBERS = st.floats(-1e8, 1e8, allow_nan=False) | st.sampled_from(
    [0.0, 1.0, -1.0, 1 / 3, 1e-170, -1e-170, 5e-324, 2.0**-1022, 1 + 2.0**-52]
)


@st.composite
def interval_and_member(draw: st.DrawFn) -> tuple[Interval, Fraction]:
    low, high = sorted([draw(NUMBERS), draw(NUMBERS)])
    share = Fraction(draw(st.integers(0, 64)), 64)
    return (low, high), Fraction(low) + share * (Fraction(high) - Fraction(low))


def holds(interval: Interval, exact: Fraction) -> bool:
    return Fraction(interval[0]) <= exact <= Fraction(interval[1])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(interval_and_member(), interval_and_member())
def test_operations_enclose_what_fractions_say(
    first: tuple[Interval, Fraction], second: tuple[Interval, Fraction]
) -> None:
    (a, x), (b, y) = first, second
    assert holds(intervals.add(a, b), x + y)
    assert holds(intervals.subtract(a, b), x - y)
    assert holds(intervals.multiply(a, b), x * y)
    assert holds(intervals.square(a), x * x)
    assert holds(intervals.clip(a, -1.0, 2.0), min(max(x, Fraction(-1)), Fraction(2)))
    if b[0] > 1e-150:  # else the quotient may overflow
        assert holds(intervals.divide(a, b), x / y)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(NUMBERS, NUMBERS)
def test_enclosures_of_points_are_narrow(x: float, y: float) -> None:
    """Two units in the last place on either side; else intervals that hold everything pass."""
    low, high = intervals.multiply((x, x), (y, y))
    assert high - low <= 4.1 * 2.0**-52 * abs(x * y) + 3e-300


def test_constants_enclose() -> None:
    assert Fraction(intervals.THIRD[0]) < Fraction(1, 3) < Fraction(intervals.THIRD[1])
    assert Fraction(NODE[0]) ** 2 < Fraction(1, 3) < Fraction(NODE[1]) ** 2
    for low, high in (intervals.THIRD, NODE):
        assert math.nextafter(low, 1.0) == high


# --- the oracle --------------------------------------------------------------------------------


def clipped_square(g: Fraction, c: Fraction, b: Fraction) -> list[Point]:
    """Vertices, in order, of the part of the unit square where g x + c t + b ≥ 0."""
    corners = [(Fraction(x), Fraction(t)) for x, t in ((0, 0), (1, 0), (1, 1), (0, 1))]
    clipped: list[Point] = []
    for (x, t), (X, T) in zip(corners, corners[1:] + corners[:1], strict=True):
        here, there = g * x + c * t + b, g * X + c * T + b
        if here >= 0:
            clipped.append((x, t))
        if (here > 0 > there) or (here < 0 < there):
            share = here / (here - there)
            clipped.append((x + share * (X - x), t + share * (T - t)))
    return clipped


def power_of_linear(start: Fraction, step: Fraction, power: int) -> list[Fraction]:
    """Coefficients of (start + step u)^power."""
    coefficients = [Fraction(1)]
    for _ in range(power):
        coefficients = [
            start * low + step * high
            for low, high in zip(
                [*coefficients, Fraction(0)], [Fraction(0), *coefficients], strict=True
            )
        ]
    return coefficients


def polygon_moment(polygon: Sequence[Point], a: int, k: int) -> Fraction:
    """∫∫ x^a t^k over a polygon: ∮ x^{a+1} t^k dt / (a + 1) along its edges."""
    total = Fraction(0)
    if not polygon:
        return total
    for (x, t), (X, T) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        first, second = power_of_linear(x, X - x, a + 1), power_of_linear(t, T - t, k)
        edge = sum(
            (p * q / (i + j + 1) for i, p in enumerate(first) for j, q in enumerate(second)),
            Fraction(0),
        )
        total += edge * (T - t)
    return total / (a + 1)


def segment_moment(slope: Fraction, offset: Fraction, power: int) -> Fraction:
    """∫₀¹ t^power over {offset + slope t ≥ 0}."""
    ends = [Fraction(0), Fraction(1)]
    if slope != 0:
        ends.append(min(max(-offset / slope, Fraction(0)), Fraction(1)))
    ends.sort()
    return sum(
        (
            (high ** (power + 1) - low ** (power + 1)) / (power + 1)
            for low, high in pairwise(ends)
            if offset + slope * (low + high) / 2 >= 0
        ),
        Fraction(0),
    )


def open_moment(
    corner: Sequence[Fraction], own: Fraction, other: Fraction, a: int, k: int
) -> Fraction:
    """E x^a t^k 1[z ≥ 0] with 0⁰ = 1, over the four cases of what is on."""
    g, c, b = corner
    total = own * other * polygon_moment(clipped_square(g, c, b), a, k)
    if k == 0:
        total += own * (1 - other) * segment_moment(g, b, a)
    if a == 0:
        total += (1 - own) * other * segment_moment(c, b, k)
    if a == k == 0 and b >= 0:
        total += (1 - own) * (1 - other)
    return total


def exact_moments(corner: Corner, own: float, other: float) -> dict[int, Fraction]:
    g, c, b = point = [Fraction(x) for x in corner]
    p, q = Fraction(own), Fraction(other)

    def m(a: int, k: int) -> Fraction:
        return open_moment(point, p, q, a, k)

    def output(a: int, k: int) -> Fraction:
        return g * m(a + 1, k) + c * m(a, k + 1) + b * m(a, k)

    return {
        SQUARE: g * output(1, 0) + c * output(0, 1) + b * output(0, 0),
        CROSS: output(1, 0),
        OUTPUT_OTHER: output(0, 1),
        OUTPUT: output(0, 0),
        OWN_OWN: m(2, 0),
        OWN_OTHER: m(1, 1),
        OWN: m(1, 0),
        OTHER_OTHER: m(0, 2),
        OTHER: m(0, 1),
        OPEN: m(0, 0),
    }


def exact_error(corner: Corner, own: float, other: float) -> Fraction:
    moments = exact_moments(corner, own, other)
    return Fraction(own) / 3 + moments[SQUARE] - 2 * moments[CROSS]


def random_corners(count: int, seed: int) -> list[Corner]:
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(count, 2))
    return [
        (float(w * w), float(w * v), float(b))
        for (w, v), b in zip(weights, rng.normal(scale=0.5, size=count), strict=True)
    ]


def moved(corner: Corner, step: NDArray[np.float64]) -> Corner:
    g, c, b = (float(x + d) for x, d in zip(corner, step, strict=True))
    return g, c, b


SPECIAL: list[Corner] = [
    (1.0, 0.0, 0.0),
    (1.0, -1.0, 0.0),
    (1.0, 1.0, -1.0),
    (0.0, 0.0, 0.25),
    (0.0, 0.5, -0.25),
    (0.0, -0.5, 0.25),
    (0.25, 0.0, -0.25),
    (0.25, 0.0, -0.125),
    (1e-9, 0.5, -0.2),
    (0.5, 1e-12, -0.2),
    (1e-12, -1e-12, 1e-13),
    (4.0, -2.0, 2.0),
    (4.0, 2.0, -4.0),
    (0.9, -0.9, 0.1),
    (2.0, 0.3, -1.0),
]
DENSITIES = [(0.5, 0.5), (0.05, 0.9), (1.0, 1.0)]


def enclosed_moments(corner: Corner, own: float, other: float) -> Any:
    moments = np.full((N_MOMENTS, 2), np.nan)
    enclose_moments(corner, (own, own), (other, other), moments)
    return moments


# --- moments -----------------------------------------------------------------------------------


def test_oracle_integrates_a_triangle() -> None:
    """∫∫ x t over {x + t ≤ 1} is 1/24, and the whole square has the plain moments."""
    triangle = clipped_square(Fraction(-1), Fraction(-1), Fraction(1))
    assert polygon_moment(triangle, 1, 1) == Fraction(1, 24)
    whole = clipped_square(Fraction(0), Fraction(0), Fraction(1))
    assert polygon_moment(whole, 2, 1) == Fraction(1, 6)


@pytest.mark.parametrize("corner", [*SPECIAL, *random_corners(25, seed=0)], ids=str)
def test_moments_enclose_rational_ones_narrowly(corner: Corner) -> None:
    for own, other in DENSITIES:
        exact = exact_moments(corner, own, other)
        moments = enclosed_moments(corner, own, other)
        for k, value in exact.items():
            assert holds((moments[k, 0], moments[k, 1]), value), (k, moments[k], float(value))
        # Where g is tiny the ends of a part of [0, 1] round by 1/g, and only there.
        if corner[0] > 1e-6 or corner[0] == 0.0:
            assert (moments[:, 1] - moments[:, 0]).max() < ROUNDING


def test_densities_may_be_intervals() -> None:
    low, high = 0.3, 0.35
    wide = np.empty((N_MOMENTS, 2))
    enclose_moments((0.9, -0.8, 0.1), (low, high), (low, high), wide)
    for own in (low, 0.32, high):
        for other in (low, 0.34, high):
            for k, value in exact_moments((0.9, -0.8, 0.1), own, other).items():
                assert holds((wide[k, 0], wide[k, 1]), value)


def test_moments_grow_with_every_parameter() -> None:
    """The fact that bounds over boxes rest on, in rational arithmetic."""
    rng = np.random.default_rng(1)
    for corner in random_corners(12, seed=2):
        step = rng.uniform(0, 0.5, size=3) * (rng.uniform(size=3) < 0.6)
        below = exact_moments(corner, 0.4, 0.7)
        above = exact_moments(moved(corner, step), 0.4, 0.7)
        assert all(below[k] <= above[k] for k in below)


# --- distance ----------------------------------------------------------------------------------


@pytest.mark.parametrize("corner", [*SPECIAL, *random_corners(25, seed=3)], ids=str)
def test_distance_at_a_point_is_the_error(corner: Corner) -> None:
    for own, other in DENSITIES:
        exact = exact_error(corner, own, other)
        bound = distance_bound(corner, corner, (own, own), (other, other))
        assert Fraction(bound) <= exact
        if corner != (0.25, 0.0, -0.25):  # on the edge of the dead, where rounding may choose
            assert float(exact) - bound < ROUNDING


def test_distance_over_a_box_against_sampling() -> None:
    """E dist(x, [z′₊, z″₊])² by its definition, within five standard errors in each of 40 cases."""
    rng = np.random.default_rng(4)
    draws = 100_000
    for corner in random_corners(40, seed=5):
        high = moved(corner, rng.uniform(0, 0.6, size=3))
        own, other = rng.uniform(0.1, 1.0, size=2)
        x = rng.uniform(size=draws) * (rng.uniform(size=draws) < own)
        t = rng.uniform(size=draws) * (rng.uniform(size=draws) < other)
        lower, upper = (np.maximum(0.0, g * x + c * t + b) for g, c, b in (corner, high))
        squares = np.maximum(np.maximum(x - upper, lower - x), 0.0) ** 2
        bound = distance_bound(corner, high, (own, own), (other, other))
        error = 5 * squares.std() / math.sqrt(draws)
        assert abs(squares.mean() - bound) <= error + ROUNDING


def test_distance_is_below_the_error_everywhere_in_the_box() -> None:
    rng = np.random.default_rng(6)
    for corner in random_corners(20, seed=7):
        width = rng.uniform(0, 0.6, size=3)
        high = moved(corner, width)
        bound = distance_bound(corner, high, (0.6, 0.6), (0.3, 0.3))
        for share in rng.uniform(size=(4, 3)):
            assert Fraction(bound) <= exact_error(moved(corner, share * width), 0.6, 0.3)


# --- kink --------------------------------------------------------------------------------------


def kink_by_difference(corner: Corner, own: float, other: float, a: int, k: int) -> float:
    """E x δ(z) x^a t^k as d/db E x^{a+1} t^k 1[z ≥ 0], by a central difference in fractions."""
    step = Fraction(1, 2**20)
    g, c, b = (Fraction(x) for x in corner)
    sides = [
        open_moment((g, c, b + sign * step), Fraction(own), Fraction(other), a + 1, k)
        for sign in (1, -1)
    ]
    return float((sides[0] - sides[1]) / (2 * step))


KINK_POWERS = {OWN_OWN: (2, 0), OWN_OTHER: (1, 1), OWN: (1, 0), OTHER_OTHER: (0, 2), OTHER: (0, 1), OPEN: (0, 0)}  # fmt: skip


def test_kink_encloses_derivatives_of_rational_moments() -> None:
    """Over boxes at random points; the error of the difference is of second order in 2⁻²⁰."""
    rng = np.random.default_rng(8)
    kink = np.empty((N_MOMENTS, 2))
    checked = 0
    for corner in random_corners(40, seed=9):
        low = (max(corner[0], 0.05), corner[1], corner[2])
        width = rng.uniform(0, 0.3, size=3)
        high = moved(low, width)
        assert enclose_kink(low, high, (0.7, 0.7), (0.4, 0.4), kink)
        for share in rng.uniform(0.05, 0.95, size=(2, 3)):
            point = moved(low, share * width)
            if min(abs(point[2]), abs(point[2] + point[0])) < 1e-3:
                continue  # a jump: the difference is none there
            for k, (a, j) in KINK_POWERS.items():
                value = kink_by_difference(point, 0.7, 0.4, a, j)
                assert kink[k, 0] - 1e-5 <= value <= kink[k, 1] + 1e-5
                checked += value > 0.01
    assert checked > 50


def test_kink_of_a_point_is_exact() -> None:
    kink = np.empty((N_MOMENTS, 2))
    for corner in [(0.9, -0.8, 0.1), (1.3, 0.4, -0.6), (0.7, -0.3, -0.2)]:
        enclose_kink(corner, corner, (0.7, 0.7), (0.4, 0.4), kink)
        for k, (a, j) in KINK_POWERS.items():
            value = kink_by_difference(corner, 0.7, 0.4, a, j)
            assert kink[k, 1] - kink[k, 0] < ROUNDING
            assert abs(kink[k, 0] - value) < 1e-5  # the difference, as above


def test_kink_without_bound_says_so() -> None:
    kink = np.empty((N_MOMENTS, 2))
    assert not enclose_kink((0.0, -0.1, -0.1), (0.1, 0.1, 0.1), (0.5, 0.5), (0.5, 0.5), kink)
    assert enclose_kink((0.0, -0.1, 0.1), (0.1, 0.1, 0.2), (0.5, 0.5), (0.5, 0.5), kink)
    assert not kink.any()
