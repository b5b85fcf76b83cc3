"""Shapes: corners that are what the names say, from the definition."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse.csgraph import minimum_spanning_tree

from superposition.validation.geometry.separation import SMALLEST_COUPLING
from superposition.validation.geometry.shapes import (
    MOST_CORNERS,
    WHOLES,
    Shape,
    parts_of,
    shapes_with,
)

ALL = [shape for corners in range(1, MOST_CORNERS + 1) for shape in shapes_with(corners)]


def names(shapes: list[Shape]) -> list[str]:
    return [shape.name for shape in shapes]


def weakest_link(shape: Shape) -> float:
    """|cos| up to which all couplings can be cut before the shape falls apart."""
    # Of 2 − |cos| the minimum spanning tree is the maximum spanning tree of |cos|.
    tree = minimum_spanning_tree(2.0 - np.abs(shape.gram) * (1 - np.eye(len(shape.gram))))
    return float(2.0 - tree.data.max())


def test_the_shapes_of_the_literature_are_there() -> None:
    assert names(ALL)[:6] == [
        "dedicated",
        "digon",
        "triangle",
        "tetrahedron",
        "square",
        "simplex 5",
    ]
    assert {"pentagon", "octahedron", "cube", "square antiprism", "hexagon"} <= set(names(ALL))
    assert shapes_with(MOST_CORNERS + 1) == ()


@pytest.mark.parametrize("shape", ALL, ids=names(ALL))
def test_corners_are_unit_vectors_that_span_the_dimensions(shape: Shape) -> None:
    np.testing.assert_allclose(np.linalg.norm(shape.corners, axis=0), 1.0, rtol=1e-14)
    assert np.linalg.matrix_rank(shape.gram) == shape.dimensions


@pytest.mark.parametrize("shape", [s for s in ALL if s.is_simplex and s.dimensions > 1])
def test_simplices_have_equal_angles(shape: Shape) -> None:
    off = shape.gram[np.triu_indices(shape.dimensions + 1, 1)]
    np.testing.assert_allclose(off, -1 / shape.dimensions, atol=1e-14)


def test_weakest_links_are_those_that_the_tolerance_relies_on() -> None:
    links = {shape.name: weakest_link(shape) for shape in ALL if len(shape.gram) > 1}
    assert links["simplex 5"] == pytest.approx(1 / 4)
    assert links["tetrahedron"] == pytest.approx(1 / 3)
    assert links["cube"] == pytest.approx(1 / 3)
    assert links["triangle"] == pytest.approx(1 / 2)
    assert links["pentagon"] == pytest.approx(np.cos(np.pi / 5))
    assert links["square antiprism"] > 0.78
    weak = {name for name, link in links.items() if link < SMALLEST_COUPLING - 1e-12}
    sums = {shape.name for shape in ALL if len(parts_of(shape.name)) > 1}
    assert weak == sums | {f"simplex {corners}" for corners in range(6, MOST_CORNERS + 1)}


@pytest.mark.parametrize("whole", ["square", *WHOLES.values()])
def test_wholes_are_direct_sums_of_their_parts(whole: str) -> None:
    """The blocks of the Gram matrix, found by what is not orthogonal, are the parts."""
    shape = next(shape for shape in ALL if shape.name == whole)
    known = {shape.name: shape for shape in ALL}
    parts = parts_of(whole)
    order = [0, 2, 1, 3] if whole == "square" else range(len(shape.gram))
    gram = shape.gram[np.ix_(order, order)]
    assert sum(known[part].dimensions for part in parts) == shape.dimensions
    start = 0
    for part in parts:
        block = slice(start, start + len(known[part].gram))
        np.testing.assert_allclose(gram[block, block], known[part].gram, atol=1e-14)
        np.testing.assert_allclose(gram[block, block.stop :], 0, atol=1e-14)
        start = block.stop
    assert start == len(shape.gram)
