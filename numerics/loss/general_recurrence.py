r"""The loss of one output for gates of every kind and values of every polynomial law.

In a joint state the features are independent, each is fixed or has a beta law (`value_states`),
and z = b + Σ_j g_j x_j fills an interval [z_min, z_max]. If 0 lies inside, let
τ = −z_min / (z_max − z_min), and let c be the point that divides each side in the ratio τ along
which z grows, and 1 − τ along which it falls; c_j = x_j for a fixed feature. Then z(c) = 0, and
the identity of `value_states`, summed over the features, reads for every f::

    Σ_j ν_j E[f] + E[Df] = Σ_j ν_j { (1 − γ_j) E[f | x_j steps up] + γ_j E[f | x_j steps down] }

with ν_j = α_j + β_j − 1, γ_j the place of c_j on its side, and D = Σ_j (x_j − c_j) ∂/∂x_j, for
which Dz = z, Dx_j = x_j − c_j and D 1{z>0} = 0. With N = Σ_j ν_j and the right-hand side as …,
what a loss and its gradient need follows from states that come before::

    N       E[1{z>0}]              = …
    (N + 1) E[x_j 1{z>0}]          = … + c_j E[1{z>0}]
    (N + 1) E[(z − x_i) 1{z>0}]    = … − c_i E[1{z>0}]
    (N + 2) E[x_j (z − x_i) 1{z>0}] = … + c_j E[(z − x_i) 1{z>0}] − c_i E[x_j 1{z>0}]
    (N + 1) E[x_i − z₊]            = … + c_i
    (N + 2) E[(x_i − z₊)²]         = … + 2 c_i E[x_i − z₊]

Every step is an average with weights of at most 1, so errors do not grow, and nothing is divided
by a coupling: small ones do no harm. Where z does not change sign all of it is means and
variances, with 1 − G_ii in place of a difference. Near perfect reconstruction c_i is as small as
the error of the output, so that a small loss keeps its digits.

A joint state is averaged over with the probability of its set of features. Exclusive sets have
few states: those of a one-hot input grow like n. For independent features with uniform values
`recurrence` is the special case with three states per feature; only its bookkeeping is simpler.
"""

from __future__ import annotations

import numpy as np

from ..arguments import Floats
from ..compiled import compiled
from .joint_states import Integers, JointStates

# Places in a state's record, then n of x_j 1{z>0} and n of x_j (z − x_i) 1{z>0}.
_ON, _DIFFERENCE, _ERROR, _SQUARE, _BLOCKS = 0, 1, 2, 3, 4


def workspace(states: JointStates) -> Floats:
    """Return the scratch memory that `loss_of_output` needs."""
    count, n_features = states.code.shape
    return np.empty((count, _BLOCKS + 2 * n_features))


@compiled
def _fill_constant_sign(
    record: Floats,
    code: Integers,
    on: bool,
    output: int,
    g: Floats,
    e: float,
    bias: float,
    mean: Floats,
    variance: Floats,
) -> None:
    """Fill a record of a state in which z ≥ 0 everywhere (`on`), or z ≤ 0 everywhere."""
    n = code.shape[0]
    own = code[output]
    if not on:
        record[:] = 0.0
        record[_ERROR] = mean[own]
        record[_SQUARE] = mean[own] * mean[own] + variance[own]
        return
    difference = bias
    spread = 0.0
    for j in range(n):
        gap = -e if j == output else g[j]
        difference += gap * mean[code[j]]
        spread += gap * gap * variance[code[j]]
    record[_ON] = 1.0
    record[_DIFFERENCE] = difference
    record[_ERROR] = -difference
    record[_SQUARE] = difference * difference + spread
    for j in range(n):
        gap = -e if j == output else g[j]
        x = mean[code[j]]
        record[_BLOCKS + j] = x
        record[_BLOCKS + n + j] = x * difference + gap * variance[code[j]]


@compiled
def _fill_recurrence(
    state: int,
    output: int,
    g: Floats,
    tau: float,
    states: JointStates,
    c: Floats,
    records: Floats,
) -> None:
    """Fill the record of a state in which z changes sign, a share `tau` of its range below 0."""
    values = states.values
    record = records[state]
    n = g.shape[0]
    record[:] = 0.0
    total = 0.0
    for j in range(n):
        code = states.code[state, j]
        nu = values.strength[code]
        if nu == 0.0:
            c[j] = values.mean[code]
            continue
        sign = values.sign[code]
        share = tau if g[j] * sign > 0.0 else 1.0 - tau
        c[j] = sign * share
        total += nu
        above = records[states.up[state, j]]
        below = records[states.down[state, j]]
        weight_up, weight_down = nu * (1.0 - share), nu * share
        for q in range(record.shape[0]):
            record[q] += weight_up * above[q] + weight_down * below[q]
    own = c[output]
    on = record[_ON] / total
    record[_ON] = on
    record[_DIFFERENCE] = (record[_DIFFERENCE] - own * on) / (total + 1.0)
    record[_ERROR] = (record[_ERROR] + own) / (total + 1.0)
    record[_SQUARE] = max(record[_SQUARE] + 2.0 * own * record[_ERROR], 0.0) / (total + 2.0)
    for j in range(n):
        x = (record[_BLOCKS + j] + c[j] * on) / (total + 1.0)
        record[_BLOCKS + j] = x
        product = record[_BLOCKS + n + j] + c[j] * record[_DIFFERENCE] - own * x
        record[_BLOCKS + n + j] = product / (total + 2.0)


@compiled
def loss_of_output(
    output: int,
    couplings: Floats,
    e: float,
    bias: float,
    states: JointStates,
    probability: Floats,
    gradient: Floats,
    records: Floats,
) -> tuple[float, float]:
    """Return the unweighted loss of one output and its derivative in the bias.

    Parameters
    ----------
    output : int
        The index i.
    couplings : ndarray of shape (n,)
        The row G_i.
    e : float
        1 − G_ii.
    states : JointStates
    probability : ndarray of shape (sets,)
        Of every set of features that can be on, from `set_probabilities`.
    gradient : ndarray of shape (n,)
        Overwritten with the derivatives in the couplings.
    records : ndarray
        A `workspace`.
    """
    n = couplings.shape[0]
    values = states.values
    c = np.empty(n)
    gradient[:] = 0.0
    value = slope = 0.0
    for state in range(records.shape[0]):
        lowest = highest = bias
        for j in range(n):
            code = states.code[state, j]
            if values.strength[code] == 0.0:
                lowest += couplings[j] * values.mean[code]
                highest += couplings[j] * values.mean[code]
            else:
                end = couplings[j] * values.sign[code]
                lowest += min(end, 0.0)
                highest += max(end, 0.0)
        # z = 0 throughout counts as on: the derivative is that of the active side.
        if lowest >= 0.0 or highest <= 0.0:
            _fill_constant_sign(
                records[state], states.code[state], lowest >= 0.0, output, couplings, e, bias,
                values.mean, values.variance,
            )  # fmt: skip
        else:
            tau = -lowest / (highest - lowest)
            _fill_recurrence(state, output, couplings, tau, states, c, records)
        reached = states.active_set[state]
        if reached < 0 or probability[reached] == 0.0:
            continue
        weight = probability[reached] * states.weight[state]
        value += weight * records[state, _SQUARE]
        slope += weight * 2.0 * records[state, _DIFFERENCE]
        for j in range(n):
            gradient[j] += weight * 2.0 * records[state, _BLOCKS + n + j]
    return value, slope
