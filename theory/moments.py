"""Mean and covariance of the inputs of any feature distribution, exactly.

All that a linear model can see of its data. Gates give the probability that two features are on
together, the law of a value its first two moments; both are rational in the densities.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy

from ..features import FeatureDistribution, check_features
from ..model import check_sizes
from ..values import ValueDistribution
from .inputs import read_joint_density
from .symbols import s

__all__ = ["InputMoments", "input_moments", "value_moment"]


@dataclass(frozen=True)
class InputMoments:
    """First two moments of the inputs.

    Attributes
    ----------
    mean : tuple of n sympy.Expr
        μ_i = E x_i.
    covariance : sympy.ImmutableMatrix of shape (n, n)
        C_ij = E x_i x_j − μ_i μ_j.
    """

    mean: tuple[sympy.Expr, ...]
    covariance: sympy.ImmutableMatrix

    @property
    def second_moment(self) -> sympy.ImmutableMatrix:
        """E x xᵀ, of shape (n, n)."""
        mean = sympy.Matrix(self.mean)
        return sympy.ImmutableMatrix((self.covariance + mean * mean.T).applyfunc(sympy.expand))


def value_moment(values: ValueDistribution, order: int) -> sympy.Rational:
    """Return E u^order of the value of a feature that is on.

    Raises
    ------
    ValueError
        If `order` is no integer of at least 0.

    Examples
    --------
    >>> from superposition.values import UNIFORM
    >>> value_moment(UNIFORM, 2)
    1/3
    """
    if isinstance(order, bool) or not isinstance(order, int) or order < 0:
        raise ValueError(f"order must be an integer of at least 0, got {order!r}")
    if values.symmetric and order % 2:
        return sympy.S.Zero
    return sympy.Add(
        *(
            sympy.Rational(c.numerator, c.denominator) / (power + order + 1)
            for power, c in enumerate(values.coefficients)
        )
    )


def input_moments(
    n_features: int, *, density: Any = s, features: FeatureDistribution | None = None
) -> InputMoments:
    """Return the mean and the covariance matrix of the inputs.

    Parameters
    ----------
    n_features
        How many features there are, n.
    density
        P(x_i ≠ 0): one value for all or one per feature, numbers or expressions.
    features
        ``None`` is independent sparse uniform features.

    Returns
    -------
    InputMoments
        Exact, rational in the densities.

    Raises
    ------
    ValueError
        If an argument is out of range, or the densities cannot belong to `features`.

    Examples
    --------
    >>> from superposition.features import CoActive
    >>> input_moments(2, features=CoActive()).covariance
    Matrix([
    [-s**2/4 + s/3, -s**2/4 + s/4],
    [-s**2/4 + s/4, -s**2/4 + s/3]])
    """
    check_sizes(n_features, 1)
    checked = check_features(features)
    densities = read_joint_density(density, checked, n_features)
    first, second = (value_moment(checked.values, order) for order in (1, 2))
    mean = tuple(first * value for value in densities)
    covariance = sympy.zeros(n_features, n_features)
    for gate in checked.gates(n_features):
        for i in gate.members:
            for j in gate.members:
                together = sympy.Add(
                    *(p for on, p in gate.states(densities) if i in on and j in on)
                )
                product = second if i == j else first**2
                covariance[i, j] = sympy.expand(together * product - mean[i] * mean[j])
    return InputMoments(mean, sympy.ImmutableMatrix(covariance))
