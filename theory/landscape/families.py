"""Configurations with free parameters: their chambers, and where their loss is lowest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import numpy as np
import sympy

from ..fields import decide_sign, tidy_algebraic
from ..inputs import (
    as_exact,
    read_bias,
    read_density,
    read_importance,
    read_penalty,
    read_weights,
)
from ..symbols import OPTIMAL
from .atlas import Atlas
from .certified_roots import UncertifiedRootError
from .chambers import Chamber, FamilyMinimum, LossTerms, Point, VertexSign

__all__ = [
    "Family",
    "antipodal_family",
    "isosceles_family",
    "polygon_family",
    "symmetric_pair_family",
]

_SEED = 0


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
