"""Features that are alike: measures on curves and samples made by hand, null cases among them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

from superposition.validation.geometry.identify import identify_geometry
from superposition.validation.reproduction.experiments.uniform_geometry import (
    CORNERS,
    cluster_counts,
    features_by_shape,
    plateau_ratio,
)
from superposition.validation.reproduction.measurement import Measurement
from superposition.validation.reproduction.registry import find_experiment

Floats = NDArray[np.float64]
DENSITY = 1 / np.geomspace(1, 100, 41)


def test_an_even_slope_has_no_plateau_anywhere() -> None:
    line = np.linspace(1.0, 0.25, len(DENSITY))
    for level in (1.0, 0.9, 0.5, 0.3):
        assert plateau_ratio(DENSITY, line, level) == pytest.approx(1, abs=0.02)


def test_a_plateau_counts_by_its_length_and_not_by_the_order_of_points() -> None:
    # a quarter of the range at 1/2; the rest falls evenly from 1 to 0.25
    curve = np.interp(np.linspace(0, 1, len(DENSITY)), [0, 0.5, 0.75, 1], [1, 0.5, 0.5, 0.25])
    # 0.03 of 0.75 are in the band; the slopes of 1 spend 0.015 on either side of the plateau
    expected = (0.25 + 0.015 + 0.015) / (0.03 / 0.75)
    assert plateau_ratio(DENSITY, curve, 0.5) == pytest.approx(expected, rel=0.01)
    order = np.random.default_rng(0).permutation(len(DENSITY))
    assert plateau_ratio(DENSITY[order], curve[order], 0.5) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("top", "longest"), [(0.9701, 0.5), (0.985, 4), (1.0, 5)])
def test_a_top_that_touches_the_band_is_no_plateau(top: float, longest: float) -> None:
    # Oracle: of top − 0.7 t² the part above 0.97 is √((top − 0.97)/0.7) of the range.
    curve = top - 0.7 * np.linspace(0, 1, 4001) ** 2
    found = plateau_ratio(np.geomspace(1, 0.01, 4001), curve, 1.0)
    share = np.sqrt((top - 0.97) / 0.7)
    assert found == pytest.approx(share / (0.03 / 0.7), rel=0.01)
    assert found < longest


def test_a_level_that_is_never_reached_has_no_plateau() -> None:
    assert plateau_ratio(DENSITY, np.linspace(0.9, 0.6, len(DENSITY)), 0.5) == 0.0


@pytest.mark.parametrize("name", CORNERS)
def test_a_smooth_spread_has_no_cluster(name: str) -> None:
    # Oracle: evenly spaced values, of which every interval holds its share.
    inside, around, ratio = cluster_counts(np.linspace(0, 1, 1_000_001), CORNERS[name])
    assert ratio * inside / around == pytest.approx(1, rel=1e-3)


def test_a_cluster_counts_at_its_own_fraction_alone() -> None:
    smooth = np.linspace(0, 1, 100_001)
    values = np.concatenate([smooth, np.full(20_000, 0.4)])
    contrast = {}
    for name, fraction in CORNERS.items():
        inside, around, ratio = cluster_counts(values, fraction)
        contrast[name] = ratio * inside / around
    assert contrast.pop("pentagon 2/5") == pytest.approx(11, rel=0.01)  # 22 000 for 2000
    assert all(value == pytest.approx(1, rel=1e-2) for value in contrast.values())


def test_features_are_counted_by_the_shape_they_are_in() -> None:
    triangle = np.stack(
        [np.cos(2 * np.pi * np.arange(3) / 3), np.sin(2 * np.pi * np.arange(3) / 3)]
    )
    W = np.zeros((8, 9))
    W[:2, :3], W[2, 3:5], W[3, 5:7], W[4, 7] = triangle, [1, -1], [1, -1], 1
    found = features_by_shape(identify_geometry(W))
    assert found.tolist() == [1, 0, 3, 4, 0, 0, 0, 0, 1]


def models(D: Floats, per_feature: Floats, m: int) -> xr.Dataset:
    where = ("density", "replica")
    return xr.Dataset(
        {
            "per_feature": (where, per_feature),
            "total": (where, np.nansum(D, axis=-1)),
            "D": ((*where, "feature"), D),
        },
        coords={"density": [1.0, 0.1, 0.01]},
        attrs={"seed": 0, "n_hidden": m},
    )


def test_digons_are_a_plateau_a_cluster_and_miss_no_dimension() -> None:
    D = np.full((3, 4, 20), 0.5)
    curve = np.repeat([[1.0], [0.5], [0.5]], 4, axis=1)
    found: dict[str, Any] = dict(find_experiment("uniform-geometry").measure(models(D, curve, 10)))
    assert found["plateau_at_half"].value == pytest.approx((0.5 + 0.015) / 0.03, rel=0.01)
    assert found["plateau_at_half"].seeds == 4
    assert found["plateau_at_one"].value == pytest.approx(0.5, rel=0.01)
    assert found["cluster"]["digon 1/2"].low > 100  # 240 at it, none around
    assert found["cluster"]["triangle 2/3"] == Measurement.unknown()
    assert [value.value for value in found["missing_dimensions"].values()] == [0, 0, 0]


def test_dimensions_that_are_missing_are_seen_where_they_are() -> None:
    D = np.full((3, 2, 20), 0.5)
    D[1] = 0.4
    found: dict[str, Any] = dict(
        find_experiment("uniform-geometry").measure(models(D, np.ones((3, 2)), 10))
    )
    missing = [value.value for value in found["missing_dimensions"].values()]
    assert missing == pytest.approx([0, 0.2, 0])
