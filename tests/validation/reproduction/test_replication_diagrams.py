"""Measures of Roe's diagrams, on maps made by hand whose shares are known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from superposition.validation.readings import FIRST_ONLY, LAST_ONLY, NOT_ONE
from superposition.validation.reproduction.experiment import Run
from superposition.validation.reproduction.measurement import Measured, Measurement
from superposition.validation.reproduction.registry import find_experiment

DENSITY = np.array([0.1, 0.2, 0.5, 0.8, 1.0])
IMPORTANCE = np.array([0.1, 0.3, 1.0, 3.0, 5.0, 9.0])
PLANE = ("density", "importance")


def ideal() -> xr.Dataset:
    """Maps as the text of the replication has them, twice; the picture is the optimum."""
    s, r = np.meshgrid(DENSITY, IMPORTANCE, indexing="ij")
    picture = np.where((s >= 0.5) & (r < 1), FIRST_ONLY, NOT_ONE)
    picture = np.where((s >= 0.5) & (r > 1), LAST_ONLY, picture).astype(np.int8)
    maps = dict.fromkeys(("theory", "optimum", "picture", "phases"), picture)
    maps["opposed"] = (picture == NOT_ONE).astype(np.int8)
    return xr.Dataset(
        {name: (("data", *PLANE), np.stack([each, each])) for name, each in maps.items()},
        coords={"density": DENSITY, "importance": IMPORTANCE, "data": ["described", "code"]},
        attrs={"replicas": 10},
    )


def under(found: Measured, where: str) -> Measurement:
    assert not isinstance(found, Measurement)
    return found[where]


def value(found: Measured, where: str) -> float:
    return under(found, where).value


def measured(data: xr.Dataset, name: str = "roe-12") -> dict[str, Measured]:
    return dict(find_experiment(name).measure(data))


def test_ideal_maps_give_whole_shares() -> None:
    found = measured(ideal())
    for quantity in (
        "first_only_where_expected", "last_only_where_expected", "not_one_where_expected",
        "opposed_in_white", "picture_agrees_with_optimum",
    ):  # fmt: skip
        assert value(found[quantity], "described") == value(found[quantity], "code") == 1.0
    assert value(found["disagreement_due_to_thresholds"], "code") == 0.0


@pytest.mark.parametrize(
    ("quantity", "place", "code", "points"),
    [
        ("first_only_where_expected", (3, 0), NOT_ONE, 4),
        ("last_only_where_expected", (4, 5), FIRST_ONLY, 4),
        ("not_one_where_expected", (0, 2), LAST_ONLY, 6),
        ("picture_agrees_with_optimum", (2, 2), FIRST_ONLY, 30),
    ],
)
def test_one_wrong_point_of_the_code_costs_its_share_there_only(
    quantity: str, place: tuple[int, int], code: int, points: int
) -> None:
    data = ideal()
    data["picture"][(1, *place)] = code
    found = measured(data)
    assert value(found[quantity], "code") == pytest.approx(1 - 1 / points)
    assert value(found[quantity], "described") == 1.0


def test_white_points_with_equal_signs_are_no_superposition() -> None:
    data = ideal()
    white = int((data.picture.sel(data="code") == NOT_ONE).sum())
    data["opposed"][(1, 0, 0)] = 0
    assert value(measured(data)["opposed_in_white"], "code") == pytest.approx(1 - 1 / white)


def test_what_another_reading_removes_of_a_disagreement() -> None:
    data = ideal()
    data["picture"][:, 3, 0] = data["picture"][:, 3, 1] = NOT_ONE
    assert value(measured(data)["disagreement_due_to_thresholds"], "described") == 1.0
    data["phases"][:, 3, 0] = NOT_ONE
    assert value(measured(data)["disagreement_due_to_thresholds"], "described") == 0.5


def test_nothing_is_removed_where_nothing_disagrees() -> None:
    data = ideal()
    data["phases"][:, 3, 0] = NOT_ONE
    found = measured(data)["disagreement_due_to_thresholds"]
    assert under(found, "code") == Measurement.exact(0.0, 10)


def test_the_interval_of_what_is_removed_is_that_of_points_drawn_anew() -> None:
    """Oracle: of 15 in 30 wrong points a reading mends 12; their share is nearly binomial."""
    data = ideal()
    data["theory"] = data.picture.copy()
    right, order = data["theory"].values, np.arange(30).reshape(5, 6)
    other = np.where(right == NOT_ONE, FIRST_ONLY, NOT_ONE)
    for name, wrong in (("picture", 15), ("phases", 3)):
        data[name].values = np.where(order < wrong, other, right)
    found = under(measured(data)["disagreement_due_to_thresholds"], "described")
    assert found.value == pytest.approx(0.8)
    assert found.high - found.low == pytest.approx(3.92 * np.sqrt(0.8 * 0.2 / 15), rel=0.2)


def test_linear_models_are_not_judged_at_equal_importances() -> None:
    """Five of six importances count: at r = 1 every direction is as good."""
    data = ideal()
    found = measured(data, "roe-13")
    assert value(found["not_one_trained"], "described") == pytest.approx(2 / 5)
    assert value(found["one_feature_optimum"], "described") == pytest.approx(3 / 5)
    data["picture"][:, :, 2] = FIRST_ONLY
    assert measured(data, "roe-13")["not_one_trained"] == found["not_one_trained"]


def test_printed_equations_with_swapped_labels_are_found_out() -> None:
    """By hand at s = r = 1/2: (2) gives twice, (3) half the loss of the weights that they name."""
    data = find_experiment("roe-10")
    done = data.compute(data.tiny, Run())
    assert done.relative_error.values == pytest.approx([1.0, 0.5, 0.0])


def test_wide_starts_that_are_stuck_less_give_a_negative_difference() -> None:
    stuck = np.zeros((2, 2, 3, 4), dtype=np.int8)
    stuck[1, 0] = 1
    data = xr.Dataset(
        {"stuck": (("start", *PLANE, "replica"), stuck)}, coords={"start": ["wide", "unit"]}
    )
    found = measured(data, "roe-starts")["more_stuck_than_unit_starts"]
    assert isinstance(found, Measurement)
    assert (found.value, found.seeds) == (-0.5, 4)
