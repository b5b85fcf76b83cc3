"""Configurations with free parameters: their loss chamber by chamber, and where it is lowest.

A **chamber** is a region of the parameters in which no vertex value of a pre-activation, that is
(WᵀW v + b)_i at a corner v of the unit box, changes its sign. In a chamber the expected loss is
one rational function of the parameters, so that stationary points solve polynomial equations.
Across the walls between chambers the loss is continuous, with continuous first derivatives.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import sympy
from scipy.optimize import minimize as scipy_minimize

from ..fields import UndecidedSignError, decide_sign, field_of, tidy_algebraic
from ..inputs import (
    as_exact,
    read_bias,
    read_density,
    read_importance,
    read_penalty,
    read_weights,
)
from ..loss import expected_loss
from ..symbols import OPTIMAL
from .certified_roots import (
    CertifiedRoot,
    Enclosure,
    UncertifiedRootError,
    certify_root,
)
from .evaluation import FloatContext, compile_expressions, compile_with_jacobian

__all__ = ["Atlas", "Chamber", "Family", "FamilyMinimum", "LossTerms", "VertexSign", "antipodal_family",
           "isosceles_family", "polygon_family", "symmetric_pair_family"]  # fmt: skip

Point = Mapping[sympy.Symbol, Any]
_DENOMINATOR = 10**12  # samples are rounded to rationals with this denominator
_FLAT = 1e-9  # gradient, and then step, at which a search in floats has arrived
_DIFFERENCE = 1e-6
_POLISHING_STEPS = 25
_EDGE = 1e-6  # positive parameters below this have descended to their bound
_OFF_THE_WALL = 1e-9  # the loss is continuous, so that a search may take either side
_SEED = 0


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


@dataclass(frozen=True, init=False)
class Family:
    """Weights and biases that depend on free parameters.

    Attributes
    ----------
    name
        Short, lower-case words.
    W
        Weights (m, n) with expressions as entries.
    b
        n biases, numbers or expressions.
    parameters
        The free symbols, in the order of their names unless another one is given.

    Raises
    ------
    ValueError
        If W is no rectangle, b does not fit it or is `OPTIMAL`, or `parameters` are not the free
        symbols of W and b.

    Examples
    --------
    >>> a, c, p, q = sympy.symbols("a c p q", positive=True)
    >>> pair = Family("pair", [[a, -c]], [p, q])
    >>> chamber = pair.chamber({a: 0.9, c: 0.8, p: 0.1, q: 0.1}, density=0.5)
    >>> chamber.inequalities
    (a*c - p > 0, a**2 - a*c + p > 0, a*c - q > 0, -a*c + c**2 + q > 0)
    >>> found = pair.minimum(density=0.5, start={a: 0.9, c: 0.9, p: 0.1, q: 0.1})
    >>> print(found.parameters[a].decimal(12), found.loss.decimal(12))
    0.968969991305 0.076282446990
    """

    name: str
    W: sympy.ImmutableMatrix
    b: tuple[sympy.Expr, ...]
    parameters: tuple[sympy.Symbol, ...]

    def __init__(
        self, name: str, W: Any, b: Any = None, parameters: Iterable[sympy.Symbol] | None = None
    ) -> None:
        """Bring W and b to exact, immutable forms; ``None`` is zero biases."""
        weights = read_weights(W)
        entries = read_bias(b, weights.shape[1])
        biases = tuple(entry for entry in entries if entry is not OPTIMAL)
        if len(biases) < len(entries):
            raise ValueError(
                "the biases of a family must be expressions: give an OPTIMAL bias a symbol of its "
                "own, which minimum() then solves for"
            )
        free = weights.free_symbols.union(*(entry.free_symbols for entry in biases))
        names = tuple(sorted(free, key=str) if parameters is None else parameters)
        if set(names) != free or len(names) != len(free) or not names:
            raise ValueError(
                f"the parameters must be the free symbols of W and b, "
                f"{', '.join(sorted(map(str, free))) or 'and there are none'}, got {names}"
            )
        for field, value in (("name", name), ("W", weights), ("b", biases), ("parameters", names)):
            object.__setattr__(self, field, value)

    @property
    def n_features(self) -> int:
        """Number n of features."""
        return int(self.W.shape[1])

    @cached_property
    def gram(self) -> sympy.ImmutableMatrix:
        """WᵀW."""
        return (self.W.T * self.W).applyfunc(_tidy)

    def vertex_values(self) -> Iterator[tuple[int, tuple[int, ...], sympy.Expr]]:
        """Yield output, active features and (WᵀW v + b)_i for every distinct vertex value."""
        seen = set()
        for i in range(self.n_features):
            coupled = [j for j in range(self.n_features) if self.gram[i, j] != 0]
            for corner in product((0, 1), repeat=len(coupled)):
                active = tuple(j for j, on in zip(coupled, corner, strict=True) if on)
                value = sympy.expand(self.b[i] + sum(self.gram[i, j] for j in active))
                if (i, value) not in seen:
                    seen.add((i, value))
                    yield i, active, value

    def terms(self, density: Any, importance: Any = None, penalty: Any = 0) -> LossTerms:
        """Return checked densities, importances and penalty for this family's features."""
        return LossTerms(
            read_density(density, self.n_features),
            read_importance(importance, self.n_features),
            read_penalty(penalty),
        )

    def chamber(
        self, sample: Point, *, density: Any, importance: Any = None, penalty: Any = 0
    ) -> Chamber:
        """Return the chamber that holds a sample.

        Parameters
        ----------
        sample
            A number for every parameter, off the walls between chambers.
        density, importance, penalty
            As in `expected_loss`; they may contain symbols.

        Raises
        ------
        ValueError
            If a parameter has no value.
        UndecidedSignError
            If the sample lies on a wall.
        """
        exact = self._exact_sample(sample)
        return Chamber(
            self,
            tuple(self._signs(exact)),
            tuple(exact.items()),
            self.terms(density, importance, penalty),
        )

    def chambers(
        self,
        samples: Iterable[Point],
        *,
        density: Any,
        importance: Any = None,
        penalty: Any = 0,
    ) -> tuple[Chamber, ...]:
        """Return the distinct chambers that the samples meet, in the order in which they do."""
        found: dict[tuple[int, ...], Chamber] = {}
        for sample in samples:
            chamber = self.chamber(sample, density=density, importance=importance, penalty=penalty)
            found.setdefault(chamber.pattern, chamber)
        return tuple(found.values())

    def _exact_sample(self, sample: Point) -> dict[sympy.Symbol, sympy.Expr]:
        missing = set(self.parameters) - set(sample)
        if missing:
            raise ValueError(
                f"the sample must have a number for every parameter, got none for "
                f"{', '.join(sorted(map(str, missing)))}"
            )
        return {symbol: as_exact(sample[symbol], str(symbol)) for symbol in self.parameters}

    def _signs(self, sample: Point) -> Iterator[VertexSign]:
        for i, active, value in self.vertex_values():
            yield VertexSign(i, active, value, decide_sign(value, sample))

    def minimum(
        self,
        *,
        density: Any,
        importance: Any = None,
        penalty: Any = 0,
        start: Point | None = None,
        digits: int = 30,
        starts: int = 12,
    ) -> FamilyMinimum:
        """Find a minimum over the family in floats, then prove it and enclose it.

        Parameters
        ----------
        density, importance, penalty
            Numbers, as in `expected_loss`.
        start
            Where the search begins: the result is the minimum below it. ``None`` searches from
            `starts` seeded points and takes the lowest end, which is no proof that no other
            minimum is lower.
        digits
            Places after the point that shall be certain.
        starts
            Number of points, if `start` is ``None``.

        Returns
        -------
        FamilyMinimum

        Raises
        ------
        ValueError
            If the loss contains symbols that are no parameters of the family.
        UncertifiedRootError
            If the minimum is not isolated, lies on a wall or is not reached.
        """
        terms = self.terms(density, importance, penalty)
        if terms.free_symbols:
            raise ValueError(
                f"a minimum needs numbers for density, importance and penalty, got the symbols "
                f"{', '.join(sorted(map(str, terms.free_symbols)))}"
            )
        atlas = Atlas(self, terms)
        begins = [start] if start is not None else self._starts(starts)
        ends = [atlas.descend([float(begin[x]) for x in self.parameters]) for begin in begins]
        reached = [end for end in ends if end is not None]
        if not reached:
            raise UncertifiedRootError(
                "no descent reached a stationary point", [float(x) for x in begins[0].values()]
            )
        _, point = min(reached, key=lambda end: end[0])
        return atlas.chamber(point).certify(point, digits=digits)

    def _starts(self, count: int) -> list[dict[sympy.Symbol, float]]:
        """Draw starting points: weights of either sign near one, biases near zero."""
        draws = np.random.default_rng(_SEED).uniform(-1.0, 1.0, (count, len(self.parameters)))
        weights = self.W.free_symbols
        return [
            {
                x: _starting_value(x, u, x in weights)
                for x, u in zip(self.parameters, row, strict=True)
            }
            for row in draws.tolist()
        ]


def _starting_value(symbol: sympy.Symbol, draw: float, is_weight: bool) -> float:
    if not is_weight:
        return 0.15 + 0.15 * draw
    size = 0.3 + 0.9 * abs(draw)
    return size if symbol.is_positive or draw > 0 else -size


def _tidy(entry: sympy.Expr) -> sympy.Expr:
    """Expand, with every algebraic coefficient in its normal form."""
    expanded = sympy.expand(entry)
    if expanded.is_number or not expanded.atoms(sympy.cos, sympy.sin, sympy.Pow):
        return tidy_algebraic(expanded) if expanded.is_number else expanded
    symbols = sorted(expanded.free_symbols, key=str)
    terms = sympy.Poly(expanded, *symbols).terms()
    return sympy.Add(
        *(tidy_algebraic(c) * sympy.prod(x**k for x, k in zip(symbols, e, strict=True))
          for e, c in terms)
    )  # fmt: skip


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


class Atlas:
    """The chambers of a family that were met so far, by the signs at their points.

    A chamber's loss is derived once, and compiled once.

    Parameters
    ----------
    family
        The family.
    terms
        Densities, importances and penalty; they may contain symbols.
    """

    def __init__(self, family: Family, terms: LossTerms) -> None:
        """Start without chambers."""
        self.family = family
        self.terms = terms
        self.symbols = tuple(sorted(terms.free_symbols, key=str))
        self._found: dict[tuple[bool, ...], tuple[Chamber, Callable[..., list[Any]]]] = {}
        values = [value for _, _, value in family.vertex_values()]
        self._values = compile_expressions(values, family.parameters)

    def chamber(self, point: Sequence[float]) -> Chamber:
        """Return the chamber of a point, which is not to lie on a wall."""
        return self._at(point)[0]

    def loss_and_gradient(
        self, point: Sequence[float], values: Sequence[float] = ()
    ) -> tuple[float, list[float], list[float]]:
        """Return the loss and its derivatives in parameters and symbols, in floats.

        `values` are those of the symbols in `terms`, in the order of their names.
        """
        loss, *slopes = self._at(point)[1](FloatContext, *point, *values)
        return loss, slopes[: len(point)], slopes[len(point) :]

    def _at(self, point: Sequence[float]) -> tuple[Chamber, Callable[..., list[Any]]]:
        for shift in (0.0, _OFF_THE_WALL):
            moved = [value + shift * (k + 1) for k, value in enumerate(point)]
            pattern = tuple(value > 0 for value in self._values(FloatContext, *moved))
            if pattern in self._found:
                return self._found[pattern]
            try:
                chamber = self._derive(moved)
            except UndecidedSignError:
                continue
            symbols = [*self.family.parameters, *self.symbols]
            function = compile_with_jacobian([chamber.loss], symbols, len(symbols))
            self._found[pattern] = chamber, function
            return chamber, function
        raise UncertifiedRootError("the point lies on a wall between chambers", point)

    def _derive(self, point: Sequence[float]) -> Chamber:
        sample = {
            x: sympy.Rational(round(value * _DENOMINATOR), _DENOMINATOR)
            for x, value in zip(self.family.parameters, point, strict=True)
        }
        signs = tuple(self.family._signs(sample))
        return Chamber(self.family, signs, tuple(sample.items()), self.terms)

    def descend(
        self, start: Sequence[float], values: Sequence[float] = ()
    ) -> tuple[float, list[float]] | None:
        """Return loss and point of the minimum below a start, in floats, or ``None``.

        Parameters that are positive by assumption stay so: beyond zero lies another family.
        There is no result if the descent ends at such a bound or does not end.
        """

        def function(point: Any) -> tuple[float, Any]:
            try:
                loss, gradient, _ = self.loss_and_gradient(point.tolist(), values)
            except (UndecidedSignError, ZeroDivisionError, OverflowError):
                return np.inf, np.zeros_like(point)
            return loss, np.array(gradient)

        lower = [1e-9 if x.is_positive else None for x in self.family.parameters]
        found = scipy_minimize(
            function,
            np.array(start, dtype=float),
            jac=True,
            method="L-BFGS-B",
            bounds=[(low, None) for low in lower],
            options={"maxiter": 2000, "ftol": 1e-16, "gtol": _FLAT},
        )
        point = self._polish(found.x, values)
        if point is None or any(
            low is not None and x < _EDGE for x, low in zip(point, lower, strict=True)
        ):
            return None
        return self.loss_and_gradient(point, values)[0], point

    def _polish(self, point: Any, values: Sequence[float]) -> list[float] | None:
        """Go on by Newton's method, with differences of the exact gradient for the Hessian.

        Near the end of a line of minima the loss is too flat for descent alone. Returns ``None``
        where the Hessian is not positive definite or the steps do not become small.
        """

        def gradient(x: Any) -> Any:
            return np.array(self.loss_and_gradient(x.tolist(), values)[1])

        shifts = _DIFFERENCE * np.eye(len(point))
        for _ in range(_POLISHING_STEPS):
            try:
                rows = [gradient(point + h) - gradient(point - h) for h in shifts]
                hessian = np.array(rows) / (2 * _DIFFERENCE)
                np.linalg.cholesky((hessian + hessian.T) / 2)
                step = np.linalg.solve(hessian, gradient(point))
            except (UndecidedSignError, ArithmeticError, np.linalg.LinAlgError):
                return None
            point = point - step
            if float(np.abs(step).max()) < _FLAT:
                return [float(x) for x in point]
        return None


def antipodal_family() -> Family:
    """Return W = [a, −c] with biases p and q: opposed features in one dimension.

    Up to signs this is every (2, 1) model with W₁W₂ < 0.

    Examples
    --------
    >>> antipodal_family().W
    Matrix([[a, -c]])
    """
    a, c = sympy.symbols("a c", positive=True)
    p, q = sympy.symbols("p q", real=True)
    return Family("opposed pair", [[a, -c]], [p, q], (a, c, p, q))


def symmetric_pair_family() -> Family:
    """Return W = [a, −a] with both biases p: the pair at equal importances."""
    a = sympy.Symbol("a", positive=True)
    p = sympy.Symbol("p", real=True)
    return Family("symmetric pair", [[a, -a]], [p, p], (a, p))


def isosceles_family() -> Family:
    """Return W = [[a, −a, 0], [−c, −c, d]], b = (p, p, q): two features alike and a third.

    With c > 0 it is a triangle; for c → 0 it is a pair with a dedicated third feature.
    """
    a, c, d = sympy.symbols("a c d", positive=True)
    p, q = sympy.symbols("p q", real=True)
    return Family("isosceles triangle", [[a, -a, 0], [-c, -c, d]], [p, p, q], (a, c, d, p, q))


def polygon_family(n_features: int) -> Family:
    """Return the regular polygon of radius l and common bias p.

    Raises
    ------
    ValueError
        If `n_features` is below 3.
    """
    if n_features < 3:
        raise ValueError(f"a polygon has at least 3 corners, got n_features = {n_features}")
    radius = sympy.Symbol("l", positive=True)
    p = sympy.Symbol("p", real=True)
    angles = [2 * sympy.pi * k / n_features for k in range(n_features)]
    W = [[radius * sympy.cos(t) for t in angles], [radius * sympy.sin(t) for t in angles]]
    return Family(f"regular {n_features}-gon", W, [p] * n_features, (radius, p))
