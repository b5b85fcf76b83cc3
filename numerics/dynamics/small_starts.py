"""The limit of small initial weights, for two equally important features in one dimension.

A small start W = σ ŵ, b = 0 has three stages. Write v = s/3 − s²/4 for the variance of a feature.

1. The weights are too small to matter. As soon as b_i > 0 every output is on, and
   b_i' = s − 2 b_i brings the biases from 0 to s/2. Meanwhile W' = W M with
   M = 4v·1 + s² e^(−2t) [[1, 1], [1, 1]]: all of W grows at one rate, but for the kick
   exp(s²/2 [[1, 1], [1, 1]]), by which the sum of the weights gains a factor e^(s²) on their
   difference. W now has a direction; its length is still small.
2. It leaves W = 0 along the unstable manifold of that saddle, on which the direction is all that
   there is to choose. Beside the axes the biases push once more: where W_2 = 0,
   W_2' = (s/2) W_1 (b_1 + b_2)' (see `gradient_flow`), and b_1 falls from s/2 to 0 while W_1 grows.
   Directions within the critical angle φ_c of an axis, on the side of equal signs, therefore
   cross to opposite signs. To lowest order in s, φ_c = s²/4.
3. The sign does not change any more.

So a start ends with equal signs where |ŵ_1 − ŵ_2| < e^(s²) tan(π/4 − φ_c) |ŵ_1 + ŵ_2|; with
normal ŵ that has the probability 2/π arctan(e^(s²) tan(π/4 − φ_c)), to lowest order 1/2 + s²/(2π).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..arguments import Floats
from .gradient_flow import gradient_flow

__all__ = ["critical_angle", "same_sign_probability"]

_START = 1e-3  # distance from the saddle; its square is the error of the direction
_FLOW_TOLERANCE = 1e-6
_BISECTIONS = 20


def critical_angle(density: ArrayLike) -> Floats:
    """Return the angle φ_c from an axis below which small weights of one sign end with two signs.

    Parameters
    ----------
    density : array_like
        In (0, 1).

    Returns
    -------
    ndarray, shape of `density`
        In radians, by bisection on the unstable manifold of the saddle at W = 0; accurate to
        about 10⁻⁶.

    Raises
    ------
    ValueError
        If a density is not in (0, 1).

    Examples
    --------
    >>> print(f"{critical_angle(0.1) / 0.1**2:.2f}")
    0.25
    """
    density = np.asarray(density, dtype=np.float64)
    if not ((density > 0) & (density < 1)).all():
        raise ValueError(f"density must be in (0, 1), got {density}")
    low, high = np.zeros(density.shape), np.full(density.shape, np.pi / 4)
    for _ in range(_BISECTIONS):
        angle = 0.5 * (low + high)
        same = _ends_with_one_sign(density, angle)
        low, high = np.where(same, low, angle), np.where(same, angle, high)
    return np.asarray(0.5 * (low + high))


def _ends_with_one_sign(density: Floats, angle: Floats) -> Floats:
    W = _START * np.stack([np.cos(angle), np.sin(angle)], axis=-1)[..., None, :]
    b = np.stack([density / 2, density / 2], axis=-1)
    flow = gradient_flow(
        W, b, density=density, importance=np.ones(b.shape), tolerance=_FLOW_TOLERANCE
    )
    return np.asarray(flow.W.prod(axis=(-2, -1)) > 0)


def same_sign_probability(density: ArrayLike) -> Floats:
    """Return the probability that small initial weights end with one sign, at equal importance.

    The limit σ → 0 of the probability that gradient flow from W ~ N(0, σ²), b = 0 ends in the
    minimum of two features in one dimension in which W_1 W_2 > 0.

    Parameters
    ----------
    density : array_like
        In (0, 1).

    Returns
    -------
    ndarray, shape of `density`
        2/π arctan(e^(s²) tan(π/4 − φ_c)), with the angle from `critical_angle`.

    Raises
    ------
    ValueError
        If a density is not in (0, 1).

    Examples
    --------
    >>> print(f"{same_sign_probability(0.5):.3f}")
    0.542
    """
    density = np.asarray(density, dtype=np.float64)
    slope = np.tan(np.pi / 4 - critical_angle(density))
    return np.asarray(2 / np.pi * np.arctan(np.exp(density**2) * slope))
