"""The loss of one output for up to two other features: Gauss-Legendre split at the kinks.

φ (see `single_output`) is a piecewise cubic, its average over one feature a piecewise quartic, so
a Gauss rule between consecutive kinks is exact, and since φ ≥ 0 and the weights are positive
nothing cancels, whatever the couplings: the result is accurate relative to itself.
"""

from __future__ import annotations

import numpy as np

from ..arguments import Floats
from ..compiled import compiled
from .single_output import own_feature_average

_NODE_2 = 0.5 / np.sqrt(3.0)
_NODE_3 = 0.5 * np.sqrt(0.6)
_OUTER_3 = 5.0 / 18.0
_INNER_3 = 8.0 / 18.0


@compiled
def average_over_one(
    y: float, g: float, e: float, s: float, coupling: float
) -> tuple[float, float, float, float]:
    """Average φ, φ', ∂φ/∂g and x φ' at y + coupling·x over x uniform on [0, 1]."""
    value = slope = own = weighted = 0.0
    if coupling == 0.0:
        value, slope, own = own_feature_average(y, g, e, s)
        return value, slope, own, 0.5 * slope
    first = min(max(-y / coupling, 0.0), 1.0)
    second = min(max((-g - y) / coupling, 0.0), 1.0)
    if first > second:
        first, second = second, first
    left = 0.0
    for piece in range(3):
        right = first if piece == 0 else (second if piece == 1 else 1.0)
        width = right - left
        if width > 0.0:
            center = 0.5 * (left + right)
            for side in (-_NODE_2, _NODE_2):
                x = center + side * width
                f, df, dg = own_feature_average(y + coupling * x, g, e, s)
                value += 0.5 * width * f
                slope += 0.5 * width * df
                own += 0.5 * width * dg
                weighted += 0.5 * width * x * df
        left = right
    return value, slope, own, weighted


@compiled
def average_over_two(
    y: float, g: float, e: float, s: float, first: float, second: float
) -> tuple[float, float, float, float, float]:
    """Average φ, φ', ∂φ/∂g, x₁φ' and x₂φ' at y + first·x₁ + second·x₂ over the unit square."""
    value = slope = own = weighted_1 = weighted_2 = 0.0
    if second == 0.0:
        value, slope, own, weighted_1 = average_over_one(y, g, e, s, first)
        return value, slope, own, weighted_1, 0.5 * slope
    cuts = np.empty(6)
    cuts[0] = 0.0
    cuts[1] = min(max(-y / second, 0.0), 1.0)
    cuts[2] = min(max((-g - y) / second, 0.0), 1.0)
    cuts[3] = min(max((-first - y) / second, 0.0), 1.0)
    cuts[4] = min(max((-g - first - y) / second, 0.0), 1.0)
    cuts[5] = 1.0
    cuts.sort()
    for piece in range(5):
        width = cuts[piece + 1] - cuts[piece]
        if width > 0.0:
            center = 0.5 * (cuts[piece] + cuts[piece + 1])
            for node in range(3):
                x = center + (node - 1) * _NODE_3 * width
                weight = width * (_INNER_3 if node == 1 else _OUTER_3)
                f, df, dg, x1_df = average_over_one(y + second * x, g, e, s, first)
                value += weight * f
                slope += weight * df
                own += weight * dg
                weighted_1 += weight * x1_df
                weighted_2 += weight * x * df
    return value, slope, own, weighted_1, weighted_2


@compiled
def loss_of_output(
    output: int, couplings: Floats, e: float, bias: float, density: Floats, gradient: Floats
) -> tuple[float, float]:
    """Return the unweighted loss of one output and its derivative in the bias, for n ≤ 3.

    Parameters
    ----------
    output : int
        The index i.
    couplings, density : ndarray of shape (n,)
        The row G_i and the densities of the features.
    e : float
        1 − G_ii.
    gradient : ndarray of shape (n,)
        Overwritten with the derivatives in the couplings.
    """
    n = couplings.shape[0]
    g = couplings[output]
    s = density[output]
    gradient[:] = 0.0
    if n == 1:
        value, slope, own = own_feature_average(bias, g, e, s)
        gradient[0] = own
        return value, slope
    j = 1 if output == 0 else 0
    k = 1 if output == 2 else 2
    s_j = density[j]
    s_k = density[k] if n == 3 else 0.0
    value = slope = 0.0

    weight = (1.0 - s_j) * (1.0 - s_k)
    if weight > 0.0:
        f, df, dg = own_feature_average(bias, g, e, s)
        value += weight * f
        slope += weight * df
        gradient[output] += weight * dg
    weight = s_j * (1.0 - s_k)
    if weight > 0.0:
        f, df, dg, xj_df = average_over_one(bias, g, e, s, couplings[j])
        value += weight * f
        slope += weight * df
        gradient[output] += weight * dg
        gradient[j] += weight * xj_df
    weight = (1.0 - s_j) * s_k
    if weight > 0.0:
        f, df, dg, xk_df = average_over_one(bias, g, e, s, couplings[k])
        value += weight * f
        slope += weight * df
        gradient[output] += weight * dg
        gradient[k] += weight * xk_df
    weight = s_j * s_k
    if weight > 0.0:
        f, df, dg, xj_df, xk_df = average_over_two(bias, g, e, s, couplings[j], couplings[k])
        value += weight * f
        slope += weight * df
        gradient[output] += weight * dg
        gradient[j] += weight * xj_df
        gradient[k] += weight * xk_df
    return value, slope
