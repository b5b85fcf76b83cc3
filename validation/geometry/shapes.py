"""The shapes that a group of features is compared with: the catalogue of the theory, as Grams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import sympy
from numpy.typing import NDArray

from ...theory import (
    Configuration,
    bipyramid,
    cross_polytope,
    cube,
    regular_polygon,
    regular_simplex,
    square_antiprism,
)

__all__ = ["MOST_CORNERS", "WHOLES", "Shape", "parts_of", "shapes_with", "whole_of"]

Floats = NDArray[np.float64]

MOST_CORNERS: Final = 12
"""Larger groups of features are not compared with anything."""

WHOLES: Final = {
    ("digon", "digon", "digon"): "octahedron",
    ("triangle", "digon"): "triangular bipyramid",
    ("pentagon", "digon"): "pentagonal bipyramid",
    ("hexagon", "digon"): "hexagonal bipyramid",
}
"""Direct sums in three dimensions that have a name of their own."""

_PARTS: Final = {"square": ("digon", "digon")} | {whole: sum_ for sum_, whole in WHOLES.items()}
_BY_SORTED_PARTS: Final = {tuple(sorted(sum_)): whole for sum_, whole in WHOLES.items()}

# Both antiprisms of the literature: the tight one, and the one whose edges are all equal.
_UNIFORM_HEIGHT: Final = (2 * sympy.sqrt(2) - 1) / 7


@dataclass(frozen=True, eq=False)
class Shape:
    """The corners of a polytope, as unit vectors.

    Attributes
    ----------
    name : str
        "dedicated", "digon", …, as the theory's catalogue has it.
    corners : ndarray of float64, shape (dimensions, k)
        Unit columns.
    """

    name: str
    corners: Floats

    @property
    def dimensions(self) -> int:
        """Number of dimensions that the corners span."""
        return int(self.corners.shape[0])

    @property
    def gram(self) -> Floats:
        """Cosines between the corners, (k, k)."""
        return np.asarray(self.corners.T @ self.corners)

    @property
    def is_simplex(self) -> bool:
        """Whether all angles are equal, so that any order of the corners is as good."""
        return bool(self.corners.shape[1] == self.dimensions + 1)


def parts_of(name: str) -> tuple[str, ...]:
    """Return the summands of a shape that is a direct sum, else the name itself.

    Examples
    --------
    >>> parts_of("square"), parts_of("pentagon")
    (('digon', 'digon'), ('pentagon',))
    """
    return _PARTS.get(name, (name,))


def whole_of(parts: Iterable[str]) -> str | None:
    """Return the name of a direct sum in three dimensions, whatever the order of its summands.

    Examples
    --------
    >>> whole_of(["digon", "triangle"]), whole_of(["digon", "digon"])
    ('triangular bipyramid', None)
    """
    return _BY_SORTED_PARTS.get(tuple(sorted(parts)))


@cache
def shapes_with(corners: int) -> tuple[Shape, ...]:
    """Return the shapes with a number of corners: none above `MOST_CORNERS`.

    Polygons, simplices, cube and antiprisms cannot be split. Square, octahedron and bipyramids
    are direct sums; they are here for groups that noise has joined.

    Examples
    --------
    >>> [(shape.name, shape.dimensions) for shape in shapes_with(4)]
    [('tetrahedron', 3), ('square', 2)]
    """
    if corners == 1:
        return (Shape("dedicated", np.ones((1, 1))),)
    if corners > MOST_CORNERS:
        return ()
    return tuple(_shape(configuration) for configuration in _configurations(corners))


def _configurations(corners: int) -> Iterator[Configuration]:
    yield regular_simplex(corners - 1)
    if corners > 3:
        yield regular_polygon(corners)
    if corners == 6:
        yield cross_polytope(3)
    if corners == 8:
        yield cube()
        yield square_antiprism()
        yield square_antiprism(_UNIFORM_HEIGHT)
    if corners in (5, 7, 8):  # that of the square is the octahedron
        yield bipyramid(corners - 2)


def _shape(configuration: Configuration) -> Shape:
    name = "digon" if configuration.name == "antipodal pair" else configuration.name
    return Shape(name, configuration.W_array())
