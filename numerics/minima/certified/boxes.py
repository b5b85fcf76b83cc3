"""Lower bounds of the loss over boxes of (W₁, W₂, b₁, b₂), and what a box cannot hold.

With F of `moments` for either output the loss is

    L = I₁ F(W₁², W₁W₂, b₁) + I₂ F(W₂², W₁W₂, b₂) + 2 λ (W₁W₂)².

Over a box, g_i = W_i² and c = W₁W₂ have exact ranges, and each F a box of (g, c, b). There are
three bounds, in the order of their cost; a box is done as soon as one of them suffices.

Distance. I₁ F + I₂ F + 2 λ min c², each F by `distance`.

Slope. The moments that ∇F is a difference of grow with g, c, b, so that their values at the two
corners enclose ∇F, and ∇L by the chain rule. If that excludes 0, the box holds no minimizer of L
over the whole space. Else, by the mean value theorem, L(x) ≥ L(m) + Σ_k min ∂_k L (x_k − m_k).

Curvature. If the outputs are never cut off in the box, or g_i > 0, then ∇L is Lipschitz. Its second
derivative, which exists almost everywhere, is by the chain rule

    H = Σ_i I_i J_iᵀ (2 E v vᵀ 1[z > 0] − 2 E x δ(z) v vᵀ) J_i + (curvature of W ↦ g, c, c²),

where the rows of J_i are the derivatives of g_i, c, b_i. In the Löwner order E v vᵀ 1[z > 0] is at
least what it is at the lower corner, since fewer inputs are on there; the kink has been enclosed
entry by entry in `kink`, and the rest follows in interval arithmetic. An enclosure of a matrix by
its entries, M ± R, is at least M − diag(R 1) by Gershgorin. So H ⪰ M' for a matrix of
numbers, and

    L(m + d) ≥ L(m) + ∇L(m)·d + ½ dᵀ M' d,

which `quadratic` bounds from below. If M' is positive definite, L is convex on the box.

Importances and densities are intervals: every statement then holds for all values in them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ...compiled import compiled
from .distance import distance_bound
from .intervals import (
    THIRD,
    Interval,
    above,
    add,
    below,
    exactly,
    multiply,
    square,
    subtract,
)
from .kink import enclose_kink
from .moments import (
    CROSS,
    N_MOMENTS,
    OPEN,
    OTHER,
    OTHER_OTHER,
    OUTPUT,
    OUTPUT_OTHER,
    OWN,
    OWN_OTHER,
    OWN_OWN,
    SQUARE,
    Corner,
    Enclosures,
    enclose_moments,
)
from .quadratic import Floats, convexifying_shift, minimum_over_cube

Pair = tuple[Interval, Interval]  # one for each feature, or each output
Slopes = tuple[Interval, Interval, Interval]  # derivatives by g, c, b

FOUR = (4.0, 4.0)
TWO = (2.0, 2.0)

UNDECIDED, EMPTY, CONVEX = 0, 1, 2  # what a box was found to be
LOW, HIGH, CENTER, KINK = 0, 1, 2, 3  # places in the workspace


class Model(NamedTuple):
    """Two features in one dimension, or all models in a range.

    Attributes
    ----------
    importance, density : tuple of two intervals
    penalty : float
    """

    importance: Pair
    density: Pair
    penalty: float


class Workspace(NamedTuple):
    """Arrays that the bounds of one box after the other are computed in."""

    moments: Enclosures  # (output, place, moment, end)
    gradient: Enclosures  # (4, end)
    hessian: Enclosures  # (4, 4, end)
    matrix: Floats  # (4, 4), below the Hessian in coordinates in which the box is the cube
    center: Floats
    radius: Floats
    point: Floats
    rotated: Floats  # (4, 4)
    factor: Floats  # (4, 4)


@compiled
def workspace() -> Workspace:
    """Return arrays for the bounds of a box."""
    return Workspace(
        np.zeros((2, 4, N_MOMENTS, 2)),
        np.zeros((4, 2)),
        np.zeros((4, 4, 2)),
        np.zeros((4, 4)),
        np.zeros(4),
        np.zeros(4),
        np.zeros(4),
        np.zeros((4, 4)),
        np.zeros((4, 4)),
    )


@compiled
def _corners(weights: Pair, box: Enclosures, i: int) -> tuple[Corner, Corner]:
    """Return the least and the largest (g, c, b) of output i."""
    g, c = square(weights[i]), multiply(weights[0], weights[1])
    return (g[0], c[0], box[2 + i, 0]), (g[1], c[1], box[2 + i, 1])


@compiled
def _error(moments: Enclosures, density: Interval) -> Interval:
    """Enclose F at a point."""
    second = add(multiply(density, THIRD), (moments[SQUARE, 0], moments[SQUARE, 1]))
    return subtract(second, (2.0 * moments[CROSS, 0], 2.0 * moments[CROSS, 1]))


@compiled
def _slopes(low: Enclosures, high: Enclosures) -> Slopes:
    """Enclose the derivatives of F by g, c and b between two corners."""
    own = subtract((low[CROSS, 0], high[CROSS, 1]), (low[OWN_OWN, 0], high[OWN_OWN, 1]))
    other = subtract(
        (low[OUTPUT_OTHER, 0], high[OUTPUT_OTHER, 1]), (low[OWN_OTHER, 0], high[OWN_OTHER, 1])
    )
    bias = subtract((low[OUTPUT, 0], high[OUTPUT, 1]), (low[OWN, 0], high[OWN, 1]))
    return multiply(TWO, own), multiply(TWO, other), multiply(TWO, bias)


@compiled
def _weighted(importance: Interval, slopes: Slopes) -> Slopes:
    return (
        multiply(importance, slopes[0]),
        multiply(importance, slopes[1]),
        multiply(importance, slopes[2]),
    )


@compiled
def _fill_gradient(
    gradient: Enclosures, weights: Pair, slopes: tuple[Slopes, Slopes], penalty: float
) -> None:
    """Enclose the gradient of L; `slopes` are those of I_i F_i."""
    first, second = weights
    c = multiply(first, second)
    by_c = add(add(slopes[0][1], slopes[1][1]), multiply(exactly(4.0 * penalty), c))
    for k in range(2):
        by_g = multiply(TWO, multiply(slopes[k][0], weights[k]))
        by_weight = add(by_g, multiply(by_c, weights[1 - k]))
        gradient[k, 0], gradient[k, 1] = by_weight
        gradient[2 + k, 0], gradient[2 + k, 1] = slopes[k][2]


@compiled
def _collect(hessian: Enclosures, i: int, j: int, value: Interval) -> None:
    total = add((hessian[i, j, 0], hessian[i, j, 1]), value)
    hessian[i, j, 0], hessian[i, j, 1] = total
    hessian[j, i, 0], hessian[j, i, 1] = total


@compiled
def _curvature(k: int, importance: Interval, open_: Enclosures, kink: Enclosures) -> Interval:
    """Enclose an entry of the second derivative of I·F, less something positive semidefinite."""
    difference = subtract((open_[k, 0], open_[k, 1]), (kink[k, 0], kink[k, 1]))
    return multiply(importance, multiply(TWO, difference))


@compiled
def _collect_output(
    hessian: Enclosures,
    i: int,
    weights: Pair,
    importance: Interval,
    open_: Enclosures,
    kink: Enclosures,
) -> None:
    """Add Jᵀ S J of output i, with J = (2w dw, w dv + v dw, db) for own weight w and other v."""
    j, b = 1 - i, 2 + i
    w, v = weights[i], weights[1 - i]
    gg = _curvature(OWN_OWN, importance, open_, kink)
    gc = multiply(TWO, _curvature(OWN_OTHER, importance, open_, kink))
    gb = multiply(TWO, _curvature(OWN, importance, open_, kink))
    cc = _curvature(OTHER_OTHER, importance, open_, kink)
    cb = _curvature(OTHER, importance, open_, kink)
    ww, wv = square(w), multiply(w, v)
    _collect(hessian, i, i, multiply(FOUR, multiply(gg, ww)))
    _collect(hessian, i, i, multiply(TWO, multiply(gc, wv)))
    _collect(hessian, i, i, multiply(cc, square(v)))
    _collect(hessian, i, j, add(multiply(gc, ww), multiply(cc, wv)))
    _collect(hessian, j, j, multiply(cc, ww))
    _collect(hessian, i, b, add(multiply(gb, w), multiply(cb, v)))
    _collect(hessian, j, b, multiply(cb, w))
    _collect(hessian, b, b, _curvature(OPEN, importance, open_, kink))


@compiled
def _collect_couplings(
    hessian: Enclosures, weights: Pair, slopes: tuple[Slopes, Slopes], penalty: float
) -> None:
    """Add the slopes by g and c times the curvature of g and c, and the penalty's curvature."""
    first, second = weights
    by_c = add(slopes[0][1], slopes[1][1])
    tax = multiply(exactly(8.0 * penalty), multiply(first, second))
    _collect(hessian, 0, 1, add(by_c, tax))
    for k in range(2):
        _collect(hessian, k, k, multiply(TWO, slopes[k][0]))
        _collect(hessian, k, k, multiply(exactly(4.0 * penalty), square(weights[1 - k])))


@compiled
def _fill_matrix(matrix: Floats, hessian: Enclosures, radius: Floats) -> None:
    """Write numbers M with M ⪯ R H R for every H enclosed, R = diag(radius)."""
    for i in range(4):
        spread = 0.0
        for j in range(4):
            sides = multiply(exactly(radius[i]), exactly(radius[j]))
            entry = multiply((hessian[i, j, 0], hessian[i, j, 1]), sides)
            matrix[i, j] = 0.5 * (entry[0] + entry[1])
            away = max(entry[1] - matrix[i, j], matrix[i, j] - entry[0])
            spread = above(spread + above(away))
        matrix[i, i] = below(matrix[i, i] - spread)


@compiled
def loss_at(point: Floats, model: Model, moments: Enclosures) -> Interval:
    """Enclose L at a point (W₁, W₂, b₁, b₂), and leave the moments at CENTER.

    The weights have to be numbers of single precision, whose products are exact in double.
    """
    c = point[0] * point[1]
    total = multiply(exactly(2.0 * model.penalty), square(exactly(c)))
    for k in range(2):
        own, other = model.density[k], model.density[1 - k]
        corner = point[k] * point[k], c, point[2 + k]
        enclose_moments(corner, own, other, moments[k, CENTER])
        error = _error(moments[k, CENTER], own)
        total = add(total, multiply(model.importance[k], error))
    return total


@compiled
def _distance_bound(weights: Pair, box: Enclosures, model: Model) -> float:
    tax = multiply(exactly(2.0 * model.penalty), square(multiply(weights[0], weights[1])))
    total = exactly(tax[0])
    for k in range(2):
        low, high = _corners(weights, box, k)
        far = distance_bound(low, high, model.density[k], model.density[1 - k])
        total = add(total, multiply(model.importance[k], exactly(far)))
    return max(0.0, total[0])


@compiled
def _place_center(box: Enclosures, work: Workspace) -> bool:
    """Choose a point m in the box, and radii such that |x − m| ≤ radius.

    The weights of m have single precision. Whether there is such a point: not in a tiny box.
    """
    inside = True
    for k in range(4):
        center = 0.5 * (box[k, 0] + box[k, 1])
        if k < 2:
            center = np.float64(np.float32(center))
        work.center[k] = center
        work.radius[k] = above(max(box[k, 1] - center, center - box[k, 0]))
        inside = inside and box[k, 0] <= center <= box[k, 1]
    return inside


@compiled
def _excludes_zero(gradient: Enclosures) -> bool:
    answer = False
    for k in range(4):
        answer = answer or gradient[k, 0] > 0.0 or gradient[k, 1] < 0.0
    return answer


@compiled
def _split_along(box: Enclosures, gradient: Enclosures) -> int:
    """Return the coordinate that the slope bound loses most by."""
    split, most = 0, -1.0
    for k in range(4):
        loses = (gradient[k, 1] - gradient[k, 0]) * (box[k, 1] - box[k, 0])
        if loses > most:
            split, most = k, loses
    return split


@compiled
def _fill_slopes(
    moments: Enclosures, weights: Pair, model: Model, low: int, high: int, gradient: Enclosures
) -> tuple[Slopes, Slopes]:
    """Enclose the gradient of L between two places, and return the slopes of I_i F_i."""
    slopes = (
        _weighted(model.importance[0], _slopes(moments[0, low], moments[0, high])),
        _weighted(model.importance[1], _slopes(moments[1, low], moments[1, high])),
    )
    _fill_gradient(gradient, weights, slopes, model.penalty)
    return slopes


@compiled
def _curvature_matrix(
    weights: Pair, box: Enclosures, model: Model, slopes: tuple[Slopes, Slopes], work: Workspace
) -> bool:
    """Fill the matrix below the Hessian; whether there is one."""
    work.hessian[:] = 0.0
    for k in range(2):
        low, high = _corners(weights, box, k)
        kink = work.moments[k, KINK]
        if not enclose_kink(low, high, model.density[k], model.density[1 - k], kink):
            return False
        open_ = work.moments[k, LOW]
        _collect_output(work.hessian, k, weights, model.importance[k], open_, kink)
    _collect_couplings(work.hessian, weights, slopes, model.penalty)
    _fill_matrix(work.matrix, work.hessian, work.radius)
    return True


@compiled
def bound_box(
    box: Enclosures, model: Model, enough: float, stationary: bool, work: Workspace
) -> tuple[float, int, int]:
    """Bound L over a box.

    Parameters
    ----------
    box : ndarray of shape (4, 2)
        Lower and upper ends of W₁, W₂, b₁, b₂.
    model : Model
    enough : float
        Stop at a bound above this.
    stationary : bool
        Whether boxes without stationary points are of no interest, and need no bound.
    work : Workspace

    Returns
    -------
    lower : float
        L is at least this everywhere in the box.
    kind : int
        EMPTY: the box holds no minimizer. CONVEX: L is strictly convex on it. UNDECIDED.
    split : int
        The coordinate that should be halved next.
    """
    weights = (box[0, 0], box[0, 1]), (box[1, 0], box[1, 1])
    lower = _distance_bound(weights, box, model)
    if lower > enough:
        return lower, UNDECIDED, 0
    moments = work.moments
    for k in range(2):
        low, high = _corners(weights, box, k)
        own, other = model.density[k], model.density[1 - k]
        enclose_moments(low, own, other, moments[k, LOW])
        enclose_moments(high, own, other, moments[k, HIGH])
    slopes = _fill_slopes(moments, weights, model, LOW, HIGH, work.gradient)
    if stationary and _excludes_zero(work.gradient):
        return lower, EMPTY, 0
    split = _split_along(box, work.gradient)
    if not _place_center(box, work):
        return lower, UNDECIDED, split
    value = loss_at(work.center, model, moments)
    linear = value
    for k in range(4):
        step = (-work.radius[k], work.radius[k])
        linear = add(linear, multiply((work.gradient[k, 0], work.gradient[k, 1]), step))
    lower = max(lower, linear[0])
    if lower > enough or not _curvature_matrix(weights, box, model, slopes, work):
        return lower, UNDECIDED, split
    shift = convexifying_shift(work.matrix, work.rotated, work.factor)
    if shift == math.inf:
        return lower, UNDECIDED, split
    center = exactly(work.center[0]), exactly(work.center[1])
    _fill_slopes(moments, center, model, CENTER, CENTER, work.gradient)
    for k in range(4):
        slope = multiply((work.gradient[k, 0], work.gradient[k, 1]), exactly(work.radius[k]))
        work.gradient[k, 0], work.gradient[k, 1] = slope
    below_value = minimum_over_cube(work.matrix, shift, work.gradient, work.point)
    lower = max(lower, add(value, exactly(below_value))[0])
    return lower, CONVEX if shift == 0.0 else UNDECIDED, split
