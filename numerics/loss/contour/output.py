r"""One output with the features that reach it: which there are, and how likely they are on.

z = b + G_ii x_i + Y with Y = Σ_{j≠i} G_ij x_j. What matters of the joint law is how many of the
*other* features with G_ij ≠ 0 are on: none, one, or more. Sums over the states of all gates keep
these three apart by a recurrence in which nothing is subtracted. With Z, O and R the sums over
states with none, one and more on, a gate with the weights a (no such feature on) and c makes::

    R → R (a + c) + O c        O → O a + Z c        Z → Z a      if c has one feature on,
    R → R (a + c) + (O + Z) c  O → O a              Z → Z a      if c has more.

Independent features can have the states with two on apart from those with more as well, T, with
R → R (a + c) + T c and T → T a + O c.

The weights are probabilities, probabilities times e^{βz} (the law *tilted* by β), or bounds on
their size on the line Re u = β. Weights of a gate are divided by their sum at real β; the
logarithm of what was divided by is kept apart, so that nothing overflows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arguments import Floats
from ...compiled import borrowing, compiled
from .gate_table import GateTable
from .transform import ValueTransform, real_transform

__all__ = [
    "OutputWork",
    "StateSums",
    "branch_bound",
    "curvature_bound",
    "is_alone",
    "output_work",
    "prepare",
    "state_sums",
    "tilt",
]

Integers = NDArray[np.int64]

LARGEST_EXPONENT = 300.0


class OutputWork(NamedTuple):
    """Scratch memory for one output at a time.

    Attributes
    ----------
    g : ndarray of shape (n,)
        Couplings, 0 where they are negligible.
    active : ndarray of shape (gates,)
        The gates of other features that reach the output; not the gate of its own feature.
    others : ndarray of shape (branches,)
        Other features with g ≠ 0 in a branch: 0, 1, or 2 for more.
    probability, weight : ndarray of shape (branches,)
        Of a branch, as it is and tilted.
    rest, tilted_rest : ndarray of shape (gates,)
        That no branch with such a feature is on; for the gate of the output's own feature, that
        neither such a branch nor its own is.
    size : ndarray of shape (n,)
        V at the real point of the line, for each feature.
    bound : ndarray of shape (n,)
        Bounds on |V| relative to it, elsewhere on the line.
    """

    g: Floats
    active: Integers
    others: Integers
    probability: Floats
    weight: Floats
    rest: Floats
    tilted_rest: Floats
    size: Floats
    bound: Floats


class StateSums(NamedTuple):
    """Sums over the states of the gates of other features, and those of the own gate.

    Attributes
    ----------
    none, one, two, more : float
        Z, O, T and R over the active gates; T is 0 where pairs are not kept apart.
    on, off : float
        With the own feature on and off: over all states with more others on than are kept apart.
    """

    none: float
    one: float
    two: float
    more: float
    on: float
    off: float


def output_work(gates: GateTable) -> OutputWork:
    """Return scratch memory for a model with these gates."""
    n, n_gates, n_branches = len(gates.member), len(gates.can_be_off), len(gates.member_start) - 1
    return OutputWork(
        np.empty(n),
        np.empty(n_gates, np.int64),
        np.empty(n_branches, np.int64),
        np.empty(n_branches),
        np.empty(n_branches),
        np.empty(n_gates),
        np.empty(n_gates),
        np.empty(n),
        np.empty(n),
    )


@borrowing
def is_alone(j: int, gates: GateTable) -> bool:
    """Whether a feature is on independently of all others."""
    q, b = gates.gate_of[j], gates.branch_of[j]
    branches = gates.branch_start[q + 1] - gates.branch_start[q]
    members = gates.member_start[b + 1] - gates.member_start[b]
    return bool(gates.can_be_off[q] and branches == 1 and members == 1)


@borrowing
def curvature_bound(g: float, density: float, law: ValueTransform) -> float:
    """Return what φ' changes by at most, over the change of its argument; φ as in `single_output`.

    So does the derivative of φ in the own coupling. 2 from z₊², and from the kink −2 x_i at z = 0,
    whose probability density is at most that of x_i over its coupling.
    """
    return float(2.0 + 2.0 * density * law.peak / g)


@borrowing
def _drop_negligible(
    output: int, bias: float, density: Floats, law: ValueTransform, gates: GateTable,
    budgets: tuple[float, float], work: OutputWork,
) -> tuple[float, float, float]:  # fmt: skip
    """Replace what hardly reaches the output by its mean.

    Returns the bias, and bounds on the errors of the loss and of its derivatives. With the change
    of φ' bounded by `curvature_bound`, an independent part of Y may be replaced by its mean at half
    of that times its variance; derivatives change by that times its standard deviation. Members of
    a larger gate are not independent: for them the loss changes in first order.
    """
    g, n = work.g, work.g.shape[0]
    if g[output] == 0.0 or budgets[0] <= 0.0:
        return bias, 0.0, 0.0
    curvature = curvature_bound(g[output], density[output], law)
    slope = 2.0 * (1.0 + abs(bias))
    for j in range(n):
        slope += 2.0 * abs(g[j])
    loss, size, variance = 0.0, 0.0, 0.0
    for j in range(n):
        if j == output or g[j] == 0.0:
            continue
        alone = is_alone(j, gates)
        mean_size = density[j] * abs(g[j])
        square = density[j] * law.moments[2] * g[j] * g[j]
        cost = 0.5 * curvature * square if alone else slope * mean_size
        gradient_cost = curvature * (np.sqrt(n * square) if alone else n * mean_size)
        if cost * n <= budgets[0] and gradient_cost <= budgets[1]:
            loss += cost
            if alone:
                variance += square
                bias += g[j] * density[j] * law.moments[1]
            else:
                size += mean_size
            g[j] = 0.0
    return bias, loss, curvature * (np.sqrt(variance) + size)


@compiled
def prepare(
    output: int,
    couplings: Floats,
    bias: float,
    density: Floats,
    law: ValueTransform,
    gates: GateTable,
    budgets: tuple[float, float],
    work: OutputWork,
) -> tuple[float, int, float, float]:
    """Fill `work` for one output.

    Returns the bias, the number of active gates, and bounds on what dropping couplings changes
    the loss and its derivatives by, at most about `budgets`.
    """
    work.g[:] = couplings
    bias, dropped, dropped_slope = _drop_negligible(
        output, bias, density, law, gates, budgets, work
    )
    n_active = 0
    own_gate, own_branch = gates.gate_of[output], gates.branch_of[output]
    for q in range(gates.can_be_off.shape[0]):
        total = reached = 0.0
        for b in range(gates.branch_start[q], gates.branch_start[q + 1]):
            count = 0
            for place in range(gates.member_start[b], gates.member_start[b + 1]):
                j = gates.member[place]
                if j != output and work.g[j] != 0.0:
                    count += 1
            p = density[gates.member[gates.member_start[b]]]
            work.others[b] = min(count, 2)
            work.probability[b] = p
            total += p
            if count > 0:
                reached += p
        rest = max(1.0 - total, 0.0) if gates.can_be_off[q] else 0.0
        for b in range(gates.branch_start[q], gates.branch_start[q + 1]):
            if work.others[b] == 0 and b != own_branch:
                rest += work.probability[b]
        work.rest[q] = rest
        if q != own_gate and reached > 0.0:
            work.active[n_active] = q
            n_active += 1
    return bias, n_active, dropped, dropped_slope


@borrowing
def _tilt_gate(q: int, output: int, gates: GateTable, work: OutputWork) -> float:
    """Tilt the weights of one gate; return the logarithm of what they were divided by."""
    first, last = gates.branch_start[q], gates.branch_start[q + 1]
    largest = np.log(work.rest[q]) if work.rest[q] > 0.0 else -np.inf
    own_branch = gates.branch_of[output]
    for b in range(first, last):
        if work.probability[b] == 0.0 or (work.others[b] == 0 and b != own_branch):
            work.weight[b] = -np.inf
            continue
        exponent = np.log(work.probability[b])
        for place in range(gates.member_start[b], gates.member_start[b + 1]):
            j = gates.member[place]
            if j != output and work.g[j] != 0.0:
                exponent += np.log(work.size[j])
        work.weight[b] = exponent
        largest = max(largest, exponent)
    total = work.rest[q] * np.exp(-largest)
    for b in range(first, last):
        work.weight[b] = np.exp(work.weight[b] - largest)
        total += work.weight[b]
    for b in range(first, last):
        work.weight[b] /= total
    work.tilted_rest[q] = work.rest[q] * np.exp(-largest) / total
    return float(largest + np.log(total))


@borrowing
def tilt(
    beta: float,
    output: int,
    bias: float,
    n_active: int,
    law: ValueTransform,
    gates: GateTable,
    work: OutputWork,
) -> float:
    """Tilt all weights by β and set all bounds to 1.

    Returns the logarithm of the sum of all weights, E e^{β(b + Y)}; infinity where a term would
    overflow.
    """
    n = work.g.shape[0]
    for j in range(n):
        t = beta * work.g[j]
        if t > LARGEST_EXPONENT or (law.symmetric and -t > LARGEST_EXPONENT):
            return np.inf
        work.size[j] = real_transform(law, t) if t != 0.0 else 1.0
        work.bound[j] = 1.0
    scale = beta * bias
    for k in range(n_active):
        q = work.active[k]
        b = gates.branch_start[q]
        if gates.plain:
            c = work.probability[b] * work.size[gates.member[gates.member_start[b]]]
            total = work.rest[q] + c
            work.weight[b] = c / total
            work.tilted_rest[q] = work.rest[q] / total
            scale += np.log(total)
        else:
            scale += _tilt_gate(q, output, gates, work)
    return scale + _tilt_gate(gates.gate_of[output], output, gates, work)


@borrowing
def branch_bound(b: int, output: int, gates: GateTable, work: OutputWork) -> float:
    """Return the weight of a branch times the bounds of its members, without the own feature."""
    product = work.weight[b]
    for place in range(gates.member_start[b], gates.member_start[b + 1]):
        j = gates.member[place]
        if j != output:
            product *= work.bound[j]
    return float(product)


@borrowing
def _plain_sums(output: int, n_active: int, gates: GateTable, work: OutputWork) -> StateSums:
    none, one, two, more = 1.0, 0.0, 0.0, 0.0
    for k in range(n_active):
        q = work.active[k]
        b = gates.branch_start[q]
        a, c = work.tilted_rest[q], work.weight[b] * work.bound[gates.member[gates.member_start[b]]]
        more = more * (a + c) + two * c
        two = two * a + one * c
        one = one * a + none * c
        none *= a
    on, off = work.weight[gates.branch_of[output]], work.tilted_rest[gates.gate_of[output]]
    return StateSums(none, one, two, more, on * more, off * more)


@borrowing
def state_sums(
    output: int, n_active: int, apart: int, gates: GateTable, work: OutputWork
) -> StateSums:
    """Sum the tilted weights, each feature's times its bound, over the states of all gates.

    States with up to `apart` other features on are kept apart: 1, or 2 for independent features.
    """
    if apart == 2:
        return _plain_sums(output, n_active, gates, work)
    none, one, more = 1.0, 0.0, 0.0
    for k in range(n_active):
        q = work.active[k]
        a = work.tilted_rest[q]
        for_one = for_more = 0.0
        for b in range(gates.branch_start[q], gates.branch_start[q + 1]):
            if work.others[b] == 1:
                for_one += branch_bound(b, output, gates, work)
            elif work.others[b] > 1:
                for_more += branch_bound(b, output, gates, work)
        more = more * (a + for_one + for_more) + one * (for_one + for_more) + none * for_more
        one = one * a + none * for_one
        none *= a
    own_gate, own_branch = gates.gate_of[output], gates.branch_of[output]
    at_least = (more, more + one, more + one + none)
    on = branch_bound(own_branch, output, gates, work) * at_least[work.others[own_branch]]
    off = work.tilted_rest[own_gate] * more
    for b in range(gates.branch_start[own_gate], gates.branch_start[own_gate + 1]):
        if b != own_branch and work.others[b] > 0:
            off += branch_bound(b, output, gates, work) * (more + one)
    return StateSums(none, one, 0.0, more, on, off)
