"""Linear toy models, x̂ = WᵀW x + b: the loss in closed form and how low it can get.

With G = WᵀW, D = diag(importance), and the inputs' mean μ and covariance C,

    L(W, b) = tr[D (1 − G) C (1 − G)] + Σ_i I_i (((1 − G) μ)_i − b_i)².

Nothing else about the inputs matters. The best bias is (1 − G) μ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy

from ...features import FeatureDistribution, check_features
from ...model import check_sizes
from ..inputs import read_bias, read_importance, read_joint_density, read_weights
from ..loss import by_powers
from ..moments import input_moments
from ..symbols import OPTIMAL, s

__all__ = [
    "LinearProblem",
    "linear_loss",
    "linear_optimal_bias",
    "linear_problem",
    "weighted_pca_loss",
]


@dataclass(frozen=True)
class LinearProblem:
    """All that a linear model sees of its data and its loss.

    Attributes
    ----------
    density, importance, mean : tuple of n sympy.Expr
    covariance : sympy.ImmutableMatrix of shape (n, n)
    """

    density: tuple[sympy.Expr, ...]
    importance: tuple[sympy.Expr, ...]
    mean: tuple[sympy.Expr, ...]
    covariance: sympy.ImmutableMatrix

    @property
    def n_features(self) -> int:
        """How many features there are."""
        return len(self.mean)

    @property
    def commutes(self) -> bool:
        """Whether importances and covariance commute: no covariance couples unequal importances.

        It is True where independent features make the covariance diagonal, and where all
        importances are equal.
        """
        return all(
            sympy.expand(self.covariance[i, j] * (self.importance[i] - self.importance[j])) == 0
            for i in range(self.n_features)
            for j in range(i)
        )


def linear_problem(
    n_features: int,
    *,
    density: Any = s,
    importance: Any = None,
    features: FeatureDistribution | None = None,
) -> LinearProblem:
    """Return what a linear model sees of its data and its loss.

    Parameters
    ----------
    n_features
        How many features there are, n.
    density, importance, features
        As in `expected_loss`; `density` fits `features`.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or range.

    Examples
    --------
    >>> from superposition.theory import r
    >>> linear_problem(2, importance=(1, r)).commutes
    True
    """
    moments = input_moments(n_features, density=density, features=features)
    densities = read_joint_density(density, check_features(features), n_features)
    importances = read_importance(importance, n_features)
    return LinearProblem(densities, importances, moments.mean, moments.covariance)


def linear_loss(
    W: Any,
    b: Any = None,
    *,
    density: Any = s,
    importance: Any = None,
    features: FeatureDistribution | None = None,
) -> sympy.Expr:
    """Return the exact expected loss of a linear model.

    Parameters
    ----------
    W
        Weights of shape (m, n), numbers or any real expressions: a linear model has no kinks,
        so no sign needs to be known.
    b
        n biases, each a number, an expression or `OPTIMAL`; ``None`` is all zeros.
    density, importance, features
        As in `expected_loss`.

    Returns
    -------
    sympy.Expr
        Polynomial in everything.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or range.

    Notes
    -----
    If the features are independent with one variance v and the bias is optimal, this is
    v (Σ_i I_i (1 − ‖W_i‖²)² + Σ_{i≠j} I_i (W_i · W_j)²), feature benefit and interference of
    Elhage et al. 2022, who state it up to the constant.

    Examples
    --------
    >>> from superposition.theory import OPTIMAL, r
    >>> linear_loss([[1, 0]], OPTIMAL, importance=(1, r))
    -r*s**2/4 + r*s/3
    """
    weights = read_weights(W)
    n_features = weights.shape[1]
    problem = linear_problem(n_features, density=density, importance=importance, features=features)
    residual = sympy.eye(n_features) - weights.T * weights
    scatter = residual * problem.covariance * residual
    optimum = residual * sympy.Matrix(problem.mean)
    total = sympy.S.Zero
    for i, bias in enumerate(read_bias(b, n_features)):
        offset = sympy.S.Zero if bias is OPTIMAL else optimum[i] - bias
        total += problem.importance[i] * (scatter[i, i] + offset**2)
    return by_powers(sympy.expand(total), problem.density)


def linear_optimal_bias(
    W: Any, *, density: Any = s, features: FeatureDistribution | None = None
) -> tuple[sympy.Expr, ...]:
    """Return the best bias of a linear model, (1 − WᵀW) μ; importances do not matter.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or range.

    Examples
    --------
    >>> linear_optimal_bias([[1, 0]])
    (0, s/2)
    """
    weights = read_weights(W)
    n_features = weights.shape[1]
    mean = input_moments(n_features, density=density, features=features).mean
    residual = sympy.eye(n_features) - weights.T * weights
    return tuple(sympy.expand(entry) for entry in residual * sympy.Matrix(mean))


def weighted_pca_loss(
    n_features: int,
    n_hidden: int,
    *,
    density: Any = s,
    importance: Any = None,
    features: FeatureDistribution | None = None,
) -> sympy.Expr:
    """Return the least loss of *untied* linear models, a lower bound for tied ones.

    x̂ = B x + b with any B of rank m costs ‖D^½ (1 − B) C^½‖² at its best bias, which by Eckart
    and Young 1936 is at least the sum of the n − m least eigenvalues of D C. For D, C > 0 a
    tied model attains it if and only if some m leading eigenvectors of D^½ C D^½ span a space
    that D leaves invariant; where importances and covariance commute it always does.

    Parameters
    ----------
    n_features, n_hidden
        Sizes n and m.
    density, importance, features
        As in `expected_loss`.

    Returns
    -------
    sympy.Expr
        Exact; an algebraic number for numbers. With symbols only two features in one dimension
        have a closed form.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or range, or symbols leave the order of the
        eigenvalues open.

    Examples
    --------
    >>> from superposition.theory import s
    >>> weighted_pca_loss(3, 1, density=1, importance=(1, 2, 3))
    1/4
    """
    check_sizes(n_features, n_hidden)
    problem = linear_problem(n_features, density=density, importance=importance, features=features)
    product = sympy.diag(*problem.importance) * problem.covariance
    dropped = max(n_features - n_hidden, 0)
    if dropped == n_features - 1 == 1:
        return _lesser_of_two(product)
    if product.free_symbols:
        raise ValueError(
            "the eigenvalues have no known order while densities or importances are symbols; "
            "pass numbers, or two features in one dimension"
        )
    x = sympy.Dummy("x")
    return sympy.Add(*sympy.real_roots(product.charpoly(x).as_expr(), x)[:dropped])


def _lesser_of_two(product: sympy.Matrix) -> sympy.Expr:
    """Return the lesser eigenvalue of a 2 × 2 matrix with real eigenvalues."""
    trace = product.trace()
    discriminant = sympy.factor(trace**2 - 4 * product.det())
    return (trace - sympy.sqrt(discriminant)) / 2
