"""Refine where two minima change places on the sides of grid squares, and chain it to curves.

At the ends of a cut side stand two optima. If each is still there, above the other, when it is
followed to the other end, the transition is of first order, and its place is the root of the
difference of their losses. If one of them has merged with the other before it arrives, the
transition is continuous, and its place is where they merge. If both become the other one, there is
no transition: the name of the phase changes by a convention.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...numerics import descend, population_loss
from .adaptive_grid import AdaptiveGrid

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Minima = tuple[Floats, Floats, Floats]  # W, b and loss

FIRST_ORDER, CONTINUOUS = 0, 1
KINDS = ("first order", "continuous")
_NONE = -1

_SAME_SHAPE = 1e-4
_MERGED = 2e-6  # closer shapes are one; descent to 1e-13 tells them apart down to there
_TIGHT = 1e-13
_ROOT_STEPS = 60
_SAME_LOSS = 1e-16
_HALVINGS = 8
_LONG_STEPS = 8  # so long that a saddle may catch the descent
_END_WIDTH = 1e-9  # of the side
_EXTRAPOLATED = 1e-2  # likewise: farther than that nothing is extrapolated
_SLOPE = 1e-5
_NEWTON_STEPS = 8
_PARALLEL = 1e-9
_FAR = 8.0  # squares: a triple point is next to its own
_JUMP = 1e-4  # a smaller change at a crossing of losses is not told from a merger


@dataclass(frozen=True)
class Crossings:
    """Where boundaries cross the sides of squares.

    Attributes
    ----------
    ends : ndarray of int, shape (crossings, 2, 2)
        The grid points at both ends of the side.
    density, importance : ndarray of shape (crossings,)
    kind : ndarray of int8
        Place in `KINDS`.
    jump : ndarray
        Largest change of an entry of WᵀW or b between the two minima; 0 where they merge.
    phase : ndarray of int8, shape (crossings, 2)
        Phases at the ends.
    """

    ends: Integers
    density: Floats
    importance: Floats
    kind: NDArray[np.int8]
    jump: Floats
    phase: NDArray[np.int8]

    def take(self, which: Any) -> Crossings:
        """Return some of them."""
        return Crossings(
            self.ends[which], self.density[which], self.importance[which], self.kind[which],
            self.jump[which], self.phase[which],
        )  # fmt: skip


@dataclass(frozen=True)
class _Sides:
    """Sides of squares as segments of parameter space, t in [0, 1], and the optima at their ends."""

    grid: AdaptiveGrid
    first: Integers
    second: Integers

    def take(self, which: Any) -> _Sides:
        return _Sides(self.grid, self.first[which], self.second[which])

    def reversed(self) -> _Sides:
        return _Sides(self.grid, self.second, self.first)

    def place(self, t: Floats) -> tuple[Floats, Floats]:
        """Return density and relative importance at t."""
        s, r = self.grid.density, self.grid.importance
        return (
            (1 - t) * s[self.first[:, 0]] + t * s[self.second[:, 0]],
            (1 - t) * r[self.first[:, 1]] + t * r[self.second[:, 1]],
        )

    def follow(self, W: Floats, b: Floats, t: Floats, certify: bool = False) -> Minima:
        """Descend at t; return W, b and loss."""
        parameters = self.grid.parameters_at(*self.place(t))
        there = descend(W, b, **parameters, tolerance=_TIGHT, certify=certify)
        return there.W, there.b, there.loss

    def both(self, t: Floats) -> tuple[Minima, Minima]:
        """Return the minima that the optima at both ends become at t."""
        one, other = (self.follow(*self.grid.optimum(end), t) for end in (self.first, self.second))
        return one, other

    def apart(self, one: Minima, other: Minima) -> Floats:
        """Return how far two minima are from each other."""
        difference = self.grid.shape(*one[:2]) - self.grid.shape(*other[:2])
        return np.asarray(abs(difference).max(axis=-1))


def _choose(which: NDArray[np.bool_], yes: Minima, no: Minima) -> Minima:
    W = np.where(which[:, np.newaxis, np.newaxis], yes[0], no[0])
    return W, np.where(which[:, np.newaxis], yes[1], no[1]), np.where(which, yes[2], no[2])


def _take(ends: tuple[Minima, Minima], which: Integers) -> tuple[Minima, Minima]:
    one, other = ((W[which], b[which], loss[which]) for W, b, loss in ends)
    return one, other


def _first_order(
    sides: _Sides, low: Floats, high: Floats, at_low: tuple[Minima, Minima],
    at_high: tuple[Minima, Minima],
) -> tuple[Floats, Floats]:  # fmt: skip
    """Return t between `low` and `high` where two minima have one loss, and how far they differ.

    The loss of a followed minimum is smooth in t, and so is the difference: Illinois' variant of
    the secant, which keeps the root between its ends. Each minimum is followed from the nearer end.
    """
    below = np.minimum(at_low[0][2] - at_low[1][2], 0.0)
    above = np.maximum(at_high[0][2] - at_high[1][2], 0.0)
    t, jump = low, low
    for _ in range(_ROOT_STEPS):
        span = above - below
        t = low - below / np.where(span > 0, span, 1.0) * (high - low)
        nearer = t - low < high - t
        one, other = (
            sides.follow(*_choose(nearer, a, z)[:2], t)
            for a, z in zip(at_low, at_high, strict=True)
        )
        value, jump = one[2] - other[2], sides.apart(one, other)
        right = value > 0
        below, above = np.where(right, 0.5 * below, value), np.where(right, value, 0.5 * above)
        low, high = np.where(right, low, t), np.where(right, t, high)
        at_low = (_choose(right, at_low[0], one), _choose(right, at_low[1], other))
        at_high = (_choose(right, one, at_high[0]), _choose(right, other, at_high[1]))
        if (abs(value) < _SAME_LOSS).all():
            break
    return t, jump


def _distance(sides: _Sides, one: Minima, other: Minima) -> Floats:
    """Return how far the first minimum is from being the second.

    Where columns of W vanish on the way, their length says it: the second minimum is then a
    saddle as long as they have not, and may not be found by descent.
    """
    grid = sides.grid
    vanishing = grid.support(sides.first) & ~grid.support(sides.second)
    length = grid.lengths(one[0])
    remaining = np.where(vanishing, length, np.inf).min(axis=-1)
    return np.where(vanishing.any(axis=-1), remaining, sides.apart(one, other))


def _narrow(sides: _Sides) -> tuple[Floats, Floats, tuple[Minima, Minima], tuple[Minima, Minima]]:
    """Halve intervals of t around the change of the optimum, until both minima may be there.

    For sides on which neither minimum exists at the other end. What is lower in the middle takes
    the place of the end that it resembles.
    """
    low, high = np.zeros(len(sides.first)), np.ones(len(sides.first))
    one, other = sides.both(low)[0], sides.both(high)[1]
    for _ in range(_HALVINGS):
        t = 0.5 * (low + high)
        a, z = sides.follow(*one[:2], t), sides.follow(*other[:2], t)
        best = _choose(a[2] <= z[2], a, z)
        first = sides.apart(best, one) < sides.apart(best, other)
        one, other = _choose(first, best, one), _choose(first, other, best)
        low, high = np.where(first, t, low), np.where(first, high, t)
    return (low, high, (one, sides.follow(*other[:2], low)), (sides.follow(*one[:2], high), other))


def _follow_first(sides: _Sides) -> tuple[Floats, Floats, Minima, NDArray[np.bool_]]:
    """Return t up to which the first minimum is not yet the second, where they merge, and itself.

    The last value tells whether they differ at all, at t = 0.

    Where it merges the distance falls to zero in proportion to what is left, so that a secant
    leads close to the end; bisection between known ends makes sure of it.
    """
    other = sides.grid.optimum(sides.second)
    low, high = np.zeros(len(sides.first)), np.ones(len(sides.first))
    one = sides.follow(*sides.grid.optimum(sides.first), low)
    gap = _distance(sides, one, sides.follow(*other, low))
    differ = gap > _SAME_SHAPE
    merging = high
    for step in range(_ROOT_STEPS):
        t = 0.5 * (low + high)
        if step % 3:
            inside = (merging > low) & (merging < high)
            t = np.where(inside, low + 0.9 * (merging - low), t)
        there = sides.follow(*one[:2], t, certify=step < _LONG_STEPS)
        new_gap = _distance(sides, there, sides.follow(*other, t))
        parted = new_gap > _MERGED
        closing = parted & (gap > new_gap) & (t > low)
        fall = np.where(closing, gap - new_gap, 1.0)
        merging = np.where(closing, t + new_gap * (t - low) / fall, merging)
        one = _choose(parted, there, one)
        gap = np.where(parted, new_gap, gap)
        low, high = np.where(parted, t, low), np.where(parted, high, t)
        if (high - low < _END_WIDTH).all():
            break
    close = (merging > low) & (merging < low + _EXTRAPOLATED)
    return low, np.where(close, merging, low), one, differ


def _one_sided(sides: _Sides) -> tuple[Floats, Floats, NDArray[np.int8]]:
    """Return place, jump and kind of the transition where the first becomes the second.

    If the first minimum is the higher one before it disappears, the losses have crossed.
    """
    last, merging, one, differ = _follow_first(sides)
    other = sides.follow(*sides.grid.optimum(sides.second), last)
    crossed = (one[2] > other[2]) & (sides.apart(one, other) > _JUMP)
    t, jump = merging.copy(), np.zeros_like(merging)
    some = np.flatnonzero(crossed)
    begin = np.zeros(len(some))
    part = sides.take(some)
    at_high = _take((one, other), some)
    t[some], jump[some] = _first_order(part, begin, last[some], part.both(begin), at_high)
    kind = np.where(crossed, FIRST_ORDER, np.where(differ, CONTINUOUS, _NONE))
    return t, jump, kind.astype(np.int8)


def _hidden(sides: _Sides) -> tuple[Floats, Floats, NDArray[np.int8]]:
    """Return place, jump and kind where each minimum becomes the other: mostly no transition."""
    low, high, at_low, at_high = _narrow(sides)
    t, jump = low.copy(), np.zeros_like(low)
    both = (sides.apart(*at_low) > _SAME_SHAPE) & (sides.apart(*at_high) > _SAME_SHAPE)
    some = np.flatnonzero(both)
    t[some], jump[some] = _first_order(
        sides.take(some), low[some], high[some], _take(at_low, some), _take(at_high, some)
    )
    return t, jump, np.where(both, FIRST_ORDER, _NONE).astype(np.int8)


def cross(grid: AdaptiveGrid, first: Integers, second: Integers) -> Crossings:
    """Find the place and the kind of the transition on every cut side, where there is one.

    Parameters
    ----------
    grid : AdaptiveGrid
    first, second : ndarray of int, shape (sides, 2)
        From `AdaptiveGrid.follow_boundaries`.
    """
    sides = _Sides(grid, first, second)
    low, high = np.zeros(len(first)), np.ones(len(first))
    at_low, at_high = sides.both(low), sides.both(high)
    back, forth = (sides.apart(*ends) <= _SAME_SHAPE for ends in (at_low, at_high))
    columns = [grid.support(points).sum(axis=-1) for points in (first, second)]
    forth, back = forth & (columns[0] >= columns[1]), back & (columns[1] >= columns[0])
    t, jump = np.zeros(len(first)), np.zeros(len(first))
    kind = np.full(len(first), _NONE, dtype=np.int8)
    stay = np.flatnonzero(~forth & ~back)
    t[stay], jump[stay] = _first_order(
        sides.take(stay), low[stay], high[stay], _take(at_low, stay), _take(at_high, stay)
    )
    kind[stay] = FIRST_ORDER
    ends = np.flatnonzero(forth & back)
    t[ends], jump[ends], kind[ends] = _hidden(sides.take(ends))
    ends = np.flatnonzero(forth & ~back)
    t[ends], jump[ends], kind[ends] = _one_sided(sides.take(ends))
    ends = np.flatnonzero(back & ~forth)
    t[ends], jump[ends], kind[ends] = _one_sided(sides.take(ends).reversed())
    t[ends] = 1.0 - t[ends]
    density, importance = sides.place(t)
    pairs = np.stack([first, second], axis=1)
    phase = grid.phase[pairs[..., 0], pairs[..., 1]]
    return Crossings(pairs, density, importance, kind, jump, phase).take(kind != _NONE)


def _links(grid: AdaptiveGrid, crossings: Crossings) -> tuple[list[list[int]], list[list[int]]]:
    """Return the neighbors of every crossing along its curve, and the squares where three meet.

    A curve that enters a square leaves it. Where two curves pass through one square, what changes
    by a similar amount belongs together.
    """
    at: dict[tuple[int, int], list[int]] = {}
    for k, ((i, j), (i2, _)) in enumerate(crossings.ends.tolist()):
        for square in ((i, j), (i, j - 1) if i2 > i else (i - 1, j)):
            at.setdefault(square, []).append(k)
    neighbors: list[list[int]] = [[] for _ in range(len(crossings.kind))]
    junctions = []
    for sides in at.values():
        if len(sides) == 3:
            junctions.append(sides)
            continue
        ordered = sorted(sides, key=lambda k: crossings.jump[k])
        for one, other in zip(ordered[::2], ordered[1::2], strict=False):
            neighbors[one].append(other)
            neighbors[other].append(one)
    return neighbors, junctions


def chain(grid: AdaptiveGrid, crossings: Crossings) -> list[list[int]]:
    """Order crossings along curves, each of one kind; a change of kind belongs to both curves."""
    neighbors, _ = _links(grid, crossings)
    left = set(range(len(neighbors)))
    curves = []
    for begin in sorted(left, key=lambda k: len(neighbors[k])):  # ends of curves first, then loops
        if begin not in left:
            continue
        curve = [begin]
        left.remove(begin)
        while further := [k for k in neighbors[curve[-1]] if k in left]:
            curve.append(further[0])
            left.remove(further[0])
        curves += _split_by_kind(curve, crossings.kind)
    return curves


def _split_by_kind(curve: list[int], kind: NDArray[np.int8]) -> list[list[int]]:
    parts = [[curve[0]]]
    for k in curve[1:]:
        parts[-1].append(k)
        if kind[k] != kind[parts[-1][0]]:
            parts.append([k])
    return [part for part in parts if len(part) > 1]


@dataclass(frozen=True)
class TriplePoint:
    """Where three minima have one loss.

    Attributes
    ----------
    density, importance : float
    W : ndarray of shape (3, n_hidden, n_features)
    b : ndarray of shape (3, n_features)
    """

    density: float
    importance: float
    W: Floats
    b: Floats


def triple_points(grid: AdaptiveGrid, crossings: Crossings) -> list[TriplePoint]:
    """Find the points where three boundaries meet, by Newton's method from their squares."""
    found = []
    for sides in _links(grid, crossings)[1]:
        corners = np.unique(crossings.ends[sides].reshape(-1, 2), axis=0)
        if (grid.density[corners[:, 0]] == 1.0).any():
            continue  # minima tie at density 1, because x and 1 − x have the same law
        places = np.stack([grid.density[corners[:, 0]], grid.importance[corners[:, 1]]], axis=-1)
        # A minimum that is the lowest in a corner need not exist in all of the square.
        for begin in (places.mean(axis=0), *places):
            point = _meeting(grid, *grid.optimum(corners), begin, _FAR * np.ptp(places, axis=0))
            if point is not None:
                found.append(point)
                break
    return found


def _meeting(
    grid: AdaptiveGrid, W: Floats, b: Floats, begin: Floats, reach: Floats
) -> TriplePoint | None:
    """Solve L_1 = L_2 = L_3 for three minima, if there are three at the first place.

    The derivative of a minimal loss is that of the loss at fixed weights.
    """
    place = begin
    for _ in range(_NEWTON_STEPS):
        if (abs(place - begin) > reach).any() or not _SLOPE < place[0] < 1 - _SLOPE:
            return None
        many = np.broadcast_to(place, (len(W), 2))
        ends = descend(W, b, **grid.parameters_at(*many.T), tolerance=_TIGHT)
        kept = _three(grid.shape(ends.W, ends.b))
        if kept is None:
            return None
        W, b, loss = ends.W[kept], ends.b[kept], ends.loss[kept]
        slopes = np.stack(
            [
                (_loss_at(grid, W, b, place + h) - _loss_at(grid, W, b, place - h)) / (2 * _SLOPE)
                for h in _SLOPE * np.eye(2)
            ]
        )
        matrix = (slopes[:, 1:] - slopes[:, :1]).T
        if abs(np.linalg.det(matrix)) < _PARALLEL * np.linalg.norm(matrix) ** 2:
            return None  # the three boundaries do not cross
        place = place + np.linalg.solve(matrix, loss[0] - loss[1:])
    for value, axis in zip(place, (grid.density, grid.importance), strict=True):
        if not axis[0] <= value <= axis[-1]:
            return None
    return TriplePoint(float(place[0]), float(place[1]), W, b)


def _three(shapes: Floats) -> Integers | None:
    """Return which of the minima are distinct, if just three are."""
    kept = [
        k for k in range(len(shapes)) if (abs(shapes[:k] - shapes[k]).max(axis=1) > _JUMP).all()
    ]
    return np.array(kept) if len(kept) == 3 else None


def _loss_at(grid: AdaptiveGrid, W: Floats, b: Floats, place: Floats) -> Floats:
    parameters = grid.parameters_at(*np.broadcast_to(place, (len(W), 2)).T)
    return np.asarray(population_loss(W, b, **parameters))
