"""Sweeps over more axes. Oracle: every diagram in them, computed by itself."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

sys.path.insert(0, str(Path(__file__).parent))

from imitated_sweeps import SHORT

from superposition.validation import (
    SweepConfiguration,
    agreement,
    load_dataset,
    phase_diagram,
    phase_names,
    phases_of,
    plot_phase_diagram,
    select_diagram,
    sweep,
)
from superposition.validation.sweeps.chunks import ChunkGrid

SHORTER = replace(SHORT, name="shorter", steps=30)
GRID: dict[str, Any] = {
    "density": [0.1, 0.9], "importance": [0.5, 1.0, 2.0], "replicas": 2, "starts": 8,
}  # fmt: skip


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    return sweep(
        [(3, 2), (2, 1)], **GRID, protocol=[SHORT, SHORTER], penalty=[0.0, 1.0], seed=[0, 5],
        out=tmp_path_factory.mktemp("swept"),
    )  # fmt: skip


def test_dimensions_are_what_was_given_as_sequences(swept: xr.Dataset) -> None:
    assert swept["stuck"].dims == (
        "size", "protocol", "penalty", "seed", "density", "importance", "replica",
    )  # fmt: skip
    assert swept["protocol"].values.tolist() == ["short", "shorter"]
    assert swept["size"].values.tolist() == ["3 in 2", "2 in 1"]
    assert swept["n_hidden"].sel(size="2 in 1") == 1
    one = sweep((2, 1), **GRID, protocol=SHORT, seed=[7])
    assert one["stuck"].dims == ("seed", "density", "importance", "replica")


@pytest.mark.parametrize("size", [(2, 1), (3, 2)])
@pytest.mark.parametrize(("protocol", "penalty", "seed"), [(SHORT, 0.0, 5), (SHORTER, 1.0, 0)])
def test_every_diagram_is_the_one_that_is_computed_alone(
    swept: xr.Dataset, size: tuple[int, int], protocol: Any, penalty: float, seed: int
) -> None:
    taken = select_diagram(swept, size=size, protocol=protocol.name, penalty=penalty, seed=seed)
    alone = phase_diagram(*size, **GRID, protocol=protocol, penalty=penalty, seed=seed)
    xr.testing.assert_identical(taken, alone)
    assert phases_of(taken) == phase_names(*size)


def test_what_a_size_does_not_have_is_missing(swept: xr.Dataset) -> None:
    small = swept.sel(size="2 in 1")
    assert small["optimum_W"].isel(feature=2).isnull().all()
    assert small["trained_W"].isel(hidden=1).isnull().all()
    assert small["candidate_loss"].sel(candidate="superpose last two").isnull().all()
    assert small["candidate_loss"].sel(candidate="superpose both").notnull().all()


def test_diagram_of_a_sweep_is_read_like_any_other(swept: xr.Dataset) -> None:
    with pytest.raises(ValueError, match="choose one with select_diagram"):
        plot_phase_diagram(swept)
    taken = select_diagram(swept, size="2 in 1", protocol="short", penalty=0, seed=0)
    assert float(agreement(taken).agreement.sel(pair="theory-optimum")) > 0.5
    assert plot_phase_diagram(taken).axes


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({}, r"each dimension of the sweep \(size, protocol, penalty, seed\), got nothing"),
        ({"size": (2, 1), "protocol": "short", "penalty": 0}, "got size, protocol, penalty"),
        (
            {"size": (4, 1), "protocol": "short", "penalty": 0, "seed": 0},
            "no size '4 in 1'; it has '3 in 2', '2 in 1'",
        ),
        (
            {"size": (2, 1), "protocol": "short", "penalty": 3, "seed": 0},
            r"no penalty 3; it has 0\.0",
        ),
    ],
)
def test_choices_that_the_sweep_does_not_have(
    swept: xr.Dataset, chosen: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        select_diagram(swept, **chosen)


def test_single_diagram_has_nothing_to_choose() -> None:
    with pytest.raises(ValueError, match="it has none"):
        select_diagram(phase_diagram(**GRID, protocol=SHORT), seed=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": []}, "seed must be one value or a sequence of values, got none"),
        ({"penalty": [0.0, 0.0]}, r"values along penalty must differ, got 0\.0, 0\.0"),
        ({"protocol": [SHORT, replace(SHORT, steps=9)]}, "values along protocol must differ"),
        ({"protocol": ["annealed", "nonesuch"]}, "nonesuch"),
        ({"penalty": [0.0, -1.0]}, "penalty must be finite and at least 0"),
        ({"sizes": (2, 1, 1)}, "sizes must be a pair"),
        ({"sizes": [(2, 1), (2, 2)]}, "n_hidden"),
        ({"seed": [0, -1]}, "seed must be"),
    ],
)
def test_invalid_axes(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sweep(**(GRID | {"protocol": SHORT} | change))


def configuration(**changes: Any) -> SweepConfiguration:
    arguments: dict[str, Any] = GRID | {
        "sizes": (2, 1), "protocol": SHORT, "penalty": [0.0, 1.0], "seed": 0,
        "activation": "relu", "features": None,
    }  # fmt: skip
    return SweepConfiguration.validated(**(arguments | changes))


def test_configurations_differ_in_what_differs() -> None:
    assert configuration().differences(configuration().to_json()) == ()
    stored = configuration().to_json()
    assert configuration(penalty=[0.0, 2.0]).differences(stored) == ("penalty",)
    assert configuration(penalty=0.0).differences(stored) == ("penalty", "dimensions")
    assert configuration(sizes=[(2, 1), (3, 2)]).differences(stored) == (
        "dimensions", "n_features", "n_hidden",
    )  # fmt: skip
    assert json.loads(configuration().to_json())["dimensions"] == ["penalty"]


@pytest.mark.parametrize("points", [None, 1, 2, 3, 4, 5, 6, 7, 100])
def test_chunks_tile_the_grid(points: int | None) -> None:
    """Oracle: counting."""
    of = configuration(density=np.linspace(0.1, 1, 7))
    grid = ChunkGrid.of(of, points)
    times = np.zeros(of.shape, dtype=int)
    for place in grid:
        times[grid.region(place)] += 1
        assert grid.points(place) == times[grid.region(place)].size
        assert points is None or grid.points(place) <= points
    assert (times == 1).all()
    assert len(list(grid)) == len(grid)


def test_chunks_hold_about_as_many_models_as_pay_and_fit() -> None:
    wide = configuration(density=[0.5], importance=np.linspace(0.1, 9, 10**5), replicas=10)
    assert ChunkGrid.of(wide).chunk == (1, 1, 409)
    many = configuration(sizes=(40, 20), starts=10**5, activation="linear")
    assert ChunkGrid.of(many).chunk == (1, 1, 1)


def test_finished_sweep_is_loaded_as_it_was_returned(tmp_path: Path) -> None:
    returned = sweep(**GRID, protocol=[SHORT], out=tmp_path)
    xr.testing.assert_identical(load_dataset(tmp_path), returned)
