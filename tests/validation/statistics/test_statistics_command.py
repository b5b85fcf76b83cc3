"""``superposition test``. Oracle: the functions that it calls, on the same folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from superposition.cli import main
from superposition.validation import phase_diagram
from superposition.validation.statistics import loss_tests, trained_boundary


def test_prints_what_the_functions_find(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "diagram"
    diagram = phase_diagram(
        density=[0.2, 0.95],
        importance=np.geomspace(0.06, 0.4, 7),
        replicas=8,
        starts=16,
        out=folder,
    )
    main(["test", str(folder), "--json", "--level", "0.5"])
    printed = json.loads(capsys.readouterr().out)
    found = trained_boundary(diagram)
    known = np.isfinite(found.location.values)
    assert [row["location"] for row in printed["boundaries"]] == found.location.values[
        known
    ].tolist()
    expected = int((loss_tests(diagram).typical_p_holm <= 0.5).sum())
    assert printed["typical_replica_of_its_basin_near_the_optimum"] == expected > 0
    main(["test", str(folder)])
    text = capsys.readouterr().out
    assert "s = 0.2" in text
    assert "of 14 points  most replicas near the optimum" in text


def test_refuses_a_folder_without_diagram(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["test", str(tmp_path / "nothing")])
    assert ended.value.code == 2
    assert "nothing" in capsys.readouterr().err
