"""The maps of a report as interactive figures, for a browser to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from numpy.typing import NDArray

from ...theory import PhaseBoundary
from ..comparison.agreement import phases_of
from ..comparison.plots import boundary_curve, cell_edges, is_geometric, phase_colors
from .panels import FLOOR, Kind, Panel

__all__ = ["figure_of"]

Floats = NDArray[np.float64]

_SAMPLES = 160  # points per boundary: smooth at the size at which maps are shown
_AXES = {"importance": "relative importance r", "density": "density s = P(x ≠ 0)"}
_HOVER = "s = %{y:.4g}<br>r = %{x:.4g}<br>%{text}<extra></extra>"


def figure_of(panel: Panel, dataset: xr.Dataset, lines: Sequence[PhaseBoundary]) -> go.Figure:
    """Return a map as a plotly figure: its first trace is the map, the others are boundaries.

    The axes are logarithmic where the grid is geometric. What hovering says of a point is filled
    in by the page, from the dataset.

    Examples
    --------
    >>> from superposition.validation import phase_diagram
    >>> from superposition.validation.report.panels import panels
    >>> diagram = phase_diagram(density=[0.1, 0.9], importance=[0.5, 1], replicas=1, starts=16)
    >>> figure = figure_of(panels(diagram)[0], diagram, [])
    >>> figure.data[0].type, figure.layout.xaxis.title.text
    ('heatmap', 'relative importance r')
    """
    density, importance = (np.asarray(dataset[name], dtype=np.float64) for name in reversed(_AXES))
    figure = go.Figure(
        go.Heatmap(
            x=importance, y=density, hovertemplate=_HOVER, **_colors(panel, len(phases_of(dataset)))
        )
    )
    for line in _boundary_lines(lines, density, importance):
        figure.add_trace(line)
    figure.update_layout(
        template="none",
        height=330,
        margin={"l": 62, "r": 12, "t": 8, "b": 50},
        showlegend=False,
        hovermode="closest",
        dragmode=False,
        paper_bgcolor="rgba(0,0,0,0)",
        xaxis=_axis(importance, _AXES["importance"]),
        yaxis=_axis(density, _AXES["density"]),
    )
    return figure


def _colors(panel: Panel, n_phases: int) -> dict[str, Any]:
    """Return the values with their color scale."""
    if panel.kind is Kind.PHASE:
        return {
            "z": panel.values.astype(np.int8),
            "zmin": -0.5,
            "zmax": n_phases - 0.5,
            "colorscale": _steps(phase_colors(n_phases)),
            "showscale": False,
        }
    bar: dict[str, Any] = {"thickness": 10, "outlinewidth": 0, "tickfont": {"size": 11}}
    if panel.kind is Kind.SHARE:
        bar |= {"tickformat": ".0%"}
        scale = {"z": panel.values, "zmin": 0, "zmax": 1}
    else:
        exponents = np.log10(np.maximum(panel.values, FLOOR))
        highest = np.nanmax(exponents, initial=np.log10(FLOOR) + 1)
        ticks = range(int(np.log10(FLOOR)), int(np.floor(highest)) + 1)
        bar |= {"tickvals": list(ticks), "ticktext": [f"{10.0 ** (k + 2):g} %" for k in ticks]}
        scale = {"z": exponents.astype(np.float32), "zmin": np.log10(FLOOR), "zmax": highest}
    return {**scale, "colorscale": "Cividis", "colorbar": bar}


def _steps(colors: Sequence[str]) -> list[tuple[float, str]]:
    """Return a color scale of equal steps, one for each color."""
    ends = np.linspace(0.0, 1.0, len(colors) + 1)
    return [(float(end), color) for k, color in enumerate(colors) for end in (ends[k], ends[k + 1])]


def _axis(values: Floats, title: str) -> dict[str, Any]:
    logarithmic = is_geometric(values)
    edges = cell_edges(values, logarithmic)[[0, -1]]
    axis = {
        "title": {"text": title, "standoff": 8},
        "type": "log" if logarithmic else "linear",
        "range": (np.log10(edges) if logarithmic else edges).tolist(),
        "fixedrange": True,
        "showgrid": False,
        "zeroline": False,
        "ticks": "outside",
    }
    if logarithmic:  # 0.1, 0.2, 0.5, 1, …: a range may hold no power of ten
        decades = 10.0 ** np.arange(np.floor(np.log10(edges[0])), np.ceil(np.log10(edges[1])))
        ticks = [x for x in np.outer(decades, (1, 2, 5)).ravel() if edges[0] <= x <= edges[1]]
        axis |= {"tickvals": ticks, "ticktext": [f"{x:g}" for x in ticks], "tickangle": 0}
    return axis


def _boundary_lines(
    lines: Sequence[PhaseBoundary], density: Floats, importance: Floats
) -> list[go.Scatter]:
    """Return all boundaries as one white line and a black one upon it."""
    spread = _spread(density, importance)
    x, y = _joined([_curve_to_its_ends(line, *spread) for line in lines])
    return [
        go.Scatter(x=x, y=y, mode="lines", hoverinfo="skip", line={"color": color, "width": width})
        for color, width in (("white", 4), ("black", 1.8))
    ]


def _curve_to_its_ends(
    line: PhaseBoundary, density: Floats, importance: Floats
) -> tuple[Floats, Floats]:
    """Follow a boundary up to the points where it meets others, which no even spacing hits."""
    ends = [float(end) for end in line.valid.boundary if end.is_finite]
    near = [end * (1 + step) for end in ends for step in (-1e-9, 1e-9)]  # the one inside counts
    return boundary_curve(line, np.union1d(density, near), np.union1d(importance, near))


def _spread(density: Floats, importance: Floats) -> tuple[Floats, Floats]:
    spreads = []
    for values in (density, importance):
        logarithmic = is_geometric(values)
        low, high = cell_edges(values, logarithmic)[[0, -1]]
        spreads.append((np.geomspace if logarithmic else np.linspace)(low, high, _SAMPLES))
    return spreads[0], spreads[1]


def _joined(curves: list[tuple[Floats, Floats]]) -> tuple[list[Any], list[Any]]:
    """Chain curves, with a gap (None) wherever a boundary ends."""
    x: list[Any] = []
    y: list[Any] = []
    for curve in curves:
        for r, s in zip(*np.broadcast_arrays(*curve), strict=True):
            inside = bool(np.isfinite(r) and np.isfinite(s))
            if inside or (x and x[-1] is not None):
                x.append(float(f"{r:.6g}") if inside else None)
                y.append(float(f"{s:.6g}") if inside else None)
        x.append(None)
        y.append(None)
    return x, y
