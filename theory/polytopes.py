"""The arrangements of feature directions in the literature, with exact coordinates.

Elhage et al. 2022 find that features of equal importance arrange themselves as the corners of
polytopes: digons, triangles, tetrahedra, pentagons, square antiprisms, and tegum products of
these, in which blocks of features live in orthogonal subspaces (`direct_sum`). All corners are
unit vectors, and all biases are zero except those of dropped features, which are `OPTIMAL`.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import sympy

from ..model import check_sizes
from .configurations import Configuration
from .fields import decide_sign
from .inputs import as_exact
from .symbols import OPTIMAL

__all__ = [
    "antipodal_pair",
    "bipyramid",
    "cross_polytope",
    "cube",
    "direct_sum",
    "orthogonal_basis",
    "regular_polygon",
    "regular_simplex",
    "square_antiprism",
]

POLYGONS = {
    3: "triangle",
    4: "square",
    5: "pentagon",
    6: "hexagon",
    7: "heptagon",
    8: "octagon",
}
SIMPLICES = {2: "antipodal pair", 3: "triangle", 4: "tetrahedron"}
BIPYRAMIDS = {
    3: "triangular bipyramid",
    4: "square bipyramid",
    5: "pentagonal bipyramid",
    6: "hexagonal bipyramid",
}
TIGHT = sympy.Rational(1, 3)
"""Squared height of the square antiprism at which WWᵀ is a multiple of the identity."""


def orthogonal_basis(n_features: int, n_hidden: int) -> Configuration:
    """Return n_hidden dedicated features; the others are dropped, with their bias at its optimum.

    Raises
    ------
    ValueError
        If the sizes are no positive integers or n_hidden > n_features.

    Examples
    --------
    >>> print(orthogonal_basis(3, 2).description)
    basis 2 of 3: W = [1, 0, 0; 0, 1, 0], b = [0, 0, optimal]
    """
    check_sizes(n_features, n_hidden)
    if n_hidden > n_features:
        raise ValueError(
            f"a basis has a feature for each dimension, so n_hidden must be at most n_features, "
            f"got n_features = {n_features}, n_hidden = {n_hidden}"
        )
    W = sympy.eye(n_hidden).row_join(sympy.zeros(n_hidden, n_features - n_hidden))
    b = (0,) * n_hidden + (OPTIMAL,) * (n_features - n_hidden)
    return Configuration(f"basis {n_hidden} of {n_features}", W, b)


def antipodal_pair() -> Configuration:
    """Return two opposite features in one dimension, which Elhage et al. 2022 call a digon.

    Examples
    --------
    >>> antipodal_pair().loss(importance=1)
    s**2/3
    """
    return regular_simplex(1)


def regular_simplex(n_hidden: int) -> Configuration:
    """Return n_hidden + 1 unit vectors in equal angles, with zero bias.

    This is the antipodal pair for one dimension, the triangle for two and the tetrahedron for
    three. W_i·W_j = −1/n_hidden for i ≠ j. It uses all dimensions for features of one kind, and
    the published (3, 2) diagrams leave it out.

    Raises
    ------
    ValueError
        If `n_hidden` is no positive integer.

    Examples
    --------
    >>> regular_simplex(2).loss(importance=1)
    s**3/8 + 3*s**2/8
    """
    check_sizes(n_hidden + 1, n_hidden)
    W = sympy.zeros(n_hidden, n_hidden + 1)
    for j in range(n_hidden):
        # Row j is what the rows above leave of unit vector j; the k vectors after it share its
        # opposite equally, because all vectors sum to zero.
        k = n_hidden - j
        height = sympy.sqrt(sympy.Rational((n_hidden + 1) * k, n_hidden * (k + 1)))
        W[j, j] = height
        for i in range(j + 1, n_hidden + 1):
            W[j, i] = -height / k
    corners = n_hidden + 1
    return Configuration(SIMPLICES.get(corners, f"simplex {corners}"), W)


def regular_polygon(n_features: int) -> Configuration:
    """Return n_features unit vectors in equal angles in the plane, with zero bias.

    Raises
    ------
    ValueError
        If `n_features` is no integer of at least 3.

    Examples
    --------
    >>> regular_polygon(4).W
    Matrix([
    [1, 0, -1,  0],
    [0, 1,  0, -1]])
    """
    check_sizes(n_features, 2)
    if n_features < 3:
        raise ValueError(f"a polygon has at least 3 corners, got n_features = {n_features}")
    angles = [2 * sympy.pi * i / n_features for i in range(n_features)]
    W = [[sympy.cos(angle) for angle in angles], [sympy.sin(angle) for angle in angles]]
    return Configuration(POLYGONS.get(n_features, f"polygon {n_features}"), W)


def cross_polytope(n_hidden: int) -> Configuration:
    """Return an antipodal pair along every axis: 2·n_hidden features, with zero bias.

    This is the antipodal pair for one dimension, the square for two and the octahedron for three.

    Raises
    ------
    ValueError
        If `n_hidden` is no positive integer.

    Examples
    --------
    >>> cross_polytope(3).loss(importance=1)
    s**2
    """
    check_sizes(2 * n_hidden, n_hidden)
    names = {1: "antipodal pair", 2: "square", 3: "octahedron"}
    name = names.get(n_hidden, f"cross-polytope {2 * n_hidden}")
    return direct_sum(*[antipodal_pair()] * n_hidden, name=name)


def cube() -> Configuration:
    """Return the eight corners of a cube, with zero bias.

    W_i·W_j is 1/3 for the ends of an edge, −1/3 across a face and −1 for opposite corners. The
    cube is no arrangement that features are found in: a square of it turned by 45° is the
    antiprism, whose corners are farther apart.

    Examples
    --------
    >>> cube().W.col(0).T
    Matrix([[sqrt(3)/3, sqrt(3)/3, sqrt(3)/3]])
    """
    corners = sympy.Matrix(list(product((1, -1), repeat=3))).T
    return Configuration("cube", corners / sympy.sqrt(3))


def square_antiprism(height_squared: Any = TIGHT) -> Configuration:
    """Return two parallel squares, one turned by 45° against the other: 8 features, zero bias.

    Parameters
    ----------
    height_squared
        Square of the height of the upper square above the origin, in (0, 1). At the default,
        1/3, WWᵀ = (8/3)·1, so that every feature has the dimensionality 3/8 of Elhage et al.
        2022, and the couplings lie in ℚ(√2). At (2√2 − 1)/7 all edges are equal (the uniform
        antiprism), and the dimensionalities sum to less than 3.

    Raises
    ------
    ValueError
        If a number is not in (0, 1).

    Examples
    --------
    >>> W = square_antiprism().W
    >>> sympy.simplify(W * W.T) == sympy.Rational(8, 3) * sympy.eye(3)
    True
    """
    square = as_exact(height_squared, "height_squared")
    if square.is_number and (decide_sign(square) <= 0 or decide_sign(1 - square) <= 0):
        raise ValueError(f"height_squared must lie strictly between 0 and 1, got {square}")
    radius, height = sympy.sqrt(1 - square), sympy.sqrt(square)
    columns = [
        [radius * sympy.cos(angle), radius * sympy.sin(angle), side * height]
        for side, turn in ((1, 0), (-1, sympy.pi / 4))
        for angle in (turn + k * sympy.pi / 2 for k in range(4))
    ]
    return Configuration("square antiprism", sympy.Matrix(columns).T)


def bipyramid(n_corners: int) -> Configuration:
    """Return a polygon with two opposite apexes: `direct_sum` of a polygon and a digon.

    n_corners + 2 features in three dimensions, the apexes last, with zero bias. As the apexes
    are orthogonal to the polygon, a bipyramid of unit vectors is a tegum product.

    Raises
    ------
    ValueError
        If `n_corners` is no integer of at least 3.

    Examples
    --------
    >>> triangular = bipyramid(3)
    >>> triangular.name, triangular.n_features, triangular.n_hidden
    ('triangular bipyramid', 5, 3)
    """
    name = BIPYRAMIDS.get(n_corners, f"bipyramid {n_corners}")
    return direct_sum(regular_polygon(n_corners), antipodal_pair(), name=name)


def direct_sum(*configurations: Configuration, name: str | None = None) -> Configuration:
    """Return the configurations side by side in orthogonal subspaces: W is block-diagonal.

    Elhage et al. 2022 call it the tegum product. No output of one block sees a feature of
    another, so that the losses add, as do dimensionalities, features and dimensions.

    Parameters
    ----------
    configurations
        At least one.
    name
        ``None`` joins the names with " + ".

    Raises
    ------
    ValueError
        If there is no configuration.

    Examples
    --------
    >>> print(direct_sum(antipodal_pair(), orthogonal_basis(2, 1)).description)
    antipodal pair + basis 1 of 2: W = [1, -1, 0, 0; 0, 0, 1, 0], b = [0, 0, 0, optimal]
    """
    if not configurations:
        raise ValueError("direct_sum needs at least one configuration, got none")
    W = sympy.diag(*(configuration.W for configuration in configurations))
    b = [entry for configuration in configurations for entry in configuration.b]
    joined = " + ".join(configuration.name for configuration in configurations)
    return Configuration(joined if name is None else name, W, b)
