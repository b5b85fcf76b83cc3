r"""How accurately a network represents each feature: exact moments of inputs and outputs.

Everything follows from exact population losses. An importance of 1 for feature i alone gives
E(x_i − x̂_i)². Outputs are homogeneous, (√c W, c b) has the outputs c x̂, and so two losses give

.. math::  E(x_i − c x̂_i)^2 = E x_i^2 − 2c\, E x_i x̂_i + c^2 E x̂_i^2

with E x_i² known from the network with no weights; the derivative of the loss in b_i is
−2 E[(x_i − c x̂_i) 1(x̂_i > 0)], in which c E x̂_i is the part that grows with c. The derivative is
that of the active side for outputs that are never positive, which have x̂_i = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...features import FeatureDistribution
from ...numerics import population_loss, population_loss_and_grad

__all__ = ["FeatureAccuracy", "feature_accuracy"]

Floats = NDArray[np.float64]

RTOL: Final = 1e-8
_CONSTANT = 1e-7  # of the variance of the input: an output that varies less is a constant


@dataclass(frozen=True)
class FeatureAccuracy:
    """How accurately networks represent their features.

    Attributes
    ----------
    loss : ndarray, shape (..., n_features)
        E(x_i − x̂_i)².
    relative : ndarray, shape (..., n_features)
        1 − loss / Var x_i: 1 is perfect, 0 is as good as the best constant, below 0 worse.
    correlation : ndarray, shape (..., n_features)
        Squared correlation of x_i and x̂_i; 0 for an output that is constant. It is `relative` after
        the best affine function of the output has been put behind the network.
    """

    loss: Floats
    relative: Floats
    correlation: Floats


def feature_accuracy(
    W: ArrayLike,
    b: ArrayLike,
    *,
    density: ArrayLike,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    outputs: Sequence[int] | None = None,
    rtol: float = RTOL,
) -> FeatureAccuracy:
    """Compute the accuracy of every output, exactly.

    Parameters
    ----------
    W : array_like, shape (..., n_hidden, n_features)
    b : array_like, shape (..., n_features)
    density : float or array_like, shape (n_features,)
        In (0, 1], or below 1 where values do not vary.
    activation : {"relu", "linear"}
    features : feature distribution, optional
        None is `Independent`.
    outputs : sequence of int, optional
        Which features are asked for, counted from 0; all by default.
    rtol : float
        Of the losses, as in `population_loss`.

    Returns
    -------
    FeatureAccuracy

    Raises
    ------
    ValueError
        If an argument is out of range, or an input that is asked for never varies.

    Notes
    -----
    For linear outputs of independent features with equal variances, whatever b is, the squared
    correlation is ‖W_i‖² / Σ_j (Ŵ_i·W_j)²: the dimensionality of the feature in Elhage et al. 2022.

    Examples
    --------
    >>> found = feature_accuracy([[1, 0]], [0, 0.25], density=0.5)
    >>> found.relative.round(6).tolist(), found.correlation.round(6).tolist()
    ([1.0, 0.0], [1.0, 0.0])
    """
    weights, bias = np.asarray(W, dtype=np.float64), np.asarray(b, dtype=np.float64)
    n = weights.shape[-1]
    chosen = np.eye(n) if outputs is None else np.eye(n)[list(outputs)]
    model: dict[str, Any] = {"activation": activation, "features": features, "rtol": rtol}
    model["density"] = np.broadcast_to(np.asarray(density, dtype=np.float64), n)
    square, mean = _input_moments(chosen, model)
    variance = square - mean**2
    if not (variance > 0).all():
        raise ValueError(
            f"every input must vary for accuracy to mean something, got densities "
            f"{model['density'].tolist()}"
        )
    loss = _losses(weights, bias, chosen, model)
    of_twice = _losses(np.sqrt(2) * weights, 2 * bias, chosen, model)
    output_square = 0.5 * (of_twice - 2 * loss + square)
    product = 0.25 * (of_twice - 4 * loss + 3 * square)
    output_mean = _output_mean(weights, bias, chosen, model)
    spread = output_square - output_mean**2
    varies = spread > _CONSTANT * variance
    shared = product - mean * output_mean
    correlation = np.where(varies, shared**2 / (variance * np.where(varies, spread, 1.0)), 0.0)
    return FeatureAccuracy(loss, 1 - loss / variance, np.minimum(correlation, 1.0))


def _input_moments(chosen: Floats, model: dict[str, Any]) -> tuple[Floats, Floats]:
    """Return E x_i² and E x_i from linear networks with constant outputs."""
    linear = {**model, "activation": "linear"}
    nothing = np.zeros((1, chosen.shape[1])), np.zeros(chosen.shape[1])
    slope = population_loss_and_grad(*nothing, importance=chosen.sum(axis=0), **linear).db
    return _losses(*nothing, chosen, linear), -0.5 * (chosen @ np.asarray(slope))


def _losses(W: Floats, b: Floats, chosen: Floats, model: dict[str, Any]) -> Floats:
    """Return E(x_i − x̂_i)² of the chosen features; rows of `chosen` are unit vectors."""
    of_each = {**model, "density": _per_feature(model["density"], W.ndim - 1)}
    return np.asarray(
        population_loss(
            W[..., np.newaxis, :, :], b[..., np.newaxis, :], importance=chosen, **of_each
        )
    )


def _per_feature(density: Floats, axes: int) -> Floats:
    """Give densities one axis more than a batch has, which says that they belong to features."""
    return np.asarray(density.reshape((1,) * axes + density.shape))


def _output_mean(W: Floats, b: Floats, chosen: Floats, model: dict[str, Any]) -> Floats:
    of_all = {**model, "density": _per_feature(model["density"], W.ndim - 2)}
    of_all["importance"] = chosen.sum(axis=0)
    once, twice = (
        np.asarray(population_loss_and_grad(np.sqrt(c) * W, c * b, **of_all).db) for c in (1.0, 2.0)
    )
    return np.asarray(0.5 * (twice - once) @ chosen.T)
