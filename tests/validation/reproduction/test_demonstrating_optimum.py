"""Superposition of optima: oracles are models made by hand, and numbers without models."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from superposition.validation.reproduction.columns import describe_columns
from superposition.validation.reproduction.measurement import Measurement
from superposition.validation.reproduction.onset import exact_value, superposition
from superposition.validation.reproduction.registry import find_experiment

FIRST_TWO = ((1, 0), (0, 1), (0, 0), (0, 0), (0, 0), (0, 0))
PAIR = ((1, 0), (0, 1), (0, -1), (0, 0), (0, 0), (0, 0))
PENTAGON = (*((np.cos(k * np.pi / 2.5), np.sin(k * np.pi / 2.5)) for k in range(5)), (0, 0))


def optima(*columns: Any, loss: float = 0.5) -> xr.Dataset:
    """Return models by density 1, 0.3, 0.01."""
    density = [1.0, 0.3, 0.01]
    W = np.array([np.array(each, dtype=float).T for each in columns])[None]
    models = xr.Dataset(
        {
            "W": (("replica", "density", "hidden", "feature"), W),
            "b": (("replica", "density", "feature"), np.full((1, 3, 6), -0.1)),
        },
        coords={"density": density},
    )
    return describe_columns(models).assign(
        W=models.W, density=density, importance=("feature", 0.7 ** np.arange(6)),
        top_loss=("density", np.ones(3)), optimum_loss=(("replica", "density"), [[1.0, loss, loss]]),
    )  # fmt: skip


def test_optima_as_the_source_has_its_models() -> None:
    found: Any = find_experiment("demonstrating-optimum").measure(optima(FIRST_TWO, PAIR, PENTAGON))
    assert found["relu_dense_misplaced"]["s = 1"] == Measurement.exact(0)
    assert found["relu_dense_gain"]["s = 1"] == Measurement.exact(0)
    assert found["relu_gain"]["s = 0.3"] == Measurement.exact(0.5)
    assert found["least_important_first"]["s = 0.3"] == Measurement.exact(1)
    assert found["antipodal_at_first"]["s = 0.3"] == Measurement.exact(1)
    assert found["antipodal_at_last"]["s = 0.01"] == Measurement.exact(0)
    assert found["positive_with_negative_bias"]["s = 0.01"] == Measurement.exact(1)


def test_optima_that_are_otherwise() -> None:
    data = optima(PENTAGON, PENTAGON, PAIR, loss=1.1)
    found: Any = find_experiment("demonstrating-optimum").measure(data)
    assert found["relu_dense_misplaced"]["s = 1"] == Measurement.exact(3)
    assert found["relu_gain"]["s = 0.3"].value == pytest.approx(-0.1)
    assert found["antipodal_at_first"]["s = 1"] == Measurement.exact(0)
    assert found["antipodal_at_last"]["s = 0.01"] == Measurement.exact(1)
    assert found["positive_with_negative_bias"]["s = 0.01"] == Measurement.exact(0)
    assert found["least_important_first"]["s = 1"].seeds == 0
    assert found["least_important_first"]["s = 1"].low == -np.inf  # none is apart


def test_the_beginning_is_where_half_of_the_models_have_superposition() -> None:
    """Two of three models at density 0.3, one of three at density 1."""
    parts = [optima(*columns) for columns in (
        (PAIR, PAIR, PAIR), (FIRST_TWO, PAIR, PAIR), (FIRST_TWO, FIRST_TWO, PAIR),
    )]  # fmt: skip
    data = xr.concat(parts, "replica", data_vars="minimal")
    found: Any = superposition(data, lambda values: Measurement.exact(float(values.mean())))
    assert list(found["antipodal_at_first"]) == ["s = 0.3"]


def test_several_models_have_no_exact_value() -> None:
    with pytest.raises(ValueError, match="squeeze"):
        exact_value(xr.DataArray([1.0, 2.0], dims="replica"))
