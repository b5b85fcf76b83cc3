"""The polytopes of the literature: geometry from their definition, losses by the numerics."""

from collections import Counter
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import sympy

from superposition.numerics import population_loss
from superposition.theory import (
    OPTIMAL,
    Configuration,
    expected_loss,
    feature_dimensionality,
    regular_polygon,
    regular_simplex,
    s,
)
from superposition.theory.catalogue import CONFIGURATION_NAMES, named_configuration
from superposition.theory.polytopes import (
    antipodal_pair,
    bipyramid,
    cross_polytope,
    cube,
    direct_sum,
    orthogonal_basis,
    square_antiprism,
)

UNIFORM = (2 * sympy.sqrt(2) - 1) / 7
HALF = sympy.Rational(1, 2)
VERTEX_TRANSITIVE = {
    "antipodal pair": antipodal_pair(),
    **{f"simplex {k}": regular_simplex(k - 1) for k in (3, 4, 5)},
    **{f"polygon {k}": regular_polygon(k) for k in range(3, 9)},
    "octahedron": cross_polytope(3),
    "cube": cube(),
    "tight antiprism": square_antiprism(),
    "uniform antiprism": square_antiprism(UNIFORM),
}


def is_zero(number: Any) -> bool:
    """Exactly: the minimal polynomial of zero is x."""
    x = sympy.Symbol("x")
    return bool(sympy.minimal_polynomial(sympy.expand(number), x) == x)


def gram(configuration: Configuration) -> sympy.Matrix:
    return (configuration.W.T * configuration.W).applyfunc(sympy.simplify)


def cosines(configuration: Configuration) -> np.ndarray[Any, Any]:
    W = configuration.W_array()
    return np.asarray(W.T @ W)


# --- geometry ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VERTEX_TRANSITIVE)
def test_corners_are_unit_vectors_that_span_and_sum_to_zero(name: str) -> None:
    W = VERTEX_TRANSITIVE[name].W
    assert all(is_zero(W.col(i).dot(W.col(i)) - 1) for i in range(W.shape[1]))
    assert all(is_zero(sum(W.row(j))) for j in range(W.shape[0]))
    assert np.linalg.matrix_rank(VERTEX_TRANSITIVE[name].W_array()) == W.shape[0]


@pytest.mark.parametrize("name", VERTEX_TRANSITIVE)
def test_every_corner_sees_the_same_angles(name: str) -> None:
    rows = np.sort(cosines(VERTEX_TRANSITIVE[name]), axis=1)
    np.testing.assert_allclose(rows, np.broadcast_to(rows[0], rows.shape), atol=1e-15)


def test_regular_simplex_has_equal_angles() -> None:
    for m in range(1, 5):
        assert gram(regular_simplex(m)) == sympy.Matrix(
            m + 1, m + 1, lambda i, j, m=m: 1 if i == j else -sympy.Rational(1, m)
        )


@pytest.mark.parametrize("corners", range(3, 9))
def test_polygon_couplings_are_cosines(corners: int) -> None:
    """Oracle: cos a cos b + sin a sin b = cos(a − b), and its minimal polynomial is Chebyshev's."""
    steps = np.subtract.outer(np.arange(corners), np.arange(corners))
    np.testing.assert_allclose(
        cosines(regular_polygon(corners)), np.cos(2 * np.pi * steps / corners), atol=1e-15
    )
    W = regular_polygon(corners).W
    turn = sympy.expand(W.col(0).dot(W.col(1)))
    assert is_zero(sympy.chebyshevt(corners, turn) - 1)


def test_polygon_needs_three_corners() -> None:
    with pytest.raises(ValueError, match="at least 3 corners"):
        regular_polygon(2)


def test_cross_polytope_is_pairs_on_axes() -> None:
    for m in (1, 2, 3, 4):
        pair = sympy.Matrix([[1, -1], [-1, 1]])
        assert gram(cross_polytope(m)) == sympy.diag(*[pair] * m)


def test_cube_corners_differ_in_signs() -> None:
    """Oracle: corners that differ in k of three signs have cosine 1 − 2k/3, C(3, k) of them."""
    third = sympy.Rational(1, 3)
    expected = Counter({sympy.S(1): 1, third: 3, -third: 3, sympy.S(-1): 1})
    found = gram(cube())
    assert all(Counter(found.row(i)) == expected for i in range(8))


def test_default_antiprism_is_a_tight_frame() -> None:
    W = square_antiprism().W
    assert sympy.simplify(W * W.T - sympy.Rational(8, 3) * sympy.eye(3)) == sympy.zeros(3)
    field = {sympy.S(1), sympy.sqrt(2)}
    assert all(
        set(sympy.expand(g).as_coefficients_dict()) <= field for g in gram(square_antiprism())
    )


def test_uniform_antiprism_has_equal_edges() -> None:
    """Each corner has four neighbors: two in its square, two in the other, all equally far."""
    distances = np.sort(2 - 2 * cosines(square_antiprism(UNIFORM)), axis=1)
    edge = distances[:, 1:5]
    np.testing.assert_allclose(edge, edge[0, 0], rtol=1e-14)
    assert (distances[:, 5:] > 1.3 * edge[0, 0]).all()
    symbol = sympy.Symbol("h", positive=True)  # the squared height, from the two edge lengths
    in_square, across = (2 * (1 - symbol), (2 - sympy.sqrt(2)) * (1 - symbol) + 4 * symbol)
    assert sympy.simplify(sympy.solve(in_square - across, symbol)[0] - UNIFORM) == 0


@pytest.mark.parametrize(
    ("configuration", "share"),
    [
        (antipodal_pair(), "1/2"),
        (regular_simplex(2), "2/3"),
        (regular_simplex(3), "3/4"),
        (regular_polygon(5), "2/5"),
        (square_antiprism(), "3/8"),
        (cross_polytope(3), "1/2"),
        (cube(), "3/8"),
    ],
)
def test_dimensionalities_of_elhage_et_al(configuration: Configuration, share: str) -> None:
    n = configuration.n_features
    assert feature_dimensionality(configuration.W) == (sympy.Rational(share),) * n


def test_uniform_antiprism_wastes_a_part_of_a_dimension() -> None:
    shares = feature_dimensionality(square_antiprism(UNIFORM).W)
    assert len(set(shares)) == 1
    assert sum(shares) < 3


def test_no_antiprism_has_larger_dimensionality_than_the_tight_one() -> None:
    h = sympy.Symbol("h", positive=True)
    W = square_antiprism(h).W
    shares = [feature_dimensionality(W.subs(h, sympy.Rational(k, 12)))[0] for k in (3, 4, 5)]
    assert max(shares) == shares[1] == sympy.Rational(3, 8)


@pytest.mark.parametrize("height", [0, 1, -1, sympy.sqrt(2)])
def test_antiprism_refuses_heights_outside_the_sphere(height: Any) -> None:
    with pytest.raises(ValueError, match="strictly between 0 and 1, got"):
        square_antiprism(height)


def test_bipyramid_is_polygon_and_apexes() -> None:
    for k in (3, 4, 5):
        found = gram(bipyramid(k))
        assert bipyramid(k).n_hidden == 3
        assert found[:k, :k] == gram(regular_polygon(k))
        assert found[k:, k:] == sympy.Matrix([[1, -1], [-1, 1]])
        assert found[:k, k:] == sympy.zeros(k, 2)
    assert any(  # the square bipyramid is the octahedron, in some order of its corners
        np.allclose(cosines(bipyramid(4))[np.ix_(p, p)], cosines(cross_polytope(3)))
        for p in permutations(range(6))
    )


def test_basis_drops_with_the_best_bias() -> None:
    basis = orthogonal_basis(4, 2)
    assert basis.W.tolist() == [[1, 0, 0, 0], [0, 1, 0, 0]]
    assert basis.b == (0, 0, OPTIMAL, OPTIMAL)
    dropped = s / 3 - s**2 / 4
    assert sympy.expand(basis.loss(importance=1) - 2 * dropped) == 0
    with pytest.raises(ValueError, match="n_features = 2, n_hidden = 3"):
        orthogonal_basis(2, 3)


# --- direct sums -------------------------------------------------------------------------------


def test_losses_features_and_dimensionalities_of_direct_sums_add() -> None:
    parts = (regular_polygon(5), antipodal_pair(), orthogonal_basis(2, 1))
    whole = direct_sum(*parts)
    assert (whole.n_features, whole.n_hidden) == (9, 4)
    assert whole.b == (0,) * 8 + (OPTIMAL,)
    losses = [part.loss(importance=1) for part in parts]
    assert sympy.expand(whole.loss(importance=1) - sympy.Add(*losses)) == 0
    shares = [share for part in parts for share in feature_dimensionality(part.W)]
    assert list(feature_dimensionality(whole.W)) == shares


def test_a_sum_has_the_loss_that_the_numerics_find() -> None:
    """Independent of the theory: the numerics know nothing of blocks."""
    whole = direct_sum(regular_simplex(2), antipodal_pair())
    numeric = population_loss(whole.W_array(), np.zeros(5), density=0.3, importance=np.ones(5))
    assert float(whole.loss(importance=1, density=0.3)) == pytest.approx(float(numeric), rel=1e-12)


def test_sum_names_and_empty_sum() -> None:
    assert direct_sum(regular_simplex(2), antipodal_pair()).name == "triangle + antipodal pair"
    assert direct_sum(antipodal_pair(), name="one").name == "one"
    with pytest.raises(ValueError, match="at least one configuration"):
        direct_sum()


# --- losses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VERTEX_TRANSITIVE)
def test_zero_bias_losses_agree_with_the_numerics(name: str) -> None:
    """Oracle: quadrature, recurrence and contour of the numerics, at four densities."""
    configuration = VERTEX_TRANSITIVE[name]
    n = configuration.n_features
    densities = np.array([0.05, 0.3, 0.7, 1.0])
    # One output stands for all: every corner sees the same angles.
    first = (1,) + (0,) * (n - 1)
    exact = expected_loss(configuration.W, importance=first)
    assert exact.is_polynomial(s)
    numeric = population_loss(
        configuration.W_array(),
        np.zeros(n),
        density=densities[:, None],
        importance=np.array(first),
        rtol=1e-13,
    )
    for density, value in zip(densities, numeric, strict=True):
        at = float(exact.subs(s, sympy.Rational(density)).evalf(30))
        assert at == pytest.approx(float(value), rel=1e-12)


# --- names -------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", CONFIGURATION_NAMES)
def test_every_listed_name_is_found_and_names_itself(text: str) -> None:
    configuration = named_configuration(text.replace("M", "4").replace("N", "6"))
    assert named_configuration(configuration.name) == configuration


@pytest.mark.parametrize(
    ("text", "features", "hidden"),
    [
        ("Pentagon", 5, 2),
        ("square  antiprism", 8, 3),
        ("triangle + digon", 5, 3),
        ("simplex 5", 5, 4),
        ("polygon 8", 8, 2),
        ("basis 3 of 5", 5, 3),
        ("basis 3", 3, 3),
        ("cross-polytope 8", 8, 4),
        ("digon+digon + basis 1 of 3", 7, 3),
        ("triangular bipyramid", 5, 3),
    ],
)
def test_sizes_of_named_configurations(text: str, features: int, hidden: int) -> None:
    found = named_configuration(text)
    assert (found.n_features, found.n_hidden) == (features, hidden)


@pytest.mark.parametrize(
    "text", ["", "nonagon", "digon +", "cross-polytope 5", "polygon", "cube 3"]
)
def test_unknown_names_are_refused_with_what_is_known(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"no known configuration; known are digon, .*basis M of N"
    ):
        named_configuration(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("polygon 2", "at least 3 corners"),
        ("simplex 1", "at least 2 corners"),
        ("basis 0", "at least 1 features"),
        ("basis 3 of 2", "n_features = 2, n_hidden = 3"),
        ("bipyramid 2", "at least 3 corners of the polygon"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        named_configuration(text)
