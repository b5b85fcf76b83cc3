"""The loss of one output with any number of features: few of them on in closed form, more by a sum.

The contributions are put together here, with a bound on the error of the result: that of the line
(`plan`), that of replacing negligible couplings by their mean (`output`), and an estimate of
rounding, machine precision times the sizes of all terms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ....features import FeatureDistribution, Independent
from ...arguments import Floats
from ...compiled import borrowing, compiled
from .. import general_recurrence
from ..joint_states import joint_states
from .few_on import PairWork, few_on, linear_average
from .gate_table import GateTable, gate_table
from .nodes import NodeSums, NodeWork, node_work, sum_over_nodes
from .output import OutputWork, output_work, prepare, state_sums, tilt
from .pairs import pairs_on
from .plan import EPSILON, Line, choose_line
from .transform import ValueTransform, value_transform

__all__ = [
    "NOT_SUMMED",
    "ContourWork",
    "OutputLoss",
    "Pending",
    "begin_output",
    "contour_work",
    "end_output",
    "loss_of_output",
    "lower_bound",
]


_LEAST_REST = 1e-3  # probability of being off below which features are on in most states
_PAIR_COST = 4.0  # of all pairs, over features, in nodes
_PLAN_COST = 200.0  # of a second line, in nodes


class ContourWork(NamedTuple):
    """What the losses of the outputs need beside weights and densities.

    Attributes
    ----------
    law : ValueTransform
    gates : GateTable
    pair : PairWork
    output : OutputWork
    nodes : NodeWork
    """

    law: ValueTransform
    gates: GateTable
    pair: PairWork
    output: OutputWork
    nodes: NodeWork


class OutputLoss(NamedTuple):
    """The unweighted loss of one output.

    Attributes
    ----------
    value, slope : float
        The loss and its derivative in the bias.
    error, gradient_error : float
        Bounds on the errors of the loss, and of any one derivative in the bias or a coupling.
    """

    value: float
    slope: float
    error: float
    gradient_error: float


NOT_SUMMED = OutputLoss(0.0, 0.0, np.inf, np.inf)


class Pending(NamedTuple):
    """An output that lacks its sum over nodes.

    Attributes
    ----------
    value, slope, error, gradient_error : float
        Those of all other parts; errors without those of the line.
    bias : float
        With the mean of negligible couplings.
    n_active : int
        Gates of other features that reach the output.
    apart : int
        With how many other features on states are kept apart from the line.
    line : Line
        Without nodes if there is nothing to be summed.
    log_scale : float
        Of the weights as they are tilted for the line.
    """

    value: float
    slope: float
    error: float
    gradient_error: float
    bias: float
    n_active: int
    apart: int
    line: Line
    log_scale: float


def contour_work(features: FeatureDistribution, n_features: int) -> ContourWork:
    """Return tables and scratch memory for models with these features; not to be shared by threads."""
    gates = gate_table(features, n_features)
    states = joint_states(Independent(features.values), 2)
    return ContourWork(
        value_transform(features.values),
        gates,
        PairWork(states, general_recurrence.workspace(states)),
        output_work(gates),
        node_work(gates),
    )


@borrowing
def _range(output: int, bias: float, symmetric: bool, work: OutputWork) -> tuple[float, float]:
    """Return an interval that z cannot leave."""
    lowest = highest = bias
    for j in range(work.g.shape[0]):
        g = work.g[j]
        lowest += min(g, -g if symmetric else 0.0)
        highest += max(g, -g if symmetric else 0.0)
    return lowest, highest


@borrowing
def _numbers(n_active: int) -> tuple[int, int]:
    """Return 1 and 2 as no literals: for each of these numba would compile all callees anew."""
    zero = 0 * n_active
    return zero + 1, zero + 2


@borrowing
def _best_line(
    output: int, bias: float, n_active: int, smooth: float, tolerance: float,
    gradient_tolerance: float, contour: ContourWork,
) -> tuple[Line, int]:  # fmt: skip
    """Choose a line, and with how many other features on states are kept apart from it."""
    law, gates, work = contour.law, contour.gates, contour.output
    one, two = _numbers(n_active)
    line = choose_line(
        output, bias, n_active, one, smooth, tolerance, gradient_tolerance, law, gates, work
    )
    if not (gates.plain and law.uniform) or n_active < 3:
        return line, 1
    for k in range(n_active):
        if work.rest[work.active[k]] < _LEAST_REST:
            return line, 1
    if line.nodes < _PAIR_COST * n_active + _PLAN_COST:
        return line, 1
    apart = choose_line(
        output, bias, n_active, two, smooth, tolerance, gradient_tolerance, law, gates, work
    )
    if line.nodes < 1.4 * apart.nodes + _PAIR_COST * n_active:
        return line, 1
    return apart, 2


@compiled
def _give_to_unreached(
    output: int, slope: float, n_active: int, density: Floats, mean: float, gates: GateTable,
    work: OutputWork, gradient: Floats,
) -> None:  # fmt: skip
    """Set derivatives in couplings of gates that do not reach the output: mean times slope."""
    in_use = np.zeros(gates.can_be_off.shape[0])
    in_use[work.active[:n_active]] = 1.0
    in_use[gates.gate_of[output]] = 1.0
    for j in range(gradient.shape[0]):
        if in_use[gates.gate_of[j]] == 0.0:
            gradient[j] = density[j] * mean * slope


@compiled
def lower_bound(
    output: int, couplings: Floats, e: float, bias: float, density: Floats, contour: ContourWork
) -> float:
    """Return what the loss of an output is at least: its part with at most one other feature on."""
    law, gates, work = contour.law, contour.gates, contour.output
    bias, n_active, _, _ = prepare(output, couplings, bias, density, law, gates, (0.0, 0.0), work)
    scratch = np.zeros(couplings.shape[0])
    value, _ = few_on(output, e, bias, n_active, 0.0, law, gates, contour.pair, work, scratch)
    return value


@borrowing
def begin_output(
    output: int,
    couplings: Floats,
    e: float,
    bias: float,
    density: Floats,
    tolerance: float,
    gradient_tolerance: float,
    contour: ContourWork,
    gradient: Floats,
) -> Pending:
    """Do all of one output but its sum over nodes; the parameters are those of `loss_of_output`."""
    law, gates, work = contour.law, contour.gates, contour.output
    bias, n_active, dropped, dropped_slope = prepare(
        output, couplings, bias, density, law, gates, (0.1 * tolerance, 0.1 * gradient_tolerance),
        work,
    )  # fmt: skip
    gradient[:] = 0.0
    log_scale = tilt(0.0, output, bias, n_active, law, gates, work)
    one, two = _numbers(n_active)
    beyond = state_sums(output, n_active, one, gates, work)
    lowest, highest = _range(output, bias, law.symmetric, work)
    negative, apart = lowest >= 0.0, 1
    line = Line(1.0, 1.0, 0, 0.0, 0.0)
    if beyond.on + beyond.off > 0.0 and lowest < 0.0 < highest:
        smooth, _ = linear_average(output, e, bias, n_active, law, gates, work, gradient)
        gradient[:] = 0.0
        line, apart = _best_line(
            output, bias, n_active, smooth, 0.7 * tolerance, 0.7 * gradient_tolerance, contour
        )
        negative = line.alpha < 0.0
    linear_share = -1.0 if negative else 0.0
    value, slopes = few_on(
        output, e, bias, n_active, linear_share, law, gates, contour.pair, work, gradient
    )
    slope = slopes.on + slopes.off
    rounding, slope_rounding = 16.0 * EPSILON * abs(value), 0.0
    if apart == 2:
        pairs, pairs_slope, lost, slope_rounding = pairs_on(
            output, e, bias, n_active, linear_share, tolerance, gradient_tolerance, gates, work,
            gradient,
        )  # fmt: skip
        value += pairs
        slope += pairs_slope
        rounding += 16.0 * EPSILON * abs(pairs) + lost
        tilt(0.0, output, bias, n_active, law, gates, work)
        beyond = state_sums(output, n_active, two, gates, work)
    if negative:
        smooth, smooth_slope = linear_average(output, e, bias, n_active, law, gates, work, gradient)
        value += smooth
        slope += smooth_slope
        rounding += 16.0 * EPSILON * smooth
    else:
        value += law.moments[2] * beyond.on * np.exp(log_scale)
    if line.nodes > 0:
        log_scale = tilt(line.alpha, output, bias, n_active, law, gates, work)
    return Pending(
        value, slope, dropped + rounding, dropped_slope + slope_rounding, bias, n_active,
        apart, line, log_scale,
    )  # fmt: skip


@borrowing
def end_output(
    output: int,
    density: Floats,
    pending: Pending,
    sums: NodeSums,
    contour: ContourWork,
    gradient: Floats,
) -> OutputLoss:
    """Add the sum over nodes; the sum has added to `gradient` all but the own coupling's part."""
    gradient[output] += sums.own
    slope = pending.slope + sums.slope
    _give_to_unreached(
        output, slope, pending.n_active, density, contour.law.moments[1], contour.gates,
        contour.output, gradient,
    )  # fmt: skip
    value = pending.value + sums.value
    error = pending.error + pending.line.loss_error + sums.rounding + EPSILON * abs(value)
    gradient_error = (
        pending.gradient_error
        + pending.line.gradient_error
        + sums.slope_rounding
        + 32.0 * np.sqrt(EPSILON * (pending.error + EPSILON * abs(value)))
    )
    return OutputLoss(value, slope, error, gradient_error)


@borrowing
def loss_of_output(
    output: int,
    couplings: Floats,
    e: float,
    bias: float,
    density: Floats,
    tolerance: float,
    gradient_tolerance: float,
    most: int,
    contour: ContourWork,
    gradient: Floats,
) -> OutputLoss:
    """Return the loss of one output to a tolerance, and overwrite `gradient`.

    Parameters
    ----------
    output : int
        The index i.
    couplings, density : ndarray of shape (n,)
        The row G_i and the densities of the features.
    e : float
        1 − G_ii.
    bias : float
    tolerance : float
        Bound on the error that is aimed at; what is reached is returned.
    gradient_tolerance : float
        The same for derivatives; infinite if they are not wanted, and then `gradient` is not that.
    most : int
        A sum over more nodes is not begun: `NOT_SUMMED` is returned.
    contour : ContourWork
    gradient : ndarray of shape (n,)
        Overwritten with the derivatives in the couplings.
    """
    pending = begin_output(
        output, couplings, e, bias, density, tolerance, gradient_tolerance, contour, gradient
    )
    if pending.line.nodes > most:
        return NOT_SUMMED
    sums = NodeSums(0.0, 0.0, 0.0, 0.0, 0.0)
    if pending.line.nodes > 0:
        sums = sum_over_nodes(
            output, pending.bias, pending.n_active, pending.apart, pending.line, pending.log_scale,
            gradient_tolerance < np.inf, contour.law, contour.gates, contour.output, contour.nodes,
            gradient,
        )  # fmt: skip
    return end_output(output, density, pending, sums, contour, gradient)
