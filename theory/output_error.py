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
from typing import Any, Protocol

import sympy

from ..features import FeatureDistribution, Gate, GateKind
from ..model import Activation
from .fields import element_of
from .transforms import (
    Transform,
    add,
    identity,
    multiply,
    power_moment,
    scale,
    value_transform,
)

__all__ = [
    "ActiveSetTerm",
    "DensityRing",
    "Output",
    "OutputError",
    "Parabola",
    "TruncatedPowers",
    "active_set_terms",
    "error",
]


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
            ring.from_sympy(generators[d]) if d in generators else ring.one * element_of(field, d)
            for d in densities
        )
        return cls(field, ring, elements, {symbol: d for d, symbol in generators.items()})

    def lift(self, element: Any) -> Any:
        """Return an element of the field, or of the ring, as one of the ring."""
        return element if self.ring.of_type(element) else self.ring.one * element

    def to_sympy(self, element: Any) -> sympy.Expr:
        """Return an element as an expression in the densities."""
        return self.ring.to_sympy(self.lift(element)).xreplace(dict(self.expressions))


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

    def moment(self, power: int) -> Any:
        """Return E x_i^power given that feature i is on, as an element of the field."""
        values = self.features.values
        odd = values.symmetric and power % 2
        moment = power_moment(values.coefficients, power) * (0 if odd else 1)
        return self.field(moment.numerator) / self.field(moment.denominator)


class OutputError(Protocol):
    """The expected squared error of one output, as a function of its bias β."""

    def at(self, shift: Any, is_active: Callable[[Any], bool]) -> Any:
        """Return the error at β = `shift`.

        `shift` is an element of the field of the couplings, or of a ring above it that holds the
        coefficients too. `is_active` says of a vertex value t whether β + t is positive.
        """
        ...


@dataclass(frozen=True)
class TruncatedPowers:
    """constant + Σ_t P_t(β + t) 1{β + t > 0}, as a function of β.

    Attributes
    ----------
    constant
        An element of the densities' ring.
    powers
        For each vertex value t the coefficients of P_t by power, elements of the same ring.
    """

    constant: Any
    powers: Mapping[Any, Mapping[int, Any]]

    def at(self, shift: Any, is_active: Callable[[Any], bool]) -> Any:
        """Return the error at β = `shift`, as `OutputError` says."""
        total = self.constant + shift * 0
        for t in self.powers:
            if is_active(t):
                total += self.term(t, shift)
        return total

    def term(self, t: Any, shift: Any) -> Any:
        """Return P_t(β + t)."""
        y = shift + t
        return sum(coefficient * y**power for power, coefficient in self.powers[t].items())


@dataclass(frozen=True)
class Parabola:
    """β² + 2β·mean + second: the error of an output without activation.

    Attributes
    ----------
    mean, second
        First and second moment of Σ_j g_j x_j − x_i, elements of the densities' ring.
    """

    mean: Any
    second: Any

    def at(self, shift: Any, is_active: Callable[[Any], bool] | None = None) -> Any:
        """Return the error at β = `shift`, as `OutputError` says."""
        return self.second + self.mean * shift * 2 + shift * shift


def _mixture(
    output: Output, gate: Gate, transform_of: Callable[[tuple[int, ...]], Transform]
) -> Transform:
    """Return Σ probability · transform over the states of a gate."""
    ring = output.ring
    return add(
        scale(transform_of(members), probability)
        for members, probability in gate.states(ring.densities)
        if probability
    )


def error(output: Output) -> OutputError:
    """Return the error of an output, averaged over which features are on."""
    return _linear_error(output) if output.activation == "linear" else _relu_error(output)


def _linear_error(output: Output) -> Parabola:
    mean = variance = output.ring.ring.zero
    for gate in output.gates:
        states = [
            (probability, _linear_error_given(output, members))
            for members, probability in gate.states(output.ring.densities)
        ]
        gate_mean = sum(p * part.mean for p, part in states)
        variance += sum(p * part.second for p, part in states) - gate_mean**2
        mean += gate_mean
    return Parabola(mean, variance + mean**2)


def _linear_error_given(output: Output, active: Sequence[int]) -> Parabola:
    field = output.field
    gaps = [output.couplings[j] - (field.one if j == output.index else field.zero) for j in active]
    first, second = output.moment(1), output.moment(2)
    mean = first * sum(gaps, field.zero)
    squares = sum((gap * gap for gap in gaps), field.zero)
    return Parabola(mean, mean * mean + (second - first * first) * squares)


def _relu_error(output: Output) -> TruncatedPowers:
    sums = {gate: _mixture(output, gate, lambda on: _sum(output, on)) for gate in output.gates}
    own_gate = next(gate for gate in output.gates if output.index in gate.members)
    others = (sums[gate] for gate in output.gates if gate is not own_gate)
    rest = reduce(multiply, others, {(output.field.zero, 0): output.ring.ring.one})
    weighted = _mixture(
        output, own_gate, lambda on: _weighted_sum(output, on) if output.index in on else {}
    )
    constant = output.ring.densities[output.index] * output.moment(2)
    return _truncated_powers(
        output, constant, multiply(rest, sums[own_gate]), multiply(rest, weighted)
    )


def _error_given(output: Output, active: Sequence[int]) -> OutputError:
    """Return the error of an output given that exactly the features `active` are on."""
    if output.activation == "linear":
        return _linear_error_given(output, active)
    is_on = output.index in active
    constant = output.moment(2) if is_on else output.field.zero
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
    """Return constant − 2 E x_i z₊ + E z₊² from the transforms of Σ_j g_j x_j."""
    field = output.field
    powers: dict[Any, dict[int, Any]] = {}
    for transform, p, factor in ((plain, 2, 2), (weighted, 1, -2)):
        for (t, k), c in transform.items():
            own = powers.setdefault(t, {})
            part = c * (field(factor) / field(factorial(p + k)))
            own[p + k] = own[p + k] + part if p + k in own else part
    nonzero = {t: {q: c for q, c in own.items() if c} for t, own in powers.items()}
    return TruncatedPowers(constant, {t: own for t, own in nonzero.items() if own})


@dataclass(frozen=True)
class ActiveSetTerm:
    """One active set's part of the expected loss of one output.

    Attributes
    ----------
    active
        Indices of the features that are on, counted from 0, of those that matter to the output.
    probability
        Probability that, of the features that matter, exactly these are on.
    loss
        E (x_i − x̂_i)² given that they are, exactly.
    """

    active: tuple[int, ...]
    probability: sympy.Expr
    loss: sympy.Expr


def active_set_terms(
    output: Output,
    shift: Any,
    is_active: Callable[[Any], bool],
    to_sympy: Callable[[Any], sympy.Expr],
) -> tuple[ActiveSetTerm, ...]:
    """Return the error at β = `shift` as a sum over sets of active features, small ones first.

    What `error` sums without enumeration; there are 2^k sets of k features that matter.
    `to_sympy` converts from the domain of `shift`.
    """
    return tuple(
        ActiveSetTerm(
            active, probability, to_sympy(_error_given(output, active).at(shift, is_active))
        )
        for active, probability in _active_sets(output)
    )


def _active_sets(output: Output) -> list[tuple[tuple[int, ...], sympy.Expr]]:
    ring = output.ring
    densities = [ring.to_sympy(density) for density in ring.densities]
    states = [_states_that_matter(output, gate.states(densities)) for gate in output.gates]
    sets = [
        (
            tuple(sorted(j for members, _ in choice for j in members)),
            sympy.Mul(*(probability for _, probability in choice)),
        )
        for choice in product(*states)
    ]
    return sorted(sets, key=lambda item: (len(item[0]), item[0]))


def _states_that_matter(
    output: Output, states: Iterator[tuple[tuple[int, ...], Any]]
) -> list[tuple[tuple[int, ...], sympy.Expr]]:
    """Return a gate's states with those merged that differ in features that do not matter."""
    merged: dict[tuple[int, ...], sympy.Expr] = {}
    for on, probability in states:
        seen = tuple(j for j in on if j in output.relevant)
        merged[seen] = merged.get(seen, sympy.S.Zero) + probability
    return list(merged.items())
