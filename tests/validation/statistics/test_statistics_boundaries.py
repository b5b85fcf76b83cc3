"""Boundaries. Oracles: the sources' closed form, equal minimal losses, planted transitions."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from superposition.numerics import descend
from superposition.validation import phase_diagram, phase_names
from superposition.validation.statistics import (
    closed_form_boundary,
    exact_boundary,
    trained_boundary,
)

NAMES = phase_names(2, 1)
DENSITY = np.array([0.05, 0.2, 0.35])


def test_closed_form_is_that_of_the_sources() -> None:
    expected = 2 * DENSITY / (4 - 5 * DENSITY)
    np.testing.assert_allclose(closed_form_boundary(DENSITY), expected, rtol=1e-14)
    mirrored = closed_form_boundary(DENSITY, before="superpose both", beyond="ignore first")
    np.testing.assert_allclose(mirrored, 1 / expected, rtol=1e-13)
    assert np.isnan(closed_form_boundary([0.9])[0])  # 4 − 5s < 0


def test_two_minima_have_one_loss_at_the_exact_boundary() -> None:
    """Descent from both sides' closed forms, which no search from random starts took part in."""
    located = exact_boundary(DENSITY, (0.005, 0.7))
    losses = [
        descend(
            np.broadcast_to(start, (3, 1, 2)), np.full((3, 2), 0.01), density=DENSITY,
            importance=np.stack([np.ones(3), located], axis=-1),
        ).loss
        for start in ([[1.0, 0.0]], [[0.9, -0.9]])
    ]  # fmt: skip
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-9)
    assert (located < closed_form_boundary(DENSITY)).all()


def test_exact_boundary_outside_the_interval_is_nan() -> None:
    assert np.isnan(exact_boundary([0.2], (0.3, 0.7))).all()
    with pytest.raises(ValueError, match="0 < low < high"):
        exact_boundary([0.2], (0.7, 0.3))


def planted(location: float, others: int) -> xr.Dataset:
    """A dataset of 10 replicas that change sides at one r; the first `others` are aligned."""
    importance = np.geomspace(0.05, 1, 14)
    phase = np.where(
        importance > location, NAMES.index("superpose both"), NAMES.index("ignore last")
    )
    replicas = np.broadcast_to(phase[:, np.newaxis], (14, 10)).copy()
    replicas[:, :others] = NAMES.index("aligned")
    flags = {"flag_meanings": " ".join(name.replace(" ", "_") for name in NAMES)}
    return xr.Dataset(
        {
            "trained_phase": (("density", "importance", "replica"), replicas[np.newaxis]),
            "optimum_phase": (("density", "importance"), phase[np.newaxis], flags),
        },
        coords={"density": [0.1], "importance": importance},
    )


@pytest.mark.parametrize("others", [0, 4])
def test_trained_boundary_of_planted_phases(others: int) -> None:
    found = trained_boundary(planted(0.33, others))
    importance = np.geomspace(0.05, 1, 14)
    below = importance[importance <= 0.33].max()
    above = importance[importance > 0.33].min()
    assert float(found.low[0]) == pytest.approx(below)
    assert float(found.high[0]) == pytest.approx(above)
    assert float(found.location[0]) == pytest.approx(np.sqrt(below * above))
    assert int(found.models[0]) == 14 * (10 - others)


def test_trained_boundary_is_near_the_exact_one() -> None:
    diagram = phase_diagram(
        density=[0.2], importance=np.geomspace(0.04, 0.5, 14), replicas=10, starts=16
    )
    found = trained_boundary(diagram)
    assert found.identical(trained_boundary(diagram))
    exact = exact_boundary([0.2], (0.04, 0.5))
    assert abs(np.log(found.location.values / exact)) < np.log(1.5)


def test_refuses_unknown_phases() -> None:
    with pytest.raises(
        ValueError, match="a side of a boundary is made of ignore first, ignore last"
    ):
        trained_boundary(planted(0.3, 0), before=["nothing"])
