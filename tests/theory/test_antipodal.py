"""The end of the antipodal pair, against exact descent on both sides and known values.

Oracles: `superposition.numerics.global_minimum` beside the certified point; the series of the
line at low density; the two ways to ask for one point.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy

from superposition.numerics import global_minimum
from superposition.theory import r, s
from superposition.theory.landscape import antipodal_end

Q = sympy.Rational


@pytest.mark.parametrize("importance", [Q(1, 10), Q(57, 100), Q(97, 100), 1])
def test_the_optimum_changes_at_the_certified_density(importance: Any) -> None:
    end = antipodal_end(importance=importance, digits=15)
    assert end.are_minima
    assert end.kind == "first order"
    for side, point in ((-1e-4, end.points[0]), (1e-4, end.points[1])):
        found = global_minimum(
            2, 1, density=float(end.s) + side, importance=[1, float(importance)], starts=64
        )
        expected = sorted(abs(float(x)) for x in point.W[0])
        assert np.sort(np.abs(found.W[0])) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize("k", [1, 30, 51, 52, 60, 67, 70])
def test_every_density_is_served_and_the_line_is_one_line(k: int) -> None:
    end = antipodal_end(density=Q(k, 100), digits=12)
    back = antipodal_end(importance=end.r.midpoint, digits=10)
    assert float(back.s) == pytest.approx(k / 100, abs=1e-9)


def test_sparse_limit_of_the_line() -> None:
    """The leading order, (2 + √2)/8 s, derived by hand from the losses at order s²."""
    density = Q(1, 10**4)
    end = antipodal_end(density=density, digits=12)
    slope = float(end.r) / float(density)
    assert slope == pytest.approx((2 + np.sqrt(2)) / 8, rel=1e-3)  # the next order in s


def test_loss_has_a_kink_where_the_weights_jump() -> None:
    end = antipodal_end(density=Q(1, 2), digits=12)
    for symbol in (r, s):
        assert end.kink(symbol).sign != 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either density or importance"),
        ({"density": Q(1, 2), "importance": Q(1, 2)}, "either density or importance"),
        ({"density": Q(3, 4)}, r"density must be a rational number in \(0, 883/1250\], got 3/4"),
        ({"importance": 2}, r"importance must be a rational number in \(0, 1\], got 2"),
        ({"importance": s}, "importance must be a rational number"),
        ({"density": 0}, "density must be a rational number"),
    ],
)
def test_bad_requests_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        antipodal_end(**arguments)
