"""Agreement statistics. Oracles: tables worked by hand, maps with a known shift, brute force."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from superposition.validation import agreement, phase_diagram, phase_names, summarize
from superposition.validation.comparison.agreement import (
    away_from_boundaries,
    confusion_table,
    kappa,
)

NAMES = phase_names(2, 1)
DENSITY = np.geomspace(0.01, 1, 9)
IMPORTANCE = np.geomspace(0.1, 10, 7)


def synthetic(theory: object, optimum: object, trained: object, loss: object) -> xr.Dataset:
    """A dataset with given maps; trained and loss have a replica axis."""
    flags = {"flag_meanings": " ".join(name.replace(" ", "_") for name in NAMES)}
    grid = ("density", "importance")
    codes = np.asarray(trained, dtype=np.int8)
    losses = np.asarray(loss, dtype=float)
    return xr.Dataset(
        {
            "theory_phase": (grid, np.asarray(theory, dtype=np.int8), flags),
            "optimum_phase": (grid, np.asarray(optimum, dtype=np.int8), flags),
            "trained_phase": ((*grid, "replica"), codes, flags),
            "trained_loss": ((*grid, "replica"), losses),
            "stuck_fraction": (grid, np.zeros(codes.shape[:2])),
        },
        coords={"density": DENSITY, "importance": IMPORTANCE},
        attrs={"title": "synthetic"},
    )


def horizontal(edge: int) -> np.ndarray:  # phase 2 below row `edge`, phase 1 from there on
    return np.where(np.arange(len(DENSITY))[:, np.newaxis] < edge, 2, 1) + np.zeros(
        (1, len(IMPORTANCE)), dtype=int
    )


def test_kappa_of_a_table_worked_by_hand() -> None:
    # p_o = 35/50, p_e = (25·30 + 25·20)/50² = 1/2, kappa = (0.7 − 0.5)/0.5
    assert kappa(np.array([[20, 5], [10, 15]])) == pytest.approx(0.4, abs=1e-12)
    assert kappa(np.array([[7, 0], [0, 0]])) == 1.0
    assert kappa(np.array([[0, 5], [5, 0]])) == -1.0


def test_confusion_table_counts_every_point_once() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 4, size=(2, 30, 20)).astype(np.int8)
    table = confusion_table(first, second, 4)
    for a in range(4):
        for b in range(4):
            assert table[a, b] == sum(
                x == a and y == b for x, y in zip(first.flat, second.flat, strict=True)
            )


def test_away_from_boundaries_against_a_plain_loop() -> None:
    rng = np.random.default_rng(1)
    phase = (rng.random((12, 9)) < 0.1).astype(np.int8)
    expected = np.empty(phase.shape, dtype=bool)
    for i, j in np.ndindex(phase.shape):
        near = phase[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
        expected[i, j] = (near == phase[i, j]).all()
    np.testing.assert_array_equal(away_from_boundaries(phase), expected)


def test_displacement_of_a_known_shift() -> None:
    """The optimum's edge lies two rows above theory's, the trained one a row below it."""
    shape = (len(DENSITY), len(IMPORTANCE), 1)
    trained = horizontal(5)[..., np.newaxis]
    compared = agreement(synthetic(horizontal(4), horizontal(6), trained, np.ones(shape)))
    middles = 0.5 * (DENSITY[1:] + DENSITY[:-1])
    up = compared["displacement_density"].sel(phase=NAMES[2], edge="upper")
    assert float(up.sel(pair="theory-optimum")) == pytest.approx(middles[5] - middles[3])
    assert float(up.sel(pair="optimum-trained")) == pytest.approx(middles[4] - middles[5])
    rim = compared["displacement_density"].sel(phase=NAMES[2], edge="lower")
    assert np.isnan(rim).all()  # the phase reaches the rim there: no edge to compare
    assert np.isnan(compared["displacement_log10_importance"]).all()  # no edge along r


def test_displacement_along_importance_is_in_log10() -> None:
    def vertical(edge: int) -> np.ndarray:
        return np.where(np.arange(len(IMPORTANCE)) < edge, 1, 0) + np.zeros(
            (len(DENSITY), 1), dtype=int
        )

    shape = (len(DENSITY), len(IMPORTANCE), 1)
    compared = agreement(
        synthetic(vertical(3), vertical(4), vertical(4)[..., np.newaxis], np.ones(shape))
    )
    shift = compared["displacement_log10_importance"].sel(
        pair="theory-optimum", phase=NAMES[1], edge="upper"
    )
    assert float(shift) == pytest.approx(np.log10(IMPORTANCE[1] / IMPORTANCE[0]))


def test_trained_is_the_replica_with_the_lowest_loss() -> None:
    right, wrong = horizontal(4), horizontal(9)
    trained = np.stack([wrong, right, wrong], axis=-1)
    loss = np.stack([np.full(right.shape, x) for x in (2.0, 1.0, 3.0)], axis=-1)
    compared = agreement(synthetic(right, right, trained, loss))
    at = compared.sel(pair="optimum-trained")
    assert float(at["agreement"]) == 1.0
    assert float(compared["replica_agreement"]) < 1.0
    # A bootstrap draw without replica 1, of which there are (2/3)³ = 30 %, is wrong.
    assert float(at["agreement_low"]) < 1.0
    assert float(at["agreement_high"]) == 1.0
    sure = compared.sel(pair="theory-optimum")
    assert float(sure["agreement_low"]) == float(sure["agreement_high"]) == 1.0


def test_intervals_hold_the_value_and_the_seed_decides() -> None:
    diagram = phase_diagram(
        density=[0.05, 0.3, 0.8], importance=[0.3, 1, 3], replicas=3, starts=24, seed=2
    )
    first, again = agreement(diagram), agreement(diagram)
    xr.testing.assert_identical(first, again)
    for name in ("agreement", "agreement_away", "kappa"):
        value = first[name].values
        assert ((first[f"{name}_low"] <= value) & (value <= first[f"{name}_high"])).all()
    assert int(first["confusion"].sel(pair="theory-optimum").sum()) == 9
    text = summarize(diagram, first)
    assert "theory-optimum" in text
    assert f"{float(first['agreement'][0]):.4f}" in text


def test_agreement_away_leaves_out_the_boundary_of_the_optimum() -> None:
    """Maps that differ in the row next to the edge alone agree everywhere away from it."""
    optimum, theory = horizontal(4), horizontal(5)
    shape = (len(DENSITY), len(IMPORTANCE), 1)
    compared = agreement(synthetic(theory, optimum, theory[..., np.newaxis], np.ones(shape)))
    at = compared.sel(pair="theory-optimum")
    assert float(at["agreement"]) == pytest.approx(1 - 1 / len(DENSITY))
    assert float(at["agreement_away"]) == 1.0
