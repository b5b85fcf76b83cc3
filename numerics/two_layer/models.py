"""Two-layer models as both routes to their losses take them: rows of arrays of one shape."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...architecture import Architecture, resolve_architecture
from ...features import FeatureDistribution, check_features
from ...model import check_activation
from ..arguments import Floats, broadcast_parameters, check_weights

__all__ = ["TwoLayerModels", "rectified", "two_layer_models"]


@dataclass(frozen=True)
class TwoLayerModels:
    """Models, and what they are asked to do: one per row of every array.

    Attributes
    ----------
    shape : tuple of int
        The leading shape of the results.
    W : ndarray of shape (models, n_hidden, n_features)
    V : ndarray of shape (models, n_features, n_hidden)
    b, density, importance : ndarray of shape (models, n_features)
    rectified_hidden, rectified_output : bool
        Where there is a ReLU.
    absolute : bool
        Whether the target is |x|.
    features : FeatureDistribution
    """

    shape: tuple[int, ...]
    W: Floats
    V: Floats
    b: Floats
    density: Floats
    importance: Floats
    rectified_hidden: bool
    rectified_output: bool
    absolute: bool
    features: FeatureDistribution

    @property
    def signs(self) -> tuple[int, ...]:
        """The signs that a value can have, all equally likely."""
        return (1, -1) if self.features.values.symmetric else (1,)

    def hidden(self, preactivation: Floats) -> Floats:
        """Return ρ of something."""
        return rectified(preactivation, self.rectified_hidden)

    def target_slope(self, sign: int) -> int:
        """Return the target of a feature of this sign over its absolute value."""
        return 1 if self.absolute else sign


def rectified(values: Floats, really: bool) -> Floats:
    """Return ReLU of values, or the values."""
    return np.maximum(values, 0.0) if really else values


def two_layer_models(
    W: ArrayLike,
    V: ArrayLike | None,
    b: ArrayLike,
    density: ArrayLike,
    importance: ArrayLike,
    architecture: str | Architecture,
    activation: str,
    features: FeatureDistribution | None,
) -> TwoLayerModels:
    """Check arguments and bring them to rows.

    Raises
    ------
    ValueError
        If a shape does not fit, a value is out of range, the decoder of a tied architecture is not
        the transpose of the encoder, or densities do not belong to `features`.
    """
    chosen, features = resolve_architecture(architecture), check_features(features)
    output = check_activation(activation)
    encoder, bias = _as_floats("W", W), _as_floats("b", b)
    n, m, shape = check_weights(encoder, bias)
    decoder = _decoder(V, encoder, chosen)
    try:
        shape = np.broadcast_shapes(shape, decoder.shape[:-2])
    except ValueError:
        raise ValueError(
            f"leading dimensions of V must broadcast with those of W and b, "
            f"got {decoder.shape[:-2]} and {shape}"
        ) from None
    parameters = broadcast_parameters(n, density, importance, shape, features)

    def rows(values: Floats, *tail: int) -> Floats:
        return np.broadcast_to(values, parameters.shape + tail).reshape(-1, *tail)

    return TwoLayerModels(
        shape=parameters.shape,
        W=rows(encoder, m, n),
        V=rows(decoder, n, m),
        b=rows(bias, n),
        density=rows(parameters.density, n),
        importance=rows(parameters.importance, n),
        rectified_hidden=chosen.hidden == "relu",
        rectified_output=output == "relu",
        absolute=chosen.target == "absolute",
        features=features,
    )


def _as_floats(name: str, values: ArrayLike) -> Floats:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be a rectangular array of numbers: {error}") from None


def _decoder(V: ArrayLike | None, W: Floats, architecture: Architecture) -> Floats:
    transpose = W.swapaxes(-1, -2)
    if V is None:
        if not architecture.tied:
            raise ValueError(
                f"V is needed: the architecture {architecture.name!r} has a decoder of its own"
            )
        return transpose
    decoder = _as_floats("V", V)
    if decoder.ndim < 2 or decoder.shape[-2:] != transpose.shape[-2:]:
        raise ValueError(
            f"V must have shape (..., n_features, n_hidden), got V {decoder.shape} and W {W.shape}"
        )
    if not np.isfinite(decoder).all():
        raise ValueError("V must be finite, got a NaN or infinite entry")
    if architecture.tied and not _equal(decoder, transpose):
        raise ValueError(
            f"V must be the transpose of W for the architecture {architecture.name!r}; "
            f"pass V=None, or an architecture that is not tied"
        )
    return decoder


def _equal(first: Floats, second: Floats) -> bool:
    try:
        return bool((first == second).all())
    except ValueError:  # what does not broadcast is told of elsewhere
        return True
