"""The sums over nodes of many outputs at once, in PyTorch on any device: `nodes` once more.

Tensors run over outputs and over nodes of their lines, and Python over the gates. Lines are chosen
on the CPU (`plan`), which takes as long as a few nodes do. Nodes come in chunks, so that what the
adjoint recurrence has to remember fits a given memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ...arguments import Floats
from .accuracy import Integers, ModelOutputs, Target, tolerances
from .gate_table import GateTable
from .loss import ContourWork, Pending, begin_output, end_output, lower_bound
from .nodes import NodeSums
from .plan import EPSILON
from .transform import ValueTransform

__all__ = ["DEFAULT_MEMORY", "sum_outputs_on"]

DEFAULT_MEMORY = 2**30
"""Bytes for what is remembered between the passes."""

_REMEMBERED = 5 * 16  # bytes of O, T, R and c, per gate and node

Tensor = torch.Tensor


@dataclass(frozen=True)
class _Lines:
    """The lines of some outputs, and the tilted weights on them; tensors on the device.

    Attributes
    ----------
    output, own_gate, own_branch : Tensor of shape (outputs, 1)
        The indices i, and those of their gates and branches.
    alpha, step, scale, bias, own : Tensor of shape (outputs, 1)
        Of the nodes; the factor of the sum; the bias and the coupling of the own feature.
    nodes : ndarray of shape (outputs,)
    g, size : Tensor of shape (n, outputs, 1)
        Couplings, and V at the real point of the line.
    rest : Tensor of shape (gates, outputs, 1)
        Weight of a gate without a feature that reaches the output; 1 for gates that do not.
    weight, others : Tensor of shape (branches, outputs, 1)
        Weight of a branch, of a part of the rest too, and how many of its features count.
    apart : int
    """

    output: Tensor
    own_gate: Tensor
    own_branch: Tensor
    alpha: Tensor
    step: Tensor
    scale: Tensor
    bias: Tensor
    own: Tensor
    nodes: Integers
    g: Tensor
    size: Tensor
    rest: Tensor
    weight: Tensor
    others: Tensor
    apart: int


@dataclass(frozen=True)
class _Weights:
    """One output's entries of `_Lines`, as arrays."""

    g: Floats
    size: Floats
    rest: Floats
    weight: Floats
    others: Integers
    active: Integers


def _weights(output: int, pending: Pending, contour: ContourWork) -> _Weights:
    """Copy what `tilt` has left in the scratch memory."""
    gates, work = contour.gates, contour.output
    in_use = np.zeros(len(gates.can_be_off), dtype=bool)
    in_use[work.active[: pending.n_active]] = True
    own = gates.gate_of[output]
    in_use[own] = True
    rest = np.where(in_use, work.tilted_rest, 1.0)
    gate_of_branch = np.repeat(np.arange(len(in_use)), np.diff(gates.branch_start))
    reached = in_use[gate_of_branch]
    others = np.where(reached, work.others, 0)
    # Branches without a feature that counts share the rest of their gate.
    with np.errstate(divide="ignore", invalid="ignore"):
        part = work.probability * work.tilted_rest[gate_of_branch] / work.rest[gate_of_branch]
    own_branch = np.arange(len(others)) == gates.branch_of[output]
    weight = np.where((others > 0) | own_branch, work.weight, np.nan_to_num(part, posinf=0.0))
    weight = np.where(reached, weight, 0.0)
    active = work.active[: pending.n_active].copy()
    return _Weights(work.g.copy(), work.size.copy(), rest, weight, others, active)


def _lines(
    outputs: Sequence[int], pending: Sequence[Pending], weights: Sequence[_Weights],
    gates: GateTable, device: torch.device,
) -> _Lines:  # fmt: skip
    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=device)[:, None]

    def rows(name: str) -> Tensor:
        stacked = np.stack([getattr(w, name) for w in weights], axis=1)[:, :, None]
        return torch.as_tensor(stacked, device=device)

    return _Lines(
        torch.tensor(outputs, device=device)[:, None],
        torch.as_tensor(gates.gate_of[list(outputs)], device=device)[:, None],
        torch.as_tensor(gates.branch_of[list(outputs)], device=device)[:, None],
        column([p.line.alpha for p in pending]),
        column([p.line.step for p in pending]),
        column([float(np.exp(p.log_scale)) * p.line.step / np.pi for p in pending]),
        column([p.bias for p in pending]),
        column([float(w.g[i]) for i, w in zip(outputs, weights, strict=True)]),
        np.array([p.line.nodes for p in pending]),
        rows("g"),
        rows("size"),
        rows("rest"),
        rows("weight"),
        rows("others"),
        pending[0].apart,
    )


def _horner(coefficients: Floats, at: Tensor) -> Tensor:
    total = torch.full_like(at, float(coefficients[-1]))
    for c in coefficients[-2::-1]:
        total = total * at + float(c)
    return total


def _transform(law: ValueTransform, order: int, t: Tensor) -> Tensor:
    """Return the derivative of V of this order at all t."""
    near = t.abs() < law.radius
    far = torch.where(near, torch.full_like(t, law.radius), t)
    w = 1.0 / far
    direct = law.direct[order]
    total = _horner(direct[0], w) * torch.exp(far) + _horner(direct[1], w)
    if law.symmetric:
        total = total + _horner(direct[2], w) * torch.exp(-far)
    if near.any():
        series = _horner(law.series[order], torch.where(near, t, torch.zeros_like(t)))
        total = torch.where(near, series, total)
    return total


@dataclass(frozen=True)
class _Pass:
    """What one chunk of nodes leaves: sums over its nodes, one entry per output.

    Attributes
    ----------
    value, slope, own, rounding, slope_rounding : Tensor of shape (outputs,)
    gradient : Tensor of shape (n, outputs)
    """

    value: Tensor
    slope: Tensor
    own: Tensor
    rounding: Tensor
    slope_rounding: Tensor
    gradient: Tensor


@dataclass(frozen=True)
class _Chunk:
    """Some nodes of some lines.

    Attributes
    ----------
    u : Tensor of shape (outputs, nodes)
    inside : Tensor of bool, the same shape
        Whether it is a node of the output's line.
    """

    lines: _Lines
    law: ValueTransform
    gates: GateTable
    u: Tensor
    inside: Tensor

    def value(self, j: int) -> Tensor:
        """Return V of a feature relative to V at the real point; 1 for the own feature."""
        found = _transform(self.law, 0, self.u * self.lines.g[j]) / self.lines.size[j]
        own = self.lines.output == j
        return torch.where(own, torch.ones_like(found), found)

    def slope(self, j: int) -> Tensor:
        """Return the derivative of `value` in the coupling."""
        found = self.u * _transform(self.law, 1, self.u * self.lines.g[j]) / self.lines.size[j]
        own = self.lines.output == j
        return torch.where(own, torch.zeros_like(found), found)

    def members(self, b: int) -> list[int]:
        """Return the members of a branch."""
        start = self.gates.member_start
        return [int(j) for j in self.gates.member[start[b] : start[b + 1]]]

    def branches(self, q: int) -> range:
        """Return the branches of a gate."""
        return range(int(self.gates.branch_start[q]), int(self.gates.branch_start[q + 1]))

    def product(self, b: int) -> Tensor:
        """Return the weight of a branch times the transforms of its members but the own one."""
        total = self.lines.weight[b] * torch.ones_like(self.u)
        for j in self.members(b):
            total = total * self.value(j)
        return total

    def kernels(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return the kernels, own feature off and on, and the derivative of the latter in g."""
        t = self.u * self.lines.own
        v, v1, v2 = (_transform(self.law, order, t) for order in range(3))
        phase = torch.exp(1j * self.u.imag * self.lines.bias) * self.lines.scale
        weight = torch.where(self.inside, 2.0 * phase / self.u**2, torch.zeros_like(self.u))
        return weight / self.u, weight * (v / self.u - v1), weight * (v1 - self.u * v2)


@dataclass
class _States:
    """The sums over states, with Z real, and what the recurrence remembers before each gate."""

    none: Tensor
    one: Tensor
    two: Tensor
    more: Tensor
    with_own: Tensor
    instead: Tensor
    before: list[tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]]


def _split(chunk: _Chunk, q: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return c of a gate, for one feature on and for more, and the weights of its own branches."""
    zero = torch.zeros_like(chunk.u)
    single, several, with_own, instead = zero, zero, zero, zero
    own_gate = chunk.lines.own_gate == q
    for b in chunk.branches(q):
        product, others, own = chunk.product(b), chunk.lines.others[b], chunk.lines.own_branch == b
        single = single + torch.where(~own_gate & (others == 1), product, zero)
        several = several + torch.where(~own_gate & (others > 1), product, zero)
        with_own = with_own + torch.where(own, product, zero)
        instead = instead + torch.where(own_gate & ~own & (others > 0), product, zero)
    return single, several, with_own, instead


def _forward(chunk: _Chunk, remember: bool) -> _States:
    zero = torch.zeros_like(chunk.u)
    none = torch.ones_like(chunk.lines.alpha)
    states = _States(none, zero, zero, zero, zero, zero, [])
    for q in range(len(chunk.gates.can_be_off)):
        single, several, with_own, instead = _split(chunk, q)
        own = chunk.lines.own_gate == q
        a = torch.where(own, torch.ones_like(none), chunk.lines.rest[q])
        none, one, two, more = states.none, states.one, states.two, states.more
        if remember:
            states.before.append((none, one, two, more, single, several))
        if chunk.lines.apart == 2:
            states.more = a * more + (more + two) * single
            states.two = a * two + one * single
        else:
            states.more = a * more + (more + one) * (single + several) + none * several
        states.one = a * one + none * single
        states.none = a * none
        states.with_own = states.with_own + with_own
        states.instead = states.instead + instead
    return states


@dataclass
class _Adjoints:
    """Derivatives of the sum in Z, O, T and R, and in the weights of the own gate."""

    none: Tensor
    one: Tensor
    two: Tensor
    more: Tensor
    with_own: Tensor
    instead: Tensor
    rest: Tensor


def _branch_gradient(chunk: _Chunk, b: int, bar: Tensor, gradient: Tensor) -> None:
    """Add to the derivatives in the couplings of a branch; `bar` is the adjoint of its product."""
    members = chunk.members(b)
    values = [chunk.value(j) for j in members] if len(members) > 1 else []
    for place, j in enumerate(members):
        factor = bar * chunk.lines.weight[b] * chunk.slope(j)
        for other, value in enumerate(values):
            if other != place:
                factor = factor * value
        gradient[j] += factor.real.sum(dim=1)


def _backward(chunk: _Chunk, states: _States, adjoint: _Adjoints, gradient: Tensor) -> None:
    zero = torch.zeros_like(chunk.u)
    for q in reversed(range(len(chunk.gates.can_be_off))):
        none, one, two, more, single, several = states.before.pop()
        own_gate = chunk.lines.own_gate == q
        a = torch.where(own_gate, torch.ones_like(none), chunk.lines.rest[q])
        if chunk.lines.apart == 2:
            bar_single = adjoint.more * (more + two) + adjoint.two * one + adjoint.one * none
            bar_several, bar_rest = zero, zero
        else:
            bar_single = adjoint.more * (more + one) + adjoint.one * none
            bar_several = adjoint.more * (more + one + none)
            bar_rest = adjoint.more * more + adjoint.one * one + adjoint.none * none
        for b in chunk.branches(q):
            others, own = chunk.lines.others[b], chunk.lines.own_branch == b
            elsewhere = torch.where(others == 1, bar_single, bar_rest)
            elsewhere = torch.where(others > 1, bar_several, elsewhere)
            here = torch.where(others > 0, adjoint.instead, adjoint.rest)
            here = torch.where(own, adjoint.with_own, here)
            _branch_gradient(chunk, b, torch.where(own_gate, here, elsewhere), gradient)
        if chunk.lines.apart == 2:
            adjoint.one = a * adjoint.one + adjoint.two * single
            adjoint.two = a * adjoint.two + adjoint.more * single
            adjoint.more = adjoint.more * (a + single)
        else:
            both = adjoint.more * (single + several)
            adjoint.none = a * adjoint.none + adjoint.one * single + adjoint.more * several
            adjoint.one = a * adjoint.one + both
            adjoint.more = a * adjoint.more + both


def _own_others(chunk: _Chunk) -> Tensor:
    """Return how many other members of its own branch count for each output, shape (outputs, 1)."""
    return chunk.lines.others[:, :, 0].gather(0, chunk.lines.own_branch.T).T


def _own_rest(chunk: _Chunk) -> Tensor:
    return chunk.lines.rest[:, :, 0].gather(0, chunk.lines.own_gate.T).T


def _sum_chunk(chunk: _Chunk, with_gradient: bool) -> _Pass:
    lines, u = chunk.lines, chunk.u
    states = _forward(chunk, with_gradient)
    off, on, own = chunk.kernels()
    count, rest = _own_others(chunk), _own_rest(chunk)
    one, more = states.one, states.more
    zero = torch.zeros_like(u)
    others = more + torch.where(count > 0, one, zero)
    others = others + torch.where(count > 1, states.none + zero, zero)
    on_sum = states.with_own * others
    term = on * on_sum + off * (rest * more + states.instead * (more + one))
    reach = lines.bias.abs() + lines.g.abs().amax(dim=0)
    size = term.abs() * (16.0 + lines.g.shape[0] + reach * u.abs())
    gradient = torch.zeros(lines.g.shape[:2], dtype=torch.float64, device=u.device)
    if with_gradient:
        with_own = on * states.with_own
        adjoint = _Adjoints(
            torch.where(count > 1, with_own, zero),
            torch.where(count > 0, with_own, zero) + off * states.instead,
            zero,
            with_own + off * (rest + states.instead),
            on * others,
            off * (more + one),
            off * more,
        )
        _backward(chunk, states, adjoint, gradient)
    return _Pass(
        term.real.sum(dim=1),
        (u * term).real.sum(dim=1),
        (own * on_sum).real.sum(dim=1),
        size.sum(dim=1),
        (size * u.abs()).sum(dim=1),
        gradient,
    )


def _select(lines: _Lines, which: Integers) -> _Lines:
    rows = torch.as_tensor(which, device=lines.alpha.device)
    return _Lines(
        lines.output[rows], lines.own_gate[rows], lines.own_branch[rows], lines.alpha[rows], lines.step[rows], lines.scale[rows],
        lines.bias[rows], lines.own[rows], lines.nodes[which], lines.g[:, rows],
        lines.size[:, rows], lines.rest[:, rows], lines.weight[:, rows], lines.others[:, rows],
        lines.apart,
    )  # fmt: skip


def _sum_lines(
    lines: _Lines, law: ValueTransform, gates: GateTable, with_gradient: bool, memory: int
) -> tuple[Floats, Floats]:
    """Return the sums of all lines, shape (outputs, 5), and gradients, shape (outputs, n)."""
    count, n = len(lines.nodes), lines.g.shape[0]
    sums, gradients = np.zeros((count, 5)), np.zeros((count, n))
    first = 0
    while (left := np.flatnonzero(lines.nodes > first)).size:
        part = _select(lines, left)
        room = max(1, memory // (_REMEMBERED * (n + 16) * len(left)))
        last = min(first + room, int(part.nodes.max()))
        k = torch.arange(first, last, dtype=torch.float64, device=lines.alpha.device)
        u = torch.complex(part.alpha.expand(-1, len(k)), (k + 0.5) * part.step)
        inside = k < torch.as_tensor(part.nodes, device=k.device)[:, None]
        found = _sum_chunk(_Chunk(part, law, gates, u.contiguous(), inside), with_gradient)
        columns = (found.value, found.slope, found.own, found.rounding, found.slope_rounding)
        sums[left] += torch.stack(columns, dim=1).cpu().numpy()
        gradients[left] += found.gradient.T.cpu().numpy()
        first = last
    return sums, gradients


def sum_outputs_on(
    device: torch.device,
    outputs: Integers,
    target: Target,
    most: int,
    model: ModelOutputs,
    contour: ContourWork,
    memory: int = DEFAULT_MEMORY,
) -> None:
    """Do what `sum_outputs` does, with the sums over nodes on a device.

    `memory` bounds, in bytes, what is remembered between the two passes over the gates; about as
    much again is needed for intermediate results.
    """
    if target.loss == np.inf:
        for i in map(int, outputs):
            model.value[i] = lower_bound(
                i, model.gram[i], model.gap[i], model.bias[i], model.density, contour
            )
        return
    started: list[tuple[int, Pending, _Weights]] = []
    for i in map(int, outputs):
        pending = begin_output(
            i, model.gram[i], float(model.gap[i]), float(model.bias[i]), model.density,
            *tolerances(target, float(model.importance[i])), contour, model.dgram[i],
        )  # fmt: skip
        if pending.line.nodes > most:
            model.error[i] = np.inf
            continue
        started.append((i, pending, _weights(i, pending, contour)))
    with_gradient = target.gradient < np.inf
    sums = {i: (np.zeros(5), np.zeros(len(model.bias))) for i, _, _ in started}
    for apart in (1, 2):
        group = [entry for entry in started if entry[1].line.nodes and entry[1].apart == apart]
        if group:
            lines = _lines(
                [entry[0] for entry in group],
                [entry[1] for entry in group],
                [entry[2] for entry in group],
                contour.gates,
                device,
            )
            found = _sum_lines(lines, contour.law, contour.gates, with_gradient, memory)
            for entry, values, gradient in zip(group, *found, strict=True):
                sums[entry[0]] = (values, gradient)
    for i, pending, weights in started:
        values, gradient = sums[i]
        model.dgram[i] += gradient
        contour.output.active[: pending.n_active] = weights.active
        node_sums = NodeSums(*map(float, values[:3]), *map(float, EPSILON * values[3:]))
        found_output = end_output(i, model.density, pending, node_sums, contour, model.dgram[i])
        model.value[i], model.slope[i] = found_output.value, found_output.slope
        model.error[i], model.gradient_error[i] = found_output.error, found_output.gradient_error
