"""The states of one output in closed form: no other feature on, exactly one, or all of them linear.

What a few features do is known without an integral (`single_output`, `quadrature`,
`general_recurrence`), every term of it is at least 0, and together these states are a lower bound
of the loss. What is left has at least two other features on, and its transform falls off fast.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...arguments import Floats
from ...compiled import borrowing, compiled
from ..general_recurrence import loss_of_output as loss_of_pair
from ..joint_states import JointStates
from ..quadrature import average_over_one
from .gate_table import GateTable
from .output import OutputWork
from .transform import ValueTransform

__all__ = ["PairWork", "Slopes", "few_on", "linear_average", "rests_elsewhere"]


class PairWork(NamedTuple):
    """The joint states of the output's own feature and another, and scratch memory for them.

    Attributes
    ----------
    states : JointStates
        Of two independent features.
    records : ndarray
        A workspace of `general_recurrence`.
    """

    states: JointStates
    records: Floats


class Slopes(NamedTuple):
    """Derivatives in the bias, sums over states.

    Attributes
    ----------
    on, off : float
        States in which the own feature is on or off.
    off_elsewhere : float
        The part of `off` in which no other feature of the own gate is on.
    """

    on: float
    off: float
    off_elsewhere: float


@borrowing
def _uniform_state(
    bias: float, g: float, e: float, coupling: float, on: float, off: float
) -> tuple[float, float, float, float, float]:
    value = slope_on = slope_off = own = other = 0.0
    if on > 0.0:
        f, df, dg, x_df = average_over_one(bias, g, e, 1.0, coupling)
        value, slope_on, own, other = on * f, on * df, on * dg, on * x_df
    if off > 0.0:
        f, df, _, x_df = average_over_one(bias, g, e, 0.0, coupling)
        value += off * f
        slope_off = off * df
        other += off * x_df
    return value, slope_on, slope_off, own, other


@compiled
def _general_state(
    bias: float, g: float, e: float, coupling: float, on: float, off: float, pair: PairWork
) -> tuple[float, float, float, float, float]:
    couplings, gradient, probability = np.empty(2), np.empty(2), np.zeros(4)
    couplings[0], couplings[1] = g, coupling
    value = slope_on = slope_off = own = other = 0.0
    if on > 0.0:
        probability[3] = on
        value, slope_on = loss_of_pair(
            0, couplings, e, bias, pair.states, probability, gradient, pair.records
        )
        own, other = gradient[0], gradient[1]
    if off > 0.0:
        probability[3] = 0.0
        probability[1] = off
        f, slope_off = loss_of_pair(
            0, couplings, e, bias, pair.states, probability, gradient, pair.records
        )
        value += f
        other += gradient[1]
    return value, slope_on, slope_off, own, other


@borrowing
def _linear_state(
    bias: float, e: float, coupling: float, on: float, off: float, mean: float, square: float
) -> tuple[float, float, float, float, float]:
    """Return what the other two return, for the error x_i − z without the activation."""
    variance = square - mean * mean
    spread = coupling * coupling * variance
    error_off = bias + coupling * mean
    error_on = error_off - e * mean
    value = on * (error_on * error_on + spread + e * e * variance)
    value += off * (error_off * error_off + spread)
    other = on * (error_on * mean + coupling * variance)
    other += off * (error_off * mean + coupling * variance)
    own = on * (error_on * mean - e * variance)
    return value, 2.0 * on * error_on, 2.0 * off * error_off, 2.0 * own, 2.0 * other


@borrowing
def _state(
    bias: float,
    g: float,
    e: float,
    coupling: float,
    on: float,
    off: float,
    linear_share: float,
    law: ValueTransform,
    pair: PairWork,
) -> tuple[float, float, float, float, float]:
    """Return loss, slopes with the own feature on and off, and derivatives in both couplings.

    `on` and `off` weight the two states of the own feature. `linear_share` times the error without
    the activation is added.
    """
    if law.uniform:
        value, slope_on, slope_off, own, other = _uniform_state(bias, g, e, coupling, on, off)
    else:
        value, slope_on, slope_off, own, other = _general_state(bias, g, e, coupling, on, off, pair)
    if linear_share != 0.0:
        line = _linear_state(bias, e, coupling, on, off, law.moments[1], law.moments[2])
        value += linear_share * line[0]
        slope_on += linear_share * line[1]
        slope_off += linear_share * line[2]
        own += linear_share * line[3]
        other += linear_share * line[4]
    return value, slope_on, slope_off, own, other


@borrowing
def rests_elsewhere(n_active: int, work: OutputWork, without: Floats) -> float:
    """Write the product of all other gates' `rest` for each active gate; return that of all."""
    product = 1.0
    for k in range(n_active):
        without[k] = product
        product *= work.rest[work.active[k]]
    behind = 1.0
    for k in range(n_active - 1, -1, -1):
        without[k] *= behind
        behind *= work.rest[work.active[k]]
    return product


@borrowing
def _reached_member(b: int, output: int, gates: GateTable, work: OutputWork) -> int:
    for place in range(gates.member_start[b], gates.member_start[b + 1]):
        j = gates.member[place]
        if j != output and work.g[j] != 0.0:
            return int(j)
    return -1


@borrowing
def _spread_over_unreached(
    b: int, output: int, slope: float, gates: GateTable, work: OutputWork, gradient: Floats
) -> None:
    """Add mean · slope to the derivative in the couplings of a branch that are 0."""
    for place in range(gates.member_start[b], gates.member_start[b + 1]):
        j = gates.member[place]
        if j != output and work.g[j] == 0.0:
            gradient[j] += slope


@compiled
def few_on(
    output: int,
    e: float,
    bias: float,
    n_active: int,
    linear_share: float,
    law: ValueTransform,
    gates: GateTable,
    pair: PairWork,
    work: OutputWork,
    gradient: Floats,
) -> tuple[float, Slopes]:
    """Sum the states in which at most one other feature with a coupling is on.

    Derivatives in the couplings of the own and the active gates are added to `gradient`.
    `linear_share` of the error without the activation is added to every state: −1 leaves what the
    activation changes, so that the linear error of *all* states can be added.
    """
    g = work.g[output]
    mean = law.moments[1]
    own_gate, own_branch = gates.gate_of[output], gates.branch_of[output]
    without = np.empty(n_active)
    nothing = rests_elsewhere(n_active, work, without)
    own_on = work.probability[own_branch] if work.others[own_branch] == 0 else 0.0
    own_off = work.rest[own_gate]
    value, on, off, own, _ = _state(
        bias, g, e, 0.0, nothing * own_on, nothing * own_off, linear_share, law, pair
    )
    gradient[output] += own
    gate_slope = np.zeros(n_active)
    for k in range(n_active):
        q = work.active[k]
        for b in range(gates.branch_start[q], gates.branch_start[q + 1]):
            if work.others[b] != 1:
                continue
            j = _reached_member(b, output, gates, work)
            p = work.probability[b] * without[k]
            f, df_on, df_off, own, other = _state(
                bias, g, e, work.g[j], p * own_on, p * own_off, linear_share, law, pair
            )
            value += f
            on += df_on
            off += df_off
            gradient[output] += own
            gradient[j] += other
            gate_slope[k] += df_on + df_off
            _spread_over_unreached(b, output, mean * (df_on + df_off), gates, work, gradient)
    off_elsewhere = off
    for b in range(gates.branch_start[own_gate], gates.branch_start[own_gate + 1]):
        if work.others[b] != 1:
            continue
        j = _reached_member(b, output, gates, work)
        p = work.probability[b] * nothing
        with_own = b == own_branch
        f, df_on, df_off, own, other = _state(
            bias, g, e, work.g[j], p if with_own else 0.0, 0.0 if with_own else p, linear_share,
            law, pair,
        )  # fmt: skip
        value += f
        on += df_on
        off += df_off
        gradient[output] += own
        gradient[j] += other
        if not with_own:
            _spread_over_unreached(b, output, mean * df_off, gates, work, gradient)
    _spread_over_unreached(own_branch, output, mean * on, gates, work, gradient)
    if not gates.plain:
        for k in range(n_active):
            slope = on + off - gate_slope[k]
            _share_rest(work.active[k], output, mean * slope, gates, work, gradient)
        _share_rest(own_gate, output, mean * off_elsewhere, gates, work, gradient)
    return value, Slopes(on, off, off_elsewhere)


@borrowing
def _share_rest(
    q: int, output: int, slope: float, gates: GateTable, work: OutputWork, gradient: Floats
) -> None:
    """Give the branches of a gate that do not reach the output their part of its rest."""
    for b in range(gates.branch_start[q], gates.branch_start[q + 1]):
        if work.others[b] == 0 and b != gates.branch_of[output] and work.probability[b] > 0.0:
            part = work.probability[b] / work.rest[q]
            _spread_over_unreached(b, output, part * slope, gates, work, gradient)


@borrowing
def linear_average(
    output: int,
    e: float,
    bias: float,
    n_active: int,
    law: ValueTransform,
    gates: GateTable,
    work: OutputWork,
    gradient: Floats,
) -> tuple[float, float]:
    """Return E (x_i − z)² without the activation and its slope, and add to `gradient`."""
    mean, variance = law.moments[1], law.moments[2] - law.moments[1] * law.moments[1]
    error = bias
    for k in range(n_active + 1):
        q = work.active[k] if k < n_active else gates.gate_of[output]
        for b in range(gates.branch_start[q], gates.branch_start[q + 1]):
            for place in range(gates.member_start[b], gates.member_start[b + 1]):
                j = gates.member[place]
                error += work.probability[b] * mean * (-e if j == output else work.g[j])
    value = error * error
    for k in range(n_active + 1):
        q = work.active[k] if k < n_active else gates.gate_of[output]
        gate_mean = left = 0.0
        for b in range(gates.branch_start[q], gates.branch_start[q + 1]):
            for place in range(gates.member_start[b], gates.member_start[b + 1]):
                j = gates.member[place]
                gate_mean += work.probability[b] * mean * (-e if j == output else work.g[j])
            left += work.probability[b]
        value += max(1.0 - left, 0.0) * gate_mean * gate_mean
        for b in range(gates.branch_start[q], gates.branch_start[q + 1]):
            p = work.probability[b]
            deviation = -gate_mean
            for place in range(gates.member_start[b], gates.member_start[b + 1]):
                j = gates.member[place]
                deviation += mean * (-e if j == output else work.g[j])
            value += p * deviation * deviation
            for place in range(gates.member_start[b], gates.member_start[b + 1]):
                j = gates.member[place]
                gap = -e if j == output else work.g[j]
                value += p * gap * gap * variance
                gradient[j] += 2.0 * p * ((error + deviation) * mean + gap * variance)
    return value, 2.0 * error
