"""Geometry of the feature directions: how many share how many dimensions.

All three measures take W of shape (n_hidden, n_features), whose column W_i is the direction of
feature i. A numeric NumPy array gives NumPy results and may have leading dimensions; anything
else (SymPy matrices, nested sequences, object arrays) is taken exactly and gives SymPy results.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from .fields import exact_gram, tidy_algebraic
from .inputs import read_weights

__all__ = ["dimensions_per_feature", "feature_dimensionality", "interference"]


def feature_dimensionality(W: Any) -> Any:
    """Return D_i = ‖W_i‖² / Σ_j (Ŵ_i · W_j)², the share of a dimension that feature i has.

    Definition of Elhage et al. 2022, and the capacity C_i of Scherlis et al. 2022. It lies in
    [0, 1], is 0 for a zero column, and Σ_i D_i ≤ rank W, with equality exactly when every
    non-zero column is an eigenvector of WWᵀ.

    Parameters
    ----------
    W
        Weights, (..., m, n).

    Returns
    -------
    ndarray of shape (..., n), or tuple of n sympy.Expr

    Raises
    ------
    ValueError
        If W is no matrix or not finite.

    Examples
    --------
    >>> feature_dimensionality([[1, -1, 0], [0, 0, 1]])
    (1/2, 1/2, 1)
    >>> feature_dimensionality(np.array([[1.0, 0.0]]))
    array([1., 0.])
    """
    if _is_numeric(W):
        # D is free of scale, so that small weights need not underflow when squared.
        scale = np.abs(_checked(W)).max(axis=(-2, -1), keepdims=True)
        gram = _gram(W / np.where(scale > 0, scale, 1))
        squares = np.square(gram).sum(axis=-1)
        lengths = np.square(np.diagonal(gram, axis1=-2, axis2=-1))
        return np.divide(lengths, squares, out=np.zeros_like(squares), where=squares > 0)
    exact = _exact_gram(W)
    n = exact.shape[0]
    return tuple(
        _ratio(exact[i, i] ** 2, sympy.Add(*(exact[i, j] ** 2 for j in range(n)))) for i in range(n)
    )


def interference(W: Any) -> Any:
    """Return Σ_{j≠i} (Ŵ_i · W_j)², how much of the other features is read off along Ŵ_i.

    Elhage et al. 2022 color their features by it (their notebook plots its square root). It is
    0 for a zero column.

    Parameters
    ----------
    W
        Weights, (..., m, n).

    Returns
    -------
    ndarray of shape (..., n), or tuple of n sympy.Expr

    Raises
    ------
    ValueError
        If W is no matrix or not finite.

    Examples
    --------
    >>> interference([[1, -1, 0], [0, 0, 1]])
    (1, 1, 0)
    """
    if _is_numeric(W):
        lengths = np.linalg.norm(_checked(W), axis=-2)
        units = W / np.where(lengths > 0, lengths, 1)[..., None, :]
        overlaps = np.square(np.swapaxes(units, -1, -2) @ W)
        overlaps[..., np.arange(W.shape[-1]), np.arange(W.shape[-1])] = 0
        return overlaps.sum(axis=-1)
    exact = _exact_gram(W)
    n = exact.shape[0]
    return tuple(
        _ratio(sympy.Add(*(exact[i, j] ** 2 for j in range(n) if j != i)), exact[i, i])
        for i in range(n)
    )


def dimensions_per_feature(W: Any) -> Any:
    """Return D* = m / ‖W‖_F², hidden dimensions per represented feature; infinite for W = 0.

    Elhage et al. 2022.

    Parameters
    ----------
    W
        Weights, (..., m, n).

    Returns
    -------
    float or ndarray of shape (...), or sympy.Expr

    Raises
    ------
    ValueError
        If W is no matrix or not finite.

    Examples
    --------
    >>> dimensions_per_feature([[1, -1]])
    1/2
    """
    if _is_numeric(W):
        total = np.square(_checked(W)).sum(axis=(-2, -1))
        return np.divide(W.shape[-2], total, out=np.full_like(total, np.inf), where=total > 0)[()]
    weights = read_weights(W)
    total = tidy_algebraic(sympy.Add(*(entry**2 for entry in weights)))
    return sympy.oo if total == 0 else sympy.radsimp(weights.shape[0] / total)


def _is_numeric(W: Any) -> bool:
    return isinstance(W, np.ndarray) and W.dtype.kind in "fiu"


def _checked(W: NDArray[Any]) -> NDArray[Any]:
    if W.ndim < 2 or 0 in W.shape[-2:]:
        raise ValueError(f"W must be of shape (..., n_hidden, n_features), got shape {W.shape}")
    if not np.isfinite(W).all():
        raise ValueError("W must be finite, got NaN or infinity")
    return W


def _gram(W: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.swapaxes(W, -1, -2) @ W)


def _exact_gram(W: Any) -> sympy.Matrix:
    weights = read_weights(W)
    return exact_gram(weights)


def _ratio(numerator: sympy.Expr, denominator: sympy.Expr) -> sympy.Expr:
    denominator = tidy_algebraic(denominator)
    if denominator == 0:
        return sympy.S.Zero
    return tidy_algebraic(sympy.radsimp(tidy_algebraic(numerator) / denominator))
