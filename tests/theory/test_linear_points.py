"""Critical points of linear models against derivatives of the loss and descent on it."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy

from superposition.features import Anticorrelated, CoActive, Correlated, Independent
from superposition.theory import OPTIMAL, UndecidedSignError, r, s
from superposition.theory.linear import (
    eigen_directions,
    is_complete,
    linear_critical_points,
    linear_loss,
    weighted_pca_loss,
)
from superposition.theory.moments import input_moments

F = Fraction
CASES: dict[str, tuple[int, int, dict[str, Any]]] = {
    "two in one": (2, 1, {"density": F(1, 2), "importance": (1, F(1, 3))}),
    "circle": (2, 1, {"density": F(1, 2)}),
    "densities": (3, 2, {"density": [1, F(1, 10), F(1, 2)]}),
    "both differ": (3, 2, {"density": [1, F(1, 10), F(1, 2)], "importance": (1, 4, F(1, 2))}),
    "co-active": (3, 2, {"density": F(1, 2), "features": CoActive()}),
    "anticorrelated": (3, 1, {"density": [F(1, 2), F(1, 4), F(1, 3)],
                              "features": Anticorrelated([(0, 1)])}),
    "wide": (2, 2, {"density": F(1, 3), "importance": (1, 2)}),
}  # fmt: skip


def gradient_and_hessian(W: sympy.Matrix, arguments: dict[str, Any]) -> tuple[Any, Any]:
    """Differentiate the closed form of the loss, with the bias at its optimum."""
    m, n = W.shape
    entries = sympy.symbols(f"w_0:{m * n}", real=True)
    loss = linear_loss(sympy.Matrix(m, n, entries), OPTIMAL, **arguments)
    at = dict(zip(entries, W.flat(), strict=True))
    gradient = [sympy.diff(loss, w) for w in entries]
    values = [sympy.simplify(slope.subs(at)) for slope in gradient]
    hessian = [[float(sympy.diff(slope, w).subs(at)) for w in entries] for slope in gradient]
    return values, np.array(hessian)


@pytest.mark.parametrize("name", CASES)
def test_points_against_derivatives(name: str) -> None:
    n, m, arguments = CASES[name]
    points = linear_critical_points(n, m, **arguments)
    for point in points:
        gradient, hessian = gradient_and_hessian(point.W, arguments)
        assert all(value == 0 for value in gradient)
        spectrum = sorted(
            float(value) for value, count in point.hessian_eigenvalues for _ in range(count)
        )
        assert spectrum == pytest.approx(np.linalg.eigvalsh(hessian), abs=1e-12)
        assert point.index() == (np.linalg.eigvalsh(hessian) < -1e-9).sum()
        loss = linear_loss(point.W, OPTIMAL, **arguments)
        assert sympy.simplify(point.loss - loss) == 0
        assert point.flat_directions >= 0
    lowest = min(float(point.loss) for point in points)
    assert lowest == pytest.approx(float(weighted_pca_loss(n, m, **arguments)), abs=1e-15)


def test_spectrum_of_two_features_in_one_dimension() -> None:
    """By hand: along the kept weight the loss is v (1 − W₁²)², across it v (1 − r) W₂²."""
    keep_first, keep_last, keep_none = linear_critical_points(2, 1, importance=(1, r))
    v = s / 3 - s**2 / 4
    assert [sympy.expand(value) for value, _ in keep_first.hessian_eigenvalues] == [
        sympy.expand(8 * v),
        sympy.expand(2 * v * (1 - r)),
    ]
    assert [keep_first.index({r: x}) for x in (F(1, 2), 2)] == [0, 1]
    assert [keep_last.index({r: x}) for x in (F(1, 2), 2)] == [1, 0]
    assert keep_none.index() == 2
    with pytest.raises(UndecidedSignError, match="undecided"):
        keep_first.index()


def test_equal_importance_is_a_circle() -> None:
    keep_first, *_ = linear_critical_points(2, 1)
    assert (keep_first.rotations, keep_first.flat_directions) == (0, 1)
    angle = sympy.Symbol("theta", real=True)
    circle = linear_loss([[sympy.cos(angle), sympy.sin(angle)]], OPTIMAL)
    assert sympy.simplify(circle - keep_first.loss) == 0


def test_rotations_of_the_hidden_space_are_the_only_zeros_of_a_generic_model() -> None:
    arguments: dict[str, Any] = {"density": [1, F(1, 2), F(1, 4)]}
    for point in linear_critical_points(3, 3, **arguments):
        unused = 3 - len(point.kept)
        # Dimension of O(3) less that of the rotations of the unused dimensions.
        assert point.rotations == 3 - unused * (unused - 1) // 2
        assert point.flat_directions == 0


def descended_losses(C: Any, D: Any, n_hidden: int) -> set[float]:
    """Return the different losses in which gradient descent from 30 random starts ends."""
    n = len(C)
    W = np.random.default_rng(1).normal(size=(30, n_hidden, n)) / 2
    for _ in range(4000):
        X = np.eye(n) - W.swapaxes(1, 2) @ W
        W = W + 0.1 * W @ (C @ X @ D + D @ X @ C)
    X = np.eye(n) - W.swapaxes(1, 2) @ W
    return {round(float(np.trace(loss)), 9) for loss in D @ X @ C @ X}


@pytest.mark.parametrize("name", ["densities", "co-active", "both differ"])
def test_descent_ends_at_the_points_of_index_0(name: str) -> None:
    n, m, arguments = CASES[name]
    directions = eigen_directions(n, **arguments)
    U = np.array([d.vector for d in directions], dtype=float)
    C = U.T @ np.diag([float(d.variance) for d in directions]) @ U
    D = U.T @ np.diag([float(d.importance) for d in directions]) @ U
    minima = {
        round(float(p.loss), 9) for p in linear_critical_points(n, m, **arguments) if p.index() == 0
    }
    assert descended_losses(C, D, m) == minima
    assert is_complete(directions) == (name != "both differ")
    assert len(minima) == (1 if is_complete(directions) else 2)


def test_zero_importance_and_correlated_unequal_importances_are_refused() -> None:
    with pytest.raises(ValueError, match="must be positive"):
        linear_critical_points(2, 1, importance=(1, 0))
    with pytest.raises(ValueError, match="no common eigenvectors"):
        linear_critical_points(2, 1, importance=(1, r), features=CoActive())


def test_directions_are_common_orthonormal_eigenvectors() -> None:
    features = Correlated([(0, 2)])
    importance = (2, r, 2)
    directions = eigen_directions(3, importance=importance, features=features)
    U = sympy.Matrix([d.vector for d in directions])
    assert sympy.simplify(U * U.T) == sympy.eye(3)
    C = input_moments(3, features=features).covariance
    D = sympy.diag(*importance)
    for k, direction in enumerate(directions):
        u = U.row(k).T
        assert sympy.simplify(C * u - direction.variance * u) == sympy.zeros(3, 1)
        assert sympy.simplify(D * u - direction.importance * u) == sympy.zeros(3, 1)


def test_independent_features_of_one_density_are_complete() -> None:
    assert is_complete(eigen_directions(3, importance=(1, 1, r), features=Independent()))
