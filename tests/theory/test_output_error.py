"""The error of an output for every distribution of features, against independent integration.

Oracles: SymPy's own integration of the transform; quadrature of the definition on pieces without a
kink; samples drawn here, by other means than the package's, with error bars; identities between
distributions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sympy
from numpy.typing import NDArray

from superposition import (
    UNIFORM,
    Anticorrelated,
    CoActive,
    Correlated,
    Independent,
    OneHot,
    ValueDistribution,
)
from superposition.features import FeatureDistribution
from superposition.theory import OPTIMAL, derive_loss, expected_loss, optimal_bias, s
from superposition.theory.output_error import DensityRing, Output, TruncatedPowers, error
from superposition.theory.transforms import multiply, value_transform

F = Fraction
Q = sympy.QQ

VALUES = {
    "uniform": UNIFORM,
    "rising": ValueDistribution([0, 2]),
    "symmetric uniform": ValueDistribution([1], symmetric=True),
    "two humps": ValueDistribution([3, -12, 12], symmetric=True),
}


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
@pytest.mark.parametrize("power", [0, 1])
@pytest.mark.parametrize("coupling", [F(2), F(-3, 4)])
def test_transform_of_a_value_is_the_integral_that_sympy_finds(
    values: ValueDistribution, power: int, coupling: Fraction
) -> None:
    u, w = sympy.symbols("u w", positive=True)
    p = sum(sympy.Rational(c) * u**k for k, c in enumerate(values.coefficients))
    g = sympy.Rational(coupling)
    signs = (1, -1) if values.symmetric else (1,)
    expected = sum(
        sympy.integrate(sympy.expand((v * u) ** power * p * sympy.exp(w * g * v * u)), (u, 0, 1))
        / len(signs)
        for v in signs
    )
    transform = value_transform(
        Q, Q.from_sympy(g), values.coefficients, symmetric=values.symmetric, power=power
    )
    found = sum(Q.to_sympy(c) * sympy.exp(w * t) / w**k for (t, k), c in transform.items())
    assert sympy.simplify(found - expected) == 0


def test_equal_couplings_are_merged() -> None:
    one = value_transform(Q, Q(1), [F(1)], symmetric=False)
    assert multiply(multiply(one, one), one) == {(3, 3): 1, (2, 3): -3, (1, 3): 3, (0, 3): -1}


# --- quadrature ------------------------------------------------------------------------------


def _integral(function: Callable[[Any], Any], kinks: list[float], low: float, high: float) -> float:
    """Integrate a function that is smooth between its kinks, exactly for degree up to 39."""
    x, weight = np.polynomial.legendre.leggauss(20)
    ends = [low, *sorted(k for k in kinks if low < k < high), high]
    total = 0.0
    for a, b in pairwise(ends):
        total += (b - a) / 2 * sum(w * function((a + b) / 2 + (b - a) / 2 * t)
                                   for t, w in zip(x, weight, strict=True))  # fmt: skip
    return total


def _average(values: ValueDistribution, function: Callable[[float], float], kinks: Any) -> float:
    """Return E function(u)."""
    p = np.polynomial.Polynomial([float(c) for c in values.coefficients])
    if not values.symmetric:
        return _integral(lambda u: p(u) * function(u), kinks, 0.0, 1.0)
    return _integral(lambda u: p(abs(u)) / 2 * function(u), [0.0, *kinks], -1.0, 1.0)


def _error_by_quadrature(
    values: ValueDistribution, g: list[float], beta: float, index: int, on: tuple[int, ...]
) -> float:
    """Return E (x_i − (g·x + β)₊)² over two features, of which those in `on` are on."""

    def squared(x: tuple[float, float]) -> float:
        z = g[0] * x[0] + g[1] * x[1] + beta
        return float((x[index] - max(z, 0.0)) ** 2)

    def over_second(first: float) -> float:
        if 1 not in on:
            return squared((first, 0.0))
        kink = [-(g[0] * first + beta) / g[1]] if g[1] else []
        return _average(values, lambda second: squared((first, second)), kink)

    if 0 not in on:
        return over_second(0.0)
    # Kinks in the first: where the line z = 0 meets an end of the second's range, or its middle.
    corners = [0.0, 1.0, -1.0]
    kinks = [-(beta + g[1] * c) / g[0] for c in corners] if g[0] else []
    return _average(values, over_second, kinks)


LAWS: dict[str, tuple[FeatureDistribution, list[Any], dict[tuple[int, ...], float]]] = {
    "independent": (
        Independent(),
        [F(1, 3), F(1, 5)],
        {(): 8 / 15, (0,): 4 / 15, (1,): 2 / 15, (0, 1): 1 / 15},
    ),
    "correlated": (Correlated([(0, 1)]), [F(1, 3)] * 2, {(): 2 / 3, (0, 1): 1 / 3}),
    "co-active": (CoActive(), [F(1, 4)] * 2, {(): 3 / 4, (0, 1): 1 / 4}),
    "anticorrelated": (
        Anticorrelated([(0, 1)]),
        [F(1, 3), F(1, 5)],
        {(): 7 / 15, (0,): 1 / 3, (1,): 1 / 5},
    ),
    "one hot": (OneHot(), [F(1, 3), F(2, 3)], {(0,): 1 / 3, (1,): 2 / 3}),
}
MODELS: dict[str, tuple[Any, Any]] = {
    "opposed": ([[F(9, 10), F(-7, 10)]], [F(1, 10), F(1, 7)]),
    "aligned": ([[F(3, 4), F(4, 5)]], [F(-1, 10), F(-1, 3)]),
    "dropped": ([[F(11, 10), 0]], [F(-1, 20), F(1, 5)]),
    "two dimensions": ([[F(9, 10), F(-1, 2)], [F(1, 5), F(3, 5)]], [F(-1, 10), 0]),
}


def _with_values(features: FeatureDistribution, values: ValueDistribution) -> FeatureDistribution:
    if isinstance(features, (Correlated, Anticorrelated)):
        return type(features)(features.sets, values)
    return type(features)(values)


@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS.keys())
@pytest.mark.parametrize("activation", ["relu", "linear"])
def test_every_distribution_against_quadrature_of_the_definition(
    law: Any, values: ValueDistribution, model: Any, activation: str
) -> None:
    features, density, probabilities = law
    W, b = model
    importance = (1.0, 0.5)
    by_quadrature = _error_by_quadrature if activation == "relu" else _linear_error_by_quadrature
    G = np.array(W, dtype=float).T @ np.array(W, dtype=float)
    total = 0.0
    for on, probability in probabilities.items():
        for i in range(2):
            g = G[i].tolist()
            part = by_quadrature(values, g, float(b[i]), i, on)
            total += probability * importance[i] * part
    exact = expected_loss(
        W, b, density=density, importance=importance, activation=activation,
        features=_with_values(features, values),
    )  # fmt: skip
    assert exact.is_Rational
    assert float(exact) == pytest.approx(total, rel=1e-12, abs=1e-13)


def _linear_error_by_quadrature(
    values: ValueDistribution, g: list[float], beta: float, index: int, on: tuple[int, ...]
) -> float:
    def squared(first: float, second: float) -> float:
        x = (first, second)
        return (x[index] - g[0] * first - g[1] * second - beta) ** 2

    def over_second(first: float) -> float:
        if 1 not in on:
            return squared(first, 0.0)
        return _average(values, lambda second: squared(first, second), [])

    return _average(values, over_second, []) if 0 in on else over_second(0.0)


# --- samples ---------------------------------------------------------------------------------


def _sample_values(
    values: ValueDistribution, rng: np.random.Generator, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """Draw by rejection, which needs nothing but the density itself."""
    p = np.polynomial.Polynomial([float(c) for c in values.coefficients])
    bound = sum(abs(float(c)) for c in values.coefficients)
    drawn = np.full(shape, np.nan)
    while np.isnan(drawn).any():
        u, height = rng.random((2, *shape))
        accepted = np.isnan(drawn) & (height * bound < p(u))
        drawn[accepted] = u[accepted]
    return drawn * rng.choice([-1.0, 1.0], shape) if values.symmetric else drawn


def _sample_on(
    kind: str, density: list[float], rng: np.random.Generator, count: int
) -> NDArray[np.bool_]:
    u = rng.random((count, 4))
    if kind == "pairs":  # features 0 and 2 together, 1 and 3 alone
        on = u < density
        on[:, 2] = on[:, 0]
        return on
    # at most one of 0, 1, 3; feature 2 alone
    edges = np.cumsum([density[0], density[1], density[3]])
    choice = np.searchsorted(edges, u[:, 0])
    return np.stack([choice == 0, choice == 1, u[:, 1] < density[2], choice == 2], axis=1)


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
@pytest.mark.parametrize(
    ("kind", "sets", "density"),
    [("pairs", Correlated([(2, 0)]), [0.5, 0.25, 0.5, 0.75]),
     ("exclusive", Anticorrelated([(3, 0, 1)]), [0.25, 0.5, 0.75, 0.125])],
)  # fmt: skip
def test_four_features_against_samples(
    kind: str, sets: Any, density: list[float], values: ValueDistribution
) -> None:
    """At 5 standard errors a correct loss fails once in about two million seeds."""
    rng = np.random.default_rng(12)
    W = rng.integers(-8, 9, (2, 4)) / 8
    b = rng.integers(-2, 3, 4) / 8
    count = 200_000
    x = _sample_values(values, rng, (count, 4)) * _sample_on(kind, density, rng, count)
    squares = ((x - np.maximum(x @ W.T @ W + b, 0)) ** 2).sum(axis=1)
    exact = expected_loss(W, b, density=density, features=_with_values(sets, values))
    standard_error = squares.std() / math.sqrt(count)
    assert abs(float(exact) - squares.mean()) < 5 * standard_error


# --- identities ------------------------------------------------------------------------------


W3: Any = [[1, F(-1, 2), F(1, 4)], [0, F(3, 4), F(-1, 2)]]
B3: Any = [0, F(1, 8), F(-1, 8)]


def test_sets_of_one_feature_are_independent_features() -> None:
    alone = expected_loss(W3, B3)
    assert expected_loss(W3, B3, features=Correlated([(0,), (2,)])) == alone
    assert expected_loss(W3, B3, features=Anticorrelated([(1,)])) == alone


def test_one_set_of_all_features_is_co_activity() -> None:
    together = expected_loss(W3, B3, features=Correlated([(2, 0, 1)]))
    assert together == expected_loss(W3, B3, features=CoActive())
    # linear in s: the loss is s times the loss of the full input, plus that of the empty one
    full = expected_loss(W3, B3, density=1)
    empty = expected_loss(W3, B3, density=0)
    assert sympy.expand(together - s * full - (1 - s) * empty) == 0


def test_at_most_one_of_all_features_is_linear_in_the_density_up_to_one_third() -> None:
    at_most_one = expected_loss(W3, B3, features=Anticorrelated([(0, 1, 2)]))
    assert sympy.Poly(at_most_one, s).degree() == 1
    one_hot = expected_loss(W3, B3, features=OneHot())
    assert at_most_one.subs(s, F(1, 3)) == one_hot
    # the derivative at s = 0 of independent features is that of features that are never together
    independent = expected_loss(W3, B3)
    assert at_most_one.coeff(s, 1) == independent.coeff(s, 1)


def test_antipodal_pair_of_features_that_exclude_each_other_is_perfect() -> None:
    assert expected_loss([[1, -1]], features=Anticorrelated([(0, 1)])) == 0


def test_antipodal_pair_of_co_active_features_loses_the_smaller_value() -> None:
    """x_1 − (x_1 − x_2)₊ = min(x_1, x_2), whose mean square is 1/6."""
    x, y = sympy.symbols("x y")
    one = sympy.integrate(sympy.integrate(y**2, (y, 0, x)), (x, 0, 1)) + sympy.integrate(
        sympy.integrate(x**2, (y, x, 1)), (x, 0, 1)
    )
    assert expected_loss([[1, -1]], features=CoActive()) == sympy.expand(2 * one * s)


def test_reflecting_symmetric_values_changes_nothing_for_linear_models() -> None:
    values = ValueDistribution([F(1, 2), 1], symmetric=True)
    loss = expected_loss(W3, activation="linear", features=Independent(values))
    flipped = [[-w for w in row] for row in W3]
    assert expected_loss(flipped, activation="linear", features=Independent(values)) == loss


def test_active_sets_sum_to_the_loss_and_to_one_for_every_law() -> None:
    laws = [Correlated([(0, 2)]), Anticorrelated([(0, 1)]), CoActive(), OneHot()]
    for features in laws:
        for activation in ("relu", "linear"):
            model = derive_loss(W3, B3, features=features, activation=activation)
            for output in model.outputs:
                assert sympy.expand(sum(t.probability for t in output.terms)) == 1
                total = sum(t.probability * t.loss for t in output.terms)
                assert sympy.expand(total - output.loss) == 0


def test_optimal_bias_of_a_dropped_feature_is_its_mean_for_every_law() -> None:
    rising = ValueDistribution([0, 2])  # mean 2/3
    for features in (Independent(rising), Correlated([(0, 1)], rising), CoActive(rising)):
        assert optimal_bias([[1, 0]], 1, features=features).bias == 2 * s / 3
    assert expected_loss([[1, 0]], [0, OPTIMAL], features=OneHot()) == F(1, 6) - F(1, 16)


def test_optimal_bias_beats_its_neighbors_for_dependent_features() -> None:
    W = [[F(9, 10), F(-7, 10)]]
    for features, density in ((CoActive(), F(1, 3)), (Anticorrelated([(0, 1)]), F(2, 5))):
        best = optimal_bias(W, 0, density=density, features=features)

        def loss(bias: Any, features: Any = features, density: Any = density) -> Any:
            return derive_loss(
                W, [bias, 0], density=density, features=features
            ).outputs[0].loss  # fmt: skip

        nearby = sympy.nsimplify(best.bias.evalf(30), rational=True)
        for step in (F(1, 1000), F(-1, 1000)):
            assert loss(nearby + step) >= best.loss


def test_outputs_that_differ_by_an_order_of_features_share_a_signature() -> None:
    ring = DensityRing.over(Q, (sympy.S.Half,) * 3)

    def output(index: int, couplings: Any, features: FeatureDistribution) -> Output:
        return Output(index, tuple(map(Q, couplings)), ring, features, "relu")

    first = output(0, (1, 2, 3), Independent())
    assert first.signature == output(2, (3, 2, 1), Independent()).signature
    assert first.signature != output(1, (1, 2, 3), Independent()).signature
    paired = Correlated([(0, 1)])
    assert output(0, (1, 2, 3), paired).signature != output(0, (1, 3, 2), paired).signature


def test_equal_gates_with_another_owner_have_another_signature() -> None:
    ring = DensityRing.over(Q, (sympy.S.Half,) * 4)
    gates = Correlated([(0, 1), (2, 3)])
    first, third = (
        Output(i, tuple(map(Q, (1, 2, 1, 3))), ring, gates, "relu").signature for i in (0, 2)
    )
    assert first != third


def test_active_sets_name_only_features_that_matter() -> None:
    W = [[1, -1, 0], [0, 0, 1]]
    for features in (Correlated([(0, 2)]), Anticorrelated([(0, 2)])):
        for output in derive_loss(W, features=features).outputs:
            sets = [term.active for term in output.terms]
            assert len(set(sets)) == len(sets)
            relevant = {j for j, g in enumerate(output.couplings) if g != 0}
            assert all(set(active) <= relevant for active in sets)


def test_active_sets_on_a_piece_sum_to_its_error() -> None:
    model = derive_loss([[F(9, 10), F(-7, 10)]], [OPTIMAL, 0], density=F(1, 3))
    (output, _) = model.outputs
    assert output.optimum is not None
    for piece in output.optimum.pieces:
        total = sum(term.probability * term.loss for term in output.terms_on(piece))
        assert sympy.expand(total - piece.loss) == 0


def test_error_is_continuous_where_a_vertex_changes_sign() -> None:
    ring = DensityRing.over(Q, (sympy.S.Half,) * 2)
    powers = error(Output(0, (Q(1), Q(-1, 2)), ring, Independent(), "relu"))
    assert isinstance(powers, TruncatedPowers)
    for t in powers.powers:
        assert powers.term(t, -t) == 0
    assert min(q for own in powers.powers.values() for q in own) >= 1


@pytest.mark.parametrize(
    ("features", "density", "message"),
    [
        (CoActive(), [F(1, 2), F(1, 3)], "must be equal, got 1/2, 1/3"),
        (CoActive(), [s, 2 * s], "must be equal, got s, 2"),
        (Anticorrelated([(0, 1)]), F(2, 3), "sum to at most 1, got 2/3, 2/3"),
        (OneHot(), F(1, 3), "sum to 1, got 1/3, 1/3"),
        (OneHot(), [s, s / 2], "sum to 1, got s, s/2"),
        (Correlated([(0, 2)]), s, "features 0, …, 1, got 2"),
    ],
)
def test_densities_that_cannot_be_are_refused(features: Any, density: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        expected_loss([[1, -1]], features=features, density=density)


def test_densities_that_add_up_are_accepted() -> None:
    assert expected_loss([[1, -1]], features=OneHot(), density=[s, 1 - s]) == 0
