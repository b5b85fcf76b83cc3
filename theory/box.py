"""Moments of a rectified linear form over the unit box.

For couplings g_j, all different from zero, and a shift β,

    ∫_{[0,1]^k} (g·x + β)₊^p dx = p! / ((p+k)! Π_j g_j) Σ_{v ∈ {0,1}^k} (−1)^{k−|v|} (g·v + β)₊^{p+k},

by k integrations of the p-th power; the terms are values at the vertices of the box. The cross
moment is half the derivative of the second moment with respect to the coupling of x_i.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import factorial
from typing import Any

__all__ = ["BoxMoments", "box_moments", "linear_moments", "vertex_measure"]


@dataclass(frozen=True)
class BoxMoments:
    """Integrals over the box [0,1]^A of powers of z₊ = (g·x + β)₊.

    Attributes
    ----------
    first, second
        ∫ z₊ and ∫ z₊².
    cross
        ∫ x_i z₊, for the feature i whose coupling was named, else for any x_i that z does not
        contain.
    """

    first: Any
    second: Any
    cross: Any


def vertex_measure(couplings: Sequence[Any], zero: Any) -> dict[Any, int]:
    """Return the vertex values g·v with the sum of their signs (−1)^{k−|v|}.

    Equal couplings give equal values, which are merged here: k equal couplings cost k + 1
    values in place of 2^k.

    Examples
    --------
    >>> vertex_measure([1, 1], 0)
    {0: 1, 1: -2, 2: 1}
    """
    measure = {zero: 1}
    for coupling in couplings:
        shifted: dict[Any, int] = {value: -sign for value, sign in measure.items()}
        for value, sign in measure.items():
            shifted[value + coupling] = shifted.get(value + coupling, 0) + sign
        measure = {value: sign for value, sign in shifted.items() if sign}
    return measure


def box_moments(
    field: Any, own: Any, others: Sequence[Any], shift: Any, is_active: Callable[[Any], bool]
) -> BoxMoments:
    """Return the moments of z₊ for z = own·x_i + others·x + shift, exactly.

    Parameters
    ----------
    field
        SymPy domain of the couplings.
    own
        Coupling of x_i, not zero; ``None`` if z does not contain x_i.
    others
        Couplings of the other active features, none of them zero.
    shift
        β: an element of `field`, or the generator of a polynomial ring over it.
    is_active
        Says of a vertex value g·v (without the shift) whether g·v + β is positive.
    """
    couplings = [*others] if own is None else [own, *others]
    k = len(couplings)
    volume = field.one
    for coupling in couplings:
        volume = volume * coupling

    def vertex_sum(measure: dict[Any, int], offset: Any, power: int) -> Any:
        total = shift * 0
        for value, sign in measure.items():
            if is_active(value + offset):
                total += (shift + (value + offset)) ** power * sign
        return total

    whole = vertex_measure(couplings, field.zero)
    first = vertex_sum(whole, field.zero, k + 1) * (field.one / (volume * factorial(k + 1)))
    second = vertex_sum(whole, field.zero, k + 2) * (field(2) / (volume * factorial(k + 2)))
    if own is None:
        return BoxMoments(first, second, first * (field.one / field(2)))
    face = vertex_measure(others, field.zero)  # the vertices with v_i = 1
    cross = vertex_sum(face, own, k + 1) * (field.one / (volume * factorial(k + 1)))
    return BoxMoments(first, second, cross - second * (field.one / (field(2) * own)))


def linear_moments(field: Any, own: Any, others: Sequence[Any], shift: Any) -> BoxMoments:
    """Return the moments of z itself, for the identity activation.

    Uses ∫ x_j = 1/2, ∫ x_j² = 1/3 and ∫ x_j x_k = 1/4; couplings may be zero.
    """
    couplings = [*others] if own is None else [own, *others]
    total = field.zero
    squares = field.zero
    for coupling in couplings:
        total += coupling
        squares += coupling * coupling
    first = shift + total / field(2)
    # Var z = Σ g_j² / 12
    second = first * first + squares / field(12)
    cross = first * (field.one / field(2)) + (field.zero if own is None else own / field(12))
    return BoxMoments(first, second, cross)
