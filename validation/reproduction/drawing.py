"""How all reproductions are drawn: one style, and the panels that several of them share."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from ...theory import interference

__all__ = [
    "BLUE", "DENSITY_AXIS", "GREEN", "ORANGE", "PURPLE", "SKY", "VERMILION", "draw_best_and_all",
    "draw_bias", "draw_columns", "draw_gram", "draw_mean_and_range", "draw_norms",
    "interference_scale", "panels", "turned",
]  # fmt: skip

# Okabe & Ito (2008), readable with any form of color blindness.
BLUE: Final = "#0072B2"
ORANGE: Final = "#E69F00"
GREEN: Final = "#009E73"
VERMILION: Final = "#D55E00"
PURPLE: Final = "#CC79A7"
SKY: Final = "#56B4E9"

DENSITY_AXIS: Final[Mapping[str, Any]] = MappingProxyType(
    {"xscale": "log", "xlabel": "density $s = P(x_i \\neq 0)$"}
)
"""How an axis over density is set."""

_DIVERGING: Final = "PuOr"
_SEQUENTIAL: Final = "cividis"

Floats = NDArray[np.float64]


def panels(
    rows: int, columns: int, *, width: float = 2.6, height: float = 2.6
) -> tuple[Figure, NDArray[np.object_]]:
    """Return a figure and its axes, shape (rows, columns); sizes are inches for one panel."""
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, axes


def draw_best_and_all(
    ax: Axes, best: xr.DataArray, every: xr.DataArray, color: str, label: str
) -> None:
    """Draw one value of every density as a line, and those of all models as pale dots.

    Parameters
    ----------
    ax : Axes
    best : xarray.DataArray, of dimension density
    every : xarray.DataArray, of dimensions density and another one
    color, label : str
        Of the line.
    """
    ax.plot(best.density, best, "-o", color=color, markersize=4, label=label)
    dots = every.transpose("density", ...).values
    ax.plot(every.density, dots, ".", color=color, alpha=0.4, markersize=4)


def draw_mean_and_range(ax: Axes, values: xr.DataArray, color: str, label: str) -> None:
    """Draw the means of models of dimension rank over density as a line, on a band of their range."""
    ax.fill_between(values.density, values.min("rank"), values.max("rank"), color=color, alpha=0.2,
                    linewidth=0)  # fmt: skip
    ax.plot(values.density, values.mean("rank"), "-o", color=color, markersize=4, label=label)


def turned(W: ArrayLike) -> Floats:
    """Turn and flip the plane: the first long column points right, the next lies above.

    Long is a column of more than 0.9 of the longest. L(QW) = L(W) for every orthogonal Q.

    Parameters
    ----------
    W : array_like, shape (2, n)

    Examples
    --------
    >>> turned([[0.0, 2.0], [-3.0, 0.0]]).round(6).tolist()
    [[3.0, 0.0], [0.0, 2.0]]
    """
    weights = np.asarray(W, dtype=np.float64)
    lengths = np.linalg.norm(weights, axis=0)
    first = int((lengths > 0.9 * lengths.max()).argmax())
    if lengths[first] == 0:
        return weights
    x, y = weights[:, first] / lengths[first]
    turn = np.array([[x, y], [-y, x]]) @ weights
    across = turn[1, int((abs(turn[1]) > 0.2 * lengths.max()).argmax())]
    flipped: Floats = turn * np.array([[1.0], [-1.0 if across < 0 else 1.0]])
    return flipped


def draw_columns(ax: Axes, W: ArrayLike, importance: ArrayLike) -> None:
    """Draw the columns of W, shape (2, n), as arrows in the plane, dark for high importance.

    The plane is turned by `turned`, which changes no loss, so that models can be compared.
    """
    columns = turned(W).T
    weights = np.asarray(importance, dtype=np.float64)
    scale = ScalarMappable(Normalize(0, weights.max() * 1.15), "viridis_r")
    for column, weight in zip(columns, weights, strict=True):
        color = scale.to_rgba(weight)
        ax.plot([0, column[0]], [0, column[1]], color=color, linewidth=1.8)
        ax.plot(*column, "o", color=color, markersize=5)
    ax.axhline(0, color="0.85", linewidth=0.8, zorder=0)
    ax.axvline(0, color="0.85", linewidth=0.8, zorder=0)
    reach = max(1.3, 1.1 * float(np.abs(columns).max()))
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=[-1, 0, 1],
           yticks=[-1, 0, 1])  # fmt: skip


def draw_gram(ax: Axes, W: ArrayLike) -> ScalarMappable:
    """Draw WᵀW, shape (n, n): orange negative, purple positive; return the scale."""
    gram = np.asarray(W, dtype=np.float64).T @ np.asarray(W, dtype=np.float64)
    image = ax.imshow(gram, cmap=_DIVERGING, vmin=-1.2, vmax=1.2, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    return image


def draw_bias(ax: Axes, b: ArrayLike) -> ScalarMappable:
    """Draw the biases as a column beside WᵀW, on the same scale."""
    column = np.asarray(b, dtype=np.float64)[:, np.newaxis]
    image = ax.imshow(column, cmap=_DIVERGING, vmin=-1.2, vmax=1.2, interpolation="nearest",
                      aspect="auto")  # fmt: skip
    ax.set(xticks=[], yticks=[])
    return image


def interference_scale() -> ScalarMappable:
    """Return the colors of interference: dark none, light 1 and more."""
    return ScalarMappable(Normalize(0, 1), _SEQUENTIAL)


def draw_norms(ax: Axes, W: ArrayLike) -> None:
    """Draw ‖W_i‖ as bars, first feature on top, colored by interference Σ_{j≠i} (Ŵ_i·W_j)²."""
    weights = np.asarray(W, dtype=np.float64)
    norms = np.linalg.norm(weights, axis=0)
    colors = interference_scale().to_rgba(np.asarray(interference(weights), dtype=np.float64))
    ax.barh(np.arange(len(norms)), norms, height=1.0, color=colors)
    ax.set(ylim=(len(norms) - 0.5, -0.5), xlim=(0, max(1.3, 1.05 * norms.max())), yticks=[])
