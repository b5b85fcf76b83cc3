"""Measures of Roe's replication on models that differ: which of them speaks, and what is averaged.

The answers are worked out by hand; each case tells a measure from a neighbor of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr

from superposition.validation.phases import phase_names
from superposition.validation.readings import FIRST_ONLY, NOT_ONE
from superposition.validation.reproduction.columns import describe_columns
from superposition.validation.reproduction.experiment import Run
from superposition.validation.reproduction.experiments import replication_curve
from superposition.validation.reproduction.measurement import Measurement
from superposition.validation.reproduction.registry import find_experiment

PLANE = ("density", "importance")


def measure(name: str, data: xr.Dataset) -> dict[str, Any]:
    return dict(find_experiment(name).measure(data))


def test_the_median_is_none_of_the_mean() -> None:
    assert Measurement.median([0.0, 0.0, 9.0]).value == 0.0
    assert Measurement.mean([0.0, 0.0, 9.0]).value == 3.0


def models(*columns: Any, loss: Any) -> xr.Dataset:
    """Return one model a replica, under both masks; `loss` is (mask, replica)."""
    W = np.stack([np.array(each, dtype=float).T for each in columns])
    W = np.broadcast_to(W, (2, 1, *W.shape))
    dims = ("mask", "model", "replica")
    trained = xr.Dataset(
        {"W": ((*dims, "hidden", "feature"), W), "b": ((*dims, "feature"), 0 * W[..., 0, :])},
        coords={"mask": ["example", "batch"], "model": ["ReLU"]},
    )
    data = describe_columns(trained).assign(
        trained_loss=(dims, np.asarray(loss)[:, None]), top_loss=("model", [1.0]),
        best_W=trained.W.isel(replica=0),
    )  # fmt: skip
    return data.assign_coords(trained.coords)


def test_the_model_of_least_loss_speaks_for_its_mask() -> None:
    """The pair is best where masks are of examples, the other where they are of batches."""
    apart, pair = ((1, 0), (0, 1), (0, 0), (0, 0)), ((1, 0), (0, 1), (0, -1), (0, 0))
    found = measure("roe-5", models(apart, pair, loss=[[0.9, 0.5], [0.9, np.nan]]))
    assert found["represented"]["ReLU, mask by example"].value == 3
    assert found["represented"]["ReLU, mask by batch"].value == 2
    assert found["misplaced"]["ReLU, mask by example"].value == 1
    assert found["gain"]["ReLU, mask by batch"].value == pytest.approx(0.1)
    assert found["mask_ratio"]["ReLU"].value == pytest.approx(1.0)  # of the one pair that is left


def test_interference_is_between_directions_as_in_equation_1() -> None:
    """Columns of length 1.4 at a cosine of 0.45: 0.2 by equation (1), 0.4 with one length in it."""
    cosine = 0.45
    first, second = (1.4, 0.0), (1.4 * cosine, 1.4 * np.sqrt(1 - cosine**2))
    found = measure("roe-6", models((first, second), loss=[[0.5], [0.5]]))
    assert found["superposed"]["ReLU, mask by batch"].value == 0
    assert found["orthogonal"]["ReLU, mask by batch"].value == 2


def test_the_ratio_of_masks_is_a_median_over_replicas_that_start_alike() -> None:
    apart = ((1, 0), (0, 1))
    found = measure("roe-5", models(apart, apart, apart, loss=[[1, 2, 4], [1, 4, 40]]))
    assert found["mask_ratio"]["ReLU"].value == 2  # of 1, 2 and 10; mean 4.33, of medians 2


def test_of_five_features_the_best_model_is_counted() -> None:
    density = [1.0, 0.2, 0.1]
    long = np.arange(5) < np.array([1, 2])[:, None]
    W = np.stack([long, 0 * long], axis=1).astype(float)
    data = xr.Dataset(
        {
            "W": (
                ("mask", "density", "replica", "hidden", "feature"),
                np.broadcast_to(W, (2, 3, *W.shape)),
            ),
            "optimum_W": (("density", "hidden", "feature"), np.broadcast_to(W[1], (3, 2, 5))),
            "trained_loss": (
                ("mask", "density", "replica"),
                [[[0.2, 0.1]] * 3, [[0.1, np.nan]] * 3],
            ),
        },
        coords={"mask": ["example", "batch"], "density": density},
    )
    found = measure("roe-2", data)
    by_best = [found["off_by_best"][f"s = 1, mask by {mask}"].value for mask in data.mask.values]
    assert by_best == [0, 1]
    assert found["share_of_models"]["s = 1, mask by batch"].value == 0.5
    assert [each.value for each in found["off_by_optimum"].values()] == [0, 2, 3]


def test_falls_are_of_the_mean_loss_and_not_means_of_falls() -> None:
    """Two models: 4 falls to 3 and 1 stays: 1 of 5 in all, but 1/8 on average."""
    dims = ("data", "density", "relative_importance")
    losses = {"half": [4.0, 1.0], "final": [3.0, 1.0], "descended": [2, 0.75], "optimum": [1, 0.5]}
    data = xr.Dataset({name: (dims, [[each]]) for name, each in losses.items()})
    found = measure("roe-11", data.assign_coords(data=["text"]))
    assert found["late_fall"]["text"].value == pytest.approx(1 / 5)
    assert found["share_of_local_minima"]["text"].value == pytest.approx(1 / 2)
    assert found["excess"]["text"].value == pytest.approx(5 / 3)


def test_a_search_that_misses_does_not_raise_the_optimum(monkeypatch: Any) -> None:
    """Training found something; the least loss is no higher than what descends from it."""
    settings = replication_curve._Settings(1, 1, 1, 2, ",steps=4,batch_size=4")
    monkeypatch.setattr(
        replication_curve, "_least", lambda *_: np.full((1, 1), np.inf), raising=True
    )
    found = replication_curve._curves(settings, Run(seed=0), "text")
    assert float(found.optimum.item()) == float(found.descended.item())
    assert float(found.descended.item()) <= float(found.final.item())


def test_pictures_are_held_against_the_optimum_of_their_own_data() -> None:
    """Independent features: 'first only' everywhere; on together: 'not one', in both maps."""
    codes = np.stack([np.full((2, 3), code, dtype=np.int8) for code in (FIRST_ONLY, NOT_ONE)])
    maps = {name: (("data", *PLANE), codes.copy()) for name in ("theory", "optimum", "picture")}
    data = xr.Dataset(
        {
            **maps,
            "phases": (("data", *PLANE), codes[::-1].copy()),
            "opposed": (("data", *PLANE), np.ones((2, 2, 3), dtype=np.int8)),
        },
        coords={"density": [0.1, 1.0], "importance": [0.2, 0.5, 6.0], "data": ["described", "code"]},
        attrs={"replicas": 10},
    )  # fmt: skip
    found = measure("roe-12", data)
    assert {each.value for each in found["picture_agrees_with_optimum"].values()} == {1.0}
    # The theory is that of independent features, whatever the models were trained on.
    assert found["disagreement_due_to_thresholds"]["code"].value == 1.0


def test_the_median_network_is_what_replicas_are_held_against() -> None:
    """Three networks with 1, 1 and 3 long columns, one feature by the test over replicas."""
    where = ("density", "replica", "feature")
    norm = np.where(np.arange(3) < np.array([1, 1, 3])[:, None], 0.6, 0.4)[None]
    data = xr.Dataset(
        {
            "norm": (where, norm), "adjusted_p": (where, np.where(norm > 0.5, 0.04, 0.06)),
            "dimensionality": (where, np.where(norm > 0.5, 0.26, 0.24)),
            "superiority": (("density", "feature"), [[0.9, 0.9, 0.4]]),
            "superiority_p": (("density", "feature"), [[0.04, 0.06, 0.01]]),
        },
        coords={"density": [0.1]},
    )  # fmt: skip
    found = measure("feature-definition", data)
    assert found["superiority_agrees"].value == 1
    assert found["test_agrees"]["s = 0.1"].value == found["dimension_agrees"]["s = 0.1"].value == 1


def test_the_excess_of_the_theory_is_the_greatest_and_relative_to_the_optimum() -> None:
    known = phase_names(2, 1)
    flags = {"flag_meanings": " ".join(name.replace(" ", "_") for name in known)}
    codes = np.zeros((1, 3), dtype=np.int8)
    data = xr.Dataset(
        {
            **dict.fromkeys(
                ("theory_phase", "optimum_phase", "best_trained_phase"), (PLANE, codes, flags)
            ),
            "theory_loss": (PLANE, [[1.0, 1.0, 3.0]]),
            "optimum_loss": (PLANE, [[1.0, 0.8, 2.0]]),
        },
        attrs={"replicas": 10},
    )
    assert measure("phase-2-1", data)["largest_excess_of_theory"].value == pytest.approx(0.5)
