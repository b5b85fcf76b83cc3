r"""The sum over the nodes of a line: what an output loses with at least two other features on.

At a node u the recurrence of `output` runs over the gates with complex weights, a and c = s V(ug),
which gives R, O and Z. With A_q the weights of the own gate with q other members on,
X_0 = R, X_1 = R + O and X_2 = R + O + Z, the integrand is e^{ub} Σ_q X_q A_q κ, where κ is::

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

from ...arguments import Floats
from ...compiled import borrowing, compiled, reordered
from .gate_table import GateTable
from .output import OutputWork
from .plan import EPSILON, Line
from .transform import ValueTransform, transform

__all__ = ["BLOCK", "NodeSums", "NodeWork", "node_work", "sum_over_nodes"]

BLOCK = 32
_FRESH = 8  # blocks after which the starts are computed afresh

# Places of complex rows in NodeWork.state: O, T and R; the adjoints of Z, O, T, R and c; the kernel
# times e^{ub} with the own feature on and off; the weights of the own gate with the own feature on,
# and with another member on; the derivative in g of the former kernel; the adjoint of a; scratch.
_ONE, _TWO, _MORE = 0 * BLOCK, 2 * BLOCK, 4 * BLOCK
_NONE_BAR, _ONE_BAR, _TWO_BAR, _MORE_BAR = 6 * BLOCK, 8 * BLOCK, 10 * BLOCK, 12 * BLOCK
_C_BAR, _KERNEL_ON, _KERNEL_OFF = 14 * BLOCK, 16 * BLOCK, 18 * BLOCK
_WITH, _INSTEAD, _S = 20 * BLOCK, 22 * BLOCK, 24 * BLOCK
_OWN, _REST, _BEHIND, _BOTH, _ROWS = (k * BLOCK for k in range(26, 36, 2))


class NodeWork(NamedTuple):
    """Scratch memory: complex numbers of a block as its real parts, then its imaginary parts.

    Attributes
    ----------
    nodes : ndarray of shape (4 BLOCK,)
        u and 1/u.
    rotation : ndarray of shape (n + 1, 2 BLOCK)
        e^{ikhg}, and e^{ikhb}.
    start : ndarray of shape (n + 1, 4)
        e^{ug} at the first node of the block, and its ratio from block to block.
    values : ndarray of shape (n or 2 n, 4 BLOCK)
        V(ug) and its derivative in g, both times the weight of the branch if that has one member;
        then c of gates that have more than one.
    partial : ndarray of shape (n or 1, 2 BLOCK)
        Products of the members of a branch that come before one.
    before : ndarray of shape (gates, 6 BLOCK)
        O, R and T before each gate.
    none : ndarray of shape (gates,)
        Z before each gate.
    state : ndarray of shape (34 BLOCK,)
    """

    nodes: Floats
    rotation: Floats
    start: Floats
    values: Floats
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
        np.empty((n + 1, 2 * BLOCK)),
        np.empty((n + 1, 4)),
        np.empty((n if gates.plain else 2 * n, 4 * BLOCK)),
        np.empty((1 if gates.plain else n, 2 * BLOCK)),
        np.empty((n, 6 * BLOCK)),
        np.empty(n),
        np.empty(_ROWS),
    )


@borrowing
def _set_rotations(g: float, step: float, row: Floats) -> None:
    """Fill e^{ikhg} by squaring, which keeps errors at a few roundings."""
    row[0], row[BLOCK] = 1.0, 0.0
    row[1], row[BLOCK + 1] = np.cos(step * g), np.sin(step * g)
    for k in range(2, BLOCK):
        half = k // 2
        rest = k - half
        row[k] = row[half] * row[rest] - row[BLOCK + half] * row[BLOCK + rest]
        row[BLOCK + k] = row[half] * row[BLOCK + rest] + row[BLOCK + half] * row[rest]


@borrowing
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


@borrowing
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
def _forward_apart(a: float, none: float, c: Floats, state: Floats, before: Floats) -> None:
    """Take the gate of one feature into O, T and R."""
    for k in range(BLOCK):
        one_real, one_imag = state[_ONE + k], state[_ONE + BLOCK + k]
        two_real, two_imag = state[_TWO + k], state[_TWO + BLOCK + k]
        more_real, more_imag = state[_MORE + k], state[_MORE + BLOCK + k]
        before[k] = one_real
        before[BLOCK + k] = one_imag
        before[2 * BLOCK + k] = more_real
        before[3 * BLOCK + k] = more_imag
        before[4 * BLOCK + k] = two_real
        before[5 * BLOCK + k] = two_imag
        c_real, c_imag = c[k], c[BLOCK + k]
        both_real = more_real + two_real
        both_imag = more_imag + two_imag
        state[_MORE + k] = a * more_real + (both_real * c_real - both_imag * c_imag)
        state[_MORE + BLOCK + k] = a * more_imag + (both_real * c_imag + both_imag * c_real)
        state[_TWO + k] = a * two_real + (one_real * c_real - one_imag * c_imag)
        state[_TWO + BLOCK + k] = a * two_imag + (one_real * c_imag + one_imag * c_real)
        state[_ONE + k] = a * one_real + none * c_real
        state[_ONE + BLOCK + k] = a * one_imag + none * c_imag


@reordered
def _backward_apart(
    a: float, none: float, c: Floats, before: Floats, state: Floats, slope: Floats
) -> float:
    """Take the gate of one feature out of the adjoints; return the sum of Re(c̄ · slope)."""
    total = 0.0
    for k in range(BLOCK):
        more_real, more_imag = state[_MORE_BAR + k], state[_MORE_BAR + BLOCK + k]
        two_real, two_imag = state[_TWO_BAR + k], state[_TWO_BAR + BLOCK + k]
        one_real, one_imag = state[_ONE_BAR + k], state[_ONE_BAR + BLOCK + k]
        c_real, c_imag = c[k], c[BLOCK + k]
        both_real = before[2 * BLOCK + k] + before[4 * BLOCK + k]
        both_imag = before[3 * BLOCK + k] + before[5 * BLOCK + k]
        bar_real = more_real * both_real - more_imag * both_imag + none * one_real
        bar_imag = more_real * both_imag + more_imag * both_real + none * one_imag
        bar_real += two_real * before[k] - two_imag * before[BLOCK + k]
        bar_imag += two_real * before[BLOCK + k] + two_imag * before[k]
        total += bar_real * slope[2 * BLOCK + k] - bar_imag * slope[3 * BLOCK + k]
        product_real = more_real * c_real - more_imag * c_imag
        product_imag = more_real * c_imag + more_imag * c_real
        state[_ONE_BAR + k] = a * one_real + (two_real * c_real - two_imag * c_imag)
        state[_ONE_BAR + BLOCK + k] = a * one_imag + (two_real * c_imag + two_imag * c_real)
        state[_TWO_BAR + k] = a * two_real + product_real
        state[_TWO_BAR + BLOCK + k] = a * two_imag + product_imag
        state[_MORE_BAR + k] = a * more_real + product_real
        state[_MORE_BAR + BLOCK + k] = a * more_imag + product_imag
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


@borrowing
def _copy(row: Floats, out: Floats) -> None:
    for k in range(2 * BLOCK):
        out[k] = row[k]


@reordered
def _multiply(row: Floats, out: Floats) -> None:
    for k in range(BLOCK):
        real = out[k] * row[k] - out[BLOCK + k] * row[BLOCK + k]
        out[BLOCK + k] = out[k] * row[BLOCK + k] + out[BLOCK + k] * row[k]
        out[k] = real


@borrowing
def _set_constant(value: float, out: Floats) -> None:
    out[:BLOCK] = value
    out[BLOCK : 2 * BLOCK] = 0.0


@borrowing
def _has_own_row(b: int, gates: GateTable) -> bool:
    """Whether the weight of a branch is in the row of its only member."""
    return bool(gates.member_start[b + 1] - gates.member_start[b] == 1)


@borrowing
def _branch_product(b: int, output: int, gates: GateTable, work: OutputWork, nodes: NodeWork,
                    out: Floats) -> None:  # fmt: skip
    """Write the weight of a branch times the transforms of its members, without the own feature."""
    _set_constant(work.weight[b], out)
    for place in range(gates.member_start[b], gates.member_start[b + 1]):
        j = gates.member[place]
        if j != output:
            _copy(out, nodes.partial[j])
            _multiply(nodes.values[j], out)


@borrowing
def _branch_gradient(
    b: int, output: int, gates: GateTable, nodes: NodeWork, bar: Floats, gradient: Floats
) -> None:
    """Add to the derivatives in the couplings of a branch; `bar` is the adjoint of its product."""
    behind = nodes.state[_BEHIND : _BEHIND + 2 * BLOCK]
    both = nodes.state[_BOTH : _BOTH + 2 * BLOCK]
    _copy(bar, behind)
    for place in range(gates.member_start[b + 1] - 1, gates.member_start[b] - 1, -1):
        j = gates.member[place]
        if j != output:
            _copy(behind, both)
            _multiply(nodes.partial[j], both)
            gradient[j] += _real_dot(both, nodes.values[j])
            _multiply(nodes.values[j], behind)


@borrowing
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


@borrowing
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


@borrowing
def _own_kernels(
    nodes_left: int, g: float, factor: float, law: ValueTransform, nodes: NodeWork, output: int,
    own: Floats,
) -> None:  # fmt: skip
    """Write the kernels with the own feature on and off, and the derivative in g of the first."""
    at, state = nodes.nodes, nodes.state
    power_row, phase_row = nodes.rotation[output], nodes.rotation[nodes.rotation.shape[0] - 1]
    power_start = complex(nodes.start[output, 0], nodes.start[output, 1])
    phase_start = factor * complex(
        nodes.start[nodes.start.shape[0] - 1, 0], nodes.start[nodes.start.shape[0] - 1, 1]
    )
    for k in range(BLOCK):
        u = complex(at[k], at[BLOCK + k])
        inverse = complex(at[2 * BLOCK + k], at[3 * BLOCK + k])
        t = u * g
        if law.uniform and t.real * t.real + t.imag * t.imag >= law.radius * law.radius:
            power = power_start * complex(power_row[k], power_row[BLOCK + k])
            over = inverse / g
            v = (power - 1.0) * over
            v1 = (power - v) * over
            v2 = (power - 2.0 * v1) * over
        else:
            v, v1, v2 = transform(law, 0, t), transform(law, 1, t), transform(law, 2, t)
        weight = phase_start * complex(phase_row[k], phase_row[BLOCK + k])
        weight *= 2.0 * inverse * inverse * (1.0 if k < nodes_left else 0.0)
        _set_row(weight * inverse, state, _KERNEL_OFF, k)
        _set_row(weight * (v * inverse - v1), state, _KERNEL_ON, k)
        _set_row(weight * (v1 - u * v2), own, 0, k)


@borrowing
def _row(state: Floats, place: int, k: int) -> complex:
    return complex(state[place + k], state[place + BLOCK + k])


@borrowing
def _set_row(value: complex, state: Floats, place: int, k: int) -> None:
    state[place + k], state[place + BLOCK + k] = value.real, value.imag


@borrowing
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


@borrowing
def _is_reached(j: int, output: int, gates: GateTable, in_use: Floats) -> bool:
    return j != output and in_use[gates.gate_of[j]] > 0.0


@borrowing
def _member_scale(j: int, output: int, gates: GateTable, work: OutputWork) -> float:
    """Return what the transform of a member is multiplied by in its row."""
    b, q = gates.branch_of[j], gates.gate_of[j]
    if work.others[b] == 0 and b != gates.branch_of[output]:  # a part of the rest of its gate
        share = work.tilted_rest[q] / work.rest[q] if work.rest[q] > 0.0 else 0.0
        return float(work.probability[b] * share)
    return float((work.weight[b] if _has_own_row(b, gates) else 1.0) / work.size[j])


@borrowing
def _set_scales(
    output: int, bias: float, step: float, in_use: Floats, gates: GateTable, work: OutputWork,
    nodes: NodeWork, scale: Floats,
) -> None:  # fmt: skip
    """Set what does not change from block to block."""
    _set_rotations(work.g[output], step, nodes.rotation[output])
    _set_rotations(bias, step, nodes.rotation[scale.shape[0]])
    for j in range(scale.shape[0]):
        if _is_reached(j, output, gates, in_use):
            scale[j] = _member_scale(j, output, gates, work)
            if work.g[j] != 0.0:
                _set_rotations(work.g[j], step, nodes.rotation[j])


@borrowing
def _fill_block(
    block: int, output: int, bias: float, line: Line, scale: Floats, in_use: Floats, law: ValueTransform,
    gates: GateTable, work: OutputWork, nodes: NodeWork,
) -> None:  # fmt: skip
    """Fill the nodes of a block, and the transforms of all features that reach the output."""
    at = nodes.nodes
    for k in range(BLOCK):
        y = (block * BLOCK + k + 0.5) * line.step
        inverse = 1.0 / (line.alpha * line.alpha + y * y)
        at[k], at[BLOCK + k] = line.alpha, y
        at[2 * BLOCK + k], at[3 * BLOCK + k] = line.alpha * inverse, -y * inverse
    y, fresh, n = at[BLOCK], block % _FRESH == 0, scale.shape[0]
    _set_start(work.g[output], line.alpha, y, line.step, fresh, nodes.start[output])
    _set_start(bias, 0.0, y, line.step, fresh, nodes.start[n])
    for j in range(n):
        if _is_reached(j, output, gates, in_use):
            start = nodes.start[j]
            _set_start(work.g[j], line.alpha, y, line.step, fresh, start)
            _fill_member(
                work.g[j], scale[j], line.alpha, start, nodes.rotation[j], at, law, nodes.values[j]
            )


@borrowing
def _is_single(q: int, gates: GateTable) -> bool:
    """Whether a gate has one branch with one member, whose row is then that of the gate."""
    b = gates.branch_start[q]
    return gates.plain or (gates.branch_start[q + 1] == b + 1 and _has_own_row(b, gates))


@borrowing
def _gate_row(k: int, q: int, gates: GateTable) -> int:
    """Return the row of values that has c of a gate, the k-th of the active ones."""
    if _is_single(q, gates):
        return int(gates.member[gates.member_start[gates.branch_start[q]]])
    return int(gates.member.shape[0] + k)


@borrowing
def _forward_gates(
    output: int, n_active: int, apart: int, gates: GateTable, work: OutputWork, nodes: NodeWork
) -> float:
    """Run the recurrence over all active gates; return Z."""
    state = nodes.state
    for k in range(_ROWS):
        state[k] = 0.0
    none = 1.0
    for k in range(n_active):
        q = work.active[k]
        a = work.tilted_rest[q]
        nodes.none[k] = none
        if not _is_single(q, gates):
            _gate_weight(q, output, gates, work, nodes, nodes.values[_gate_row(k, q, gates)])
        c, before = nodes.values[_gate_row(k, q, gates)], nodes.before[k]
        if apart == 2:
            _forward_apart(a, none, c, state, before)
        elif work.others[gates.branch_start[q]] > 1:
            _forward(a, none, 0.0, c, state, before)
        else:
            _forward(a, 0.0, none, c, state, before)
        none *= a
    return none


@borrowing
def _backward_gates(
    output: int, n_active: int, apart: int, gates: GateTable, work: OutputWork, nodes: NodeWork,
    gradient: Floats,
) -> None:  # fmt: skip
    """Run the adjoint recurrence, and add to the derivatives in all couplings but the own."""
    state = nodes.state
    rest_bar = state[_REST : _REST + 2 * BLOCK]
    for k in range(n_active - 1, -1, -1):
        q = work.active[k]
        a, none = work.tilted_rest[q], nodes.none[k]
        c, before = nodes.values[_gate_row(k, q, gates)], nodes.before[k]
        j = gates.member[gates.member_start[gates.branch_start[q]]]
        if apart == 2:
            gradient[j] += _backward_apart(a, none, c, before, state, nodes.values[j])
            continue
        several = work.others[gates.branch_start[q]] > 1
        if not gates.plain:
            _rest_bar(none, before, state, rest_bar)
            place = _MORE_BAR if several else _ONE_BAR
            _backward_none(a, state[place : place + 2 * BLOCK], c,
                           state[_NONE_BAR : _NONE_BAR + 2 * BLOCK])  # fmt: skip
        extra, single = (none, 0.0) if several else (0.0, none)
        total = _backward(a, extra, single, c, before, state, nodes.values[j])
        if _is_single(q, gates):
            gradient[j] += total
        else:
            _gate_gradient(q, output, gates, work, nodes, state[_C_BAR : _C_BAR + 2 * BLOCK],
                           rest_bar, gradient)  # fmt: skip


@borrowing
def _sum_blocks(
    output: int, bias: float, reach: float, n_active: int, apart: int, line: Line, factor: float,
    with_gradient: bool, scale: Floats, in_use: Floats, law: ValueTransform, gates: GateTable,
    work: OutputWork, nodes: NodeWork, gradient: Floats, sums: Floats,
) -> None:  # fmt: skip
    own_gate, own_branch = gates.gate_of[output], gates.branch_of[output]
    state, at = nodes.state, nodes.nodes
    own = state[_OWN : _OWN + 2 * BLOCK]
    with_own = state[_WITH : _WITH + 2 * BLOCK]
    instead = state[_INSTEAD : _INSTEAD + 2 * BLOCK]
    for block in range((line.nodes + BLOCK - 1) // BLOCK):
        _fill_block(block, output, bias, line, scale, in_use, law, gates, work, nodes)
        none = _forward_gates(output, n_active, apart, gates, work, nodes)
        left = line.nodes - block * BLOCK
        _own_kernels(left, work.g[output], factor, law, nodes, output, own)
        _branch_product(own_branch, output, gates, work, nodes, with_own)
        _set_constant(0.0, instead)
        if not gates.plain:
            _gate_weight(own_gate, output, gates, work, nodes, instead)
        _own_gate(
            work.others[own_branch], work.tilted_rest[own_gate], none, reach, 16.0 + n_active, at,
            state, own, sums,
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
        _backward_gates(output, n_active, apart, gates, work, nodes, gradient)


@compiled
def sum_over_nodes(
    output: int,
    bias: float,
    n_active: int,
    apart: int,
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
    in_use, scale, sums = np.zeros(gates.can_be_off.shape[0]), np.empty(n), np.zeros(5)
    in_use[work.active[:n_active]] = 1.0
    in_use[gates.gate_of[output]] = 1.0
    _set_scales(output, bias, line.step, in_use, gates, work, nodes, scale)
    reach = abs(bias) + max(work.g[output], np.abs(work.g).max())
    factor = np.exp(log_scale) * line.step / np.pi
    _sum_blocks(
        output, bias, reach, n_active, apart, line, factor, with_gradient, scale, in_use, law,
        gates, work, nodes, gradient, sums,
    )  # fmt: skip
    return NodeSums(sums[0], sums[1], sums[2], EPSILON * sums[3], EPSILON * sums[4])
