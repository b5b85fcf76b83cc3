"""The description of the toy model that theory and numerics share.

A model has ``n_features`` inputs and ``n_hidden`` < ``n_features`` hidden dimensions, weights ``W``
of shape (n_hidden, n_features) and an output bias ``b`` of shape (n_features,). It reconstructs

    x̂ = σ(WᵀW x + b),   σ = ReLU or the identity,

and its population loss is a *sum* over features, an expectation over *all* inputs:

    L(W, b) = Σ_i I_i E (x_i − x̂_i)² + λ Σ_{i≠j} (W_i · W_j)².

``density`` is P(x_i ≠ 0); the literature often calls it sparsity, which is one minus it.
This module holds names and checks only. It computes no loss, so that theory and numerics
can each be the other's oracle.
"""

from __future__ import annotations

from typing import Any, Literal, TypeVar, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "check_activation",
    "check_density",
    "check_importance",
    "check_penalty",
    "check_sizes",
    "relative_importance",
]

Activation = Literal["relu", "linear"]
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)

Number = TypeVar("Number")


def check_activation(activation: str) -> Activation:
    """Return `activation` if it names one, else raise.

    Raises
    ------
    ValueError
        If the name is none of `ACTIVATIONS`.

    Examples
    --------
    >>> check_activation("relu")
    'relu'
    """
    if activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
    return activation


def check_sizes(n_features: int, n_hidden: int) -> None:
    """Raise unless both sizes are positive integers.

    Raises
    ------
    ValueError
        If either is not an integer of at least 1.
    """
    for name, value in (("n_features", n_features), ("n_hidden", n_hidden)):
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}")


def _as_floats(name: str, values: ArrayLike) -> NDArray[np.float64]:
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers, got {values!r}") from error


def _first_bad(values: NDArray[np.float64], good: NDArray[np.bool_]) -> Any:
    return values[~good].flat[0]


def check_density(density: ArrayLike) -> NDArray[np.float64]:
    """Return `density` as a float64 array whose entries all lie in [0, 1].

    Raises
    ------
    ValueError
        If an entry is outside [0, 1], NaN, or not a number.

    Examples
    --------
    >>> check_density(0.5)
    array(0.5)
    """
    values = _as_floats("density", density)
    good = (values >= 0) & (values <= 1)
    if not good.all():
        raise ValueError(
            f"density is the probability that a feature is on and must lie in [0, 1], "
            f"got {_first_bad(values, good)}"
        )
    return values


def check_importance(importance: ArrayLike) -> NDArray[np.float64]:
    """Return `importance` as a float64 array of finite, non-negative entries.

    Raises
    ------
    ValueError
        If an entry is negative, infinite, NaN, or not a number.

    Examples
    --------
    >>> check_importance([1, 0.5])
    array([1. , 0.5])
    """
    values = _as_floats("importance", importance)
    good = np.isfinite(values) & (values >= 0)
    if not good.all():
        raise ValueError(
            f"importance must be finite and at least 0, got {_first_bad(values, good)}"
        )
    return values


def check_penalty(penalty: ArrayLike) -> NDArray[np.float64]:
    """Return the interference penalty λ as a float64 array of finite, non-negative entries.

    Raises
    ------
    ValueError
        If an entry is negative, infinite, NaN, or not a number.

    Examples
    --------
    >>> check_penalty(0)
    array(0.)
    """
    values = _as_floats("penalty", penalty)
    good = np.isfinite(values) & (values >= 0)
    if not good.all():
        raise ValueError(f"penalty must be finite and at least 0, got {_first_bad(values, good)}")
    return values


def relative_importance(n_features: int, r: Number) -> tuple[Number | int, ...]:
    """Return importances (1, …, 1, r): `r` is the relative importance of the last feature.

    Examples
    --------
    >>> relative_importance(3, 0.5)
    (1, 1, 0.5)
    """
    return (1,) * (n_features - 1) + (r,)
