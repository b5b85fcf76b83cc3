"""Moments of the inputs against the enumeration of all joint states, and against samples."""

from collections.abc import Iterator
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
from superposition.theory.moments import input_moments, value_moment
from superposition.values import UNIFORM, ValueDistribution

F = Fraction
RAMP = ValueDistribution([0, 2])
EVEN = ValueDistribution([F(1, 2), 1], symmetric=True)

CASES: list[tuple[FeatureDistribution, list[Any]]] = [
    (Independent(), [F(1, 3), F(1, 5), F(1, 2), 1]),
    (Independent(RAMP), [F(1, 3), 0, F(1, 2), F(2, 3)]),
    (Correlated([(0, 2)], EVEN), [F(1, 3), F(1, 5), F(1, 3), 1]),
    (Correlated([(3, 1), (0, 2)]), [F(1, 3), F(1, 5), F(1, 3), F(1, 5)]),
    (Anticorrelated([(0, 1, 3)], RAMP), [F(1, 4), F(1, 5), F(1, 2), F(1, 3)]),
    (CoActive(RAMP), [F(2, 7)] * 4),
    (OneHot(), [F(1, 2), F(1, 4), F(1, 8), F(1, 8)]),
]


def law_of_masks(features: FeatureDistribution, density: list[Any]) -> Iterator[tuple[Any, Any]]:
    """Yield every subset of features with its probability, from what the laws mean in words."""
    n = len(density)
    sets = getattr(features, "sets", ()) or ()
    if isinstance(features, CoActive | OneHot):
        sets = (tuple(range(n)),)
    alone = [j for j in range(n) if not any(j in group for group in sets)]
    for mask in product((0, 1), repeat=n):
        probability = F(1)
        for j in alone:
            probability *= density[j] if mask[j] else 1 - density[j]
        for group in sets:
            on = [j for j in group if mask[j]]
            if isinstance(features, Correlated | CoActive):
                everyone, nobody = len(on) == len(group), not on
                shared = density[group[0]]
                probability *= shared if everyone else 1 - shared if nobody else 0
            elif len(on) > 1:
                probability = F(0)
            elif on:
                probability *= density[on[0]]
            else:
                probability *= 1 - sum(density[j] for j in group)
        yield mask, probability


def integrated_moment(values: ValueDistribution, order: int) -> Any:
    """Integrate u^order over the density, on [−1, 1] where the sign is random."""
    u = sympy.Symbol("u", real=True)
    p = sum(sympy.Rational(c.numerator, c.denominator) * u**k
            for k, c in enumerate(values.coefficients))  # fmt: skip
    if not values.symmetric:
        return sympy.integrate(p * u**order, (u, 0, 1))
    mirrored = p.subs(u, -u)
    return (
        sympy.integrate(p * u**order, (u, 0, 1)) + sympy.integrate(mirrored * u**order, (u, -1, 0))
    ) / 2


@pytest.mark.parametrize("values", [UNIFORM, RAMP, EVEN], ids=str)
@pytest.mark.parametrize("order", range(5))
def test_moments_of_a_value_against_integration(values: ValueDistribution, order: int) -> None:
    assert value_moment(values, order) == integrated_moment(values, order)


@pytest.mark.parametrize(("features", "density"), CASES, ids=lambda case: type(case).__name__)
def test_against_enumeration_of_joint_states(
    features: FeatureDistribution, density: list[Any]
) -> None:
    n = len(density)
    first, second = (integrated_moment(features.values, order) for order in (1, 2))
    mean, products, total = sympy.zeros(n, 1), sympy.zeros(n, n), 0
    for mask, probability in law_of_masks(features, density):
        weight = sympy.Rational(probability.numerator, probability.denominator)
        total += weight
        for i in range(n):
            mean[i] += weight * mask[i] * first
            for j in range(n):
                products[i, j] += weight * mask[i] * mask[j] * (second if i == j else first**2)
    assert total == 1
    moments = input_moments(n, density=density, features=features)
    assert list(moments.mean) == list(mean)
    assert moments.second_moment == products
    assert moments.covariance == products - mean * mean.T


def test_symbols_and_numbers_agree() -> None:
    p, q = sympy.symbols("p q", positive=True)
    features = Correlated([(0, 1)], RAMP)
    symbolic = input_moments(3, density=[p, p, q], features=features)
    numbers = input_moments(3, density=[F(1, 3), F(1, 3), F(1, 7)], features=features)
    at = {p: sympy.Rational(1, 3), q: sympy.Rational(1, 7)}
    assert symbolic.covariance.subs(at) == numbers.covariance


def test_default_density_of_one_hot_inputs_is_equal_shares() -> None:
    moments = input_moments(4, features=OneHot())
    assert moments.mean == (sympy.Rational(1, 8),) * 4
    # The inputs sum to the one value that is on, whose variance is 1/12.
    ones = sympy.ones(4, 1)
    assert (ones.T * moments.covariance * ones)[0] == sympy.Rational(1, 12)


def test_samples_of_correlated_inputs_within_five_standard_errors() -> None:
    rng = np.random.default_rng(0)
    gate = rng.random((200_000, 1)) < 0.3
    x = gate * np.sqrt(rng.random((200_000, 2)))  # √u has the density 2u
    moments = input_moments(2, density=0.3, features=Correlated([(0, 1)], RAMP))
    centered = x - np.array([float(value) for value in moments.mean])
    for i, j in ((0, 0), (0, 1), (1, 1)):
        products = centered[:, i] * centered[:, j]
        error = products.std() / np.sqrt(len(products))
        assert abs(products.mean() - float(moments.covariance[i, j])) < 5 * error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_features": 0}, "n_features must be an integer of at least 1"),
        ({"n_features": 2, "density": 2}, "must lie in"),
        ({"n_features": 2, "density": [1, F(1, 2)], "features": CoActive()}, "must be equal"),
        ({"n_features": 2, "features": "independent"}, "features must be None"),
    ],
)
def test_bad_input(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        input_moments(**arguments)


@pytest.mark.parametrize("order", [-1, 1.0, True])
def test_bad_order(order: Any) -> None:
    with pytest.raises(ValueError, match="order must be"):
        value_moment(UNIFORM, order)
