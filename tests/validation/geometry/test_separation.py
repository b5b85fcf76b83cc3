"""Separation: which features share dimensions, at which tolerance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import norm

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


def test_features_have_a_dimension_however_strong_the_noise_is() -> None:
    assert numerical_rank(np.eye(3), 5.0) == 1
    assert numerical_rank(np.zeros((3, 0)), 5.0) == 0


def from_cosines(gram: Floats) -> Floats:
    values, vectors = np.linalg.eigh(gram)
    return np.asarray(np.sqrt(np.maximum(values, 0))[:, None] * vectors.T)


def test_noise_is_as_large_as_that_of_noisy_unit_vectors() -> None:
    """Oracle: orthogonal unit vectors with noise, whose largest singular value is computed."""
    noise = 0.01 * np.random.default_rng(5).standard_normal((300, 150))
    units = np.eye(300)[:, :150] + noise
    gram = units.T @ units / np.outer(*2 * [np.linalg.norm(units, axis=0)])
    cross_talk = np.sqrt(np.square(gram[np.triu_indices(150, 1)]).mean())
    largest = np.linalg.norm(noise, ord=2)
    assert largest_noise(cross_talk, units.shape) == pytest.approx(largest, rel=0.05)


def test_tolerance_lets_noise_join_one_in_a_hundred() -> None:
    """Oracle: the tail of the normal law beyond what the tolerance takes for the largest noise."""
    found = separate(units_of(" + ".join(["digon"] * 12 + ["triangle"]), noise=0.02))
    largest = found.tolerance**2 / SMALLEST_COUPLING
    assert 27 * 26 / 2 * 2 * norm.sf(largest / found.cross_talk) == pytest.approx(0.01)


def test_noise_is_measured_again_when_groups_have_merged() -> None:
    """A coupling of 0.2 stands out from exact zeros: what is left then is no noise at all."""
    gram = np.eye(10)
    gram[0, 1] = gram[1, 0] = 0.2
    found = separate(from_cosines(gram))
    assert found.groups[0] == (0, 1)
    assert len(found.groups) == 9
    assert found.tolerance < 1e-4


@pytest.mark.parametrize(("coupling", "apart"), [(0.05, True), (0.09, False)])
def test_groups_are_separated_at_a_gap_of_a_half(coupling: float, apart: bool) -> None:
    """A simplex of nine, coupled by 0.125, and one feature that two corners are coupled to."""
    gram = np.full((10, 10), -1 / 8)
    gram[9] = gram[:, 9] = 0
    gram[9, :2] = gram[:2, 9] = coupling, -coupling
    np.fill_diagonal(gram, 1.0)
    _, *joined = separations(from_cosines(gram))
    assert ((tuple(range(9)), (9,)) in [found.groups for found in joined]) == apart


def test_a_gap_between_groups_that_overlap_is_none() -> None:
    """Four simplices of six in 19 dimensions: a direction that all share alike is taken out.

    Corners have ±√0.2 along it. What is left are cosines of 0.05/0.95 between the simplices, less
    than half of the weakest link in each, 0.15/0.95.
    """
    simplex = named_configuration("simplex 6").W_array()
    across = simplex @ [1, 1, 1, -1, -1, -1]
    shared = np.kron(np.ones(4) / 2, across / np.linalg.norm(across))
    units = np.asarray(np.kron(np.eye(4), simplex), dtype=np.float64)
    units -= np.outer(shared, shared @ units)
    units /= np.linalg.norm(units, axis=0)
    assert np.linalg.matrix_rank(units) == 19
    assert all(len(found.groups) != 4 for found in separations(units))


def test_larger_groups_than_any_shape_are_not_joined() -> None:
    (first,) = separations(units_of("simplex 13"))
    assert len(first.groups) == 13
