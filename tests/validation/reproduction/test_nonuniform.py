"""One differing feature: measures on models and losses whose answer is known beforehand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from superposition.numerics import population_loss
from superposition.validation.reproduction.experiments import nonuniform
from superposition.validation.reproduction.experiments.nonuniform import half_dropped
from superposition.validation.reproduction.registry import find_experiment

GEOMETRIES = ["pentagon", "two digons"]


def dropped(*shares: float) -> NDArray[np.bool_]:
    return np.asarray(np.arange(10) < 10 * np.array(shares)[:, None])


def test_half_have_dropped_it_where_a_line_between_the_shares_says_so() -> None:
    # a third of the way from 0.4 to 0.7, over the logarithm
    assert half_dropped(np.array([1.0, 8.0]), dropped(0.4, 0.7)) == pytest.approx(2.0)
    assert half_dropped(np.array([1.0, 2.0, 4.0]), dropped(0, 0.5, 1)) == pytest.approx(2.0)


def test_shares_that_fall_by_chance_are_made_monotone() -> None:
    # 0.6 and 0.2 pool to 0.4
    found = half_dropped(np.array([1.0, 2.0, 4.0, 16.0]), dropped(0, 0.6, 0.2, 0.6))
    assert found == pytest.approx(8.0)


def test_a_feature_that_is_never_or_always_dropped_has_its_crossing_outside() -> None:
    smaller = np.array([1.0, 2.0])
    assert half_dropped(smaller, dropped(0, 0.4)) == np.inf
    assert half_dropped(smaller, dropped(0.9, 1)) == 1.0


def measure(data: xr.Dataset) -> dict[str, Any]:
    return dict(find_experiment("non-uniform").measure(data))


def made_by_hand(**changes: object) -> xr.Dataset:
    """Two losses that cross at 1/3 with slopes 1 and 2, where columns are 1 and 0 long."""
    relative = np.array([0.25, 1 / 3, 0.5, 1.0])
    line = np.stack([1 / 3 + relative, 2 * relative])[:, None, :] * np.ones((1, 2, 1))
    entries: dict[str, Any] = {
        "loss": (("geometry", "varied", "relative"), line),
        "optimum_loss": (("varied", "relative"), line.min(axis=0)),
        "crossing": ("varied", [1 / 3, 1 / 3]),
        "crossing_slope": (("varied", "geometry"), [[1.0, 2.0], [1.0, 2.0]]),
        "crossing_length": (("varied", "geometry"), [[1.0, 0.0], [1.0, 0.0]]),
        "trained_length": (("varied", "smaller", "replica"), np.zeros((2, 2, 4))),
        **changes,
    }
    coords = {"varied": ["density", "importance"], "geometry": GEOMETRIES, "smaller": [1.0, 2.0],
              "relative": relative}  # fmt: skip
    return xr.Dataset(entries, coords=coords, attrs={"seed": 0})


def test_two_lines_that_cross_are_a_transition_of_first_order() -> None:
    found = measure(made_by_hand())
    assert found["crossing"].value == pytest.approx(3.0)
    assert found["jump"]["density"].value == 1.0
    assert found["kink"]["importance"].value == 0.5
    assert found["gap_to_optimum"].value == 0.0
    assert found["trained_crossing"].value == 1.0


def test_a_third_geometry_and_a_smooth_transition_are_seen() -> None:
    third = (("varied", "relative"), np.full((2, 4), 0.4))
    flat = (("varied", "geometry"), np.ones((2, 2)))
    found = measure(made_by_hand(optimum_loss=third, crossing_slope=flat, crossing_length=flat))
    assert found["gap_to_optimum"].value == pytest.approx((4 / 3) / 0.4 - 1)
    assert found["jump"]["density"].value == found["kink"]["density"].value == 0.0


def test_where_nothing_crosses_the_crossing_is_at_infinity() -> None:
    nowhere = made_by_hand(
        crossing=("varied", [0.0, 0.0]), crossing_slope=(("varied", "geometry"), np.zeros((2, 2)))
    )
    found = measure(nowhere)
    assert found["crossing"].value == np.inf
    assert found["kink"]["density"].value == 0.0


def test_slopes_are_those_of_the_loss_of_fixed_weights() -> None:
    # Oracle: a central difference of the population loss.
    W, b = np.array([[1.0, -0.9, 0.2, 0, 0.5], [0, 0.3, 1, -1, 0.4]]), np.full(5, -0.05)
    point = nonuniform._Point(W, b, 0.0)
    for varied in ("density", "importance"):
        ends = [
            float(population_loss(W, b, **nonuniform._inputs(varied, 0.4 * np.exp(step), 0.05)))
            for step in (-1e-4, 1e-4)
        ]
        assert nonuniform._slope(point, varied, 0.4, 0.05) == pytest.approx(
            (ends[1] - ends[0]) / 2e-4, rel=1e-6
        )
