"""Fractions: which shape has which, and which is nearest."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from superposition.theory import feature_dimensionality, named_configuration
from superposition.validation.geometry.dimensionality import (
    FRACTIONS,
    dimensionality_clusters,
    nearest_fraction,
)


@pytest.mark.parametrize(("fraction", "name"), [*FRACTIONS.items()])
def test_fractions_are_those_of_the_shapes(fraction: Fraction, name: str) -> None:
    """Oracle: D_i, derived exactly from W."""
    shape = named_configuration("basis 1 of 1" if name == "dedicated" else name)
    for exact in feature_dimensionality(shape.W):
        assert exact == fraction
        nearest, distance = nearest_fraction(float(exact))
        assert nearest == fraction
        assert distance < 1e-15


def test_nearest_is_the_nearest_of_all() -> None:
    for value in np.linspace(0, 1, 81):
        fraction, distance = nearest_fraction(value)
        assert all(distance <= abs(value - float(other)) + 1e-15 for other in FRACTIONS)
        assert distance == pytest.approx(abs(value - float(fraction)), abs=1e-15)


def test_counts_are_of_all_features() -> None:
    values = np.array([[1.0, 0.5, 0.51], [0.401, 0.39, 0.3]])
    counts = dimensionality_clusters(values)
    assert list(counts) == [*FRACTIONS, None]
    assert counts[Fraction(1, 2)] == 2
    assert counts[Fraction(2, 5)] == 2
    assert counts[None] == 1
    assert sum(counts.values()) == values.size
    assert dimensionality_clusters(values, within=1e-6)[None] == 4
    # By default near is within 1/80 = 0.0125.
    assert dimensionality_clusters([0.512, 0.513])[None] == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nearest_fraction(1.2), r"lies in \[0, 1\], got 1.2"),
        (lambda: nearest_fraction(-0.01), r"lies in \[0, 1\], got -0.01"),
        (lambda: nearest_fraction(float("nan")), r"lies in \[0, 1\], got nan"),
        (lambda: dimensionality_clusters([0.5], within=0), "within must be positive, got 0"),
    ],
)
def test_errors_say_what_is_accepted(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
