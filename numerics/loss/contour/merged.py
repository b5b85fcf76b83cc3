r"""Features with small couplings, merged into a sum D that takes a few points in their place.

A small coupling reaches far up the line: its transform falls off from |u| = 1/|g_j| on only. But
the loss as a function of D alone, all others averaged over, is smooth on the scale of D. With
points t_k around the mean of D, and the polynomials ℓ_k that are 1 at t_k and 0 at the others::

    E f(D) = Σ_k E ℓ_k(D) f(t_k),    E x_j f'(D) = Σ_k E[x_j ℓ_k(D)] f'(t_k)

hold for polynomials f' of a degree below the number of points, and the loss at a shifted bias is
f(t_k), its slope f'(t_k). For values with a density of degree d, f is of degree 2d + 4 wherever at
most one of the other features that are not merged is on, except at kinks: where z is 0 at an end
of the ranges of x_i and of that feature. With two on, f has a bounded fourth derivative.

Bounds. Let C bound f'' (`curvature_bound`), and no kink be nearer to the mean than δ. Beyond δ a
polynomial with |p| ≤ C nearer than that is at most C 2^{k−1} (t/δ)^k, k its degree (Chebyshev); so
f is within C 2^k |t|^{k+2} / ((k+1)(k+2) δ^k) of what the points see, k = 2d + 2, and how likely
that is follows from the moment generating function of D (Chernoff). An average over a feature with
the coupling g has a derivative of at most v/|g| times the bound, v being the variation of its
density: with two on, the fourth derivative is at most C v²/|g g'|.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...arguments import Floats
from ...compiled import borrowing, compiled
from .gate_table import GateTable
from .output import curvature_bound
from .transform import ValueTransform, real_transform

__all__ = ["Merged", "merge"]

Flags = NDArray[np.bool_]

_LIMITS = 30  # that couplings may have to be merged, each half of the one before
_LARGEST_DEGREE = 2  # of the density of a value: 9 points
_EXPONENTS = 6  # points at which the moment generating function is looked at


class Merged(NamedTuple):
    """The law of merged features in a few points.

    Attributes
    ----------
    shift, weight : ndarray of shape (points,)
        Of the bias, and E ℓ_k(D); no points if nothing is merged.
    share : ndarray of shape (n, points)
        E[x_j ℓ_k(D)] of merged features.
    is_merged : ndarray of bool, shape (n,)
    loss_error, gradient_error : float
        Bounds on the errors of the loss and of derivatives.
    """

    shift: Floats
    weight: Floats
    share: Floats
    is_merged: Flags
    loss_error: float
    gradient_error: float


@borrowing
def _binomial(n: int, k: int) -> float:
    total = 1.0
    for i in range(k):
        total *= (n - i) / (i + 1.0)
    return total


@borrowing
def _value_moment(law: ValueTransform, power: int) -> float:
    factorial = 1.0
    for k in range(2, power + 1):
        factorial *= k
    return float(law.series[0, power] * factorial)


@borrowing
def _moments_of_sum(one: Floats, other: Floats, out: Floats) -> None:
    for l in range(out.shape[0]):
        out[l] = 0.0
        for i in range(l + 1):
            out[l] += _binomial(l, i) * one[l - i] * other[i]


@compiled
def _moments_of_gate(
    q: int, weighted: int, couplings: Floats, density: Floats, law: ValueTransform,
    gates: GateTable, out: Floats,
) -> None:  # fmt: skip
    """Write E D_q^l for all l, D_q being the part of D from a gate; E x_j D_q^l with j weighted."""
    out[:] = 0.0
    left = 1.0
    here, before = np.empty_like(out), np.empty_like(out)
    one = np.empty_like(out)
    for b in range(gates.branch_start[q], gates.branch_start[q + 1]):
        here[:] = 0.0
        here[0] = 1.0
        p = density[gates.member[gates.member_start[b]]]
        left -= p
        reached = weighted < 0
        for place in range(gates.member_start[b], gates.member_start[b + 1]):
            j = gates.member[place]
            extra = 1 if j == weighted else 0
            reached |= j == weighted
            for l in range(len(out)):
                one[l] = _value_moment(law, l + extra) * couplings[j] ** l
            before[:] = here
            _moments_of_sum(before, one, here)
        if reached:
            out += p * here
    if weighted < 0:
        out[0] += max(left, 0.0)


@compiled
def _moments_around(
    mean: float, q: int, weighted: int, couplings: Floats, density: Floats, law: ValueTransform,
    gates: GateTable, out: Floats,
) -> None:  # fmt: skip
    """Do what `_moments_of_gate` does, for D_q − mean."""
    raw, powers = np.empty_like(out), np.empty_like(out)
    for l in range(len(powers)):
        powers[l] = (-mean) ** l
    _moments_of_gate(q, weighted, couplings, density, law, gates, raw)
    _moments_of_sum(raw, powers, out)


@compiled
def _lagrange(points: int) -> Floats:
    """Return the coefficients of the polynomials that are 1 at one of the points −p, …, p."""
    middle = points // 2
    table = np.zeros((points, points))
    for k in range(points):
        table[k, 0] = 1.0
        for other in range(points):
            if other != k:
                for l in range(points - 1, -1, -1):
                    below = table[k, l - 1] if l > 0 else 0.0
                    table[k, l] = (below - (other - middle) * table[k, l]) / (k - other)
    return table


@borrowing
def _nearest_kink(
    bias: float, output: int, merged: Flags, density: Floats, g: Floats, symmetric: bool
) -> float:
    """Return how far the bias is from kinks with at most one feature on that is not merged."""
    nearest = np.inf
    lowest = -1 if symmetric else 0
    for j in range(g.shape[0]):
        if j != output and (merged[j] or density[j] == 0.0):
            continue
        for own in range(lowest, 2):
            for other in range(lowest, 2):
                there = other * g[j] if j != output else 0.0
                nearest = min(nearest, abs(bias + own * g[output] + there))
    return nearest


@borrowing
def _log_mean(
    beta: float, merged: Flags, density: Floats, g: Floats, law: ValueTransform, gates: GateTable
) -> float:
    """Return log E e^{βD}."""
    total = 0.0
    for q in range(gates.can_be_off.shape[0]):
        if not merged[gates.member[gates.member_start[gates.branch_start[q]]]]:
            continue
        more = 0.0
        for b in range(gates.branch_start[q], gates.branch_start[q + 1]):
            size = 1.0
            for place in range(gates.member_start[b], gates.member_start[b + 1]):
                size *= real_transform(law, beta * g[gates.member[place]])
            more += density[gates.member[gates.member_start[b]]] * (size - 1.0)
        total += np.log1p(more)
    return total


@borrowing
def _expected_beyond(
    distance: float, power: int, mean: float, largest: float, merged: Flags,
    density: Floats, g: Floats, law: ValueTransform, gates: GateTable,
) -> float:  # fmt: skip
    """Bound E |t|^power where |t| is above the distance, t = D − E D."""
    lowest = highest = -mean
    for j in range(g.shape[0]):
        if merged[j]:
            lowest += min(g[j], -g[j] if law.symmetric else 0.0)
            highest += max(g[j], -g[j] if law.symmetric else 0.0)
    if max(highest, -lowest) <= distance:
        return 0.0
    least = np.inf
    for step in range(_EXPONENTS):
        beta = 2.0**step / largest
        peak = max(power / beta, distance)  # of t^power e^{−βt} beyond the distance
        bound = 0.0
        for sign in (-1.0, 1.0):
            log_mean = _log_mean(sign * beta, merged, density, g, law, gates) - sign * beta * mean
            bound += np.exp(log_mean - beta * peak)
        least = min(least, bound * peak**power)
    return least


@borrowing
def _fourth_derivative(
    output: int, merged: Flags, density: Floats, g: Floats, law: ValueTransform, gates: GateTable
) -> float:
    """Bound the fourth derivative over the second, where two features that are not merged are on."""
    variation = max(law.variation[0].sum(), law.variation[1].sum())
    count, total, smallest = 0, 0.0, np.inf
    for q in range(gates.can_be_off.shape[0]):
        most = 0
        for b in range(gates.branch_start[q], gates.branch_start[q + 1]):
            reaching = 0
            for place in range(gates.member_start[b], gates.member_start[b + 1]):
                j = gates.member[place]
                if j != output and g[j] != 0.0 and density[j] > 0.0 and not merged[j]:
                    reaching += 1
                    total += density[j] / abs(g[j])
                    smallest = min(smallest, abs(g[j]))
            most = max(most, reaching)
        count += most
    if count < 2:
        return 0.0
    bound = (variation / smallest) ** 2
    return float(min(bound, 0.5 * (variation * total) ** 2) if gates.plain else bound)


@borrowing
def _is_small(q: int, limit: float, output: int, g: Floats, gates: GateTable) -> bool:
    """Whether a gate can be merged: no member has a coupling above the limit, or is the output."""
    first, last = gates.branch_start[q], gates.branch_start[q + 1]
    for place in range(gates.member_start[first], gates.member_start[last]):
        j = gates.member[place]
        if j == output or abs(g[j]) > limit:
            return False
    return True


@compiled
def _merge_up_to(
    limit: float, output: int, bias: float, curvature: float, points: int, couplings: Floats,
    density: Floats, law: ValueTransform, gates: GateTable,
) -> Merged:  # fmt: skip
    """Merge the gates of features with couplings up to a limit."""
    n, n_gates = couplings.shape[0], gates.can_be_off.shape[0]
    merged, share = np.zeros(n, np.bool_), np.zeros((n, points))
    before = np.zeros((n_gates + 1, points))  # moments of the sum of all gates before one
    before[0, 0] = 1.0
    means, own, here = np.zeros(n_gates), np.empty(points), np.empty(points)
    largest = 0.0
    for q in range(n_gates):
        before[q + 1] = before[q]
        if not _is_small(q, limit, output, couplings, gates):
            continue
        first, last = gates.branch_start[q], gates.branch_start[q + 1]
        for place in range(gates.member_start[first], gates.member_start[last]):
            j = gates.member[place]
            merged[j] = True
            means[q] += density[j] * law.moments[1] * couplings[j]
            largest = max(largest, abs(couplings[j]))
        _moments_around(means[q], q, -1, couplings, density, law, gates, own)
        _moments_of_sum(before[q], own, before[q + 1])
    mean, moments = means.sum(), before[n_gates]
    spacing = max(largest, np.sqrt(moments[2]))
    middle, k = points // 2, points - 3
    nothing = Merged(np.empty(0), np.empty(0), share, merged, np.inf, np.inf)
    nearest = _nearest_kink(bias + mean, output, merged, density, couplings, law.symmetric)
    if largest == 0.0 or middle * spacing >= nearest:
        return nothing
    basis = _lagrange(points)
    units = spacing ** np.arange(points)
    weight = basis @ (moments / units)
    shift = spacing * (np.arange(points) - middle)
    far = _expected_beyond(nearest, k + 2, mean, largest, merged, density, couplings, law, gates)
    fourth = _fourth_derivative(output, merged, density, couplings, law, gates)
    sizes = np.abs(shift)
    third = np.sqrt(moments[2] * moments[4])
    loss_error = 2.0**k * far / ((k + 1.0) * (k + 2.0) * nearest**k)
    loss_error += fourth * (moments[4] + np.abs(weight) @ sizes**4) / 24.0
    seen = np.abs(weight) @ sizes**3
    behind = np.zeros(points)  # moments of the sum of all gates behind one
    behind[0] = 1.0
    others = np.empty(points)
    for q in range(n_gates - 1, -1, -1):
        if not _is_small(q, limit, output, couplings, gates):
            continue
        _moments_of_sum(before[q], behind, others)
        first, last = gates.branch_start[q], gates.branch_start[q + 1]
        for place in range(gates.member_start[first], gates.member_start[last]):
            j = gates.member[place]
            _moments_around(means[q], q, j, couplings, density, law, gates, own)
            _moments_of_sum(others, own, here)
            share[j] = basis @ (here / units)
            seen = max(seen, np.abs(share[j]) @ sizes**3)
        _moments_around(means[q], q, -1, couplings, density, law, gates, own)
        _moments_of_sum(behind, own, here)
        behind[:] = here
    gradient_error = 2.0 ** (k + 1) * far / ((k + 2.0) * nearest ** (k + 1))
    gradient_error += fourth * (third + seen) / 6.0
    return Merged(
        mean + shift, weight, share, merged, curvature * loss_error, curvature * gradient_error
    )


@compiled
def merge(
    output: int, bias: float, couplings: Floats, density: Floats, tolerance: float,
    gradient_tolerance: float, law: ValueTransform, gates: GateTable,
) -> Merged:  # fmt: skip
    """Merge as many of the features that reach an output as the tolerances let."""
    n = couplings.shape[0]
    nothing = Merged(np.empty(0), np.empty(0), np.empty((n, 0)), np.zeros(n, np.bool_), 0.0, 0.0)
    if couplings[output] == 0.0:
        return nothing
    curvature = curvature_bound(couplings[output], density[output], law)
    points = 2 * (law.direct.shape[2] - 4) + 5
    limit = 0.0
    for j in range(n):
        if j != output:
            limit = max(limit, abs(couplings[j]))
    if points <= 2 * _LARGEST_DEGREE + 5:
        for _ in range(_LIMITS):
            found = _merge_up_to(
                limit, output, bias, curvature, points, couplings, density, law, gates
            )
            if found.loss_error <= tolerance and found.gradient_error <= gradient_tolerance:
                return found
            limit *= 0.5
    return nothing
