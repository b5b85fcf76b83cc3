"""Learning dynamics: measures on curves made by hand, of which one sees the answer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from superposition.validation.reproduction.experiments.dynamics import (
    plateaus,
    rest,
    share_of_rest_on_levels,
    stages,
)
from superposition.validation.reproduction.registry import find_experiment

Floats = NDArray[np.float64]
TIME = np.linspace(0, 100, 401)
OCTAHEDRON = np.hstack([np.eye(3), -np.eye(3)])


def steps(*where: float, width: float = 1.0) -> Floats:
    """Return a curve that falls by 1 at each time, within about four times the width."""
    return sum(((1 - np.tanh((TIME - at) / width)) / 2 for at in where), np.zeros_like(TIME))


def test_two_steps_have_a_plateau_before_each() -> None:
    found = plateaus(TIME, steps(30, 70))
    assert len(found) == 2
    assert found[0].start == 0
    assert 25 < found[0].end < 30 < found[0].dropped < 35
    assert 30 < found[1].start < 35
    assert 65 < found[1].end < 70 < found[1].dropped < 75


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_plateaus_do_not_depend_on_units(scale: float) -> None:
    found = plateaus(TIME * scale, 5 + steps(30, 70) / scale)
    assert [each.end / scale for each in found] == pytest.approx(
        [each.end for each in plateaus(TIME, steps(30, 70))]
    )


@pytest.mark.parametrize(
    "curve",
    [
        np.exp(-TIME / 10),
        100 - TIME,
        1 / (1 + TIME),
        steps(50, width=30),  # slow from beginning to end
        np.exp(-TIME / 10) + 0.01 * steps(70),  # the drop is 1 % of the whole fall
        steps(3, width=1.5) + 0 * TIME,  # the drop takes longer than what is before it
    ],
    ids=["exponential", "line", "hyperbola", "wide", "small", "short"],
)
def test_a_curve_without_a_sudden_drop_has_no_plateau(curve: Floats) -> None:
    assert plateaus(TIME, curve) == ()


@pytest.mark.parametrize(("slope", "count"), [(0.08, 1), (0.13, 0)])
def test_a_stretch_is_slow_below_a_tenth_of_the_speed_behind_it(slope: float, count: int) -> None:
    falling = np.maximum(TIME - 60, 0) - np.maximum(TIME - 75, 0)  # speed 1 for 15 of 100
    assert len(plateaus(TIME, -slope * np.minimum(TIME, 60) - falling)) == count


def test_a_drop_behind_a_fast_beginning_is_found_in_noise() -> None:
    noise = np.random.default_rng(0).normal(0, 1e-3, len(TIME))
    (found,) = plateaus(TIME, np.exp(-TIME / 2) + 0.5 * steps(60) + noise)
    assert 50 < found.end < 60 < found.dropped < 70


LOG_TIME = np.geomspace(1e-2, 1e4, 601)


def decades(*where: float) -> Floats:
    """Return a curve that falls by 1 around each time, within a factor of about two."""
    return sum((1 / (1 + (LOG_TIME / at) ** 6) for at in where), start=np.zeros_like(LOG_TIME))


def test_stages_lie_between_drops_that_are_factors_apart() -> None:
    (between,) = stages(np.append(0, LOG_TIME), np.append(2, decades(1, 100)))
    assert 1 < np.exp(between.start) < 5
    assert 20 < np.exp(between.end) < 100 < np.exp(between.dropped) < 500
    assert len(stages(LOG_TIME, decades(0.1, 3, 100))) == 2


@pytest.mark.parametrize(
    "curve",
    [decades(10), decades(10) + 0.04 * decades(0.1), np.exp(-LOG_TIME), -np.log(LOG_TIME)],
    ids=["one drop", "the first drop is too small", "exponential", "even"],
)
def test_a_flat_beginning_is_no_stage(curve: Floats) -> None:
    assert stages(LOG_TIME, curve) == ()


def test_curves_rest_where_they_are_flat_between_two_moves() -> None:
    values = np.stack([steps(20, 60, 90), steps(50)], axis=1)
    resting = rest(TIME, values)
    middle = (TIME[1:] + TIME[:-1]) / 2
    assert resting[(middle > 25) & (middle < 55), 0].all()
    assert not resting[abs(middle - 60) < 1, 0].any()
    assert not resting[(middle < 18) | (middle > 92), 0].any()
    assert not resting[:, 1].any()  # it never stops in between


def test_time_on_levels_is_a_share_of_the_time_of_rest() -> None:
    # from 1 to 0.5, a level, to 0.87, none, and on to 0; in between it moves
    values = 1 - 0.5 * (1 - steps(10)) + 0.37 * (1 - steps(50)) - 0.87 * (1 - steps(90))
    assert share_of_rest_on_levels(TIME, values[:, None]) == pytest.approx(0.5, abs=0.02)


def test_a_curve_that_only_relaxes_has_no_rest() -> None:
    relaxing = 0.5 + 0.3 * np.exp(-TIME[:, None] / 3)
    assert np.isnan(share_of_rest_on_levels(TIME, relaxing))


def test_each_route_is_measured_by_its_own_runs() -> None:
    variables: dict[str, Any] = {"optimum_W": (("hidden", "feature"), OCTAHEDRON)}
    for route, count in (("flow", 4), ("small", 2), ("trained", 0)):
        variables[f"plateaus_{route}"] = ("replica", (np.arange(4) < count).astype(int))
        variables[f"stages_{route}"] = ("replica", 2 * (np.arange(4) >= count))
        variables[f"levels_{route}"] = ("replica", np.array([0.5, 1.0, np.nan, 0.75]))
        variables[f"deviation_{route}"] = ("replica", np.where(np.arange(4) < count, 0.05, 0.5))
    found: dict[str, Any] = dict(
        find_experiment("dynamics").measure(xr.Dataset(variables, attrs={"seed": 0}))
    )
    names = "start of the protocol", "a thousandth of it"
    for quantity in ("share_with_plateau", "share_octahedron"):
        assert [found[f"{quantity}_flow"][name].value for name in names] == [1, 0.5]
        assert found[f"{quantity}_trained"].value == 0
    assert [found["share_with_stage_flow"][name].value for name in names] == [0, 0.5]
    assert found["share_with_stage_trained"].value == 1
    assert found["share_of_rest_on_levels_trained"].value == 0.75
    assert found["share_of_rest_on_levels_trained"].seeds == 3
    assert found["deviation_of_optimum"].value == 0
