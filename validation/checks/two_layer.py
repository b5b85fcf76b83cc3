"""Checks of two-layer models: a ReLU on the hidden layer, and |x| computed by neurons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from ...features import Independent
from ...numerics import population_loss, sampled_loss, two_layer_loss
from ...values import ValueDistribution
from .check import EXACT, Check

__all__ = ["TWO_LAYER_GROUPS"]

_DENSITIES: Final = 20
_SOURCE: Final = "Elhage et al. 2022"
_DERIVED: Final = "derivation"
_SIGNED: Final = Independent(ValueDistribution([1], symmetric=True))
_ABSOLUTE: Final[dict[str, Any]] = {"architecture": "absolute-value", "features": _SIGNED}


def _largest(found: NDArray[np.float64], claimed: Any) -> float:
    return float(np.max(np.abs(found - claimed)))


def _absolute_value(rng: np.random.Generator) -> Iterator[Check]:
    s, b = 1 - rng.random(_DENSITIES), rng.random(_DENSITIES)
    model: dict[str, Any] = {"importance": [1.0], **_ABSOLUTE}
    pair = two_layer_loss([[1], [-1]], [[1, 1]], [0], density=s, **model)
    yield Check(
        "absolute-value-pair",
        "L = 0 for |x| = ReLU(x) + ReLU(−x), a neuron for each sign",
        f"{_SOURCE}, computation in superposition",
        f"exact integration at {_DENSITIES} random s",
        _largest(pair, 0),
        0.0,
    )
    half = two_layer_loss([[1]], [[1]], b[:, None], density=s, **model)
    yield Check(
        "absolute-value-half",
        "L = s/6 − s b/2 + b² for |x| by the neuron ReLU(x) and a bias b ≥ 0",
        _DERIVED,
        f"exact integration at {_DENSITIES} random (s, b)",
        _largest(half, s / 6 - s * b / 2 + b**2),
        EXACT,  # of losses of order 1
    )
    yield from _best_half(s)


def _best_half(s: NDArray[np.float64]) -> Iterator[Check]:
    """Compare the bias that is claimed to be best with others around it."""
    shifts = np.array([0.0, -0.01, 0.01])[:, None]
    biases = (s / 4 + shifts * s)[..., None]
    losses = two_layer_loss([[1]], [[1]], biases, density=s, importance=[1], **_ABSOLUTE)
    yield Check(
        "absolute-value-half-bias",
        "its least loss is s/6 − s²/16, at b = s/4",
        _DERIVED,
        "exact integration there and at biases 1 % of s to both sides",
        _largest(losses[0], s / 6 - s**2 / 16) + float(np.max(losses[0] - losses[1:], initial=0.0)),
        EXACT,
    )
    slope = 1 - 1.5 * (bias := s / (4 - 1.5 * s))
    found = two_layer_loss(
        [[1]], slope[:, None, None], bias[:, None], density=s, importance=[1], **_ABSOLUTE
    )
    yield Check(
        "absolute-value-half-slope",
        "with a slope of 1 − 3b/2 as well it is s/6 − s²/(16 − 6s), at b = s/(4 − 3s/2)",
        _DERIVED,
        f"exact integration at {_DENSITIES} random s",
        _largest(found, s / 6 - s**2 / (16 - 6 * s)),
        EXACT,
    )


def _privileged_basis(rng: np.random.Generator) -> Iterator[Check]:
    s, ratio = 1 - rng.random(_DENSITIES), 2 * rng.random(_DENSITIES)
    importance = np.stack([np.ones(_DENSITIES), ratio], axis=1)
    pair = two_layer_loss(
        [[1, -1]], None, [0, 0], density=s, importance=importance, architecture="relu-hidden"
    )
    yield Check(
        "relu-hidden-pair",
        "L = s²/6 + r s/3 for W = [1, −1] behind a ReLU on the hidden layer: the second is lost",
        _DERIVED,
        f"exact integration at {_DENSITIES} random (s, r)",
        _largest(pair, s**2 / 6 + ratio * s / 3),
        EXACT,
    )
    W, b = rng.normal(size=(_DENSITIES, 1, 2)), rng.normal(size=(_DENSITIES, 2)) / 4
    tied = two_layer_loss(W, None, b, density=s, importance=importance, architecture="tied")
    plain = population_loss(W, b, density=s, importance=importance)
    yield Check(
        "two-layer-tied",
        "with tied weights and no ReLU on the hidden layer it is the model of the package",
        "definition",
        f"{_DENSITIES} random (2, 1) models, triangles against lines",
        _largest(tied / plain, 1),
        EXACT,
    )


def _sampled(rng: np.random.Generator) -> Iterator[Check]:
    s = 1 - rng.random(_DENSITIES)
    W, V = rng.normal(size=(_DENSITIES, 3, 2)), rng.normal(size=(_DENSITIES, 2, 3))
    b = rng.normal(size=(_DENSITIES, 2)) / 4
    model: dict[str, Any] = {"density": s, "importance": [1.0, 0.5], **_ABSOLUTE}
    sampled = sampled_loss(W, V, b, **model, samples=1 << 14)
    exact = two_layer_loss(W, V, b, **model)
    yield Check(
        "sampled-loss",
        "the sampled loss of two-layer models is within its error of the exact loss",
        "definition of the expectation",
        f"{_DENSITIES} random models of 2 features in 3 neurons; deviation in standard errors",
        float(np.max(np.abs(sampled.loss - exact) / sampled.standard_error)),
        5.0,
    )


TWO_LAYER_GROUPS: tuple[Callable[[np.random.Generator], Iterator[Check]], ...] = (
    _absolute_value,
    _privileged_basis,
    _sampled,
)
