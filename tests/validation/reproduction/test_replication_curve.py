"""Loss curves: oracles are losses made by hand, and a loss that is known in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from superposition.validation.reproduction.experiments import replication_curve
from superposition.validation.reproduction.registry import find_experiment


def measured(half: float, final: float, descended: float, optimum: float) -> Any:
    values = {"half": half, "final": final, "descended": descended, "optimum": optimum}
    scale = np.array([[1.0, 2.0, 3.0]] * 40)[np.newaxis]  # models differ, their ratios do not
    dims = ("data", "density", "relative_importance")
    data = xr.Dataset({name: (dims, value * scale) for name, value in values.items()})
    return find_experiment("roe-11").measure(data.assign_coords(data=["text"]))


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ((1.0, 1.0, 1.0, 0.5), {"late_fall": 0.0, "share_of_local_minima": 1.0, "excess": 1.0}),
        ((2.0, 1.0, 0.6, 0.5), {"late_fall": 0.5, "share_of_local_minima": 0.2, "excess": 1.0}),
    ],
)
def test_a_curve_that_is_level_in_local_minima_and_one_that_is_not(
    losses: tuple[float, float, float, float], expected: dict[str, float]
) -> None:
    found = measured(*losses)
    for quantity, value in expected.items():
        measurement = found[quantity]["text"]
        assert measurement.value == pytest.approx(value)
        assert (measurement.low, measurement.high) == pytest.approx((value, value))
        assert measurement.seeds == 120


def test_the_interval_of_a_ratio_is_that_of_its_numerator_over_a_constant() -> None:
    rng = np.random.default_rng(0)
    part = rng.normal(3.0, 1.0, 400)
    found = replication_curve._ratio(part, np.full(400, 2.0))
    assert found.value == pytest.approx(part.mean() / 2)
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * part.std() / 2 / 20, rel=0.1)


def test_grid_covers_the_ranges_of_the_source() -> None:
    density, importance = replication_curve._Settings(10, 5).grid()
    assert density == pytest.approx(np.arange(0.05, 1, 0.1))
    assert importance == pytest.approx([0.99, 2.97, 4.95, 6.93, 8.91])


def test_least_losses_where_they_are_known() -> None:
    """An antipodal pair bounds them from above; at low density it is nearly the optimum."""
    settings = replication_curve._Settings(1, 1)
    model = {"density": np.array([[0.01]]), "importance": np.array([[1.0, 1.0]])}
    least = replication_curve._least(settings, 0, {**model, "features": None})
    assert least.shape == (1, 1)
    assert 0.9 * 0.01**2 / 3 < least[0, 0] <= 0.01**2 / 3
