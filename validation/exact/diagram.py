"""The exact phase diagram at high resolution, evaluated where phases meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from ...features import FeatureDistribution, check_features
from ...model import check_density, check_importance, check_penalty, check_sizes
from ...numerics import descend
from ...numerics.arguments import check_integer
from ...numerics.minima.continuation import search
from ..phases import classify, phase_names
from .adaptive_grid import UNKNOWN, AdaptiveGrid, coarse_cells
from .boundary_curves import KINDS, Crossings, TriplePoint, chain, cross, triple_points

__all__ = ["SpotCheck", "exact_phase_diagram", "spot_check"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

DEFAULT_SPACING = 32
DEFAULT_STARTS = 48
_SAME_LOSS = 1e-9  # relative
_TIED = 1e-9


def _checked_axis(name: str, values: ArrayLike) -> Floats:
    check = check_density if name == "density" else check_importance
    axis = check(values)
    if axis.ndim != 1 or len(axis) < 2 or not (np.diff(axis) > 0).all() or axis[0] <= 0:
        raise ValueError(
            f"{name} must be one axis of at least 2 increasing, positive values, "
            f"got {np.array2string(axis, threshold=8)} of shape {axis.shape}"
        )
    return axis


def exact_phase_diagram(
    n_features: int = 2,
    n_hidden: int = 1,
    *,
    density: ArrayLike,
    importance: ArrayLike,
    features: FeatureDistribution | None = None,
    penalty: float = 0.0,
    spacing: int = DEFAULT_SPACING,
    starts: int = DEFAULT_STARTS,
    seed: int = 0,
) -> xr.Dataset:
    """Compute the phase of the exact optimum at every point of a fine grid, and its boundaries.

    Only points at which cells of the grid disagree are evaluated, from the minima known around
    them; the others are filled (`adaptive_grid`). Boundaries are refined on the sides of squares
    and chained (`boundary_curves`).

    Parameters
    ----------
    n_features, n_hidden : int
    density : array_like, shape (n_density,)
        Increasing, in (0, 1].
    importance : array_like, shape (n_importance,)
        Relative importances of the last feature, increasing and positive.
    features : feature distribution, optional
        None is `Independent`. Others, and more than three features, are followed without exact
        second derivatives, which takes longer by orders of magnitude.
    penalty : float
        Interference penalty λ.
    spacing : int
        Side of the coarse cells, in grid points. A phase that fits between the points of the
        coarse grid, and touches no other boundary, is missed; `spot_check` looks for that.
    starts : int
        Random starts of the search at each corner of a coarse cell.
    seed : int

    Returns
    -------
    xarray.Dataset
        Over density and importance: `optimum_phase` (integer codes; names in ``flag_meanings``),
        `evaluated`, and `optimum_loss`, NaN where it was not computed. Along `vertex`, in the
        order of the curves: `boundary_density`, `boundary_importance`, `boundary_curve` (which of
        them), `boundary_kind` (0 is first order, 1 continuous) and `boundary_jump`, the largest
        change of an entry of WᵀW or b. Along `triple`: `triple_density`, `triple_importance`.
        The attribute ``evaluations`` counts losses with derivatives.

    Raises
    ------
    ValueError
        If an argument is out of range, as in `population_loss`.

    Notes
    -----
    Boundaries of first order are roots of the difference of two minimal losses, within about
    1e-12. Where a minimum merges with another continuously the place is extrapolated from the
    last distance that can be told from zero, within about 1e-6. Where a curve changes its kind is
    resolved to a square of the grid. The name of a phase follows `phases`, whose thresholds are
    conventions where a transition is continuous: the curves are where minima merge, and not where
    the names change.

    Examples
    --------
    >>> axis = np.linspace(0.2, 0.8, 25)
    >>> diagram = exact_phase_diagram(density=axis, importance=axis, spacing=8)
    >>> diagram.sizes["density"], float(diagram.evaluated.mean()) < 0.5
    (25, True)
    """
    check_sizes(n_features, n_hidden)
    check_features(features)
    check_integer("spacing", spacing, at_least=1)
    if check_penalty(penalty).ndim:
        raise ValueError(f"penalty must be one number, got {penalty!r}")
    s, r = _checked_axis("density", density), _checked_axis("importance", importance)
    grid = AdaptiveGrid(
        n_features, n_hidden, s, r, {"features": features, "penalty": penalty}, starts, seed
    )
    cells = coarse_cells(grid.row.shape, spacing)
    grid.evaluate_corners(cells)
    grid.refine(cells)
    crossings = cross(grid, *grid.follow_boundaries())
    return _dataset(grid, crossings, chain(grid, crossings), triple_points(grid, crossings))


def _dataset(
    grid: AdaptiveGrid, crossings: Crossings, curves: list[list[int]], triples: list[TriplePoint]
) -> xr.Dataset:
    names = phase_names(grid.n_features, grid.n_hidden)
    evaluated = grid.row != UNKNOWN
    loss = np.full(grid.row.shape, np.nan)
    loss[evaluated] = grid.branches.loss[grid.row[evaluated], 0]
    along = np.array([k for curve in curves for k in curve], dtype=np.int64)
    number = np.repeat(np.arange(len(curves)), [len(curve) for curve in curves])
    # The vertex at which a curve changes its kind closes one curve and opens the next.
    kinds = np.array([crossings.kind[curve[0]] for curve in curves], dtype=np.int8)[number]
    plane = ("density", "importance")
    flags = {
        "long_name": "phase of the exact optimum",
        "flag_values": list(range(len(names))),
        "flag_meanings": " ".join(name.replace(" ", "_") for name in names),
    }
    return xr.Dataset(
        {
            "optimum_phase": (plane, grid.phase, flags),
            "evaluated": (plane, evaluated, {"long_name": "whether the optimum was computed"}),
            "optimum_loss": (plane, loss, {"long_name": "exact population loss of the optimum"}),
            "boundary_density": ("vertex", crossings.density[along]),
            "boundary_importance": ("vertex", crossings.importance[along]),
            "boundary_curve": ("vertex", number),
            "boundary_kind": (
                "vertex",
                kinds,
                {
                    "long_name": "kind of the transition",
                    "flag_values": list(range(len(KINDS))),
                    "flag_meanings": " ".join(kind.replace(" ", "_") for kind in KINDS),
                },
            ),
            "boundary_jump": ("vertex", crossings.jump[along]),
            "triple_density": ("triple", [point.density for point in triples]),
            "triple_importance": ("triple", [point.importance for point in triples]),
        },
        coords={
            "density": ("density", grid.density, {"long_name": "feature density s = P(x_i ≠ 0)"}),
            "importance": (
                "importance",
                grid.importance,
                {"long_name": "relative importance r of the last feature"},
            ),
        },
        attrs={
            "title": f"Exact phase diagram of ({grid.n_features}, {grid.n_hidden}) models",
            "n_features": grid.n_features,
            "n_hidden": grid.n_hidden,
            "penalty": float(grid.model["penalty"]),
            "features": repr(grid.model["features"]),
            "evaluations": int(grid.branches.evaluations.sum()),
        },
    )


@dataclass(frozen=True)
class SpotCheck:
    """What an independent search says of points of an exact diagram.

    Attributes
    ----------
    points : int
        Points that were drawn.
    disagreements : ndarray of int, shape (k, 2)
        Those whose phase the search names otherwise.
    lower : ndarray of int, shape (k, 2)
        Those at which the search finds a lower loss than the diagram states.
    missed : ndarray of int, shape (k, 2)
        Those at which the diagram states a lower loss than the search finds.
    """

    points: int
    disagreements: Integers
    lower: Integers
    missed: Integers

    @property
    def rate(self) -> float:
        """Share of the points whose phase is disputed."""
        return len(self.disagreements) / self.points


def spot_check(
    diagram: xr.Dataset,
    *,
    points: int = 1000,
    starts: int = 64,
    features: FeatureDistribution | None = None,
    seed: int = 1,
) -> SpotCheck:
    """Compare random points of an exact diagram with searches that know nothing of neighbors.

    Parameters
    ----------
    diagram : xarray.Dataset
        From `exact_phase_diagram`.
    points : int
        Grid points to draw.
    starts : int
        Random starts of the search at each of them.
    features : feature distribution, optional
        That of the diagram.
    seed : int
        Of the draw and of the starts; another than that of the diagram.

    Raises
    ------
    ValueError
        If `points`, `starts` or `seed` is out of range.

    Examples
    --------
    >>> axis = np.linspace(0.2, 0.8, 25)
    >>> diagram = exact_phase_diagram(density=axis, importance=axis, spacing=8)
    >>> spot_check(diagram, points=50).rate
    0.0
    """
    check_integer("points", points, at_least=1)
    check_integer("seed", seed, at_least=0)
    drawn = np.stack(
        [np.random.default_rng(seed).integers(0, size, points) for size in diagram.evaluated.shape],
        axis=-1,
    )
    return check_points(diagram, drawn, starts=starts, features=features, seed=seed)


def check_points(
    diagram: xr.Dataset,
    points: Integers,
    *,
    starts: int = 64,
    features: FeatureDistribution | None = None,
    seed: int = 1,
) -> SpotCheck:
    """Compare given grid points (k, 2) of an exact diagram with independent searches."""
    n, m = int(diagram.n_features), int(diagram.n_hidden)
    importance = np.ones((len(points), n))
    importance[:, -1] = diagram.importance.values[points[:, 1]]
    density = diagram.density.values[points[:, 0]]
    model: dict[str, Any] = {
        "density": density, "importance": importance, "features": features,
        "penalty": float(diagram.penalty),
    }  # fmt: skip
    found = search(n, m, **model, starts=starts, seed=seed)
    certified = descend(found.W[:, 0], found.b[:, 0], **model, certify=True)
    losses = np.concatenate([certified.loss[:, np.newaxis], found.loss], axis=1)
    loss = losses.min(axis=1)
    tied = losses <= loss[:, np.newaxis] * (1 + _TIED)
    codes = np.full(tied.shape, np.iinfo(np.int8).max, dtype=np.int8)
    codes[tied] = classify(
        np.concatenate([certified.W[:, np.newaxis], found.W], axis=1)[tied],
        np.concatenate([certified.b[:, np.newaxis], found.b], axis=1)[tied],
        np.broadcast_to(density[:, np.newaxis], tied.shape)[tied],
        features=features,
    )
    where = (points[:, 0], points[:, 1])
    stated = diagram.optimum_loss.values[where]
    with np.errstate(invalid="ignore"):
        lower = loss < stated * (1 - _SAME_LOSS)
        missed = stated < loss * (1 - _SAME_LOSS)
    disputed = (diagram.optimum_phase.values[where] != codes.min(axis=1)) & ~missed
    return SpotCheck(len(points), points[disputed], points[lower], points[missed])
