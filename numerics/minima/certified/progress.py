"""Generations of boxes, one after the other, until all are done or a budget is spent."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...arguments import Floats
from .boxes import Model, Workspace
from .cores import Core
from .search import next_generation


class Search:
    """The state of a branch and bound: what is left, and the bounds of it."""

    def __init__(
        self,
        model: Model,
        known: float,
        work: Workspace,
        *,
        alike: bool = False,
        cores: Sequence[Core] = (),
        directions: Sequence[tuple[float, float]] = (),
    ) -> None:
        self.model = model
        self.alike = alike
        self.known = known
        self.work = work
        self.cores = np.array([core.box for core in cores]).reshape(-1, 4, 2)
        self.directions = np.array(directions, dtype=np.float64).reshape(-1, 2)
        self.entered = np.zeros(len(cores), dtype=bool)
        self.bounded = 0

    def run(
        self, boxes: Floats, bounds: Floats, tight: float, budget: int, finest: float
    ) -> tuple[Floats, Floats]:
        """Cut boxes until all are done or the budget is spent; return those that are left."""
        left, left_bounds = [np.empty((0, 4, 2))], [np.empty(0)]
        while len(boxes) and self.bounded < budget:
            small = (boxes[..., 1] - boxes[..., 0]).max(axis=1) < finest
            left.append(boxes[small])
            left_bounds.append(bounds[small])
            boxes = boxes[~small]
            count = len(boxes)
            children, kept = np.empty((2 * count, 4, 2)), np.empty((count, 4, 2))
            child_bounds, kept_bounds = np.empty(2 * count), np.empty(count)
            n_children, n_kept = next_generation(
                boxes, count, self.model, self.alike, self.known, tight, self.cores,
                self.entered, self.directions, children, child_bounds, kept, kept_bounds, self.work,
            )  # fmt: skip
            self.bounded += count
            boxes, bounds = children[:n_children], child_bounds[:n_children]
            left.append(kept[:n_kept])
            left_bounds.append(kept_bounds[:n_kept])
        return np.concatenate([*left, boxes]), np.concatenate([*left_bounds, bounds])
