"""The section that says why trained maps differ from the theory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from superposition.validation import attribution, ladder, phase_diagram, shares
from superposition.validation.comparison.attribution_figure import CAUSES
from superposition.validation.report import write_report
from superposition.validation.report.causes import causes_section
from superposition.validation.report.tables import percent

TITLE = "Why trained maps differ from the theory"
GRID: dict[str, Any] = {"density": [0.2, 0.9], "importance": [0.5, 4.0]}


@pytest.fixture(scope="module")
def maps() -> xr.Dataset:
    return attribution(**GRID, protocol="roe2023,steps=300", replicas=2)


def test_the_section_prints_ladder_and_shares(maps: xr.Dataset) -> None:
    section = "".join(causes_section(maps))
    for rung in ladder(maps):
        assert f"{rung.change}</th><td>{percent(rung.changed)}</td>" in section
    for name, share in shares(maps).items():
        assert f"{CAUSES[name]}</th><td>{100 * share:+.2f} %</td>" in section
    assert section.count("<img") == 1
    assert 'src="data:image/png;base64,' in section


def test_a_report_has_it_where_the_maps_are(maps: xr.Dataset, tmp_path: Path) -> None:
    phase_diagram(
        **GRID,
        replicas=1,
        starts=8,
        protocol="roe2023,steps=50",
        out=tmp_path,
    )
    assert TITLE not in write_report(tmp_path, starts=0).read_text(encoding="utf-8")
    attribution(
        **GRID,
        protocol="roe2023,steps=300",
        replicas=2,
        out=tmp_path,
    )
    page = write_report(tmp_path, starts=0).read_text(encoding="utf-8")
    assert page.count(TITLE) == 1
    assert 'http-equiv="Content-Security-Policy"' in page
