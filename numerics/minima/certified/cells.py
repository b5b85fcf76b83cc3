"""Phases that are proved for all models of a cell of densities, importances and penalties at once.

With x̂ a fixed model, the difference D = L(W, b) − L(x̂) is affine in each of s₁, s₂, I₁, I₂ and λ
while the others are held: every case of what is on has the probability s₁ or 1 − s₁ times s₂ or
1 − s₂. A function that is affine in each of its arguments is least over a box at one of the
corners. So if D > 0 for all (W, b) with W outside of some directions, at every corner of a cell,
then it is so in all of the cell, and every global minimizer of every model of the cell lies in
those directions. Corners have numbers for arguments, so that nothing is lost to their ranges.

Outside of the search region D > 0 too, because the bounds of `region` are bounds of the loss.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from ....model import check_density, check_importance, check_penalty
from ...arguments import Floats, check_integer
from .boxes import loss_at, workspace
from .minimum import best_known, point_model
from .progress import Search
from .region import search_region

Range = tuple[float, float]
Directions = Sequence[Range]

DEFAULT_MAX_BOXES = 100_000


@dataclass(frozen=True)
class CellCertificate:
    """What is proved of the global minimizers in a cell.

    Attributes
    ----------
    phase : str
        The phase of the best known model in the middle of the cell; "" if it is none that was given.
    certified : bool
        Whether every global minimizer of every model of the cell is proved to be in that phase.
    W : ndarray of shape (1, 2)
    b : ndarray of shape (2,)
        A model that is better, everywhere in the cell, than all that are not in the phase.
    boxes : int
        How many boxes were bounded, at all corners together.
    """

    phase: str
    certified: bool
    W: Floats
    b: Floats
    boxes: int


def _phase_of(W: Floats, phases: Mapping[str, Directions]) -> str:
    """Return the first phase that has the direction of W, of which W₁ ≥ 0."""
    slope = W[1] / W[0] if W[0] > 0.0 else math.inf
    for name, directions in phases.items():
        if any(least <= slope <= most for least, most in directions):
            return name
    return ""


def _range(values: float | Range) -> Range:
    ends = np.atleast_1d(np.asarray(values, dtype=np.float64))
    if ends.shape not in ((1,), (2,)) or not ends[0] <= ends[-1]:
        raise ValueError(f"a range is a number or (lower, upper) in this order, got {values}")
    return float(ends[0]), float(ends[-1])


def _check_phases(phases: Mapping[str, Directions]) -> None:
    for name, directions in phases.items():
        ranges = np.asarray(directions, dtype=np.float64)
        if ranges.ndim != 2 or ranges.shape[1] != 2 or not (ranges[:, 0] <= ranges[:, 1]).all():
            raise ValueError(
                f"phase {name!r} needs ranges (lower, upper) of W₂/W₁ in this order, got {directions}"
            )


def _corners(*ranges: Range) -> list[tuple[float, ...]]:
    """Return the distinct corners of a box."""
    return sorted(set(product(*ranges)))


def certify_cell(
    *,
    density: float | Range,
    importance: Sequence[float | Range],
    phases: Mapping[str, Directions],
    penalty: float | Range = 0.0,
    max_boxes: int = DEFAULT_MAX_BOXES,
) -> CellCertificate:
    """Prove in which phase the global minimizers of all models of a cell are.

    Parameters
    ----------
    density : float or (lower, upper)
        Of both features; they need not be equal for what is proved.
    importance : sequence of two floats or (lower, upper)
    phases : mapping
        Names, and the ranges of W₂/W₁ that make up each phase. Ends may be infinite.
    penalty : float or (lower, upper)
        λ.
    max_boxes : int
        The number of boxes after which a corner is given up.

    Returns
    -------
    CellCertificate

    Raises
    ------
    ValueError
        If a range is not one, `max_boxes` is below 1, or a range is outside of what densities, importances and penalties can be, or
        has a density or importance of 0, at which the minimum is 0 and has no phase.

    Examples
    --------
    >>> pair = {"pair": [(-1.25, -0.8)]}
    >>> cell = certify_cell(density=(0.05, 0.06), importance=[1, (0.8, 1.0)], phases=pair)
    >>> cell.phase, cell.certified
    ('pair', True)
    """
    check_integer("max_boxes", max_boxes, at_least=1)
    density_range, penalty_range = _range(density), _range(penalty)
    _check_phases(phases)
    importances = [_range(entry) for entry in importance]
    if len(importances) != 2:
        raise ValueError(f"importance must have two entries, got {len(importances)}")
    check_density(density_range)
    check_importance(importances)
    check_penalty(penalty_range)
    if density_range[0] == 0.0 or min(low for low, _ in importances) == 0.0:
        raise ValueError("densities and importances of a cell must be positive")
    middle = [
        sum(entry) / 2 for entry in (*importances, density_range, density_range, penalty_range)
    ]
    point = best_known(np.array(middle[:2]), np.array(middle[2:4]), middle[4])[0]
    phase = _phase_of(point[:2], phases)
    corners = _corners(*importances, density_range, density_range, penalty_range)
    excess = [_excess(point, corner, phases, phase) for corner in corners]
    boxes, certified = 0, bool(phase) and max(excess) < math.inf
    for k in np.argsort(excess)[::-1]:  # where x̂ is worst first, because that is where proofs fail
        if not certified:
            break
        certified, spent = _certify_corner(corners[k], point, phases[phase], max_boxes)
        boxes += spent
    return CellCertificate(phase, certified, point[:2][np.newaxis], point[2:], boxes)


def _excess(
    point: Floats, corner: tuple[float, ...], phases: Mapping[str, Directions], phase: str
) -> float:
    """Return L(x̂) over the least known loss at a corner, infinite if that is in another phase."""
    importance, density = np.array(corner[:2]), np.array(corner[2:4])
    best, known, _ = best_known(importance, density, corner[4])
    if _phase_of(best[:2], phases) != phase:
        return math.inf
    model = point_model(importance, density, corner[4])
    return loss_at(point, model, workspace().moments)[1] / known


def _certify_corner(
    corner: tuple[float, ...], point: Floats, directions: Directions, max_boxes: int
) -> tuple[bool, int]:
    """Tell whether L > L(x̂) is proved outside of the directions, and how many boxes it took."""
    importance, density = np.array(corner[:2]), np.array(corner[2:4])
    model, work = point_model(importance, density, corner[4]), workspace()
    known = loss_at(point, model, work.moments)[1]
    try:
        start = search_region(importance, density, known)[np.newaxis]
    except ValueError:  # so large a cell that a dead output would be better than x̂
        return False, 0
    search = Search(model, known, work, directions=directions)
    left, _ = search.run(start, np.zeros(1), math.inf, max_boxes, 0.0)
    return len(left) == 0, search.bounded
