"""The sparsity expansion against its definition, and series against high-precision values."""

from __future__ import annotations

from fractions import Fraction as F
from itertools import combinations
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy

from superposition.features import CoActive, Independent
from superposition.numerics import global_minimum, population_loss
from superposition.theory import (
    OPTIMAL,
    UnsolvedBiasError,
    candidates,
    expected_loss,
    lam,
    optimal_bias,
    phase_boundary,
    r,
    regular_polygon,
    s,
)
from superposition.theory.limits.asymptotics import asymptotics, stationary_series
from superposition.theory.limits.expansions import (
    multilinear_expansion,
    one_active_loss,
    sparsity_expansion,
)
from superposition.values import ValueDistribution

HALF = F(1, 2)

CASES: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "pair": ([[1, -1]], None, {"importance": (1, r)}),
    "pair with biases": ([[1, F(-3, 4)]], [F(1, 10), F(-1, 5)], {}),
    "dropped feature": ([[1, 0]], [0, F(1, 3)], {}),
    "three in two": ([[1, F(3, 4), 0], [0, HALF, F(-1, 3)]], [F(1, 10), F(-1, 5), 0], {"penalty": lam}),
    "linear": ([[1, F(3, 4), F(-2, 5)]], [F(1, 10), F(-1, 5), 0], {"activation": "linear"}),
    "pentagon": (regular_polygon(5).W, None, {}),
}  # fmt: skip


def vanishes(difference: Any) -> bool:
    return bool(sympy.expand(difference) == 0)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_terms_by_powers_and_by_active_sets_agree(case: Any) -> None:
    W, b, options = case
    by_powers = sparsity_expansion(W, b, **options)
    by_sets = multilinear_expansion(W, b, **options).by_count()
    for first, second in zip(by_powers.terms, by_sets.terms, strict=True):
        assert vanishes(first - second)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_terms_add_up_to_the_loss(case: Any) -> None:
    W, b, options = case
    assert vanishes(sparsity_expansion(W, b, **options).loss - expected_loss(W, b, **options))


@pytest.mark.parametrize("case", list(CASES.values())[:5], ids=list(CASES)[:5])
def test_each_set_is_the_loss_at_densities_zero_and_one(case: Any) -> None:
    """With densities in {0, 1} exactly one set is ever on: the definition of L_A."""
    W, b, options = case
    expansion = multilinear_expansion(W, b, **options)
    n = expansion.n_features
    for active in (A for k in range(n + 1) for A in combinations(range(n), k)):
        density = [int(j in active) for j in range(n)]
        assert vanishes(expected_loss(W, b, density=density, **options) - expansion.losses[active])


def test_multilinear_in_the_densities() -> None:
    W, b, _ = CASES["three in two"]
    densities = [F(1, 3), F(4, 5), F(1, 7)]
    expansion = multilinear_expansion(W, b)
    assert expansion.loss(densities) == expected_loss(W, b, density=densities)
    numeric = population_loss(
        np.array(W, dtype=float),
        np.array(b, dtype=float),
        density=[float(p) for p in densities],
        importance=np.ones(3),
    )
    assert abs(float(expansion.loss(densities)) / float(numeric) - 1) < 1e-12  # as it states


def test_terms_by_sampling_with_a_fixed_number_of_features_on() -> None:
    W = np.array([[1.0, -0.75, 0.5], [0.0, 0.5, 0.75]])
    b = np.array([0.125, -0.25, 0.0])
    rng = np.random.default_rng(7)
    terms = sparsity_expansion(W, b).terms
    for k, term in enumerate(terms):
        parts = []
        for active in combinations(range(3), k):
            x = np.zeros((100_000, 3))
            x[:, active] = rng.random((100_000, k))
            parts.append(((x - np.maximum(x @ (W.T @ W) + b, 0)) ** 2).sum(axis=1))
        mean = sum(part.mean() for part in parts)
        error = np.sqrt(sum(part.var() / len(part) for part in parts))
        # Five standard errors; no feature on leaves rounding only.
        assert abs(mean - float(term)) < 5 * error + 1e-12


RELU = {name: case for name, case in CASES.items() if name != "linear"}


@pytest.mark.parametrize("case", RELU.values(), ids=RELU.keys())
def test_first_term_in_closed_form(case: Any) -> None:
    W, b, options = case
    importance = options.get("importance")
    first = sparsity_expansion(W, b, importance=importance).terms[1]
    assert vanishes(one_active_loss(W, b, importance=importance) - first)


def test_first_term_without_bias_is_the_formula_of_elhage() -> None:
    W = sympy.Matrix([[1, HALF, F(-2, 3)], [F(1, 4), -1, F(1, 5)]])
    importance = (1, 2, F(1, 3))
    G = W.T * W
    formula = sum(
        importance[i] * ((1 - G[i, i]) ** 2 + sum(max(G[i, j], 0) ** 2 for j in range(3) if j != i)) / 3
        for i in range(3)
    )  # fmt: skip
    assert one_active_loss(W, importance=importance) == formula


def chen(W: sympy.Matrix, b: list[Any]) -> Any:
    """Return H of Chen et al. 2023 (arXiv 2310.06301); L_1 is H/3, as x is uniform on [0, 1]."""
    gram = W.T * W
    n, total = len(b), sympy.S.Zero
    for i in range(n):
        own, bias = gram[i, i], sympy.Rational(b[i])
        kept = (1 - own) ** 2 - 3 * (1 - own) * bias + 3 * bias**2
        others = [gram[i, j] for j in range(n) if j != i]
        if bias <= 0:
            total += sum((a + bias) ** 3 / a for a in others if a > -bias)
            total += bias**3 / own**2 + bias**3 / own + kept if own >= -bias else 1
        else:
            total += kept
            total += sum(
                -(bias**3) / a if a < -bias else a**2 + 3 * a * bias + 3 * bias**2 for a in others
            )
    return total


@pytest.mark.parametrize("biases", [[F(-1, 10), F(1, 10), 0], [F(-4, 5), HALF, F(-1, 3)]], ids=str)
def test_first_term_is_the_one_hot_potential(biases: list[Any]) -> None:
    W = sympy.Matrix([[1, HALF, F(-2, 3)], [F(1, 4), -1, F(1, 5)]])
    assert one_active_loss(W, biases) == chen(W, biases) / 3


def test_first_term_with_symbols_holds_in_every_chamber() -> None:
    u, v, beta = sympy.symbols("u v beta", real=True)
    closed = one_active_loss([[u, v]], [beta, 0])
    rng = np.random.default_rng(3)
    for _ in range(20):
        numbers = [sympy.Rational(int(k), 8) for k in rng.integers(-12, 13, 3)]
        if 0 in numbers[:2]:
            continue
        at = dict(zip((u, v, beta), numbers, strict=True))
        fixed = sparsity_expansion([[at[u], at[v]]], [at[beta], 0])
        assert vanishes(closed.subs(at) - fixed.terms[1])


def test_other_values_and_other_features() -> None:
    linear = ValueDistribution((0, 2))  # density 2x on [0, 1]: E x² = 1/2
    assert sparsity_expansion([[0]], features=Independent(linear)).terms == (0, HALF)
    with pytest.raises(ValueError, match="on independently"):
        sparsity_expansion([[1, -1]], features=CoActive())


def test_what_depends_on_the_density_is_refused() -> None:
    for function in (sparsity_expansion, multilinear_expansion, one_active_loss):
        with pytest.raises(ValueError, match="fixed biases"):
            function([[1, 0]], [0, OPTIMAL])
        with pytest.raises(ValueError, match="must not depend on the density"):
            function([[1, s]])


def test_text_and_latex() -> None:
    expansion = sparsity_expansion([[1, -1]])
    assert "L_2 = 1/3" in expansion.text()
    assert str(expansion) == expansion.text()
    assert "L_{2} &= \\frac{1}{3}" in expansion.latex()
    assert expansion._repr_markdown_().startswith("$$")


# --- series -------------------------------------------------------------------------------------


def remainder_order(exact: Any, series: Any, near: tuple[float, float]) -> float:
    """Return the slope of log |exact − series| between two distances from the point."""
    errors = [abs(exact(t) - series(t)) for t in near]
    return float(mpmath.log(errors[0] / errors[1]) / mpmath.log(mpmath.mpf(near[0]) / near[1]))


SERIES = {
    "phase boundary": (2 * s / (4 - 5 * s), 0),
    "phase boundary at 1": (2 * s / (4 - 5 * s), 1),
    "root": (sympy.sqrt(s) / (1 + s), 0),
    "polynomial": (s / 3 - s**2 / 4 + s**7, 0),
    "exponential": (sympy.exp(s) * sympy.cos(s), 1),
}


@pytest.mark.parametrize(("expression", "point"), SERIES.values(), ids=SERIES.keys())
@pytest.mark.parametrize("order", [3, 5])
def test_remainder_has_the_stated_order(expression: Any, point: int, order: int) -> None:
    result = asymptotics(expression, point=point, order=order)
    assert all(power < order for power, _ in result.terms)
    with mpmath.workdps(60):
        near = (1e-6, 1e-7)
        exact, series = (sympy.lambdify(s, e, "mpmath") for e in (expression, result.series))
        slope = remainder_order(
            lambda t: exact(mpmath.mpf(t) if point == 0 else 1 - mpmath.mpf(t)),
            lambda t: series(mpmath.mpf(t) if point == 0 else 1 - mpmath.mpf(t)),
            near,
        )
    # The slope is the lowest power left out, up to the next term, about 1e−6 of it.
    assert slope > order - 0.01


def test_phase_boundary_leaves_the_origin_with_slope_one_half() -> None:
    _, last, both = candidates(2, 1)
    (boundary,) = phase_boundary(last, both)
    assert asymptotics(boundary).series == s / 2 + 5 * s**2 / 8 + 25 * s**3 / 32


def test_configuration_at_both_ends() -> None:
    first = candidates(2, 1)[0]
    assert asymptotics(first, importance=1).series == s / 3 - s**2 / 4
    dense = asymptotics(first, point=1, importance=1)
    assert dense.terms == (
        (0, sympy.Rational(1, 12)),
        (1, sympy.Rational(1, 6)),
        (2, -sympy.Rational(1, 4)),
    )


def test_piece_next_to_the_point_is_taken() -> None:
    optimum = optimal_bias([[HALF, F(3, 2)]], 0)
    assert len(optimum.regimes) == 2
    dense = asymptotics(optimum.loss, point=1)
    assert vanishes(dense.series - optimum.regimes[1].loss)
    sparse = asymptotics(optimum.loss, order=2)
    assert sparse.terms[0] == (1, sympy.Rational(1, 3))
    for density in (F(1, 10**4), F(1, 10**6)):
        exact = optimum.loss.subs(s, sympy.Rational(density)).evalf(40)
        # the first power left out is 3/2 or higher, as the loss has powers of √s
        assert abs(exact - sparse.series.subs(s, density)) < 10 * density ** F(3, 2)


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match="point must be 0 or 1"):
        asymptotics(s, point=2)
    with pytest.raises(ValueError, match=r"no series|no sum of powers"):
        asymptotics(sympy.log(s))
    with pytest.raises(UnsolvedBiasError):
        asymptotics(expected_loss([[1, -1]], OPTIMAL))


# --- the optimized antipodal pair ---------------------------------------------------------------

a, beta = sympy.symbols("a beta", positive=True)
NEAR = {a: 1, beta: F(1, 100)}


@pytest.fixture(scope="module")
def pair() -> Any:
    loss = expected_loss([[a, -a]], [beta, beta], sample=NEAR)
    return loss, stationary_series(loss, {a: 1, beta: 0}, order=6)


def mpmath_minimum(loss: Any, density: Any) -> tuple[Any, Any, Any]:
    """Solve the two stationarity equations at one density with 60 digits."""
    equations = [sympy.diff(loss, name).subs(s, density) for name in (a, beta)]
    found = sympy.nsolve(equations, (a, beta), (1 + density / 16, density**2 / 10), prec=60)
    return found[0], found[1], loss.subs({a: found[0], beta: found[1], s: density})


def test_optimized_pair_agrees_with_high_precision_roots(pair: Any) -> None:
    loss, series = pair
    errors = []
    for density in (sympy.Rational(1, 1000), sympy.Rational(1, 2000)):
        exact = mpmath_minimum(loss, density)
        approximate = (series.unknowns[a], series.unknowns[beta], series.loss)
        errors.append(
            [abs(e - q.series.subs(s, density)) for e, q in zip(exact, approximate, strict=True)]
        )
    for coarse, fine, quantity in zip(
        *errors, (series.unknowns[a], series.unknowns[beta], series.loss), strict=True
    ):
        # Halving the density divides the remainder by 2^order, up to the next term, about 1 %.
        assert abs(np.log2(float(coarse / fine)) - quantity.order) < 0.05


def test_optimized_pair_is_what_descent_finds(pair: Any) -> None:
    _, series = pair
    for density in (0.02, 0.05):
        best = global_minimum(n_features=2, n_hidden=1, density=density, importance=[1, 1])
        predicted = float(series.loss.series.subs(s, density))
        assert abs(float(best.loss) / predicted - 1) < 10 * density**6  # terms left out


def test_leading_terms_of_the_optimized_pair_by_hand(pair: Any) -> None:
    """With q = a², L/2 ≈ s (1−q)²/3 + s² (1/3 − q/4 + q²/12): q − 1 = s/8, a gain of s³/192."""
    _, series = pair
    q = sympy.Symbol("q")
    leading = s * (1 - q) ** 2 / 3 + s**2 * (sympy.Rational(1, 3) - q / 4 + q**2 / 12)
    best = sympy.solve(sympy.diff(leading, q), q)[0]
    assert sympy.series(best, s, 0, 2).removeO() == 1 + s / 8
    assert series.unknowns[a].series.coeff(s, 1) == sympy.Rational(1, 16)
    assert [series.loss.series.coeff(s, k) for k in (2, 3)] == [
        sympy.Rational(1, 3),
        -sympy.Rational(1, 96),
    ]


def test_bias_of_a_pair_of_unit_weights() -> None:
    """The oracle is the exact optimal bias at one density, an algebraic number."""
    loss = expected_loss([[1, -1]], [beta, beta], sample={beta: F(1, 100)})
    series = stationary_series(loss, {beta: 0}, order=8).unknowns[beta]
    density = F(1, 100)
    exact = optimal_bias([[1, -1]], 0, density=density).bias.evalf(40)
    assert abs(exact - series.series.subs(s, sympy.Rational(density))) < 100 * density**8


def test_no_series_from_a_wrong_start() -> None:
    loss = expected_loss([[a, -a]], [beta, beta], sample=NEAR)
    with pytest.raises(ValueError, match="stationary point"):
        stationary_series(loss, {a: 2, beta: 0})
    with pytest.raises(ValueError, match="must depend on"):
        stationary_series(loss, {a: 1})
    with pytest.raises(ValueError, match="rational"):
        stationary_series(loss, {a: sympy.sqrt(2), beta: 0})


@pytest.mark.parametrize("options", [{"importance": (s, 1)}, {"penalty": s**3}])
def test_importances_and_penalty_must_not_depend_on_the_density(options: Any) -> None:
    with pytest.raises(ValueError, match="must not depend on the density"):
        sparsity_expansion([[1, -1]], **options)
