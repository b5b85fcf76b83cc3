"""Boundaries of three features: descent of the exact loss beside them, symmetry, limits."""

from typing import Any

import numpy as np
import pytest
import sympy

from superposition.numerics import descend, global_minimum, population_loss
from superposition.theory import r, s
from superposition.theory.landscape.partial_superposition import (
    beta as beta_of_two,
    dedicated_stability,
)
from superposition.theory.landscape.three_features import (
    boundary,
    critical_point,
    known_range,
    last_dropped_variation,
    phases,
    triple_point,
)
from superposition.theory.landscape.transitions import dedicated_phase, meet, opposed_phase

Q = sympy.Rational


def gram(point: Any) -> Any:
    """Return WᵀW of a certified minimum, in floats."""
    W = np.array([[float(x) for x in row] for row in point.W])
    return W.T @ W


def optimum(density: float, importance: float) -> tuple[float, Any]:
    """Return loss and WᵀW of the lowest minimum that random starts find.

    The first two features have one importance: the longer one is put first.
    """
    found = global_minimum(3, 2, density=density, importance=[1, 1, importance], starts=96, seed=3)
    G = found.W.T @ found.W
    order = [0, 1, 2] if G[0, 0] >= G[1, 1] - 1e-9 else [1, 0, 2]
    # Either of the first two can be the one that is opposed to the last.
    if abs(abs(G[0, 2]) - abs(G[1, 2])) > 1e-6 and abs(G[0, 1]) < 1e-6:
        order = [0, 1, 2] if abs(G[0, 2]) > abs(G[1, 2]) else [1, 0, 2]
    return found.loss, G[np.ix_(order, order)]


CASES = [
    ("pair with the last", "short triangle", {r: Q(59, 100)}),
    ("triangle", "short triangle", {r: Q(98, 100)}),
    ("short triangle", "last dropped", {r: Q(97, 100)}),
    ("triangle", "uneven pair", {r: Q(13, 10)}),
    ("even pair", "uneven pair", {r: Q(2)}),
]


@pytest.mark.parametrize(("first", "second", "at"), CASES)
def test_optimum_changes_at_the_certified_boundary(first: str, second: str, at: Any) -> None:
    found = boundary(first, second, at)
    assert found.are_minima
    assert found.kind == "first order"
    assert found.digits >= 20
    h = 2e-6
    for point, side in zip(found.points, (-h, h), strict=True):
        loss, G = optimum(float(found.s) + side, float(found.r))
        # The slope of the optimal loss along s is below 1 here; the minimum moves by h times its
        # rate, which is largest for a short column, that begins with an infinite slope at a fold.
        assert abs(loss - float(found.loss)) < 2 * h
        np.testing.assert_allclose(G, gram(point), atol=1e-3)


@pytest.mark.parametrize(
    "names",
    [
        ("pair with the last", "short pair", "last dropped"),
        ("short pair", "short triangle", "last dropped"),
        ("even pair", "triangle", "uneven pair"),
    ],
)
def test_nothing_is_lower_at_triple_points(names: Any) -> None:
    found = triple_point(*names)
    assert found.are_minima
    density, importance = float(found.s), float(found.r)
    for point in found.points:
        W = [[float(x) for x in row] for row in point.W]
        b = [float(x) for x in point.b]
        loss = population_loss(W, b, density=density, importance=[1, 1, importance])
        assert abs(float(loss) - float(found.loss)) < 1e-14
    # Descents end within 1e-13 of their minimum; the wrong phases would be lower by 1e-12.
    assert optimum(density, importance)[0] > float(found.loss) - 2e-13


def test_triple_point_lies_on_the_line_of_two_features() -> None:
    # The losses of both pairs of the first two have one part in r, which cancels.
    found = triple_point("even pair", "triangle", "uneven pair")
    line = boundary("even pair", "uneven pair", {r: Q(5)})
    assert abs(line.s.midpoint - found.s.midpoint) < Q(1, 10**19)


def test_blocks_have_the_boundary_of_two_features() -> None:
    # Pair against dedicated feature, once with a further dedicated feature and once without.
    two = meet(
        [opposed_phase("", (1.0, 0.7, 0.05, 0.2)), dedicated_phase()],
        at={s: Q(2, 5)},
        guess={r: 0.34},
    )
    three = meet(
        [phases()["pair with the last"].at((1.0, 0.7, 0.05, 0.2)), phases()["last dropped"]],
        at={s: Q(2, 5)},
        guess={r: 0.34},
    )
    assert abs(two.r.midpoint - three.r.midpoint) < Q(1, 10**24)


def test_equal_importance_is_met_from_both_sides() -> None:
    # All pairs are alike at r = 1, and the triangle is equilateral.
    below = boundary("pair with the last", "triangle", {r: Q(1)})
    above = boundary("even pair", "triangle", {r: Q(1)})
    assert abs(below.s.midpoint - above.s.midpoint) < Q(1, 10**19)
    G = gram(above.points[1])
    np.testing.assert_allclose(np.diag(G), G[0, 0], atol=1e-14)
    np.testing.assert_allclose(G[0, 1], G[0, 2], atol=1e-14)


def test_third_variation_adds_the_cubes_of_the_column() -> None:
    alpha, beta, c1, c2 = sympy.symbols("alpha beta c1 c2")
    found = last_dropped_variation()
    names = {x.name: x for x in set().union(*(e.free_symbols for e in found.coefficients))}
    alpha, beta, c1, c2 = (names[x] for x in ("alpha", "beta", "c1", "c2"))
    best = {alpha: -3 * beta / 4 + 3 * s / 8}  # that of two features
    assert found.coefficients[1] == 0
    # Two features, derived with other weights and a smooth family: the oracle.
    two = dedicated_stability()
    for power, coefficient, alone in (
        (2, found.coefficients[2], two.second),
        (3, found.coefficients[3], two.third),
    ):
        expected = (c1**power + c2**power) * alone.subs(beta_of_two, beta)
        assert sympy.expand(coefficient.subs(best) - expected) == 0


def test_tilts_of_the_dedicated_columns_do_not_help() -> None:
    # Descent from tilts of either sign, short of the line of stability, returns to them unmixed:
    # at r = 0.7 the second variation changes sign at s = 0.6312.
    tilted = np.array([[[1, t, -0.02], [t, 1, -0.02]] for t in (-0.05, -0.02, 0.02, 0.05)])
    found = descend(tilted, [0, 0, 0.35], density=0.634, importance=[1, 1, 0.7])
    G = np.swapaxes(found.W, -1, -2) @ found.W
    np.testing.assert_allclose(G, np.broadcast_to(np.diag([1, 1, 0]), G.shape), atol=1e-4)
    np.testing.assert_allclose(found.loss, 0.7 * (0.634 / 3 - 0.634**2 / 4), atol=1e-12)


def test_short_triangle_begins_along_the_diagonal() -> None:
    # Beside the line of stability, r = 0.8: a block would have both columns' moves in one.
    density, importance = 0.7275, [1, 1, 0.8]
    three = descend([[1, 0, -0.01], [0, 1, -0.01]], [0, 0, 0.37], density=density,
                    importance=importance)  # fmt: skip
    two = descend([[1, -0.01]], [0, 0.37], density=density, importance=[1, 0.8])
    lengths = np.linalg.norm(three.W[:, 2]), abs(two.W[0, 1])
    assert abs(lengths[0] / lengths[1] / np.sqrt(2) - 1) < 0.01
    assert three.loss < two.loss - 1e-12


def test_line_of_two_triangles_ends_where_they_merge() -> None:
    end = critical_point("upper")
    assert end.digits >= 12
    # Along the soft direction the loss of the other package has no second or third derivative:
    # differences leave h² times the fourth and fifth, which are of order 10.
    point = np.array([float(end[x]) for x in end.symbols[:5]])
    soft = np.insert([float(end[x]) for x in end.symbols[5:9]], 2, 1.0)

    def loss(step: float) -> float:
        a, c, d, p, q = point + step * soft
        W = [[a, -a, 0], [-c, -c, d]]
        density, importance = float(end[s]), [1, 1, float(end[r])]
        return float(population_loss(W, [p, p, q], density=density, importance=importance))

    h = 0.01
    values = {k: loss(k * h) for k in range(-2, 3)}
    assert abs(values[1] - 2 * values[0] + values[-1]) / h**2 < 1e-3
    assert abs(values[2] - 2 * values[1] + 2 * values[-1] - values[-2]) / (2 * h**3) < 5e-3
    # Beyond the end, descents from both sides of the jump reach one triangle; before it, two.
    starts = [[[0.74, -0.74, 0], [-0.56, -0.56, 0.66]], [[0.735, -0.735, 0], [-0.65, -0.65, 0.45]]]
    biases = [[0.27, 0.27, 0.52], [0.15, 0.15, 0.53]]
    slope = (0.792478 - float(end[s])) / (0.95 - float(end[r]))
    spread = []
    for importance in (float(end[r]) - 0.01, 0.95):
        densities = (
            float(end[s]) + slope * (importance - float(end[r])) + np.linspace(-3e-3, 3e-3, 61)
        )
        lengths = [
            np.linalg.norm(
                descend(np.array(starts), biases, density=x, importance=[1, 1, importance]).W[
                    ..., 2
                ],
                axis=-1,
            )
            for x in densities
        ]
        spread.append(max(float(np.ptp(x)) for x in lengths))
    assert spread[0] < 1e-3
    assert spread[1] > 0.05


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="no boundary between"):
        known_range("triangle", "even pair")
    with pytest.raises(ValueError, match="no triple point of"):
        triple_point("triangle", "even pair", "uneven pair")
    with pytest.raises(ValueError, match="exactly one of s and r"):
        boundary("triangle", "uneven pair", {})
    with pytest.raises(ValueError, match="'lower' or 'upper'"):
        critical_point("middle")
