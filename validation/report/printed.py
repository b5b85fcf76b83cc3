"""The maps of a report as pictures, for paper and for browsers without scripts."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.colors import BoundaryNorm, ListedColormap, LogNorm
from matplotlib.figure import Figure

from ...theory import PhaseBoundary
from ..comparison.agreement import phases_of
from ..comparison.plots import draw_boundaries, phase_colors, prepare_axes
from .panels import FLOOR, Kind, Panel

__all__ = ["picture_of"]


def picture_of(
    panel: Panel, dataset: xr.Dataset, lines: Sequence[PhaseBoundary], *, dpi: int = 150
) -> bytes:
    """Return a map as a PNG file, the same bytes for equal data.

    Examples
    --------
    >>> from superposition.validation import phase_diagram
    >>> from superposition.validation.report.panels import panels
    >>> diagram = phase_diagram(density=[0.1, 0.9], importance=[0.5, 1], replicas=1, starts=16)
    >>> picture_of(panels(diagram)[0], diagram, [], dpi=50)[1:4]
    b'PNG'
    """
    # Fixed places: a layout that measures every label first takes longer than all the rest.
    figure = Figure(figsize=(4.2, 3.2))
    ax = figure.add_axes((0.15, 0.14, 0.6, 0.83))
    x, y = prepare_axes(ax, dataset)
    values = np.maximum(panel.values, FLOOR) if panel.kind is Kind.GAP else panel.values
    mesh = ax.pcolormesh(x, y, values, **_colors(panel, len(phases_of(dataset))))
    draw_boundaries(ax, lines)
    ax.set_xlabel("relative importance r")
    ax.set_ylabel("density s = P(x ≠ 0)")
    if panel.kind is not Kind.PHASE:
        bar = figure.colorbar(mesh, cax=figure.add_axes((0.77, 0.14, 0.03, 0.83)))
        bar.ax.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g} %")
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})
    return file.getvalue()


def _colors(panel: Panel, n_phases: int) -> dict[str, Any]:
    if panel.kind is Kind.PHASE:
        return {
            "cmap": ListedColormap(phase_colors(n_phases)),
            "norm": BoundaryNorm(np.arange(n_phases + 1) - 0.5, n_phases),
        }
    scale = mpl.colormaps["cividis"]
    if panel.kind is Kind.SHARE:
        return {"cmap": scale, "vmin": 0, "vmax": 1}
    highest = np.nanmax(panel.values, initial=10 * FLOOR)
    return {"cmap": scale, "norm": LogNorm(FLOOR, highest)}
