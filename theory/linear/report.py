"""A linear toy model in a screenful: optimum, critical points, Hessian."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sympy

from ...features import FeatureDistribution
from ..fields import UndecidedSignError
from ..symbols import s
from .loss import LinearProblem, linear_problem, weighted_pca_loss
from .one_neuron import one_neuron_critical_points
from .points import (
    LinearCriticalPoint,
    eigen_directions,
    is_complete,
    linear_critical_points,
)

__all__ = ["linear_report"]

_MOST_POINTS = 12


def linear_report(
    n_features: int,
    n_hidden: int,
    *,
    density: Any = s,
    importance: Any = None,
    features: FeatureDistribution | None = None,
) -> str:
    """Return moments, critical points and Hessians of a linear model as text.

    An index is "open" where it depends on the values of symbols.

    Parameters
    ----------
    n_features, n_hidden
        Sizes n and m.
    density, importance, features
        As in `expected_loss`.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or range, or if importances and covariance do not
        commute and the model is not one neuron with two features and numbers.

    Examples
    --------
    >>> from superposition.theory import r
    >>> print(linear_report(2, 1, importance=(1, r)))
    mean: s/2, s/2
    covariance: [-s**2/4 + s/3, 0; 0, -s**2/4 + s/3]
    critical points, up to rotations of the hidden space (all of them):
      keep 1: loss -r*s*(3*s - 4)/12, index open
        Hessian -2*s*(3*s - 4)/3 (1x), s*(r - 1)*(3*s - 4)/6 (1x)
      keep 2: loss -s*(3*s - 4)/12, index open
        Hessian -2*r*s*(3*s - 4)/3 (1x), -s*(r - 1)*(3*s - 4)/6 (1x)
      keep none: loss -s*(r + 1)*(3*s - 4)/12, index 2
        Hessian s*(3*s - 4)/3 (1x), r*s*(3*s - 4)/3 (1x)
    """
    arguments = {"density": density, "importance": importance, "features": features}
    problem = linear_problem(n_features, **arguments)
    lines = [f"mean: {_listed(problem.mean)}", f"covariance: [{_rows(problem.covariance)}]"]
    if problem.commutes:
        lines += _directions(n_features, arguments)
        points = linear_critical_points(n_features, n_hidden, **arguments)
        known = is_complete(eigen_directions(n_features, **arguments))
        extent = "all of them" if known else "there may be oblique ones"
        lines.append(f"critical points, up to rotations of the hidden space ({extent}):")
        lines += [line for point in points[:_MOST_POINTS] for line in _point(point)]
        if len(points) > _MOST_POINTS:
            lines.append(f"  ... and {len(points) - _MOST_POINTS} more")
    else:
        lines += _one_neuron(n_features, n_hidden, problem, arguments)
    return "\n".join(lines)


def _directions(n_features: int, arguments: dict[str, Any]) -> Iterator[str]:
    directions = eigen_directions(n_features, **arguments)
    if any(1 not in direction.vector for direction in directions):
        yield "eigen-directions:"
        for k, direction in enumerate(directions, start=1):
            yield f"  {k}: ({_listed(direction.vector)}), eigenvalue {direction.eigenvalue}"


def _point(point: LinearCriticalPoint) -> Iterator[str]:
    kept = ", ".join(str(k + 1) for k in point.kept) or "none"
    try:
        index = str(point.index())
    except UndecidedSignError:
        index = "open"
    yield f"  keep {kept}: loss {point.loss}, index {index}"
    spectrum = ", ".join(f"{value} ({count}x)" for value, count in point.hessian_eigenvalues)
    yield f"    Hessian {spectrum}"


def _one_neuron(
    n_features: int, n_hidden: int, problem: LinearProblem, arguments: dict[str, Any]
) -> Iterator[str]:
    if (n_features, n_hidden) != (2, 1):
        raise ValueError(
            "features of different importances are correlated: no closed form of the critical "
            "points is known but for two features in one dimension; pass equal importances"
        )
    bound = weighted_pca_loss(2, 1, **arguments)
    if bound.free_symbols:
        raise ValueError(
            "importances and covariance do not commute, which needs numbers for density and "
            f"importance; got the symbols {_listed(sorted(bound.free_symbols, key=str))}"
        )
    yield "importances and covariance do not commute:"
    yield f"  untied models reach {float(bound):.6g}, tied ones do not"
    yield "critical points, up to W -> -W (all of them):"
    for point in one_neuron_critical_points(**arguments):
        weights = ", ".join(f"{float(value):.6f}" for value in point.W)
        yield f"  W = ({weights}): loss {float(point.loss):.6g}, index {point.index}"


def _listed(values: Any) -> str:
    return ", ".join(map(str, values))


def _rows(matrix: sympy.ImmutableMatrix) -> str:
    return "; ".join(_listed(matrix.row(i)) for i in range(matrix.rows))
