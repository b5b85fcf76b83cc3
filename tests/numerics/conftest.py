"""An oracle without rounding: floats are rationals, so the exact loss at floats is one too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import chain, combinations
from math import factorial, lcm, prod
from typing import Any

import pytest

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


def losses_of_outputs(W: Any, b: Any, density: Any, activation: str = "relu") -> list[Fraction]:
    """Exact E (x_i − x̂_i)² for each i, unweighted, of one model given by floats or fractions."""
    columns = [[Fraction(w) for w in column] for column in zip(*W, strict=True)]
    offsets = [Fraction(value) for value in b]
    n = len(columns)
    densities = [
        Fraction(value) for value in (density if hasattr(density, "__len__") else [density] * n)
    ]
    one_output = relu_output_loss if activation == "relu" else linear_output_loss
    return [
        one_output(
            i,
            [
                sum((u * v for u, v in zip(columns[i], column, strict=True)), Fraction(0))
                for column in columns
            ],
            offsets[i],
            densities,
        )
        for i in range(n)
    ]


@pytest.fixture(scope="session")
def exact_losses() -> Losses:
    """The function (W, b, density, activation="relu") -> [E (x_i − x̂_i)², ...] in fractions."""
    return losses_of_outputs
