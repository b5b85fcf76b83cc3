"""The error of one output, computed step by step for a proof that can be rechecked by hand.

For z = g·x + β on the box [0, 1]^k, all g_j ≠ 0, with the *nodes* z_v = g·v + β at the vertices,

    ∫ z₊² dx = 2/((k + 2)! Π g_j) Σ_v (−1)^{k − |v|} (z_v)₊^{k + 2},
    ∫ x_i z₊ dx = 1/((k + 1)! Π g_j) Σ_{v: v_i = 1} (−1)^{k − |v|} (z_v)₊^{k + 1} − ∫ z₊² dx/(2 g_i).

This is computed here a second time, apart from `derive_loss`, and compared with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import Any

import sympy

from ..fields import field_of

__all__ = ["ActiveSetStep", "Node", "active_set_steps", "vertex_values"]


@dataclass(frozen=True)
class Node:
    """A vertex value of the pre-activation.

    Attributes
    ----------
    value
        g·v + β, where it is positive.
    weight
        Sum of (−1)^{k − |v|} over the vertices with this value.
    face_weight
        The same over the vertices with v_i = 1.
    """

    value: sympy.Expr
    weight: int
    face_weight: int


@dataclass(frozen=True)
class ActiveSetStep:
    """All active sets of one output that have the same couplings and probability.

    Attributes
    ----------
    sets
        The active sets, indices counted from 0.
    probability
        Of each of them.
    own
        The output's own coupling if its feature is on, else ``None``.
    couplings
        Of all features that are on, without zeros.
    nodes
        The positive vertex values; empty for the linear activation.
    second, cross
        ∫ z₊² and, if the own feature is on, ∫ x_i z₊.
    loss
        ∫ (t − z₊)², where t is x_i if the feature is on, else 0.
    """

    sets: tuple[tuple[int, ...], ...]
    probability: sympy.Expr
    own: sympy.Expr | None
    couplings: tuple[sympy.Expr, ...]
    nodes: tuple[Node, ...]
    second: sympy.Expr
    cross: sympy.Expr | None
    loss: sympy.Expr


def vertex_values(
    couplings: Sequence[sympy.Expr], bias: sympy.Expr, *, symmetric: bool = False
) -> tuple[sympy.Expr, ...]:
    """Return the distinct values g·v + β over all vertices v of the box.

    Entries of v are 0 and 1, and −1 too for values of either sign.
    """
    values = {bias: None}
    for coupling in couplings:
        steps = (coupling, -coupling) if symmetric else (coupling,)
        values |= {sympy.expand(value + step): None for value in values for step in steps}
    return tuple(values)


def active_set_steps(
    index: int,
    couplings: Sequence[sympy.Expr],
    bias: sympy.Expr,
    densities: Sequence[sympy.Expr],
    is_positive: Callable[[sympy.Expr], bool] | None,
) -> tuple[ActiveSetStep, ...]:
    """Return the error of an output under independent features with uniform values.

    Parameters
    ----------
    index
        The output, counted from 0.
    couplings
        Row of WᵀW, n expressions.
    bias
        Its bias.
    densities
        n densities.
    is_positive
        Says of a vertex value whether it is positive; ``None`` for the linear activation.
    """
    relevant = [j for j, g in enumerate(couplings) if g != 0 or j == index]
    field = field_of([*couplings, bias])
    grouped: dict[Any, list[tuple[int, ...]]] = {}
    for size in range(len(relevant) + 1):
        for active in combinations(relevant, size):
            others = sorted((couplings[j] for j in active if j != index), key=str)
            chance = sympy.Mul(
                *(densities[j] if j in active else 1 - densities[j] for j in relevant)
            )
            grouped.setdefault((index in active, tuple(others), chance), []).append(active)
    elements = {value: field.from_sympy(value) for value in {*couplings, bias}}
    answers: dict[Any, bool] = {}

    def is_live(element: Any) -> bool:
        if element not in answers:
            assert is_positive is not None
            answers[element] = bool(element) and is_positive(field.to_sympy(element))
        return answers[element]

    box = _Box(field, elements, elements[bias], None if is_positive is None else is_live)
    return tuple(
        box.step(tuple(sets), chance, couplings[index] if is_on else None, others)
        for (is_on, others, chance), sets in grouped.items()
    )


_Signed = tuple[Any, tuple[int, int]]


@dataclass(frozen=True)
class _Box:
    """Integrals for one output, in the field of its couplings."""

    field: Any
    elements: Mapping[sympy.Expr, Any]
    bias: Any
    is_live: Callable[[Any], bool] | None

    def step(
        self,
        sets: tuple[tuple[int, ...], ...],
        chance: sympy.Expr,
        own: sympy.Expr | None,
        others: tuple[sympy.Expr, ...],
    ) -> ActiveSetStep:
        couplings = tuple(g for g in ([] if own is None else [own]) if g != 0) + others
        nodes: list[_Signed] = []
        if self.is_live is None:
            second, cross = self._linear(own, others)
        else:
            nodes = self._nodes(own, others)
            second, cross = self._rectified(own, couplings, nodes)
        loss = second if own is None else self.field.one / self.field(3) - cross * 2 + second
        show = self.field.to_sympy
        return ActiveSetStep(
            sets,
            chance,
            own,
            couplings,
            tuple(Node(show(value), *weights) for value, weights in nodes),
            show(second),
            None if own is None else show(cross),
            show(loss),
        )

    def _nodes(self, own: sympy.Expr | None, others: tuple[sympy.Expr, ...]) -> list[_Signed]:
        """Return the positive nodes, with the signs with which they are added."""
        assert self.is_live is not None
        weights = {self.bias: (1, 0)}
        for coupling in others:
            weights = _shifted(weights, self.elements[coupling], faces=False)
        if own is not None and own != 0:
            weights = _shifted(weights, self.elements[own], faces=True)
        return [(value, w) for value, w in weights.items() if any(w) and self.is_live(value)]

    def _rectified(
        self, own: sympy.Expr | None, couplings: Sequence[sympy.Expr], nodes: Sequence[_Signed]
    ) -> tuple[Any, Any]:
        k, volume = len(couplings), self.field.one
        for coupling in couplings:
            volume = volume * self.elements[coupling]

        def total(power: int, which: int) -> Any:
            terms = (value**power * self.field(weights[which]) for value, weights in nodes)
            return sum(terms, self.field.zero) / (volume * self.field(factorial(power)))

        second = total(k + 2, 0) * self.field(2)
        if own is None or own == 0:
            return second, total(k + 1, 0) / self.field(2)
        return second, total(k + 1, 1) - second / (self.elements[own] * self.field(2))

    def _linear(self, own: sympy.Expr | None, others: Sequence[sympy.Expr]) -> tuple[Any, Any]:
        """Return E z² and E x_i z from means 1/2 and variances 1/12."""
        present = [self.elements[g] for g in (others if own is None else (own, *others))]
        half, twelfth = self.field.one / self.field(2), self.field.one / self.field(12)
        mean = self.bias + sum(present, self.field.zero) * half
        second = mean * mean + sum((g * g for g in present), self.field.zero) * twelfth
        own_part = self.field.zero if own is None else self.elements[own] * twelfth
        return second, mean * half + own_part


def _shifted(
    weights: dict[Any, tuple[int, int]], coupling: Any, *, faces: bool
) -> dict[Any, tuple[int, int]]:
    """Return the signed nodes of a box with one more side; `faces` says that it is x_i's."""
    shifted = {value: (-whole, 0 if faces else -face) for value, (whole, face) in weights.items()}
    for value, (whole, face) in weights.items():
        old = shifted.get(value + coupling, (0, 0))
        shifted[value + coupling] = (old[0] + whole, old[1] + (whole if faces else face))
    return shifted
