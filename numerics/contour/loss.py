"""The loss of one output with any number of features: few of them on in closed form, more by a sum.

The contributions are put together here, with a bound on the error of the result: that of the line
(`plan`), that of replacing negligible couplings by their mean (`output`), and an estimate of
rounding, machine precision times the sizes of all terms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...features import FeatureDistribution, Independent
from .. import general_recurrence
from ..arguments import Floats
from ..compiled import compiled
from ..joint_states import joint_states
from .few_on import PairWork, few_on, linear_average
from .gate_table import GateTable, gate_table
from .nodes import NodeWork, node_work, sum_over_nodes
from .output import OutputWork, output_work, prepare, state_sums, tilt
from .plan import EPSILON, Line, choose_line
from .transform import ValueTransform, value_transform

__all__ = ["ContourWork", "OutputLoss", "contour_work", "loss_of_output", "lower_bound"]


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


@compiled
def _range(output: int, bias: float, symmetric: bool, work: OutputWork) -> tuple[float, float]:
    """Return an interval that z cannot leave."""
    lowest = highest = bias
    for j in range(work.g.shape[0]):
        g = work.g[j]
        lowest += min(g, -g if symmetric else 0.0)
        highest += max(g, -g if symmetric else 0.0)
    return lowest, highest


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
    bias, n_active, _ = prepare(output, couplings, bias, density, law, gates, 0.0, work)
    scratch = np.zeros(couplings.shape[0])
    value, _ = few_on(output, e, bias, n_active, 0.0, law, gates, contour.pair, work, scratch)
    return value


@compiled
def loss_of_output(
    output: int,
    couplings: Floats,
    e: float,
    bias: float,
    density: Floats,
    tolerance: float,
    gradient_tolerance: float,
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
    contour : ContourWork
    gradient : ndarray of shape (n,)
        Overwritten with the derivatives in the couplings.
    """
    law, gates, work = contour.law, contour.gates, contour.output
    with_gradient = gradient_tolerance < np.inf
    budget = 0.1 * min(tolerance, (0.25 * gradient_tolerance) ** 2)
    bias, n_active, dropped = prepare(output, couplings, bias, density, law, gates, budget, work)
    gradient[:] = 0.0
    log_scale = tilt(0.0, output, bias, n_active, law, gates, work)
    several = state_sums(output, n_active, gates, work)
    lowest, highest = _range(output, bias, law.symmetric, work)
    error, gradient_error = dropped, 2.0 * np.sqrt(dropped)
    negative = lowest >= 0.0
    line = Line(1.0, 1.0, 0, 0.0, 0.0)
    if several.on + several.off > 0.0 and lowest < 0.0 < highest:
        line = choose_line(
            output, bias, n_active, 0.9 * tolerance, 0.9 * gradient_tolerance, law, gates, work
        )
        negative = line.alpha < 0.0
    value, slopes = few_on(
        output, e, bias, n_active, -1.0 if negative else 0.0, law, gates, contour.pair, work,
        gradient,
    )  # fmt: skip
    slope = slopes.on + slopes.off
    rounding = 16.0 * abs(value)
    if negative:
        smooth, smooth_slope = linear_average(output, e, bias, n_active, law, gates, work, gradient)
        value += smooth
        slope += smooth_slope
        rounding += 16.0 * smooth
    else:
        value += law.moments[2] * several.on * np.exp(log_scale)
    if line.nodes > 0:
        log_scale = tilt(line.alpha, output, bias, n_active, law, gates, work)
        sums = sum_over_nodes(
            output, bias, n_active, line, log_scale, with_gradient, law, gates, work,
            contour.nodes, gradient,
        )  # fmt: skip
        value += sums.value
        slope += sums.slope
        gradient[output] += sums.own
        error += line.loss_error + sums.rounding
        gradient_error += line.gradient_error + sums.slope_rounding
    _give_to_unreached(output, slope, n_active, density, law.moments[1], gates, work, gradient)
    error += EPSILON * (rounding + abs(value))
    gradient_error += 32.0 * EPSILON * np.sqrt(rounding + abs(value))
    return OutputLoss(value, slope, error, gradient_error)
