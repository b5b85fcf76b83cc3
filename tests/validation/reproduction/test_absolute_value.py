"""Computation in superposition: oracles are models made by hand, whose answers are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr

from superposition.validation.reproduction.experiments import absolute_value
from superposition.validation.reproduction.measurement import Measurement
from superposition.validation.reproduction.registry import find_experiment

DENSITY = [1.0, 0.1]
MOTIF_W = np.array([[2, 0.5], [2, 0], [0, 0]])
MOTIF_V = np.array([[0.5, 0, 0], [2, -2, 0]])


def measured(
    *,
    computed: Sequence[Sequence[bool]] = ((True, True, False), (True, True, True)),
    motif: Sequence[Sequence[int]] = ((0, 0, 0), (4, 2, 1)),
    loss: Sequence[float] = (1.0, 0.8),
    small: Sequence[float] = (1.0, 0.9),
    V: Any = MOTIF_V,
) -> Mapping[str, Any]:
    """Measure six models a density, all alike, with four neurons."""
    points = ("density", "rank")
    data = xr.Dataset(
        {
            "monosemantic": (points, [[1.0] * 6, [0.25] * 6]),
            "computed": ((*points, "feature"), np.repeat(np.array(computed)[:, None], 6, axis=1)),
            "motif": ((*points, "kind"), np.repeat(np.array(motif)[:, None], 6, axis=1)),
            "loss": (points, np.repeat(np.array(loss)[:, None], 6, axis=1) * 0.5),
            "standard_error": (points, np.full((2, 6), 0.001)),
            "monosemantic_loss": ("density", [0.5, 0.5]),
            "small_loss": ("density", np.array(small) * 0.2),
            "small_monosemantic_loss": ("density", [0.2, 0.2]),
            "small_W": (("density", "small_hidden", "small_feature"), [MOTIF_W] * 2),
            "small_V": (("density", "small_feature", "small_hidden"), [V] * 2),
            "best_W": (("density", "hidden", "feature"), np.zeros((2, 4, 3))),
            "ranked_loss": (("density", "replica"), np.ones((2, 8))),
        },
        coords={"density": DENSITY, "kind": ["shared", "asymmetric", "inhibited"]},
    )
    return find_experiment("absolute-value").measure(data)


def test_computation_as_the_source_has_it() -> None:
    found = measured()
    assert found["dense_monosemantic"] == Measurement.exact(1, 6)
    assert found["sparse_monosemantic"]["s = 0.1"] == Measurement.exact(0.25, 6)
    assert found["dense_misplaced"] == Measurement.exact(0, 8)
    assert found["sparse_computed"]["s = 0.1"] == Measurement.exact(1.5, 6)
    assert found["dense_gain"].value == pytest.approx(0)
    assert found["sparse_gain"]["s = 0.1"].value == pytest.approx(0.2)
    assert found["sparse_gain"]["s = 0.1"].high == pytest.approx(0.2 + 0.004)
    assert found["optimum_gain"].value == pytest.approx(0.1)
    assert found["optimum_dense_gain"].value == pytest.approx(0)
    assert found["optimum_motifs"].value == 1


def test_motifs_are_parts_of_those_before() -> None:
    found = measured()
    assert found["motifs"]["s = 0.1"] == Measurement.exact(1, 8)
    assert found["asymmetric"]["s = 0.1"] == Measurement.exact(0.5, 6)
    assert found["inhibited"]["s = 0.1"] == Measurement.exact(0.5, 6)
    assert found["asymmetric"]["s = 1"] == Measurement(0.0, -np.inf, np.inf, 0)


def test_another_set_of_features_is_misplaced() -> None:
    found = measured(computed=((True, False, True), (True, False, False)))
    assert found["dense_misplaced"].value == 2
    assert found["sparse_computed"]["s = 0.1"].value == 0.5


def test_an_optimum_without_inhibition_has_no_motif() -> None:
    found = measured(V=np.abs(MOTIF_V), small=(0.9, 1.0))
    assert found["optimum_motifs"].value == 0
    assert found["optimum_dense_gain"].value == pytest.approx(0.1)
    assert found["optimum_gain"].value == pytest.approx(0)


def test_balanced_neurons_compute_the_same() -> None:
    W, V = np.array([[2.0, 0.5], [0, 0], [3, 0]]), np.array([[0.5, 0, 0.1], [2, 0, 0]])
    into, out = absolute_value._balanced(W, V)
    x = np.array([0.3, -0.2])
    assert out.T @ np.maximum(into @ x, 0) == pytest.approx(V @ np.maximum(W @ x, 0))
    assert np.linalg.norm(into, axis=1) == pytest.approx(np.linalg.norm(out, axis=1))
