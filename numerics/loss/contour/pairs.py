r"""States with exactly two other features on, in closed form: independent and uniform values.

With Φ'' = φ, the average of φ over two features is a second difference::

    E φ(b + g x + h y) = {Φ(b + g + h) − Φ(b + g) − Φ(b + h) + Φ(b)} / (g h).

It takes a few operations, and runs on vectors, but loses digits where a coupling is small; the
loss is estimated, and pairs for which it is too large take `quadrature`, which loses none.

Without these states, what is left to the sum over nodes falls off faster by a factor of |u|. That
pays where many nodes would be needed.
"""

from __future__ import annotations

import numpy as np

from ...arguments import Floats
from ...compiled import borrowing, compiled, reordered
from ..quadrature import average_over_two
from .few_on import rests_elsewhere
from .gate_table import GateTable
from .output import OutputWork
from .plan import EPSILON

__all__ = ["pairs_on"]

_SHARE = 0.2  # of the tolerance, for the rounding of all second differences
_WEAKEST = 1e-3  # an own coupling below it leaves all pairs to the quadrature


@reordered
def _second_integrals(
    g: float, on: float, off: float, y: Floats, total: Floats, slope: Floats, own: Floats
) -> None:
    """Write Φ, Φ' and ∂Φ/∂g at all y: φ = on · (own feature on) + off · (own feature off)."""
    over = 1.0 / g
    for k in range(y.shape[0]):
        low, high = max(y[k], 0.0), max(y[k] + g, 0.0)
        low3, high3 = low * low * low, high * high * high
        low4, high4 = low3 * low, high3 * high
        fifth = (high4 * high - low4 * low) * over * 0.05  # E z₊⁴ / 4
        fourth = (high4 - low4) * over * 0.25  # E z₊³
        x_cube = 0.25 * high4 * over - fifth * over  # E x z₊³
        x_square = high3 * over / 3.0 - fourth * over / 3.0  # E x z₊²
        xx_square = (high3 - 2.0 * x_cube) * over / 3.0  # E x² z₊²
        total[k] = on * (y[k] * y[k] / 6.0 + (fifth - x_cube) / 3.0) + off * low4 / 12.0
        slope[k] = on * (y[k] / 3.0 + fourth / 3.0 - x_square) + off * low3 / 3.0
        own[k] = on * (x_cube / 3.0 - xx_square)


@borrowing
def _by_quadrature(
    bias: float, g: float, e: float, first: float, second: float, on: float, off: float
) -> tuple[float, float, float, float, float]:
    """Return the average, its slope, and the derivatives in g and both couplings."""
    f, df, dg, first_df, second_df = average_over_two(bias, g, e, 1.0, first, second)
    f0, df0, _, first_df0, second_df0 = average_over_two(bias, g, e, 0.0, first, second)
    return (
        on * f + off * f0,
        on * df + off * df0,
        on * dg,
        on * first_df + off * first_df0,
        on * second_df + off * second_df0,
    )


@borrowing
def _linear(
    bias: float, e: float, first: float, second: float, on: float, off: float
) -> tuple[float, float, float, float, float]:
    """Return what `_by_quadrature` does, without the activation."""
    error_off = bias + 0.5 * (first + second)
    error_on = error_off - 0.5 * e
    spread = (first * first + second * second) / 12.0
    value = on * (error_on * error_on + spread + e * e / 12.0)
    value += off * (error_off * error_off + spread)
    half = on * error_on + off * error_off
    whole = on + off
    return (
        value,
        2.0 * half,
        on * (error_on - e / 6.0),
        half + whole * first / 6.0,
        half + whole * second / 6.0,
    )


@compiled
def pairs_on(
    output: int,
    e: float,
    bias: float,
    n_active: int,
    linear_share: float,
    tolerance: float,
    gradient_tolerance: float,
    gates: GateTable,
    work: OutputWork,
    gradient: Floats,
) -> tuple[float, float, float, float]:
    """Sum the states with exactly two other features on.

    Returns value and slope, and what rounding does to the value and to derivatives.

    Derivatives are added to `gradient`. `linear_share` is that of `few_on`.
    """
    g = work.g[output]
    own_gate = gates.gate_of[output]
    on = work.probability[gates.branch_of[output]]
    off = work.rest[own_gate]
    h, odds, member = np.empty(n_active), np.empty(n_active), np.empty(n_active, np.int64)
    nothing = rests_elsewhere(n_active, work, h)
    for k in range(n_active):
        q = work.active[k]
        b = gates.branch_start[q]
        member[k] = gates.member[gates.member_start[b]]
        odds[k] = work.probability[b] / work.rest[q]
        h[k] = work.g[member[k]]
    single, single_slope, single_own = np.empty(n_active), np.empty(n_active), np.empty(n_active)
    y, total = np.empty(n_active), np.empty(n_active)
    slope, own = np.empty(n_active), np.empty(n_active)
    fast = g > _WEAKEST
    zero, zero_slope, zero_own = 0.0, 0.0, 0.0
    if fast:
        y[:] = bias + h
        _second_integrals(g, on, off, y, single, single_slope, single_own)
        y[0] = bias
        _second_integrals(g, on, off, y[:1], total[:1], slope[:1], own[:1])
        zero, zero_slope, zero_own = total[0], slope[0], own[0]
    pairs = 0.5 * n_active * (n_active - 1.0)
    limit = _SHARE * tolerance / (pairs * nothing)
    gradient_limit = _SHARE * gradient_tolerance / (n_active * nothing)
    sums = np.zeros(5)  # value, slope, own, rounding of the value and of derivatives
    for k in range(1, n_active):
        if fast:
            for j in range(k):
                y[j] = bias + h[k] + h[j]
            _second_integrals(g, on, off, y[:k], total[:k], slope[:k], own[:k])
        for j in range(k):
            weight = odds[k] * odds[j]
            product = abs(h[k] * h[j])
            reach = max(abs(y[j]), abs(bias), abs(bias + h[k]), abs(bias + h[j])) + g
            power = reach * reach
            size = on * (power + power * power / g * (0.5 + 0.2 * reach / g)) / 6.0
            size += off * power * power / 12.0
            lost = 8.0 * EPSILON * weight * size / product
            nearest = min(abs(h[k]), abs(h[j]), g)
            if fast and lost <= limit and lost <= gradient_limit * nearest:
                over = 1.0 / (h[k] * h[j])
                value = (total[j] - single[j] - single[k] + zero) * over
                df = (slope[j] - single_slope[j] - single_slope[k] + zero_slope) * over
                dg = (own[j] - single_own[j] - single_own[k] + zero_own) * over
                d_k = ((slope[j] - single_slope[k]) * over) - value / h[k]
                d_j = ((slope[j] - single_slope[j]) * over) - value / h[j]
                sums[3] += lost
                sums[4] += lost / nearest
            else:
                value, df, dg, d_k, d_j = _by_quadrature(bias, g, e, h[k], h[j], on, off)
            if linear_share != 0.0:
                line = _linear(bias, e, h[k], h[j], on, off)
                value += linear_share * line[0]
                df += linear_share * line[1]
                dg += linear_share * line[2]
                d_k += linear_share * line[3]
                d_j += linear_share * line[4]
            sums[0] += weight * value
            sums[1] += weight * df
            sums[2] += weight * dg
            gradient[member[k]] += nothing * weight * d_k
            gradient[member[j]] += nothing * weight * d_j
    gradient[output] += nothing * sums[2]
    return nothing * sums[0], nothing * sums[1], nothing * sums[3], nothing * sums[4]
