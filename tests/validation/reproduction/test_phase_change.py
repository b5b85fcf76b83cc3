"""Measures of phase changes, on maps made by hand, and a transition whose jump theory knows."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
import xarray as xr

from superposition.theory.landscape import antipodal_end
from superposition.validation import phase_names
from superposition.validation.readings import class_of_phase
from superposition.validation.reproduction.experiments.phase_change import _jump
from superposition.validation.reproduction.measurement import Measured, Measurement
from superposition.validation.reproduction.registry import find_experiment

PLANE = ("density", "importance")


def agreeing(size: tuple[int, int], names: tuple[str, ...]) -> xr.Dataset:
    """A row of points, one for each phase named, on which everything agrees."""
    known = phase_names(*size)
    codes = np.array([[known.index(name) for name in names]], dtype=np.int8)
    flags = {"flag_meanings": " ".join(name.replace(" ", "_") for name in known)}
    maps = ("theory_phase", "optimum_phase", "best_trained_phase")
    data = xr.Dataset({name: (PLANE, codes.copy(), flags) for name in maps}, attrs={"replicas": 10})
    loss = np.ones(codes.shape)
    return data.assign(theory_loss=(PLANE, loss), optimum_loss=(PLANE, loss.copy()))


def value(found: Measured) -> float:
    assert isinstance(found, Measurement)
    return found.value


def test_each_disagreement_costs_its_share_in_its_measure_only() -> None:
    data = agreeing((2, 1), ("ignore first", "ignore last", "superpose both", "superpose both"))
    data["reading"] = (PLANE, class_of_phase(data.theory_phase.values))
    measure = find_experiment("phase-2-1").measure
    shares = [name for name in measure(data) if "agrees" in name]
    assert len(shares) == 4
    assert all(value(measure(data)[name]) == 1.0 for name in shares)
    for name in shares:  # of 4 points with ten models each; nothing is sampled in two maps
        found = measure(data)[name]
        assert isinstance(found, Measurement)
        sampled = name != "theory_agrees_with_optimum"
        assert found.low == pytest.approx(0.025**0.25 if sampled else 1.0)
        assert found.seeds == (10 if sampled else 0)
    data["best_trained_phase"][0, 0] = data["best_trained_phase"][0, 1]
    data["reading"][0, :2] = data["reading"][0, 2]
    assert {name: value(measure(data)[name]) for name in shares} == {
        "best_agrees_with_theory": 0.75, "best_agrees_with_optimum": 0.75,
        "theory_agrees_with_optimum": 1.0, "reading_agrees_with_theory": 0.5,
    }  # fmt: skip


def test_the_best_models_are_held_against_each_map_for_itself() -> None:
    data = agreeing((2, 1), ("ignore first", "ignore last", "superpose both", "superpose both"))
    data["optimum_phase"][0, 0] = data["optimum_phase"][0, 1]
    data["reading"] = (PLANE, class_of_phase(data.theory_phase.values))
    found = find_experiment("phase-2-1").measure(data)
    assert value(found["best_agrees_with_theory"]) == 1.0
    assert value(found["best_agrees_with_optimum"]) == 0.75


def test_the_largest_excess_is_relative_to_the_optimum() -> None:
    data = agreeing((2, 1), ("ignore first", "ignore last"))
    data["theory_loss"][0, 1] = 0.55
    data["optimum_loss"][0, 1] = 0.5
    found = find_experiment("phase-2-1").measure(data)["largest_excess_of_theory"]
    assert value(found) == pytest.approx(0.1)


def test_triangles_are_counted() -> None:
    data = agreeing((3, 2), ("simplex", "ignore first", "superpose first two", "simplex"))
    found = find_experiment("phase-3-2").measure(data)["share_of_triangle"]
    assert value(found) == 0.5


def test_jumps_are_those_that_theory_derives() -> None:
    """Oracle: the proved end of the pair at r = 3/10, and weights there; at 7/10 there is no jump."""
    density, jump = _jump(0.3, seed=0)
    end = antipodal_end(importance=sympy.Rational(3, 10), digits=12)
    assert density == pytest.approx(float(end.s.decimal(12)), abs=1e-8)
    assert jump > 0.6
    _, grown = _jump(0.7, seed=0)
    assert grown == pytest.approx(0.02, abs=1e-3)
