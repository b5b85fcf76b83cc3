"""Draw phase diagrams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import sympy
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap, to_hex
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from numpy.typing import NDArray

from ...features import Independent
from ...theory import PhaseBoundary, boundaries, candidates, r
from ..sweeps.configuration import features_of, settings_of
from .agreement import phases_of

Floats = NDArray[np.float64]

# Okabe & Ito (2008), readable with any form of color blindness.
_PALETTE = (
    "#56B4E9", "#E69F00", "#CC79A7", "#009E73", "#0072B2",
    "#D55E00", "#F0E442", "#999999", "#DDDDDD", "#555555",
)  # fmt: skip

_PANELS = (
    ("theory_phase", "Closed-form theory"),
    ("optimum_phase", "Exact optimum"),
    ("best_trained_phase", "Best trained replica"),
)


def phase_colors(count: int) -> tuple[str, ...]:
    """Return a color for each phase code; up to ten are safe for color-blind readers.

    Examples
    --------
    >>> phase_colors(2)
    ('#56B4E9', '#E69F00')
    """
    further = (to_hex(color) for color in colormaps["tab20b"](range(20)))
    return (*_PALETTE, *further)[:count]


def is_geometric(values: Floats) -> bool:
    """Tell whether grid values are spaced geometrically, so that they belong on a log axis.

    Examples
    --------
    >>> is_geometric(np.array([0.1, 1, 10])), is_geometric(np.array([1.0, 2, 3]))
    (True, False)
    """
    if len(values) < 3 or values[0] <= 0:
        return False
    ratios = values[1:] / values[:-1]
    return bool(np.allclose(ratios, ratios[0], rtol=1e-6))


def cell_edges(values: Floats, logarithmic: bool) -> Floats:
    """Edges of the cells around grid values; the outer cells are as wide as their neighbors."""
    x = np.log(values) if logarithmic else values
    if len(x) == 1:
        half = np.array([0.5])
        edges = np.concatenate([x - half, x + half])
    else:
        middles = 0.5 * (x[1:] + x[:-1])
        edges = np.concatenate([[1.5 * x[0] - 0.5 * x[1]], middles, [1.5 * x[-1] - 0.5 * x[-2]]])
    return np.exp(edges) if logarithmic else edges


def boundary_curve(
    boundary: PhaseBoundary, density: Floats, importance: Floats
) -> tuple[Floats, Floats]:
    """Points (r, s) of a theoretical boundary, NaN where it is not part of the diagram.

    Parameters
    ----------
    boundary : PhaseBoundary
    density, importance : ndarray
        Where to follow it; only the one that it is not solved for is used.
    """
    solved_for_r = boundary.solve_for == r
    free = density if solved_for_r else importance
    symbols = sorted(boundary.solution.free_symbols, key=str)
    unknown = sympy.Dummy()
    within = sympy.lambdify(unknown, boundary.valid.as_relational(unknown), "numpy")
    inside = np.broadcast_to(within(free), free.shape)
    solution = sympy.lambdify(symbols, boundary.solution, "numpy")
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.broadcast_to(solution(*[free] * len(symbols)), free.shape)
    value = np.where(inside, value, np.nan)
    return (value, free) if solved_for_r else (free, value)


def exact_penalty(settings: dict[str, Any]) -> sympy.Rational:
    """Return the penalty of stored settings as the short decimal that it was given as.

    Examples
    --------
    >>> exact_penalty({"penalty": 0.1})
    1/10
    """
    return sympy.Rational(repr(float(settings["penalty"])))


def boundaries_of(settings: dict[str, Any]) -> tuple[PhaseBoundary, ...]:
    """Return the closed-form boundaries of the model that stored settings describe."""
    return boundaries(
        candidates(settings["n_features"], settings["n_hidden"]),
        activation=settings["activation"],
        penalty=exact_penalty(settings),
        features=features_of(settings),
    )


def draw_boundaries(ax: Axes, lines: Sequence[PhaseBoundary], *, samples: int = 600) -> None:
    """Draw closed-form boundaries over the limits of an axes.

    Parameters
    ----------
    ax : Axes
        With relative importance on x and density on y, its scales and limits set.
    lines : sequence of PhaseBoundary
        As `superposition.theory.boundaries` returns them.
    samples : int
        Points per boundary.
    """

    def spread(limits: tuple[float, float], scale: str) -> Floats:
        low, high = sorted(limits)
        if scale == "log":
            return np.geomspace(low, high, samples)
        return np.linspace(low, high, samples)

    limits = ax.get_xlim(), ax.get_ylim()
    importance = spread(limits[0], ax.get_xscale())
    density = spread(limits[1], ax.get_yscale())
    for boundary in lines:
        x, y = boundary_curve(boundary, density, importance)
        ax.plot(x, y, color="white", linewidth=2.6, solid_capstyle="round")
        ax.plot(x, y, color="black", linewidth=1.2, solid_capstyle="round")
    ax.set_xlim(limits[0])
    ax.set_ylim(limits[1])


def prepare_axes(ax: Axes, dataset: xr.Dataset) -> tuple[Floats, Floats]:
    """Set scales, ticks and limits for the grid of a dataset; return the edges of its cells."""
    density = dataset["density"].values
    importance = dataset["importance"].values
    log_x, log_y = is_geometric(importance), is_geometric(density)
    x, y = cell_edges(importance, log_x), cell_edges(density, log_y)
    ax.set_xscale("log" if log_x else "linear")
    ax.set_yscale("log" if log_y else "linear")
    for axis, logarithmic in ((ax.xaxis, log_x), (ax.yaxis, log_y)):
        if logarithmic:  # labels 0.1, 0.2, 0.5, 1, …: a range may hold no power of ten
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_formatter(NullFormatter())
    ax.set_xlim(x[0], x[-1])
    ax.set_ylim(y[0], y[-1])
    return x, y


def plot_phase_diagram(dataset: xr.Dataset) -> Figure:
    """Draw theory, exact optimum, best trained replica and the fraction stuck, side by side.

    Parameters
    ----------
    dataset : xarray.Dataset
        As `phase_diagram` returns it.

    Returns
    -------
    matplotlib.figure.Figure
        Four panels with relative importance on x and density on y, on logarithmic axes where the
        grid is geometric. Every cell is drawn around its grid point. Black lines are the
        closed-form boundaries; the colors are safe for color-blind readers.

    Examples
    --------
    >>> from superposition.validation import phase_diagram
    >>> diagram = phase_diagram(density=[0.1, 0.9], importance=[0.5, 1], replicas=1, starts=16)
    >>> len(plot_phase_diagram(diagram).axes)  # four panels and a color bar
    5
    """
    phases = phases_of(dataset)
    settings = settings_of(dataset)
    n_features, n_hidden = settings["n_features"], settings["n_hidden"]
    palette = phase_colors(len(phases))
    colors = ListedColormap(palette)
    norm = BoundaryNorm(np.arange(len(phases) + 1) - 0.5, len(phases))
    figure = Figure(figsize=(13.6, 4.3), layout="constrained")
    axes = cast(list[Axes], list(figure.subplots(1, 4, sharex=True, sharey=True)))
    shown: set[int] = set()
    for ax, (name, title) in zip(axes[:3], _PANELS, strict=True):
        x, y = prepare_axes(ax, dataset)
        codes = dataset[name].values
        shown |= set(np.unique(codes).tolist())
        ax.pcolormesh(x, y, codes, cmap=colors, norm=norm, rasterized=True)
        ax.set_title(title)
    x, y = prepare_axes(axes[3], dataset)
    mesh = axes[3].pcolormesh(
        x, y, dataset["stuck_fraction"].values, cmap="cividis", vmin=0, vmax=1, rasterized=True
    )
    replicas = dataset.sizes["replica"]
    axes[3].set_title(f"Fraction of {replicas} replicas stuck")
    figure.colorbar(mesh, ax=axes[3], label="share above another local minimum")
    features = features_of(settings)
    lines = boundaries_of(settings)
    for ax in axes:
        draw_boundaries(ax, lines)
        ax.set_xlabel("relative importance r of the last feature")
    axes[0].set_ylabel("feature density s = P(x ≠ 0)")
    handles: list[Any] = [
        Patch(facecolor=palette[code], label=phases[code]) for code in sorted(shown)
    ]
    handles.append(Line2D([], [], color="black", label="closed-form boundary"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    kind = "ReLU" if settings["activation"] == "relu" else "Linear"
    dimensions = "dimension" if n_hidden == 1 else "dimensions"
    title = f"{kind} models: {n_features} features in {n_hidden} hidden {dimensions}"
    figure.suptitle(title if features == Independent() else f"{title}, inputs {features!r}")
    return figure
