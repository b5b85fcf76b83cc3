"""Demonstrating superposition: oracles are models made by hand, whose answers are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import xarray as xr

from superposition.validation.reproduction.columns import constant_loss, describe_columns
from superposition.validation.reproduction.measurement import Measurement
from superposition.validation.reproduction.registry import find_experiment

N, M, REPLICAS = 6, 2, 6
DENSITY = (1.0, 0.3, 0.03, 0.01)
IMPORTANCE = 0.7 ** np.arange(N)

ONLY_FIRST = ((1, 0), (0, 1), (0, 0), (0, 0), (0, 0), (0, 0))
PAIR_LAST = ((1, 0), (0, 1), (0, -1), (0, 0), (0, 0), (0, 0))
PAIR_FIRST = ((1, 0), (-1, 0), (0, 1), (0, 0), (0, 0), (0, 0))
HEXAGON = tuple((np.cos(k * np.pi / 3), np.sin(k * np.pi / 3)) for k in range(N))
PENTAGON = (*((np.cos(k * np.pi / 2.5), np.sin(k * np.pi / 2.5)) for k in range(5)), (0, 0))

Columns = Sequence[tuple[float, float]]


def described(linear: Columns, relu: Sequence[Columns], bias: float, loss: float) -> xr.Dataset:
    """Return a dataset in which all replicas are alike; `relu` is by density."""
    W = np.empty((2, len(DENSITY), REPLICAS, M, N))
    W[0] = np.array(linear).T
    for k, columns in enumerate(relu):
        W[1, k] = np.array(columns).T
    dims = ("activation", "density", "replica", "hidden", "feature")
    models = xr.Dataset(
        {"W": (dims, W), "b": ((*dims[:3], "feature"), np.full((*W.shape[:3], N), bias))},
        coords={"activation": ["linear", "relu"], "density": list(DENSITY)},
    )
    top = xr.DataArray(constant_loss(DENSITY, IMPORTANCE[M:]), dims="density")
    data = describe_columns(models).assign(
        trained_loss=(dims[:3], np.broadcast_to(loss * top.values[:, None], W.shape[:3])),
        top_loss=top,
        bound_gap=("density", np.zeros(len(DENSITY))),
        importance=("feature", IMPORTANCE),
        best_W=models.W.isel(replica=0),
    )
    return data.assign_coords(models.coords)


def measured(
    relu: Sequence[Columns], bias: float = 0.0, loss: float = 1.0, linear: Columns = ONLY_FIRST
) -> Mapping[str, Any]:
    return find_experiment("demonstrating-20").measure(described(linear, relu, bias, loss))


def values(found: Mapping[str, Any], quantity: str) -> dict[str, float]:
    return {name: value.value for name, value in found[quantity].items()}


def test_superposition_as_the_source_has_it() -> None:
    found = measured([ONLY_FIRST, PAIR_LAST, PENTAGON, PENTAGON], bias=-0.1, loss=0.5)
    assert set(values(found, "linear_misplaced").values()) == {0.0}
    assert values(found, "relu_dense_misplaced") == {"s = 1": 0.0}
    assert values(found, "least_important_first") == {"s = 0.3": 1.0}
    assert values(found, "antipodal_at_first") == {"s = 0.3": 1.0}
    assert values(found, "antipodal_at_last") == {"s = 0.01": 0.0}
    assert values(found, "positive_with_negative_bias") == {"s = 0.03": 1.0, "s = 0.01": 1.0}
    assert values(found, "relu_gain") == pytest.approx(
        {"s = 0.3": 0.5, "s = 0.03": 0.5, "s = 0.01": 0.5}
    )


def test_superposition_that_begins_with_the_most_important() -> None:
    found = measured([ONLY_FIRST, PAIR_FIRST, PAIR_FIRST, HEXAGON])
    assert values(found, "least_important_first") == {"s = 0.3": 0.0}
    assert values(found, "antipodal_at_last") == {"s = 0.01": 1.0}  # a hexagon has three pairs


def test_a_pentagon_from_the_start_is_not_antipodal() -> None:
    found = measured([PENTAGON, PENTAGON, PENTAGON, PENTAGON])
    assert values(found, "antipodal_at_first") == {"s = 1": 0.0}
    assert values(found, "relu_dense_misplaced") == {"s = 1": 3.0}


def test_without_superposition_nothing_is_known_of_its_beginning() -> None:
    found = measured([ONLY_FIRST] * 4)
    for quantity in ("least_important_first", "antipodal_at_first"):
        assert found[quantity] == Measurement(0.0, -np.inf, np.inf, 0)


@pytest.mark.parametrize(("bias", "columns"), [(0.1, PENTAGON), (-0.1, PAIR_LAST)])
def test_positive_interference_needs_both_signs(bias: float, columns: Columns) -> None:
    found = measured([ONLY_FIRST, PAIR_LAST, columns, columns], bias=bias)
    assert values(found, "positive_with_negative_bias") == {"s = 0.03": 0.0, "s = 0.01": 0.0}


def test_linear_models_that_keep_another_set_are_found() -> None:
    found = measured([ONLY_FIRST] * 4, linear=((1, 0), (0, 0), (0, 1), (0, 0), (0, 0), (0, 0)))
    assert set(values(found, "linear_misplaced").values()) == {2.0}
    assert set(values(found, "linear_share").values()) == {0.0}


def test_a_loss_above_the_optimum_is_an_excess_and_no_gain() -> None:
    found = measured([ONLY_FIRST] * 4, loss=1.25)
    assert values(found, "linear_excess")["s = 0.3"] == pytest.approx(0.25)
    assert values(found, "relu_dense_gain") == pytest.approx({"s = 1": -0.25})
