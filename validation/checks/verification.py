"""Check every closed form that the sources state, against derivation and independent numerics."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from ...model import relative_importance
from ...numerics import global_minimum, population_loss
from ...theory import (
    OPTIMAL,
    Configuration,
    candidates,
    expected_loss,
    feature_dimensionality,
    optimal_bias,
    phase_boundary,
    r,
    s,
    triple_points,
)
from .check import EXACT, Check, same
from .numerics import NUMERIC_GROUPS
from .theory import THEORY_GROUPS
from .two_layer import TWO_LAYER_GROUPS

Floats = NDArray[np.float64]

_POINTS = 200


@dataclass(frozen=True)
class _ClosedForm:
    name: str
    W: tuple[tuple[int, ...], ...]
    claim: sympy.Expr
    source: str


_DROPPED = s / 3 - s**2 / 4
_PAIR = (1 + r) * s**2 / 6
_NOTEBOOK = "Elhage et al. 2022, theory notebook"

CLOSED_FORMS = (
    _ClosedForm("2in1-ignore-last", ((1, 0),), r * _DROPPED, f"{_NOTEBOOK}; Roe, code"),
    _ClosedForm("2in1-ignore-first", ((0, 1),), _DROPPED, f"{_NOTEBOOK}; Roe, code"),
    _ClosedForm("2in1-antipodal", ((1, -1),), _PAIR, f"{_NOTEBOOK}; Roe, equation (4)"),
    _ClosedForm("3in2-ignore-first", ((0, 1, 0), (0, 0, 1)), _DROPPED, _NOTEBOOK),
    _ClosedForm("3in2-ignore-last", ((1, 0, 0), (0, 1, 0)), r * _DROPPED, _NOTEBOOK),
    _ClosedForm("3in2-superpose-first-two", ((1, -1, 0), (0, 0, 1)), s**2 / 3, _NOTEBOOK),
    _ClosedForm("3in2-superpose-last-two", ((1, 0, 0), (0, 1, -1)), _PAIR, _NOTEBOOK),
)


def _configuration(form: _ClosedForm) -> Configuration:
    W = sympy.Matrix(form.W)
    b = tuple(OPTIMAL if W.col(j).is_zero_matrix else 0 for j in range(W.cols))
    return Configuration(form.name, W, b)


def _sample(rng: np.random.Generator) -> tuple[Floats, Floats]:
    return 1 - rng.random(_POINTS), 10 ** rng.uniform(-1, 1, _POINTS)


def _closed_forms(rng: np.random.Generator) -> Iterator[Check]:
    for form in CLOSED_FORMS:
        configuration = _configuration(form)
        derived = configuration.loss()
        statement = f"L = {form.claim} for W = {list(map(list, form.W))}"
        yield Check(form.name, statement, form.source, "derivation", same(derived, form.claim), 0.0)
        density, ratio = _sample(rng)
        n = configuration.n_features
        biases = [configuration.b_array(sympy.Float(x)) for x in density]
        numeric = population_loss(
            configuration.W_array(),
            np.array(biases),
            density=density,
            importance=np.stack([np.ones_like(ratio)] * (n - 1) + [ratio], axis=-1),
        )
        claimed = sympy.lambdify((s, r), form.claim)(density, ratio)
        deviation = float(np.max(np.abs(numeric / claimed - 1)))
        yield Check(
            f"{form.name}-numeric",
            statement,
            form.source,
            f"exact quadrature at {_POINTS} random (s, r)",
            deviation,
            EXACT,
        )


def _dropped_bias(rng: np.random.Generator) -> Iterator[Check]:
    yield Check(
        "dropped-bias",
        "the optimal bias of a dropped feature is s/2",
        _NOTEBOOK,
        "piecewise minimization over the bias",
        same(optimal_bias([[1, 0]], 1).bias, s / 2),
        0.0,
    )


def _boundaries(rng: np.random.Generator) -> Iterator[Check]:
    by_name = {candidate.name: candidate for candidate in candidates(2, 1)}
    first, last, both = (
        by_name[name] for name in ("ignore first", "ignore last", "superpose both")
    )
    for other, claim in ((last, 2 * s / (4 - 5 * s)), (first, (4 - 5 * s) / (2 * s))):
        (solution,) = phase_boundary(other, both)
        yield Check(
            f"2in1-boundary-{other.name.replace(' ', '-')}",
            f"{other.name!r} and {both.name!r} are equal at r = {claim}",
            "Elhage et al. 2022, phase diagram",
            "derivation",
            same(solution, claim),
            0.0,
        )
    ((ratio, density),) = triple_points(candidates(2, 1))
    yield Check(
        "2in1-triple-point",
        "the three phases of (2, 1) meet at r = 1, s = 4/7",
        "Elhage et al. 2022, phase diagram",
        "derivation",
        max(same(ratio, 1), same(density, sympy.Rational(4, 7))),
        0.0,
    )


def _swapped_labels(rng: np.random.Generator) -> Iterator[Check]:
    one_zero = _configuration(CLOSED_FORMS[0]).loss()
    zero_one = _configuration(CLOSED_FORMS[1]).loss()
    swapped = max(same(one_zero, r * _DROPPED), same(zero_one, _DROPPED))
    yield Check(
        "roe-labels-swapped",
        "Roe's equations (2) and (3) carry each other's label",
        "Roe, equations (2) and (3)",
        "derivation",
        swapped,
        0.0,
    )


def _conjecture(rng: np.random.Generator) -> Iterator[Check]:
    loss = expected_loss(
        [[Fraction(31, 32), Fraction(-31, 32)]],
        [Fraction(1, 10), Fraction(1, 10)],
        density=Fraction(1, 2),
    )
    below = bool(loss < sympy.Rational(1, 12))
    yield Check(
        "orthogonal-conjecture-fails",
        f"at s = 1/2 a loss of {loss} lies below 1/12, the least of [1, 0] and [1, -1]",
        "open-problem register, O49",
        "exact rational arithmetic",
        0.0 if below else np.inf,
        0.0,
    )


def _linear(rng: np.random.Generator) -> Iterator[Check]:
    deviation = 0.0
    for _ in range(20):
        density = 1 - rng.random()
        ratio = 10 ** rng.uniform(-1, 1)
        found = global_minimum(
            2, 1, density=density, importance=[1, ratio], activation="linear", starts=8
        ).loss
        claimed = min(1.0, ratio) * (density / 3 - density**2 / 4)
        deviation = max(deviation, abs(found / claimed - 1))
    yield Check(
        "linear-drops-the-less-important",
        "a linear (2, 1) model at its optimum drops the less important feature",
        "Elhage et al. 2022, linear models",
        "descent from random starts at 20 random (s, r)",
        deviation,
        1e-9,  # of a loss whose gradient is 1e-10 of its scale: the error is second order
    )


def _invariances(rng: np.random.Generator) -> Iterator[Check]:
    W, b = rng.normal(size=(_POINTS, 2, 3)), rng.normal(size=(_POINTS, 3)) / 4
    angle = rng.uniform(0, 2 * np.pi, _POINTS)
    Q = np.moveaxis(
        np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]), -1, 0
    )
    arguments: dict[str, Any] = {"density": 1 - rng.random(_POINTS), "importance": [1.0, 0.7, 0.4]}
    plain = population_loss(W, b, **arguments)
    rotated = population_loss(Q @ W, b, **arguments)
    yield Check(
        "rotation",
        "L(QW, b) = L(W, b) for orthogonal Q",
        "Elhage et al. 2022",
        f"exact quadrature at {_POINTS} random models",
        float(np.max(np.abs(rotated / plain - 1))),
        EXACT,  # QW is rounded to 16 digits, and the losses are of order 1
    )
    sums = [feature_dimensionality(weights).sum() for weights in W]
    yield Check(
        "dimensionality-bound",
        "the feature dimensionalities sum to at most the rank of W",
        "Elhage et al. 2022; Scherlis et al. 2022",
        f"{_POINTS} random W of rank 2",
        float(max(0.0, max(sums) - 2)),
        1e-12,  # rounding of a sum of three terms of order 1
    )


def _optimum(rng: np.random.Generator) -> Iterator[Check]:
    excess = -np.inf
    for density, ratio in zip(1 - rng.random(20), 10 ** rng.uniform(-1, 1, 20), strict=True):
        theory = min(
            float(
                candidate.loss(
                    density=sympy.Float(density),
                    importance=relative_importance(2, sympy.Float(ratio)),
                )
            )
            for candidate in candidates(2, 1)
        )
        found = global_minimum(2, 1, density=density, importance=[1, ratio], starts=64).loss
        excess = max(excess, found / theory - 1)
    yield Check(
        "optimum-below-candidates",
        "the exact optimum of (2, 1) is never above the candidates' losses",
        "definition of a minimum",
        "descent from random starts at 20 random (s, r)",
        max(excess, 0.0),
        1e-9,
    )


def _sampling(rng: np.random.Generator) -> Iterator[Check]:
    draws = 1_000_000
    worst = 0.0
    for n, m in ((2, 1), (3, 2), (5, 2)):
        W, b = rng.normal(size=(m, n)) / np.sqrt(m), rng.normal(size=n) / 4
        density, importance = 1 - rng.random(n), rng.random(n)
        x = (rng.random((draws, n)) < density) * rng.random((draws, n))
        errors = (x - np.maximum(x @ (W.T @ W) + b, 0)) ** 2 @ importance
        exact = float(population_loss(W, b, density=density, importance=importance))
        worst = max(worst, abs(errors.mean() - exact) / (errors.std() / np.sqrt(draws)))
    yield Check(
        "sampling",
        "the exact loss is the mean of sampled losses",
        "definition of the expectation",
        f"{draws} draws for (2, 1), (3, 2), (5, 2); deviation in standard errors",
        worst,
        5.0,
    )


_GROUPS: tuple[Callable[[np.random.Generator], Iterator[Check]], ...] = (
    _closed_forms,
    _dropped_bias,
    _boundaries,
    _swapped_labels,
    _conjecture,
    _linear,
    _invariances,
    _optimum,
    _sampling,
    *NUMERIC_GROUPS,
    *THEORY_GROUPS,
    *TWO_LAYER_GROUPS,
)


def verify(*, seed: int = 0) -> Iterator[Check]:
    """Check the closed forms and properties that the sources state, one after the other.

    Parameters
    ----------
    seed : int
        Seed of the points at which numbers are compared.

    Yields
    ------
    Check
        In a fixed order; `Check.holds` tells the outcome.

    Examples
    --------
    >>> next(verify()).holds
    True
    """
    for number, group in enumerate(_GROUPS):
        yield from group(np.random.default_rng([seed, number]))
