"""The expected squared error of one output, as a function of its bias.

With z = β + Σ_j g_j x_j the error is E x_i² − 2 E x_i z₊ + E z₊². The two last terms follow from
the transform of Σ_j g_j x_j, once as it is and once weighted by x_i, so that the error is a sum of
truncated powers of β,

    E (x_i − z₊)² = E x_i² + Σ_t P_t(β + t) 1{β + t > 0},

over the vertex values t, with polynomials P_t whose coefficients are polynomials in the densities.
No set of active features is enumerated: gates multiply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from itertools import product
from math import factorial
from typing import Any

import sympy

from ..features import FeatureDistribution, Gate, GateKind
from ..model import Activation
from .transforms import (
    Transform,
    add,
    identity,
    multiply,
    power_moment,
    scale,
    value_transform,
)

__all__ = ["DensityRing", "Output", "TruncatedPowers", "active_sets", "conditional_error", "error"]


@dataclass(frozen=True)
class DensityRing:
    """Polynomials in the densities that are no numbers, over the field of the couplings.

    Attributes
    ----------
    field
        SymPy domain of the couplings and of the densities that are numbers.
    ring
        The polynomial ring, or `field` itself if all densities are numbers.
    densities
        One element of `ring` for each feature.
    expressions
        What each generator of `ring` stands for.
    """

    field: Any
    ring: Any
    densities: tuple[Any, ...]
    expressions: Mapping[sympy.Symbol, sympy.Expr]

    @classmethod
    def over(cls, field: Any, densities: Sequence[sympy.Expr]) -> DensityRing:
        """Return the ring for densities of which the numbers lie in `field`."""
        unknown = list(dict.fromkeys(d for d in densities if not d.is_number))
        # Generators of their own: a density may also occur in the couplings, or be no symbol.
        generators = {d: sympy.Dummy(f"d{k}") for k, d in enumerate(unknown)}
        ring = field.poly_ring(*generators.values()) if unknown else field
        elements = tuple(
            ring.from_sympy(generators[d]) if d in generators else ring.convert(field.from_sympy(d))
            for d in densities
        )
        return cls(field, ring, elements, {symbol: d for d, symbol in generators.items()})

    def to_sympy(self, element: Any) -> sympy.Expr:
        """Return an element as an expression in the densities."""
        return self.ring.to_sympy(element).xreplace(dict(self.expressions))


@dataclass(frozen=True)
class Output:
    """One output of the model, with its couplings in an exact field.

    Attributes
    ----------
    index
        Which feature it reconstructs, counted from 0.
    couplings
        Row i of WᵀW as n elements of `ring.field`.
    ring
        The densities, and where they live.
    features
        What the inputs are drawn from.
    activation
        "relu" or "linear".
    """

    index: int
    couplings: tuple[Any, ...]
    ring: DensityRing
    features: FeatureDistribution
    activation: Activation

    @property
    def field(self) -> Any:
        """SymPy domain of the couplings."""
        return self.ring.field

    @cached_property
    def relevant(self) -> tuple[int, ...]:
        """Features on which the reconstruction error depends."""
        return tuple(j for j, coupling in enumerate(self.couplings) if coupling or j == self.index)

    @cached_property
    def gates(self) -> tuple[Gate, ...]:
        """The gates of the features that matter, with members that do not matter."""
        gates = self.features.gates(len(self.couplings))
        return tuple(gate for gate in gates if set(gate.members) & set(self.relevant))

    @cached_property
    def signature(self) -> tuple[Any, ...]:
        """What the error depends on: equal for outputs that differ by an order of features."""

        def seen(gate: Gate) -> tuple[Any, ...]:
            members = ((self.couplings[j], self.ring.densities[j]) for j in gate.members)
            is_own = self.index in gate.members
            single = len(gate.members) == 1 and gate.kind is not GateKind.EXACTLY_ONE
            kind = "single" if single else gate.kind.value
            return is_own, kind, tuple(sorted(members, key=str))

        own = self.couplings[self.index], self.ring.densities[self.index]
        return (*own, tuple(sorted(map(seen, self.gates), key=str)))

    def value(self, feature: int, power: int = 0) -> Transform:
        """Return the transform of one feature that is on, times a power of its value."""
        values = self.features.values
        return value_transform(
            self.field,
            self.couplings[feature],
            values.coefficients,
            symmetric=values.symmetric,
            power=power,
        )

    def second_moment(self) -> Any:
        """Return E x_i² given that feature i is on, as an element of the field."""
        moment = power_moment(self.features.values.coefficients, 2)
        return self.field(moment.numerator) / self.field(moment.denominator)


@dataclass(frozen=True)
class TruncatedPowers:
    """constant + Σ_t P_t(β + t) 1{β + t > 0}, as a function of β.

    Attributes
    ----------
    ring
        SymPy domain of the coefficients.
    constant
        An element of it.
    powers
        For each vertex value t the coefficients of P_t by power.
    """

    ring: Any
    constant: Any
    powers: Mapping[Any, Mapping[int, Any]]

    def at(self, shift: Any, is_active: Callable[[Any], bool]) -> Any:
        """Return the value at β = `shift`, an element of the ring, of its field, or of a ring above.

        `is_active` says of a vertex value t whether β + t is positive.
        """
        total = shift * 0 + self.constant
        for t in self.powers:
            if is_active(t):
                total += self.term(t, shift)
        return total

    def term(self, t: Any, shift: Any) -> Any:
        """Return P_t(β + t)."""
        y = shift + t
        total = y * 0
        below = 0
        for power, coefficient in sorted(self.powers[t].items(), reverse=True):
            total = total * y ** (below - power) + coefficient if below else total + coefficient
            below = power
        return total * y**below


def _mixture(
    output: Output, gate: Gate, transform_of: Callable[[tuple[int, ...]], Transform]
) -> Transform:
    """Return Σ probability · transform over the states of a gate."""
    ring = output.ring
    return add(
        scale(transform_of(members), ring.ring.convert(probability))
        for members, probability in gate.states(ring.densities)
        if probability
    )


def error(output: Output) -> TruncatedPowers:
    """Return the error of a ReLU output, averaged over which features are on."""
    sums = {gate: _mixture(output, gate, lambda on: _sum(output, on)) for gate in output.gates}
    own_gate = next(gate for gate in output.gates if output.index in gate.members)
    rest = _product(output, (sums[gate] for gate in output.gates if gate is not own_gate))
    weighted = _mixture(
        output, own_gate, lambda on: _weighted_sum(output, on) if output.index in on else {}
    )
    constant = output.ring.densities[output.index] * output.second_moment()
    return _truncated_powers(
        output, constant, multiply(rest, sums[own_gate]), multiply(rest, weighted)
    )


def conditional_error(output: Output, active: Sequence[int]) -> TruncatedPowers:
    """Return the error of a ReLU output given that exactly the features `active` are on."""
    is_on = output.index in active
    constant = output.second_moment() if is_on else output.field.zero
    weighted = _weighted_sum(output, active) if is_on else {}
    return _truncated_powers(output, constant, _sum(output, active), weighted)


def _sum(output: Output, active: Sequence[int]) -> Transform:
    return _product(output, (output.value(j) for j in active))


def _weighted_sum(output: Output, active: Sequence[int]) -> Transform:
    return _product(output, (output.value(j, power=int(j == output.index)) for j in active))


def _product(output: Output, transforms: Iterator[Transform]) -> Transform:
    return reduce(multiply, transforms, identity(output.field))


def _truncated_powers(
    output: Output, constant: Any, plain: Transform, weighted: Transform
) -> TruncatedPowers:
    ring = output.ring.ring
    powers: dict[Any, dict[int, Any]] = {}
    for transform, p, factor in ((plain, 2, 2), (weighted, 1, -2)):
        for (t, k), c in transform.items():
            own = powers.setdefault(t, {})
            scaled = ring.convert(c) * ring.convert(
                output.field(factor) / output.field(factorial(p + k))
            )
            own[p + k] = own[p + k] + scaled if p + k in own else scaled
    kept = {t: {q: c for q, c in own.items() if c} for t, own in powers.items()}
    return TruncatedPowers(ring, ring.convert(constant), {t: own for t, own in kept.items() if own})


def active_sets(output: Output) -> Iterator[tuple[tuple[int, ...], Any]]:
    """Yield the sets of relevant features that can be on, small ones first, with probabilities.

    Probabilities are elements of the ring of the densities.
    """
    sets: dict[tuple[int, ...], Any] = {}
    states = [list(gate.states(output.ring.densities)) for gate in output.gates]
    one = output.ring.ring.one
    for choice in product(*states):
        on = {j for members, _ in choice for j in members}
        active = tuple(j for j in output.relevant if j in on)
        probability = reduce(lambda total, state: total * state[1], choice, one)
        sets[active] = sets[active] + probability if active in sets else probability
    yield from sorted(sets.items(), key=lambda item: (len(item[0]), item[0]))
