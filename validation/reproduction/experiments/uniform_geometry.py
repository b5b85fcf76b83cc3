"""Many features that are alike: dimensions per feature, and the polytopes that they form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ....theory import dimensions_per_feature, feature_dimensionality
from ...geometry.dimensionality import FRACTIONS
from ...geometry.graphs import FeatureGraph, feature_graph
from ...geometry.identify import Geometry, identify_geometry
from ..captions import sentence
from ..drawing import BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION
from ..experiment import Experiment, Run
from ..measurement import Measured, Measurement
from ..models import REPRESENTED, inverse_densities, train_alike

__all__ = ["CORNERS", "EXPERIMENTS", "cluster_counts", "features_by_shape", "plateau_ratio"]

CORNERS: Final = {
    f"{name} {fraction}": float(fraction) for fraction, name in FRACTIONS.items() if fraction < 1
}
"""Dimensionality of a corner of each polytope."""

_BAND: Final = 0.01
_AROUND: Final = 0.05
_SHARE: Final = 0.03
_RESAMPLES: Final = 1000
_FEW: Final = 20  # features at and around a fraction, below which there is no cluster to speak of
_RANGES: Final = ((1.0, 3.0), (3.0, 10.0), (10.0, 30.0), (30.0, 101.0))
_SHAPES: Final = (
    "dedicated", "tetrahedron", "triangle", "digon", "pentagon", "square antiprism", "other shape",
    "unnamed", "dropped",
)  # fmt: skip
_SHAPE_COLORS: Final = (
    "0.25", GREEN, ORANGE, BLUE, VERMILION, PURPLE, SKY, "0.75", "white",
)  # fmt: skip

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Settings:
    n_features: int = 400
    n_hidden: int = 30
    points: int = 30
    shown: tuple[float, ...] = (1.7, 3.0, 5.0)
    """Inverse densities near which components are drawn."""
    protocol: str = "elhage2022"
    replicas: int = 3


def plateau_ratio(density: ArrayLike, values: ArrayLike, level: float) -> float:
    """Return how much longer a curve stays within 3 % of a level than an even slope would.

    Parameters
    ----------
    density : array_like, shape (k,)
        The curve is taken over its logarithm, in straight lines.
    values : array_like, shape (k,)
    level : float

    Returns
    -------
    float
        Share of the range on which the curve is there, over the share that a straight line from
        its least to its greatest value would spend there; 0 where it never gets there.

    Examples
    --------
    >>> round(plateau_ratio([1, 0.1, 0.01], [1.0, 0.5, 0.5], 0.5), 1)
    17.2
    """
    logs, curve = np.log(np.asarray(density, dtype=float)), np.asarray(values, dtype=float)
    order = np.argsort(logs)
    fine = np.interp(np.linspace(logs.min(), logs.max(), 20001), logs[order], curve[order])
    low, high = (1 - _SHARE) * level, (1 + _SHARE) * level
    width = min(high, fine.max()) - max(low, fine.min())
    there = float(((fine >= low) & (fine <= high)).mean())
    if width <= 0 or there == 0:
        return 0.0
    # Of a curve whose top or bottom is in the band a slope crosses less of it, but half at least.
    width = max(width, _SHARE * level)
    return float(there / (width / (fine.max() - fine.min())))


def cluster_counts(values: ArrayLike, fraction: float) -> tuple[int, int, float]:
    """Count values within 0.01 of a fraction, and around it, outside 0.01 of all fractions.

    Returns
    -------
    inside, around : int
    ratio : float
        Length of the part that is counted as around, over that of the part inside.

    Examples
    --------
    >>> inside, around, ratio = cluster_counts([0.5, 0.505, 0.53, 0.8], 0.5)
    >>> inside, around, round(ratio, 3)
    (2, 1, 4.0)
    """
    found = np.asarray(values, dtype=np.float64)
    centers = np.array(list(CORNERS.values()))
    grid = np.linspace(fraction - _AROUND, fraction + _AROUND, 100_001)
    inside = abs(found - fraction) <= _BAND

    def outside(x: Floats) -> NDArray[np.bool_]:
        return np.asarray((abs(x[:, None] - centers) > _BAND).all(axis=1))

    around = (abs(found - fraction) <= _AROUND) & outside(found)
    return int(inside.sum()), int(around.sum()), float(outside(grid).mean() * _AROUND / _BAND)


def features_by_shape(geometry: Geometry) -> NDArray[np.int64]:
    """Return how many features are in components of each name of the figure, and how many dropped.

    Examples
    --------
    >>> features_by_shape(identify_geometry([[1, -1, 0], [0, 0, 1]])).tolist()
    [1, 0, 0, 2, 0, 0, 0, 0, 0]
    """
    counts = dict.fromkeys(_SHAPES, 0)
    for component in geometry.components:
        counts[_shape(component.name, component.named)] += len(component.features)
    counts["dropped"] = len(geometry.dropped)
    return np.array(list(counts.values()), dtype=np.int64)


def _shape(name: str, named: bool) -> str:
    for shape in _SHAPES[:6]:
        if name.startswith(shape):
            return shape
    return "other shape" if named else "unnamed"


def _compute(settings: _Settings, run: Run) -> xr.Dataset:
    density = inverse_densities(settings.points)
    W, found = train_alike(
        run, settings.n_features, settings.n_hidden, density=density, protocol=settings.protocol,
        replicas=settings.replicas,
    )  # fmt: skip
    D = feature_dimensionality(W)
    counts = [features_by_shape(identify_geometry(each[0])) for each in W]
    shown = sorted({int(abs(1 / density - inverse).argmin()) for inverse in settings.shown})
    return xr.Dataset(
        {
            "per_feature": (("density", "replica"), dimensions_per_feature(W)),
            "total": (("density", "replica"), D.sum(axis=-1)),
            "D": (
                ("density", "replica", "feature"),
                np.where(np.linalg.norm(W, axis=-2) > REPRESENTED, D, np.nan).astype(np.float32),
            ),
            "counts": (("density", "shape"), np.stack(counts)),
            "shown_W": (("shown", "hidden", "feature"), W[shown, 0].astype(np.float32)),
        },
        coords={"density": density, "shape": list(_SHAPES), "shown": density[shown]},
        attrs={"protocol": found.protocol.name, "seed": run.seed, "n_hidden": settings.n_hidden},
    )


def _cluster(D: Floats, fraction: float, seed: int) -> Measurement:
    """Measure how many values there are at a fraction, over those around it, by equal lengths.

    D has shape (densities, replicas, features). The interval is that of drawing replicas anew at
    every density. Too few values in both say nothing.
    """
    counted = [[cluster_counts(each[np.isfinite(each)], fraction) for each in row] for row in D]
    counts = np.array([[each[:2] for each in row] for row in counted], dtype=float)
    ratio, replicas = counted[0][0][2], D.shape[1]
    if counts.sum() < _FEW:
        return Measurement.unknown()

    def contrast(chosen: NDArray[np.int64]) -> float:
        inside, around = np.take_along_axis(counts, chosen[..., None], axis=1).sum(axis=(0, 1))
        return float(ratio * inside / max(around, 1.0))

    rng = np.random.default_rng(seed)
    draws = rng.integers(replicas, size=(_RESAMPLES, len(D), replicas))
    value = contrast(np.broadcast_to(np.arange(replicas), (len(D), replicas)))
    return Measurement.redrawn(value, [contrast(draw) for draw in draws], replicas)


def _measure(data: xr.Dataset) -> Mapping[str, Measured]:
    seed, m = int(data.attrs["seed"]), int(data.attrs["n_hidden"])
    curves = data.per_feature.transpose("replica", "density").values
    off = abs(data.total / m - 1)
    found: dict[str, Measured] = {
        name: Measurement.mean([plateau_ratio(data.density, each, level) for each in curves])
        for name, level in (("plateau_at_one", 1.0), ("plateau_at_half", 0.5))
    }
    D = data.D.transpose("density", "replica", "feature").values.astype(float)
    found["cluster"] = {name: _cluster(D, value, seed) for name, value in CORNERS.items()}
    found["missing_dimensions"] = {
        f"1/s from {low:g} to {min(high, 100):g}": Measurement.mean(
            off.isel(density=there).mean("density")
        )
        for low, high in _RANGES
        if (there := (1 / data.density.values >= low) & (1 / data.density.values < high)).any()
    }
    return found


def _inverse_axis(ax: Axes) -> None:
    ax.set(xscale="log", xlim=(0.93, 108), xlabel="1 / density, 1/$s$")


def _draw_curve(ax: Axes, data: xr.Dataset) -> None:
    inverse = 1 / data.density
    for level in (1, 0.5):
        ax.axhline(level, color="0.8", linewidth=1, zorder=0)
    ax.plot(inverse, data.per_feature, "o", color=BLUE, markersize=3, alpha=0.6)
    ax.plot(inverse, data.per_feature.mean("replica"), color=BLUE)
    ax.set(ylabel="dimensions per feature $D^*$", ylim=(0, None))
    _inverse_axis(ax)


def _draw_dimensionalities(ax: Axes, data: xr.Dataset) -> None:
    for name, fraction in CORNERS.items():
        ax.axhline(fraction, color="0.8", linewidth=1, zorder=0)
        ax.text(1.02, fraction + 0.008, name, fontsize=6.5)
    spread = np.linspace(-0.04, 0.04, data.sizes["feature"])
    for k, s in enumerate(data.density.values):
        for each in data.D.values[k]:
            ax.plot(1 / s * np.exp(spread), each, ".", color=BLUE, markersize=1.2, alpha=0.4,
                    rasterized=True)  # fmt: skip
    ax.set(ylabel="dimensionality $D_i$", ylim=(0, 1.05))
    _inverse_axis(ax)


def _draw_shapes(ax: Axes, data: xr.Dataset) -> None:
    share = data.counts / data.counts.sum("shape")
    ax.stackplot(1 / data.density.values, share.transpose("shape", "density").values,
                 labels=list(_SHAPES), colors=list(_SHAPE_COLORS), edgecolor="0.4",
                 linewidth=0.4)  # fmt: skip
    ax.set(ylabel="share of features", ylim=(0, 1))
    _inverse_axis(ax)
    ax.set_xlim(1, 100)
    ax.legend(fontsize=6, loc="upper center", ncols=3)


_KINDS: Final = 6


def _draw_graphs(ax: Axes, W: Floats, s: float) -> None:
    """Draw one component of each name, the most frequent first, with their number."""
    geometry = identify_geometry(W)
    groups: dict[str, list[FeatureGraph]] = {}
    for graph in feature_graph(W, geometry):
        groups.setdefault(graph.name.split(" (")[0], []).append(graph)
    ordered = sorted(groups.items(), key=lambda group: -len(group[1]))[:_KINDS]
    for place, (name, graphs) in enumerate(ordered):
        x, y = 3.2 * (place % 3), -3.6 * (place // 3)
        _draw_graph(ax, graphs[0], x, y)
        ax.text(x, y - 1.35, f"{len(graphs)} × {name}", ha="center", va="top", fontsize=6)
    ax.set_title(f"1/$s$ = {1 / s:.3g}", fontsize=9)
    ax.set(aspect="equal", xlim=(-1.8, 8.2), ylim=(-5.8, 1.4))  # of two rows of three
    ax.set_axis_off()


def _draw_graph(ax: Axes, graph: FeatureGraph, x: float, y: float) -> None:
    nodes = graph.positions + np.array([x, y])
    strength = abs(graph.weights) / abs(graph.weights).max(initial=1e-300)
    ax.add_collection(
        LineCollection(
            list(nodes[graph.edges]),
            colors=np.where(graph.weights < 0, BLUE, VERMILION).tolist(),
            linewidths=1.6 * strength,
            alpha=float(np.clip(40 / max(len(strength), 1), 0.08, 1.0)),
            zorder=1,
        )
    )
    ax.plot(*nodes.T, "o", color="0.2", markersize=3 if len(nodes) < 13 else 1.5)


def _draw(data: xr.Dataset) -> Figure:
    figure = Figure(figsize=(10.5, 8.6), layout="constrained")
    grid = figure.add_gridspec(3, 6)
    _draw_curve(figure.add_subplot(grid[0, :3]), data)
    _draw_dimensionalities(figure.add_subplot(grid[:2, 3:]), data)
    _draw_shapes(figure.add_subplot(grid[1, :3]), data)
    for k, s in enumerate(data.shown.values[:3]):
        ax = figure.add_subplot(grid[2, 2 * k : 2 * k + 2])
        _draw_graphs(ax, data.shown_W.values[k].astype(float), float(s))
    return figure


def _caption(data: xr.Dataset) -> str:
    return sentence(
        data,
        f"n = {data.sizes['feature']} features of one importance in m = {data.attrs['n_hidden']} "
        "dimensions over 1/s, s = P(x_i ≠ 0). Top left: D* = m/‖W‖² of every model, and the mean. "
        "Right: dimensionality of every represented feature. Middle left: share of the features "
        "that form each polytope, in the first model of each density. Below: its components, one "
        "of each of the most frequent kinds with their number; blue opposed, red aligned.",
    )


_OF_400: Final = Experiment(
    name="uniform-geometry",
    title="Many features that are alike: dimensions per feature and polytopes",
    source="Elhage et al. 2022, uniform superposition",
    tiny=_Settings(
        n_features=20, n_hidden=4, points=4, shown=(5.0,),
        protocol="elhage2022,steps=50,batch_size=64", replicas=2,
    ),
    quick=_Settings(n_features=200, n_hidden=20, points=16, protocol="elhage2022,steps=5000"),
    full=_Settings(),
    compute=_compute,
    measure=_measure,
    draw=_draw,
    caption=_caption,
)  # fmt: skip

EXPERIMENTS: Final = (
    _OF_400,
    replace(
        _OF_400,
        name="uniform-geometry-200",
        title="200 features that are alike in 20 dimensions",
        source="Elhage et al. 2022, training notebook",
        quick=_Settings(n_features=100, n_hidden=10, points=16, protocol="elhage2022,steps=5000"),
        full=_Settings(n_features=200, n_hidden=20, replicas=10),
    ),
)
