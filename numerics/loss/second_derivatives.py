r"""Second derivatives of the loss of one output, for up to two other features.

In the notation of `single_output` and `quadrature`, z = g x + y, y = b + Σ_j g_j x_j, and φ(y, g)
is the error averaged over the own feature. φ has a continuous gradient, and where y is between
the kinks −g and 0 its second derivatives are, with v = −y/g and w = 1 − v::

    φ_yy = 2 s (w − v/g)
    φ_yg =   s (w (1 + v) − 2 v²/g)
    φ_gg = 2 s (w (1 + v + v²)/3 − v³/g)

(2, s and 2s/3 above 0, and nothing below −g.) They are piecewise polynomials in y, so that the
Gauss rules of `quadrature` between the kinks are exact for them too, times 1, x_j or x_j x_k.
"""

from __future__ import annotations

import numpy as np

from ..arguments import Floats
from ..compiled import compiled

_NODE_2 = 0.5 / np.sqrt(3.0)
_NODE_3 = 0.5 * np.sqrt(0.6)
_OUTER_3 = 5.0 / 18.0
_INNER_3 = 8.0 / 18.0

# Places in a record of averages: φ, φ_g, φ_gg, then φ_y times 1, x₁, x₂, φ_yg times the same,
# and φ_yy times 1, x₁, x₂, x₁², x₁x₂, x₂².
_VALUE, _OWN, _OWN_OWN, _SLOPE, _MIXED, _CURVATURE = 0, 1, 2, 3, 6, 9
AVERAGES = 15
RECORD = AVERAGES + 5  # and places to cut an interval at


@compiled
def _add_point(
    y: float, g: float, e: float, s: float, weight: float, x1: float, x2: float, record: Floats
) -> None:
    """Add `weight` times φ and its derivatives, times the powers of the others, to `record`."""
    if y <= -g and y < 0.0:
        record[_VALUE] += weight * s / 3.0
        return
    if y >= 0.0:
        middle = y - 0.5 * e
        value = (1.0 - s) * y * y + s * (middle * middle + e * e / 12.0)
        slope = 2.0 * (1.0 - s) * y + 2.0 * s * middle
        own = s * (y - e / 1.5)
        curvature, mixed, own_own = 2.0, s, s / 1.5
    else:
        inverse = 1.0 / g
        v = -y * inverse
        w = (y + g) * inverse
        vw = v * w
        value = s * (v * v * (v + 3.0 * w) + e * w * w * (3.0 * v + e * w)) / 3.0
        slope = -s * w * (2.0 * v + e * w)
        own = -s * w * (2.0 * v * v + (1.0 + e) * vw + e * w * w / 1.5)
        ratio = v * inverse
        curvature = 2.0 * s * (w - ratio)
        mixed = s * (w * (1.0 + v) - 2.0 * v * ratio)
        own_own = 2.0 * s * (w * (1.0 + v + v * v) / 3.0 - v * v * ratio)
    slope *= weight
    mixed *= weight
    curvature *= weight
    record[_VALUE] += weight * value
    record[_OWN] += weight * own
    record[_OWN_OWN] += weight * own_own
    record[_SLOPE] += slope
    record[_SLOPE + 1] += slope * x1
    record[_SLOPE + 2] += slope * x2
    record[_MIXED] += mixed
    record[_MIXED + 1] += mixed * x1
    record[_MIXED + 2] += mixed * x2
    record[_CURVATURE] += curvature
    record[_CURVATURE + 1] += curvature * x1
    record[_CURVATURE + 2] += curvature * x2
    record[_CURVATURE + 3] += curvature * x1 * x1
    record[_CURVATURE + 4] += curvature * x1 * x2
    record[_CURVATURE + 5] += curvature * x2 * x2


@compiled
def _add_line(
    y: float, g: float, e: float, s: float, weight: float, coupling: float, along_second: bool,
    x2: float, record: Floats,
) -> None:  # fmt: skip
    """Add the average over x at y + coupling·x, where x is x₁ and x₂ is given, or x is x₂ alone."""
    first = second = 0.0
    if coupling != 0.0:
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
            half = 0.5 * width * weight
            low, high = center - _NODE_2 * width, center + _NODE_2 * width
            if along_second:
                _add_point(y + coupling * low, g, e, s, half, 0.0, low, record)
                _add_point(y + coupling * high, g, e, s, half, 0.0, high, record)
            else:
                _add_point(y + coupling * low, g, e, s, half, low, x2, record)
                _add_point(y + coupling * high, g, e, s, half, high, x2, record)
        left = right


@compiled
def _add_square(
    y: float, g: float, e: float, s: float, weight: float, first: float, second: float,
    record: Floats,
) -> None:  # fmt: skip
    """Add the average over x₁ and x₂ at y + first·x₁ + second·x₂."""
    cuts = record[AVERAGES:]
    for k in range(5):
        cuts[k] = 1.0
    if second != 0.0:
        cuts[0] = min(max(-y / second, 0.0), 1.0)
        cuts[1] = min(max((-g - y) / second, 0.0), 1.0)
        cuts[2] = min(max((-first - y) / second, 0.0), 1.0)
        cuts[3] = min(max((-g - first - y) / second, 0.0), 1.0)
    for k in range(1, 4):  # insertion sort: four entries
        cut = cuts[k]
        j = k
        while j > 0 and cuts[j - 1] > cut:
            cuts[j] = cuts[j - 1]
            j -= 1
        cuts[j] = cut
    left = 0.0
    for piece in range(5):
        width = cuts[piece] - left
        if width > 0.0:
            center = left + 0.5 * width
            for node in range(3):
                x2 = center + (node - 1) * _NODE_3 * width
                share = weight * width * (_INNER_3 if node == 1 else _OUTER_3)
                _add_line(y + second * x2, g, e, s, share, first, False, x2, record)
        left = cuts[piece]


@compiled
def averages_of_output(
    output: int, couplings: Floats, e: float, bias: float, density: Floats, record: Floats
) -> None:  # fmt: skip
    """Overwrite `record` with the averages of φ and its derivatives over the other features.

    Parameters are those of `quadrature.loss_of_output`; n ≤ 3. The other features are x₁ and x₂
    in their order. `record` has shape (20,): the averages, and scratch.
    """
    n = couplings.shape[0]
    g = couplings[output]
    s = density[output]
    record[:] = 0.0
    j = 1 if output == 0 else 0
    k = 1 if output == 2 else 2
    s_j = density[j] if n > 1 else 0.0
    s_k = density[k] if n > 2 else 0.0
    weight = (1.0 - s_j) * (1.0 - s_k)
    if weight > 0.0:
        _add_point(bias, g, e, s, weight, 0.0, 0.0, record)
    weight = s_j * (1.0 - s_k)
    if weight > 0.0:
        _add_line(bias, g, e, s, weight, couplings[j], False, 0.0, record)
    weight = (1.0 - s_j) * s_k
    if weight > 0.0:
        _add_line(bias, g, e, s, weight, couplings[k], True, 0.0, record)
    weight = s_j * s_k
    if weight > 0.0:
        _add_square(bias, g, e, s, weight, couplings[j], couplings[k], record)


@compiled
def _second_of_couplings(
    output: int, weight: float, record: Floats, dgram: Floats, second: Floats
) -> None:
    """Order the derivatives of one output by feature, times its importance.

    `dgram[output]` takes the first ones in the couplings; `second` (n, n + 1) the second ones,
    its last column those in a coupling and the bias.
    """
    n = dgram.shape[0]
    i = output
    j = 1 if i == 0 else 0
    k = 1 if i == 2 else 2
    dgram[i, i] = weight * record[_OWN]
    second[i, i] = weight * record[_OWN_OWN]
    second[i, n] = weight * record[_MIXED]
    if n > 1:
        dgram[i, j] = weight * record[_SLOPE + 1]
        second[i, j] = second[j, i] = weight * record[_MIXED + 1]
        second[j, j] = weight * record[_CURVATURE + 3]
        second[j, n] = weight * record[_CURVATURE + 1]
    if n > 2:
        dgram[i, k] = weight * record[_SLOPE + 2]
        second[i, k] = second[k, i] = weight * record[_MIXED + 2]
        second[j, k] = second[k, j] = weight * record[_CURVATURE + 4]
        second[k, k] = weight * record[_CURVATURE + 5]
        second[k, n] = weight * record[_CURVATURE + 2]


@compiled
def _add_output(i: int, W: Floats, second: Floats, along: Floats, hessian: Floats) -> None:
    """Add to the upper half of `hessian` the curvature of output i in its couplings G_ij.

    As ∂G_ij/∂W_ha = δ_ia W_hj + δ_ja W_hi, a column a ≠ i of W moves one coupling, by W_hi, and
    column i moves all of them: by W_hj, and G_ii by twice that. `along` (m, n + 1) is scratch for
    the second derivatives along the latter.
    """
    m, n = W.shape
    bias = m * n + i
    for h in range(m):
        for q in range(n + 1):
            total = W[h, i] * second[i, q]
            for j in range(n):
                total += W[h, j] * second[j, q]
            along[h, q] = total
    for h in range(m):
        for a in range(n):
            row = h * n + a
            hessian[row, bias] += along[h, n] if a == i else W[h, i] * second[a, n]
            for k in range(h, m):
                for c in range(a if k == h else 0, n):
                    if a != i:
                        entry = along[k, a] if c == i else W[k, i] * second[a, c]
                        entry *= W[h, i]
                    elif c != i:
                        entry = along[h, c] * W[k, i]
                    else:
                        entry = along[h, i] * W[k, i]
                        for j in range(n):
                            entry += along[h, j] * W[k, j]
                    hessian[row, k * n + c] += entry


@compiled
def _add_penalty(
    W: Floats, penalty: float, gram: Floats, dgram: Floats, second: Floats, along: Floats,
    hessian: Floats,
) -> float:  # fmt: skip
    """Add the interference penalty to `dgram` and `hessian`, and return it."""
    n = W.shape[1]
    total = 0.0
    second[:] = 0.0
    for j in range(n):
        second[j, j] = 2.0 * penalty
    for i in range(n):
        second[i, i] = 0.0
        _add_output(i, W, second, along, hessian)
        second[i, i] = 2.0 * penalty
        for j in range(n):
            if j != i:
                total += penalty * gram[i, j] * gram[i, j]
                dgram[i, j] += 2.0 * penalty * gram[i, j]
    return total


@compiled
def model_hessian(
    W: Floats, b: Floats, density: Floats, importance: Floats, penalty: float, gradient: Floats,
    hessian: Floats, gram: Floats, dgram: Floats, second: Floats, along: Floats, record: Floats,
) -> float:  # fmt: skip
    """Return the loss of a ReLU model of up to three independent, uniform features.

    Overwrites `gradient` (d,) and `hessian` (d, d), d = m·n + n, in the order of W.ravel(), b.
    Scratch is `gram` and `dgram` (n, n), `second` (n, n + 1), `along` (m, n + 1), `record` (20,).
    """
    m, n = W.shape
    d = m * n + n
    loss = 0.0
    for row in range(d):
        for column in range(row, d):
            hessian[row, column] = 0.0
    for i in range(n):
        for j in range(i + 1):
            total = 0.0
            for h in range(m):
                total += W[h, i] * W[h, j]
            gram[i, j] = gram[j, i] = total
    for i in range(n):
        averages_of_output(i, gram[i], 1.0 - gram[i, i], b[i], density, record)
        _second_of_couplings(i, importance[i], record, dgram, second)
        _add_output(i, W, second, along, hessian)
        loss += importance[i] * record[_VALUE]
        gradient[m * n + i] = importance[i] * record[_SLOPE]
        hessian[m * n + i, m * n + i] = importance[i] * record[_CURVATURE]
    if penalty != 0.0:
        loss += _add_penalty(W, penalty, gram, dgram, second, along, hessian)
    for h in range(m):
        for a in range(n):
            total = 0.0
            for i in range(n):
                total += W[h, i] * (dgram[i, a] + dgram[a, i])
            gradient[h * n + a] = total
            for c in range(a, n):
                hessian[h * n + a, h * n + c] += dgram[a, c] + dgram[c, a]
    for row in range(d):
        for column in range(row):
            hessian[row, column] = hessian[column, row]
    return loss
