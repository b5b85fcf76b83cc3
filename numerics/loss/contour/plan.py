r"""Where to sum the integral of one output: which line, how far apart the nodes, how many.

The states with at least two other features on contribute, for α > 0::

    E[x_i²; …] + (1/2πi) ∫_{Re u = α} E[e^{uz} (2/u³ − 2 x_i/u²); …] du,

and for α < 0 the same with E[(x_i − z)²; …] for the first term, the residue at 0. Nodes at
u = α + i (k + 1/2) h turn the integral into a sum. Its error has two parts, and both are bounded.

*Spacing.* By Poisson's formula, sums with h = 2π/P are off by Σ_{k≠0} (−1)^k e^{−αkP} E ψ(z + kP)
exactly, where ψ(z) = z₊² − 2 x_i z₊ for α > 0, and what is left of it after subtracting
z² − 2 x_i z for α < 0. Since z₊ ≤ e^{βz}/(eβ) and z₊² ≤ 4 e^{βz}/(eβ)² for every β > 0 (Chernoff),
the terms k < 0 are bounded by e^{−(β−α)P} E e^{βz} for any β beyond α, those with k > 0 by
e^{−(α−β)P} E e^{βz} for any β between 0 and α. A table of Λ(β), the logarithm of the bound, serves
for both; the smallest P is where a line through (α, log tolerance) touches it.

*Height.* Relative to its value at real u, a transform of a value is below a constant over |u|
(`transform.decay`). All coefficients of `state_sums` are positive, so with these bounds it gives a
bound of the integrand that only falls with the height, and of the integral above it.

The gradient is bounded in the same way; its integrand has a factor of u more.

Rounding leaves an error of the size of machine precision times the sum of all terms, which grows
like E e^{αz}/α²: it limits α on both sides. Between the limits the line with the least nodes wins.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ...arguments import Floats
from ...compiled import borrowing, compiled
from .gate_table import GateTable
from .output import LARGEST_EXPONENT, OutputWork, StateSums, branch_bound, state_sums, tilt
from .transform import ValueTransform, decay, real_transform

__all__ = ["MAX_NODES", "Line", "choose_line"]

MAX_NODES = 2**18
"""Nodes of one output; where more would be needed, the error bound says what these leave."""

_STEP = 1.6  # between the entries of the table of Λ
_UP, _DOWN = 48, 64  # entries above and below the first; 1.6^64 is about 10^13
_BEYOND = 3  # entries where rounding is too large already, for the bound on the spacing
_BELOW = 5  # entries below the lowest line that is considered
_CANDIDATES = 3
EPSILON = 2.3e-16


class Line(NamedTuple):
    """Nodes u = alpha + i (k + 1/2) step for k = 0, …, nodes − 1, and what they leave out.

    Attributes
    ----------
    alpha, step : float
    nodes : int
    loss_error, gradient_error : float
        Bounds, without rounding: on the loss, and on each derivative in a coupling or the bias.
    """

    alpha: float
    step: float
    nodes: int
    loss_error: float
    gradient_error: float


@borrowing
def _log_bounds(
    beta: float, log_scale: float, g: float, law: ValueTransform, sums: StateSums
) -> tuple[float, float]:
    """Return the logarithms of bounds on |E ψ(z)| and on its derivatives, by Chernoff at β."""
    size = abs(beta)
    first = 2.0 / (np.e * size)
    own = real_transform(law, beta * g)
    loss = (own * sums.on + sums.off) * first * first + own * sums.on * first
    slope = (own * sums.on + sums.off) * first + 2.0 * own * sums.on
    if not loss > 0.0:
        return -np.inf, -np.inf
    return log_scale + np.log(loss), log_scale + np.log(slope)


@borrowing
def _kernel_bounds(
    modulus: float, alpha: float, g: float, law: ValueTransform
) -> tuple[float, float, float, float]:
    """Return bounds at |u| = modulus of the kernel with the own feature off and on.

    Then of the derivative in g of the second, and the power of |u| that the second falls with.
    That of the first is 3, that of the third one less.
    """
    t = alpha * g
    size = real_transform(law, t)
    near = 2.0 * size * (1.0 / modulus + 1.0)
    own_near = near
    if g > 0.0:
        far = 2.0 * (decay(law, 0, t) / modulus + decay(law, 1, t)) / (modulus * g)
        own_far = 2.0 * (decay(law, 1, t) / modulus + decay(law, 2, t)) / (modulus * g)
    else:
        far = own_far = np.inf
    square = modulus * modulus
    falls = 2.0 if near < far else 3.0
    return (
        2.0 / (square * modulus),
        min(near, far) / square,
        (own_near if falls == 2.0 else own_far) / modulus,
        falls,
    )


@borrowing
def _beyond(size: float, modulus: float, power: float) -> float:
    """Return ∫ size (modulus/v)^power dv from modulus on."""
    if size == 0.0:
        return 0.0
    return size * modulus / (power - 1.0) if power > 1.0 else np.inf


@borrowing
def _member_beyond(modulus: float, reach: float, power: float) -> float:
    """Return a bound on ∫ min(v, reach) (modulus/v)^power dv from modulus on; power is 2 or more."""
    bound = reach * modulus / (power - 1.0)
    if power > 2.0:
        return min(bound, modulus * modulus / (power - 2.0))
    if modulus < reach < np.inf:
        bound = min(bound, float(modulus * modulus * (1.0 + np.log(reach / modulus))))
    return bound


@borrowing
def _partners(b: int, j: int, output: int, gates: GateTable, work: OutputWork) -> float:
    """Return the product of the bounds of a branch's members but j and the output's own."""
    product = 1.0
    for place in range(gates.member_start[b], gates.member_start[b + 1]):
        k = gates.member[place]
        if k not in (j, output):
            product *= work.bound[k]
    return product


@borrowing
def _without_gate(
    q: int, output: int, apart: int, sums: StateSums, gates: GateTable, work: OutputWork
) -> tuple[float, float, float]:
    """Bound the sums over the states of all active gates but one.

    Of all states, of those in which all but one of the features are on that a term needs, and of
    those with all of them.
    """
    a = work.tilted_rest[q]
    here = a
    for b in range(gates.branch_start[q], gates.branch_start[q + 1]):
        if work.others[b] > 0:
            here += branch_bound(b, output, gates, work)
    everything = min(1.0, (sums.none + sums.one + sums.two + sums.more) / here)
    if a == 0.0:
        return everything, everything, everything
    return (
        everything,
        min(everything, ((sums.two if apart == 2 else sums.one) + sums.more) / a),
        min(everything, sums.more / a),
    )


@borrowing
def _largest_member_tail(
    modulus: float, on: float, off: float, falls: float, extra: float, output: int, n_active: int,
    apart: int, sums: StateSums, gates: GateTable, work: OutputWork, reach: Floats,
) -> float:  # fmt: skip
    """Bound the largest tail of a derivative in the coupling of another feature.

    The transform of feature j is replaced by w u V'(u g_j); beside it two features have to be on,
    or one if its own coupling is not 0, so that it counts itself.
    """
    own_gate, own_branch = gates.gate_of[output], gates.branch_of[output]
    own_with = on * branch_bound(own_branch, output, gates, work)
    own_instead = 0.0
    for b in range(gates.branch_start[own_gate], gates.branch_start[own_gate + 1]):
        if b != own_branch and work.others[b] > 0:
            own_instead += off * branch_bound(b, output, gates, work)
    off_rest = off * work.tilted_rest[own_gate]
    everywhere = (1.0, sums.one + sums.more, sums.more)
    largest = 0.0
    for k in range(n_active + 1):
        q = work.active[k] if k < n_active else own_gate
        elsewhere = everywhere
        if q != own_gate:
            elsewhere = _without_gate(q, output, apart, sums, gates, work)
        for b in range(gates.branch_start[q], gates.branch_start[q + 1]):
            count = work.others[b]
            weight = work.weight[b]
            if count == 0 and b != own_branch:  # a part of the rest of its gate
                weight = 0.0
                if work.rest[q] > 0.0:
                    weight = work.probability[b] * work.tilted_rest[q] / work.rest[q]
            needed = 2 - count
            if q != own_gate:
                around = (
                    own_with * elsewhere[max(needed - work.others[own_branch], 0)]
                    + own_instead * elsewhere[max(needed - 1, 0)]
                    + off_rest * elsewhere[needed]
                )
            else:
                around = (on if b == own_branch else off) * elsewhere[needed]
            for place in range(gates.member_start[b], gates.member_start[b + 1]):
                j = gates.member[place]
                if j == output or weight == 0.0:
                    continue
                power = falls + extra * (apart if work.g[j] != 0.0 else apart + 1)
                here = _member_beyond(modulus, reach[1, j], power)
                partners = _partners(b, j, output, gates, work)
                largest = max(largest, weight * partners * around * here)
    return largest


@borrowing
def _tails(
    height: float,
    alpha: float,
    output: int,
    n_active: int,
    apart: int,
    law: ValueTransform,
    gates: GateTable,
    work: OutputWork,
    reach: Floats,
    with_gradient: bool,
) -> tuple[float, float]:
    """Bound what lies above a height on the line: of the loss, and of any derivative."""
    modulus = np.sqrt(alpha * alpha + height * height)
    farthest = 0.0
    for j in range(work.g.shape[0]):
        if work.g[j] != 0.0 and j != output:
            work.bound[j] = min(1.0, reach[0, j] / modulus)
            farthest = max(farthest, reach[0, j])
    sums = state_sums(output, n_active, apart, gates, work)
    off, on, own, falls = _kernel_bounds(modulus, alpha, work.g[output], law)
    # Once all transforms fall like 1/|u|, so do the two or three in each term, at least.
    extra = 1.0 if modulus > farthest else 0.0
    fall = apart + 1.0
    loss = _beyond(on * sums.on, modulus, falls + fall * extra)
    loss += _beyond(off * sums.off, modulus, 3.0 + fall * extra)
    stretch = modulus / (np.pi * height)  # dy is at most this, times π, times d|u|
    if not with_gradient:
        return stretch * loss, 0.0
    slope = _beyond(modulus * on * sums.on, modulus, falls - 1.0 + fall * extra)
    slope += _beyond(modulus * off * sums.off, modulus, 2.0 + fall * extra)
    largest = max(slope, _beyond(own * sums.on, modulus, falls - 1.0 + fall * extra))
    largest = max(
        largest,
        _largest_member_tail(
            modulus, on, off, falls, extra, output, n_active, apart, sums, gates, work, reach
        ),
    )
    return stretch * loss, stretch * largest


@borrowing
def _set_reach(
    alpha: float, output: int, law: ValueTransform, work: OutputWork, reach: Floats
) -> None:
    """Set the constants over |u| that bound V and V' of each feature, relative to V at real u."""
    for j in range(work.g.shape[0]):
        g = abs(work.g[j])
        for order in range(2):
            bound = decay(law, order, alpha * work.g[j])
            reach[order, j] = bound / (g * work.size[j]) if g > 0.0 else np.inf


@borrowing
def _height(
    alpha: float,
    log_scale: float,
    tolerance: float,
    gradient_tolerance: float,
    highest: float,
    output: int,
    n_active: int,
    apart: int,
    law: ValueTransform,
    gates: GateTable,
    work: OutputWork,
    reach: Floats,
) -> float:
    """Return the height above which no more than the tolerances lies; at most `highest`."""
    with_gradient = gradient_tolerance < np.inf
    scale = np.exp(log_scale)
    low, high = 0.0, abs(alpha)
    while high < highest:
        loss, slope = _tails(
            high, alpha, output, n_active, apart, law, gates, work, reach, with_gradient
        )
        if scale * loss <= tolerance and (not with_gradient or scale * slope <= gradient_tolerance):
            break
        low = high
        high *= 1.7
    if low > 0.0:
        for _ in range(3):
            middle = np.sqrt(low * high)
            loss, slope = _tails(
                middle, alpha, output, n_active, apart, law, gates, work, reach, with_gradient
            )
            if scale * loss <= tolerance and (
                not with_gradient or scale * slope <= gradient_tolerance
            ):
                high = middle
            else:
                low = middle
    return min(high, highest)


@borrowing
def _fill_table(
    sign: float,
    first: float,
    log_limit: float,
    log_gradient_limit: float,
    smooth: float,
    output: int,
    bias: float,
    n_active: int,
    apart: int,
    law: ValueTransform,
    gates: GateTable,
    work: OutputWork,
    table: Floats,
) -> None:
    """Fill a row (β, Λ loss, Λ slope, log E e^{βz}, log rounding / limit) of each entry.

    From the entry `_DOWN` on upwards until rounding is too large, then downwards until it is not.
    `smooth` is what is added in closed form and cancels.
    """
    n = work.g.shape[0]
    table[:, 4] = np.inf
    table[:, 3] = np.inf
    table[:, 1:3] = np.inf
    smallest = np.inf
    for j in range(n):
        if j != output and work.g[j] != 0.0:
            smallest = min(smallest, abs(work.g[j]))
    for direction in (1, -1):
        spent = 0
        entry = _DOWN if direction == 1 else _DOWN - 1
        while 0 <= entry < table.shape[0]:
            beta = sign * first * _STEP ** (entry - _DOWN)
            log_scale = tilt(beta, output, bias, n_active, law, gates, work)
            table[entry, 0] = beta
            reach = beta * work.g[output]
            if log_scale < np.inf and (abs(reach) if law.symmetric else reach) < LARGEST_EXPONENT:
                sums = state_sums(output, n_active, apart, gates, work)
                table[entry, 3] = log_scale
                table[entry, 1], table[entry, 2] = _log_bounds(
                    beta, log_scale, work.g[output], law, sums
                )
                off, on, _, _ = _kernel_bounds(abs(beta), beta, work.g[output], law)
                total = (off * sums.off + on * sums.on) * abs(beta)
                rounding = log_scale + np.log(max(EPSILON * (16.0 + n) * total, 1e-300))
                table[entry, 4] = max(
                    rounding - log_limit,
                    rounding + np.log(abs(beta)) - log_gradient_limit,
                    np.log(max(32.0 * EPSILON * smooth, 1e-300)) - log_limit,
                )
            if direction == 1:
                spent += table[entry, 4] > 0.0
                if spent >= _BEYOND or abs(beta) * smallest > 50.0:
                    break
            else:
                spent += table[entry, 4] <= 0.0
                if spent >= _BELOW + (0 if table[_DOWN, 4] <= 0.0 else 3):
                    break
            entry += direction


@borrowing
def _period(table: Floats, entry: int, column: int, log_limit: float) -> float:
    """Return the smallest P whose bound, for the line of an entry, is below the limit."""
    alpha = table[entry, 0]
    above = below = np.inf
    for other in range(table.shape[0]):
        if table[other, column] == np.inf:
            continue
        distance = abs(table[other, 0]) - abs(alpha)
        if distance == 0.0:
            continue
        # 2 for the geometric series over k, 2 for the two sides
        needed = max(table[other, column] - log_limit + np.log(4.0), np.log(2.0)) / abs(distance)
        if distance > 0.0:
            above = min(above, needed)
        else:
            below = min(below, needed)
    return max(above, below)


@borrowing
def _spacing_error(table: Floats, entry: int, column: int, period: float) -> float:
    """Return the bound on the error of a sum with nodes 2π/period apart."""
    above = below = np.inf
    for other in range(table.shape[0]):
        distance = abs(table[other, 0]) - abs(table[entry, 0])
        if table[other, column] == np.inf or distance == 0.0:
            continue
        exponent = -abs(distance) * period
        bound = np.exp(table[other, column] + exponent) / -np.expm1(exponent)
        if distance > 0.0:
            above = min(above, bound)
        else:
            below = min(below, bound)
    return above + below


@compiled
def choose_line(
    output: int,
    bias: float,
    n_active: int,
    apart: int,
    smooth: float,
    tolerance: float,
    gradient_tolerance: float,
    law: ValueTransform,
    gates: GateTable,
    work: OutputWork,
) -> Line:
    """Choose the line and the nodes that reach the tolerances with the least work.

    `apart` is that of `state_sums`: the states with more other features on are what is integrated.
    `smooth` is E (x_i − z)² over all states, which is added for α < 0. `gradient_tolerance` is
    infinite where no gradient is wanted.
    """
    n = work.g.shape[0]
    largest = 0.0
    for j in range(n):
        if j != output:
            largest = max(largest, abs(work.g[j]))
    first = 1.0 / largest
    tables = np.empty((2, _UP + _DOWN, 5))
    log_limit, log_gradient = np.log(0.25 * tolerance), np.log(0.25 * gradient_tolerance)
    cost = np.full((2, _UP + _DOWN), np.inf)
    periods = np.full((2, _UP + _DOWN), np.inf)
    safest_side = safest = -1
    lowest_rounding = np.inf
    for side in range(2):
        table = tables[side]
        table[:, 0] = 0.0
        _fill_table(
            1.0 if side == 0 else -1.0, first, log_limit, log_gradient, smooth if side == 1 else 0.0,
            output, bias, n_active, apart, law, gates, work, table,
        )  # fmt: skip
        for entry in range(table.shape[0]):
            if table[entry, 4] == np.inf:
                continue
            period = _period(table, entry, 1, log_limit)
            if gradient_tolerance < np.inf:
                period = max(period, _period(table, entry, 2, log_gradient))
            periods[side, entry] = period
            if table[entry, 4] <= 0.0:
                # The height that is needed grows like the fourth root of what falls off.
                cost[side, entry] = np.log(period) + 0.25 * table[entry, 3]
            elif table[entry, 4] < lowest_rounding and period < np.inf:
                lowest_rounding = table[entry, 4]
                safest_side, safest = side, entry
    if cost.min() == np.inf:
        cost[safest_side, safest] = 0.0
    best_side, best, best_nodes, best_height = 0, 0, np.inf, 0.0
    reach = np.empty((2, n))
    for _ in range(_CANDIDATES):
        place = int(np.argmin(cost))
        side, entry = place // cost.shape[1], place % cost.shape[1]
        if cost[side, entry] == np.inf:
            break
        cost[side, entry] = np.inf
        alpha = tables[side, entry, 0]
        log_scale = tilt(alpha, output, bias, n_active, law, gates, work)
        _set_reach(alpha, output, law, work, reach)
        highest = MAX_NODES * 2.0 * np.pi / periods[side, entry]
        height = _height(
            alpha, log_scale, 0.5 * tolerance, 0.5 * gradient_tolerance, highest, output, n_active,
            apart, law, gates, work, reach,
        )  # fmt: skip
        nodes = height * periods[side, entry] / (2.0 * np.pi)
        if nodes < best_nodes:
            best_side, best, best_nodes, best_height = side, entry, nodes, height
    alpha, period = tables[best_side, best, 0], periods[best_side, best]
    log_scale = tilt(alpha, output, bias, n_active, law, gates, work)
    _set_reach(alpha, output, law, work, reach)
    with_gradient = gradient_tolerance < np.inf
    tail, gradient_tail = _tails(
        best_height, alpha, output, n_active, apart, law, gates, work, reach, with_gradient
    )
    scale = np.exp(log_scale)
    return Line(
        alpha,
        2.0 * np.pi / period,
        int(np.ceil(best_nodes + 0.5)),
        scale * tail + _spacing_error(tables[best_side], best, 1, period),
        scale * gradient_tail + _spacing_error(tables[best_side], best, 2, period)
        if with_gradient
        else np.inf,
    )
