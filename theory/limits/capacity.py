"""Capacity: what a part of a dimension is worth to a feature.

Scherlis et al. 2022 (arXiv 2210.01892) call C_i = ‖W_i‖⁴ / Σ_j (W_i·W_j)² the capacity of feature
i. It is the feature dimensionality of Elhage et al. 2022: between 0 and 1, with Σ C_i ≤ m.

They answer who gets how much for a *quadratic model*. It predicts y = Σ_i v_i x_i², v_i ≥ 0, by
ŷ = c + ‖W x‖², with inputs that are independent, of mean 0, variance 1 and kurtosis κ = E x_i⁴.
With the best constant c the loss is a variance,

    L = E (y − ŷ)² = (κ − 1) Σ_i (v_i − ‖W_i‖²)² + 2 Σ_{i≠j} (W_i·W_j)².

In terms of capacities the second sum is 2 Σ_i ‖W_i‖⁴ (1/C_i − 1). With every length at its best,

    L ≥ Σ_i v_i² f(C_i),   f(C) = 2 (κ − 1) (1 − C) / (2 + (κ − 3) C).

f is convex for κ > 3: returns diminish and capacity is shared. It is concave for κ < 3: capacity
is all or nothing. At κ = 3 it is the line 2 (1 − C). The least value of the right side under Σ C_i = m
is attained by weights, so that it is the least loss: where 0 < C_i < 1 the marginal benefits
−v_i² f′(C_i) are equal, and with them ‖W_i‖²/C_i, which makes these columns a tight frame, and
there are tight frames of all lengths that satisfy 0 ≤ C_i ≤ 1 and sum to whole dimensions
(Schur and Horn).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

import sympy

from ...model import check_sizes
from ...values import ValueDistribution
from ..configurations import Configuration
from ..fields import decide_sign, exact_gram, tidy_algebraic
from ..geometry import feature_dimensionality
from ..inputs import as_exact, read_density, read_weights
from ..polytopes import orthogonal_basis

__all__ = [
    "CapacityAllocation",
    "FrontierPoint",
    "allocate_capacity",
    "capacity",
    "capacity_frontier",
    "capacity_loss",
    "capacity_report",
    "feature_kurtosis",
    "marginal_benefit",
    "quadratic_loss",
]

SYMMETRIC_UNIFORM: Final = ValueDistribution([1], symmetric=True)


@dataclass(frozen=True)
class CapacityAllocation:
    """The best capacities in the quadratic model.

    Attributes
    ----------
    capacities
        C_i, one for each feature.
    squared_lengths
        ‖W_i‖² of the best weights.
    marginal_benefit
        −∂L/∂C_i = −v_i² f′(C_i), one for each feature; equal where 0 < C_i < 1.
    loss
        Σ v_i² f(C_i), the least loss.
    """

    capacities: tuple[sympy.Expr, ...]
    squared_lengths: tuple[sympy.Expr, ...]
    marginal_benefit: tuple[sympy.Expr, ...]
    loss: sympy.Expr

    @property
    def is_all_or_nothing(self) -> bool:
        """Whether every capacity is 0 or 1."""
        return all(share in (0, 1) for share in self.capacities)


@dataclass(frozen=True)
class FrontierPoint:
    """A configuration as a way to spend capacity.

    Attributes
    ----------
    name
        Of the configuration.
    capacity
        Dimensions per feature, m/n.
    loss
        Loss per feature, at importance 1.
    """

    name: str
    capacity: sympy.Expr
    loss: sympy.Expr


def capacity(W: Any) -> Any:
    """Return C_i = ‖W_i‖⁴ / Σ_j (W_i·W_j)²; another name for `feature_dimensionality`.

    Parameters, types and errors are those of `feature_dimensionality`.

    Examples
    --------
    >>> capacity([[1, -1, 0], [0, 0, 1]])
    (1/2, 1/2, 1)
    """
    return feature_dimensionality(W)


def quadratic_loss(W: Any, values: Sequence[Any], *, kurtosis: Any) -> sympy.Expr:
    """Return (κ − 1) Σ_i (v_i − ‖W_i‖²)² + 2 Σ_{i≠j} (W_i·W_j)², the quadratic model's loss.

    Parameters
    ----------
    W
        Weights, (m, n), taken exactly.
    values
        n coefficients v_i ≥ 0 of the target Σ v_i x_i².
    kurtosis
        κ = E x_i⁴ > 1, at unit variance.

    Raises
    ------
    ValueError
        If shapes do not fit, a value is negative, or κ ≤ 1.

    Examples
    --------
    >>> quadratic_loss([[1, -1]], [1, 1], kurtosis=5)
    4
    """
    weights = read_weights(W)
    v, kappa = _read_values(values, weights.shape[1]), _read_kurtosis(kurtosis)
    gram = exact_gram(weights)
    n = len(v)
    own = sympy.Add(*((v[i] - gram[i, i]) ** 2 for i in range(n)))
    crossed = sympy.Add(*(gram[i, j] ** 2 for i in range(n) for j in range(n) if i != j))
    return sympy.expand((kappa - 1) * own + 2 * crossed)


def capacity_loss(C: Any, *, kurtosis: Any) -> sympy.Expr:
    """Return f(C), the loss of a feature of value 1 and capacity C, at its best length.

    Parameters
    ----------
    C
        Capacity in [0, 1], a number or a symbol.
    kurtosis
        κ > 1, a number or a symbol.

    Examples
    --------
    >>> capacity_loss(0, kurtosis=9), capacity_loss(sympy.Rational(1, 2), kurtosis=9)
    (8, 8/5)
    """
    share, kappa = as_exact(C, "C"), _read_kurtosis(kurtosis)
    return 2 * (kappa - 1) * (1 - share) / (2 + (kappa - 3) * share)


def marginal_benefit(C: Any, *, kurtosis: Any) -> sympy.Expr:
    """Return −f′(C) = 2 (κ − 1)² / (2 + (κ − 3) C)², what more capacity is worth at value 1.

    It falls with C for κ > 3 and rises for κ < 3.

    Examples
    --------
    >>> marginal_benefit(0, kurtosis=9), marginal_benefit(1, kurtosis=9)
    (32, 2)
    """
    share, kappa = as_exact(C, "C"), _read_kurtosis(kurtosis)
    return 2 * (kappa - 1) ** 2 / (2 + (kappa - 3) * share) ** 2


def feature_kurtosis(density: Any, values: ValueDistribution = SYMMETRIC_UNIFORM) -> sympy.Expr:
    """Return κ = E x⁴ / (E x²)² of a sparse input with values of mean zero.

    Parameters
    ----------
    density
        P(x ≠ 0) in (0, 1], a number or the symbol `s`.
    values
        A symmetric distribution; the default is uniform on [−1, 1], for which κ = 9/(5 s).

    Raises
    ------
    ValueError
        If the values are not symmetric, or the density is 0 or no probability.

    Examples
    --------
    Capacity is shared where κ > 3, that is below the density

    >>> from superposition.theory import s
    >>> sympy.solve(feature_kurtosis(s) - 3, s)
    [3/5]
    """
    if not values.symmetric:
        raise ValueError(
            f"the quadratic model needs inputs of mean zero, so values must be symmetric, such as "
            f"ValueDistribution([1], symmetric=True), got {values!r}"
        )
    (probability,) = read_density(density, 1)
    if probability == 0:
        raise ValueError("the kurtosis of an input that is never on does not exist: density is 0")
    second, fourth = (
        sum((c / (k + p + 1) for k, c in enumerate(values.coefficients)), Fraction(0))
        for p in (2, 4)
    )
    ratio = fourth / second**2
    return sympy.Rational(ratio.numerator, ratio.denominator) / probability


def allocate_capacity(values: Sequence[Any], n_hidden: int, *, kurtosis: Any) -> CapacityAllocation:
    """Return the capacities that minimize Σ v_i² f(C_i) subject to 0 ≤ C_i ≤ 1, Σ C_i ≤ m.

    This is the least loss of the quadratic model with m hidden dimensions.

    Parameters
    ----------
    values
        n numbers v_i ≥ 0.
    n_hidden
        Number m of hidden dimensions.
    kurtosis
        κ > 1, a number.

    Returns
    -------
    CapacityAllocation
        Exact. For κ > 3 with equal marginal benefits of all features of 0 < C_i < 1, and for
        κ ≤ 3 all or nothing: whole dimensions for the m largest values, the first of equal ones.
        At κ = 3 and equal values other allocations are as good.

    Raises
    ------
    ValueError
        If a value is negative or no number, κ ≤ 1, or m is no positive integer.

    Examples
    --------
    >>> allocate_capacity([1, 1, 1], 2, kurtosis=9).capacities
    (2/3, 2/3, 2/3)
    >>> allocate_capacity([4, 1, 1], 2, kurtosis=9).capacities
    (1, 1/2, 1/2)
    >>> allocate_capacity([3, 2, 1], 2, kurtosis=2).capacities
    (1, 1, 0)
    """
    v, kappa = _read_values(values, len(values)), _read_kurtosis(kurtosis)
    check_sizes(len(v), n_hidden)
    if not kappa.is_number or not all(value.is_number for value in v):
        raise ValueError(
            f"allocate_capacity needs numbers, got values = {values!r}, kurtosis = {kurtosis!r}"
        )
    wanted = sum(bool(value.is_positive) for value in v)
    if wanted <= n_hidden:
        shares = [sympy.Integer(bool(value.is_positive)) for value in v]
    elif kappa > 3:
        shares = _equal_benefits(v, n_hidden, kappa)
    else:
        order = sorted(range(len(v)), key=lambda i: -v[i])
        shares = [sympy.Integer(order.index(i) < n_hidden) for i in range(len(v))]
    lengths = (
        (kappa - 1) * value * share / (2 + (kappa - 3) * share)
        for value, share in zip(v, shares, strict=True)
    )
    benefits = (
        value**2 * marginal_benefit(share, kurtosis=kappa)
        for value, share in zip(v, shares, strict=True)
    )
    losses = (
        value**2 * capacity_loss(share, kurtosis=kappa)
        for value, share in zip(v, shares, strict=True)
    )
    return CapacityAllocation(tuple(shares), tuple(lengths), tuple(benefits), sympy.Add(*losses))


def _equal_benefits(v: Sequence[sympy.Expr], n_hidden: int, kappa: sympy.Expr) -> list[sympy.Expr]:
    """Return C_i = ((κ − 1) v_i q − 2)/(κ − 3), cut off at 0 and 1, with the q that spends m.

    1/q = ‖W_i‖²/C_i is common to all features that share. The sum of capacities is piecewise
    linear and increasing in q, and bends where a feature gets its first or its last part.
    """

    def share(value: sympy.Expr, q: sympy.Expr) -> sympy.Expr:
        return sympy.Max(0, sympy.Min(1, ((kappa - 1) * value * q - 2) / (kappa - 3)))

    def spent(q: sympy.Expr) -> sympy.Expr:
        return sympy.Add(*(share(value, q) for value in v))

    positive = [value for value in v if value.is_positive]
    bends = sorted({q for x in positive for q in (2 / ((kappa - 1) * x), 1 / x)})
    high = next(k for k, q in enumerate(bends) if spent(q) >= n_hidden)
    low, top = bends[high - 1], bends[high]
    missing = (n_hidden - spent(low)) / (spent(top) - spent(low))
    q = low + missing * (top - low)
    return [tidy_algebraic(share(value, q)) for value in v]


def capacity_frontier(
    configurations: Iterable[Configuration], *, density: Any
) -> tuple[FrontierPoint, ...]:
    """Return the configurations that a large ReLU model would mix, by exact loss.

    Direct sums add losses, features and dimensions. Many features of equal importance in a
    share c of as many dimensions can therefore reach every loss per feature on the lower convex
    hull of the points (m/n, loss/n), by mixing the two neighbors of c; this is an upper bound
    on the least loss, and exact only among such mixtures.

    Parameters
    ----------
    configurations
        What may be mixed, besides dropped features (capacity 0, best bias) and dedicated ones
        (capacity 1, no loss), which are always there.
    density
        A number in (0, 1].

    Returns
    -------
    tuple of FrontierPoint
        The corners of the hull, in ascending order of the capacity: from dropped to dedicated
        features. With no other point between, capacity is all or nothing.

    Raises
    ------
    ValueError
        If the density is no number in (0, 1].

    Examples
    --------
    >>> from superposition.theory import regular_simplex
    >>> pair = regular_simplex(1)
    >>> [point.name for point in capacity_frontier([pair], density=sympy.Rational(1, 2))]
    ['dropped', 'antipodal pair', 'dedicated']
    >>> [point.name for point in capacity_frontier([pair], density=sympy.Rational(3, 4))]
    ['dropped', 'dedicated']
    """
    (probability,) = read_density(density, 1)
    if not probability.is_number or probability == 0:
        raise ValueError(f"density must be a number in (0, 1], got {density!r}")
    mean_loss = orthogonal_basis(2, 1).loss(density=probability, importance=1)
    points = [
        FrontierPoint("dropped", sympy.S.Zero, mean_loss),
        FrontierPoint("dedicated", sympy.S.One, sympy.S.Zero),
        *(_as_point(configuration, probability) for configuration in configurations),
    ]
    points.sort(key=lambda point: (point.capacity, point.loss.evalf(30)))
    hull: list[FrontierPoint] = []
    for point in points:
        while len(hull) > 1 and not _turns_left(hull[-2], hull[-1], point):
            hull.pop()
        if not hull or point.capacity > hull[-1].capacity:
            hull.append(point)
    return tuple(hull)


def _as_point(configuration: Configuration, density: sympy.Expr) -> FrontierPoint:
    n = configuration.n_features
    loss = configuration.loss(density=density, importance=1)
    return FrontierPoint(configuration.name, sympy.Rational(configuration.n_hidden, n), loss / n)


def _turns_left(first: FrontierPoint, second: FrontierPoint, third: FrontierPoint) -> bool:
    """Say whether the second point lies strictly below the line through the others."""
    rise = (third.loss - first.loss) * (second.capacity - first.capacity)
    return decide_sign(rise - (second.loss - first.loss) * (third.capacity - first.capacity)) > 0


def _read_values(values: Sequence[Any], n_features: int) -> tuple[sympy.Expr, ...]:
    exact = tuple(as_exact(value, f"values[{i}]") for i, value in enumerate(values))
    if len(exact) != n_features:
        raise ValueError(f"values must be n_features = {n_features} numbers, got {len(exact)}")
    for value in exact:
        if value.is_negative:
            raise ValueError(f"values must be at least 0, got {value}")
    return exact


def _read_kurtosis(kurtosis: Any) -> sympy.Expr:
    kappa = as_exact(kurtosis, "kurtosis")
    if kappa.is_number and not kappa > 1:
        raise ValueError(
            f"kurtosis E x⁴/(E x²)² must exceed 1, its value for ±1 at random, got {kappa}"
        )
    return kappa


def capacity_report(W: Any) -> str:
    """Return capacities, their sum and the rank they are bounded by, as text.

    Parameters
    ----------
    W
        Weights, (m, n), taken exactly.

    Examples
    --------
    >>> print(capacity_report([[1, -1, 0], [0, 0, 1]]))
    capacity C_i            1/2, 1/2, 1
    sum of C_i              2
    rank of W               2
    columns are eigenvectors of W Wᵀ: yes
    """
    weights = read_weights(W)
    shares = capacity(weights)
    total = tidy_algebraic(sympy.Add(*shares))
    rank = weights.rank(simplify=True)
    equal = decide_sign(total - rank) == 0
    return "\n".join(
        [
            f"capacity C_i            {', '.join(map(str, shares))}",
            f"sum of C_i              {total}",
            f"rank of W               {rank}",
            f"columns are eigenvectors of W Wᵀ: {'yes' if equal else 'no'}",
        ]
    )
