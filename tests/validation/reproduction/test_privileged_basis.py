"""A privileged basis: oracles are models made by hand, whose answers are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import xarray as xr

from superposition.validation.reproduction.columns import constant_loss
from superposition.validation.reproduction.experiments import privileged_basis
from superposition.validation.reproduction.measurement import Measurement
from superposition.validation.reproduction.registry import find_experiment

DENSITY = [1.0, 0.3, 0.01]
TURN = np.array([[[0.6, -0.8], [0.8, 0.6]]])


def measured(relu: Any, tied: Any, loss: float = 1.0, rotated: float = 0.5) -> Mapping[str, Any]:
    """Measure five models a density with these shares of monosemantic neurons."""
    shares = np.broadcast_to(np.array([relu, tied])[..., None], (2, 3, 5))
    top = constant_loss(DENSITY, [0.5])
    change = np.array([rotated, 1e-15])[:, None, None] * np.ones((2, 3, 4))
    change[0, 0, 0] *= 2
    data = xr.Dataset(
        {
            "monosemantic": (("architecture", "density", "rank"), shares),
            "loss": (("architecture", "density", "rank"), loss * top[:, None] * np.ones((2, 3, 5))),
            "standard_error": (("architecture", "density", "rank"), 0.01 * np.ones((2, 3, 5))),
            "top_loss": ("density", top),
            "rotated": (("architecture", "density", "rotation"), change),
            "rotated_identity": ("density", [0.4, 0.2, 0.3]),
            "ranked_loss": (("architecture", "density", "replica"), np.ones((2, 3, 7))),
        },
        coords={"architecture": ["relu-hidden", "tied"], "density": DENSITY},
    )
    return find_experiment("privileged-basis").measure(data)


def test_shares_are_told_apart_by_density_and_architecture() -> None:
    found = measured([1, 0.6, 0.1], [0.2, 0, 0])
    assert found["dense_monosemantic"] == Measurement.exact(1, 5)
    assert found["sparse_monosemantic"] == Measurement.exact(0.1, 5)
    assert found["tied_dense_monosemantic"] == Measurement.exact(0.2, 5)
    assert found["greatest_rise"].value == pytest.approx(-0.4)


def test_a_share_that_rises_towards_low_density_is_seen() -> None:
    assert measured([0.5, 0.2, 0.9], [0, 0, 0])["greatest_rise"].value == pytest.approx(0.7)


def test_without_live_neurons_nothing_is_known() -> None:
    found = measured([np.nan, 0, 0], [0, 0, 0])
    assert found["dense_monosemantic"] == Measurement(0.0, -np.inf, np.inf, 0)


def test_gains_have_two_standard_errors() -> None:
    found = measured([1, 1, 1], [0, 0, 0], loss=0.75)
    top = float(constant_loss(1.0, [0.5]))
    assert found["dense_gain"].value == pytest.approx(0.25)
    assert found["dense_gain"].high - 0.25 == pytest.approx(0.02 / top)
    assert found["sparse_gain"].seeds == 7


def test_the_least_cost_of_a_rotation_and_the_greatest_change_count() -> None:
    found = measured([1, 1, 1], [0, 0, 0], rotated=0.3)
    assert {value.value for value in found["rotation_cost"].values()} == {0.3}
    assert found["rotated_identity"].value == 0.2
    assert found["tied_rotation_change"].value == 1e-15


def test_rotations_change_the_loss_of_relu_neurons_only() -> None:
    model = xr.Dataset(
        {"W": (("hidden", "feature"), np.eye(2, 3)), "b": ("feature", [0.1, 0.0, 0.05])},
        coords={"density": 0.4},
    )
    change = privileged_basis._rotation_change
    importance = np.ones(3)
    assert abs(change(model, TURN, importance, "tied")) < 1e-12
    assert change(model, TURN, importance, "relu-hidden") > 0.1
    swap = np.array([[[0.0, 1.0], [1.0, 0.0]]])  # of two neurons
    assert abs(change(model, swap, importance, "relu-hidden")) < 1e-12


def test_two_turned_neurons_by_hand() -> None:
    """Oracle: x₁ alone gives h = (x₁, 0)/√2 and the outputs (x₁, x₁)/2; x₂ alone is kept."""
    s = 1e-7
    _, found = privileged_basis._rotated_identity((s,))
    lost = s * (1 / 3 / 4 + 1 / 3 / 4)
    assert float(found[0]) == pytest.approx(lost / (2 * s / 3), rel=1e-6)
