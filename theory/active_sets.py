"""The expected loss of one output as a sum over sets of active features.

Features are on independently, so for output i

    E (x_i − σ(z_i))² = Σ_A Π_{j∈A} s_j Π_{j∉A} (1 − s_j) ∫_{[0,1]^A} (x_i − σ(g·x + β))² dx,

where A runs over the subsets of the features that output i depends on: those with g_j ≠ 0, and i.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import sympy

from ..model import Activation
from .box import box_moments, linear_moments

__all__ = ["ActiveSetTerm", "Output", "active_set_losses", "active_sets", "probability"]


@dataclass(frozen=True)
class ActiveSetTerm:
    """One active set's part of the expected loss of one output.

    Attributes
    ----------
    active
        Indices of the features that are on, counted from 0.
    probability
        Probability that among the features that matter exactly these are on.
    loss
        ∫_{[0,1]^A} (x_i − σ(z_i))² dx, exactly.
    """

    active: tuple[int, ...]
    probability: sympy.Expr
    loss: sympy.Expr


@dataclass(frozen=True)
class Output:
    """One output of the model, with its couplings in an exact field.

    Attributes
    ----------
    index
        Which feature it reconstructs, counted from 0.
    field
        SymPy domain of the couplings.
    couplings
        Row i of WᵀW as n elements of `field`.
    densities
        The n densities, as expressions.
    activation
        "relu" or "linear".
    """

    index: int
    field: Any
    couplings: tuple[Any, ...]
    densities: tuple[sympy.Expr, ...]
    activation: Activation

    @property
    def relevant(self) -> tuple[int, ...]:
        """Features on which the reconstruction error depends."""
        return tuple(j for j, coupling in enumerate(self.couplings) if coupling or j == self.index)


def active_sets(output: Output) -> Iterator[tuple[int, ...]]:
    """Yield the subsets of the relevant features, small ones first."""
    for size in range(len(output.relevant) + 1):
        yield from combinations(output.relevant, size)


def probability(output: Output, active: tuple[int, ...]) -> sympy.Expr:
    """Return the probability that, of the relevant features, exactly `active` are on."""
    return sympy.Mul(
        *(output.densities[j] if j in active else 1 - output.densities[j] for j in output.relevant)
    )


def active_set_losses(
    output: Output,
    shift: Any,
    is_active: Callable[[Any], bool],
    cache: dict[Any, Any] | None = None,
) -> dict[tuple[int, ...], Any]:
    """Return ∫_{[0,1]^A} (x_i − σ(g·x + β))² dx for every active set A.

    Parameters
    ----------
    output
        The output i.
    shift
        β: an element of the field or the generator of a polynomial ring over it.
    is_active
        Says of a vertex value g·v whether g·v + β is positive; not asked for "linear".
    cache
        Integrals found before for the same `shift` and `is_active`. Many sets have the same
        couplings in another order, in one output and in its neighbors.
    """
    cache = {} if cache is None else cache
    losses = {}
    for active in active_sets(output):
        is_on = output.index in active
        own = output.couplings[output.index] if is_on else None
        others = sorted((output.couplings[j] for j in active if j != output.index), key=str)
        key = (is_on, own, *others)
        if key not in cache:
            cache[key] = _box_loss(output, is_on, others, shift, is_active)
        losses[active] = cache[key]
    return losses


def _box_loss(
    output: Output, is_on: bool, others: list[Any], shift: Any, is_active: Callable[[Any], bool]
) -> Any:
    field = output.field
    own = output.couplings[output.index] if is_on and output.couplings[output.index] else None
    if output.activation == "linear":
        moments = linear_moments(field, own, others, shift)
    else:
        moments = box_moments(field, own, others, shift, is_active)
    if not is_on:
        return moments.second
    return moments.second - moments.cross * field(2) + field.one / field(3)
