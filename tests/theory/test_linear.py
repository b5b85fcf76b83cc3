"""The closed form of linear models against enumeration, derivation by active sets, and descent."""

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import sympy

from superposition.features import (
    Anticorrelated,
    CoActive,
    Correlated,
    FeatureDistribution,
    Independent,
    OneHot,
)
from superposition.theory import OPTIMAL, expected_loss, r, s
from superposition.theory.linear import (
    linear_loss,
    linear_optimal_bias,
    linear_problem,
    linear_report,
    weighted_pca_loss,
)
from superposition.values import ValueDistribution

F = Fraction
W = [[F(1, 2), F(-2, 3), F(1, 5)], [F(3, 4), F(1, 7), -1]]
B = [F(1, 10), F(-1, 3), F(1, 4)]
I = [1, F(1, 2), 3]


@pytest.mark.parametrize("b", [None, B, OPTIMAL, [F(1, 5), OPTIMAL, 0]], ids=str)
@pytest.mark.parametrize("density", [s, [F(1, 3), F(2, 5), 1]], ids=str)
def test_independent_features_against_active_sets(b: Any, density: Any) -> None:
    expected = expected_loss(W, b, density=density, importance=I, activation="linear")
    assert sympy.expand(linear_loss(W, b, density=density, importance=I) - expected) == 0


def enumerated_loss(masks: dict[tuple[int, ...], Any], p: Any) -> Any:
    """Integrate the squared error over the values, mask by mask; `p` is their density."""
    x = sympy.symbols("x_0:3")
    weights = sympy.Matrix(W)
    gram = weights.T * weights
    total = sympy.S.Zero
    for mask, probability in masks.items():
        inputs = sympy.Matrix([x[j] if mask[j] else 0 for j in range(3)])
        error = inputs - gram * inputs - sympy.Matrix(B)
        integrand = sympy.expand(
            sum(sympy.sympify(I[i]) * error[i] ** 2 for i in range(3))
        ) * sympy.Mul(*(p.subs("u", x[j]) for j in range(3) if mask[j]))
        for j in range(3):
            if mask[j]:
                integrand = sympy.integrate(sympy.expand(integrand), (x[j], 0, 1))
        total += sympy.sympify(probability) * integrand
    return total


RAMP = ValueDistribution([0, 2])
CASES: list[tuple[str, FeatureDistribution, Any, dict[tuple[int, ...], Any], str]] = [
    ("together", CoActive(), F(1, 3), {(1, 1, 1): F(1, 3), (0, 0, 0): F(2, 3)}, "1"),
    ("pair", Correlated([(0, 2)], RAMP), [F(1, 3), F(1, 4), F(1, 3)],
     {(1, 1, 1): F(1, 12), (1, 0, 1): F(1, 4), (0, 1, 0): F(1, 6), (0, 0, 0): F(1, 2)}, "2*u"),
    ("at most one", Anticorrelated([(0, 1)]), [F(1, 3), F(1, 4), F(1, 2)],
     {(1, 0, 0): F(1, 6), (1, 0, 1): F(1, 6), (0, 1, 0): F(1, 8), (0, 1, 1): F(1, 8),
      (0, 0, 0): F(5, 24), (0, 0, 1): F(5, 24)}, "1"),
    ("one", OneHot(RAMP), [F(1, 2), F(1, 3), F(1, 6)],
     {(1, 0, 0): F(1, 2), (0, 1, 0): F(1, 3), (0, 0, 1): F(1, 6)}, "2*u"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("features", "density", "masks", "p"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_other_distributions_against_integration(
    features: FeatureDistribution, density: Any, masks: Any, p: str
) -> None:
    loss = linear_loss(W, B, density=density, importance=I, features=features)
    assert loss == enumerated_loss(masks, sympy.sympify(p))


def test_symmetric_values_and_no_bias_are_benefit_and_interference() -> None:
    """Elhage et al. 2022 write the loss up to its constant, which is s E u² here."""
    a, b, c, d = sympy.symbols("a b c d", real=True)
    columns = [sympy.Matrix([a, b]), sympy.Matrix([c, d]), sympy.Matrix([b, c])]
    weights = sympy.Matrix.hstack(*columns)
    importance = sympy.symbols("i_0:3", positive=True)
    stated = sum(
        importance[i] * (1 - columns[i].dot(columns[i])) ** 2
        + sum(importance[i] * columns[i].dot(columns[j]) ** 2 for j in range(3) if j != i)
        for i in range(3)
    )
    symmetric = Independent(ValueDistribution([1], symmetric=True))
    unbiased = linear_loss(weights, importance=importance, features=symmetric)
    assert sympy.expand(unbiased - s / 3 * stated) == 0
    best = linear_loss(weights, OPTIMAL, importance=importance)
    assert sympy.expand(best - (s / 3 - s**2 / 4) * stated) == 0


@pytest.mark.parametrize(
    "features", [Independent(), Correlated([(0, 2)]), Anticorrelated([(1, 2)])]
)
def test_optimal_bias_is_where_the_gradient_vanishes(features: FeatureDistribution) -> None:
    biases = sympy.symbols("b_0:3", real=True)
    density = F(2, 5)
    loss = linear_loss(W, biases, density=density, importance=I, features=features)
    solution = sympy.solve([sympy.diff(loss, bias) for bias in biases], biases)
    assert linear_optimal_bias(W, density=density, features=features) == tuple(
        solution[bias] for bias in biases
    )
    assert loss.subs(solution) == linear_loss(
        W, OPTIMAL, density=density, importance=I, features=features
    )


def random_losses(problem: Any, n_hidden: int, tied: bool) -> np.ndarray[Any, Any]:
    """Return losses of gradient descent, tied or untied, from random starts, in floats."""
    n = problem.n_features
    D = np.diag([float(i) for i in problem.importance])
    C = np.array(problem.covariance, dtype=float)
    rng = np.random.default_rng(0)
    A, V = rng.normal(size=(8, n, n_hidden)) / 2, rng.normal(size=(8, n_hidden, n)) / 2
    V = A.swapaxes(1, 2) if tied else V
    for _ in range(6000):
        X = np.eye(n) - A @ V
        slope = -2 * D @ X @ C
        step_A, step_V = slope @ V.swapaxes(1, 2), A.swapaxes(1, 2) @ slope
        if tied:
            step_V = step_V + step_A.swapaxes(1, 2)
            step_A = step_V.swapaxes(1, 2)
        A, V = A - 0.1 * step_A, V - 0.1 * step_V
    losses: np.ndarray[Any, Any] = np.trace(D @ X @ C @ X.swapaxes(1, 2), axis1=1, axis2=2)
    return losses


@pytest.mark.parametrize(
    ("importance", "features"),
    [((1, F(1, 2), 2), Independent()), ((1, 1, 1), CoActive()), ((1, 1, 2), Correlated([(0, 1)]))],
    ids=["independent", "co-active", "pair"],
)
def test_weighted_pca_is_attained_where_all_commutes(importance: Any, features: Any) -> None:
    arguments: dict[str, Any] = {"density": F(1, 2), "importance": importance, "features": features}
    problem = linear_problem(3, **arguments)
    assert problem.commutes
    bound = float(weighted_pca_loss(3, 2, **arguments))
    assert random_losses(problem, 2, tied=True).min() == pytest.approx(bound, rel=1e-9)
    assert random_losses(problem, 2, tied=False).min() == pytest.approx(bound, rel=1e-9)


def test_weighted_pca_is_missed_where_correlated_features_differ_in_importance() -> None:
    arguments: dict[str, Any] = {
        "density": F(1, 2),
        "importance": (1, F(1, 2), 2),
        "features": CoActive(),
    }
    problem = linear_problem(3, **arguments)
    assert not problem.commutes
    bound = float(weighted_pca_loss(3, 1, **arguments))
    assert random_losses(problem, 1, tied=False).min() == pytest.approx(bound, rel=1e-9)
    assert random_losses(problem, 1, tied=True).min() > 1.02 * bound


def test_weighted_pca_is_attained_without_commuting_if_a_whole_set_is_kept() -> None:
    arguments: dict[str, Any] = {
        "density": F(1, 2),
        "importance": (4, 5, F(1, 9)),
        "features": Correlated([(0, 1)]),
    }
    assert not linear_problem(3, **arguments).commutes
    kept = linear_loss([[1, 0, 0], [0, 1, 0]], OPTIMAL, **arguments)
    assert weighted_pca_loss(3, 2, **arguments) == kept


def test_weighted_pca_of_two_features_with_symbols() -> None:
    symbolic = weighted_pca_loss(2, 1, importance=(1, r), features=CoActive())
    for density, ratio in product((F(1, 10), F(9, 10)), (F(1, 3), 4)):
        problem = linear_problem(2, density=density, importance=(1, ratio), features=CoActive())
        root = np.diag([1.0, np.sqrt(float(sympy.sympify(ratio)))])
        K = root @ np.array(problem.covariance, dtype=float) @ root
        value = symbolic.subs({s: sympy.sympify(density), r: sympy.sympify(ratio)})
        assert float(value) == pytest.approx(np.linalg.eigvalsh(K)[0], rel=1e-12)


def test_no_dimension_short_costs_nothing() -> None:
    assert weighted_pca_loss(2, 2, density=F(1, 2)) == 0
    assert weighted_pca_loss(2, 3, density=F(1, 2)) == 0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linear_loss([[1, 0]], [0]), "b must have n_features = 2 entries"),
        (lambda: linear_loss([[1, 0]], density=[F(1, 2), 1], features=CoActive()), "equal"),
        (lambda: weighted_pca_loss(3, 1), "no known order"),
        (lambda: weighted_pca_loss(2, 0), "n_hidden must be"),
        (lambda: linear_report(3, 1, importance=(1, 1, r), features=CoActive()), "no closed form"),
    ],
)
def test_bad_input(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_report_of_models_that_commute_and_that_do_not() -> None:
    commuting = linear_report(4, 2, features=Correlated([(0, 1)]))
    assert "eigen-directions:" in commuting
    assert "  keep 1, 2: loss" in commuting
    other = linear_report(2, 1, density=F(1, 2), importance=(1, 2), features=CoActive())
    assert "do not commute" in other
    assert "index 0" in other
