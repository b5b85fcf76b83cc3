"""Matching: against every permutation, and on shapes that are turned and shuffled."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from numpy.typing import NDArray

from superposition.validation.geometry.matching import gram_distance, match_shape
from superposition.validation.geometry.shapes import Shape, shapes_with

Floats = NDArray[np.float64]

SHAPES = [shape for corners in range(2, 13) for shape in shapes_with(corners)]
SMALL = [shape for corners in range(3, 8) for shape in shapes_with(corners)]
IDS = [f"{shape.name}-{place}" for place, shape in enumerate(SHAPES)]


def disturbed(shape: Shape, noise: float, generator: np.random.Generator) -> Floats:
    corners = shape.corners[:, generator.permutation(shape.corners.shape[1])]
    moved = corners + noise * generator.standard_normal(corners.shape)
    return np.asarray(moved / np.linalg.norm(moved, axis=0))


def by_every_permutation(units: Floats, shape: Shape) -> float:
    gram, corners = units.T @ units, shape.gram
    return min(
        gram_distance(gram, corners[np.ix_(order, order)])
        for order in permutations(range(len(gram)))
    )


def test_distance_is_the_root_mean_square_over_pairs() -> None:
    first, second = np.random.default_rng(0).standard_normal((2, 4, 4))
    squares = [(first[i, j] - second[i, j]) ** 2 for i in range(4) for j in range(i + 1, 4)]
    assert gram_distance(first, second) == pytest.approx((sum(squares) / 6) ** 0.5, rel=1e-14)
    assert gram_distance(np.ones((1, 1)), np.ones((1, 1))) == 0


@pytest.mark.parametrize("shape", SHAPES, ids=IDS)
def test_turned_and_shuffled_shapes_match_exactly(shape: Shape) -> None:
    generator = np.random.default_rng(1)
    for _ in range(3):
        units = disturbed(shape, 0.0, generator)
        hidden = shape.dimensions + 2
        turn = np.linalg.qr(generator.standard_normal((hidden, hidden)))[0]
        match = match_shape(turn[:, : shape.dimensions] @ units, shape)
        assert match.residual < 1e-12
        laid = shape.corners[:, match.corners]
        np.testing.assert_allclose(units.T @ units, laid.T @ laid, atol=1e-12)


@pytest.mark.parametrize("shape", SMALL, ids=[shape.name for shape in SMALL])
@pytest.mark.parametrize("noise", [0.03, 0.1])
def test_near_a_shape_no_permutation_is_better(shape: Shape, noise: float) -> None:
    generator = np.random.default_rng(2)
    for _ in range(1 if len(shape.gram) == 7 else 4):
        units = disturbed(shape, noise, generator)
        best = by_every_permutation(units, shape)
        assert match_shape(units, shape).residual == pytest.approx(best, rel=1e-12)


def test_more_dimensions_than_there_are_is_a_large_residual() -> None:
    (tetrahedron,) = (shape for shape in shapes_with(4) if shape.name == "tetrahedron")
    bipyramid = next(shape for shape in shapes_with(5) if shape.name == "triangular bipyramid")
    plane = np.array([[1.0, 0, -1, 0, 1], [0, 1.0, 0, -1, 0]])
    assert match_shape(plane[:, :4], tetrahedron).residual > 0.3
    assert match_shape(plane, bipyramid).residual > 0.3
