"""Branch and bound over boxes of (W₁, W₂, b₁, b₂), one generation of boxes at a time.

A box is done with if

- L is above the known loss U everywhere in it: no minimizer is there, and the minimum is not;
- the gradient excludes 0 in it: likewise, because minimizers of L over the whole space are sought;
- by symmetry its minimizers are also elsewhere: for features that are alike, where |W₂| > |W₁|;
- it lies in one of the cores: boxes around local minima on which L is convex, and bounded;
- it lies in the directions W₂/W₁ that are allowed, if such are given;
- L is at least U (1 − rtol) in it: it is kept aside as tight.

Any other box is cut in two: along a face of a core that it overlaps, or else in the middle.
"""

from __future__ import annotations

import math

from ...compiled import compiled
from .boxes import EMPTY, Model, Workspace, bound_box
from .intervals import exactly, multiply, square
from .moments import Enclosures
from .quadratic import Floats

CUT_TO_CORE = 4.0  # boxes up to this multiple of a core, along each side, are cut along its faces

INSIDE, ACROSS, OUTSIDE = 0, 1, 2


@compiled
def place(box: Enclosures, core: Enclosures) -> int:
    """Tell where a box is, as seen from a core."""
    answer = INSIDE
    for k in range(4):
        if box[k, 1] <= core[k, 0] or box[k, 0] >= core[k, 1]:
            return OUTSIDE
        if box[k, 0] < core[k, 0] or box[k, 1] > core[k, 1]:
            answer = ACROSS
    return answer


@compiled
def _cut_along(box: Enclosures, core: Enclosures) -> tuple[int, float]:
    """Return the face of a core that cuts most off a box; (−1, 0) if the box is much larger."""
    along, at, most = -1, 0.0, 0.0
    for k in range(4):
        width = box[k, 1] - box[k, 0]
        if width > CUT_TO_CORE * (core[k, 1] - core[k, 0]):
            return -1, 0.0
        for face, off in (
            (core[k, 0], core[k, 0] - box[k, 0]),
            (core[k, 1], box[k, 1] - core[k, 1]),
        ):
            if off > most * width:
                along, at, most = k, face, off / width
    return along, at


@compiled
def _meets_core(box: Enclosures, cores: Enclosures, entered: Enclosures) -> tuple[bool, int, float]:
    """Tell whether a box is inside a core, noted in `entered`, or how to cut one off it."""
    along, at = -1, 0.0
    for q in range(cores.shape[0]):
        where = place(box, cores[q])
        if where == INSIDE:
            entered[q] = True
            return True, -1, 0.0
        if where == ACROSS and along < 0:
            along, at = _cut_along(box, cores[q])
    return False, along, at


@compiled
def _is_allowed(box: Enclosures, directions: Enclosures) -> bool:
    """Tell whether least · W₁ ≤ W₂ ≤ most · W₁ in all of the box, for one range of directions."""
    first = (box[0, 0], box[0, 1])
    for q in range(directions.shape[0]):
        least, most = directions[q, 0], directions[q, 1]
        above_least = least == -math.inf or box[1, 0] >= multiply(exactly(least), first)[1]
        below_most = most == math.inf or box[1, 1] <= multiply(exactly(most), first)[0]
        if above_least and below_most:
            return True
    return False


@compiled
def _copy(box: Enclosures, room: Enclosures) -> None:
    for k in range(4):
        room[k, 0], room[k, 1] = box[k, 0], box[k, 1]


@compiled
def _is_copy(box: Enclosures) -> bool:
    """Tell whether |W₂| > |W₁| in all of the box."""
    return square((box[0, 0], box[0, 1]))[1] < square((box[1, 0], box[1, 1]))[0]


@compiled
def next_generation(
    boxes: Enclosures,
    count: int,
    model: Model,
    alike: bool,
    known: float,
    tight: float,
    cores: Enclosures,
    entered: Enclosures,
    directions: Enclosures,
    children: Enclosures,
    child_bounds: Floats,
    kept: Enclosures,
    kept_bounds: Floats,
    work: Workspace,
) -> tuple[int, int]:
    """Bound the first `count` boxes, and cut in two those that are not done.

    Parameters
    ----------
    boxes : ndarray of shape (..., 4, 2)
    count : int
    model : Model
    alike : bool
        Whether the two features are interchangeable.
    known, tight : float
        U, and the bound from which boxes are kept aside.
    cores : ndarray of shape (n_cores, 4, 2)
    entered : ndarray of bool, shape (n_cores,)
        Set where a box lies in a core.
    directions : ndarray of shape (n, 2)
        Ranges of W₂/W₁ that are allowed. If there are any, L > U is proved everywhere else, and not
        only where L is stationary.
    children, child_bounds, kept, kept_bounds : ndarray
        Room for 2·count and for count boxes, filled with the boxes and lower bounds of L on them.
    work : Workspace

    Returns
    -------
    n_children, n_kept : int
    """
    n_children = n_kept = 0
    stationary = directions.shape[0] == 0
    for n in range(count):
        box = boxes[n]
        if (alike and _is_copy(box)) or _is_allowed(box, directions):
            continue
        done, along, at = _meets_core(box, cores, entered)
        if done:
            continue
        lower, kind, split = bound_box(box, model, known, stationary, work)
        if kind == EMPTY or lower > known:
            continue
        if lower >= tight:
            _copy(box, kept[n_kept])
            kept_bounds[n_kept] = lower
            n_kept += 1
            continue
        if along < 0:
            along, at = split, 0.5 * (box[split, 0] + box[split, 1])
        for side in range(2):
            _copy(box, children[n_children])
            children[n_children, along, 1 - side] = at
            child_bounds[n_children] = lower
            n_children += 1
    return n_children, n_kept
