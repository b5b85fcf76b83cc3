"""One-sided variations and the line on which a dedicated feature loses its stability.

Oracles: the exact loss at small ε (the remainder must be of the next order); minimization of the
second difference of `superposition.numerics`; exact descent on both sides of the line; a symmetry
that only holds at density 1.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from scipy.optimize import minimize

from superposition.features import CoActive, Independent
from superposition.numerics import population_loss
from superposition.numerics.minima.descent import descend
from superposition.theory import OPTIMAL, UndecidedSignError, expected_loss, r, s
from superposition.theory.landscape.stability import (
    StabilityLine,
    best_variation,
    stability_line,
    vary,
)
from superposition.values import ValueDistribution

F = Fraction
a, beta, gamma = sympy.symbols("a beta gamma", real=True)


@pytest.fixture(scope="module")
def opposed() -> StabilityLine:
    return stability_line()


@pytest.fixture(scope="module")
def aligned() -> StabilityLine:
    return stability_line(aligned=True)


CASES: dict[str, tuple[Any, Any, Any, Any, dict[str, Any]]] = {
    "out of a kink": ([[1, 0]], [0, F(1, 4)], [[F(1, 3), -1]], [F(1, 5), F(1, 7)], {}),
    "to the dead side": ([[1, 0]], [0, F(1, 4)], [[F(1, 3), -1]], [F(-1, 5), 0], {}),
    "aligned": ([[1, 0]], [0, F(1, 4)], [[0, 1]], [F(-1, 2), 0], {}),
    "smooth": ([[F(9, 10), F(-4, 5)]], [F(1, 10)] * 2, [[1, 1]], [1, -1], {}),
    "pair at its kink": ([[1, -1]], [0, 0], [[F(1, 2), F(1, 3)]], [1, F(-1, 2)], {}),
    "two dimensions": (
        [[1, 0, 0], [0, 1, 0]], [0, 0, F(1, 4)],
        [[0, 0, F(-3, 5)], [0, 0, F(-4, 5)]], [F(1, 10), F(1, 20), F(1, 3)], {},
    ),
    "penalized": ([[1, 0]], [0, F(1, 4)], [[0, -1]], [0, 0], {"penalty": F(1, 10)}),
    "co-active": ([[1, 0]], [0, F(1, 4)], [[0, -1]], [F(1, 2), 0], {"features": CoActive()}),
    "linear": ([[1, 0]], [0, F(1, 4)], [[1, -1]], [0, 1], {"activation": "linear"}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_the_remainder_is_of_the_next_order(case: Any) -> None:
    W, b, V, c, options = case
    moved = vary(W, b, V, c, density=F(1, 2), **options)
    W, b, V, c = (np.array(part, dtype=object) for part in (W, b, V, c))

    def scaled_remainder(eps: Fraction) -> float:
        exact = expected_loss(W + eps * V, b + eps * c, density=F(1, 2), **options)
        series = sum(coefficient * eps**k for k, coefficient in enumerate(moved.coefficients))
        return float((exact - series) / eps**4)

    coarse, fine = scaled_remainder(F(1, 10**4)), scaled_remainder(F(1, 10**6))
    assert fine == pytest.approx(coarse, rel=1e-2, abs=1e-3)  # both are L_4 up to order ε


def test_either_side_of_a_kink_has_its_own_coefficients() -> None:
    def second(drift: Any) -> Any:
        moved = vary([[1, 0]], [0, s / 2], [[0, -1]], [drift, 0], sample={beta: F(1, 10), s: 0.5})
        return moved.coefficients[2]

    inside = second(beta)  # on the cone of the sample, 0 < β < 1
    assert sympy.expand(inside.subs(beta, F(1, 10)) - second(F(1, 10))) == 0
    assert sympy.expand(inside.subs(beta, F(-1, 10)) - second(F(-1, 10))) != 0


def test_conditions_describe_the_cone() -> None:
    moved = vary([[1, 0]], [0, s / 2], [[a, -1]], [beta, gamma], importance=(1, r),
                 sample={a: 0.1, beta: 0.1, gamma: 0.1, s: 0.5})  # fmt: skip
    assert set(moved.conditions) == {beta > 0, beta - 1 < 0}
    outside = vary([[1, 0]], [0, s / 2], [[a, -1]], [beta, gamma], importance=(1, r),
                   sample={a: 0.1, beta: 1.1, gamma: 0.1, s: 0.5})  # fmt: skip
    assert (beta - 1 > 0) in outside.conditions
    assert moved.coefficients[2] != outside.coefficients[2]
    # on the wall between the cones the two agree
    difference = moved.coefficients[2] - outside.coefficients[2]
    assert sympy.expand(difference.subs(beta, 1)) == 0


def test_a_sample_on_a_wall_is_refused() -> None:
    with pytest.raises(UndecidedSignError):
        vary([[1, 0]], [0, s / 2], [[a, -1]], [beta, 0], sample={a: 0.1, beta: 1, s: 0.5})


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([[1, 0]], [0, 0], [[1, 0, 0]], [0, 0]), {}, "V must have the shape of W"),
        (([[1, 0]], [0, OPTIMAL], [[0, 1]], [0, 0]), {}, "got OPTIMAL"),
        (([[1, 0]], [0, 0], [[0, 1]], [0]), {}, "n_features = 2 entries"),
        (([[1, 0]], [0, 0], [[0, 1]], [0, 0]), {"order": 0}, "order must be an integer"),
    ],
)
def test_bad_directions_are_refused(arguments: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        vary(*arguments, **options)


def test_a_configuration_that_can_fall_at_first_order_has_no_best_variation() -> None:
    moved = vary([[1, -1]], [0, 0], [[0, 0]], [beta, 0], sample={beta: 0.1, s: 0.5})
    with pytest.raises(ValueError, match=r"not stationary along the direction: L_1 = -"):
        best_variation(moved, [beta])


# --- the line ----------------------------------------------------------------------------------


@pytest.mark.parametrize("density", [0.1, 0.3, 0.6, 0.9])
@pytest.mark.parametrize("name", ["opposed", "aligned"])
def test_on_the_line_the_least_second_difference_vanishes(
    name: str, density: float, request: pytest.FixtureRequest
) -> None:
    """Minimize (L(ε) − L(0))/ε² of the numerics over all cones at once, by another method."""
    line = request.getfixturevalue(name)
    sign = 1 if line.aligned else -1
    importance = [1, float(line.relative_importance.subs(s, sympy.Rational(str(density))))]
    eps = 1e-4
    start = float(
        population_loss([[1, 0]], [0, density / 2], density=density, importance=importance)
    )

    def second_difference(direction: Any) -> float:
        W = [[1 + direction[0] * eps, sign * eps]]
        b = [direction[1] * eps, density / 2 + direction[2] * eps]
        return (
            float(population_loss(W, b, density=density, importance=importance)) - start
        ) / eps**2

    ends = [minimize(second_difference, [0, drift, 0], method="Nelder-Mead",
                     options={"xatol": 1e-7, "fatol": 1e-11, "maxiter": 4000})
            for drift in (-1.5, -0.5, 0.1, 0.5, 1.5)]  # fmt: skip
    best = min(ends, key=lambda end: end.fun)
    # What is left is ε L_3, with |L_3| < 1, and the rounding of the loss over ε².
    assert abs(best.fun) < eps + 1e-15 / eps**2
    assert best.x[1] == pytest.approx(float(line.beta.subs(s, density)), abs=3e-3)


def test_exact_descent_on_both_sides_of_the_continuous_stretch(opposed: StabilityLine) -> None:
    density = 0.7
    critical = float(opposed.relative_importance.subs(s, density))
    distance = np.array([-1e-3, 1e-4, 1e-5])
    importance = np.stack([np.ones(3), critical + distance], axis=1)
    W = np.full((3, 1, 2), [1, -0.02])
    # Newton's steps lead to the saddle next door, which has less curvature than they can tell.
    found = descend(W, [0, density / 2], density=density, importance=importance, method="bfgs")
    lengths = np.abs(found.W[:, 0]).min(axis=-1)
    assert lengths[0] < 1e-6  # stable: the column vanishes
    # unstable: its length is that of the cubic, −2 L_2/(3 L_3), the better the nearer the line
    second = opposed.best.closed_form(opposed.best.second)
    at = {s: sympy.Rational(7, 10), sympy.Symbol("r", positive=True): critical + 1e-5}
    predicted = float(-2 * second.subs(at) / (3 * opposed.third.subs(at)))
    deviation = lengths[1:] / (predicted * distance[1:] / 1e-5) - 1
    assert abs(deviation[0]) < 0.05
    assert abs(deviation[1]) < abs(deviation[0]) / 5  # the next order is linear in the distance


def test_minimum_of_the_kinked_form_is_inside_its_cone(opposed: StabilityLine) -> None:
    equation = opposed.best.equation.as_expr()
    assert sympy.simplify(equation.subs(beta, opposed.beta)) == 0
    for density in (F(1, 100), F(1, 2), F(99, 100)):
        assert 0 < opposed.beta.subs(s, density) < F(1, 2)
    assert opposed.best.direction[gamma] == s / 2


def test_other_cones_are_never_lower(opposed: StabilityLine) -> None:
    """At their own minima over a and γ the outer cones have larger L_2, for every β in them."""
    for sample_beta in (F(-1, 10), F(11, 10)):
        outer = vary([[1, 0]], [0, s / 2], [[a, -1]], [beta, gamma], importance=(1, r),
                     sample={a: 0.1, beta: sample_beta, gamma: 0.1, s: 0.5})  # fmt: skip
        second = outer.coefficients[2]
        for symbol in (a, gamma):
            second = second.subs(symbol, sympy.solve(sympy.diff(second, symbol), symbol)[0])
        (lowest,) = sympy.solve(sympy.diff(sympy.expand(second), beta), beta)
        for density in (F(1, 10), F(1, 2), F(9, 10)):
            # the parabola falls toward the wall that it shares with the inner cone
            value = lowest.subs(s, density)
            assert not (value < 0 if sample_beta < 0 else value > 1)


def test_aligned_perturbations_come_later_and_tie_at_full_density(
    opposed: StabilityLine, aligned: StabilityLine
) -> None:
    assert sympy.cancel(aligned.relative_importance - (5 + 8 * s - 9 * s**2) / (16 - 12 * s)) == 0
    for density in np.linspace(0.01, 0.99, 25):
        exact = sympy.Rational(str(round(density, 6)))
        gap = (aligned.relative_importance - opposed.relative_importance).subs(s, exact)
        assert gap.evalf(30) > 0
    assert sympy.limit(opposed.relative_importance, s, 1, "-") == 1
    assert aligned.relative_importance.subs(s, 1) == 1


def test_sparse_limit_of_the_line(opposed: StabilityLine) -> None:
    """At low density r_c tends to s times a constant, as the closed-form boundary s/2 does."""
    slope = sympy.limit(opposed.relative_importance / s, s, 0, "+")
    assert slope == 1


def test_the_transition_changes_kind_where_the_cubic_vanishes(opposed: StabilityLine) -> None:
    low, high = opposed.tricritical
    assert (float(low), float(high)) == pytest.approx((0.52025, 0.83732), abs=5e-6)
    for density, sign in ((F(1, 2), -1), (F(7, 10), 1), (F(9, 10), -1)):
        assert sympy.sign(opposed.third.subs(s, density).evalf(30)) == sign


def test_a_new_column_gains_nothing_from_spreading_over_dimensions() -> None:
    """(3, 2): along (cos t, sin t) L_2 is that of one entry, with the biases that go with it."""
    line = stability_line()
    third = sympy.Rational(1, 3)
    beta_star = line.beta.subs(s, third)
    a_star = line.best.direction[a].subs({beta: beta_star, s: third})
    # Rational stand-ins: L_2 need only be compared along one and the same relative direction.
    drift, kept = (sympy.nsimplify(value.evalf(15), rational=True) for value in (beta_star, a_star))
    single = vary([[1, 0]], [0, third / 2], [[kept, -1]], [drift, third / 2], density=third,
                  importance=(1, r)).coefficients[2]  # fmt: skip
    cosine, sine = F(3, 5), F(4, 5)
    spread = vary(
        [[1, 0, 0], [0, 1, 0]],
        [0, 0, third / 2],
        [[kept * cosine, 0, -cosine], [0, kept * sine, -sine]],
        [drift * cosine, drift * sine, (cosine + sine) * third / 2],
        density=third,
        importance=(1, 1, r),
    ).coefficients[2]
    assert sympy.expand(spread - single) == 0


def test_values_of_either_sign_have_kinks_at_both_ends() -> None:
    """W = 1, b = 1 with x in [−1, 1]: the kink at x = −1 moves in or out with the bias."""
    both = Independent(ValueDistribution([1], symmetric=True))
    model: dict[str, Any] = {"density": F(1, 2), "features": both}
    with pytest.raises(UndecidedSignError):
        vary([[1]], [1], [[0]], [beta], **model)
    for value in (F(1, 10), F(-1, 10)):
        moved = vary([[1]], [1], [[0]], [beta], sample={beta: value}, **model)
        assert moved.conditions
        eps = F(1, 1000)
        exact = expected_loss([[1]], [1 + eps * value], **model)
        series = sum(c.subs(beta, value) * eps**k for k, c in enumerate(moved.coefficients))
        assert abs(exact - series) < eps**4
