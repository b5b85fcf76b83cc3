"""Evaluate the exact optimum where phases meet, and fill what lies between agreeing corners.

A grid of densities and importances is covered with cells. A cell whose corners agree, in phase and
in the minimum that is the lowest, is filled; any other is split into four, down to single squares
of the grid. Corners agree in the minimum if descent from one corner's optimum, with the other
corner's density and importance, ends in the other's optimum. Where a boundary leaves a single
square through the side of a filled cell, that cell is split after all.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...numerics import descend
from ...numerics.minima.continuation import KEPT, Branches, follow, merge, search, shape_of
from ..phases import classify

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_TIED = 1e-9  # relative; minima this close are one loss, and the phase that is named first wins
_SAME_SHAPE = 1e-4
_ZERO_COLUMN = 1e-5  # relative to the longest; descent leaves about 1e-9 of a column that vanishes
_FRESH_STARTS = 4  # at every new point, in case a minimum appears between those known
_POINTS_PER_CALL = 4096
UNKNOWN = -1


@dataclass
class AdaptiveGrid:
    """The points of a grid that have been evaluated, and the cells that cover it.

    Attributes
    ----------
    n_features, n_hidden : int
    density, importance : ndarray
        The grid: densities, and relative importances of the last feature.
    model : dict
        Further arguments of `descend`.
    starts, seed : int
        Of the searches on the coarse grid.
    row : ndarray of int, shape (n_density, n_importance)
        Place of a point among the evaluated ones, or −1.
    phase : ndarray of int8, shape (n_density, n_importance)
        Phase of the optimum; filled in cells that agree.
    branches : Branches
        Distinct minima of the evaluated points, the optimum first.
    squares : ndarray of bool, shape (n_density − 1, n_importance − 1)
        Single squares whose corners do not agree.
    filled : list of tuple
        All cells (i0, i1, j0, j1), borders included, that have been filled.
    """

    n_features: int
    n_hidden: int
    density: Floats
    importance: Floats
    model: dict[str, Any] = field(default_factory=dict)
    starts: int = 48
    seed: int = 0

    def __post_init__(self) -> None:
        """Start with nothing evaluated."""
        shape = (len(self.density), len(self.importance))
        self.row = np.full(shape, UNKNOWN)
        self.phase = np.full(shape, UNKNOWN, dtype=np.int8)
        m, n = self.n_hidden, self.n_features
        self.branches = Branches(
            np.empty((0, KEPT, m, n)), np.empty((0, KEPT, n)), np.empty((0, KEPT)),
            np.empty(0, np.int64),
        )  # fmt: skip
        self.squares = np.zeros((shape[0] - 1, shape[1] - 1), dtype=bool)
        self.filled: list[tuple[int, int, int, int]] = []
        self._filled_phase: list[int] = []
        self._owner = np.full(self.squares.shape, UNKNOWN)
        self._cut = (
            np.zeros((shape[0] - 1, shape[1]), dtype=bool),
            np.zeros((shape[0], shape[1] - 1), dtype=bool),
        )

    # --- points ----------------------------------------------------------------------------------

    def parameters(self, points: Integers) -> dict[str, Any]:
        """Return density (k,) and importance (k, n_features) of grid points (k, 2)."""
        return self.parameters_at(self.density[points[:, 0]], self.importance[points[:, 1]])

    def parameters_at(self, density: Floats, importance: Floats) -> dict[str, Any]:
        """Return the arguments of `descend` at any densities and relative importances."""
        values = np.ones((len(density), self.n_features))
        values[:, -1] = importance
        return {"density": density, "importance": values, **self.model}

    def optimum(self, points: Integers) -> tuple[Floats, Floats]:
        """Return W and b of the optimum at evaluated points."""
        rows = self.row[points[:, 0], points[:, 1]]
        return self.branches.W[rows, 0], self.branches.b[rows, 0]

    def support(self, points: Integers) -> NDArray[np.bool_]:
        """Return which columns of W are not zero at the optimum, shape (k, n_features)."""
        length = self.lengths(self.optimum(points)[0])
        return np.asarray(length > _ZERO_COLUMN * length.max(axis=-1, keepdims=True))

    @property
    def alike(self) -> int:
        """How many of the first features are interchangeable: all of importance 1."""
        features = self.model.get("features")
        independent = features is None or features.is_independent(self.n_features)
        return self.n_features - 1 if independent else 1

    def shape(self, W: Floats, b: Floats) -> Floats:
        """Return what tells minima apart."""
        return shape_of(W, b, self.model.get("features"), alike=self.alike)

    def lengths(self, W: Floats) -> Floats:
        """Return the lengths of the columns, those of interchangeable features sorted."""
        length = np.linalg.norm(W, axis=-2)
        length[..., : self.alike] = np.sort(length[..., : self.alike], axis=-1)
        return np.asarray(length)

    def _search(self, points: Integers, starts: int, seed: int) -> Branches:
        return search(
            self.n_features, self.n_hidden, **self.parameters(points), starts=starts, seed=seed,
            alike=self.alike,
        )  # fmt: skip

    def _store(self, points: Integers, found: Branches) -> None:
        """Settle which minimum is the optimum, name its phase, and keep what was found."""
        found = self._without_saddles(points, found)
        found, phase = self._ordered(points, found)
        size = len(self.branches.loss)
        self.row[points[:, 0], points[:, 1]] = size + np.arange(len(points))
        self.phase[points[:, 0], points[:, 1]] = phase
        self.branches = Branches(
            np.concatenate([self.branches.W, found.W]),
            np.concatenate([self.branches.b, found.b]),
            np.concatenate([self.branches.loss, found.loss]),
            np.concatenate([self.branches.evaluations, found.evaluations]),
        )

    def _without_saddles(self, points: Integers, found: Branches) -> Branches:
        """Certify the lowest minima; where descent goes on from one, add where it ends."""
        parameters = self.parameters(points)
        certified = descend(found.W[:, 0], found.b[:, 0], **parameters, certify=True)
        lower = np.flatnonzero(certified.loss < found.loss[:, 0] * (1 - 1e-12))
        if len(lower):
            W = np.concatenate([certified.W[lower, np.newaxis], found.W[lower]], axis=1)
            b = np.concatenate([certified.b[lower, np.newaxis], found.b[lower]], axis=1)
            again = follow(W, b, **self.parameters(points[lower]), alike=self.alike)
            for kept, new in zip(
                (found.W, found.b, found.loss), (again.W, again.b, again.loss), strict=True
            ):
                kept[lower] = new
            found.evaluations[lower] += again.evaluations
        return Branches(found.W, found.b, found.loss, found.evaluations + certified.evaluations)

    def _ordered(self, points: Integers, found: Branches) -> tuple[Branches, NDArray[np.int8]]:
        """Put the minimum first whose phase is named first among those of the lowest loss."""
        tied = found.loss <= found.loss[:, :1] * (1 + _TIED)
        density = np.broadcast_to(self.density[points[:, :1]], tied.shape)
        codes = np.full(tied.shape, np.iinfo(np.int8).max, dtype=np.int8)
        options = {key: self.model[key] for key in ("activation", "features") if key in self.model}
        codes[tied] = classify(found.W[tied], found.b[tied], density[tied], **options)
        first = codes.argmin(axis=1)
        rows = np.arange(len(first))
        for part in (found.W, found.b, found.loss):
            swapped = part[rows, first].copy()
            part[rows, first] = part[:, 0]
            part[:, 0] = swapped
        return found, codes[rows, first]

    def evaluate_corners(self, cells: Integers) -> None:
        """Search the corners of coarse cells, and let each know its neighbors' minima."""
        i, j = np.unique(cells[:, :2]), np.unique(cells[:, 2:])
        points = np.stack(np.meshgrid(i, j, indexing="ij"), axis=-1)
        found = self._search(points.reshape(-1, 2), self.starts, self.seed)
        place = np.arange(i.size * j.size).reshape(i.size, j.size)
        padded = np.pad(place, 1, mode="edge")
        around = (padded[1:-1, 1:-1], padded[:-2, 1:-1], padded[2:, 1:-1],
                  padded[1:-1, :-2], padded[1:-1, 2:])  # fmt: skip
        for _ in range(2):
            W, b, use = merge(*(found.take(k.ravel()) for k in around))
            spent = found.evaluations
            parameters = self.parameters(points.reshape(-1, 2))
            found = follow(W, b, use=use, **parameters, alike=self.alike)
            found.evaluations[:] += spent
        self._store(points.reshape(-1, 2), found)

    def _evaluate_new(self, points: Integers, cells: Integers) -> None:
        """Evaluate points, each from the minima at the corners of its cell."""
        for start in range(0, len(points), _POINTS_PER_CALL):
            part = slice(start, start + _POINTS_PER_CALL)
            rows = [self.row[corner[:, 0], corner[:, 1]] for corner in _corners(cells[part])]
            fresh = self._search(points[part], _FRESH_STARTS, self.seed + 1)
            W, b, use = merge(*(self.branches.take(row) for row in rows), fresh)
            found = follow(W, b, use=use, **self.parameters(points[part]), alike=self.alike)
            found.evaluations[:] += fresh.evaluations
            self._store(points[part], found)

    def lands(self, first: Integers, second: Integers) -> NDArray[np.bool_]:
        """Tell whether the optimum of one point becomes that of the other when it is followed."""
        W, b = self.optimum(first)
        there = descend(W, b, **self.parameters(second))
        apart = self.shape(there.W, there.b) - self.shape(*self.optimum(second))
        return np.asarray(abs(apart).max(axis=-1) <= _SAME_SHAPE)

    def connected(self, first: Integers, second: Integers) -> NDArray[np.bool_]:
        """Tell whether two points agree in phase, and one's optimum becomes the other's.

        Following one of them is enough: descent from the other may be caught by a saddle.
        """
        same = self.phase[first[:, 0], first[:, 1]] == self.phase[second[:, 0], second[:, 1]]
        same &= (self.support(first) == self.support(second)).all(axis=-1)
        some = np.flatnonzero(same)
        same[some] = self.lands(first[some], second[some])
        lost = some[~same[some]]
        same[lost] = self.lands(second[lost], first[lost])
        return np.asarray(same)

    def _exchange(self, first: Integers, second: Integers) -> None:
        """Let points know their neighbors' optima, where these lead to lower minima."""
        ends, starts = np.concatenate([first, second]), np.concatenate([second, first])
        W, b = self.optimum(starts)
        there = descend(W, b, **self.parameters(ends))
        rows = self.row[ends[:, 0], ends[:, 1]]
        lower = there.converged & (there.loss < self.branches.loss[rows, 0] * (1 - _TIED))
        points, where = np.unique(ends[lower], axis=0, return_index=True)
        if not len(points):
            return
        known = self.branches.take(self.row[points[:, 0], points[:, 1]])
        W, b, use = merge(known)
        found = follow(
            np.concatenate([there.W[lower][where, np.newaxis], W], axis=1),
            np.concatenate([there.b[lower][where, np.newaxis], b], axis=1),
            use=np.pad(use, ((0, 0), (1, 0)), constant_values=True),
            **self.parameters(points),
            alike=self.alike,
        )
        found.evaluations[:] += known.evaluations
        self._store(points, found)

    # --- cells -----------------------------------------------------------------------------------

    def _agree(self, cells: Integers) -> NDArray[np.bool_]:
        corners = _corners(cells)
        for k in range(4):
            self._exchange(corners[k], corners[(k + 1) % 4])
        agree = np.ones(len(cells), dtype=bool)
        for k in range(4):
            some = np.flatnonzero(agree)
            agree[some] = self.connected(corners[k][some], corners[(k + 1) % 4][some])
        return agree

    def refine(self, cells: Integers, *, forced: bool = False) -> None:
        """Split cells until all corners agree, or single squares of the grid are reached.

        `forced` cells are split although their corners agree, towards what their borders know.
        """
        while len(cells):
            if forced:
                agree = np.array([not self._border_disagrees(*cell) for cell in cells])
                agree[agree] = self._agree(cells[agree])
            else:
                agree = self._agree(cells)
            for i0, i1, j0, j1 in cells[agree]:
                self._fill(i0, i1, j0, j1)
            cells = cells[~agree]
            single = (cells[:, 1] - cells[:, 0] == 1) & (cells[:, 3] - cells[:, 2] == 1)
            self.squares[cells[single, 0], cells[single, 2]] = True
            cells = self._split(cells[~single])

    def _fill(self, i0: int, i1: int, j0: int, j1: int) -> None:
        block = self.phase[i0 : i1 + 1, j0 : j1 + 1]
        unknown = self.row[i0 : i1 + 1, j0 : j1 + 1] == UNKNOWN
        block[unknown] = self.phase[i0, j0]
        self._owner[i0:i1, j0:j1] = len(self.filled)
        self.filled.append((i0, i1, j0, j1))
        self._filled_phase.append(int(self.phase[i0, j0]))

    def _split(self, cells: Integers) -> Integers:
        """Return the quarters of cells (halves of slim ones), their corners evaluated."""
        middle_i, middle_j = (cells[:, 0] + cells[:, 1]) // 2, (cells[:, 2] + cells[:, 3]) // 2
        points, owners, children = [], [], []
        for cell, i, j in zip(cells, middle_i, middle_j, strict=True):
            rows = sorted({cell[0], i, cell[1]})
            columns = sorted({cell[2], j, cell[3]})
            for a in rows:
                for c in columns:
                    points.append((a, c))
                    owners.append(cell)
            for a, next_a in itertools.pairwise(rows):
                for c, next_c in itertools.pairwise(columns):
                    children.append((a, next_a, c, next_c))
        if not children:
            return np.empty((0, 4), dtype=np.int64)
        unique, where = np.unique(np.array(points), axis=0, return_index=True)
        new = self.row[unique[:, 0], unique[:, 1]] == UNKNOWN
        self._evaluate_new(unique[new], np.array(owners)[where[new]])
        return np.array(children)

    def _cuts(self, squares: NDArray[np.bool_]) -> tuple[Integers, Integers]:
        """Return the ends (k, 2) of all sides of these squares whose two ends are not connected."""
        i, j = np.nonzero(squares)
        a, b, c, d = _corners(np.stack([i, i + 1, j, j + 1], axis=-1))
        sides = np.concatenate([np.stack(p, axis=1) for p in ((a, b), (d, c), (a, d), (b, c))])
        sides = np.unique(sides, axis=0)
        cut = ~self.connected(sides[:, 0], sides[:, 1])
        return sides[cut, 0], sides[cut, 1]

    def _entered(self, first: Integers, second: Integers) -> Integers:
        """Return which filled cells have a cut side on their border, or a point of another phase."""
        touched = []
        along_density = first[:, 0] != second[:, 0]
        for shift in (0, 1):  # the squares on both sides of a side
            beside = np.where(along_density[:, np.newaxis], [0, shift], [shift, 0])
            touched.append(self._owner_of(first - beside))
        phases = np.array(self._filled_phase, dtype=np.int8)
        points = np.argwhere(self.row != UNKNOWN)
        phase = self.phase[points[:, 0], points[:, 1]]
        for corner in itertools.product((0, 1), repeat=2):
            owner = self._owner_of(points - corner)
            held = np.flatnonzero(owner >= 0)
            touched.append(owner[held[phases[owner[held]] != phase[held]]])
        owners = np.unique(np.concatenate(touched))
        return owners[owners >= 0]

    def _owner_of(self, squares: Integers) -> Integers:
        """Return the filled cell in which squares (k, 2) lie; −1 for none."""
        shape = np.array(self._owner.shape)
        inside = ((squares >= 0) & (squares < shape)).all(axis=1)
        places = np.clip(squares, 0, shape - 1)
        return np.where(inside, self._owner[places[:, 0], places[:, 1]], UNKNOWN)

    def _border_disagrees(self, i0: int, i1: int, j0: int, j1: int) -> bool:
        """Tell whether an evaluated point on the border has another phase, or a side is cut."""
        for border in (
            (slice(i0, i1 + 1), j0), (slice(i0, i1 + 1), j1),
            (i0, slice(j0, j1 + 1)), (i1, slice(j0, j1 + 1)),
        ):  # fmt: skip
            known = self.row[border] != UNKNOWN
            if (self.phase[border][known] != self.phase[i0, j0]).any():
                return True
        along_density, along_importance = self._cut
        return bool(along_density[i0:i1, [j0, j1]].any() or along_importance[[i0, i1], j0:j1].any())

    def _remember(self, first: Integers, second: Integers) -> None:
        down = first[:, 0] != second[:, 0]
        self._cut[0][first[down, 0], first[down, 1]] = True
        self._cut[1][first[~down, 0], first[~down, 1]] = True

    def follow_boundaries(self) -> tuple[Integers, Integers]:
        """Split filled cells that a boundary enters from a neighbor; return all cut sides."""
        checked = np.zeros_like(self.squares)
        while True:
            new = self.squares & ~checked
            first, second = self._cuts(new if new.any() else self.squares)
            entered = self._entered(first, second)
            if not len(entered) and not new.any():
                return first, second
            checked |= new
            self._remember(first, second)
            cells = np.array(self.filled).reshape(-1, 4)[entered]
            for i0, i1, j0, j1 in cells:
                self._owner[i0:i1, j0:j1] = UNKNOWN
            self.refine(cells, forced=True)


def _corners(cells: Integers) -> list[Integers]:
    """Return the four corners (k, 2) of cells, around."""
    i0, i1, j0, j1 = cells.T
    return [np.stack(p, axis=-1) for p in ((i0, j0), (i0, j1), (i1, j1), (i1, j0))]


def coarse_cells(shape: tuple[int, int], spacing: int) -> Integers:
    """Cover a grid with cells of about `spacing` points, as equal as possible."""

    def cut(size: int) -> Integers:
        pieces = max(1, -(-(size - 1) // spacing))
        return np.round(np.linspace(0, size - 1, pieces + 1)).astype(np.int64)

    i, j = cut(shape[0]), cut(shape[1])
    return np.array(
        [(a, b, c, d) for a, b in itertools.pairwise(i) for c, d in itertools.pairwise(j)]
    )
