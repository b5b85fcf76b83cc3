"""Measures of phase changes, on maps made by hand, and a transition whose jump theory knows."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
import xarray as xr

from superposition.theory.landscape import antipodal_end
from superposition.validation import phase_names
from superposition.validation.readings import class_of_phase
from superposition.validation.reproduction.experiments.phase_change import _jump, _read_again
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
    data["reading_again"] = ("draw", np.linspace(0.4, 0.6, 201))
    measure = find_experiment("phase-2-1").measure
    shares = [name for name in measure(data) if "agrees" in name]
    assert len(shares) == 4
    assert all(value(measure(data)[name]) == 1.0 for name in shares)
    again = measure(data)["reading_agrees_with_theory"]
    assert isinstance(again, Measurement)
    assert again.low == pytest.approx(0.405)
    assert (again.high, again.seeds) == (1.0, 10)
    data["best_trained_phase"][0, 0] = data["best_trained_phase"][0, 1]
    data["reading"][0, :2] = data["reading"][0, 2]
    found = {name: value(measure(data)[name]) for name in shares}
    assert found == {
        "best_agrees_with_theory": 0.75, "best_agrees_with_optimum": 0.75,
        "theory_agrees_with_optimum": 1.0, "reading_agrees_with_theory": 0.5,
    }  # fmt: skip


def test_replicas_are_drawn_anew_at_every_point() -> None:
    """Oracle: two of three models agree at each of 400 points, and the reading is their mean length.

    The worst of three is dropped; with weights of (1, 0), (1, 0) and (0, 1) of equal losses
    the agreement of redrawn ones is a share between none and all, not the same in every draw.
    """
    known = phase_names(2, 1)
    first, last = known.index("ignore last"), known.index("ignore first")
    W = np.broadcast_to(np.array([[[1.0, 0.0]], [[1.0, 0.0]], [[0.0, 1.0]]]), (20, 20, 3, 1, 2))
    models = ("density", "importance", "replica")
    data = xr.Dataset(
        {
            "theory_phase": (PLANE, np.full((20, 20), first, dtype=np.int8)),
            "trained_W": ((*models, "hidden", "feature"), W),
            "trained_phase": (models, np.broadcast_to([first, first, last], (20, 20, 3))),
            "trained_loss": (models, np.broadcast_to([0.1, 0.1, 0.3], (20, 20, 3))),
        }
    )
    found = _read_again(data, seed=0)
    # Dropping the worst of a draw leaves only good ones unless two or three of three are bad: 7/27.
    assert found.mean() == pytest.approx(1 - 7 / 27, abs=5 * np.sqrt(7 * 20 / 27**2 / 400 / 200))
    assert found.std() == pytest.approx(np.sqrt(7 * 20 / 27**2 / 400), rel=0.3)


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
