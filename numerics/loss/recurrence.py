r"""The loss of one output for any few features: a recurrence with positive coefficients.

For a set R of k features that are on, t = bias + the couplings of features fixed at 1, and
z = t + Σ_{j∈R} g_j x_j with the x_j uniform on [0, 1], the moments ``E[x^μ z₊^p]`` with
``|μ| ≤ 2`` obey::

    (|μ| + p + k) E_R[x^μ z₊^p](t)
        = Σ_{l∈R} { α_l E_{R∖l}[x^μ z₊^p | x_l = 1](t + g_l)
                    + β_l ( E_{R∖l}[x^μ z₊^p](t)          if μ_l = 0
                            μ_l E_R[x^{μ−e_l} z₊^p](t)    otherwise ) }

with α_l = 1 − τ, β_l = τ for g_l > 0 and the two exchanged for g_l < 0, where
τ = −z_min / (z_max − z_min) and z_min < 0 < z_max bound z over the box. It is Euler's identity
for a homogeneous function, in which the derivative in t has been moved to the faces of the box
(the recurrence of de Boor & Höllig 1982 for box splines, with weights). No coefficient is
negative and nothing is divided by a coupling, so small couplings do no harm: the vertex sum for
the same moments loses all digits there. Where z does not change sign the moments are polynomials.

Each feature is off (0), fixed at 1 (1), or averaged over (2); the 3^k states are visited so that
every face comes before its box. The error is absolute: machine precision times the loss of the
empty model, where `quadrature` is accurate relative to the loss itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..arguments import Floats
from ..compiled import compiled
from .single_output import own_feature_average

Integers = NDArray[np.int64]

# Offsets of the moments in a state's record: E 1{z>0}, E z₊, E z₊², then blocks of one per feature.
_A0, _A1, _A2, _BLOCKS = 0, 1, 2, 3


def workspace(n_features: int) -> Floats:
    """Return the scratch memory that `loss_of_output` needs, (3^n, 3 + 3n) floats."""
    return np.empty((3**n_features, 3 + 3 * n_features))


@compiled
def _fill_state(
    code: int,
    own: int,
    k: int,
    t: float,
    g: Floats,
    digits: Integers,
    powers: Integers,
    moments: Floats,
) -> None:
    """Fill `moments[code]` from the faces of the state, which come earlier."""
    record = moments[code]
    record[:] = 0.0
    n_free = 0
    lowest = highest = t
    sum_g = sum_g2 = 0.0
    for j in range(k):
        if digits[j] == 2:
            n_free += 1
            lowest += min(g[j], 0.0)
            highest += max(g[j], 0.0)
            sum_g += g[j]
            sum_g2 += g[j] * g[j]
    x0, x1, xx = _BLOCKS, _BLOCKS + k, _BLOCKS + 2 * k
    if highest <= 0.0:
        return
    if lowest >= 0.0:
        mean = t + 0.5 * sum_g
        record[_A0] = 1.0
        record[_A1] = mean
        record[_A2] = mean * mean + sum_g2 / 12.0
        for j in range(k):
            if digits[j] == 2:
                record[x0 + j] = 0.5
                record[x1 + j] = 0.5 * mean + g[j] / 12.0
                record[xx + j] = 1.0 / 3.0 if j == own else 0.25
        return
    tau = -lowest / (highest - lowest)
    # unweighted moments, then the faces of the weighted ones
    for side in range(k):
        if digits[side] != 2:
            continue
        at_one = moments[code - powers[side]]
        at_zero = moments[code - 2 * powers[side]]
        alpha = 1.0 - tau if g[side] > 0.0 else tau
        beta = 1.0 - alpha
        for p in range(3):
            record[p] += alpha * at_one[p] + beta * at_zero[p]
        for j in range(k):
            if digits[j] == 2 and j != side:
                record[x0 + j] += alpha * at_one[x0 + j] + beta * at_zero[x0 + j]
                record[x1 + j] += alpha * at_one[x1 + j] + beta * at_zero[x1 + j]
        record[x0 + side] += alpha * at_one[_A0]
        record[x1 + side] += alpha * at_one[_A1]
    for p in range(3):
        record[p] /= n_free + p
    for j in range(k):
        if digits[j] == 2:
            beta = tau if g[j] > 0.0 else 1.0 - tau
            record[x0 + j] = (record[x0 + j] + beta * record[_A0]) / (1 + n_free)
            record[x1 + j] = (record[x1 + j] + beta * record[_A1]) / (2 + n_free)
    if digits[own] != 2:
        return
    # moments of x_own x_j 1{z > 0}
    beta_own = tau if g[own] > 0.0 else 1.0 - tau
    for j in range(k):
        if digits[j] != 2:
            continue
        total = 0.0
        for side in range(k):
            if digits[side] != 2 or side in (own, j):
                continue
            alpha = 1.0 - tau if g[side] > 0.0 else tau
            total += alpha * moments[code - powers[side], xx + j]
            total += (1.0 - alpha) * moments[code - 2 * powers[side], xx + j]
        face_own = moments[code - powers[own]]
        if j == own:
            total += (1.0 - beta_own) * face_own[_A0] + 2.0 * beta_own * record[x0 + own]
        else:
            beta_j = tau if g[j] > 0.0 else 1.0 - tau
            total += (1.0 - beta_own) * face_own[x0 + j] + beta_own * record[x0 + j]
            total += (1.0 - beta_j) * moments[code - powers[j], x0 + own]
            total += beta_j * record[x0 + own]
        record[xx + j] = total / (2 + n_free)


@compiled
def loss_of_output(
    output: int,
    couplings: Floats,
    e: float,
    bias: float,
    density: Floats,
    gradient: Floats,
    moments: Floats,
) -> tuple[float, float]:
    """Return the unweighted loss of one output and its derivative in the bias.

    The parameters are those of `quadrature.loss_of_output`, and `moments` is a `workspace`.
    """
    n = couplings.shape[0]
    # Features that do not reach this output only enter through their mean; leave them out.
    where = np.empty(n, np.int64)
    g = np.empty(n)
    s = np.empty(n)
    k = 0
    own = 0
    for j in range(n):
        if couplings[j] != 0.0 or j == output:
            if j == output:
                own = k
            where[k] = j
            g[k] = couplings[j]
            s[k] = density[j]
            k += 1
    powers = np.empty(k, np.int64)
    power = 1
    for j in range(k):
        powers[j] = power
        power *= 3
    x1, xx = _BLOCKS + k, _BLOCKS + 2 * k
    digits = np.zeros(k, np.int64)
    gradient[:] = 0.0
    value = slope = 0.0
    for code in range(power):
        t = bias
        probability = 1.0
        rest = code
        for j in range(k):
            digits[j] = rest % 3
            rest //= 3
            if digits[j] == 1:
                t += g[j]
                probability = 0.0
            else:
                probability *= s[j] if digits[j] == 2 else 1.0 - s[j]
        _fill_state(code, own, k, t, g, digits, powers, moments)
        if probability == 0.0:
            continue
        record = moments[code]
        if digits[own] != 2:
            value += probability * record[_A2]
            slope += probability * 2.0 * record[_A1]
            for j in range(k):
                if digits[j] == 2:
                    gradient[where[j]] += probability * 2.0 * record[x1 + j]
            continue
        if code == 2 * powers[own]:  # own feature alone: the cancellation-free form
            f, df, dg = own_feature_average(bias, g[own], e, 1.0)
            value += probability * f
            slope += probability * df
            gradient[output] += probability * dg
            continue
        if record[_A0] == 1.0:  # never cut off: bias and variance, a sum of squares
            mean_error = 0.5 - record[_A1]
            spread = e * e
            for j in range(k):
                if digits[j] == 2 and j != own:
                    spread += g[j] * g[j]
            value += probability * (mean_error * mean_error + spread / 12.0)
        else:
            value += probability * max(1.0 / 3.0 - 2.0 * record[x1 + own] + record[_A2], 0.0)
        slope += probability * 2.0 * (record[_A1] - record[_BLOCKS + own])
        for j in range(k):
            if digits[j] == 2:
                gradient[where[j]] += probability * 2.0 * (record[x1 + j] - record[xx + j])
    for j in range(n):
        if couplings[j] == 0.0 and j != output:
            gradient[j] = 0.5 * density[j] * slope
    return value, slope
