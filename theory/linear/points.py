"""Critical points of linear toy models whose importances and covariance commute.

Then one orthonormal basis diagonalizes both: direction k has an importance I_k and a variance
c_k. Keeping a set K of at most m of these directions, G = Σ_{k∈K} u_k u_kᵀ, is a critical point,
and its Hessian is diagonal up to pairs. Whether there are others is `is_complete`'s answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import prod
from typing import Any

import sympy

from ...features import FeatureDistribution
from ...model import check_sizes
from ..fields import decide_sign
from ..symbols import s
from .loss import LinearProblem, linear_problem

__all__ = [
    "EigenDirection",
    "LinearCriticalPoint",
    "eigen_directions",
    "is_complete",
    "linear_critical_points",
]


@dataclass(frozen=True)
class EigenDirection:
    """A common eigenvector of importances and covariance.

    Attributes
    ----------
    vector : tuple of n sympy.Expr
        Of length 1.
    importance, variance : sympy.Expr
        The two eigenvalues.
    """

    vector: tuple[sympy.Expr, ...]
    importance: sympy.Expr
    variance: sympy.Expr

    @property
    def eigenvalue(self) -> sympy.Expr:
        """What dropping the direction costs: importance times variance."""
        return sympy.factor(self.importance * self.variance)


@dataclass(frozen=True)
class LinearCriticalPoint:
    """A critical point of the loss over W, with the bias at its optimum everywhere.

    It stands for its orbit under rotations of the hidden space, W → QW, and where eigenvalues
    coincide for a larger family.

    Attributes
    ----------
    kept : tuple of int
        The kept directions, as places in `eigen_directions`.
    W : sympy.ImmutableMatrix of shape (m, n)
        The kept vectors in its first rows, then zeros.
    loss : sympy.Expr
        The sum of the dropped eigenvalues.
    hessian_eigenvalues : tuple of (sympy.Expr, int)
        Different eigenvalues of ∂²L/∂W², an mn × mn matrix, with their multiplicities.
    rotations : int
        Dimension of the orbit under rotations: so many zeros are due to the symmetry.
    density : tuple of n sympy.Expr
        The densities of the features.
    """

    kept: tuple[int, ...]
    W: sympy.ImmutableMatrix
    loss: sympy.Expr
    hessian_eigenvalues: tuple[tuple[sympy.Expr, int], ...]
    rotations: int
    density: tuple[sympy.Expr, ...]

    @property
    def G(self) -> sympy.ImmutableMatrix:
        """WᵀW, the orthogonal projection onto the kept directions, of shape (n, n)."""
        return sympy.ImmutableMatrix((self.W.T * self.W).applyfunc(sympy.expand))

    @property
    def flat_directions(self) -> int:
        """How many zeros the Hessian has beyond those of rotations."""
        zeros = sum(count for value, count in self.hessian_eigenvalues if value == 0)
        return zeros - self.rotations

    def index(self, sample: Mapping[sympy.Symbol, Any] | None = None) -> int:
        """Return how many negative eigenvalues the Hessian has; 0 at minima.

        It is also the index in W and b together, because the loss is convex in b.

        Parameters
        ----------
        sample
            Values of symbols at which signs are read off that no assumption decides.

        Raises
        ------
        UndecidedSignError
            If the sign of an eigenvalue follows from neither.
        """
        symbols = [value for value in self.density if value.is_Symbol]
        return sum(
            count for value, count in self.hessian_eigenvalues if _sign(value, sample, symbols) < 0
        )


def linear_critical_points(
    n_features: int,
    n_hidden: int,
    *,
    density: Any = s,
    importance: Any = None,
    features: FeatureDistribution | None = None,
) -> tuple[LinearCriticalPoint, ...]:
    """Return a critical point for every set of at most m eigen-directions.

    Parameters
    ----------
    n_features, n_hidden
        Sizes n and m.
    density, importance, features
        As in `expected_loss`. Importances and variances are positive.

    Returns
    -------
    tuple of LinearCriticalPoint
        By the number of kept directions, most first. The least loss among them is the global
        minimum: the m largest eigenvalues are kept. `is_complete` says whether these are all.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or range, an importance or a density is 0, or
        importances and covariance do not commute.

    Notes
    -----
    With λ = I c, the eigenvalues of the Hessian at the set K are 8 λ_i for i ∈ K;
    4 (I_i c_j + I_j c_i) and 0 for a pair in K; 2 (I_i c_j + I_j c_i − 2 λ_j) for i ∈ K, j ∉ K;
    and in every unused hidden dimension 0 for i ∈ K and −4 λ_j for j ∉ K.

    Examples
    --------
    >>> from superposition.theory import r
    >>> keep_first, keep_last, keep_none = linear_critical_points(2, 1, importance=(1, r))
    >>> keep_first.W, keep_first.loss
    (Matrix([[1, 0]]), -r*s*(3*s - 4)/12)
    >>> keep_first.hessian_eigenvalues
    ((-2*s*(3*s - 4)/3, 1), (s*(r - 1)*(3*s - 4)/6, 1))
    >>> keep_first.index({r: 2}), keep_last.index({r: 2}), keep_none.index()
    (1, 0, 2)
    """
    check_sizes(n_features, n_hidden)
    problem = linear_problem(n_features, density=density, importance=importance, features=features)
    directions = _directions(problem)
    sizes = range(min(n_features, n_hidden), -1, -1)
    return tuple(
        _critical_point(kept, n_hidden, directions, problem)
        for size in sizes
        for kept in combinations(range(n_features), size)
    )


def eigen_directions(
    n_features: int,
    *,
    density: Any = s,
    importance: Any = None,
    features: FeatureDistribution | None = None,
) -> tuple[EigenDirection, ...]:
    """Return an orthonormal basis of common eigenvectors of importances and covariance.

    Parameters and errors are those of `linear_critical_points`.

    Examples
    --------
    Features that are on together have one direction of larger variance:

    >>> from superposition.features import CoActive
    >>> [direction.eigenvalue for direction in eigen_directions(3, features=CoActive())]
    [-s*(9*s - 10)/12, s/12, s/12]
    """
    problem = linear_problem(n_features, density=density, importance=importance, features=features)
    return _directions(problem)


def is_complete(directions: Sequence[EigenDirection]) -> bool:
    """Say whether sets of eigen-directions are known to be all critical points.

    So it is if all importances are equal, or all variances: the loss treats the two alike. Then
    every critical G is the projection onto an invariant space of at most m dimensions, and every
    minimum is global. Otherwise oblique critical points can lie between two local minima.

    Examples
    --------
    >>> is_complete(eigen_directions(2, density=(1, 0.5)))
    True
    >>> is_complete(eigen_directions(2, density=(1, 0.5), importance=(1, 2)))
    False
    """
    pairs = ((a, b) for a in directions for b in directions)
    differences = [
        (sympy.expand(a.importance - b.importance), sympy.expand(a.variance - b.variance))
        for a, b in pairs
    ]
    return all(d[0] == 0 for d in differences) or all(d[1] == 0 for d in differences)


def _sign(
    value: sympy.Expr,
    sample: Mapping[sympy.Symbol, Any] | None,
    densities: Sequence[sympy.Symbol],
) -> int:
    """Return the sign factor by factor: some follow from assumptions, others from the sample."""
    factors = sympy.Mul.make_args(sympy.factor(value))
    return prod(decide_sign(factor, sample, densities) for factor in factors)


def _directions(problem: LinearProblem) -> tuple[EigenDirection, ...]:
    if not problem.commutes:
        raise ValueError(
            "features of different importances are correlated, so that importances and covariance "
            "have no common eigenvectors; pass equal importances or independent features, or for "
            "two features in one dimension use one_neuron_critical_points"
        )
    directions = [direction for block in _blocks(problem) for direction in _of_block(*block)]
    for direction in directions:
        if direction.eigenvalue == 0:
            raise ValueError(
                "importances and variances must be positive, got a direction whose product of "
                "both is 0; leave out features of importance or density 0"
            )
    return tuple(directions)


Block = tuple[LinearProblem, tuple[int, ...]]


def _blocks(problem: LinearProblem) -> Iterator[Block]:
    """Yield sets of features that are correlated, directly or through others."""
    left = list(range(problem.n_features))
    while left:
        block, new = [], [left[0]]
        while new:
            i = new.pop()
            left.remove(i)
            block.append(i)
            new += [j for j in left if problem.covariance[i, j] != 0 and j not in new]
        yield problem, tuple(sorted(block))


def _of_block(problem: LinearProblem, block: tuple[int, ...]) -> Iterator[EigenDirection]:
    importance = problem.importance[block[0]]
    covariance = problem.covariance.extract(block, block)
    for variance, vector in _eigenvectors(covariance):
        entries = dict(zip(block, vector, strict=True))
        whole = tuple(entries.get(i, sympy.S.Zero) for i in range(problem.n_features))
        yield EigenDirection(whole, importance, sympy.factor(variance))


def _eigenvectors(
    covariance: sympy.ImmutableMatrix,
) -> Iterator[tuple[sympy.Expr, Sequence[sympy.Expr]]]:
    size = covariance.rows
    diagonal = {covariance[i, i] for i in range(size)}
    others = {covariance[i, j] for i in range(size) for j in range(i)}
    if len(diagonal) == 1 and len(others) <= 1:  # exchangeable: no characteristic polynomial
        variance, coupling = diagonal.pop(), others.pop() if others else sympy.S.Zero
        yield variance + (size - 1) * coupling, [1 / sympy.sqrt(size)] * size
        for k in range(1, size):
            scale = 1 / sympy.sqrt(k * (k + 1))
            yield variance - coupling, [scale] * k + [-k * scale] + [sympy.S.Zero] * (size - k - 1)
        return
    for variance, _, vectors in covariance.eigenvects():
        for vector in sympy.GramSchmidt(vectors, orthonormal=True):
            yield variance, [sympy.radsimp(sympy.simplify(entry)) for entry in vector]


def _critical_point(
    kept: tuple[int, ...],
    n_hidden: int,
    directions: Sequence[EigenDirection],
    problem: LinearProblem,
) -> LinearCriticalPoint:
    n = len(directions)
    rows = [directions[k].vector for k in kept] + [(0,) * n] * (n_hidden - len(kept))
    loss = sympy.Add(*(directions[k].eigenvalue for k in range(n) if k not in kept))
    size, unused = len(kept), n_hidden - len(kept)
    counts: dict[sympy.Expr, int] = {}
    for value, count in _hessian(kept, unused, directions):
        key = sympy.factor(value)
        counts[key] = counts.get(key, 0) + count
    return LinearCriticalPoint(
        kept,
        sympy.ImmutableMatrix(rows),
        sympy.factor(loss),
        tuple((value, count) for value, count in counts.items() if count),
        size * (size - 1) // 2 + size * unused,
        problem.density,
    )


def _hessian(
    kept: tuple[int, ...], unused: int, directions: Sequence[EigenDirection]
) -> Iterator[tuple[sympy.Expr, int]]:
    """Yield eigenvalues with multiplicities; one value may come more than once."""
    dropped = [k for k in range(len(directions)) if k not in kept]

    def mixed(i: int, j: int) -> sympy.Expr:
        a, b = directions[i], directions[j]
        return a.importance * b.variance + b.importance * a.variance

    for i in kept:
        yield 8 * directions[i].eigenvalue, 1
    for i, j in combinations(kept, 2):
        yield 4 * mixed(i, j), 1
        yield sympy.S.Zero, 1
    for i in kept:
        for j in dropped:
            yield 2 * (mixed(i, j) - 2 * directions[j].eigenvalue), 1
    for j in dropped:
        yield -4 * directions[j].eigenvalue, unused
    yield sympy.S.Zero, len(kept) * unused
