"""Reproductions: every experiment runs; what is stored is what was computed."""

from __future__ import annotations

from pathlib import Path

import pytest
import xarray as xr
from matplotlib.figure import Figure

from superposition.validation import OtherConfigurationError
from superposition.validation.reproduction.claim import all_claims
from superposition.validation.reproduction.registry import EXPERIMENTS, find_experiment
from superposition.validation.reproduction.reproduce import load_reproduction, reproduce


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_runs_and_judges_each_of_its_claims(name: str, tmp_path: Path) -> None:
    done = reproduce(name, scale="tiny", out=tmp_path)
    claims = {claim.name for claim in all_claims() if claim.experiment == name}
    assert {verdict.claim.name for verdict in done.verdicts} == claims
    assert isinstance(done.figure(), Figure)
    assert done.caption.endswith(".")
    assert done.scale == "tiny"
    again = load_reproduction(tmp_path, name)
    xr.testing.assert_identical(again.data, done.data)
    assert again.verdicts == done.verdicts
    assert [file.name for file in (tmp_path / name).iterdir()] == ["data.nc"]


def test_what_is_stored_is_what_is_computed(tmp_path: Path) -> None:
    stored = reproduce("intro", scale="tiny", out=tmp_path)
    fresh = reproduce("intro", scale="tiny")
    xr.testing.assert_identical(stored.data, fresh.data)


def test_a_folder_with_other_settings_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    reproduce("intro", scale="tiny", out=tmp_path)
    kept = (tmp_path / "intro" / "data.nc").read_bytes()
    with pytest.raises(OtherConfigurationError, match="different: seed"):
        reproduce("intro", scale="tiny", seed=1, out=tmp_path)
    assert (tmp_path / "intro" / "data.nc").read_bytes() == kept


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match="experiment must be one of intro"):
        find_experiment("intr")
    with pytest.raises(ValueError, match="scale must be one of tiny, quick, full"):
        reproduce("intro", scale="small")
    with pytest.raises(FileNotFoundError):
        load_reproduction("nowhere", "intro")
