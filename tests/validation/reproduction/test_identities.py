"""Identities: oracles are numbers put into the formulas, and formulas that are damaged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
import xarray as xr

from superposition.features import Independent
from superposition.numerics import population_loss
from superposition.theory import OPTIMAL, s
from superposition.validation.reproduction.experiments import identities
from superposition.validation.reproduction.registry import find_experiment


def test_feature_benefit_and_interference_against_loops() -> None:
    rng = np.random.default_rng(0)
    W, importance = rng.integers(-3, 4, (2, 3)), [1, 2, 5]
    expected: Any = 0
    for i in range(3):
        expected += importance[i] * (1 - W[:, i] @ W[:, i]) ** 2
        for j in range(3):
            expected += importance[j] * (W[:, j] @ W[:, i]) ** 2 if i != j else 0
    found = identities._benefit_and_interference(sympy.Matrix(W.tolist()), importance)
    assert found == expected


def test_a_wrong_factor_is_an_unequal_loss() -> None:
    assert identities._unequal_linear_terms(OPTIMAL, Independent(), s / 3 - s**2 / 4) == 0
    assert identities._unequal_linear_terms(OPTIMAL, Independent(), s / 3) > 0


@pytest.mark.parametrize("density", [1.0, 0.2])
def test_the_parts_add_up_to_the_exact_loss(density: float) -> None:
    """Whatever W and b are; the loss is found by moments of outputs, without the decomposition."""
    rng = np.random.default_rng(1)
    W, b, importance = rng.normal(size=(2, 4)), rng.normal(size=4), np.array([1.0, 0.5, 0.7, 0.1])
    models = xr.Dataset(
        {
            "W": (("density", "hidden", "feature"), W[None]),
            "b": (("density", "feature"), b[None]),
            "importance": ("feature", importance),
        },
        coords={"density": [density]},
    )
    parts = identities._parts(models)
    model: dict[str, Any] = {
        "density": density, "importance": importance, "activation": "linear",
    }  # fmt: skip
    for bias, offset in ((b, parts.offset), (np.zeros(4), parts.offset_without_bias)):
        total = float((parts.benefit + parts.interference + offset).item())
        assert total == pytest.approx(float(population_loss(W, bias, **model)), rel=1e-10)


def test_the_remainder_is_what_neither_part_explains() -> None:
    one = xr.DataArray([[1.0, 1.0]], dims=("density", "replica"), coords={"density": [0.5]})
    data = xr.Dataset({"benefit": 0.7 * one, "interference": 0.2 * one, "trained_loss": one})
    data["unequal_terms"] = ("case", [0])
    found = find_experiment("linear-loss").measure(data.assign_coords(case=["x"]))
    assert found["trained_remainder"]["s = 0.5"].value == pytest.approx(0.1)  # type: ignore[index]


def expansion(contribution: list[list[float]], exact: list[float]) -> Any:
    data = xr.Dataset(
        {
            "contribution": (("case", "count", "density"), [contribution]),
            "exact_loss": (("case", "density"), [exact]),
            "unequal_terms": ("case", [0]),
            "unequal_first": ("case", [0.0]),
        },
        coords={"case": ["x"], "count": range(len(contribution)), "density": [0.001, 1.0]},
    )
    return find_experiment("sparsity-expansion").measure(data)


def test_share_of_one_feature_and_difference_of_the_loss() -> None:
    found = expansion([[0.1, 0.0], [0.5, 0.0], [0.4, 2.0]], [1.0, 2.5])
    assert found["share_of_one"]["x"].value == pytest.approx(0.6)
    assert found["numerical_difference"]["x"].value == pytest.approx(0.2)


def test_first_term_of_the_source_and_a_damaged_one() -> None:
    W = [[1, sympy.Rational(-1, 2), sympy.Rational(1, 3)]]
    # g = 1, -1/2, 1/3; 1/4, -1/6; 1/9: positive overlaps of the pair (1, 3) alone.
    stated = (sympy.Rational(9, 16) + sympy.Rational(64, 81) + 2 * sympy.Rational(1, 9)) / 3
    assert identities._unequal_first(W, stated) == 0
    assert identities._unequal_first(W, stated + sympy.Rational(1, 100)) == 1


def test_rotations_by_pythagorean_triples_and_a_map_that_is_none() -> None:
    assert identities._unequal_rotated(3, 4, 5) == 0
    assert identities._unequal_rotated(3, 4, 6) == 1


def test_paths_are_flat_for_orthogonal_maps_only() -> None:
    angle, losses = identities._paths(9)
    assert angle[-1] == pytest.approx(2 * np.pi)
    spread = np.ptp(losses, axis=1) / losses[:, 0]
    assert (spread[:2] < 1e-12).all()
    assert (spread[2:] > 0.1).all()


def test_outputs_go_through_the_hidden_layer() -> None:
    W, b, x = np.array([[1.0, -0.5]]), np.array([0.1, 0.0]), np.array([[1.0, 0.0], [0.0, 1.0]])
    assert identities._outputs(W, b, x, "linear") == pytest.approx(
        np.array([[1.1, -0.5], [-0.4, 0.25]])
    )
    assert identities._outputs(W, b, x, "relu") == pytest.approx(
        np.array([[1.1, 0.0], [0.0, 0.25]])
    )
