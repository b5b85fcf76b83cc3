"""The description of feature distributions: what is accepted, what is refused, what it means."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
import pytest
import sympy

from superposition import (
    UNIFORM,
    Anticorrelated,
    CoActive,
    Correlated,
    Independent,
    OneHot,
    ValueDistribution,
)
from superposition.features import (
    FeatureDistribution,
    GateKind,
    check_features,
    check_joint_density,
)

EVERY = [
    (Independent(), [0.2, 0.7, 0.4]),
    (Correlated([(0, 2)]), [0.2, 0.7, 0.2]),
    (Anticorrelated([(2, 0)]), [0.2, 0.7, 0.4]),
    (CoActive(), [0.3, 0.3, 0.3]),
    (OneHot(), [0.5, 0.2, 0.3]),
]


def joint_law(features: FeatureDistribution, density: list[float]) -> dict[frozenset[int], float]:
    """Return the probability of each set of features that are on."""
    law: dict[frozenset[int], float] = {}
    gates = features.gates(len(density))
    for states in product(*(list(gate.states(density)) for gate in gates)):
        on = frozenset(j for members, _ in states for j in members)
        law[on] = law.get(on, 0.0) + float(np.prod([p for _, p in states]))
    return law


@pytest.mark.parametrize(("features", "density"), EVERY, ids=lambda value: type(value).__name__)
def test_density_is_the_marginal_probability_and_the_law_sums_to_one(
    features: FeatureDistribution, density: list[float]
) -> None:
    law = joint_law(features, density)
    assert sum(law.values()) == pytest.approx(1, abs=1e-15)
    for j, expected in enumerate(density):
        marginal = sum(p for on, p in law.items() if j in on)
        assert marginal == pytest.approx(expected, abs=1e-15)


def test_pairs_are_on_together_as_often_as_each_law_says() -> None:
    def together(features: FeatureDistribution, density: list[float], pair: set[int]) -> float:
        return sum(p for on, p in joint_law(features, density).items() if pair <= on)

    assert together(Independent(), [0.2, 0.7, 0.4], {0, 1}) == pytest.approx(0.14)
    assert together(Correlated([(0, 2)]), [0.2, 0.7, 0.2], {0, 2}) == pytest.approx(0.2)
    assert together(Correlated([(0, 2)]), [0.2, 0.7, 0.2], {0, 1}) == pytest.approx(0.14)
    assert together(Anticorrelated([(0, 2)]), [0.2, 0.7, 0.4], {0, 2}) == 0
    assert together(Anticorrelated([(0, 2)]), [0.2, 0.7, 0.4], {0, 1}) == pytest.approx(0.14)
    assert together(CoActive(), [0.3] * 3, {0, 1, 2}) == pytest.approx(0.3)
    assert together(OneHot(), [0.5, 0.2, 0.3], {0, 1}) == 0


def test_one_hot_is_never_empty() -> None:
    assert frozenset() not in joint_law(OneHot(), [0.5, 0.2, 0.3])


def test_gates_partition_the_features() -> None:
    gates = Correlated([(3, 1)]).gates(5)
    assert [gate.members for gate in gates] == [(3, 1), (0,), (2,), (4,)]
    assert {gate.kind for gate in gates} == {GateKind.TOGETHER}


def test_independence_is_a_matter_of_the_gates() -> None:
    assert Independent().is_independent(4)
    assert Correlated([(2,)]).is_independent(4)
    assert Anticorrelated([]).is_independent(4)
    assert not Correlated([(0, 1)]).is_independent(4)
    assert not OneHot().is_independent(1)  # its one feature is always on, at any density


@pytest.mark.parametrize("kind", [Correlated, Anticorrelated])
@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ([(0, 1), (1, 2)], "disjoint, but feature 1"),
        ([(0, 0)], "disjoint, but feature 0"),
        ([()], "must have a member"),
        ([(0, -1)], "counted 0, 1, …, got -1"),
        ([(0, 1.5)], "counted 0, 1, …, got 1.5"),
        ([(True, 2)], "counted 0, 1, …, got True"),
        (3, "list of sets"),
        ([1, 2], "list of sets"),
    ],
)
def test_bad_sets_are_refused(kind: Any, sets: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(sets)


def test_sets_beyond_the_features_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the features 0, …, 2, got 3"):
        Correlated([(2, 3)]).gates(3)


@pytest.mark.parametrize(
    ("features", "density", "message"),
    [
        (Correlated([(0, 1)]), [0.2, 0.3], r"0, 1 are on together.* equal, got \[0.2, 0.3\]"),
        (CoActive(), [[0.2, 0.2], [0.2, 0.3]], r"got \[0.2, 0.3\]"),
        (Anticorrelated([(0, 1)]), [0.6, 0.5], r"at most 1, got \[0.6, 0.5\]"),
        (OneHot(), [0.5, 0.4], r"sum to 1, got \[0.5, 0.4\]"),
    ],
)
def test_densities_must_fit_the_law(
    features: FeatureDistribution, density: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check_joint_density(features, np.array(density))


@pytest.mark.parametrize("n", range(1, 60))
def test_rounded_densities_of_one_hot_inputs_are_accepted(n: int) -> None:
    check_joint_density(OneHot(), np.full(n, 1 / n))
    check_joint_density(Anticorrelated([range(n)]), np.full(n, 1 / n))


def test_anything_else_is_no_distribution() -> None:
    with pytest.raises(ValueError, match="features must be None or a feature distribution"):
        check_features("uniform")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("coefficients", "message"),
    [
        ([2], "integrates to 2"),
        ([], "integrates to 0"),
        ([0.1, 0.2], "integrates to"),
        ([2, -2, 0, 0, "x"], "finite rational"),
        ([float("nan")], "finite rational"),
        ([float("inf")], "finite rational"),
        ([True], "finite rational"),
        ([-1, 4], "negative there"),
        ([3, -4], "negative there"),
        # (u − 1/2)² and a little less: the first only touches zero
        ([3, -12, 12], None),
        ([Fraction(19, 6), -13, 13], "negative there"),
    ],
)
def test_densities_of_values_are_checked(coefficients: Any, message: str | None) -> None:
    if message is None:
        ValueDistribution(coefficients)
        return
    with pytest.raises(ValueError, match=message):
        ValueDistribution(coefficients)


def test_negative_density_with_a_double_root_is_refused() -> None:
    u = sympy.Symbol("u")
    p = (u - sympy.Rational(1, 2)) ** 2 * (u - sympy.Rational(9, 10))
    p = sympy.Poly(p / sympy.integrate(p, (u, 0, 1)), u)  # its integral is 1, its sign changes
    with pytest.raises(ValueError, match="negative there"):
        ValueDistribution(p.all_coeffs()[::-1])


def test_values_are_exact_and_equal_by_content() -> None:
    assert ValueDistribution([0, sympy.Integer(2)]) == ValueDistribution([np.int64(0), 2.0, 0])
    assert ValueDistribution([1]) == UNIFORM
    assert UNIFORM.is_uniform
    assert not ValueDistribution([1], symmetric=True).is_uniform
    values = ValueDistribution([Fraction(1, 2), 1], symmetric=True)
    assert eval(repr(values)) == values
    assert hash(values) == hash(ValueDistribution([0.5, 1], symmetric=True))
