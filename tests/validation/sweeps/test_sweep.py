"""The phase diagram and its folder. Oracles: the closed forms, recomputation, interrupted runs."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from superposition import (
    Anticorrelated,
    CoActive,
    Correlated,
    Independent,
    OneHot,
    ValueDistribution,
)
from superposition.features import FeatureDistribution
from superposition.numerics import PROTOCOLS, global_minimum, population_loss, train
from superposition.validation import (
    OtherConfigurationError,
    PhaseDiagramConfiguration,
    agreement,
    load_dataset,
    phase_diagram,
    phase_names,
    phases_of,
    plot_phase_diagram,
    summarize,
)
from superposition.validation.sweeps.configuration import features_of

SHORT = replace(PROTOCOLS["annealed"], name="short", steps=60)
DENSITY = np.geomspace(0.05, 1, 4)
IMPORTANCE = np.geomspace(0.25, 4, 3)


def diagram(**changes: object) -> xr.Dataset:
    arguments: dict[str, object] = {
        "density": DENSITY,
        "importance": IMPORTANCE,
        "replicas": 2,
        "starts": 24,
        "protocol": SHORT,
    }
    return phase_diagram(**(arguments | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def plain() -> xr.Dataset:
    return diagram()


def test_dimensions_and_variables_of_the_interface(plain: xr.Dataset) -> None:
    assert {"density", "importance", "replica", "candidate"} <= set(plain.dims)
    expected = {
        "candidate_loss", "theory_phase", "theory_loss", "optimum_phase", "optimum_loss",
        "trained_phase", "trained_loss", "stuck_fraction", "approximation_gap", "optimization_gap",
    }  # fmt: skip
    assert expected <= set(plain.data_vars)
    assert all(plain[name].attrs["long_name"] for name in plain.data_vars)
    assert phases_of(plain) == phase_names(2, 1)
    assert plain["theory_phase"].attrs["flag_values"] == list(range(len(phase_names(2, 1))))


def test_theory_is_the_lowest_closed_form(plain: xr.Dataset) -> None:
    s, r = DENSITY[:, np.newaxis], IMPORTANCE
    dropped = s / 3 - s**2 / 4
    by_name = {
        "ignore first": dropped + 0 * r,
        "ignore last": r * dropped,
        "superpose both": (1 + r) * s**2 / 6,
    }
    for name, claimed in by_name.items():
        np.testing.assert_allclose(plain["candidate_loss"].sel(candidate=name), claimed, rtol=1e-14)
    lowest = np.minimum.reduce(list(by_name.values()))
    np.testing.assert_allclose(plain["theory_loss"], lowest, rtol=1e-14)


def test_label_and_data_belong_together(plain: xr.Dataset) -> None:
    """At high density and low relative importance the last feature is dropped, not the first."""
    names = phases_of(plain)
    corner = plain.sel(density=1.0, importance=0.25, method="nearest")
    assert names[int(corner["theory_phase"])] == "ignore last"
    assert names[int(corner["optimum_phase"])] == "ignore last"
    corner = plain.sel(density=1.0, importance=4.0, method="nearest")
    assert names[int(corner["optimum_phase"])] == "ignore first"
    corner = plain.sel(density=0.05, importance=1.0, method="nearest")
    assert names[int(corner["optimum_phase"])] == "superpose both"


def test_gaps_are_what_they_say_and_never_negative(plain: xr.Dataset) -> None:
    rounding = 1e-14
    assert (plain["approximation_gap"] >= -rounding).all()
    assert (plain["optimization_gap"] >= -rounding).all()
    assert (plain["basin_gap"] >= -rounding).all()
    assert (plain["protocol_gap"] >= -rounding).all()
    excess = plain["trained_loss"] - plain["optimum_loss"]
    xr.testing.assert_allclose(excess, plain["protocol_gap"] + plain["basin_gap"], atol=1e-14)
    best = plain["trained_loss"].min("replica") - plain["optimum_loss"]
    xr.testing.assert_allclose(best, plain["optimization_gap"], atol=1e-15)


def test_trained_loss_is_the_exact_loss_of_the_stored_weights(plain: xr.Dataset) -> None:
    at = {"density": 2, "importance": 0, "replica": 1}
    W, b = plain["trained_W"].isel(at).values, plain["trained_b"].isel(at).values
    loss = population_loss(W, b, density=DENSITY[2], importance=[1, IMPORTANCE[0]])
    assert float(plain["trained_loss"].isel(at)) == float(loss)


def test_result_depends_on_neither_chunks_nor_folder(plain: xr.Dataset, tmp_path: Path) -> None:
    for points in (1, 5):
        folder = tmp_path / str(points)
        xr.testing.assert_identical(diagram(out=folder, points_per_chunk=points), plain)
        xr.testing.assert_identical(load_dataset(folder), plain)
    xr.testing.assert_identical(diagram(points_per_chunk=1), plain)


@pytest.mark.parametrize(
    ("n_features", "n_hidden", "features", "activation"),
    [
        (3, 2, None, "relu"),
        (4, 2, Correlated([(0, 1), (2, 3)]), "relu"),
        (3, 1, Anticorrelated([(0, 1)]), "relu"),
        (4, 2, None, "linear"),
    ],
)
def test_chunks_of_other_models_do_not_matter_either(
    n_features: int, n_hidden: int, features: FeatureDistribution | None, activation: str
) -> None:
    """Other routes to the exact loss, and other lengths of the arrays that they see."""
    small: dict[str, Any] = {
        "n_features": n_features, "n_hidden": n_hidden, "features": features,
        "activation": activation, "density": [0.1, 0.3, 0.5], "importance": [0.5, 2], "starts": 4,
    }  # fmt: skip
    whole = diagram(**small)
    xr.testing.assert_identical(diagram(**small, points_per_chunk=1), whole)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"replicas": 3}, "replicas"),
        ({"density": DENSITY[:-1]}, "density"),
        ({"protocol": replace(SHORT, steps=61)}, "protocol"),
        ({"penalty": 0.1}, "penalty"),
    ],
)
def test_folder_of_another_configuration_is_refused(
    tmp_path: Path, change: dict[str, object], named: str
) -> None:
    small = {"density": DENSITY[:1], "importance": IMPORTANCE[:1], "starts": 4}
    before = diagram(out=tmp_path, **small)
    with pytest.raises(OtherConfigurationError, match=f"different: {named}") as caught:
        diagram(out=tmp_path, **(small | change))
    assert caught.value.differences == (named,)
    xr.testing.assert_identical(load_dataset(tmp_path), before)


def test_diverged_models_are_reported_and_count_as_infinitely_bad() -> None:
    wild = replace(PROTOCOLS["annealed"], optimizer="sgd", learning_rate=1e4, steps=20, name="wild")
    result = diagram(density=[0.5], importance=[1.0], protocol=wild, starts=4)
    assert result["diverged"].values.all()
    assert np.isinf(result["trained_loss"]).all()
    assert float(result["stuck_fraction"].squeeze()) == 1.0
    text = summarize(result, agreement(result))
    assert "replicas that diverged: 2" in text
    assert "nan" not in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"density": [0.5, 1.5]}, r"must lie in \[0, 1\], got 1.5"),
        ({"density": [0.5, 0.2]}, "density must increase"),
        ({"density": []}, "non-empty"),
        ({"importance": [-1.0]}, "importance must be finite and at least 0, got -1"),
        ({"importance": [0.0, 1.0]}, "must be positive"),
        ({"importance": [float("nan")]}, "importance must be finite"),
        ({"points_per_chunk": 0}, "points_per_chunk must be an integer of at least 1, got 0"),
        ({"replicas": 0}, "replicas must be an integer of at least 1"),
        ({"starts": 1.5}, "starts must be an integer"),
        ({"seed": -1}, "seed must be"),
        ({"protocol": "nonesuch"}, "nonesuch"),
        ({"activation": "gelu"}, "activation must be one of relu, linear"),
        ({"n_hidden": 2}, "n_hidden"),
    ],
)
def test_invalid_arguments(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        diagram(**change)


def test_nothing_is_ever_on() -> None:
    """At density 0 every loss is 0, and no gap is relative to anything: no warning, no nan."""
    result = diagram(density=[0.0], importance=[1.0], starts=4)
    assert float(result["optimum_loss"].squeeze()) == 0.0
    text = summarize(result, agreement(result))
    assert "nan" not in text


def test_folder_without_dataset(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no dataset in"):
        load_dataset(tmp_path)


def test_unwritable_folder_fails_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> object:
        raise AssertionError("computed although nothing can be kept")

    monkeypatch.setattr(sys.modules["superposition.validation.sweeps.run"], "compute_chunk", never)
    blocked = tmp_path / "file"
    blocked.write_text("here already")
    with pytest.raises(OSError, match="file"):
        diagram(out=blocked)
    with pytest.raises(OSError, match="below"):
        diagram(out=blocked / "below")
    assert blocked.read_text() == "here already"
    if os.geteuid() != 0:  # root may write anywhere
        locked = tmp_path / "locked"
        locked.mkdir(mode=0o500)
        with pytest.raises(PermissionError):
            diagram(out=locked)


def test_best_trained_replica_finds_the_exact_optimum() -> None:
    """Best of six by exact loss has the optimum's phase, and its loss within two percent.

    Two percent: at these densities the annealed protocol ends within about one (the largest
    protocol_gap of the main job is printed by `superposition phase-diagram`).
    """
    result = phase_diagram(
        density=[0.1, 0.3, 0.9], importance=[0.3, 1.0, 3.0], replicas=6, starts=32, seed=5
    )
    xr.testing.assert_equal(result["best_trained_phase"], result["optimum_phase"])
    assert float((result["optimization_gap"] / result["optimum_loss"]).max()) < 0.02


def test_co_active_diagram() -> None:
    """Oracles: closed forms by hand, another search, and the trainer called directly.

    With both features on, an antipodal pair loses E (x₁ − (x₁ − x₂)₊)² = 1/6 per feature, so the
    pair costs (1 + r) s/6; a dropped feature costs what it always does.
    """
    computed = diagram(features=CoActive())
    s, r = DENSITY[:, np.newaxis], IMPORTANCE
    pair = computed["candidate_loss"].sel(candidate="superpose both")
    np.testing.assert_allclose(pair, (1 + r) * s / 6, rtol=1e-14)
    np.testing.assert_allclose(
        computed["candidate_loss"].sel(candidate="ignore last"), r * (s / 3 - s**2 / 4), rtol=1e-14
    )
    assert "superpose both" not in {
        phases_of(computed)[k] for k in np.unique(computed.theory_phase)
    }
    assert (computed["approximation_gap"] > -1e-15).all()
    at: dict[str, Any] = {"density": float(DENSITY[1]), "importance": [1, float(IMPORTANCE[0])]}
    searched = global_minimum(2, 1, **at, features=CoActive(), starts=64, seed=9)
    assert computed["optimum_loss"][1, 0] == pytest.approx(searched.loss, rel=1e-9)
    trained = train(
        2, 1, **at, features=CoActive(), protocol=SHORT, replicas=2, model_index=len(IMPORTANCE)
    )
    np.testing.assert_array_equal(computed["trained_W"][1, 0], trained.W)
    judged = population_loss(trained.W, trained.b, **at, features=CoActive())
    np.testing.assert_allclose(computed["trained_loss"][1, 0], judged, rtol=1e-12)
    title = plot_phase_diagram(computed).get_suptitle()
    assert "CoActive" in title


@pytest.mark.parametrize(
    "features",
    [
        Independent(),
        Correlated([(0, 1)], ValueDistribution([0, 2], symmetric=True)),
        Anticorrelated([(1, 0)]),
        CoActive(),
        OneHot(),
    ],
)
def test_stored_distribution_is_the_one_that_was_given(features: FeatureDistribution) -> None:
    configuration = PhaseDiagramConfiguration.validated(
        2, 1, density=[0.5], importance=[1], replicas=1, starts=1, seed=0,
        protocol=SHORT, penalty=0, activation="relu", features=features,
    )  # fmt: skip
    stored = json.loads(configuration.to_json())
    assert features_of(stored) == features
    other = replace(configuration, features=Independent(ValueDistribution([Fraction(1, 2), 1])))
    assert other.differences(configuration.to_json()) == ("features",)


def test_stuck_has_a_meaning_where_the_optimum_is_zero() -> None:
    """Oracle: the losses, which fall into two heaps many orders of magnitude apart.

    Antipodal weights lose nothing on features that are never on together, and descent ends within
    rounding of that. What is relative to such an optimum calls almost every replica stuck.
    """
    result = diagram(
        features=Anticorrelated([(0, 1)]), density=[0.02, 0.3], importance=[1.0], replicas=8
    )
    scale = 2 * result["density"]
    assert (result["optimum_loss"] < 1e-15 * scale).all()
    at_zero = result["settled_loss"] < 1e-12 * scale
    elsewhere = result["settled_loss"] > 0.05 * scale
    assert (at_zero ^ elsewhere).all()
    assert at_zero.any()
    assert elsewhere.any()
    np.testing.assert_array_equal(result["stuck"], elsewhere)
    xr.testing.assert_allclose(
        result["stuck_fraction"].drop_attrs(),
        elsewhere.mean("replica").drop_vars("replica", errors="ignore"),
    )
    # Of random starts too: those that end at zero have found the same optimum.
    assert (result["optimum_share"] > 0.3).all()


def test_versions_are_kept(plain: xr.Dataset) -> None:
    import platform

    import numba
    import torch

    import superposition

    found = json.loads(plain.attrs["versions"])
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__
    assert found["numba"] == numba.__version__
    assert found["torch"] == torch.__version__
    assert found["superposition"] == superposition.__version__
    assert found["format"] == "1"


def test_progress_shows_rate_and_remaining_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    diagram(out=tmp_path, points_per_chunk=3, progress=True)
    shown = capsys.readouterr().err
    assert "12/12" in shown
    assert "point/s" in shown
    diagram(out=tmp_path, progress=True)
    assert "12/12 [00:00<" in capsys.readouterr().err  # what was there already has no rate


def test_grid_that_the_distribution_cannot_have() -> None:
    with pytest.raises(ValueError, match="exactly one"):
        diagram(features=OneHot())
