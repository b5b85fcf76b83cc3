"""Where minima exchange places: boundaries of the exact diagram with certified digits.

The lowest minima of two families have one loss on a line in the plane of density s and relative
importance r. A point of it solves a square polynomial system: both gradients vanish, and the two
losses are equal. Three families meet at a point, which solves such a system as well. Roots of
these systems are proved to exist and enclosed (`certify_root`).

The envelope theorem gives slopes: the derivative of a minimum's loss along s or r is the partial
derivative at fixed parameters.

Exchanging two features with their importances changes nothing, L(W, b; 1, r) = r L(WP, bP; 1, 1/r)
for two features, so that every boundary at r < 1 has a mirror image at 1/r.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np
import sympy

from ...model import relative_importance
from ..symbols import lam, r, s
from .atlas import Atlas
from .certified_roots import CertifiedRoot, Enclosure, UncertifiedRootError, certify_root
from .chambers import Chamber, LossTerms
from .families import Family, antipodal_family

__all__ = [
    "BranchPoint",
    "Meeting",
    "Phase",
    "dedicated_phase",
    "meet",
    "mirror",
    "opposed_phase",
    "trace",
]

_CHAMBER_CHANGES = 6
_APPROACHES = 30
_LONGEST_STEP = {s: 0.02, r: 0.02, lam: 0.002}  # longer ones may leave where a minimum exists
_NUDGE = 1e-3
_CLOSE = 1e-7  # Newton's method on the joint system goes on from there


@dataclass(frozen=True)
class Phase:
    """A minimum that is followed through the diagram: a family, and a point in its basin.

    Attributes
    ----------
    name
        The phase's name.
    family
        The family that contains it.
    start
        A value for every parameter, from which descent reaches the minimum.
    """

    name: str
    family: Family
    start: tuple[float, ...]

    def at(self, start: Sequence[float]) -> Phase:
        """Return the same phase with another starting point."""
        return Phase(self.name, self.family, tuple(start))


@dataclass(frozen=True)
class BranchPoint:
    """One of the minima that meet, at the point where they do.

    Attributes
    ----------
    phase
        The phase.
    chamber
        The chamber in which it lies, with its loss in the family's own parameters.
    root
        Certified parameters, with the symbols of the density and the importance.
    is_minimum
        Whether it is proved that the point lies inside its chamber and the Hessian over the
        family is positive definite.
    """

    phase: Phase
    chamber: Chamber
    root: CertifiedRoot
    is_minimum: bool

    @property
    def W(self) -> tuple[tuple[Enclosure, ...], ...]:
        """Enclosures of the weights, row by row."""
        return tuple(self.root.enclose(*row) for row in self.chamber.family.W.tolist())

    @property
    def b(self) -> tuple[Enclosure, ...]:
        """Enclosures of the biases."""
        return self.root.enclose(*self.chamber.family.b)

    @property
    def loss(self) -> Enclosure:
        """Enclosure of the loss."""
        return self.root.enclose(self.chamber.loss)[0]

    def slope(self, symbol: sympy.Symbol) -> Enclosure:
        """Enclose the derivative of the minimum's loss along s, r or λ."""
        return self.root.enclose(sympy.diff(self.chamber.loss, symbol))[0]


@dataclass(frozen=True)
class Meeting:
    """A point at which minima of different phases have one loss, with certified digits.

    Proved: the stationary points exist, are the only ones in their boxes, and have equal losses
    at the enclosed values. Not proved: that nothing else is lower there.

    Attributes
    ----------
    points
        The minima.
    values
        Enclosures of the density, the relative importance and whatever else was a symbol.
    root
        The joint root of the whole system.
    """

    points: tuple[BranchPoint, ...]
    values: dict[sympy.Symbol, Enclosure]
    root: CertifiedRoot

    @property
    def s(self) -> Enclosure:
        """The density."""
        return self.values[s]

    @property
    def r(self) -> Enclosure:
        """The relative importance."""
        return self.values[r]

    @property
    def loss(self) -> Enclosure:
        """The common loss."""
        return self.points[0].loss

    @property
    def digits(self) -> int:
        """Places after the point that are certain for all unknowns."""
        return self.root.digits

    @property
    def are_minima(self) -> bool:
        """Whether all points are proved to be minima of their families."""
        return all(point.is_minimum for point in self.points)

    @cached_property
    def jump(self) -> tuple[tuple[Enclosure, ...], ...]:
        """Change of WᵀW from the first point to the last: what no rotation can undo."""
        first, last = (_gram(point) for point in (self.points[0], self.points[-1]))
        return tuple(
            tuple(
                Enclosure(after.lower - before.upper, after.upper - before.lower)
                for before, after in zip(row, other, strict=True)
            )
            for row, other in zip(first, last, strict=True)
        )

    def kink(self, symbol: sympy.Symbol) -> Enclosure:
        """Enclose slope of the last point's loss − slope of the first's, along s, r or λ."""
        before, after = self.points[0].slope(symbol), self.points[-1].slope(symbol)
        return Enclosure(after.lower - before.upper, after.upper - before.lower)

    @property
    def kind(self) -> Literal["first order", "undecided"]:
        """First order if the weights provably jump, as they do between isolated minima."""
        jumps = any(entry.sign in (-1, 1) for row in self.jump for entry in row)
        return "first order" if jumps else "undecided"


def _gram(point: BranchPoint) -> list[tuple[Enclosure, ...]]:
    return [point.root.enclose(*row) for row in point.chamber.family.gram.tolist()]


def dedicated_phase() -> Phase:
    """Return W = [1, 0], b = (0, q): the last of two features is dropped."""
    q = sympy.Symbol("q", positive=True)
    return Phase("dedicated", Family("dedicated", [[1, 0]], [0, q]), (0.25,))


def opposed_phase(name: str, start: Sequence[float]) -> Phase:
    """Return W = [a, −c], b = (p, q), followed from a, c, p, q.

    The antipodal pair and partial superposition are minima of this one family.
    """
    return Phase(name, antipodal_family(), tuple(start))


@lru_cache(maxsize=64)
def _atlas(family: Family, terms: LossTerms) -> Atlas:
    return Atlas(family, terms)


def _terms(family: Family, importance: Any, penalty: Any) -> LossTerms:
    if importance is None:
        importance = relative_importance(family.n_features, r)
    return family.terms(s, importance, penalty)


def meet(
    phases: Sequence[Phase],
    *,
    at: Mapping[sympy.Symbol, Any],
    guess: Mapping[sympy.Symbol, float],
    importance: Any = None,
    penalty: Any = 0,
    digits: int = 25,
    descend: bool = True,
) -> Meeting:
    """Solve for the point at which minima of k phases have one loss, and prove it.

    Parameters
    ----------
    phases
        k phases, two for a line and three for a triple point.
    at
        Exact rationals for the symbols that are held fixed.
    guess
        Approximate values of the k − 1 symbols to be solved for, such as {r: 0.5}.
    importance, penalty
        As in `expected_loss`; importances default to (1, …, 1, r).
    digits
        Places after the point that shall be certain.
    descend
        Whether each phase is first descended at the guess. Without it `start` has to be close.

    Raises
    ------
    ValueError
        If the numbers of phases and unknowns do not fit, or a symbol has no value.
    UncertifiedRootError
        If a minimum is not found or the root is not proved.

    Examples
    --------
    >>> import sympy
    >>> pair = opposed_phase("antipodal", (1, 0.7, 0, 0.2))
    >>> found = meet([pair, dedicated_phase()], at={s: sympy.Rational(1, 2)}, guess={r: 0.52})
    >>> print(found.r.decimal(12), found.kind, found.are_minima)
    0.535738764065 first order True
    """
    _check_unknowns(phases, at, guess)
    atlases = [_atlas(x.family, _terms(x.family, importance, penalty)) for x in phases]
    numeric = {symbol: float(value) for symbol, value in {**at, **guess}.items()}
    points = [list(phase.start) for phase in phases]
    if descend:
        points, numeric = _approach(phases, atlases, numeric, tuple(guess))
    unknowns = [numeric[symbol] for symbol in guess]
    # The joint root may lie in other chambers than the start: solve again with those.
    for _ in range(_CHAMBER_CHANGES):
        chambers = [a.chamber(p) for a, p in zip(atlases, points, strict=True)]
        start = [*(x for point in points for x in point), *unknowns]
        meeting = _meeting(phases, chambers, at, tuple(guess), start, digits)
        points = [[float(p.root[x]) for x in p.chamber.parameters] for p in meeting.points]
        unknowns = [float(meeting.values[symbol]) for symbol in guess]
        if all(
            a.chamber(p).pattern == c.pattern
            for a, p, c in zip(atlases, points, chambers, strict=True)
        ):
            return meeting
    raise UncertifiedRootError("the root does not settle in one chamber", unknowns)


def _check_unknowns(
    phases: Sequence[Phase], at: Mapping[sympy.Symbol, Any], guess: Mapping[sympy.Symbol, float]
) -> None:
    if len(phases) < 2 or len(guess) != len(phases) - 1:
        raise ValueError(
            f"k phases, at least two, meet at values of k − 1 symbols, got {len(phases)} phases "
            f"and a guess for {', '.join(map(str, guess)) or 'no symbol'}"
        )
    if set(at) & set(guess):
        raise ValueError("a symbol is either fixed or solved for, got one in both at and guess")


def _approach(
    phases: Sequence[Phase],
    atlases: Sequence[Atlas],
    values: dict[sympy.Symbol, float],
    solve_for: tuple[sympy.Symbol, ...],
) -> tuple[list[list[float]], dict[sympy.Symbol, float]]:
    """Solve approximately: descend every phase, step to where the losses are equal, repeat.

    The steps are Newton's, since a minimum's loss has the slopes of the envelope theorem.
    """
    points = [list(phase.start) for phase in phases]
    reached: dict[sympy.Symbol, float] | None = None
    for _ in range(_APPROACHES):
        try:
            points = [
                _descended(phase.at(point), atlas, values)
                for phase, point, atlas in zip(phases, points, atlases, strict=True)
            ]
        except UncertifiedRootError:
            if reached is None:
                raise
            # A step may lead beyond the last point at which a minimum exists: go back halfway.
            values = {x: (value + reached[x]) / 2 for x, value in values.items()}
            continue
        reached = values
        step = _newton_step(atlases, points, values, solve_for)
        values = {**values, **{x: values[x] - dx for x, dx in zip(solve_for, step, strict=True)}}
        if max(map(abs, step)) < _CLOSE:
            break
    return points, values


def _newton_step(
    atlases: Sequence[Atlas],
    points: Sequence[Sequence[float]],
    values: Mapping[sympy.Symbol, float],
    solve_for: tuple[sympy.Symbol, ...],
) -> list[float]:
    levels = [
        _level(atlas, point, values, solve_for)
        for atlas, point in zip(atlases, points, strict=True)
    ]
    gaps = [levels[0][0] - loss for loss, _ in levels[1:]]
    slopes = [np.subtract(levels[0][1], slope) for _, slope in levels[1:]]
    step = np.linalg.solve(np.array(slopes), np.array(gaps))
    longest = np.array([_LONGEST_STEP.get(symbol, 0.02) for symbol in solve_for])
    shortened = step * min(1.0, 1 / max(float((np.abs(step) / longest).max()), _CLOSE))
    return [float(dx) for dx in shortened]


def _level(
    atlas: Atlas,
    point: Sequence[float],
    values: Mapping[sympy.Symbol, float],
    solve_for: Sequence[sympy.Symbol],
) -> tuple[float, list[float]]:
    """Return the loss of a minimum and its slopes in the symbols to be solved for."""
    loss, _, slopes = atlas.loss_and_gradient(point, [values[x] for x in atlas.symbols])
    by_symbol = dict(zip(atlas.symbols, slopes, strict=True))
    return loss, [by_symbol.get(symbol, 0.0) for symbol in solve_for]


def _descended(phase: Phase, atlas: Atlas, values: Mapping[sympy.Symbol, float]) -> list[float]:
    missing = set(atlas.symbols) - set(values)
    if missing:
        raise ValueError(
            f"give {', '.join(sorted(map(str, missing)))} a value in at, or a guess to solve for it"
        )
    # A point of a symmetry's fixed set would stay there even where it is a saddle.
    start = [x * (1 + _NUDGE * (-1) ** k) for k, x in enumerate(phase.start)]
    found = atlas.descend(start, [values[symbol] for symbol in atlas.symbols])
    if found is None:
        raise UncertifiedRootError(f"descent finds no minimum of {phase.name}", phase.start)
    return found[1]


@dataclass(frozen=True)
class _JointSystem:
    """Equations of k branches with their parameters told apart by an index."""

    equations: tuple[sympy.Expr, ...]
    unknowns: tuple[sympy.Symbol, ...]
    renamed: tuple[tuple[sympy.Symbol, ...], ...]


@lru_cache(maxsize=64)
def _joint(chambers: tuple[Chamber, ...], solve_for: tuple[sympy.Symbol, ...]) -> _JointSystem:
    equations: list[sympy.Expr] = []
    renamed: list[tuple[sympy.Symbol, ...]] = []
    losses: list[sympy.Expr] = []
    for k, chamber in enumerate(chambers):
        own = tuple(sympy.Symbol(f"{x.name}_{k + 1}", **x.assumptions0) for x in chamber.parameters)
        rename = dict(zip(chamber.parameters, own, strict=True))
        equations += [entry.xreplace(rename) for entry in chamber.stationarity]
        losses.append(chamber.loss.xreplace(rename))
        renamed.append(own)
    equations += [first - other for first in losses[:1] for other in losses[1:]]
    unknowns = (*(x for own in renamed for x in own), *solve_for)
    return _JointSystem(tuple(equations), unknowns, tuple(renamed))


def _meeting(
    phases: Sequence[Phase],
    chambers: Sequence[Chamber],
    at: Mapping[sympy.Symbol, Any],
    solve_for: tuple[sympy.Symbol, ...],
    start: Sequence[float],
    digits: int,
) -> Meeting:
    system = _joint(tuple(chambers), solve_for)
    used = set().union(*(equation.free_symbols for equation in system.equations))
    fixed = {symbol: value for symbol, value in at.items() if symbol in used}
    root = certify_root(system.equations, system.unknowns, start, fixed=fixed, digits=digits)
    values = {
        symbol: root[symbol] if symbol in root.values else _exactly(at[symbol])
        for symbol in (*at, *solve_for)
    }
    points = tuple(
        _branch_point(phase, chamber, own, root, values)
        for phase, chamber, own in zip(phases, chambers, system.renamed, strict=True)
    )
    return Meeting(points, values, root)


def _exactly(value: Any) -> Enclosure:
    exact = sympy.Rational(value)
    return Enclosure(exact, exact)


def _branch_point(
    phase: Phase,
    chamber: Chamber,
    own: Sequence[sympy.Symbol],
    root: CertifiedRoot,
    values: Mapping[sympy.Symbol, Enclosure],
) -> BranchPoint:
    symbols = (*chamber.parameters, *values)
    enclosures = (*(root[x] for x in own), *values.values())
    part = CertifiedRoot(symbols, enclosures, chamber.stationarity)
    proved = part.is_positive(*chamber.conditions) and part.is_positive_definite(
        chamber.hessian_at_rest
    )
    return BranchPoint(phase, chamber, part, proved)


def trace(
    phases: Sequence[Phase],
    symbol: sympy.Symbol,
    values: Iterable[Any],
    *,
    guess: Mapping[sympy.Symbol, float],
    at: Mapping[sympy.Symbol, Any] | None = None,
    importance: Any = None,
    penalty: Any = 0,
    digits: int = 20,
) -> tuple[Meeting, ...]:
    """Follow a line of equal losses from value to value, each point proved on its own.

    Parameters
    ----------
    phases, guess, at, importance, penalty, digits
        As in `meet`; `guess` is for the first value.
    symbol
        The symbol that runs along the line.
    values
        Exact rationals, in small steps: each point is the start for the next one.
    """
    found: list[Meeting] = []
    following = list(phases)
    for value in values:
        meeting = meet(
            following,
            at={**(at or {}), symbol: value},
            guess=guess,
            importance=importance,
            penalty=penalty,
            digits=digits,
            descend=not found,
        )
        found.append(meeting)
        following, guess = _ahead(found, tuple(guess))
    return tuple(found)


def _ahead(
    found: Sequence[Meeting], symbols: tuple[sympy.Symbol, ...]
) -> tuple[list[Phase], dict[sympy.Symbol, float]]:
    """Return the starting points for the next value: where the last one was."""
    last = found[-1]
    phases = [
        point.phase.at([float(point.root[x]) for x in point.chamber.parameters])
        for point in last.points
    ]
    return phases, {symbol: float(last.values[symbol]) for symbol in symbols}


def mirror(point: tuple[Any, Any]) -> tuple[Any, Any]:
    """Return the mirror image (s, 1/r) of a point (s, r) of a diagram of two features.

    Examples
    --------
    >>> mirror((sympy.Rational(1, 2), sympy.Rational(2, 3)))
    (1/2, 3/2)
    """
    density, importance = point
    if isinstance(importance, Enclosure):
        return density, Enclosure(1 / importance.upper, 1 / importance.lower)
    return density, 1 / importance
