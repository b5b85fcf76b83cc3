"""Many tests at once: p-values adjusted so that the errors of the whole family stay bounded."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import false_discovery_control

__all__ = ["benjamini_hochberg", "holm"]

Floats = NDArray[np.float64]


def _checked(p_values: ArrayLike) -> Floats:
    values = np.asarray(p_values, dtype=np.float64)
    if values.ndim == 0 or not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"p_values must be an array of numbers in [0, 1], got {p_values!r}")
    return values


def holm(p_values: ArrayLike) -> Floats:
    """Adjust p-values so that the chance of any false rejection is bounded (Holm 1979).

    Rejecting where the adjusted value is at most α keeps the family-wise error at α, whatever the
    dependence of the tests.

    Parameters
    ----------
    p_values : array_like, shape (..., k)
        A family along the last axis.

    Returns
    -------
    ndarray, shape (..., k)

    Raises
    ------
    ValueError
        If a value is outside [0, 1].

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    values = _checked(p_values)
    k, order = values.shape[-1], np.argsort(values, axis=-1)
    scaled = np.take_along_axis(values, order, axis=-1) * np.arange(k, 0, -1)
    adjusted = np.empty_like(values)
    raised = np.minimum(np.maximum.accumulate(scaled, axis=-1), 1.0)
    np.put_along_axis(adjusted, order, raised, axis=-1)
    return adjusted


def benjamini_hochberg(p_values: ArrayLike) -> Floats:
    """Adjust p-values so that the expected share of false rejections is bounded.

    Benjamini and Hochberg (1995): rejecting where the adjusted value is at most α keeps the false
    discovery rate at α, for tests that are independent or positively dependent in the sense of
    Benjamini and Yekutieli (2001).

    Parameters
    ----------
    p_values : array_like, shape (..., k)
        A family along the last axis.

    Returns
    -------
    ndarray, shape (..., k)

    Raises
    ------
    ValueError
        If a value is outside [0, 1].

    Examples
    --------
    >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.04, 0.04]
    """
    return np.asarray(false_discovery_control(_checked(p_values), axis=-1, method="bh"))
