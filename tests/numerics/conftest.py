"""An oracle without rounding: floats are rationals, so the exact loss at floats is one too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import chain, combinations, product
from math import factorial, lcm, prod
from typing import Any

import pytest

from superposition.features import FeatureDistribution, Gate, GateKind
from superposition.values import ValueDistribution

Losses = Callable[..., list[Fraction]]


def mean_of_power(couplings: Sequence[Fraction], offset: Fraction, power: int) -> Fraction:
    """E (g·x + β)₊^p over the unit cube, by its vertex sum; every coupling is non-zero."""
    scale = lcm(offset.denominator, *(g.denominator for g in couplings))
    integers = [int(g * scale) for g in couplings]
    vertices = [(int(offset * scale), (-1) ** len(couplings))]
    for g in integers:
        vertices += [(value + g, -sign) for value, sign in vertices]
    exponent = power + len(couplings)
    total = sum(sign * value**exponent for value, sign in vertices if value > 0)
    return Fraction(factorial(power) * total, factorial(exponent) * prod(integers) * scale**power)


def subsets(items: Sequence[int]) -> chain[tuple[int, ...]]:
    return chain.from_iterable(combinations(items, k) for k in range(len(items) + 1))


def relu_output_loss(
    output: int, couplings: Sequence[Fraction], offset: Fraction, density: Sequence[Fraction]
) -> Fraction:
    """E (x_i − z₊)² by active sets; features that do not reach the output average out."""
    reach = [j for j, g in enumerate(couplings) if g != 0 or j == output]
    own = couplings[output]
    loss = Fraction(0)
    for active in subsets(reach):
        probability = prod(density[j] if j in active else 1 - density[j] for j in reach)
        if probability == 0:
            continue
        square = mean_of_power([couplings[j] for j in active if couplings[j]], offset, 2)
        if output in active:
            others = [couplings[j] for j in active if j != output]
            if own == 0:
                cross = mean_of_power(others, offset, 1) / 2
            else:  # by parts in x_i
                cross = (mean_of_power(others, offset + own, 2) - square) / (2 * own)
            square += Fraction(1, 3) - 2 * cross
        loss += probability * square
    return loss


def linear_output_loss(
    output: int, couplings: Sequence[Fraction], offset: Fraction, density: Sequence[Fraction]
) -> Fraction:
    """E (x_i − z)² from the first two moments of x."""
    gap = [g - (j == output) for j, g in enumerate(couplings)]
    loss = offset**2
    for j, c in enumerate(gap):
        loss += offset * c * density[j]
        for k, d in enumerate(gap):
            loss += c * d * (density[j] / 3 if j == k else density[j] * density[k] / 4)
    return loss


# --- other distributions, from the definition ----------------------------------------------------

Polynomial = dict[int, Fraction]  # exponent: coefficient
Factor = tuple[Fraction, Polynomial]  # coupling, weight over [0, 1]


def ways_of_gate(gate: Gate, density: Sequence[Fraction]) -> list[tuple[tuple[int, ...], Fraction]]:
    """Say in words of this file what a gate does, rather than ask it."""
    members = gate.members
    one: list[tuple[tuple[int, ...], Fraction]] = [((j,), density[j]) for j in members]
    if gate.kind is GateKind.TOGETHER:
        return [((), 1 - density[members[0]]), (members, density[members[0]])]
    if gate.kind is GateKind.AT_MOST_ONE:
        return [((), 1 - sum((density[j] for j in members), Fraction(0))), *one]
    return one


def probable_sets(
    features: FeatureDistribution, density: Sequence[Fraction]
) -> list[tuple[tuple[int, ...], Fraction]]:
    ways = (ways_of_gate(gate, density) for gate in features.gates(len(density)))
    return [
        (tuple(j for on, _ in choice for j in on), prod((p for _, p in choice), start=Fraction(1)))
        for choice in product(*ways)
    ]


def weighted_mean_of_power(factors: Sequence[Factor], offset: Fraction, power: int) -> Fraction:
    """∫ Π_j w_j(x_j) (g·x + β)₊^p over the unit cube, by parts in one coordinate at a time."""
    if not factors:
        return offset**power if offset > 0 else Fraction(0)
    (g, weight), *rest = factors
    if g == 0:
        area = sum(c / (a + 1) for a, c in weight.items())
        return Fraction(area) * weighted_mean_of_power(rest, offset, power)
    total = Fraction(0)
    at_one: dict[int, Fraction] = {}  # by the power of the positive part
    at_zero: dict[int, Fraction] = {}
    for a, c in weight.items():
        for r in range(a + 1):
            order = power + r + 1
            term = c * (-1) ** r * Fraction(factorial(a), factorial(a - r))
            term *= Fraction(factorial(power), factorial(order)) / g ** (r + 1)
            at_one[order] = at_one.get(order, Fraction(0)) + term
            if r == a:
                at_zero[order] = at_zero.get(order, Fraction(0)) - term
    for order, term in at_one.items():
        total += term * weighted_mean_of_power(rest, offset + g, order)
    for order, term in at_zero.items():
        total += term * weighted_mean_of_power(rest, offset, order)
    return total


def sided_factors(
    values: ValueDistribution, active: Sequence[int], couplings: Sequence[Fraction]
) -> list[tuple[dict[int, int], list[Factor]]]:
    """Split the law of the active features by the signs of their values."""
    density = dict(enumerate(values.coefficients))
    sides = (1, -1) if values.symmetric else (1,)
    share = Fraction(1, len(sides))
    return [
        (
            dict(zip(active, signs, strict=True)),
            [
                (sign * couplings[j], {a: share * c for a, c in density.items()})
                for j, sign in zip(active, signs, strict=True)
            ],
        )
        for signs in product(sides, repeat=len(active))
    ]


def relu_loss_of_set(
    output: int,
    couplings: Sequence[Fraction],
    offset: Fraction,
    values: ValueDistribution,
    active: Sequence[int],
) -> Fraction:
    """E (x_i − z₊)² given which features are on."""
    loss = Fraction(0)
    for signs, factors in sided_factors(values, active, couplings):
        loss += weighted_mean_of_power(factors, offset, 2)
        if output in active:
            place = active.index(output)
            coupling, weight = factors[place]
            cross, square = list(factors), list(factors)
            cross[place] = (coupling, {a + 1: c for a, c in weight.items()})
            square[place] = (coupling, {a + 2: c for a, c in weight.items()})
            loss -= 2 * signs[output] * weighted_mean_of_power(cross, offset, 1)
            loss += weighted_mean_of_power([(Fraction(0), w) for _, w in square], Fraction(1), 0)
    return loss


def linear_loss_of_set(
    output: int,
    couplings: Sequence[Fraction],
    offset: Fraction,
    values: ValueDistribution,
    active: Sequence[int],
) -> Fraction:
    """E (x_i − z)² given which features are on: squared mean plus variance of z − x_i."""
    mean, square = (
        sum((c / (k + 1 + power) for k, c in enumerate(values.coefficients)), Fraction(0))
        for power in (1, 2)
    )
    if values.symmetric:
        mean = Fraction(0)
    gap = [couplings[j] - (j == output) for j in active]
    error = offset + mean * sum(gap, Fraction(0))
    return error**2 + (square - mean**2) * sum((c * c for c in gap), Fraction(0))


def losses_of_outputs(
    W: Any,
    b: Any,
    density: Any,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
) -> list[Fraction]:
    """Exact E (x_i − x̂_i)² for each i, unweighted, of one model given by floats or fractions."""
    columns = [[Fraction(w) for w in column] for column in zip(*W, strict=True)]
    offsets = [Fraction(value) for value in b]
    n = len(columns)
    densities = [
        Fraction(value) for value in (density if hasattr(density, "__len__") else [density] * n)
    ]
    rows = [
        [sum((u * v for u, v in zip(own, column, strict=True)), Fraction(0)) for column in columns]
        for own in columns
    ]
    if features is None:
        one_output = relu_output_loss if activation == "relu" else linear_output_loss
        return [one_output(i, rows[i], offsets[i], densities) for i in range(n)]
    of_set = relu_loss_of_set if activation == "relu" else linear_loss_of_set
    sets = probable_sets(features, densities)
    return [
        sum(
            (p * of_set(i, rows[i], offsets[i], features.values, on) for on, p in sets if p),
            Fraction(0),
        )
        for i in range(n)
    ]


@pytest.fixture(scope="session")
def exact_losses() -> Losses:
    """The function (W, b, density, activation="relu", features=None) -> [E (x_i − x̂_i)², ...].

    All in fractions.
    """
    return losses_of_outputs
