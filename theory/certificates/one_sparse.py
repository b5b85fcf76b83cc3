"""Weights in which every feature is wired to one neuron: a conjecture, and why it fails.

For n ≥ 2m features, m neurons and a density 0 < s < 1 the open-problem register MAIS, entry O49,
conjectures that among weights whose columns have at most one non-zero entry the least loss is

    min{(n − m) v, m s²/3 + (n − 2m) v},   v = s/3 − s²/4:

m dedicated features, or m antipodal pairs of weights ±1 with zero biases, and the rest dropped.

**Theorem.** For every m ≥ 1, n ≥ 2m and 0 < s < 1 the infimum is smaller.

*Proof.* Let ℓ be the loss of two features on one neuron. Give m neurons two features each with
these weights and biases, and drop the others, with biases s/2. Features on different neurons have
no coupling, so the loss is the sum m ℓ + (n − 2m) v. If ℓ < min{v, s²/3}, then

    m ℓ + (n − 2m) v < min{m v + (n − 2m) v, m s²/3 + (n − 2m) v},

which is the conjectured value. That there are weights and biases with ℓ < min{v, s²/3} is what
`refutation` certifies, on three ranges that cover 0 < s < 1. ∎

The same proof with n − m pairs and 2m − n dedicated features, m < n < 2m, gives a loss below
(n − m) min{v, s²/3}.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sympy

from ..inputs import as_exact
from ..symbols import s
from .statements import Certificate, certify

__all__ = ["PIECES", "PairPiece", "conjectured_losses", "pair_sum", "refutation"]

_DROPPED = s / 3 - s**2 / 4


@dataclass(frozen=True)
class PairPiece:
    """Weights and biases of two features on one neuron, for a range of densities.

    Attributes
    ----------
    weights, biases
        Two entries each, expressions in s.
    densities
        Where they are used.
    """

    weights: tuple[sympy.Expr, sympy.Expr]
    biases: tuple[sympy.Expr, sympy.Expr]
    densities: sympy.Interval


_ONE, _WALL, _MIDDLE = sympy.S.One, sympy.Rational(13, 17), sympy.Rational(3, 5)
_UNEQUAL = ((sympy.Rational(13, 14), -2 * (2 - s) / 5), (s / 4, 3 * s / 5))

PIECES = (
    PairPiece((_ONE, -_ONE), (s**2 / 6, s**2 / 6), sympy.Interval.Lopen(0, _MIDDLE)),
    PairPiece(*_UNEQUAL, sympy.Interval(_MIDDLE, _WALL)),
    PairPiece(*_UNEQUAL, sympy.Interval(_WALL, 1)),
)
"""On each range these two features have a smaller loss than either classical configuration.

At s = 13/17 a pre-activation of the second pair changes sign, so that its loss changes its formula.
"""


def conjectured_losses(n_features: int, n_hidden: int) -> tuple[sympy.Expr, sympy.Expr]:
    """Return the two losses of which the conjectured infimum is the smaller.

    Raises
    ------
    ValueError
        Unless n_features ≥ 2 n_hidden ≥ 2, for which the conjecture is stated.

    Examples
    --------
    >>> conjectured_losses(2, 1)
    (-s**2/4 + s/3, s**2/3)
    """
    if not n_features >= 2 * n_hidden >= 2:
        raise ValueError(
            f"the conjecture is stated for n_features >= 2 n_hidden >= 2, "
            f"got n_features = {n_features}, n_hidden = {n_hidden}"
        )
    dropped = n_features - 2 * n_hidden
    dedicated = sympy.expand((n_features - n_hidden) * _DROPPED)
    return dedicated, sympy.expand(n_hidden * s**2 / 3 + dropped * _DROPPED)


def refutation(density: Any = None) -> tuple[Certificate, ...]:
    """Certify that two features on one neuron beat both classical configurations.

    Parameters
    ----------
    density
        ``None`` for all densities in (0, 1]; or one rational density.

    Returns
    -------
    tuple of Certificate
        One for each of `PIECES`, or for the one piece that holds at `density`.

    Raises
    ------
    ValueError
        If `density` is not in (0, 1].

    Examples
    --------
    >>> [certificate.holds for certificate in refutation()]
    [True, True, True]
    """
    if density is None:
        return tuple(
            certify(
                [piece.weights],
                piece.biases,
                less_than=conjectured_losses(2, 1),
                over={s: piece.densities},
            )
            for piece in PIECES
        )
    value = as_exact(density, "density")
    W, b = pair_sum(2, 1, value)
    bounds = tuple(bound.subs(s, value) for bound in conjectured_losses(2, 1))
    return (certify(W, b, density=value, less_than=bounds),)


def pair_sum(
    n_features: int, n_hidden: int, density: Any
) -> tuple[sympy.ImmutableMatrix, tuple[sympy.Expr, ...]]:
    """Return weights and biases that disprove the conjecture for (n, m) at one density.

    Parameters
    ----------
    n_features, n_hidden
        n ≥ 2m ≥ 2.
    density
        Rational, in (0, 1].

    Returns
    -------
    W : sympy.ImmutableMatrix
        (m, n); two features on each neuron, columns of zeros for the rest.
    b : tuple of sympy.Expr
        n biases.

    Raises
    ------
    ValueError
        If the sizes or the density are not in range.

    Examples
    --------
    >>> W, b = pair_sum(3, 1, sympy.Rational(1, 2))
    >>> W, b
    (Matrix([[1, -1, 0]]), (1/24, 1/24, 1/4))
    """
    conjectured_losses(n_features, n_hidden)
    value = as_exact(density, "density")
    pieces = [piece for piece in PIECES if value in piece.densities]
    if not pieces:
        raise ValueError(f"density must be in (0, 1], got {density}")
    weights, biases = (
        [entry.subs(s, value) for entry in entries]
        for entries in (pieces[0].weights, pieces[0].biases)
    )
    W = sympy.zeros(n_hidden, n_features)
    for neuron in range(n_hidden):
        W[neuron, 2 * neuron], W[neuron, 2 * neuron + 1] = weights
    dropped = n_features - 2 * n_hidden
    return sympy.ImmutableMatrix(W), (*(biases * n_hidden), *([value / 2] * dropped))
