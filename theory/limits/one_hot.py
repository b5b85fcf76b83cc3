"""The one-hot limit: exactly one feature is on, and the loss is elementary.

Chen et al. 2023 (arXiv 2310.06301) study inputs of which exactly one feature is on, each with
probability 1/n, with a value uniform on [0, 1]. Every integral is then over one variable, and
with a_ij = W_i·W_j the loss is L = H/(3n), where the *potential* H = Σ_i H_i is a sum of

    H_i = 3 ∫₀¹ (x − (a_ii x + b_i)₊)² dx + Σ_{j≠i} 3 ∫₀¹ (a_ij x + b_i)₊² dx.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy

from ..fields import decide_sign, exact_gram, tidy_algebraic
from ..inputs import as_exact, read_bias, read_weights
from ..symbols import OPTIMAL

__all__ = ["interference_term", "one_hot_potential", "reconstruction_term"]

Sample = Mapping[sympy.Symbol, Any]


def one_hot_potential(W: Any, b: Any = None, *, sample: Sample | None = None) -> sympy.Expr:
    """Return H(W, b) = 3 n L for inputs of which exactly one feature is on, all equally likely.

    Parameters
    ----------
    W
        Weights, (m, n), as for `expected_loss`.
    b
        n biases, numbers or expressions; ``None`` is zero.
    sample
        Values of the free symbols, to pick the chamber where assumptions do not decide the signs
        of b_i and of W_i·W_j + b_i.

    Returns
    -------
    sympy.Expr
        Exact; rational in W and b inside a chamber. H = n where every output is dead.

    Raises
    ------
    ValueError
        If W or b has a wrong shape, or a bias is `OPTIMAL`.
    UndecidedSignError
        If a sign is neither decided by assumptions nor by the sample.

    Notes
    -----
    H is once continuously differentiable in W and b wherever no column is zero, and not twice:
    its second derivatives jump between chambers.

    Examples
    --------
    Antipodal features never meet, so that they cost nothing. A dropped feature costs 1:

    >>> one_hot_potential([[1, -1]]), one_hot_potential([[1, -1, 0]])
    (0, 1)
    >>> one_hot_potential([[1, 1]])
    2
    """
    weights = read_weights(W)
    biases = read_bias(b, weights.shape[1])
    if OPTIMAL in biases:
        raise ValueError("one_hot_potential needs numbers or expressions as biases, got OPTIMAL")
    exact_sample = None if sample is None else {k: as_exact(v) for k, v in sample.items()}
    gram = exact_gram(weights)
    n = weights.shape[1]
    terms = [reconstruction_term(gram[i, i], biases[i], exact_sample) for i in range(n)] + [
        interference_term(gram[i, j], biases[i], exact_sample)
        for i in range(n)
        for j in range(n)
        if j != i
    ]
    return tidy_algebraic(sympy.Add(*terms))


def reconstruction_term(
    square: sympy.Expr, bias: sympy.Expr, sample: Sample | None = None
) -> sympy.Expr:
    """Return 3 ∫₀¹ (x − (l² x + b)₊)² dx, with l² = ``square`` ≥ 0.

    Examples
    --------
    >>> reconstruction_term(sympy.S(1), sympy.Rational(-1, 2))
    1/2
    """
    shrunk = 1 - square
    always_on = shrunk**2 - 3 * shrunk * bias + 3 * bias**2
    if decide_sign(bias, sample) > 0:
        return always_on
    if decide_sign(square + bias, sample) <= 0:
        return sympy.S.One
    return always_on + bias**3 / square**2 + bias**3 / square


def interference_term(
    coupling: sympy.Expr, bias: sympy.Expr, sample: Sample | None = None
) -> sympy.Expr:
    """Return 3 ∫₀¹ (a x + b)₊² dx, with a = ``coupling``.

    Examples
    --------
    >>> interference_term(sympy.S(1), sympy.Rational(-1, 2))
    1/8
    """
    end = coupling + bias
    if decide_sign(bias, sample) > 0:
        if decide_sign(end, sample) >= 0:
            return coupling**2 + 3 * coupling * bias + 3 * bias**2
        return -(bias**3) / coupling
    return end**3 / coupling if decide_sign(end, sample) > 0 else sympy.S.Zero
