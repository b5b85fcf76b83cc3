"""Two features in one linear dimension with any covariance: all critical points, exactly.

Where importances and covariance do not commute, tied weights do not reach weighted principal
components. With W = ρ (1, t)/√(1 + t²) and C = [[c₁, c], [c, c₂]] the best length gives

    L = tr(D C) − N(t)² / (A(t) B(t)),
    N = I₁c₁ + (I₁ + I₂) c t + I₂c₂ t²,   A = I₁ + I₂ t²,   B = c₁ + 2 c t + c₂ t²,

so that the critical directions are the real roots of the quartic 2 N'AB − N (AB)' with N > 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy

from ...features import FeatureDistribution
from ..fields import sign_of_number
from ..symbols import s
from .loss import LinearProblem, linear_problem

__all__ = ["OneNeuronPoint", "one_neuron_critical_points", "one_neuron_stationarity", "slope"]

slope = sympy.Symbol("t", real=True)
"""W₂/W₁."""


@dataclass(frozen=True)
class OneNeuronPoint:
    """A critical point of the loss over W = (W₁, W₂) and the bias; −W is another.

    Attributes
    ----------
    W : sympy.ImmutableMatrix of shape (1, 2)
        Exact; W₁ ≥ 0.
    loss : sympy.Expr
    index : int
        How many independent directions lead down: 0 at a minimum.
    """

    W: sympy.ImmutableMatrix
    loss: sympy.Expr
    index: int


def one_neuron_stationarity(
    *, density: Any = s, importance: Any = None, features: FeatureDistribution | None = None
) -> sympy.Poly:
    """Return the quartic in t = W₂/W₁ that vanishes at critical directions.

    Its sign is that of −∂L/∂t, for N > 0. A root is a minimum where it falls through zero.

    Parameters
    ----------
    density, importance, features
        As in `expected_loss`, numbers or symbols, of two features.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or range.

    Examples
    --------
    >>> from superposition.features import CoActive
    >>> one_neuron_stationarity(density=1, importance=(1, 2), features=CoActive()).degree()
    3
    >>> one_neuron_stationarity().is_zero  # a circle of minima: every direction is critical
    True
    """
    return _stationarity(
        linear_problem(2, density=density, importance=importance, features=features)
    )


def one_neuron_critical_points(
    *, density: Any, importance: Any = None, features: FeatureDistribution | None = None
) -> tuple[OneNeuronPoint, ...]:
    """Return all critical points of two features in one linear dimension, lowest loss first.

    Parameters
    ----------
    density, importance, features
        As in `expected_loss`, rational numbers, positive.

    Returns
    -------
    tuple of OneNeuronPoint
        Complete up to W → −W. Coordinates are algebraic numbers.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or range, is no rational number, or critical points
        are not isolated.

    Examples
    --------
    Features that are always on together share the neuron:

    >>> from fractions import Fraction
    >>> from superposition.features import CoActive
    >>> best, *_ = one_neuron_critical_points(density=Fraction(1, 2), features=CoActive())
    >>> best.W, best.loss
    (Matrix([[sqrt(2)/2, sqrt(2)/2]]), 1/24)

    If the more important feature varies less, two local minima and a saddle between them occur
    in a linear model:

    >>> points = one_neuron_critical_points(density=(1, Fraction(1, 10)), importance=(1, 5))
    >>> [(point.index, round(float(point.loss), 5)) for point in points]
    [(0, 0.08333), (0, 0.15417), (1, 0.16501), (1, 0.16501), (2, 0.2375)]
    """
    problem = linear_problem(2, density=density, importance=importance, features=features)
    _check_numbers(problem)
    polynomial = _stationarity(problem)
    if polynomial.is_zero:
        raise ValueError(
            "every direction is critical at equal products of importance and variance without "
            "covariance: the minima form a circle, see linear_critical_points"
        )
    roots = dict.fromkeys(sympy.real_roots(polynomial))
    points = [_point(root, polynomial, problem) for root in roots if _overlap(problem, root) > 0]
    if polynomial.degree() < 4:  # the root at infinity: the second feature alone
        falls = polynomial.LC() > 0 if polynomial.degree() == 3 else None
        if falls is None:
            raise ValueError("critical directions coincide, so that an index is undefined")
        points.append(_second_alone(problem, 0 if falls else 1))
    return tuple(sorted([*points, _origin(problem)], key=lambda point: float(point.loss)))


def _terms(problem: LinearProblem, t: Any) -> tuple[Any, Any, Any]:
    """Return N, A and B at the slope t."""
    (first, second), C = problem.importance, problem.covariance
    return (
        first * C[0, 0] + (first + second) * C[0, 1] * t + second * C[1, 1] * t**2,
        first + second * t**2,
        C[0, 0] + 2 * C[0, 1] * t + C[1, 1] * t**2,
    )


def _stationarity(problem: LinearProblem) -> sympy.Poly:
    N, A, B = (sympy.Poly(term, slope) for term in _terms(problem, slope))
    return 2 * N.diff(slope) * A * B - N * (A * B).diff(slope)


def _overlap(problem: LinearProblem, t: sympy.Expr) -> int:
    return sign_of_number(_terms(problem, t)[0])


def _point(t: sympy.Expr, polynomial: sympy.Poly, problem: LinearProblem) -> OneNeuronPoint:
    N, A, B = _terms(problem, t)
    curvature = sign_of_number(polynomial.diff(slope).as_expr().subs(slope, t))
    if curvature == 0:
        raise ValueError("critical directions coincide, so that an index is undefined")
    first = sympy.sqrt(sympy.simplify(N / (A * B)) if t.is_Rational else N / (A * B))
    loss = _total(problem) - N**2 / (A * B)
    W = sympy.ImmutableMatrix([[first, t * first]])
    return OneNeuronPoint(W, loss, int(curvature > 0))


def _second_alone(problem: LinearProblem, index: int) -> OneNeuronPoint:
    loss = problem.importance[0] * problem.covariance[0, 0]
    return OneNeuronPoint(sympy.ImmutableMatrix([[0, 1]]), loss, index)


def _origin(problem: LinearProblem) -> OneNeuronPoint:
    (first, second), C = problem.importance, problem.covariance
    # The Hessian at W = 0 is −2 (D C + C D), whose determinant tells one sign from two.
    determinant = 4 * first * second * C[0, 0] * C[1, 1] - (first + second) ** 2 * C[0, 1] ** 2
    if determinant == 0:
        raise ValueError("the Hessian at W = 0 is singular, so that an index is undefined")
    W = sympy.ImmutableMatrix([[0, 0]])
    return OneNeuronPoint(W, _total(problem), 2 if determinant > 0 else 1)


def _total(problem: LinearProblem) -> sympy.Expr:
    return sympy.Add(*(i * problem.covariance[k, k] for k, i in enumerate(problem.importance)))


def _check_numbers(problem: LinearProblem) -> None:
    for value in (*problem.density, *problem.importance):
        if not (value.is_Rational and value > 0):
            raise ValueError(
                f"density and importance must be positive rational numbers, got {value}; with "
                f"symbols see one_neuron_stationarity and linear_critical_points"
            )
