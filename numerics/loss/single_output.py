"""The error of one output as a function of the input that the other features send it.

Write z = g x + y for the preactivation of output i: g = G_ii ≥ 0 is its own coupling, x its own
feature and y = b_i + Σ_{j≠i} G_ij x_j. Averaged over its own feature alone (off with probability
1 − s, uniform on [0, 1] with probability s), the squared error is a function of y only::

    φ(y) = (1 − s) y₊² + s ∫₀¹ (x − (g x + y)₊)² dx,

a piecewise cubic with kinks at y = −g and y = 0. It is written here so that nothing cancels:
with e = 1 − g, w = (y + g)/g and v = 1 − w the integral is::

    1/3                                    y ≤ −g        (the output is dead)
    (v³ + 3 v²w + 3 e v w² + e² w³)/3      −g ≤ y ≤ 0    (a Bernstein form)
    (y − e/2)² + e²/12                     y ≥ 0         (the output is never cut off).
"""

from __future__ import annotations

from ..arguments import Floats
from ..compiled import compiled


@compiled
def own_feature_average(y: float, g: float, e: float, s: float) -> tuple[float, float, float]:
    """Return φ(y), dφ/dy and dφ/dg, the last at fixed y.

    `e` is 1 − g, passed separately because near perfect reconstruction it is known to more
    digits than the difference.
    """
    if y >= 0.0:
        middle = y - 0.5 * e
        return (
            (1.0 - s) * y * y + s * (middle * middle + e * e / 12.0),
            2.0 * (1.0 - s) * y + 2.0 * s * middle,
            s * (y - e / 1.5),
        )
    if y > -g:
        w = (y + g) / g
        v = -y / g
        vw = v * w
        return (
            s * (v * v * (v + 3.0 * w) + e * w * w * (3.0 * v + e * w)) / 3.0,
            -s * w * (2.0 * v + e * w),
            -s * w * (2.0 * v * v + (1.0 + e) * vw + e * w * w / 1.5),
        )
    return s / 3.0, 0.0, 0.0


@compiled
def _product_error(a: float, b: float, product: float) -> float:
    """Return a·b − product exactly (Dekker 1971; no fused multiply-add needed)."""
    split = 134217729.0 * a  # 2^27 + 1
    a_high = split - (split - a)
    a_low = a - a_high
    split = 134217729.0 * b
    b_high = split - (split - b)
    b_low = b - b_high
    return ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


@compiled
def compensated_sum_of_products(start: float, sign: float, a: Floats, b: Floats) -> float:
    """Return start + sign Σ_k a_k b_k as if computed in twice the working precision.

    Ogita, Rump & Oishi (2005), algorithm Dot2. Near perfect reconstruction the loss is a square
    of 1 − ‖W_i‖² and of W_i·W_j, whose leading digits cancel.
    """
    total = start
    error = 0.0
    for k in range(a.shape[0]):
        product = sign * a[k] * b[k]
        error += _product_error(sign * a[k], b[k], product)
        new_total = total + product
        virtual = new_total - total
        error += (total - (new_total - virtual)) + (product - virtual)
        total = new_total
    return total + error
