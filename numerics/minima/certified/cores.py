"""Boxes around local minima on which the loss is convex, so that they hold one minimizer at most."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ...arguments import Floats
from .boxes import CONVEX, Model, Workspace, bound_box
from .quadratic import is_positive, least_eigenvalue

LARGEST, SMALLEST, SHRINK = 0.25, 1e-5, 0.7  # half widths that are tried


class Core(NamedTuple):
    """A box on which the loss is convex.

    Attributes
    ----------
    box : ndarray of shape (4, 2)
    lower : float
        A lower bound of the loss at a minimizer in it.
    minimizer : ndarray of shape (4, 2)
        Encloses the minimizer, if there is one in the box.
    """

    box: Floats
    lower: float
    minimizer: Floats


def _strong_convexity(matrix: Floats, work: Workspace) -> float:
    """Return a proved lower bound of the least eigenvalue, 0 or more, of a positive matrix."""
    guess = 0.9 * least_eigenvalue(matrix, work.rotated)
    for _ in range(4):
        if guess > 0.0 and is_positive(matrix, -guess, work.factor):
            return guess
        guess *= 0.5
    return 0.0


def _minimizer(work: Workspace) -> Floats:
    """Enclose the minimizer in the convex box that was bounded last.

    In coordinates u in which the box is the cube, with p the gradient at the center and μ below
    the eigenvalues of the Hessian, 0 = ∇L(u) implies μ |u|² ≤ −p·u, and so |u| ≤ |p|/μ.
    """
    convexity = _strong_convexity(work.matrix, work)
    slope = float(np.linalg.norm(np.abs(work.gradient).max(axis=1))) * (1.0 + 1e-12)
    reach = min(1.0, slope / convexity * (1.0 + 1e-12)) if convexity > 0.0 else 1.0
    step = work.radius * reach * (1.0 + 1e-12) + np.spacing(np.abs(work.center))
    return np.stack([work.center - step, work.center + step], axis=-1)


def core_around(point: Floats, model: Model, work: Workspace) -> Core | None:
    """Return the largest box around a point on which convexity is proved, if any is.

    Parameters
    ----------
    point : ndarray of shape (4,)
        W₁, W₂, b₁, b₂.
    model : Model
    work : Workspace
    """
    half = LARGEST
    while half > SMALLEST:
        box = np.stack([point - half, point + half], axis=-1)
        lower, kind, _ = bound_box(box, model, math.inf, True, work)
        if kind == CONVEX:
            minimizer = _minimizer(work)
            closer, _, _ = bound_box(minimizer, model, math.inf, True, work)
            return Core(box, max(lower, closer), minimizer)
        half *= SHRINK
    return None


def cores_around(points: Floats, model: Model, work: Workspace) -> list[Core]:
    """Return the cores around points, but one only where a point lies in the core of another."""
    cores: list[Core] = []
    for point in points:
        boxes = (core.box for core in cores)
        if any(((box[:, 0] <= point) & (point <= box[:, 1])).all() for box in boxes):
            continue
        core = core_around(point, model, work)
        if core is not None:
            cores.append(core)
    return cores
