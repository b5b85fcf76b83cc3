"""Draw where theory and pictures of trained models differ, and what makes the difference."""

from __future__ import annotations

import json
from typing import Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from ..readings import CLASSES
from .plots import cell_edges, is_geometric
from .shares import picture, shares

__all__ = ["CAUSES", "CLASS_COLORS", "draw_classes", "plot_attribution"]

# Orange, violet and white, as in the replication; told apart with any form of color blindness.
CLASS_COLORS: Final = ("#E69F00", "#5D3A9B", "#FFFFFF")
CAUSES: Final = {
    "theory": "closed forms",
    "training": "minima and steps",
    "reading": "reading rule",
    "noise": "sampled gradients",
    "inputs": "co-active features",
    "mask": "mask per batch",
}


def draw_classes(ax: Axes, maps: xr.Dataset, codes: NDArray[np.int8], title: str) -> None:
    """Draw a map of `CLASSES` over the densities and relative importances of a dataset."""
    density, importance = maps.density.values, maps.importance.values
    logarithmic = [is_geometric(values) for values in (importance, density)]
    edges = [
        cell_edges(values, log)
        for values, log in zip((importance, density), logarithmic, strict=True)
    ]
    norm = BoundaryNorm(np.arange(len(CLASSES) + 1) - 0.5, len(CLASSES))
    ax.pcolormesh(*edges, codes, cmap=ListedColormap(CLASS_COLORS), norm=norm, rasterized=True)
    ax.set(
        title=title,
        xscale="log" if logarithmic[0] else "linear",
        yscale="log" if logarithmic[1] else "linear",
        xlabel="relative importance $r$ of the last feature",
        ylabel="feature density $s = P(x_i \\neq 0)$",
    )


def _draw_shares(ax: Axes, maps: xr.Dataset) -> None:
    found = shares(maps)
    names = [CAUSES[name] for name in found]
    ax.barh(names, [100 * value for value in found.values()], color="#0072B2")
    ax.axvline(0, color="black", linewidth=0.8)
    ax.invert_yaxis()
    ax.set(
        title="What the difference is due to",
        xlabel="share of all points, percent",
    )


def plot_attribution(maps: xr.Dataset) -> Figure:
    """Draw theory, picture and prediction, and the shares of the difference.

    Parameters
    ----------
    maps : xarray.Dataset
        From `attribution`.

    Returns
    -------
    matplotlib.figure.Figure
        Four panels: the closed forms for independent features; the picture of trained models with
        every factor switched; the exact optimum of co-active features, read by thresholds; and
        `shares`.
    """
    figure = Figure(figsize=(10, 7.6), layout="constrained")
    axes = figure.subplots(2, 2)
    settings = json.loads(maps.attrs["configuration"])
    kind = "ReLU" if settings["activation"] == "relu" else "linear"
    trained = f"Trained {kind} models, as the code draws data"
    draw_classes(
        axes[0, 0], maps, maps.theory.sel(inputs="independent").values, "Closed-form theory"
    )
    draw_classes(axes[0, 1], maps, picture(maps), trained)
    draw_classes(
        axes[1, 0], maps, maps.optimum_thresholds.sel(inputs="co-active").values,
        "Exact optimum of the co-active data",
    )  # fmt: skip
    _draw_shares(axes[1, 1], maps)
    handles = [
        Patch(facecolor=color, edgecolor="black", label=name)
        for color, name in zip(CLASS_COLORS, CLASSES, strict=True)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(CLASSES), frameon=False)
    return figure
