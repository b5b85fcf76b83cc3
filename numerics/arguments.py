"""Bring the arguments of the numerics to common shapes, or say what is wrong with them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..features import FeatureDistribution, check_joint_density
from ..model import check_density, check_importance

Floats = NDArray[np.float64]


class Parameters(NamedTuple):
    """Density and importance of every model of a batch.

    Attributes
    ----------
    shape : tuple of int
        The common leading shape of the batch.
    density, importance : ndarray of shape (*shape, n_features)
        Read-only views where broadcasting repeats a value.
    """

    shape: tuple[int, ...]
    density: Floats
    importance: Floats


def broadcast_parameters(
    n_features: int,
    density: ArrayLike,
    importance: ArrayLike,
    shape: tuple[int, ...] = (),
    features: FeatureDistribution | None = None,
) -> Parameters:
    """Broadcast density and importance to one value per model and feature.

    Parameters
    ----------
    n_features : int
        Number of features n.
    density : array_like
        One value per model, shape (...), or one per model and feature, shape (..., n).
        The rule: a density that has more axes than the batch (the leading axes of `importance`,
        and `shape`) and whose last axis has length n or 1 is per feature; any other is per model.
        A last axis of length 1 therefore always says "the same for all features".
    importance : array_like, shape (..., n)
    shape : tuple of int
        Leading shape of the weights, if there are any.
    features : feature distribution, optional
        What the densities have to belong to.

    Raises
    ------
    ValueError
        If a shape does not fit, a density is outside [0, 1], an importance is negative, or the
        densities of a model cannot belong to `features`.

    Examples
    --------
    >>> broadcast_parameters(2, [0.1, 0.5, 1.0], [1, 1]).density
    array([[0.1, 0.1],
           [0.5, 0.5],
           [1. , 1. ]])
    >>> broadcast_parameters(2, [0.1, 0.5], [1, 1]).density
    array([0.1, 0.5])
    """
    density = check_density(density)
    importance = check_importance(importance)
    if importance.ndim == 0 or importance.shape[-1] != n_features:
        raise ValueError(
            f"importance must have shape (..., {n_features}), one value per feature, "
            f"got shape {importance.shape}"
        )
    batch_ndim = max(importance.ndim - 1, len(shape))
    per_feature = density.ndim > batch_ndim and density.shape[-1] in (1, n_features)
    if not per_feature:
        density = density[..., np.newaxis]
    try:
        common = np.broadcast_shapes(density.shape[:-1], importance.shape[:-1], shape)
    except ValueError:
        raise ValueError(
            f"leading dimensions must broadcast, got density {density.shape[:-1]}, "
            f"importance {importance.shape[:-1]} and weights {shape}"
        ) from None
    if features is not None:
        check_joint_density(features, np.broadcast_to(density, (*density.shape[:-1], n_features)))
    return Parameters(
        common,
        np.broadcast_to(density, (*common, n_features)),
        np.broadcast_to(importance, (*common, n_features)),
    )


def check_integer(name: str, value: Any, at_least: int | None = None) -> int:
    """Return `value` as an int, if it is one.

    Raises
    ------
    ValueError
        If it is no integer, or below `at_least`.

    Examples
    --------
    >>> check_integer("starts", 3, at_least=1)
    3
    """
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or (at_least is not None and value < at_least):
        bound = "" if at_least is None else f" of at least {at_least}"
        raise ValueError(f"{name} must be an integer{bound}, got {value!r}")
    return int(value)


def broadcast_to_grid(name: str, values: Floats, shape: tuple[int, ...]) -> Floats:
    """Return `values` broadcast to the shape of a grid.

    Raises
    ------
    ValueError
        If they do not broadcast to it.

    Examples
    --------
    >>> broadcast_to_grid("penalty", np.array(0.5), (2,))
    array([0.5, 0.5])
    """
    try:
        return np.broadcast_to(values, shape)
    except ValueError:
        raise ValueError(
            f"{name} must broadcast to shape {shape}, got shape {values.shape}"
        ) from None


def check_weights(W: Floats, b: Floats) -> tuple[int, int, tuple[int, ...]]:
    """Return (n_features, n_hidden, leading shape) of weights and biases.

    Raises
    ------
    ValueError
        If the shapes do not fit each other, or an entry is NaN or infinite.
    """
    if W.ndim < 2 or b.ndim < 1 or W.shape[-1] != b.shape[-1] or 0 in W.shape[-2:]:
        raise ValueError(
            "W must have shape (..., n_hidden, n_features) and b shape (..., n_features), "
            f"got W {W.shape} and b {b.shape}"
        )
    for name, values in (("W", W), ("b", b)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} must be finite, got a NaN or infinite entry")
    try:
        shape = np.broadcast_shapes(W.shape[:-2], b.shape[:-1])
    except ValueError:
        raise ValueError(
            f"leading dimensions of W and b must broadcast, got {W.shape[:-2]} and {b.shape[:-1]}"
        ) from None
    return W.shape[-1], W.shape[-2], shape
