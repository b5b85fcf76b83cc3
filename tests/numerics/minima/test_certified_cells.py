"""Phases proved on whole cells, against certificates at points and searches inside of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from superposition.numerics import global_minimum, population_loss
from superposition.numerics.minima.certified import certified_minimum, certify_cell

PHASES = {
    "dedicated": [(-0.1, 0.1)],
    "pair": [(-1 / 0.6, -0.6)],
    "partial": [(-0.6, -0.1), (-10.0, -1 / 0.6)],
    "last only": [(10.0, math.inf), (-math.inf, -10.0)],
}
CELLS = [
    ((0.2, 0.3), (0.5, 0.6), "pair"),
    ((0.3, 0.35), (0.95, 1.05), "pair"),
    ((0.8, 0.9), (0.3, 0.4), "dedicated"),
    ((0.8, 0.9), (3.0, 3.3), "last only"),
]


@pytest.mark.parametrize(("density", "relative", "phase"), CELLS)
def test_certified_cells_hold_what_searches_find_in_them(
    density: tuple[float, float], relative: tuple[float, float], phase: str
) -> None:
    cell = certify_cell(density=density, importance=[1, relative], phases=PHASES)
    assert cell.certified
    assert cell.phase == phase
    rng = np.random.default_rng(0)
    for s, r in zip(rng.uniform(*density, size=4), rng.uniform(*relative, size=4), strict=True):
        found = global_minimum(2, 1, density=s, importance=[1, r], starts=40)
        first, second = found.W[0]
        slope = second / first if first else math.inf
        assert any(low <= slope <= high for low, high in PHASES[phase])
        # The one model of the certificate beats all that is in other directions.
        loss = float(population_loss(cell.W, cell.b, density=s, importance=[1, r]))
        for other in found.minima:
            if other.loss > loss:
                continue
            a, b = other.W[0]
            assert any(low <= (b / a if a else math.inf) <= high for low, high in PHASES[phase])


def test_a_point_is_a_cell() -> None:
    """It agrees with the certificate that tells minimizers apart."""
    cell = certify_cell(density=0.75, importance=[1, 0.9], phases=PHASES, max_boxes=300_000)
    point = certified_minimum(density=0.75, importance=[1, 0.9])
    assert cell.certified
    assert cell.phase == "partial"
    ratio = point.minimizers[0].length_ratio
    assert point.unique
    assert 0.1 < ratio[0] <= ratio[1] < 0.6


def test_cells_across_a_boundary_are_not_certified() -> None:
    """At s = 1/2 the pair gives way at r = 0.5357…, which theory/landscape proves."""
    cell = certify_cell(density=0.5, importance=[1, (0.53, 0.54)], phases=PHASES)
    assert not cell.certified


def test_the_boundary_is_approached_from_both_sides() -> None:
    below = certify_cell(density=0.5, importance=[1, 0.5352], phases=PHASES)
    above = certify_cell(density=0.5, importance=[1, 0.5362], phases=PHASES)
    assert (below.phase, below.certified) == ("dedicated", True)
    assert (above.phase, above.certified) == ("pair", True)


def test_a_range_of_penalties() -> None:
    """The pair of equal features ends at λ = 0.03955215… for s = 0.2672991."""
    model: dict[str, Any] = {"density": 0.2672991, "importance": [1, 1], "phases": PHASES}
    both = {**PHASES, "dedicated": [(-0.1, 0.1), (10, math.inf), (-math.inf, -10)]}
    assert certify_cell(**model, penalty=(0.03, 0.039)).phase == "pair"
    assert certify_cell(**model, penalty=(0.03, 0.039)).certified
    assert not certify_cell(**model, penalty=(0.039, 0.04)).certified
    cell = certify_cell(**{**model, "phases": both}, penalty=(0.0400, 0.06))
    assert (cell.phase, cell.certified) == ("dedicated", True)


def test_a_phase_that_is_not_given_has_no_name() -> None:
    cell = certify_cell(density=0.9, importance=[1, 0.2], phases={"pair": PHASES["pair"]})
    assert (cell.phase, cell.certified, cell.boxes) == ("", False, 0)


def test_small_budgets_certify_nothing() -> None:
    model: dict[str, Any] = {"density": 0.3, "importance": [1, 0.5], "phases": PHASES}
    assert certify_cell(**model).certified
    assert not certify_cell(**model, max_boxes=100).certified


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"density": (0.3, 0.2)}, "a range is a number or"),
        ({"density": (0.0, 0.2)}, "must be positive"),
        ({"density": (0.5, 1.2)}, "density"),
        ({"density": (0.1, 0.2, 0.3)}, "a range is a number or"),
        ({"importance": [1]}, "two entries"),
        ({"phases": {"pair": [(2, 1)]}}, "phase 'pair' needs ranges"),
        ({"phases": {"pair": (1, 2)}}, "phase 'pair' needs ranges"),
        ({"phases": {"pair": [(math.nan, 1)]}}, "phase 'pair' needs ranges"),
        ({"max_boxes": 0}, "max_boxes must be an integer of at least 1, got 0"),
        ({"importance": [1, (0.0, 1.0)]}, "must be positive"),
        ({"penalty": (-1.0, 1.0)}, "penalty"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"density": 0.5, "importance": [1, 1], "phases": PHASES}
    with pytest.raises(ValueError, match=message):
        certify_cell(**{**good, **arguments})
