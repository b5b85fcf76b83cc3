"""Checks of what the theory derives beyond the sources' closed forms, each by another route."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from ...features import (
    Anticorrelated,
    CoActive,
    Correlated,
    FeatureDistribution,
    Independent,
    OneHot,
)
from ...numerics import global_minimum, population_loss, population_loss_and_grad
from ...numerics.minima.descent import descend
from ...theory import (
    Configuration,
    allocate_capacity,
    asymptotics,
    certify,
    expected_loss,
    feature_dimensionality,
    lam,
    linear_critical_points,
    linear_loss,
    named_configuration,
    one_active_loss,
    one_hot_potential,
    polygon_critical_points,
    r,
    refutation,
    regular_polygon,
    s,
    sparsity_expansion,
)
from ...theory.landscape import (
    antipodal_end,
    classical_threshold,
    critical_penalty,
    stability_line,
    tricritical_points,
)
from ...theory.limits import feature_kurtosis
from ...theory.linear import weighted_pca_loss
from ...values import UNIFORM, ValueDistribution
from .check import EXACT, Check, same

__all__ = ["THEORY_GROUPS"]

_DIMENSIONALITIES = {
    "digon": sympy.Rational(1, 2),
    "triangle": sympy.Rational(2, 3),
    "tetrahedron": sympy.Rational(3, 4),
    "pentagon": sympy.Rational(2, 5),
    "square antiprism": sympy.Rational(3, 8),
}
_POLYTOPES = (*_DIMENSIONALITIES, "simplex 5", "octahedron", "heptagon", "octagon", "cube",
              "triangle + digon")  # fmt: skip
_DENSITIES = (0.1, 0.5, 1.0)


def _polytopes(rng: np.random.Generator) -> Iterator[Check]:
    deviation = max(
        same(share, claim)
        for name, claim in _DIMENSIONALITIES.items()
        for share in feature_dimensionality(named_configuration(name).W)
    )
    yield Check(
        "dimensionalities",
        "D_i is 1/2, 2/3, 3/4, 2/5, 3/8 for digon, triangle, tetrahedron, pentagon and antiprism",
        "Elhage et al. 2022, uniform superposition",
        "exact coordinates",
        deviation,
        0.0,
    )
    worst = 0.0
    for name in _POLYTOPES:
        configuration = named_configuration(name)
        loss = sympy.lambdify(s, configuration.loss(importance=1))
        worst = max(worst, *(_relative_error(configuration, loss, x) for x in _DENSITIES))
    yield Check(
        "polytope-losses",
        f"exact losses of {len(_POLYTOPES)} polytopes without bias",
        "derivation",
        f"exact numerics at s = {', '.join(map(str, _DENSITIES))}",
        worst,
        1e-11,  # polynomials of degree 8, evaluated with cancellation of two digits
    )


def _relative_error(configuration: Configuration, loss: Callable[..., Any], x: float) -> float:
    n = configuration.n_features
    numeric = population_loss(
        configuration.W_array(), np.zeros(n), density=x, importance=np.ones(n), rtol=1e-13
    )
    return abs(float(loss(x)) / float(numeric) - 1)


_VALUES = {
    "uniform": UNIFORM,
    "rising": ValueDistribution([0, 2]),
    "symmetric": ValueDistribution([1], symmetric=True),
}


def _laws(values: ValueDistribution) -> Iterator[tuple[FeatureDistribution, list[Fraction]]]:
    third, half = Fraction(1, 3), Fraction(1, 2)
    yield Independent(values), [third, half, third]
    yield Correlated([(0, 2)], values), [third, half, third]
    yield Anticorrelated([(0, 1)], values), [third, half, third]
    yield CoActive(values), [third] * 3
    yield OneHot(values), [third] * 3


def _distributions(rng: np.random.Generator) -> Iterator[Check]:
    W = [[Fraction(int(x), 8) for x in row] for row in rng.integers(-8, 9, (2, 3))]
    b = [Fraction(int(x), 16) for x in rng.integers(-4, 5, 3)]
    worst = 0.0
    for values in _VALUES.values():
        for law, density in _laws(values):
            for activation in ("relu", "linear"):
                shared: dict[str, Any] = {"features": law, "activation": activation}
                exact = float(expected_loss(W, b, density=density, **shared))
                numeric = population_loss(
                    np.array(W, dtype=float),
                    np.array(b, dtype=float),
                    density=np.array(density, dtype=float),
                    importance=np.ones(3),
                    **shared,
                )
                worst = max(worst, abs(float(numeric) / exact - 1))
    yield Check(
        "distributions",
        "theory and numerics agree for every distribution of features and values",
        "definition of the expectation",
        "exact numerics of one random model",
        worst,
        EXACT,
    )


def _linear_models(rng: np.random.Generator) -> Iterator[Check]:
    deviation = 0.0
    for law, density in _laws(ValueDistribution([0, 2])):
        W = [[Fraction(int(x), 8) for x in row] for row in rng.integers(-8, 9, (2, 3))]
        by_sets = expected_loss(W, density=density, activation="linear", features=law)
        by_moments = linear_loss(W, density=density, features=law)
        deviation = max(deviation, same(by_sets, by_moments))
    yield Check(
        "linear-moments",
        "a linear model sees mean and covariance of its inputs, and nothing else",
        "Elhage et al. 2022, linear models",
        "sum over sets of active features",
        deviation,
        0.0,
    )
    arguments: dict[str, Any] = {"density": Fraction(1, 4), "importance": (1, Fraction(1, 2), 2)}
    least = min(point.loss for point in linear_critical_points(3, 2, **arguments))
    found = global_minimum(
        3, 2, density=0.25, importance=[1, 0.5, 2], activation="linear", starts=16
    ).loss
    yield Check(
        "linear-optimum",
        "the least critical loss is that of weighted principal components, and is reached",
        "derivation",
        "lower bound of untied weights, and descent",
        max(same(least, weighted_pca_loss(3, 2, **arguments)), abs(found / float(least) - 1)),
        1e-9,  # of a loss whose gradient is 1e-10 of its scale: the error is second order
    )


def _one_hot(rng: np.random.Generator) -> Iterator[Check]:
    W = [[Fraction(int(x), 8) for x in row] for row in rng.integers(-8, 9, (2, 4))]
    b = [Fraction(int(x), 16) for x in rng.integers(-4, 5, 4)]
    potential = one_hot_potential(W, b)
    loss = expected_loss(W, b, features=OneHot())
    yield Check(
        "one-hot-potential",
        "the potential of Chen et al. is 3n times the loss of one-hot inputs",
        "Chen et al. 2023",
        "derivation from the transform of the inputs",
        same(potential, 12 * loss),
        0.0,
    )
    worst = 0.0
    for k in range(4, 9):
        for point in polygon_critical_points(k):
            W_float = float(point.radius) * regular_polygon(k).W_array()
            at = population_loss_and_grad(
                W_float, np.full(k, float(point.bias)), density=1 / k, importance=np.ones(k),
                features=OneHot(),
            )  # fmt: skip
            steepest = max(abs(at.dW).max(), abs(at.db).max())
            worst = max(
                worst, float(steepest), abs(3 * k * float(at.loss) - float(point.potential))
            )
    yield Check(
        "one-hot-polygons",
        "regular polygons with 4 to 8 corners are critical for one-hot inputs",
        "Chen et al. 2023",
        "exact gradient and loss of the numerics",
        worst,
        1e-12,  # rounding of radius and bias, with derivatives of order 1
    )


def _stability(rng: np.random.Generator) -> Iterator[Check]:
    line = stability_line()
    density, distance = 0.7, 1e-4
    critical = float(line.relative_importance.subs(s, density))
    importance = [[1, critical - distance], [1, critical + distance]]
    # Newton's steps lead to the saddle next door, which has less curvature than they can tell.
    found = descend(
        np.full((2, 1, 2), [1, -0.02]), [0, density / 2], density=density, importance=importance,
        method="bfgs",
    )  # fmt: skip
    lengths = abs(found.W[:, 0]).min(axis=-1)
    second = line.best.closed_form(line.best.second)
    at = {s: density, r: critical + distance}
    predicted = float(-2 * second.subs(at) / (3 * line.third.subs(at)))
    yield Check(
        "stability-line",
        "beyond r_c(s) the second column grows from 0 by −2 L_2/(3 L_3)",
        "derivation",
        f"exact descent at s = {density}, r = r_c ± {distance}",
        max(lengths[0], abs(lengths[1] / predicted - 1)),
        0.05,  # the next order at this distance
    )


def _transitions(rng: np.random.Generator) -> Iterator[Check]:
    end = antipodal_end(density=sympy.Rational(1, 2), digits=20)
    model: dict[str, Any] = {"density": 0.5, "importance": [1, float(end.r)]}
    losses = [
        float(population_loss([[float(w) for w in point.W[0]]], list(map(float, point.b)), **model))
        for point in end.points
    ]
    below = global_minimum(2, 1, **model, starts=64).loss
    yield Check(
        "antipodal-end",
        f"antipodal pair and dedicated feature have one loss at s = 1/2, r = {end.r.decimal(12)}",
        "interval arithmetic",
        "exact numerics of both, and nothing lower from 64 starts",
        max(abs(losses[0] / losses[1] - 1), abs(below / losses[0] - 1))
        if end.are_minima
        else np.inf,
        EXACT,
    )
    exact, certified = stability_line().tricritical, tricritical_points()
    yield Check(
        "tricritical-points",
        "the transition into partial superposition is continuous between two points",
        "roots of a polynomial of degree 9",
        "interval arithmetic on another system of equations",
        max(abs(float(x - y[s].midpoint)) for x, y in zip(exact, certified, strict=True)),
        1e-15,  # the floats that are compared
    )


def _penalty(rng: np.random.Generator) -> Iterator[Check]:
    yield Check(
        "penalty-threshold",
        "at equal importance no unit pair is best above a penalty of 1/42",
        "open-problem register, O51",
        "derivation",
        same(classical_threshold().maximum.subs(r, 1), sympy.Rational(1, 42)),
        0.0,
    )
    found = critical_penalty(1, sympy.Rational(2, 7))
    critical = float(found.values[lam])
    model: dict[str, Any] = {"density": 2 / 7, "importance": [1, 1], "starts": 64}
    ratios = []
    for step in (-1e-6, 1e-6):
        W = global_minimum(2, 1, **model, penalty=critical + step).W
        ratios.append(float(abs(W).min() / abs(W).max()))
    yield Check(
        "penalty-exact",
        f"the optimized pair at s = 2/7, r = 1 ends at λ = {found.values[lam].decimal(12)}",
        "interval arithmetic",
        "phase of the optimum at λ ± 1e-6; 0 if it changes from pair to dedicated",
        0.0 if ratios[0] > 0.5 and ratios[1] < 1e-3 else np.inf,
        0.0,
    )


def _expansions(rng: np.random.Generator) -> Iterator[Check]:
    pentagon = regular_polygon(5)
    expansion = sparsity_expansion(pentagon.W, pentagon.b)
    yield Check(
        "sparsity-expansion",
        "L is the sum of s^k (1 − s)^(n−k) L_k, with L_1 in closed form",
        "Elhage et al. 2022",
        "derivation for the pentagon",
        max(
            same(expansion.loss, pentagon.loss(importance=1)),
            same(one_active_loss(pentagon.W, pentagon.b), expansion.terms[1]),
        ),
        0.0,
    )
    yield Check(
        "sparse-boundary",
        "the classical boundary is s/2 + 5 s²/8 + … at low density",
        "derivation",
        "geometric series",
        same(asymptotics(2 * s / (4 - 5 * s), order=3).series, s / 2 + 5 * s**2 / 8),
        0.0,
    )


def _certificates(rng: np.random.Generator) -> Iterator[Check]:
    half, tenth = Fraction(1, 2), Fraction(1, 10)
    weights = [[Fraction(31, 32), Fraction(-31, 32)]]
    point = certify(weights, [tenth] * 2, density=half, less_than=Fraction(1, 12))
    false = certify(weights, [tenth] * 2, density=half, less_than=Fraction(1, 14))
    yield Check(
        "conjecture-fails-everywhere",
        "at every density two features on one neuron beat what was conjectured to be best",
        "open-problem register, O49",
        "certificates in exact arithmetic; a false bound is refused",
        0.0 if point.holds and not false.holds and all(c.holds for c in refutation()) else np.inf,
        0.0,
    )


def _capacity(rng: np.random.Generator) -> Iterator[Check]:
    allocation = allocate_capacity([4, 1, 1], 2, kurtosis=9)
    half = sympy.S.Half
    shared = max(
        same(share, claim)
        for share, claim in zip(allocation.capacities, (1, half, half), strict=True)
    )
    (threshold,) = sympy.solve(feature_kurtosis(s) - 3, s)
    yield Check(
        "capacity-allocation",
        "capacity goes to equal marginal benefits, and is shared only for a kurtosis above 3",
        "Scherlis et al. 2022",
        "an allocation known by symmetry; kurtosis 9/(5s)",
        max(shared, same(threshold, sympy.Rational(3, 5))),
        0.0,
    )


THEORY_GROUPS: tuple[Callable[[np.random.Generator], Iterator[Check]], ...] = (
    _polytopes,
    _distributions,
    _linear_models,
    _one_hot,
    _stability,
    _transitions,
    _penalty,
    _expansions,
    _certificates,
    _capacity,
)
