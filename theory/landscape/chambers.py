"""The regions of a family's parameters on which the loss is one rational function.

A **chamber** is a region of the parameters in which no vertex value of a pre-activation, that is
(WᵀW v + b)_i at a corner v of the unit box, changes its sign. In a chamber the expected loss is
one rational function of the parameters, so that stationary points solve polynomial equations.
Across the walls between chambers the loss is continuous, with continuous first derivatives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import sympy

from ..fields import UndecidedSignError, decide_sign, field_of
from ..loss import expected_loss
from .certified_roots import (
    CertifiedRoot,
    Enclosure,
    UncertifiedRootError,
    certify_root,
)

if TYPE_CHECKING:
    from .families import Family

__all__ = ["Chamber", "FamilyMinimum", "LossTerms", "Point", "VertexSign"]

Point = Mapping[sympy.Symbol, Any]


@dataclass(frozen=True)
class LossTerms:
    """What the loss depends on besides weights and biases: arguments of `expected_loss`.

    Attributes
    ----------
    density, importance
        One entry per feature; numbers or expressions.
    penalty
        λ.
    """

    density: tuple[sympy.Expr, ...]
    importance: tuple[sympy.Expr, ...]
    penalty: sympy.Expr

    @property
    def free_symbols(self) -> set[sympy.Symbol]:
        """Symbols such as s and r that are left open."""
        terms = (*self.density, *self.importance, self.penalty)
        return set().union(*(term.free_symbols for term in terms))


@dataclass(frozen=True)
class VertexSign:
    """The sign of one pre-activation at one corner of the unit box.

    Attributes
    ----------
    output
        Index i.
    active
        The features that are on at the corner.
    value
        (WᵀW v + b)_i.
    sign
        −1, 0 or 1 in the chamber.
    """

    output: int
    active: tuple[int, ...]
    value: sympy.Expr
    sign: int


@dataclass(frozen=True)
class Chamber:
    """A region of a family's parameters on which the loss is one rational function.

    Attributes
    ----------
    family
        The family.
    signs
        The sign of every vertex value.
    sample
        A point inside.
    terms
        Densities, importances and penalty.
    """

    family: Family
    signs: tuple[VertexSign, ...]
    sample: tuple[tuple[sympy.Symbol, sympy.Expr], ...]
    terms: LossTerms

    @property
    def pattern(self) -> tuple[int, ...]:
        """The signs alone: chambers are equal when their patterns are."""
        return tuple(vertex.sign for vertex in self.signs)

    @property
    def parameters(self) -> tuple[sympy.Symbol, ...]:
        """The family's parameters."""
        return self.family.parameters

    @cached_property
    def inequalities(self) -> tuple[sympy.Expr, ...]:
        """Conditions that define the chamber.

        Left out are conditions that follow from the assumptions on the symbols, and those that
        exceed another condition of the list by something that the assumptions make positive.
        """
        positive = [v.sign * v.value for v in self.signs if v.sign and _known(v.value) is None]
        kept: list[sympy.Expr] = []
        for k, value in enumerate(positive):
            others = [*kept, *positive[k + 1 :]]
            if not any(_known(value - other) in (0, 1) for other in others):
                kept.append(value)
        return tuple(sympy.expand(value) > 0 for value in kept)

    @cached_property
    def conditions(self) -> tuple[sympy.Expr, ...]:
        """All vertex values times their signs, which are positive inside the chamber."""
        return tuple(v.sign * v.value for v in self.signs if v.sign)

    @cached_property
    def loss(self) -> sympy.Expr:
        """The expected loss: exact, and valid on the closed chamber."""
        derived = expected_loss(
            self.family.W,
            self.family.b,
            density=self.terms.density,
            importance=self.terms.importance,
            penalty=self.terms.penalty,
            sample=dict(self.sample),
        )
        return _by_monomials(derived, self.parameters) if _has_roots(derived) else derived

    @cached_property
    def gradient(self) -> tuple[sympy.Expr, ...]:
        """Derivatives of the loss in the parameters."""
        return tuple(entry.as_expr() for entry in self._slopes)

    @cached_property
    def _slopes(self) -> tuple[Any, ...]:
        """Derivatives as elements of a field: far faster to reduce than expressions."""
        symbols = (*self.parameters, *sorted(self.terms.free_symbols, key=str))
        ground = field_of([sympy.S.One, *_roots_in(self.loss)])
        field = ground.frac_field(*symbols)
        loss = field.from_sympy(self.loss)
        above, below = loss.numer, loss.denom
        # By the quotient rule: the field's own derivative does not do algebraic numbers.
        return tuple(
            field.field.new(above.diff(x) * below - above * below.diff(x), below**2)
            for x in field.field.ring.gens[: len(self.parameters)]
        )

    @cached_property
    def hessian(self) -> sympy.ImmutableMatrix:
        """Second derivatives of the loss in the parameters."""
        return sympy.ImmutableMatrix(sympy.hessian(self.loss, self.parameters))

    @cached_property
    def hessian_at_rest(self) -> sympy.ImmutableMatrix:
        """The Hessian at points where the gradient vanishes: shorter expressions."""
        rows = [
            [multiplier * sympy.Poly(numerator, *self.parameters).diff(x).as_expr()
             for x in self.parameters]
            for numerator, multiplier in self._parts
        ]  # fmt: skip
        return sympy.ImmutableMatrix(rows)

    @cached_property
    def stationarity(self) -> tuple[sympy.Expr, ...]:
        """Polynomials that vanish at a stationary point: numerators of the gradient.

        Constant factors and powers of parameters, which do not vanish, are taken out.
        """
        return tuple(numerator for numerator, _ in self._parts)

    @cached_property
    def multipliers(self) -> tuple[sympy.Expr, ...]:
        """What the entries of `stationarity` are to be multiplied by to give the gradient.

        At a stationary point the Hessian is the Jacobian of `stationarity`, row by row multiplied
        by these.
        """
        return tuple(multiplier for _, multiplier in self._parts)

    @cached_property
    def _parts(self) -> tuple[tuple[sympy.Expr, sympy.Expr], ...]:
        return tuple(self._split(entry) for entry in self._slopes)

    @staticmethod
    def _split(slope: Any) -> tuple[sympy.Expr, sympy.Expr]:
        if not slope:
            return sympy.S.Zero, sympy.S.One
        ring = slope.numer.ring
        content, primitive = slope.numer.primitive()
        # Powers are taken out only of symbols that cannot vanish, or roots would be lost.
        exponents = tuple(
            min(powers) if symbol.is_positive else 0
            for symbol, powers in zip(
                ring.symbols, zip(*primitive.keys(), strict=True), strict=True
            )
        )
        reduced = ring.from_dict(
            {tuple(k - e for k, e in zip(powers, exponents, strict=True)): c
             for powers, c in primitive.items()}
        )  # fmt: skip
        monomial = sympy.prod(x**k for x, k in zip(ring.symbols, exponents, strict=True))
        constant = ring.domain.to_sympy(content)
        return reduced.as_expr(), constant * monomial / slope.denom.as_expr()

    def contains(self, point: Point) -> bool:
        """Say, exactly, whether a point lies in the closed chamber."""
        exact = self.family._exact_sample(point)
        return all(
            decide_sign(value) in (v.sign, 0)
            for v in self.signs
            for value in [sympy.expand(v.value.subs(exact))]
        )

    def elimination(self, parameter: sympy.Symbol) -> sympy.Poly:
        """Return a polynomial in one parameter that vanishes at all stationary points.

        The others are eliminated by a Gröbner basis, which is feasible for few parameters.

        Raises
        ------
        ValueError
            If the stationary points of the closed complex variety are not isolated.
        """
        others = [x for x in self.parameters if x != parameter]
        basis = sympy.groebner(self.stationarity, *others, parameter, order="lex")
        last = [g for g in basis.exprs if not set(others) & g.free_symbols]
        if not last:
            raise ValueError(
                f"{parameter} is not determined: the stationarity system of {self.family.name} "
                f"has solutions that are not isolated"
            )
        return sympy.Poly(last[0], parameter)

    def certify(self, point: Sequence[float], *, digits: int = 30) -> FamilyMinimum:
        """Prove that the family has a minimum near a point inside this chamber.

        Raises
        ------
        UncertifiedRootError
            If the root is not proved, does not provably lie inside the chamber, or the Hessian
            there is not provably positive definite.
        """
        root = certify_root(self.stationarity, self.parameters, point, digits=digits)
        if not root.is_positive(*self.conditions):
            raise UncertifiedRootError("the root is not proved to lie in its chamber", point)
        if not root.is_positive_definite(self.hessian_at_rest):
            raise UncertifiedRootError("the Hessian is not proved to be positive definite", point)
        return FamilyMinimum(self, root, root.enclose(self.loss)[0])


def _roots_in(expression: sympy.Expr) -> list[sympy.Expr]:
    powers = expression.atoms(sympy.Pow)
    return sorted((x for x in powers if x.is_number and not x.exp.is_Integer), key=str)


def _has_roots(expression: sympy.Expr) -> bool:
    return any(not power.exp.is_Integer for power in expression.atoms(sympy.Pow))


def _by_monomials(expression: sympy.Expr, symbols: Sequence[sympy.Symbol]) -> sympy.Expr:
    """Return an expression with algebraic coefficients as a sum over monomials.

    Over a common denominator with roots in it, evaluation would cancel many digits.
    """
    numerator, denominator = sympy.fraction(sympy.together(expression))
    below = sympy.Poly(denominator, *symbols).terms()
    if len(below) > 1:
        return expression
    [(exponents, constant)] = below
    monomial = sympy.prod(x**k for x, k in zip(symbols, exponents, strict=True))
    return sympy.Add(
        *(
            sympy.expand(sympy.radsimp(sympy.expand(coefficient) / constant))
            * sympy.prod(x**k for x, k in zip(symbols, powers, strict=True))
            / monomial
            for powers, coefficient in sympy.Poly(sympy.expand(numerator), *symbols).terms()
        )
    )


def _known(expression: sympy.Expr) -> int | None:
    """Return the sign of an expression if the assumptions on its symbols decide it."""
    try:
        return decide_sign(expression)
    except UndecidedSignError:
        return None


@dataclass(frozen=True)
class FamilyMinimum:
    """A proved local minimum of the expected loss over a family.

    What is proved: inside its box there is exactly one stationary point, it lies in the chamber,
    and the Hessian there is positive definite. What is not: that no other minimum is lower, and
    that the loss rises in directions that leave the family.

    Attributes
    ----------
    chamber
        The chamber it lies in.
    root
        The certified solution of the stationarity system.
    loss
        Enclosure of the loss.
    """

    chamber: Chamber
    root: CertifiedRoot
    loss: Enclosure

    @property
    def parameters(self) -> dict[sympy.Symbol, Enclosure]:
        """Enclosures of the parameters."""
        return self.root.values

    @property
    def W(self) -> tuple[tuple[Enclosure, ...], ...]:
        """Enclosures of the weights, row by row."""
        return tuple(self.root.enclose(*row) for row in self.chamber.family.W.tolist())

    @property
    def b(self) -> tuple[Enclosure, ...]:
        """Enclosures of the biases."""
        return self.root.enclose(*self.chamber.family.b)

    @cached_property
    def exact(self) -> dict[sympy.Symbol, sympy.Expr] | None:
        """The minimizer as an algebraic number (RootOf or roots) if there is one parameter."""
        if len(self.chamber.parameters) != 1:
            return None
        (parameter,) = self.chamber.parameters
        (enclosure,) = self.root.enclosures
        polynomial = sympy.Poly(self.chamber.stationarity[0], parameter)
        roots = [root for root in polynomial.real_roots() if root in enclosure]
        return {parameter: roots[0]} if len(roots) == 1 else None
