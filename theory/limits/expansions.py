"""The sparsity expansion: the loss sorted by how many features are on.

Independent features are on with density s, so that the loss of fixed weights and biases is

    L = Σ_k s^k (1 − s)^{n − k} L_k,   L_k = Σ_{|A| = k} L_A,

where L_A is the expected loss given that exactly the features in A are on (Elhage et al. 2022). With
one density per feature it is multilinear: L = Σ_A Π_{j∈A} s_j Π_{j∉A} (1 − s_j) L_A.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb, prod
from typing import Any

import sympy

from ...features import FeatureDistribution, check_features
from ..fields import tidy_algebraic
from ..inputs import read_bias, read_density, read_importance, read_weights
from ..loss import OutputLoss, derive_loss
from ..symbols import OPTIMAL, s

__all__ = [
    "MultilinearExpansion",
    "SparsityExpansion",
    "multilinear_expansion",
    "one_active_loss",
    "sparsity_expansion",
]


@dataclass(frozen=True)
class SparsityExpansion:
    """A loss sorted by the number of features that are on.

    Attributes
    ----------
    terms
        L_0, …, L_n.
    density
        The density s.
    """

    terms: tuple[sympy.Expr, ...]
    density: sympy.Expr = s

    @property
    def n_features(self) -> int:
        """Number n of features."""
        return len(self.terms) - 1

    @property
    def loss(self) -> sympy.Expr:
        """Σ_k s^k (1 − s)^{n − k} L_k."""
        n, on = self.n_features, self.density
        return sympy.Add(*(on**k * (1 - on) ** (n - k) * L for k, L in enumerate(self.terms)))

    def text(self) -> str:
        """Return the terms, one a line."""
        n = self.n_features
        rows = [
            f"L_{k} = {term}    times {self.density**k * (1 - self.density) ** (n - k)}"
            for k, term in enumerate(self.terms)
        ]
        return "\n".join(["L = sum over k of s**k * (1 - s)**(n - k) * L_k", *rows])

    def latex(self) -> str:
        """Return the terms as a LaTeX display."""
        rows = [f"L_{{{k}}} &= {sympy.latex(term)}" for k, term in enumerate(self.terms)]
        n = self.n_features
        head = f"L &= \\sum_{{k=0}}^{{{n}}} s^k (1 - s)^{{{n} - k}} L_k"
        body = " \\\\\n".join([head, *rows])
        return f"\\[\n\\begin{{aligned}}\n{body}\n\\end{{aligned}}\n\\]"

    def __str__(self) -> str:
        """Return the text."""
        return self.text()

    def _repr_markdown_(self) -> str:
        return self.latex().replace("\\[", "$$").replace("\\]", "$$")


@dataclass(frozen=True)
class MultilinearExpansion:
    """The loss given every set of features that can be on.

    Attributes
    ----------
    losses
        L_A for each set A, a sorted tuple of features counted from 0.
    n_features
        Number n of features.
    """

    losses: Mapping[tuple[int, ...], sympy.Expr]
    n_features: int

    def by_count(self) -> SparsityExpansion:
        """Return the sums over sets of equal size."""
        terms = [
            sympy.expand(sympy.Add(*(L for A, L in self.losses.items() if len(A) == k)))
            for k in range(self.n_features + 1)
        ]
        return SparsityExpansion(tuple(map(tidy_algebraic, terms)))

    def loss(self, density: Any = s) -> sympy.Expr:
        """Return Σ_A Π_{j∈A} s_j Π_{j∉A} (1 − s_j) L_A for one density or n densities."""
        p = read_density(density, self.n_features)
        return sympy.Add(
            *(
                L * prod(p[j] if j in A else 1 - p[j] for j in range(self.n_features))
                for A, L in self.losses.items()
            )
        )


def sparsity_expansion(
    W: Any,
    b: Any = None,
    *,
    importance: Any = None,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: Any = 0,
    sample: Mapping[sympy.Symbol, Any] | None = None,
) -> SparsityExpansion:
    """Return L_0, …, L_n of a configuration with fixed weights and biases.

    They are the coefficients of the loss, a polynomial in s, in the basis s^k (1 − s)^{n − k}.
    `multilinear_expansion` computes them from their definition.

    Parameters
    ----------
    W, b, importance, activation, penalty, sample
        As in `expected_loss`; weights and biases must not depend on the density.
    features
        Features that are on independently; their values may have any distribution.

    Raises
    ------
    ValueError
        If a bias is `OPTIMAL`, something depends on the density, or the features are not
        independent; or for the reasons of `expected_loss`.

    Examples
    --------
    An antipodal pair without bias reconstructs everything unless both features are on:

    >>> from superposition.theory.limits.expansions import sparsity_expansion
    >>> sparsity_expansion([[1, -1]]).terms
    (0, 0, 1/3)
    """
    _check_fixed(W, b, features)
    model = derive_loss(
        W,
        b,
        importance=importance,
        activation=activation,
        features=features,
        penalty=penalty,
        sample=sample,
    )
    weights = sympy.Tuple(*(output.importance for output in model.outputs), model.penalty)
    if s in weights.free_symbols:
        raise ValueError(
            f"importances and penalty must not depend on the density, got {s} in one of them"
        )
    n = len(model.outputs)
    powers = [model.total.expand().coeff(s, j) for j in range(n + 1)]
    terms = (
        sympy.expand(sympy.Add(*(powers[j] * comb(n - j, k - j) for j in range(k + 1))))
        for k in range(n + 1)
    )
    return SparsityExpansion(tuple(terms))


def _check_fixed(W: Any, b: Any, features: FeatureDistribution | None) -> None:
    weights = read_weights(W)
    n = weights.shape[1]
    biases = read_bias(b, n)
    if any(entry is OPTIMAL for entry in biases):
        raise ValueError(
            "the terms of the expansion belong to fixed biases, got OPTIMAL, which depends on "
            "the density; pass numbers or symbols"
        )
    if s in sympy.Tuple(*weights.flat(), *biases).free_symbols:
        raise ValueError(f"weights and biases must not depend on the density, got {s} in W or b")
    if not check_features(features).is_independent(n):
        raise ValueError(
            f"the expansion is for features that are on independently, got {features!r}"
        )


def multilinear_expansion(
    W: Any,
    b: Any = None,
    *,
    importance: Any = None,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: Any = 0,
    sample: Mapping[sympy.Symbol, Any] | None = None,
) -> MultilinearExpansion:
    """Return the loss L_A given exactly the features in A are on, for all 2^n sets A.

    Each is a sum of box integrals, one for every output.

    Parameters and errors are those of `sparsity_expansion`.

    Examples
    --------
    >>> from superposition.theory.limits.expansions import multilinear_expansion
    >>> expansion = multilinear_expansion([[1, -1]])
    >>> expansion.losses[0, 1]
    1/3
    >>> p, q = sympy.symbols("p q", positive=True)
    >>> expansion.loss((p, q))
    p*q/3
    """
    _check_fixed(W, b, features)
    model = derive_loss(
        W,
        b,
        importance=importance,
        activation=activation,
        features=features,
        penalty=penalty,
        sample=sample,
    )
    n = len(model.outputs)
    parts = [(output.importance, _relevant(output), _losses(output)) for output in model.outputs]
    losses = {
        active: model.penalty
        + sympy.Add(
            *(weight * known[_restricted(active, relevant)] for weight, relevant, known in parts)
        )
        for k in range(n + 1)
        for active in combinations(range(n), k)
    }
    return MultilinearExpansion(losses, n)


def _restricted(active: tuple[int, ...], relevant: frozenset[int]) -> tuple[int, ...]:
    """Return the active features on which an output depends."""
    return tuple(j for j in active if j in relevant)


def _relevant(output: OutputLoss) -> frozenset[int]:
    return frozenset(j for j, g in enumerate(output.couplings) if g != 0) | {output.index}


def _losses(output: OutputLoss) -> dict[tuple[int, ...], sympy.Expr]:
    return {term.active: term.loss for term in output.terms}


def one_active_loss(W: Any, b: Any = None, *, importance: Any = None) -> sympy.Expr:
    """Return L_1 of a ReLU model with uniform features in closed form, for any W and b.

    With g_ij = W_i · W_j and t₊ = max(0, t),

        L_1 = Σ_i I_i [1/3 − (g_ii + b_i)₊²/g_ii + ((g_ii + b_i)₊³ − b_i₊³)(1 + g_ii)/(3 g_ii²)
                       + Σ_{j≠i} ((g_ij + b_i)₊³ − b_i₊³)/(3 g_ij)],

    where a quotient with g_ij = 0 is its limit b_i₊². Without bias it is the formula of Elhage
    et al. 2022, Σ_i I_i [(1 − ‖W_i‖²)² + Σ_{j≠i} (W_i · W_j)₊²]/3. It holds in every chamber, as
    signs stay in the maxima where they are undecided.

    Parameters
    ----------
    W, b, importance
        As in `expected_loss`; symbols must be real.

    Raises
    ------
    ValueError
        If an argument has the wrong shape or type, or a bias is `OPTIMAL`.

    Examples
    --------
    >>> from superposition.theory.limits.expansions import one_active_loss
    >>> u, v = sympy.symbols("u v", real=True)
    >>> one_active_loss([[u, v]])
    (1 - u**2)**2/3 + (1 - v**2)**2/3 + 2*Max(0, u*v)**2/3
    """
    _check_fixed(W, b, None)
    weights = read_weights(W)
    n = weights.shape[1]
    biases, weight = read_bias(b, n), read_importance(importance, n)
    gram = (weights.T * weights).applyfunc(tidy_algebraic)
    rows = [
        weight[i]
        * sympy.Add(
            _own_error(gram[i, i], biases[i]),
            *(_square(gram[i, j], biases[i]) for j in range(n) if j != i),
        )
        for i in range(n)
    ]
    return sympy.Add(*rows)


def _positive_part(value: sympy.Expr) -> sympy.Expr:
    return sympy.Max(0, value)


def _square(g: sympy.Expr, bias: sympy.Expr) -> sympy.Expr:
    """Return ∫ (g x + β)₊² dx over [0, 1]."""
    if g == 0:
        return _positive_part(bias) ** 2
    if bias == 0:
        return _positive_part(g) ** 2 / 3
    return (_positive_part(g + bias) ** 3 - _positive_part(bias) ** 3) / (3 * g)


def _own_error(g: sympy.Expr, bias: sympy.Expr) -> sympy.Expr:
    """Return ∫ (x − (g x + β)₊)² dx over [0, 1], for g ≥ 0."""
    if bias == 0:
        return (1 - g) ** 2 / 3
    second = _square(g, bias)
    if g == 0:
        return sympy.Rational(1, 3) - _positive_part(bias) + second
    cross = _positive_part(g + bias) ** 2 / (2 * g) - second / (2 * g)
    return sympy.Rational(1, 3) - 2 * cross + second
