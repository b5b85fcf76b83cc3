"""Separation: which features share dimensions, at which tolerance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from superposition.theory import named_configuration
from superposition.validation.geometry.separation import (
    SMALLEST_COUPLING,
    Separation,
    largest_noise,
    length_cut,
    numerical_rank,
    separations,
)

Floats = NDArray[np.float64]


def separate(units: Floats, tolerance: float | None = None) -> Separation:
    return next(separations(units, tolerance))


def units_of(name: str, noise: float = 0.0, seed: int = 0) -> Floats:
    W = named_configuration(name).W_array()
    W = W + noise * np.random.default_rng(seed).standard_normal(W.shape)
    return np.asarray(W / np.linalg.norm(W, axis=0))


@pytest.mark.parametrize(
    ("lengths", "represented"),
    [
        ([1.0, 1.0, 1.0], 3),
        ([1.0, 0.4], 2),
        ([1.0, 0.05], 1),
        ([1.2, 1.2, 0.19, 0.12, 0.11], 2),
        ([1.0, 0.45, 0.4, 0.02], 3),
        ([1e-200, 1e-203], 1),
    ],
)
def test_lengths_are_cut_at_their_widest_gap(lengths: list[float], represented: int) -> None:
    cut = length_cut(np.array(lengths))
    assert sum(length >= cut for length in lengths) == represented


def test_cut_scales_with_the_lengths() -> None:
    lengths = np.array([1.0, 0.7, 0.3, 0.2])
    assert length_cut(7 * lengths) == pytest.approx(7 * length_cut(lengths), rel=1e-14)
    assert length_cut(np.zeros(3)) == 0


def test_exact_blocks_at_a_tolerance_near_rounding() -> None:
    found = separate(units_of("digon + pentagon + basis 1 of 1"))
    assert found.groups == ((0, 1), (2, 3, 4, 5, 6), (7,))
    assert found.tolerance < 1e-4
    assert found.cross_talk < 1e-15


def test_tolerance_lies_between_noise_and_couplings() -> None:
    found = separate(units_of(" + ".join(["digon"] * 12 + ["triangle"]), noise=0.02))
    assert [len(group) for group in found.groups] == [2] * 12 + [3]
    # A cosine of two noisy unit vectors has √2 times the noise of their entries.
    assert found.cross_talk == pytest.approx(0.02 * np.sqrt(2), rel=0.1)
    assert 4 * found.cross_talk < found.tolerance < SMALLEST_COUPLING


def test_tolerance_can_be_given() -> None:
    units = units_of("pentagon")
    assert separate(units, 0.5).groups == ((0, 1, 2, 3, 4),)
    assert len(separate(units, 0.9).groups) == 5
    assert separate(units, 0.9).tolerance == 0.9


def test_groups_that_share_dimensions_are_joined() -> None:
    """All cosines of the simplex of nine are 1/8, below the largest tolerance."""
    first, found = separations(units_of("simplex 9 + digon"))
    assert len(first.groups) == 10
    assert found.groups == (tuple(range(9)), (9, 10))
    assert found.tolerance < 1 / 8


def test_a_weak_corner_is_not_left_by_itself() -> None:
    """Noise puts cosines of the simplex of nine around 1/8: there is no gap to separate at."""
    units = units_of("simplex 9 + simplex 9", noise=0.06)
    assert all(len(found.groups) != 3 for found in separations(units))
    assert list(separations(units_of("simplex 9 + simplex 9", noise=0.5)))[1:] == []


def test_rank_ignores_noise_of_the_size_of_the_cross_talk() -> None:
    """A digon in 30 dimensions with noise has two directions, of which one is noise."""
    units = np.zeros((30, 2))
    units[0] = 1, -1
    noisy = units + 0.05 * np.random.default_rng(3).standard_normal(units.shape)
    noisy /= np.linalg.norm(noisy, axis=0)
    assert numerical_rank(noisy, largest_noise(0.05 * np.sqrt(2), (30, 60))) == 1
    assert numerical_rank(noisy, largest_noise(0.0, (30, 60))) == 2
