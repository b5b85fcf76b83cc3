"""Feature graphs: features as nodes, joined by |W_i·W_j|, every component by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike, NDArray

from .identify import Component, Geometry, identify_geometry

__all__ = ["FeatureGraph", "feature_graph", "plot_feature_graphs"]

Floats = NDArray[np.float64]

# Okabe & Ito (2008), readable with any form of color blindness.
_OPPOSED, _ALIGNED, _NODE = "#0072B2", "#D55E00", "#333333"

_COPIES: Final = 9
_COLUMNS: Final = 3
_SPACING: Final = 3.0
_FAINT: Final = 0.02


@dataclass(frozen=True)
class FeatureGraph:
    """One component, laid out in the plane.

    Attributes
    ----------
    name : str
        Of the component.
    features : tuple of int
    positions : ndarray of float64, shape (k, 2)
        On the unit circle, in the order of the features; a single feature is at the origin.
    edges : ndarray of int64, shape (e, 2)
        Pairs of places in `features`.
    weights : ndarray of float64, shape (e,)
        W_i·W_j of each edge, with its sign.
    """

    name: str
    features: tuple[int, ...]
    positions: Floats
    edges: NDArray[np.int64]
    weights: Floats


def feature_graph(W: ArrayLike, geometry: Geometry | None = None) -> tuple[FeatureGraph, ...]:
    """Lay out the components of a model, one graph for each.

    Features stand on a circle in the order of their angles in the plane that holds most of the
    component: a polygon is drawn as it is, and no two nodes of a polytope coincide.

    Parameters
    ----------
    W : array_like, shape (n_hidden, n_features)
        Weights of one model.
    geometry : Geometry, optional
        Of W; None identifies it.

    Returns
    -------
    tuple of FeatureGraph
        In the order of `geometry.components`. Couplings of less than a fiftieth of the strongest
        of a component are no edges.

    Raises
    ------
    ValueError
        As `identify_geometry`, and if the geometry is of more features than W has.

    Examples
    --------
    >>> (pair, single) = feature_graph([[1, -1, 0], [0, 0, 1]])
    >>> pair.name, pair.edges.tolist(), pair.weights.tolist()
    ('digon', [[0, 1]], [-1.0])
    >>> single.positions.tolist()
    [[0.0, 0.0]]
    """
    geometry = identify_geometry(W) if geometry is None else geometry
    weights = np.asarray(W, dtype=np.float64)
    features = [i for component in geometry.components for i in component.features]
    count = len(features) + len(geometry.dropped)
    if weights.ndim != 2 or weights.shape != (geometry.n_hidden, count):
        raise ValueError(
            f"geometry is of a W of shape {(geometry.n_hidden, count)}, got W of shape "
            f"{weights.shape}; leave out geometry to identify that of W"
        )
    return tuple(_graph(weights, component) for component in geometry.components)


def _graph(W: Floats, component: Component) -> FeatureGraph:
    columns = W[:, list(component.features)]
    gram = columns.T @ columns
    first, second = np.triu_indices(len(gram), 1)
    coupling = gram[first, second]
    kept = np.abs(coupling) > _FAINT * np.abs(coupling).max(initial=0.0)
    edges = np.column_stack([first, second])[kept].astype(np.int64)
    return FeatureGraph(component.name, component.features, _layout(columns), edges, coupling[kept])


def _layout(columns: Floats) -> Floats:
    k = columns.shape[1]
    if k == 1:
        return np.zeros((1, 2))
    units = columns / np.linalg.norm(columns, axis=0)
    values, vectors = np.linalg.eigh(units.T @ units)
    plane = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
    order = np.argsort(np.arctan2(plane[:, 0], plane[:, 1]), kind="stable")
    angles = np.empty(k)
    angles[order] = np.pi / 2 + 2 * np.pi * np.arange(k) / k
    return np.column_stack([np.cos(angles), np.sin(angles)])


def plot_feature_graphs(model: ArrayLike, geometry: Geometry | None = None) -> Figure:
    """Draw the components of a model as small graphs, by name, with their counts.

    Parameters
    ----------
    model : array_like, shape (n_hidden, n_features)
        Weights W of one model.
    geometry : Geometry, optional
        Of W; None identifies it.

    Returns
    -------
    matplotlib.figure.Figure
        One panel for each name, the most frequent first, with its count and largest residual. At
        most nine copies are drawn. Lines are as wide as ``|W_i·W_j|``: blue where features oppose
        each other, orange where they are aligned. Nodes are sized by ‖W_i‖.

    Raises
    ------
    ValueError
        As `feature_graph`.

    Examples
    --------
    >>> import numpy as np
    >>> W = np.kron(np.eye(4), [[1.0, -1.0]])
    >>> print(plot_feature_graphs(W).axes[0].get_title())
    4 × digon
    residual at most 0
    """
    geometry = identify_geometry(model) if geometry is None else geometry
    graphs = feature_graph(model, geometry)
    groups: dict[str, list[int]] = {}
    for place, component in enumerate(geometry.components):
        groups.setdefault(component.name, []).append(place)
    ordered = sorted(groups.values(), key=len, reverse=True)
    columns = max(min(len(ordered), 4), 1)
    rows = max(-(-len(ordered) // columns), 1)
    figure = Figure(figsize=(max(2.6 * columns, 4.2), 2.9 * rows + 0.8), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel().tolist()
    for ax, places in zip(axes, ordered, strict=False):
        _draw_group(
            ax,
            [graphs[place] for place in places],
            [geometry.components[place] for place in places],
        )
    for ax in axes[len(ordered) :]:
        ax.remove()
    figure.suptitle(geometry.name, fontsize="medium", wrap=True)
    if any(len(component.features) > 1 for component in geometry.components):
        figure.legend(
            handles=[
                Line2D([], [], color=_OPPOSED, label="opposed, W_i·W_j < 0"),
                Line2D([], [], color=_ALIGNED, label="aligned, W_i·W_j > 0"),
            ],
            loc="outside lower center",
            ncols=2,
            frameon=False,
            fontsize="small",
        )
    return figure


def _draw_group(ax: Axes, graphs: Sequence[FeatureGraph], components: Sequence[Component]) -> None:
    shown = min(len(graphs), _COPIES)
    columns = min(shown, _COLUMNS)
    for copy in range(shown):
        offset = np.array([copy % columns, -(copy // columns)]) * _SPACING
        _draw_graph(ax, graphs[copy], components[copy], offset, columns)
    ax.set_title(_title(components, shown), fontsize="small")
    ax.set_aspect("equal")
    ax.set_axis_off()
    ax.margins(0.15)


def _title(components: Sequence[Component], shown: int) -> str:
    count, name = len(components), components[0].name
    title = (f"{count} × {name}" if count > 1 else name).replace(" (", "\n(")
    more = f", {shown} drawn" if shown < count else ""
    if components[0].nearest is None:
        return f"{title}{more}\nno shape of as many corners"
    residual = max(component.residual for component in components)
    return f"{title}{more}\nresidual {'at most ' if count > 1 else ''}{residual:.2g}"


def _draw_graph(
    ax: Axes, graph: FeatureGraph, component: Component, offset: Floats, columns: int
) -> None:
    positions = graph.positions + offset
    strength = np.abs(graph.weights)
    widest = 4.0 / columns
    # Of large groups the many faint lines would make one gray disc.
    opacity = float(np.clip(40 / max(len(strength), 1), 0.08, 1.0))
    lines = LineCollection(
        list(positions[graph.edges]),
        linewidths=widest * strength / strength.max(initial=1e-300),
        colors=[_OPPOSED if weight < 0 else _ALIGNED for weight in graph.weights],
        alpha=opacity,
    )
    ax.add_collection(lines)
    lengths = np.array(component.lengths)
    crowding = max(columns, len(lengths) / 12)
    ax.scatter(
        positions[:, 0],
        positions[:, 1],
        s=70 * np.square(lengths) / crowding,
        color=_NODE,
        zorder=3,
    )
