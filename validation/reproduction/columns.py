"""The columns of W: which features are represented, which share dimensions, and how."""

from __future__ import annotations

from typing import Final

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ...theory import interference
from .models import REPRESENTED

__all__ = [
    "SUPERPOSED", "constant_loss", "cosine_deviation", "describe_columns", "misplaced",
    "unit_columns",
]  # fmt: skip

SUPERPOSED: Final = 0.25
"""Interference above which a represented feature counts as in superposition."""

Floats = NDArray[np.float64]


def constant_loss(density: ArrayLike, importance: ArrayLike) -> Floats:
    """Return Σ_i I_i (s/3 − s²/4): every feature is dropped and its bias is at the optimum.

    Parameters
    ----------
    density : array_like, shape (...)
    importance : array_like, shape (k,)
        Of the dropped features.

    Notes
    -----
    s/3 − s²/4 is the variance of an input. Linear models of independent features can do no better
    than to drop the n − m least important ones (`superposition.theory.linear.weighted_pca_loss`).

    Examples
    --------
    >>> float(constant_loss(1.0, [1.0, 0.5]).round(12))
    0.125
    """
    s = np.asarray(density, dtype=np.float64)
    return np.asarray((s / 3 - s**2 / 4) * np.sum(importance))


def unit_columns(W: ArrayLike) -> Floats:
    """Return the columns of W, shape (..., m, n), over their lengths; zeros stay zero.

    Examples
    --------
    >>> unit_columns([[3.0, 0.0], [4.0, 0.0]])
    array([[0.6, 0. ],
           [0.8, 0. ]])
    """
    weights = np.asarray(W, dtype=np.float64)
    lengths = np.linalg.norm(weights, axis=-2, keepdims=True)
    return weights / np.where(lengths > 0, lengths, 1)


def cosine_deviation(W: ArrayLike, wanted: ArrayLike) -> float:
    """Return the largest difference of the cosines between columns from those of a regular shape.

    Parameters
    ----------
    W : array_like, shape (m, n)
    wanted : array_like, shape (k - 1,)
        Cosines of any corner of the shape with its k - 1 others.

    Returns
    -------
    float
        Of the represented columns; 1 if they are not k.

    Examples
    --------
    Two antipodal pairs, and a short column that does not count.

    >>> cosine_deviation([[1, -2, 0, 0, 0.1], [0, 0, 1, -1, 0.1]], [-1, 0, 0])
    0.0
    """
    weights = np.asarray(W, dtype=np.float64)
    units = unit_columns(weights[:, np.linalg.norm(weights, axis=0) > REPRESENTED])
    count = units.shape[1]
    target = np.sort(np.asarray(wanted, dtype=np.float64))
    if count != len(target) + 1:
        return 1.0
    others = (units.T @ units)[~np.eye(count, dtype=bool)].reshape(count, count - 1)
    return float(abs(np.sort(others, axis=1) - target).max())


def describe_columns(models: xr.Dataset) -> xr.Dataset:
    """Return what is looked at in models, for every feature, in single precision to save space.

    Parameters
    ----------
    models : xarray.Dataset
        With `W` (..., hidden, feature) and `b` (..., feature).

    Returns
    -------
    xarray.Dataset
        Each of shape (..., feature):
        `norm`, ‖W_i‖; `interference`, Σ_{j≠i} (Ŵ_i·W_j)², and `squared_cosines`, Σ_{j≠i} (Ŵ_i·Ŵ_j)²
        over the other represented features; `lowest_cosine`, the least Ŵ_i·Ŵ_j among them, 1 if
        there is none; `highest_overlap`, the greatest W_i·W_j over j ≠ i; and `b`.
    """
    W = models.W.transpose(..., "hidden", "feature").values
    norm, units = np.linalg.norm(W, axis=-2), unit_columns(W)
    others = ~np.eye(norm.shape[-1], dtype=bool)
    partner = (norm > REPRESENTED)[..., np.newaxis, :] & others
    cosine = np.swapaxes(units, -1, -2) @ units
    overlap = np.where(others, np.swapaxes(W, -1, -2) @ W, -np.inf)
    biases = models.b.transpose(..., "feature")
    found = {
        "norm": norm,
        "interference": np.asarray(interference(W)),
        "squared_cosines": np.where(partner, cosine**2, 0.0).sum(axis=-1),
        "lowest_cosine": np.where(partner, cosine, 1.0).min(axis=-1),
        "highest_overlap": overlap.max(axis=-1),
        "b": biases.values,
    }
    return xr.Dataset(
        {name: (biases.dims, value.astype(np.float32)) for name, value in found.items()}
    )


def misplaced(norm: xr.DataArray, n_kept: int) -> xr.DataArray:
    """Return how many features are represented though they are not among the first, or conversely.

    Examples
    --------
    >>> int(misplaced(xr.DataArray([1.0, 0.1, 0.9], dims="feature"), 2))
    2
    """
    expected = xr.DataArray(np.arange(norm.sizes["feature"]) < n_kept, dims="feature")
    return ((norm > REPRESENTED) != expected).sum("feature")
