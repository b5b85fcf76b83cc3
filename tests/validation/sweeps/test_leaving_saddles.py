"""Optima that descent took for minima. Oracle: the lowest loss of many more starts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from superposition.numerics import PROTOCOLS, descend, global_minimum
from superposition.validation import PhaseDiagramConfiguration, phase_names
from superposition.validation.sweeps.points import Points, _leave_saddles


def test_saddle_is_left_for_the_minimum_below_it() -> None:
    """Beyond the stability line [1, 0] is a saddle: its gradient is 0, and it has a way down."""
    configuration = PhaseDiagramConfiguration.validated(
        2, 1, density=[0.7, 0.95], importance=[0.9], replicas=1, starts=1, seed=0,
        protocol=PROTOCOLS["annealed"], penalty=0, activation="relu",
    )  # fmt: skip
    points = Points.of(configuration, slice(None), slice(None))
    biases = np.array([[[0.0, 0.35]], [[0.0, 0.475]]])
    W = np.broadcast_to([[[[1.0, 0.0]]]], (2, 1, 1, 2)).copy()
    start = descend(W, biases, density=points.density, importance=points.importance)
    assert start.converged.all()
    optimum: dict[str, Any] = {
        "optimum_phase": np.full((2, 1), phase_names(2, 1).index("ignore last"), dtype=np.int8),
        "optimum_loss": start.loss.copy(),
        "optimum_W": start.W.copy(),
        "optimum_b": start.b.copy(),
        "optimum_gradient_norm": start.gradient_norm.copy(),
        "optimum_share": np.ones((2, 1)),
    }
    _leave_saddles(points, optimum)
    names = [phase_names(2, 1)[code] for code in optimum["optimum_phase"][:, 0]]
    assert names == ["partial superposition", "ignore last"]
    assert list(optimum["optimum_share"][:, 0]) == [0.0, 1.0]
    searched = global_minimum(2, 1, density=0.7, importance=[1, 0.9], starts=128)
    assert optimum["optimum_loss"][0, 0] == pytest.approx(searched.loss, rel=1e-9)
    assert optimum["optimum_loss"][0, 0] < start.loss[0, 0]
    assert optimum["optimum_loss"][1, 0] == start.loss[1, 0]
