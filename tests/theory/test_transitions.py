"""Certified boundaries against descent on both sides, symmetry, and expansions by another route."""

from typing import Any

import numpy as np
import pytest
import sympy

from superposition.numerics import descend, global_minimum, population_loss
from superposition.theory import expected_loss, r, s
from superposition.theory.landscape.certified_roots import Enclosure
from superposition.theory.landscape.families import Family, isosceles_family
from superposition.theory.landscape.partial_superposition import (
    alpha,
    beta,
    continuous_end,
    dedicated_stability,
    epsilon,
    excess,
    first_order_end,
    kappa,
    tricritical_points,
    triple_meeting,
)
from superposition.theory.landscape.stability import stability_line
from superposition.theory.landscape.transitions import (
    Phase,
    dedicated_phase,
    meet,
    mirror,
    opposed_phase,
    trace,
)

Q = sympy.Rational
PAIR = opposed_phase("antipodal", (1.0, 0.7, 0.05, 0.2))
PARTIAL = opposed_phase("partial", (1.0, 0.2, 0.05, 0.45))


def lowest(density: Any, importance: Any) -> Any:
    """Loss and ratio of the two lengths at the optimum that random starts find."""
    found = global_minimum(2, 1, density=density, importance=[1, importance], starts=48)
    lengths = np.sort(np.abs(found.W[0]))
    return found.loss, lengths[0] / lengths[1]


@pytest.mark.parametrize(
    ("importance", "rival", "guess"),
    [
        (Q(1, 10), dedicated_phase(), 0.18),
        (Q(1, 2), dedicated_phase(), 0.48),
        (Q(7, 10), PARTIAL, 0.56),
        (Q(9, 10), PARTIAL, 0.637),
    ],
)
def test_optimum_jumps_at_the_certified_boundary(importance: Any, rival: Any, guess: Any) -> None:
    found = meet([PAIR, rival], at={r: importance}, guess={s: guess})
    assert found.are_minima
    assert found.kind == "first order"
    assert found.digits >= 25
    h = 1e-5
    near, far = (
        [lowest(float(found.s) + k * shift, float(importance)) for shift in (-h, h)] for k in (1, 2)
    )
    # Extrapolated linearly to the boundary: what is left is of order h² over the distance, 0.01
    # or more, to where the minimum ends.
    measured = [2 * close[1] - away[1] for close, away in zip(near, far, strict=True)]
    expected = [abs(float(p.W[0][1])) / float(p.W[0][0]) for p in found.points]
    np.testing.assert_allclose(measured, expected, atol=1e-5)
    losses = [2 * close[0] - away[0] for close, away in zip(near, far, strict=True)]
    np.testing.assert_allclose(losses, float(found.loss), atol=1e-9)


def test_kink_is_the_change_of_slope_of_the_optimal_loss() -> None:
    found = meet([PAIR, dedicated_phase()], at={s: Q(1, 2)}, guess={r: 0.53})
    step = 1e-4
    importances = float(found.r) + np.array([-2, -1, 1, 2]) * step
    losses = [lowest(0.5, x)[0] for x in importances]
    measured = (losses[3] - losses[2]) / step - (losses[1] - losses[0]) / step
    # Rising r goes from the dedicated feature to the pair, the reverse of the order of the points.
    assert abs(measured + float(found.kink(r))) < 1e-3
    assert found.kink(r).sign == 1


def test_losses_of_both_minima_agree_with_the_other_package() -> None:
    found = meet([PAIR, PARTIAL], at={r: Q(9, 10)}, guess={s: 0.637})
    for point in found.points:
        W = [[float(x) for x in row] for row in point.W]
        b = [float(x) for x in point.b]
        loss = population_loss(W, b, density=float(found.s), importance=[1, 0.9])
        assert abs(float(loss) - float(found.loss)) < 1e-14
        assert abs(float(point.loss) - float(found.loss)) < 1e-20


def test_equal_importance_is_met_by_a_symmetric_pair() -> None:
    found = meet([PAIR, PARTIAL], at={r: 1}, guess={s: 0.706})
    a, c = found.points[0].W[0]
    assert abs(a.midpoint + c.midpoint) < Q(1, 10**25)


def test_mirror_images() -> None:
    # The symmetry, for all weights: exact, and not at the point of any boundary.
    a, c = sympy.symbols("a c", positive=True)
    W, b = [[a, -c]], [Q(1, 10), Q(1, 7)]
    sample = {a: Q(9, 10), c: Q(4, 5)}
    loss = expected_loss(W, b, importance=(1, r), sample=sample)
    flipped = expected_loss([[-c, a]], b[::-1], importance=(1, 1 / r), sample=sample)
    assert sympy.simplify(loss - r * flipped) == 0
    found = meet([PAIR, dedicated_phase()], at={s: Q(1, 2)}, guess={r: 0.53})
    family = Family("mirrored", [[0, 1]], [sympy.Symbol("q", positive=True), 0])
    image = meet(
        [PAIR.at((0.8, 1.0, 0.2, 0.05)), Phase("mirrored", family, (0.25,))],
        at={s: Q(1, 2)},
        guess={r: 1.86},
    )
    assert abs(image.r.midpoint - 1 / found.r.midpoint) < Q(1, 10**24)
    density, importance = mirror((found.s, found.r))
    assert density == found.s
    assert importance.lower < image.r.midpoint < importance.upper


def test_a_traced_line_has_the_points_that_are_solved_alone() -> None:
    values = [Q(k, 20) for k in (6, 7, 8)]
    line = trace([PAIR, dedicated_phase()], s, values, guess={r: 0.23})
    alone = meet([PAIR, dedicated_phase()], at={s: Q(2, 5)}, guess={r: 0.34}, digits=20)
    assert [float(point.s) for point in line] == [float(value) for value in values]
    assert abs(line[-1].r.midpoint - alone.r.midpoint) < Q(1, 10**19)
    assert all(point.are_minima for point in line)


def test_excess_is_the_loss_of_the_family_near_the_dedicated_feature() -> None:
    values = {
        epsilon: Q(1, 20),
        alpha: Q(1, 3),
        beta: Q(1, 5),
        kappa: Q(1, 4),
        s: Q(3, 5),
        r: Q(4, 5),
    }
    W = [[1 + Q(1, 60), -Q(1, 20)]]
    b = [Q(1, 100), Q(3, 10) + Q(1, 80)]
    loss = expected_loss(W, b, density=Q(3, 5), importance=(1, Q(4, 5)))
    dropped = Q(4, 5) * (Q(1, 5) - Q(9, 100))
    assert excess().subs(values) == (loss - dropped) / Q(1, 400)


def test_stability_line_against_descent() -> None:
    end = continuous_end(Q(7, 10))
    third = dedicated_stability().third
    assert end.is_positive(third)  # so that the transition is continuous
    importance = float(end[r])
    distance = np.array([1e-4, 1e-5])
    start = np.full((2, 1, 2), [1, -0.01])
    near = descend(start, [0, 0.35], density=0.7 - distance, importance=[1, importance])
    slopes = -near.W[:, 0, 1] / near.W[:, 0, 0] / distance
    # ε = −2 L₂ / 3 L₃, and L₂ changes along s at the rate of its partial derivative
    rate = end.enclose(sympy.diff(dedicated_stability().second, s) * Q(2, 3) / third)[0]
    extrapolated = (10 * slopes[1] - slopes[0]) / 9
    assert abs(slopes[0] / float(rate) - 1) > 0.01  # 1e-4 is not near enough by itself
    assert abs(extrapolated / float(rate) - 1) < 0.005
    beyond = descend(start[:1], [0, 0.35], density=0.701, importance=[1, importance])
    assert abs(beyond.W[0, 0, 1]) < 1e-6


def test_stability_line_is_that_of_the_second_variation() -> None:
    # Derived for the stability of any configuration, with closed forms and no intervals.
    line = stability_line()
    for density in (Q(1, 2), Q(7, 10), Q(9, 10)):
        closed = line.relative_importance.subs(line.density, density)
        assert abs(closed.evalf(40) - continuous_end(density)[r].midpoint) < Q(1, 10**24)
    for exact, point in zip(line.tricritical, tricritical_points(), strict=True):
        assert abs(exact.evalf(40) - point[s].midpoint) < Q(1, 10**24)


def test_tricritical_points_end_the_lines_of_jumps() -> None:
    for upper, point in enumerate(tricritical_points()):
        near = first_order_end({epsilon: Q(1, 10**4)}, upper=bool(upper))
        assert abs(float(near.s) - float(point[s])) < 1e-3
        assert abs(float(near.r) - float(point[r])) < 1e-3
        smaller = first_order_end({epsilon: Q(1, 10**5)}, upper=bool(upper))
        assert abs(smaller.s.midpoint - point[s].midpoint) < abs(
            near.s.midpoint - point[s].midpoint
        )


def test_partial_superposition_ends_with_the_jump_that_descent_sees() -> None:
    end = first_order_end({r: Q(95, 100)})
    assert end.is_minimum
    density = float(end.s) - 1e-6
    found = descend([[[1.0, -0.06]]], [0.03, 0.48], density=density, importance=[1, 0.95])
    np.testing.assert_allclose(found.W[0, 0], [float(x) for x in end.W], atol=1e-3)
    dropped = 0.95 * (density / 3 - density**2 / 4)
    assert found.loss[0] < dropped
    # The same point by the general route, which does not know of the excess.
    again = meet([PARTIAL.at((1, 0.07, 0.03, 0.48)), dedicated_phase()], at={r: Q(95, 100)},
                 guess={s: 0.9147})  # fmt: skip
    assert abs(again.s.midpoint - end.s.midpoint) < Q(1, 10**24)
    kinks = end.kink(r), again.kink(r)
    assert abs(kinks[0].midpoint - kinks[1].midpoint) < Q(1, 10**20)


def test_line_of_jumps_leaves_the_diagram_below_equal_importance() -> None:
    end = first_order_end({s: 1})
    assert Q(98, 100) < end.r.lower < end.r.upper < Q(99, 100)
    # So at r = 0.99 partial superposition is the optimum even where all features are on.
    found = descend([[[1.0, -0.2]]], [0.1, 0.58], density=1.0, importance=[1, 0.99])
    assert found.loss[0] < 0.99 / 12 - 1e-6
    below = descend([[[1.0, -0.2]]], [0.1, 0.58], density=1.0, importance=[1, float(end.r) - 1e-3])
    assert below.loss[0] > (float(end.r) - 1e-3) / 12 - 1e-12


def test_triple_point_lies_on_all_three_lines() -> None:
    point = triple_meeting()
    assert point.are_minima
    exact_r = sympy.Rational(round(float(point.r), 12))
    pair = meet([PAIR, dedicated_phase()], at={r: exact_r}, guess={s: float(point.s)})
    partial = first_order_end({r: exact_r}, upper=False)
    assert abs(float(pair.s) - float(point.s)) < 1e-11
    assert abs(float(partial.s) - float(point.s)) < 1e-11
    low, high = (float(tricritical_points()[k][r]) for k in (0, 1))
    assert float(point.r) < low < high


def test_triangle_and_pair_of_three_features() -> None:
    a, c = sympy.symbols("a c", positive=True)
    p, q = sympy.symbols("p q", real=True)
    family = Family("pair with the last", [[a, 0, -c], [0, 1, 0]], [p, 0, q], (a, c, p, q))
    pair = Phase("pair", family, (0.95, 0.95, 0.11, 0.11))
    triangle = Phase("triangle", isosceles_family(), (0.835, 0.482, 0.964, 0.178, 0.178))
    found = meet([pair, triangle], at={r: 1}, guess={s: 0.522}, digits=20)
    assert found.are_minima
    angles = np.pi / 2 + 2 * np.pi * np.arange(3) / 3
    W = np.array([np.cos(angles), np.sin(angles)])
    sides = []
    for shift in (-1e-4, 1e-4):
        density = float(found.s) + shift
        three = descend(W, [0.1] * 3, density=density, importance=[1, 1, 1])
        two = descend([[0.9, -0.9]], [0.15, 0.15], density=density, importance=[1, 1])
        sides.append(float(three.loss) - float(two.loss))
    assert sides[0] > 0 > sides[1]
    # Equilateral at equal importances: all columns have one length.
    lengths = found.points[1].root.enclose(
        *(sum(entry**2 for entry in isosceles_family().W.col(k)) for k in (0, 2))
    )
    assert abs(lengths[0].midpoint - lengths[1].midpoint) < Q(1, 10**18)


def test_misuse_is_refused() -> None:
    with pytest.raises(ValueError, match="meet at values of k − 1 symbols"):
        meet([PAIR], at={r: 1}, guess={})
    with pytest.raises(ValueError, match="either fixed or solved for"):
        meet([PAIR, PARTIAL], at={r: 1}, guess={r: 1.0})
    with pytest.raises(ValueError, match="give s a value"):
        meet([PAIR, PARTIAL], at={}, guess={r: 1.0})
    with pytest.raises(ValueError, match="fix exactly one"):
        first_order_end({r: 1, s: 1})


def test_mirrored_enclosures_stay_enclosures() -> None:
    _, image = mirror((Q(1, 2), Enclosure(Q(1, 2), Q(2, 3))))
    assert image == Enclosure(Q(3, 2), Q(2))
