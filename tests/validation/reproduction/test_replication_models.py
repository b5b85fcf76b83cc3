"""Roe's models: oracles are models made by hand, whose answers are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import xarray as xr

from superposition.numerics import resolve_protocol
from superposition.validation.reproduction.columns import describe_columns
from superposition.validation.reproduction.registry import find_experiment

N, M, REPLICAS = 4, 2, 6
ORTHOGONAL = ((1, 0), (0, 1), (0, 0), (0, 0))
PAIR_BESIDE_ONE = ((1, 0), (0, 1), (0, -1), (0, 0))
TWO_PAIRS = ((1, 0), (0, 1), (0, -1), (-1, 0))


def measured(columns: Any, loss: tuple[float, float] = (1.0, 1.0)) -> Mapping[str, Any]:
    """Measure equal replicas of one model; `loss` is by mask, relative to the first features."""
    W = np.broadcast_to(np.array(columns, dtype=float).T, (2, 1, REPLICAS, M, N))
    dims = ("mask", "model", "replica", "hidden", "feature")
    models = xr.Dataset(
        {"W": (dims, W), "b": ((*dims[:3], "feature"), np.zeros((2, 1, REPLICAS, N)))},
        coords={"mask": ["example", "batch"], "model": ["ReLU"]},
    )
    losses = np.broadcast_to(np.array(loss)[:, None, None], (2, 1, REPLICAS))
    data = describe_columns(models).assign(
        trained_loss=(dims[:3], losses), top_loss=("model", [1.0]), best_W=models.W.isel(replica=0)
    )
    return find_experiment("roe-5").measure(data.assign_coords(models.coords))


def value(found: Mapping[str, Any], quantity: str) -> float:
    return float(found[quantity]["ReLU, mask by batch"].value)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        (ORTHOGONAL, {"misplaced": 0, "represented": 2, "superposed": 0, "orthogonal": 2}),
        (PAIR_BESIDE_ONE, {"misplaced": 1, "represented": 3, "superposed": 2, "orthogonal": 1}),
        (TWO_PAIRS, {"misplaced": 2, "represented": 4, "superposed": 4, "orthogonal": 0}),
    ],
)
def test_counts(columns: Any, expected: dict[str, int]) -> None:
    found = measured(columns)
    assert {quantity: value(found, quantity) for quantity in expected} == expected


def test_short_columns_neither_count_nor_interfere() -> None:
    found = measured(((1, 0), (0, 1), (0.2, -0.2), (-0.1, 0)))
    assert (value(found, "represented"), value(found, "superposed")) == (2, 0)


def test_gain_and_ratio_of_the_masks() -> None:
    found = measured(TWO_PAIRS, loss=(0.2, 0.5))
    assert value(found, "gain") == pytest.approx(0.5)
    assert found["gain"]["ReLU, mask by example"].value == pytest.approx(0.8)
    assert found["mask_ratio"]["ReLU"].value == pytest.approx(2.5)
    assert found["mask_ratio"]["ReLU"].seeds == REPLICAS


def test_models_that_all_diverged_leave_the_ratio_open() -> None:
    ratio = measured(TWO_PAIRS, loss=(0.2, np.nan))["mask_ratio"]["ReLU"]
    assert (ratio.low, ratio.high, ratio.seeds) == (-np.inf, np.inf, 0)


def five(*counts: int) -> Mapping[str, Any]:
    """Measure models of five features in which so many columns are long, by density."""
    density = [1.0, 0.2, 0.1]
    long = np.arange(5) < np.array(counts)[:, None]
    W = np.stack([long, 0 * long], axis=1).astype(float)
    trained = np.broadcast_to(W[None, :, None], (2, 3, 4, 2, 5))
    data = xr.Dataset(
        {
            "W": (("mask", "density", "replica", "hidden", "feature"), trained),
            "optimum_W": (("density", "hidden", "feature"), W),
            "trained_loss": (("mask", "density", "replica"), np.ones((2, 3, 4))),
        },
        coords={"mask": ["example", "batch"], "density": density},
    )
    return find_experiment("roe-2").measure(data)


def test_the_expected_counts_of_five_features_and_others() -> None:
    right, wrong = five(2, 4, 5), five(2, 5, 3)
    for quantity in ("off_by_best", "off_by_optimum"):
        assert {each.value for each in right[quantity].values()} == {0.0}
        assert sorted({each.value for each in wrong[quantity].values()}) == [0.0, 1.0, 2.0]
    assert {each.value for each in right["share_of_models"].values()} == {1.0}
    assert {each.value for each in wrong["share_of_models"].values()} == {0.0, 1.0}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("roe-4", [("adam", 1e-3, 20_000, 256)] * 2),
        ("roe-5", [("rmsprop", 1e-2, 50_000, 256)] * 2 + [("adam", 1e-2, 100_000, 256)]),
        ("roe-6", [("adam", 1e-2, 100_000, 256)] * 3),
    ],
)
def test_recipes_are_those_of_the_text(name: str, expected: list[tuple[Any, ...]]) -> None:
    protocols = [resolve_protocol(model.protocol) for model in find_experiment(name).full.models]
    found = [(p.optimizer, p.learning_rate, p.steps, p.batch_size) for p in protocols]
    assert found == expected
