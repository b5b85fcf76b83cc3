"""The one-hot potential and its critical polygons, against quadrature of the definition."""

from fractions import Fraction
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
from scipy.optimize import minimize

from superposition.features import OneHot
from superposition.numerics import population_loss
from superposition.theory import OPTIMAL, UndecidedSignError, expected_loss
from superposition.theory.limits.one_hot import (
    interference_term,
    one_hot_potential,
    reconstruction_term,
)
from superposition.theory.limits.one_hot_polygons import (
    CriticalPolygon,
    _chambers,
    hessian_eigenvalues,
    one_hot_report,
    polygon_critical_points,
)

CORNERS = range(2, 11)
NODES, WEIGHTS = np.polynomial.legendre.leggauss(2)  # exact for the cubics between kinks


@cache
def the(k: int) -> CriticalPolygon:
    """The one critical k-gon; its exact numbers take up to two seconds."""
    return polygon_critical_points(k)[0]


def definition(W: Any, b: Any) -> float:
    """3 Σ_j Σ_i ∫ (δ_ij x − (W_i·W_j x + b_i)₊)² dx, split at the kink, in floating point."""
    W, b = np.asarray(W, dtype=float), np.asarray(b, dtype=float)
    gram = W.T @ W
    with np.errstate(divide="ignore", invalid="ignore"):
        kinks = np.nan_to_num(np.clip(-b[:, None] / gram, 0, 1), nan=0.0)
    total = 0.0
    for low, high in ((0 * kinks, kinks), (kinks, 0 * kinks + 1)):
        for node, weight in zip(NODES, WEIGHTS, strict=True):
            x = low + (high - low) * (1 + node) / 2
            error = np.eye(len(b)) * x - np.maximum(gram * x + b[:, None], 0)
            total += float((weight * (high - low) / 2 * error**2).sum())
    return 3 * total


def polygon(k: int, radius: float, bias: float) -> tuple[Any, Any]:
    angles = 2 * np.pi * np.arange(k) / k
    return radius * np.array([np.cos(angles), np.sin(angles)]), np.full(k, bias)


def flat(W: Any, b: Any) -> Any:
    return np.concatenate([np.ravel(W), b])


def at(parameters: Any) -> float:
    k = len(parameters) // 3
    return definition(parameters[: 2 * k].reshape(2, k), parameters[2 * k :])


def numeric_configuration(point: CriticalPolygon) -> Any:
    return flat(*polygon(point.corners, float(point.radius.evalf()), float(point.bias.evalf())))


# --- the potential -----------------------------------------------------------------------------


F = Fraction
CASES: dict[str, tuple[Any, list[Any]]] = {
    "antipodal": ([[1, -1]], [0, 0]),
    "same sign, negative": ([[1, F(1, 2)]], [F(-1, 4), F(-1, 8)]),
    "mixed biases": ([[1, F(-3, 4), F(1, 3)]], [F(1, 4), F(-1, 5), F(1, 2)]),
    "two dimensions": ([[1, 0, F(-1, 2)], [F(1, 3), 1, F(-2, 3)]], [F(-1, 3), F(1, 10), 0]),
    "dropped": ([[1, 0, 0]], [0, F(1, 6), F(-1, 6)]),
    "dead": ([[1, 1]], [-2, -1]),
    "large": ([[2, F(3, 2)]], [F(-1, 2), -3]),
}


@pytest.mark.parametrize("case", CASES)
def test_potential_is_the_integral_of_the_definition(case: str) -> None:
    W, b = CASES[case]
    exact = one_hot_potential(W, b)
    assert exact.is_Rational
    # A few hundred terms of order 1, each rounded a few times.
    assert float(exact) == pytest.approx(definition(W, b), rel=1e-13, abs=1e-14)


@pytest.mark.parametrize("case", CASES)
def test_potential_is_3n_times_the_loss_of_one_hot_features(case: str) -> None:
    """Oracles: the derivation for any feature distribution, and the numerics."""
    W, b = CASES[case]
    n = len(b)
    exact = one_hot_potential(W, b)
    derived = expected_loss(W, b, density=F(1, n), features=OneHot())
    assert exact == 3 * n * derived
    numeric = population_loss(
        np.array(W, dtype=float),
        np.array(b, dtype=float),
        density=1 / n,
        importance=np.ones(n),
        features=OneHot(),
    )
    assert float(exact) == pytest.approx(3 * n * float(numeric), rel=1e-12, abs=1e-14)


def test_terms_are_symbolic_integrals_in_every_chamber() -> None:
    x, a, b = sympy.symbols("x a b", real=True)

    def integral(error: Any, low: Any, high: Any) -> Any:
        return 3 * sympy.integrate(sympy.expand(error), (x, low, high))

    on = (a * x + b) ** 2
    own = (x - a * x - b) ** 2
    kink = -b / a
    quarter = sympy.Rational(1, 4)
    for sample, term, expected in [
        ({a: 1, b: -quarter}, interference_term, integral(on, kink, 1)),
        ({a: -1, b: quarter}, interference_term, integral(on, 0, kink)),
        ({a: 1, b: quarter}, interference_term, integral(on, 0, 1)),
        ({a: quarter, b: -1}, interference_term, 0),
        (
            {a: 1, b: -quarter},
            reconstruction_term,
            integral(x**2, 0, kink) + integral(own, kink, 1),
        ),
        ({a: 1, b: quarter}, reconstruction_term, integral(own, 0, 1)),
        ({a: quarter, b: -1}, reconstruction_term, integral(x**2, 0, 1)),
    ]:
        assert sympy.simplify(term(a, b, sample) - expected) == 0


def test_best_bias_of_a_dropped_feature() -> None:
    """All n inputs give the same output b: 3 E = 1 − 3b + 3n b², least at b = 1/2n."""
    n = 4
    dropped = one_hot_potential([[0] * n], [F(1, 2 * n)] * n) / n
    assert dropped == 1 - F(3, 4 * n)


def test_undecided_signs_and_open_biases_are_refused() -> None:
    w = sympy.Symbol("w", real=True)
    with pytest.raises(UndecidedSignError):
        one_hot_potential([[1, w]])
    assert one_hot_potential([[1, w]], sample={w: -1}).subs(w, -1) == 0
    with pytest.raises(ValueError, match="got OPTIMAL"):
        one_hot_potential([[1, -1]], [0, OPTIMAL])


# --- polygons ----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [2, 3, 4, 5, 6, 8, 10])
def test_one_critical_polygon_each_and_no_other_on_a_grid(k: int) -> None:
    """Oracle: signs of the two slopes of the definition, over radius and bias.

    For a given β the potential is quadratic in l², so that its best radius is found exactly.
    """
    (point,) = polygon_critical_points(k)
    thresholds = np.linspace(-2, 0.995, 600) + 1e-4

    def best(beta: float) -> float:
        at_squares = [definition(*polygon(k, np.sqrt(q), -beta * q)) for q in (0.0, 1.0, 2.0)]
        bend = (at_squares[0] - 2 * at_squares[1] + at_squares[2]) / 2
        slope = at_squares[1] - at_squares[0] - bend
        return at_squares[0] - slope**2 / (4 * bend)

    signs = np.sign(np.diff([best(beta) for beta in thresholds]))
    turns = np.flatnonzero(np.diff(signs))
    assert len(turns) == 1
    found = float(point.threshold.evalf())
    assert thresholds[turns[0]] - 1e-9 <= found <= thresholds[turns[0] + 2] + 1e-9


@pytest.mark.parametrize("k", [3, 5, 6, 8])
def test_benefit_and_cost_give_the_potential_in_every_chamber(k: int) -> None:
    """H_i = 1 − l² T + l⁴ S against the definition, at one threshold in each chamber."""
    square = 0.7
    for chamber in _chambers(k):
        low = max(float(chamber.lower), -2.0)
        beta = low + 0.37 * (float(chamber.upper) - low)
        benefit, cost = (
            float(polynomial.as_expr().subs(polynomial.gen, beta))
            for polynomial in (chamber.benefit, chamber.cost)
        )
        expected = definition(*polygon(k, np.sqrt(square), -beta * square)) / k
        assert 1 - square * benefit + square**2 * cost == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("k", [5, 6, 8, 10])
def test_radius_and_bias_solve_the_stationarity_of_the_exact_potential(k: int) -> None:
    """Derivatives of `one_hot_potential`, with symbols in W, at 30 digits."""
    point = the(k)
    l, b = sympy.symbols("l b", real=True)
    turns = [2 * sympy.pi * i / k for i in range(k)]
    W = [[l * f(turn) for turn in turns] for f in (sympy.cos, sympy.sin)]
    near = {l: sympy.Rational(point.radius.evalf(12)), b: sympy.Rational(point.bias.evalf(12))}
    potential = one_hot_potential(W, [b] * k, sample=near)
    exact = {l: point.radius.evalf(40), b: point.bias.evalf(40)}
    for symbol in (l, b):
        assert abs(potential.diff(symbol).subs(exact).evalf(30)) < 1e-28
    assert abs((potential.subs(exact) - point.potential).evalf(30)) < 1e-28
    assert all(bool(relation.subs(exact)) for relation in point.chamber)


@pytest.mark.parametrize("k", CORNERS)
def test_polynomials_are_irreducible_and_vanish(k: int) -> None:
    point = the(k)
    assert point.polynomial.is_irreducible
    residue = point.polynomial.as_expr().subs(point.polynomial.gen, point.threshold.evalf(60))
    assert abs(residue) < 1e-40
    assert abs((point.bias + point.threshold * point.radius**2).evalf(30)) < 1e-28


def test_closed_forms() -> None:
    for k in (2, 3, 4):
        point = the(k)
        assert (point.radius, point.bias, point.potential) == (1, 0, 0)
    golden = (1 + sympy.sqrt(5)) / 2
    decagon = the(10)
    assert (decagon.threshold, decagon.potential) == (sympy.expand(1 / golden).simplify(), 5)
    assert sympy.expand(decagon.radius - golden) == sympy.expand(decagon.bias + golden) == 0


@pytest.mark.parametrize("k", [4, 5, 6, 7, 8, 9, 10])
def test_polygons_are_critical_in_all_of_weights_and_biases(k: int) -> None:
    """Central differences of the definition in all 3k directions, not just radius and bias."""
    start = numeric_configuration(the(k))
    h = 1e-6
    steps = h * np.eye(3 * k)
    gradient = [(at(start + step) - at(start - step)) / (2 * h) for step in steps]
    # Rounding 1e−16·H/h, and h times a jump of the second derivative, below 30, for k = 4.
    np.testing.assert_allclose(gradient, 0, atol=1e-8 if k > 4 else 1e-5)


@pytest.mark.parametrize("k", [5, 7])
def test_polygons_with_dropped_features_are_critical(k: int) -> None:
    """Two more features, with zero columns and the bias 1/2n."""
    n = k + 2
    W, b = polygon(k, float(the(k).radius.evalf()), float(the(k).bias.evalf()))
    start = flat(np.pad(W, ((0, 0), (0, 2))), np.append(b, [1 / (2 * n)] * 2))
    h = 1e-6
    steps = h * np.eye(3 * n)
    gradient = [(at(start + step) - at(start - step)) / (2 * h) for step in steps]
    np.testing.assert_allclose(gradient, 0, atol=1e-8)
    assert at(start) == pytest.approx(float(the(k).potential.evalf()) + 2 * (1 - 3 / (4 * n)))


@pytest.mark.parametrize("k", [5, 6, 8])
def test_hessian_against_differences_of_the_definition(k: int) -> None:
    """The spectrum does not depend on the order of the coordinates."""
    start, n = numeric_configuration(the(k)), 3 * k
    h = 2e-4
    steps = h * np.eye(n)
    numeric = np.empty((n, n))
    for i in range(n):
        for j in range(i, n):
            corners = [
                sign * other * at(start + sign * steps[i] + other * steps[j])
                for sign in (1, -1)
                for other in (1, -1)
            ]
            numeric[i, j] = numeric[j, i] = sum(corners) / (4 * h**2)
    found = [float(value) for value in hessian_eigenvalues(the(k))]
    # h² times fourth derivatives, up to a few hundred, and rounding 1e−15/h².
    np.testing.assert_allclose(np.linalg.eigvalsh(numeric), found, atol=1e-4)


@pytest.mark.parametrize("k", CORNERS)
def test_stability(k: int) -> None:
    kinds = {2: "global minimum", 3: "global minimum", 4: "global minimum", 10: "saddle"}
    assert the(k).stability == kinds.get(k, "minimum")


def test_descent_returns_to_the_polygons_that_are_minima_and_leaves_the_saddle() -> None:
    """Oracle for the stability: descent on the definition from perturbed polygons."""
    rng = np.random.default_rng(0)
    for k in (5, 7, 8, 10):
        point = the(k)
        start = numeric_configuration(point)
        reached = min(
            minimize(at, start + 0.01 * rng.normal(size=3 * k), options={"gtol": 1e-7}).fun
            for _ in range(2)
        )
        if point.stability == "minimum":
            assert reached == pytest.approx(float(point.potential.evalf()), abs=1e-9)
        else:
            assert reached < float(point.potential) - 1e-3


def test_one_eigenvalue_is_the_rotation_and_walls_have_no_hessian() -> None:
    eigenvalues = hessian_eigenvalues(the(5))
    assert len(eigenvalues) == 15
    assert sum(abs(value) < mpmath.mpf(10) ** -30 for value in eigenvalues) == 1
    assert min(abs(value) for value in eigenvalues[1:]) > 1
    with pytest.raises(ValueError, match="b = 0, where the second derivatives"):
        hessian_eigenvalues(the(4))


def test_configuration_has_the_potential_of_the_point() -> None:
    hexagon = the(6)
    configuration = hexagon.configuration
    value = definition(configuration.W_array(), configuration.b_array(1))
    assert value == pytest.approx(float(hexagon.potential.evalf()), rel=1e-13)


def test_report_and_bad_sizes() -> None:
    report = one_hot_report(5)
    assert "root of 11*x**8" in report
    assert "stability  minimum" in report
    with pytest.raises(ValueError, match="at least 2 corners here, got n_features = 1"):
        polygon_critical_points(1)
    with pytest.raises(ValueError, match="integer of at least 1"):
        polygon_critical_points(2.5)  # type: ignore[arg-type]
