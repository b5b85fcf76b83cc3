"""Where the routes of many starts end: by gradient flow, by optimizers, by training on samples.

Starts are W ~ N(0, σ²), b = 0. All points of a grid, all scales σ and all routes have the same
draws of W/σ, so that they differ in nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...features import FeatureDistribution, check_features
from ...model import check_penalty, check_sizes
from ..arguments import Floats, broadcast_parameters
from ..minima.descent import descend
from ..minima.multistart import random_starts
from ..minima.polish import Polished, polish
from ..training.named_protocols import resolve_protocol
from ..training.population import train_on_population
from ..training.protocols import Protocol
from ..training.train import train
from .gradient_flow import gradient_flow

__all__ = ["BasinEnds", "basin_ends"]

_OPTIMAL = 1e-6  # relative; distinct minima that are closer in loss are counted as one
_SEARCHED = 64  # descents per model that look for the global minimum
_SEARCH_SEED = 0x5EA2C4  # of their starts: not one that users choose
_FLOW_TOLERANCE = 1e-4
_FLOW_ERROR = 1e-5
_FAR = 0.05  # Newton's method that moves a parameter by more has left the end of the flow
_ROUNDS = 3  # of flows that are continued because their end did not tell


@dataclass(frozen=True)
class BasinEnds:
    """Where gradient flow ends that goes on from the end of each start's route.

    Attributes
    ----------
    start : ndarray of shape (..., starts, n_hidden, n_features)
        W at the start; b is zero there.
    W : ndarray of shape (..., starts, n_hidden, n_features)
    b : ndarray of shape (..., starts, n_features)
        The end.
    loss, gradient_norm : ndarray of shape (..., starts)
    kind : ndarray of str, shape (..., starts)
        "minimum", "degenerate" or "saddle", as in `Curvature`. A saddle that catches an open set
        of starts exists where the gradient has a kink: it attracts from one side.
    settled : ndarray of bool, shape (..., starts)
        Whether the end is known: the flow came close to it, to within 10⁻⁸ of the scale of
        gradients if it is a saddle, which other flows pass by.
    optimum : ndarray of shape (...)
        The lowest loss of all ends, and of a search from other starts.
    """

    start: Floats
    W: Floats
    b: Floats
    loss: Floats
    gradient_norm: Floats
    kind: NDArray[np.str_]
    settled: NDArray[np.bool_]
    optimum: Floats

    @property
    def optimal(self) -> NDArray[np.bool_]:
        """Whether an end is the global minimum, or within 10⁻⁶ of its loss; shape (..., starts)."""
        return np.asarray(self.settled & (self.loss <= self.optimum[..., None] * (1 + _OPTIMAL)))


def basin_ends(
    n_features: int,
    n_hidden: int,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    scale: ArrayLike = 1.0,
    route: Literal["flow"] | Protocol = "flow",
    sampled: bool = False,
    activation: str = "relu",
    features: FeatureDistribution | None = None,
    penalty: ArrayLike = 0.0,
    starts: int = 256,
    seed: int = 0,
) -> BasinEnds:
    """Follow many starts W ~ N(0, scale²), b = 0 to their minima, at every point of a grid.

    Parameters
    ----------
    n_features, n_hidden : int
    density : array_like, shape (...) or (..., n_features)
    importance : array_like, shape (..., n_features)
        Their leading dimensions broadcast to the shape of the grid.
    scale : array_like, broadcast to the grid
        Standard deviation σ of the entries of W at the start, above 0.
    route : "flow" or Protocol
        Gradient flow, or the protocol's optimizer on the gradient of the population loss. The
        protocol's own initialization is not used.
    sampled : bool
        Whether a protocol trains on sampled data, as `train` does.
    activation, features
        As in `population_loss`.
    penalty : array_like, broadcast to the grid
    starts : int
        Starts of each grid point.
    seed : int
        Of the starts, and of the data if there are any.

    Raises
    ------
    ValueError
        As `population_loss` does, or if a scale is not above 0, or gradient flow is to be sampled.

    Notes
    -----
    Every route ends with gradient flow, which says what basin its last point is in; for routes
    with noise that is the only meaning an end can have. The flow is followed until its gradient
    is below 10⁻⁴ of the scale of gradients (less for small starts, which begin beside a saddle),
    and Newton's method tells the stationary point there. Where that moves a parameter by more
    than 0.05, or finds a saddle, the flow is continued to a hundredth of that gradient, twice if
    need be; what then still moves is not `settled`.

    Examples
    --------
    >>> ends = basin_ends(2, 1, density=[0.1, 0.3], importance=[[1, 1]], starts=32)
    >>> ends.W.shape, ends.optimal.mean(axis=-1).round(1)
    ((2, 32, 1, 2), array([0.4, 0.4]))
    """
    check_sizes(n_features, n_hidden)
    features = check_features(features)
    scale, penalty = np.asarray(scale, dtype=np.float64), check_penalty(penalty)
    if not (np.isfinite(scale).all() and (scale > 0).all()):
        raise ValueError(f"scale must be finite and above 0, got {scale}")
    if sampled and route == "flow":
        raise ValueError("gradient flow has no samples; pass a Protocol as route to train on them")
    outer = np.broadcast_shapes(scale.shape, penalty.shape)
    grid = broadcast_parameters(n_features, density, importance, outer, features)
    points = _Models(
        density=grid.density.reshape(-1, n_features),
        importance=grid.importance.reshape(-1, n_features),
        penalty=np.broadcast_to(penalty, grid.shape).reshape(-1),
        activation=activation,
        features=features,
    )
    scales = np.broadcast_to(scale, grid.shape).reshape(-1)
    draws = random_starts(n_features, n_hidden, starts, seed)[0] * np.sqrt(n_hidden)
    start = scales[:, None, None, None] * draws
    W, b = start, np.zeros((*start.shape[:2], n_features))
    tolerance = np.full(start.shape[:2], _FLOW_TOLERANCE)
    finite = np.ones(start.shape[:2], dtype=bool)
    if route == "flow":
        tolerance *= np.minimum(1.0, scales)[:, None]
    else:
        W, b, finite = _trained(points, start, resolve_protocol(route), sampled, seed)
    found, settled = _ends_of_flow(
        points.repeated(starts),
        W.reshape(-1, n_hidden, n_features),
        b.reshape(-1, n_features),
        tolerance.reshape(-1),
    )
    settled &= finite.reshape(-1)
    lowest = np.where(settled, found.loss, np.inf).reshape(-1, starts).min(axis=-1)
    shape = (*grid.shape, starts)
    return BasinEnds(
        start=start.reshape(*shape, n_hidden, n_features),
        W=found.W.reshape(*shape, n_hidden, n_features),
        b=found.b.reshape(*shape, n_features),
        loss=found.loss.reshape(shape),
        gradient_norm=found.gradient_norm.reshape(shape),
        kind=found.kind.reshape(shape),
        settled=settled.reshape(shape),
        optimum=np.minimum(lowest, _searched(points, n_hidden)).reshape(grid.shape),
    )


@dataclass(frozen=True)
class _Models:
    """The points of a grid, or the starts of all of them: one row each."""

    density: Floats
    importance: Floats
    penalty: Floats
    activation: str
    features: FeatureDistribution

    def repeated(self, times: int) -> _Models:
        return self.rows(np.repeat(np.arange(len(self.penalty)), times))

    def rows(self, which: NDArray[np.int64]) -> _Models:
        return replace(
            self,
            density=self.density[which],
            importance=self.importance[which],
            penalty=self.penalty[which],
        )


def _searched(points: _Models, n_hidden: int) -> Floats:
    """Return the lowest loss below random starts that no route has to do with."""
    W, b = random_starts(points.density.shape[1], n_hidden, _SEARCHED, seed=_SEARCH_SEED)
    models = points.repeated(_SEARCHED)
    found = descend(np.tile(W, (len(points.penalty), 1, 1)), np.tile(b, (len(points.penalty), 1)),
                    **vars(models))  # fmt: skip
    losses = np.where(found.converged, found.loss, np.inf)
    return np.asarray(losses.reshape(-1, _SEARCHED).min(axis=1))


def _trained(
    points: _Models, starts: Floats, protocol: Protocol, sampled: bool, seed: int
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Return W, b and whether they are finite, for points of shape (points, starts, ...)."""
    b = np.zeros((*starts.shape[:2], starts.shape[-1]))
    method = train if sampled else train_on_population
    result = method(
        starts.shape[3], starts.shape[2], **vars(points), protocol=protocol,
        replicas=starts.shape[1], seed=seed, initial=(starts, b),
    )  # fmt: skip
    lost = result.diverged[..., None]
    return np.where(lost[..., None], 0.0, result.W), np.where(lost, 0.0, result.b), ~result.diverged


def _ends_of_flow(
    models: _Models, W: Floats, b: Floats, tolerance: Floats
) -> tuple[Polished, NDArray[np.bool_]]:
    """Follow the flow to where it ends; return the ends, and whether they are known."""
    left = np.arange(len(W))
    found: list[Any] = []
    settled = np.zeros(len(W), dtype=bool)
    for last in (False,) * (_ROUNDS - 1) + (True,):
        some = models.rows(left)
        flow = gradient_flow(
            W, b, **vars(some), tolerance=tolerance, rtol=_FLOW_ERROR,
            atol=_FLOW_ERROR * tolerance.min(),
        )  # fmt: skip
        below = polish(flow.W, flow.b, **vars(some))
        parts = [getattr(below, field.name) for field in fields(below)]
        found = found or [part.copy() for part in parts]
        for whole, part in zip(found, parts, strict=True):
            whole[left] = part
        near = below.converged & (_distance(below, flow.W, flow.b) <= _FAR)
        settled[left] = near & (last | (below.kind != "saddle"))
        rest = ~settled[left]
        left, W, b, tolerance = left[rest], flow.W[rest], flow.b[rest], tolerance[rest] * 1e-2
        if not len(left):
            break
    return Polished(*found), settled


def _distance(found: Polished, W: Floats, b: Floats) -> Floats:
    apart = np.maximum(abs(found.W - W).max(axis=(-2, -1)), abs(found.b - b).max(axis=-1))
    return np.asarray(apart)
