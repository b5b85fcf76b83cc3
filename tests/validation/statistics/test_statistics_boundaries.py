"""Boundaries. Oracles: the sources' closed form, equal minimal losses, planted transitions."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from superposition.features import CoActive, FeatureDistribution, Independent
from superposition.numerics import descend
from superposition.theory import candidates, phase_boundary
from superposition.validation import phase_diagram, phase_names
from superposition.validation.statistics import (
    candidate_boundary,
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


@pytest.mark.parametrize(
    ("features", "penalty"), [(Independent(), 0.0), (Independent(), 0.05), (CoActive(), 0.0)]
)
def test_candidate_boundary_is_where_the_derived_losses_are_equal(
    features: FeatureDistribution, penalty: float
) -> None:
    """Oracle: SymPy's losses of the two candidates, at the r that was found."""
    diagram = phase_diagram(
        density=[0.2, 0.5], importance=[0.3, 4.0], features=features, penalty=penalty,
        replicas=1, starts=1,
    )  # fmt: skip
    found = candidate_boundary(diagram, before="ignore last", beyond="superpose both")
    sides = {candidate.name: candidate for candidate in candidates(2, 1)}
    for density, r in zip(diagram.density.values, found, strict=True):
        losses = [
            float(
                sides[name].loss(
                    density=density, importance=[1, r], features=features, penalty=penalty
                )
            )
            for name in ("ignore last", "superpose both")
            if np.isfinite(r)
        ]
        assert losses == pytest.approx(losses[::-1], rel=1e-10)
    assert np.isfinite(found).any() or isinstance(features, CoActive)


def test_boundaries_of_three_features_in_two_dimensions() -> None:
    """Oracles: the solution of SymPy, and a diagram whose optimum changes phase there."""
    density = np.array([0.1, 0.2])
    size = {"n_features": 3, "n_hidden": 2}
    closed = closed_form_boundary(
        density, before="ignore last", beyond="superpose last two", n_features=3, n_hidden=2
    )
    sides = {candidate.name: candidate for candidate in candidates(3, 2)}
    (solution,) = phase_boundary(sides["ignore last"], sides["superpose last two"])
    symbol = next(iter(solution.free_symbols))
    expected = [float(solution.subs(symbol, value)) for value in density]
    assert closed == pytest.approx(expected, rel=1e-12)

    beyond = ("superpose last two", "partial superposition")
    exact = exact_boundary(density, (0.01, 0.6), beyond=beyond, **size)
    assert np.isfinite(exact).all()
    for side, factor in ((False, 0.99), (True, 1.01)):
        for s, r in zip(density, exact, strict=True):
            diagram = phase_diagram(
                3, 2, density=[s], importance=[r * factor], replicas=1, starts=64, seed=5
            )
            name = phase_names(3, 2)[int(diagram.optimum_phase[0, 0])]
            assert (name in beyond) is side


def test_what_has_no_boundary_is_refused() -> None:
    diagram = phase_diagram(density=[0.2], importance=[1.0], replicas=1, starts=1)
    with pytest.raises(ValueError, match="at least two importances"):
        candidate_boundary(diagram, before="ignore last", beyond="superpose both")
    with pytest.raises(ValueError, match="is one of ignore first"):
        closed_form_boundary([0.1], before="ignore all")
    with pytest.raises(ValueError, match="name other candidates"):
        closed_form_boundary(
            [0.1], before="ignore first", beyond="superpose first two", n_features=3, n_hidden=2
        )
