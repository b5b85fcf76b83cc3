r"""The sum over the nodes of a line: what an output loses with at least two other features on.

At a node u the recurrence of `output` runs over the gates with complex weights, a and c = s V(ug),
which gives R, O and Z. With A_q the weights of the own gate with q other members on,
X_0 = R, X_1 = R + O and X_2 = R + O + Z, the integrand is e^{ub} Σ_q X_q A_q κ, where κ is

    2/u³                      with the own feature off, and
    2 V(ug)/u³ − 2 V'(ug)/u²  with it on.

The derivatives in all couplings take a second pass, backwards over the gates, with the
derivatives of the sum in R, O and Z (the adjoint recurrence).

Nodes are taken in blocks, one arithmetic operation at a time on a whole block, so that it runs on
vectors. Along a block e^{ug} is a start times a table of rotations; starts are computed afresh
every few blocks.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..arguments import Floats
from ..compiled import compiled, reordered
from .gate_table import GateTable
from .output import OutputWork
from .plan import EPSILON, Line
from .transform import ValueTransform, transform

__all__ = ["BLOCK", "NodeSums", "NodeWork", "node_work", "sum_over_nodes"]

BLOCK = 32
_FRESH = 8  # blocks after which the starts are computed afresh

# Places of complex rows in NodeWork.state: O and R; the adjoints of Z, O, R and c; the kernel times
# e^{ub} with the own feature on and off; the weights of the own gate with the own feature on, and
# with another member on; scratch.
(
    _ONE,
    _MORE,
    _NONE_BAR,
    _ONE_BAR,
    _MORE_BAR,
    _C_BAR,
    _KERNEL_ON,
    _KERNEL_OFF,
    _WITH,
    _INSTEAD,
    _S,
) = range(0, 22 * BLOCK, 2 * BLOCK)


class NodeWork(NamedTuple):
    """Scratch memory: complex numbers of a block as its real parts, then its imaginary parts.

    Attributes
    ----------
    nodes : ndarray of shape (4 BLOCK,)
        u and 1/u.
    rotation : ndarray of shape (n, 2 BLOCK)
        e^{ikhg}.
    start : ndarray of shape (n, 4)
        e^{ug} at the first node of the block, and its ratio from block to block.
    values : ndarray of shape (n, 4 BLOCK)
        V(ug) and its derivative in g, both times the weight of the branch if that has one member.
    combined : ndarray of shape (gates or 1, 2 BLOCK)
        c of gates that have more than one member.
    partial : ndarray of shape (n or 1, 2 BLOCK)
        Products of the members of a branch that come before one.
    before : ndarray of shape (gates, 4 BLOCK)
        O and R before each gate.
    none : ndarray of shape (gates,)
        Z before each gate.
    state : ndarray of shape (22 BLOCK,)
    """

    nodes: Floats
    rotation: Floats
    start: Floats
    values: Floats
    combined: Floats
    partial: Floats
    before: Floats
    none: Floats
    state: Floats


class NodeSums(NamedTuple):
    """Sums over all nodes.

    Attributes
    ----------
    value, slope : float
        The loss, and its derivative in the bias.
    own : float
        The derivative in the own coupling.
    rounding : float
        Estimate of what rounding does to the loss.
    slope_rounding : float
        The same for derivatives.
    """

    value: float
    slope: float
    own: float
    rounding: float
    slope_rounding: float


def node_work(gates: GateTable) -> NodeWork:
    """Return scratch memory for a model with these gates."""
    n = len(gates.member)
    return NodeWork(
        np.empty(4 * BLOCK),
        np.empty((n, 2 * BLOCK)),
        np.empty((n, 4)),
        np.empty((n, 4 * BLOCK)),
        np.empty((1 if gates.plain else n, 2 * BLOCK)),
        np.empty((1 if gates.plain else n, 2 * BLOCK)),
        np.empty((n, 4 * BLOCK)),
        np.empty(n),
        np.empty(22 * BLOCK),
    )


@compiled
def _set_rotations(g: float, step: float, row: Floats) -> None:
    """Fill e^{ikhg} by squaring, which keeps errors at a few roundings."""
    row[0], row[BLOCK] = 1.0, 0.0
    row[1], row[BLOCK + 1] = np.cos(step * g), np.sin(step * g)
    for k in range(2, BLOCK):
        half = k // 2
        rest = k - half
        row[k] = row[half] * row[rest] - row[BLOCK + half] * row[BLOCK + rest]
        row[BLOCK + k] = row[half] * row[BLOCK + rest] + row[BLOCK + half] * row[rest]


@compiled
def _set_start(g: float, alpha: float, y: float, step: float, fresh: bool, start: Floats) -> None:
    if fresh:
        size = np.exp(alpha * g)
        start[0], start[1] = size * np.cos(y * g), size * np.sin(y * g)
        start[2], start[3] = np.cos(BLOCK * step * g), np.sin(BLOCK * step * g)
        return
    real = start[0] * start[2] - start[1] * start[3]
    start[1] = start[0] * start[3] + start[1] * start[2]
    start[0] = real


@reordered
def _fill_uniform(g: float, scale: float, start: Floats, rotation: Floats, nodes: Floats,
                  row: Floats) -> None:  # fmt: skip
    """V = (e^t − 1)/t and dV/dg = (e^t − V)/g, times the scale."""
    start_real, start_imag = start[0], start[1]
    over_g = 1.0 / g
    factor = scale * over_g
    for k in range(BLOCK):
        real = start_real * rotation[k] - start_imag * rotation[BLOCK + k]
        imag = (start_real * rotation[BLOCK + k] + start_imag * rotation[k]) * factor
        less = (real - 1.0) * factor
        v_real = less * nodes[2 * BLOCK + k] - imag * nodes[3 * BLOCK + k]
        v_imag = less * nodes[3 * BLOCK + k] + imag * nodes[2 * BLOCK + k]
        row[k] = v_real
        row[BLOCK + k] = v_imag
        row[2 * BLOCK + k] = real * factor - v_real * over_g
        row[3 * BLOCK + k] = imag - v_imag * over_g


@reordered
def _fill_general(
    g: float,
    scale: float,
    alpha: float,
    start: Floats,
    rotation: Floats,
    nodes: Floats,
    law: ValueTransform,
    row: Floats,
) -> None:
    """Combine e^t, 1 and e^{−t} with their polynomials in 1/t."""
    start_real, start_imag = start[0], start[1]
    over_g = 1.0 / g
    mirror = np.exp(-2.0 * alpha * g) if law.symmetric else 0.0  # e^{−t} over the conjugate of e^t
    for order in range(2):
        direct = law.direct[order]
        for k in range(BLOCK):
            e_real = start_real * rotation[k] - start_imag * rotation[BLOCK + k]
            e_imag = start_real * rotation[BLOCK + k] + start_imag * rotation[k]
            w_real, w_imag = nodes[2 * BLOCK + k] * over_g, nodes[3 * BLOCK + k] * over_g
            real = imag = 0.0
            for power in range(direct.shape[1] - 1, -1, -1):
                next_real = real * w_real - imag * w_imag
                imag = real * w_imag + imag * w_real
                real = next_real
                both = direct[0, power] + direct[2, power] * mirror
                real += both * e_real + direct[1, power]
                imag += (direct[0, power] - direct[2, power] * mirror) * e_imag
            if order == 1:
                next_real = real * nodes[k] - imag * nodes[BLOCK + k]
                imag = real * nodes[BLOCK + k] + imag * nodes[k]
                real = next_real
            row[2 * order * BLOCK + k] = scale * real
            row[(2 * order + 1) * BLOCK + k] = scale * imag


@reordered
def _fill_series(
    g: float, scale: float, lanes: int, nodes: Floats, law: ValueTransform, row: Floats
) -> None:
    """Sum the power series for the first nodes, where the other forms lose digits."""
    largest = abs(g) * np.hypot(nodes[lanes - 1], nodes[BLOCK + lanes - 1])
    terms, size = 2, largest
    while terms < law.series.shape[1] and size > 1e-18:
        size *= largest / terms
        terms += 1
    for order in range(2):
        series = law.series[order]
        for k in range(lanes):
            t_real, t_imag = nodes[k] * g, nodes[BLOCK + k] * g
            real = imag = 0.0
            for term in range(terms - 1, -1, -1):
                next_real = real * t_real - imag * t_imag + series[term]
                imag = real * t_imag + imag * t_real
                real = next_real
            if order == 1:
                next_real = real * nodes[k] - imag * nodes[BLOCK + k]
                imag = real * nodes[BLOCK + k] + imag * nodes[k]
                real = next_real
            row[2 * order * BLOCK + k] = scale * real
            row[(2 * order + 1) * BLOCK + k] = scale * imag


@compiled
def _fill_member(
    g: float,
    scale: float,
    alpha: float,
    start: Floats,
    rotation: Floats,
    nodes: Floats,
    law: ValueTransform,
    row: Floats,
) -> None:
    """Fill a row of values: V(ug) and its derivative in g, times the scale."""
    lanes = 0
    while lanes < BLOCK and abs(g) * np.hypot(nodes[lanes], nodes[BLOCK + lanes]) < law.radius:
        lanes += 1
    if lanes < BLOCK:
        if law.uniform:
            _fill_uniform(g, scale, start, rotation, nodes, row)
        else:
            _fill_general(g, scale, alpha, start, rotation, nodes, law, row)
    if lanes > 0:
        _fill_series(g, scale, lanes, nodes, law, row)


@reordered
def _forward(a: float, extra: float, none: float, c: Floats, state: Floats, before: Floats) -> None:
    """Take one gate into O and R: `extra` is Z if more than one of its features is on, else 0.

    `none` is Z if exactly one is on, else 0.
    """
    for k in range(BLOCK):
        one_real, one_imag = state[_ONE + k], state[_ONE + BLOCK + k]
        more_real, more_imag = state[_MORE + k], state[_MORE + BLOCK + k]
        before[k] = one_real
        before[BLOCK + k] = one_imag
        before[2 * BLOCK + k] = more_real
        before[3 * BLOCK + k] = more_imag
        c_real, c_imag = c[k], c[BLOCK + k]
        both_real = more_real + one_real + extra
        both_imag = more_imag + one_imag
        state[_MORE + k] = a * more_real + (both_real * c_real - both_imag * c_imag)
        state[_MORE + BLOCK + k] = a * more_imag + (both_real * c_imag + both_imag * c_real)
        state[_ONE + k] = a * one_real + none * c_real
        state[_ONE + BLOCK + k] = a * one_imag + none * c_imag


@reordered
def _backward(
    a: float, extra: float, none: float, c: Floats, before: Floats, state: Floats, slope: Floats
) -> float:
    """Take one gate out of the adjoints; return the sum of Re(c̄ · slope) over the block."""
    total = 0.0
    for k in range(BLOCK):
        more_real, more_imag = state[_MORE_BAR + k], state[_MORE_BAR + BLOCK + k]
        one_real, one_imag = state[_ONE_BAR + k], state[_ONE_BAR + BLOCK + k]
        c_real, c_imag = c[k], c[BLOCK + k]
        both_real = before[2 * BLOCK + k] + before[k] + extra
        both_imag = before[3 * BLOCK + k] + before[BLOCK + k]
        bar_real = more_real * both_real - more_imag * both_imag + none * one_real
        bar_imag = more_real * both_imag + more_imag * both_real + none * one_imag
        state[_C_BAR + k] = bar_real
        state[_C_BAR + BLOCK + k] = bar_imag
        total += bar_real * slope[2 * BLOCK + k] - bar_imag * slope[3 * BLOCK + k]
        product_real = more_real * c_real - more_imag * c_imag
        product_imag = more_real * c_imag + more_imag * c_real
        state[_MORE_BAR + k] = a * more_real + product_real
        state[_MORE_BAR + BLOCK + k] = a * more_imag + product_imag
        state[_ONE_BAR + k] = a * one_real + product_real
        state[_ONE_BAR + BLOCK + k] = a * one_imag + product_imag
    return total


@reordered
def _backward_none(a: float, bar: Floats, c: Floats, none_bar: Floats) -> None:
    """Take one gate out of the adjoint of Z; `bar` is that of what Z times c goes into."""
    for k in range(BLOCK):
        real = a * none_bar[k] + (bar[k] * c[k] - bar[BLOCK + k] * c[BLOCK + k])
        imag = a * none_bar[BLOCK + k] + (bar[k] * c[BLOCK + k] + bar[BLOCK + k] * c[k])
        none_bar[k] = real
        none_bar[BLOCK + k] = imag


@reordered
def _rest_bar(none: float, before: Floats, state: Floats, out: Floats) -> None:
    """Write the adjoint of a: Z̄ Z + Ō O + R̄ R."""
    for k in range(BLOCK):
        one_real, one_imag = before[k], before[BLOCK + k]
        more_real, more_imag = before[2 * BLOCK + k], before[3 * BLOCK + k]
        out[k] = (
            none * state[_NONE_BAR + k]
            + (one_real * state[_ONE_BAR + k] - one_imag * state[_ONE_BAR + BLOCK + k])
            + (more_real * state[_MORE_BAR + k] - more_imag * state[_MORE_BAR + BLOCK + k])
        )
        out[BLOCK + k] = (
            none * state[_NONE_BAR + BLOCK + k]
            + (one_real * state[_ONE_BAR + BLOCK + k] + one_imag * state[_ONE_BAR + k])
            + (more_real * state[_MORE_BAR + BLOCK + k] + more_imag * state[_MORE_BAR + k])
        )


@reordered
def _real_dot(bar: Floats, slope: Floats) -> float:
    """Sum Re(bar · slope), the slope being the second half of a row of values."""
    total = 0.0
    for k in range(BLOCK):
        total += bar[k] * slope[2 * BLOCK + k] - bar[BLOCK + k] * slope[3 * BLOCK + k]
    return total


@reordered
def _add(row: Floats, out: Floats) -> None:
    for k in range(2 * BLOCK):
        out[k] += row[k]


@reordered
def _multiply(row: Floats, out: Floats) -> None:
    for k in range(BLOCK):
        real = out[k] * row[k] - out[BLOCK + k] * row[BLOCK + k]
        out[BLOCK + k] = out[k] * row[BLOCK + k] + out[BLOCK + k] * row[k]
        out[k] = real


@compiled
def _set_constant(value: float, out: Floats) -> None:
    out[:BLOCK] = value
    out[BLOCK : 2 * BLOCK] = 0.0


@compiled
def _has_own_row(b: int, gates: GateTable) -> bool:
    """Whether the weight of a branch is in the row of its only member."""
    return bool(gates.member_start[b + 1] - gates.member_start[b] == 1)


@compiled
def _branch_product(b: int, output: int, gates: GateTable, work: OutputWork, nodes: NodeWork,
                    out: Floats) -> None:  # fmt: skip
    """Write the weight of a branch times the transforms of its members, without the own feature."""
    _set_constant(work.weight[b], out)
    for place in range(gates.member_start[b], gates.member_start[b + 1]):
        j = gates.member[place]
        if j != output:
            nodes.partial[j, :] = out
            _multiply(nodes.values[j], out)


@compiled
def _branch_gradient(
    b: int, output: int, gates: GateTable, nodes: NodeWork, bar: Floats, gradient: Floats
) -> None:
    """Add to the derivatives in the couplings of a branch; `bar` is the adjoint of its product."""
    behind, both = np.empty(2 * BLOCK), np.empty(2 * BLOCK)
    behind[:] = bar
    for place in range(gates.member_start[b + 1] - 1, gates.member_start[b] - 1, -1):
        j = gates.member[place]
        if j != output:
            both[:] = behind
            _multiply(nodes.partial[j], both)
            gradient[j] += _real_dot(both, nodes.values[j])
            _multiply(nodes.values[j], behind)


@compiled
def _gate_weight(q: int, output: int, gates: GateTable, work: OutputWork, nodes: NodeWork,
                 out: Floats) -> None:  # fmt: skip
    """Write the sum over the branches of a gate that reach the output, other than its own."""
    _set_constant(0.0, out)
    product = nodes.state[_S : _S + 2 * BLOCK]
    for b in range(gates.branch_start[q], gates.branch_start[q + 1]):
        if work.others[b] == 0 or b == gates.branch_of[output]:
            continue
        if _has_own_row(b, gates):
            _add(nodes.values[gates.member[gates.member_start[b]]], out)
        else:
            _branch_product(b, output, gates, work, nodes, product)
            _add(product, out)


@compiled
def _gate_gradient(q: int, output: int, gates: GateTable, work: OutputWork, nodes: NodeWork,
                   bar: Floats, rest_bar: Floats, gradient: Floats) -> None:  # fmt: skip
    """Add to the derivatives in the couplings of all branches of a gate but the output's own."""
    for b in range(gates.branch_start[q], gates.branch_start[q + 1]):
        if b == gates.branch_of[output] or work.probability[b] == 0.0:
            continue
        if work.others[b] > 0 and not _has_own_row(b, gates):
            _branch_gradient(b, output, gates, nodes, bar, gradient)
            continue
        for place in range(gates.member_start[b], gates.member_start[b + 1]):
            j = gates.member[place]
            gradient[j] += _real_dot(bar if work.others[b] > 0 else rest_bar, nodes.values[j])


@compiled
def _own_kernels(
    first: int, nodes_left: int, line: Line, g: float, bias: float, factor: float,
    law: ValueTransform, at: Floats, state: Floats, own: Floats,
) -> None:  # fmt: skip
    """Write the kernels with the own feature on and off, and the derivative in g of the first."""
    for k in range(BLOCK):
        u = complex(at[k], at[BLOCK + k])
        t = u * g
        if law.uniform and abs(t) >= law.radius:
            power = np.exp(t)
            v = (power - 1.0) / t
            v1 = (power - v) / t
            v2 = (power - 2.0 * v1) / t
        else:
            v, v1, v2 = transform(law, 0, t), transform(law, 1, t), transform(law, 2, t)
        phase = u.imag * bias
        weight = complex(np.cos(phase), np.sin(phase)) * (factor if k < nodes_left else 0.0)
        weight *= 2.0 / (u * u)
        off, on, own_slope = weight / u, weight * (v / u - v1), weight * (v1 - u * v2)
        state[_KERNEL_OFF + k], state[_KERNEL_OFF + BLOCK + k] = off.real, off.imag
        state[_KERNEL_ON + k], state[_KERNEL_ON + BLOCK + k] = on.real, on.imag
        own[k], own[BLOCK + k] = own_slope.real, own_slope.imag


@compiled
def _row(state: Floats, place: int, k: int) -> complex:
    return complex(state[place + k], state[place + BLOCK + k])


@compiled
def _set_row(value: complex, state: Floats, place: int, k: int) -> None:
    state[place + k], state[place + BLOCK + k] = value.real, value.imag


@compiled
def _own_gate(
    count: int, rest: float, none: float, reach: float, extent: float, at: Floats, state: Floats,
    own: Floats, sums: Floats,
) -> None:  # fmt: skip
    """Add the block to `sums` (value, slope, own, rounding, its slope) and start the adjoints."""
    for k in range(BLOCK):
        u = complex(at[k], at[BLOCK + k])
        one, more = _row(state, _ONE, k), _row(state, _MORE, k)
        on, off = _row(state, _KERNEL_ON, k), _row(state, _KERNEL_OFF, k)
        with_own, instead = _row(state, _WITH, k), _row(state, _INSTEAD, k)
        others = more
        if count > 0:
            others += one
        if count > 1:
            others += none
        on_sum = with_own * others
        term = on * on_sum + off * (rest * more + instead * (more + one))
        sums[0] += term.real
        sums[1] += (u * term).real
        sums[2] += (_row(own, 0, k) * on_sum).real
        size = abs(term) * (extent + reach * abs(u))
        sums[3] += size
        sums[4] += size * abs(u)
        _set_row(on * with_own + off * (rest + instead), state, _MORE_BAR, k)
        _set_row((on * with_own if count > 0 else 0.0) + off * instead, state, _ONE_BAR, k)
        _set_row(on * with_own if count > 1 else 0.0 * on, state, _NONE_BAR, k)
        # From here on the kernels stand for the adjoints of the own gate's weights.
        _set_row(on * others, state, _KERNEL_ON, k)
        _set_row(off * (more + one), state, _KERNEL_OFF, k)
        _set_row(off * more, state, _S, k)


@compiled
def _is_reached(j: int, output: int, gates: GateTable, work: OutputWork, in_use: Floats) -> bool:
    return j != output and in_use[gates.gate_of[j]] > 0.0


@compiled
def _member_scale(j: int, output: int, gates: GateTable, work: OutputWork) -> float:
    """Return what the transform of a member is multiplied by in its row."""
    b, q = gates.branch_of[j], gates.gate_of[j]
    if work.others[b] == 0 and b != gates.branch_of[output]:  # a part of the rest of its gate
        share = work.tilted_rest[q] / work.rest[q] if work.rest[q] > 0.0 else 0.0
        return float(work.probability[b] * share)
    return float((work.weight[b] if _has_own_row(b, gates) else 1.0) / work.size[j])


@compiled
def sum_over_nodes(
    output: int,
    bias: float,
    n_active: int,
    line: Line,
    log_scale: float,
    with_gradient: bool,
    law: ValueTransform,
    gates: GateTable,
    work: OutputWork,
    nodes: NodeWork,
    gradient: Floats,
) -> NodeSums:
    """Sum the integrand of one output and add to the derivatives in the couplings.

    `work` has the weights tilted by ``line.alpha``, and `log_scale` is what `tilt` returned.
    """
    n = work.g.shape[0]
    own_gate, own_branch = gates.gate_of[output], gates.branch_of[output]
    in_use = np.zeros(gates.can_be_off.shape[0])
    in_use[work.active[:n_active]] = 1.0
    in_use[own_gate] = 1.0
    scale = np.empty(n)
    reach = abs(bias) + work.g[output]
    for j in range(n):
        if _is_reached(j, output, gates, work, in_use):
            scale[j] = _member_scale(j, output, gates, work)
            if work.g[j] != 0.0:
                _set_rotations(work.g[j], line.step, nodes.rotation[j])
            reach = max(reach, abs(work.g[j]))
    state, at = nodes.state, nodes.nodes
    own, sums, scratch = np.empty(2 * BLOCK), np.zeros(5), np.empty(2 * BLOCK)
    factor = np.exp(log_scale) * line.step / np.pi
    for block in range((line.nodes + BLOCK - 1) // BLOCK):
        first = block * BLOCK
        y = (first + 0.5) * line.step
        for k in range(BLOCK):
            at[k], at[BLOCK + k] = line.alpha, (first + k + 0.5) * line.step
            inverse = 1.0 / (at[k] * at[k] + at[BLOCK + k] * at[BLOCK + k])
            at[2 * BLOCK + k], at[3 * BLOCK + k] = at[k] * inverse, -at[BLOCK + k] * inverse
        for j in range(n):
            if _is_reached(j, output, gates, work, in_use):
                _set_start(work.g[j], line.alpha, y, line.step, block % _FRESH == 0, nodes.start[j])
                _fill_member(
                    work.g[j], scale[j], line.alpha, nodes.start[j], nodes.rotation[j], at, law,
                    nodes.values[j],
                )  # fmt: skip
        state[: 4 * BLOCK] = 0.0
        none = 1.0
        for k in range(n_active):
            q = work.active[k]
            b = gates.branch_start[q]
            nodes.none[k] = none
            plain = gates.plain or (gates.branch_start[q + 1] == b + 1 and _has_own_row(b, gates))
            if not plain:
                _gate_weight(q, output, gates, work, nodes, nodes.combined[k])
            c = nodes.values[gates.member[gates.member_start[b]]] if plain else nodes.combined[k]
            several = work.others[b] > 1
            _forward(
                work.tilted_rest[q], none if several else 0.0, 0.0 if several else none, c, state,
                nodes.before[k],
            )  # fmt: skip
            none *= work.tilted_rest[q]
        _own_kernels(
            first, line.nodes - first, line, work.g[output], bias, factor, law, at, state, own
        )
        _branch_product(own_branch, output, gates, work, nodes, state[_WITH : _WITH + 2 * BLOCK])
        if gates.plain:
            _set_constant(0.0, state[_INSTEAD : _INSTEAD + 2 * BLOCK])
        else:
            _gate_weight(own_gate, output, gates, work, nodes,
                         state[_INSTEAD : _INSTEAD + 2 * BLOCK])  # fmt: skip
        _own_gate(
            work.others[own_branch], work.tilted_rest[own_gate], none, reach, 16.0 + n, at, state,
            own, sums,
        )  # fmt: skip
        if not with_gradient:
            continue
        if not gates.plain:
            _branch_gradient(own_branch, output, gates, nodes,
                             state[_KERNEL_ON : _KERNEL_ON + 2 * BLOCK], gradient)  # fmt: skip
            _gate_gradient(
                own_gate, output, gates, work, nodes,
                state[_KERNEL_OFF : _KERNEL_OFF + 2 * BLOCK], state[_S : _S + 2 * BLOCK], gradient,
            )  # fmt: skip
        for k in range(n_active - 1, -1, -1):
            q = work.active[k]
            b = gates.branch_start[q]
            a, none = work.tilted_rest[q], nodes.none[k]
            plain = gates.plain or (gates.branch_start[q + 1] == b + 1 and _has_own_row(b, gates))
            j = gates.member[gates.member_start[b]]
            c = nodes.values[j] if plain else nodes.combined[k]
            several = work.others[b] > 1
            if not gates.plain:
                _rest_bar(none, nodes.before[k], state, scratch)
                place = _MORE_BAR if several else _ONE_BAR
                _backward_none(a, state[place : place + 2 * BLOCK], c,
                               state[_NONE_BAR : _NONE_BAR + 2 * BLOCK])  # fmt: skip
            total = _backward(
                a, none if several else 0.0, 0.0 if several else none, c, nodes.before[k], state,
                nodes.values[j],
            )  # fmt: skip
            if plain:
                gradient[j] += total
            else:
                _gate_gradient(q, output, gates, work, nodes,
                               state[_C_BAR : _C_BAR + 2 * BLOCK], scratch, gradient)  # fmt: skip
    return NodeSums(sums[0], sums[1], sums[2], EPSILON * sums[3], EPSILON * sums[4])
